"""Two processes with one folder and one database: here, two archives that know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.status import Status
from dimseproxy.outbound.archive.index import Duplicates
from dimseproxy.outbound.archive.instances import Added, Instance
from tests.association.playing import CT, EXPLICIT
from tests.outbound.archive.support import Kept, an_image
from tests.support.postgresql import postgresql
from tests.support.process import scratch

ONE, OTHER = b"\1\1", b"\2\2"
"""Contents that take each other's place."""


class SharedTests(TestCase):
    def address(self) -> str | None:
        return None

    async def pair(self) -> tuple[Kept, Kept]:
        folder, where = scratch(self), self.address()
        return (
            await Kept(self, Duplicates.REPLACE, folder=folder, where=where).opened(),
            await Kept(self, Duplicates.REPLACE, folder=folder, where=where).opened(),
        )

    async def store(self, kept: Kept, content: bytes) -> int:
        caller = await kept.call((CT, EXPLICIT))
        return await caller.store(an_image(pixels=content))

    async def held(self, kept: Kept) -> tuple[list[str], list[str]]:
        """The files that the index knows, and those that are there."""
        await kept.archive.files.settled()
        return list((await kept.index.blobs()).blobs), kept.names

    def before_it_is_written(self, kept: Kept, act: Callable[[], Deferred[object]]) -> None:
        """Do something between the moment in which the file of an object is finished, and its transaction."""
        add = kept.index.add

        def delayed(instance: Instance) -> Deferred[Added]:
            return act().addCallback(lambda _: add(instance))

        patched = patch.object(kept.index, "add", delayed)
        patched.start()
        self.addCleanup(patched.stop)

    async def test_what_one_takes_away_while_the_other_is_given_it_is_not_acknowledged(self) -> None:
        first, second = await self.pair()
        await self.store(first, ONE)
        # The second one finds the file there, and relies on it; meanwhile the first one has no use for it any longer.
        self.before_it_is_written(second, lambda: Deferred.fromCoroutine(self._replaced(first)))
        status = await self.store(second, ONE)
        known, there = await self.held(first)
        self.assertEqual((status, known), (Status.OUT_OF_RESOURCES, there))

    async def _replaced(self, kept: Kept) -> None:
        await self.store(kept, OTHER)
        await kept.archive.files.settled()

    async def test_sent_again_it_is_taken(self) -> None:
        first, second = await self.pair()
        await self.store(first, ONE)
        await self._replaced(first)
        status = await self.store(second, ONE)
        await second.archive.files.settled()
        known, there = await self.held(first)
        self.assertEqual((status, known, len(known)), (Status.SUCCESS, there, 1))

    async def test_what_the_other_has_written_meanwhile_is_not_taken_away(self) -> None:
        first, second = await self.pair()
        await self.store(first, ONE)
        (name,) = first.names
        release = first.index.release

        def delayed(blob: str, delete: Callable[[], bool]) -> Deferred[bool]:
            # The first one was told that nobody needs the file, and has not come to take it away.
            stored = Deferred.fromCoroutine(self.store(second, ONE))
            return stored.addCallback(lambda _: release(blob, delete))

        with patch.object(first.index, "release", delayed):
            await self.store(first, OTHER)
            await first.archive.files.settled()
        await second.archive.files.settled()
        self.assertEqual(await self.held(first), ([name], [name]))

    async def test_whatever_comes_in_whatever_order_the_index_knows_what_is_there(self) -> None:
        pair = await self.pair()
        for _ in range(10):
            await gatherResults(
                [Deferred.fromCoroutine(self.store(kept, content)) for kept in pair for content in (ONE, OTHER) * 2]
            )
            for kept in pair:
                await kept.archive.files.settled()
            known, there = await self.held(pair[0])
            self.assertEqual((len(known), set(known) - set(there)), (1, set()))


class PostgreSQLSharedTests(SharedTests):
    def address(self) -> str | None:
        return postgresql().url()
