from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.queue import NotOurs, Queue, State
from tests.outbound.archive.studies import Studies, studies
from tests.support.postgresql import postgresql


class TakingOverTests(TestCase):
    """What another process was sending when it ended."""

    def address(self) -> str | None:
        return None

    async def found(self) -> Studies:
        """A study that is complete."""
        found = await studies(self, self.address())
        await found.add(1, 1)
        await found.complete()
        return found

    def another(self, found: Studies) -> Queue:
        """The queue as another process has it."""
        return Queue(found.kept, found.clock, Columns(None), ["pacs"])

    async def test_it_is_due_at_once(self) -> None:
        found = await self.found()
        await self.another(found).claim("pacs")
        before = await found.queue.claim("pacs")
        count = await found.queue.take_over()
        self.assertEqual((before, count), (None, 1))
        self.assertIsNotNone(await found.queue.claim("pacs"))

    async def test_who_is_alive_after_all_learns_of_it(self) -> None:
        found = await self.found()
        other = self.another(found)
        job = await other.claim("pacs")
        assert job is not None
        await found.queue.take_over()
        await self.assertFailure(other.sent(job), NotOurs)

    async def test_what_this_one_sends_is_its_own(self) -> None:
        found = await self.found()
        job = await found.queue.claim("pacs")
        assert job is not None
        self.assertEqual(await found.queue.take_over(), 0)
        self.assertTrue(await found.queue.sent(job))

    async def test_what_waits_for_another_attempt_waits_on(self) -> None:
        found = await self.found()
        other = self.another(found)
        job = await other.claim("pacs")
        assert job is not None
        await other.failed(job, 1, found.clock.seconds() + 10, "it is away")
        self.assertEqual(await found.queue.take_over(), 0)
        self.assertEqual((await found.queue.claim("pacs"), await found.states()), (None, [State.WAITING]))


class PostgreSQLTakingOverTests(TakingOverTests):
    def address(self) -> str | None:
        return postgresql().url()
