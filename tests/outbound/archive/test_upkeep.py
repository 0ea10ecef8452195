from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.dispatch import Destination
from dimseproxy.outbound.archive.events import DispatchFailed, Events, StudyCompleted, StudyDispatched
from dimseproxy.outbound.archive.queue import Queue
from dimseproxy.outbound.archive.schedule import Retries
from dimseproxy.outbound.archive.tracking import Tracking
from dimseproxy.outbound.archive.upkeep import Upkeep
from tests.association.playing import CT, EXPLICIT, IMPLICIT
from tests.outbound.archive.support import Kept, an_image, cut_off
from tests.storage.databases import execute
from tests.support.process import until

SHORT = 0.1
"""Seconds; the archive's own clock is the reactor."""


class UpkeepTests(TestCase):
    """An archive with everything there is, whose studies go to another archive."""

    async def archives(self) -> tuple[Kept, Kept]:
        source, target = await Kept(self).opened(), await Kept(self).opened()
        await self.look_after(source, target)
        return source, target

    async def look_after(self, source: Kept, target: Kept) -> None:
        """Have what goes on by itself begin."""
        retries = Retries(3, SHORT, SHORT, lambda: 0.5)
        self.told: list[object] = []
        source.archive.events.subscribe(self.told.append)
        upkeep = Upkeep(
            source.database,
            source.archive.files,
            source.index.release,
            None,
            source.archive.events,
            IReactorTime(reactor),
            study_timeout=SHORT,
            destinations=[Destination("other", target.archive.outbound, "OTHER", "ARCHIVE", retries)],
        )
        await upkeep.start()
        self.addCleanup(upkeep.stop)

    def counts(self, kind: type[object]) -> int:
        return sum(isinstance(event, kind) for event in self.told)

    async def dispatched(self) -> None:
        await until(lambda: self.counts(StudyDispatched), "the study is dispatched")

    async def test_what_is_stored_arrives_as_it_was_stored(self) -> None:
        source, target = await self.archives()
        caller = await source.call((CT, EXPLICIT))
        for number in range(1, 6):
            await caller.store(an_image(number, pixels=bytes(3_000_000)))
        await self.dispatched()
        self.assertEqual(await self.digests(target), await self.digests(source))

    async def test_what_the_disk_lost_the_end_of_does_not(self) -> None:
        source, target = await Kept(self).opened(), await Kept(self).opened()
        await (await source.call((CT, EXPLICIT))).store(an_image())
        cut_off(source, source.names[0])
        await self.look_after(source, target)
        await until(lambda: self.counts(DispatchFailed), "an attempt failed")
        self.assertEqual(target.names, [])

    async def digests(self, kept: Kept) -> list[tuple[object, ...]]:
        """Of the data sets that are there."""
        return await kept.database.read(execute("SELECT uid, digest FROM archive_instance ORDER BY uid"))

    async def test_a_study_is_told_to_be_complete(self) -> None:
        source, _ = await self.archives()
        caller = await source.call((CT, IMPLICIT))
        await caller.store(an_image(), IMPLICIT)
        await until(lambda: self.counts(StudyCompleted), "the study is complete")
        self.assertEqual(self.counts(StudyCompleted), 1)

    async def test_what_a_process_was_sending_when_it_died_is_sent_at_once(self) -> None:
        source, target = await Kept(self).opened(), await Kept(self).opened()
        caller = await source.call((CT, EXPLICIT))
        await caller.store(an_image())
        columns, clock = Columns(None), IReactorTime(reactor)
        dead = Queue(source.database, clock, columns, ["other"])
        await Tracking(source.database, clock, columns, 0.0, Events(), dead.enqueue).look()
        self.assertIsNotNone(await dead.claim("other"))
        await self.look_after(source, target)
        # Much sooner than what it claimed is anybody's.
        await self.dispatched()
        self.assertEqual(len(target.names), 1)
