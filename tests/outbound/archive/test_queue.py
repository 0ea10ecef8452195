from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.dead_letters import dead_letters
from dimseproxy.outbound.archive.events import DispatchFailed
from dimseproxy.outbound.archive.queue import NotOurs, Queue, State
from dimseproxy.outbound.archive.seal import Seal
from tests.outbound.archive.studies import Studies, studies
from tests.outbound.archive.test_dispatch import House
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


class SealedTests(TestCase):
    """An index with a key, and rows that are no longer what was written."""

    async def found(self) -> Studies:
        found = await studies(self, seal=Seal([b"0" * 32]))
        await found.add(1, 1, 2)
        await found.add(2, 1)
        await found.complete()
        return found

    async def test_a_study_that_cannot_be_read_is_a_dead_letter_and_the_next_is_taken_up(self) -> None:
        found = await self.found()
        await found.spoil("archive_study", 1)
        job = await found.queue.claim("pacs")
        assert job is not None
        self.assertEqual((job.study_uid, await found.states()), ("1.3.2", [State.DEAD, State.SENDING]))
        (letter,) = await dead_letters(found.kept)
        self.assertEqual(letter.why, "the index cannot be read where it is about this study")

    async def test_an_object_that_cannot_be_read_is_pending_all_the_same(self) -> None:
        found = await self.found()
        await found.spoil("archive_instance", 1)
        job = await found.queue.claim("pacs")
        assert job is not None
        pending = await found.queue.pending(job, 0, 10)
        self.assertEqual([each.sop_instance for each in pending], [None, "1.5.102"])

    async def test_it_fails_alone(self) -> None:
        found = await self.found()
        await found.spoil("archive_instance", 1)
        house = House(found)
        house.dispatch.start()
        self.addCleanup(house.stop)
        event = await house.hears(DispatchFailed)
        assert isinstance(event, DispatchFailed)
        self.assertEqual((house.arrived[0], event.why.split(";")[0]), ("102", "1 objects did not arrive"))


class PostgreSQLTakingOverTests(TakingOverTests):
    def address(self) -> str | None:
        return postgresql().url()
