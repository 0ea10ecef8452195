from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.events import StudyCompleted
from dimseproxy.outbound.archive.index import Duplicates
from dimseproxy.outbound.archive.queue import State
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.tracking import SWEEP_EVERY, Tracking
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.outbound.archive.studies import TIMEOUT, Studies, studies
from tests.storage.databases import execute
from tests.support.postgresql import postgresql
from tests.support.process import until


class Oops(Exception):
    """What follows from a completion fails with this."""


class TrackingTests(TestCase):
    def address(self) -> str | None:
        return None

    async def studies(self, *, duplicates: Duplicates = Duplicates.REPLACE) -> Studies:
        return await studies(self, self.address(), duplicates=duplicates)

    async def test_a_study_is_complete_after_some_silence(self) -> None:
        found = await self.studies()
        await found.add(1, 1, 2)
        found.clock.advance(TIMEOUT)
        await found.tracking.look()
        self.assertEqual(found.told, [StudyCompleted(1, "1.3.1", 1, 2, 200)])

    async def test_it_is_not_before_that(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(TIMEOUT - 0.1)
        self.assertEqual(await found.tracking.look(), 0)

    async def test_each_object_begins_the_silence_anew(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(TIMEOUT - 1)
        await found.add(1, 2)
        found.clock.advance(TIMEOUT - 1)
        self.assertEqual(await found.tracking.look(), 0)

    async def test_it_is_told_once(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.complete()
        self.assertEqual(len(found.told), 1)

    async def test_one_that_grows_is_completed_again(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.add(1, 2)
        await found.complete()
        self.assertEqual(found.told[1:], [StudyCompleted(1, "1.3.1", 2, 2, 200)])

    async def test_an_object_that_came_slowly_counts_too(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.add(1, 2, ago=TIMEOUT + 10)
        await found.complete()
        self.assertEqual(found.told[1:], [StudyCompleted(1, "1.3.1", 2, 2, 200)])

    async def test_an_object_that_comes_again_changes_nothing(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.add(1, 1)
        self.assertEqual(await found.complete(), 0)

    async def test_an_object_that_is_replaced_completes_its_study_again(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.add(1, 1, content=b"other")
        self.assertEqual(await found.complete(), 1)

    async def test_a_restart_finds_what_was_left_open(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(10 * SWEEP_EVERY)
        self.assertEqual(await found.tracking.look(), 1)

    async def test_a_restart_does_not_complete_anything_twice(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        again = Tracking(found.kept, found.clock, Columns(None), TIMEOUT, found.events)
        self.assertEqual(await again.look(), 0)

    async def test_many_at_once_are_all_completed(self) -> None:
        found = await self.studies()
        for number in range(450):
            await found.add(number + 1, 1)
        await found.complete()
        self.assertEqual(len({event.study for event in found.told if isinstance(event, StudyCompleted)}), 450)

    async def test_two_proxies_tell_a_completion_once(self) -> None:
        found = await self.studies()
        for number in range(20):
            await found.add(number + 1, 1)
        other = Tracking(found.kept, found.clock, Columns(None), TIMEOUT, found.events, found.queue.enqueue)
        found.clock.advance(TIMEOUT)
        counts = await gatherResults([found.tracking.look(), other.look()])
        self.assertEqual((sum(counts), len(found.told)), (20, 20))

    async def test_what_does_not_follow_is_not_completed_either(self) -> None:
        def fail(connection: Connection, numbers: Sequence[int], now: float) -> None:
            raise Oops

        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(TIMEOUT)
        failing = Tracking(found.kept, found.clock, Columns(None), TIMEOUT, found.events, fail)
        await self.assertFailure(failing.look(), Oops)
        self.assertEqual(await found.tracking.look(), 1)

    async def test_a_completed_study_is_queued_with_its_completion(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        self.assertEqual(await found.states(), [State.WAITING])

    async def test_a_study_that_is_taken_out_leaves_nothing_behind(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        await found.complete()
        await found.index.remove_study("1.3.1")
        rows = "SELECT study FROM archive_completion UNION ALL SELECT study FROM archive_dispatch"
        self.assertEqual(await found.kept.read(execute(rows)), [])

    async def test_it_looks_by_itself(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(TIMEOUT)
        found.tracking.start()
        await until(lambda: found.told, "a study is complete")
        await found.tracking.stop()
        self.assertEqual(len(found.told), 1)

    async def test_it_goes_on_after_the_database_was_away(self) -> None:
        found = await self.studies()
        await found.add(1, 1)
        found.clock.advance(TIMEOUT)
        await found.kept.stop()
        await self.assertFailure(found.tracking.look(), DatabaseUnavailable)
        await found.kept.start()
        self.assertEqual(await found.tracking.look(), 1)


class PostgreSQLTrackingTests(TrackingTests):
    def address(self) -> str | None:
        return postgresql().url()


class SealedTrackingTests(TestCase):
    async def test_the_study_is_told_though_the_index_hides_it(self) -> None:
        found = await studies(self, seal=Seal([b"0" * 32]))
        await found.add(1, 1)
        await found.complete()
        self.assertEqual([event.study for event in found.told if isinstance(event, StudyCompleted)], ["1.3.1"])

    async def test_one_that_cannot_be_read_keeps_no_other_from_being_complete(self) -> None:
        found = await studies(self, seal=Seal([b"0" * 32]))
        await found.add(1, 1)
        await found.add(2, 1)
        await found.spoil("archive_study", 1)
        await found.complete()
        self.assertEqual([event.study for event in found.told if isinstance(event, StudyCompleted)], ["1.3.2"])
        self.assertEqual(await found.states(), [State.WAITING, State.WAITING])
