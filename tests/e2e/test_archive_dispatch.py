"""
Studies complete, and go to an outbound that comes and goes: every one arrives, once or more.

There are 60 of them, which takes long enough; ``DIMSEPROXY_STUDIES=1000`` in the environment asks for more.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from random import Random
from typing import Any

from twisted.internet.task import deferLater

from bench.scu import Association
from tests.calm.kill import an_object
from tests.e2e.base import EndToEnd
from tests.support.archive import ArchiveCase, ArchiveProxy
from tests.support.flapping import WAYS, Flapping, flapping
from tests.support.process import clock, until
from tests.support.threads import in_thread

STUDIES = int(os.environ.get("DIMSEPROXY_STUDIES", "60"))
FLAPS = 5
"""How often nobody is there at all."""
FAR = 200.0

TO = "pacs"
AGAIN = {"to": TO, "retries": 1000, "backoff": 0.05, "longest_backoff": 0.1, "associations": 4}
"""What goes wrong is tried again soon, and never given up."""


class Dispatch(ArchiveCase, EndToEnd):
    """The archive, and a destination that cannot be relied on."""

    timeout = 400

    def setUp(self) -> None:
        self.needs_proxy()

    async def dispatching(self, peer: Flapping, **dispatch: Any) -> ArchiveProxy:
        """An archive that sends what is complete to the peer."""
        return await self.archive_proxy(**self.settings(peer, **dispatch))

    def settings(self, peer: Flapping, **dispatch: Any) -> dict[str, Any]:
        """The settings of it."""
        return {
            "archive": {"study_timeout": 1, "dispatch": [{**AGAIN, **dispatch}]},
            "outbound": {TO: {"dimse": {"connect": f"tcp:127.0.0.1:{peer.port}", "ae_title": "FLAPPING"}}},
        }

    async def store(self, archive: ArchiveProxy, count: int) -> set[str]:
        """Store so many studies of one object; the SOP Instance UIDs."""

        def send() -> set[str]:
            chance, sent = Random(0), set()
            with Association(archive.port) as association:
                for number in range(1, count + 1):
                    study = f"2.999.8.{number}"
                    instance = f"{study}.1.1"
                    content = an_object(study, f"{study}.1", instance, chance, size=200)
                    if association.keep(instance.encode(), content) == 0x0000:
                        sent.add(instance)
                association.release()
            return sent

        return await in_thread(send)

    def states(self, archive: ArchiveProxy) -> dict[str, int]:
        """How many studies are in each state, as the archive has it in its database."""
        return dict(archive.rows("SELECT state, count(*) FROM archive_dispatch GROUP BY state"))

    @staticmethod
    def has_taken(peer: Flapping, count: int) -> bool:
        return len(peer.taken) >= count

    async def test_every_study_arrives_and_the_state_says_so(self) -> None:
        peer = flapping(self)
        archive = await self.dispatching(peer)
        sent = await self.store(archive, STUDIES)
        self.assertEqual(STUDIES, len(sent))
        for _ in range(FLAPS):
            enough = min(len(peer.taken) + STUDIES // 10, STUDIES - 1)
            await until(partial(self.has_taken, peer, enough), "progress", FAR)
            peer.stop()
            await deferLater(clock, 0.5)
            peer.start()
        await until(lambda: self.states(archive) == {"sent": STUDIES}, "everything to be sent", FAR)
        self.assertEqual(sent, set(peer.taken))
        # All that was to go wrong did.
        self.assertEqual(WAYS, set(peer.mishaps))
        letters = await archive.command(self, "dead-letters")
        self.assertEqual(0, letters.code, letters.output)

    async def test_a_kill_in_between_loses_none(self) -> None:
        peer = flapping(self)
        archive = await self.dispatching(peer)
        sent = await self.store(archive, 60)
        await until(lambda: len(peer.taken) > 10, "some to arrive", FAR)
        await archive.proxy.process.kill()
        again = await self.archive_proxy(data_dir=archive.data_dir, **self.settings(peer))
        await until(lambda: self.states(again) == {"sent": 60}, "everything to be sent", FAR)
        self.assertEqual(sent, set(peer.taken))

    async def test_one_that_answers_no_release_does_not_keep_the_proxy_from_ending(self) -> None:
        peer = flapping(self)
        peer.is_calm, peer.answers_releases = True, False
        archive = await self.dispatching(peer)
        sent = await self.store(archive, 1)
        await until(lambda: peer.releases, "the release", FAR)
        archive.proxy.process.signal("TERM")
        await archive.proxy.ended()
        self.assertEqual((Counter(sent), {"sent": 1}), (peer.taken, self.states(archive)))

    async def test_what_was_given_up_is_sent_after_requeue(self) -> None:
        peer = flapping(self)
        peer.stop()
        archive = await self.dispatching(peer, retries=1)
        sent = await self.store(archive, 3)
        await until(lambda: self.states(archive) == {"dead": 3}, "all to be given up", FAR)
        peer.is_calm = True
        peer.start()
        result = await archive.command(self, "requeue", "--all")
        self.assertEqual(0, result.code, result.output)
        await until(lambda: self.states(archive) == {"sent": 3}, "everything to be sent", FAR)
        self.assertEqual(Counter(sent), peer.taken)
