from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from unittest.mock import patch

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive import leaving
from dimseproxy.outbound.archive.dead_letters import requeue_all
from dimseproxy.outbound.archive.events import Event, Events, ObjectsRefused
from dimseproxy.outbound.archive.files import Files
from dimseproxy.outbound.archive.retention import Bounds, Retention, Watermark
from dimseproxy.storage.blobs import Blobs
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.outbound.archive.studies import Studies, at_once, studies
from tests.storage.databases import execute
from tests.support.postgresql import postgresql
from tests.support.process import scratch, until

DAY = 86400.0
PACS = frozenset(("pacs",))


class Kept:
    """Studies, and the files that they are in."""

    def __init__(self, case: TestCase, found: Studies) -> None:
        self.found = found
        self.blobs = Blobs(scratch(case) / "archive")
        self.blobs.open()

    async def study(self, number: int, *, size: int = 100) -> None:
        """A study of one object, complete and with a file."""
        writer = self.blobs.create()
        writer.write(f"study {number}".encode())
        blob = writer.finish()
        await self.found.add(number, 1, size=size)
        await self.found.kept.run(
            execute("UPDATE archive_instance SET blob = :blob WHERE uid = :uid", blob=blob.name, uid=f"1.5.{number}01")
        )
        await self.found.complete()

    def retention(self, **bounds: object) -> Retention:
        files = Files(self.blobs, at_once)
        return Retention(
            self.found.kept,
            self.found.clock,
            files,
            self.found.index.release,
            Bounds(**bounds),  # type: ignore[arg-type]
        )

    async def left(self) -> list[str]:
        """The last numbers of the studies that are there."""
        page = await self.found.index.studies()
        return [summary.study.removeprefix("1.3.") for summary in page.studies]

    async def leaving(self) -> set[str]:
        """The names of the files that are still to be deleted."""
        return await self.found.kept.read(leaving.everything)

    @property
    def files(self) -> int:
        return len(list(self.blobs.names()))

    async def sent(self, *states: str) -> None:
        """What became of the dispatch of all studies."""
        (state,) = states or ("sent",)
        await self.found.kept.run(execute("UPDATE archive_dispatch SET state = :state, due = NULL", state=state))


class RetentionTests(TestCase):
    def address(self) -> str | None:
        return None

    async def kept(self, destinations: Sequence[str] = ()) -> Kept:
        return Kept(self, await studies(self, self.address(), destinations=destinations))

    async def test_a_study_that_is_too_old_goes(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(20 * DAY)
        await kept.study(2)
        kept.found.clock.advance(11 * DAY)
        self.assertEqual(await kept.retention(days=30).look(), 1)
        self.assertEqual(await kept.left(), ["2"])

    async def test_its_files_go_with_it(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        await kept.retention(days=30).look()
        self.assertEqual(kept.files, 0)

    async def test_a_file_that_could_not_go_with_it_goes_at_the_next_look(self) -> None:
        kept = await self.kept()
        for number in (1, 2):
            await kept.study(number)
        kept.found.clock.advance(31 * DAY)
        release, asked = kept.found.index.release, 0

        def away(name: str, delete: Callable[[], bool]) -> Deferred[bool]:
            nonlocal asked
            asked += 1
            return fail(DatabaseUnavailable("gone")) if asked == 1 else release(name, delete)

        self.patch(kept.found.index, "release", away)
        retention = kept.retention(days=30)
        self.assertEqual((await retention.look(), kept.files), (2, 1))
        self.assertEqual((await retention.look(), kept.files), (0, 0))

    async def test_so_does_one_that_the_disk_did_not_let_go(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        retention = kept.retention(days=30)
        with patch.object(kept.blobs, "delete", side_effect=OSError(errno.EIO, "Input/output error")):
            await retention.look()
        self.assertEqual(kept.files, 1)
        await retention.look()
        self.assertEqual(kept.files, 0)

    async def test_a_restart_does_not_forget_it(self) -> None:
        kept = await self.kept()
        for number in (1, 2):
            await kept.study(number)
        kept.found.clock.advance(31 * DAY)
        with patch.object(kept.blobs, "delete", side_effect=PermissionError(errno.EACCES, "Permission denied")):
            await kept.retention(days=30).look()
        self.assertEqual((await kept.left(), kept.files), ([], 2))
        await kept.retention(days=30).look()
        self.assertEqual((kept.files, await kept.leaving()), (0, set()))

    async def test_nor_does_one_between_the_index_and_the_file(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        killed = kept.retention(days=30)
        self.patch(killed, "_delete_files", lambda blobs: fail(ZeroDivisionError()))
        await self.assertFailure(killed.look(), ZeroDivisionError)
        self.assertEqual(kept.files, 1)
        await kept.retention(days=30).look()
        self.assertEqual(kept.files, 0)

    async def test_many_that_stay_do_not_keep_the_others(self) -> None:
        self.patch(leaving, "PAGE", 2)
        kept = await self.kept()
        for number in range(1, 6):
            await kept.study(number)
        kept.found.clock.advance(31 * DAY)
        with patch.object(kept.blobs, "delete", side_effect=OSError(errno.EIO, "Input/output error")):
            await kept.retention(days=30).look()
        stays = set(sorted(kept.blobs.names())[:2])
        delete = kept.blobs.delete

        def delete_others(name: str) -> None:
            if name in stays:
                raise OSError(errno.EBUSY, "Device or resource busy")
            delete(name)

        with patch.object(kept.blobs, "delete", delete_others):
            await kept.retention(days=30).look()
        self.assertEqual((set(kept.blobs.names()), await kept.leaving()), (stays, stays))

    async def test_one_that_an_object_is_in_again_stays(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        with patch.object(kept.blobs, "delete", side_effect=OSError(errno.EIO, "Input/output error")):
            await kept.retention(days=30).look()
        await kept.study(1)
        await kept.retention(days=30).look()
        self.assertEqual((await kept.left(), kept.files, await kept.leaving()), (["1"], 1, set()))

    async def test_it_stays_too_where_the_index_is_made_anew(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        with patch.object(kept.blobs, "delete", side_effect=OSError(errno.EIO, "Input/output error")):
            await kept.retention(days=30).look()
        await kept.study(1)
        await kept.found.index.clear()
        self.assertEqual(await kept.leaving(), set())

    async def test_a_file_that_another_object_is_in_stays(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        await kept.study(2)
        await kept.found.kept.run(
            execute("UPDATE archive_instance SET blob = (SELECT blob FROM archive_instance WHERE uid = '1.5.101')")
        )
        await kept.retention(days=30).look()
        self.assertEqual((await kept.left(), kept.files), (["2"], 2))

    async def test_without_bounds_nothing_goes(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(10_000 * DAY)
        self.assertEqual(await kept.retention().look(), 0)

    async def test_too_much_goes_the_oldest_first(self) -> None:
        kept = await self.kept()
        for number in range(1, 6):
            await kept.study(number, size=10)
        await kept.retention(size=25).look()
        self.assertEqual(await kept.left(), ["4", "5"])

    async def test_what_there_is_room_for_stays(self) -> None:
        kept = await self.kept()
        for number in range(1, 4):
            await kept.study(number, size=10)
        self.assertEqual(await kept.retention(size=30).look(), 0)

    async def test_a_study_that_grows_is_as_old_as_its_last_object(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        await kept.found.add(1, 2)
        await kept.found.complete()
        self.assertEqual(await kept.retention(days=30).look(), 0)

    async def test_one_that_is_not_complete_stays(self) -> None:
        kept = await self.kept()
        await kept.found.add(1, 1)
        kept.found.clock.advance(31 * DAY)
        self.assertEqual(await kept.retention(days=30).look(), 0)

    async def test_one_that_grew_meanwhile_stays(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        await kept.found.add(1, 2, ago=31 * DAY)
        self.assertEqual(await kept.retention(days=30).look(), 0)

    async def test_an_object_that_arrives_in_that_moment_stays(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        retention = kept.retention(days=30)
        delete_study = retention._delete_study

        async def interrupted(study: int, last_received: float) -> bool:
            await kept.found.add(1, 2)
            return await delete_study(study, last_received)

        self.patch(retention, "_delete_study", interrupted)
        self.assertEqual((await retention.look(), await kept.left()), (0, ["1"]))

    async def test_what_another_process_deletes_in_that_moment_counts(self) -> None:
        kept = await self.kept()
        for number in range(1, 6):
            await kept.study(number, size=10)
        first, second = kept.retention(size=45), kept.retention(size=45)
        delete_study = first._delete_study

        async def interrupted(study: int, last_received: float) -> bool:
            await second.look()
            return await delete_study(study, last_received)

        self.patch(first, "_delete_study", interrupted)
        self.assertEqual((await first.look(), await kept.left()), (0, ["2", "3", "4", "5"]))

    async def stays(self, state: str) -> int:
        kept = await self.kept(["pacs"])
        await kept.study(1)
        await kept.sent(state)
        kept.found.clock.advance(31 * DAY)
        return await kept.retention(days=30, size=1, destinations=PACS).look()

    async def test_one_that_waits_for_its_dispatch_stays(self) -> None:
        self.assertEqual(await self.stays("waiting"), 0)

    async def test_one_that_is_being_sent_stays(self) -> None:
        self.assertEqual(await self.stays("sending"), 0)

    async def test_a_dead_letter_stays(self) -> None:
        self.assertEqual(await self.stays("dead"), 0)

    async def test_one_that_was_sent_goes(self) -> None:
        self.assertEqual(await self.stays("sent"), 1)

    async def test_a_destination_that_is_not_configured_any_longer_keeps_nothing(self) -> None:
        kept = await self.kept(["former"])
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        self.assertEqual(await kept.retention(days=30, destinations=PACS).look(), 1)

    async def test_those_that_stay_do_not_keep_the_others(self) -> None:
        kept = await self.kept(["pacs"])
        await kept.study(1, size=10)
        await kept.sent("dead")
        await kept.study(2, size=10)
        await kept.found.kept.run(execute("UPDATE archive_dispatch SET state = 'sent' WHERE study = 2"))
        await kept.retention(size=5, destinations=PACS).look()
        self.assertEqual(await kept.left(), ["1"])
        self.assertEqual(await requeue_all(kept.found.kept), 1)

    async def test_many_go_in_one_look(self) -> None:
        kept = await self.kept()
        for number in range(1, 151):
            await kept.found.add(number, 1)
        await kept.found.complete()
        kept.found.clock.advance(31 * DAY)
        self.assertEqual(await kept.retention(days=30).look(), 150)

    async def test_it_looks_by_itself(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        retention = kept.retention(days=30)
        retention.start()
        await until(lambda: not kept.files, "the study is gone")
        await retention.stop()
        self.assertEqual((await kept.left(), kept.found.clock.getDelayedCalls()), ([], []))

    async def test_without_the_database_nothing_goes(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        kept.found.clock.advance(31 * DAY)
        await kept.found.kept.stop()
        await self.assertFailure(kept.retention(days=30).look(), DatabaseUnavailable)
        self.assertEqual(kept.files, 1)

    async def test_a_file_that_cannot_be_deleted_keeps_no_other_study(self) -> None:
        kept = await self.kept()
        await kept.study(1)
        await kept.study(2)
        kept.found.clock.advance(31 * DAY)
        retention = kept.retention(days=30)

        def fail(name: str) -> None:
            raise PermissionError(1, "no")

        self.patch(kept.blobs, "delete", fail)
        self.assertEqual(await retention.look(), 2)


class PostgreSQLRetentionTests(RetentionTests):
    def address(self) -> str | None:
        return postgresql().url()


class WatermarkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Event] = []
        events = Events()
        events.subscribe(self.told.append)
        self.free = 1000
        self.watermark = Watermark(self.look, 500, self.clock, events)

    def look(self) -> int:
        if self.free < 0:
            raise OSError("no such disk")
        return self.free

    def admits(self, free: int) -> bool:
        self.free = free
        self.clock.advance(1)
        try:
            self.watermark.admit()
        except OperationRefused as error:
            self.assertEqual(error.status, Status.OUT_OF_RESOURCES)
            return False
        return True

    def test_with_room_objects_are_taken(self) -> None:
        self.assertTrue(self.admits(500))

    def test_below_the_mark_they_are_refused(self) -> None:
        self.assertFalse(self.admits(499))

    def test_with_room_again_they_are_taken_again(self) -> None:
        self.admits(499)
        self.assertTrue(self.admits(500))

    def test_a_disk_that_does_not_say_is_full(self) -> None:
        self.assertFalse(self.admits(-1))

    def test_it_is_told_once_when_it_begins(self) -> None:
        for free in (499, 400, 600, 300):
            self.admits(free)
        self.assertEqual(self.told, [ObjectsRefused(499), ObjectsRefused(300)])

    def test_the_disk_is_not_asked_for_every_object(self) -> None:
        self.admits(1000)
        self.free = 0
        self.watermark.admit()
        self.assertEqual(self.told, [])

    def test_a_clock_that_is_set_back_does_not_keep_an_old_answer(self) -> None:
        self.admits(1000)
        self.clock.rightNow -= 100
        self.free = 0
        self.assertRaises(OperationRefused, self.watermark.admit)
