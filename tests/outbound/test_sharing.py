"""What the settings of an outbound make of it."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.config import PoolSettings
from dimseproxy.config.settings import DimseOutbound as DimseSettings
from dimseproxy.config.tls_settings import ClientTLS
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.outbound.limits import Count, Slots
from dimseproxy.outbound.sharing import SharedOutbounds
from dimseproxy.ul.pdu import ReleaseRequest
from tests.association.playing import LIMITS, echo, echoed
from tests.outbound.peers import REQUEST, Caller, Peer


class OutboundsOfAProcess(TestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[str, str, int]] = []
        self.outbounds = SharedOutbounds(self._slots)
        self.deadlines = Deadlines(Clock())
        self.peer = Peer()
        self.outbound = self._reached(self.peer)

    def _slots(self, what: str, name: str, limit: int) -> Slots:
        self.asked.append((what, name, limit))
        return Count(limit)

    def _reached(self, peer: Peer) -> DimseOutbound:
        return DimseOutbound(peer, self.deadlines, LIMITS, 10.0)

    def _shared(self, outbound: DimseOutbound | None = None, connect: str = "tcp:h:1", **keys: Any) -> Any:
        settings = DimseSettings(connect=connect, ae_title="PACS", **keys)
        return self.outbounds.shared("pacs", settings, outbound or self.outbound)

    def _call(self, outbound: Any) -> Caller:
        return Caller(outbound.associate(REQUEST))


class SharedOutboundsTests(OutboundsOfAProcess):
    def test_nothing_to_share(self) -> None:
        self.assertIs(self._shared(), self.outbound)

    def test_a_pool(self) -> None:
        shared = self._shared(pool=PoolSettings(size=1))
        for _ in range(3):
            self._call(shared).association.release()
        self.assertEqual(len(self.peer.lines), 1)

    def test_no_pool(self) -> None:
        shared = self._shared(max_associations=5)
        self._call(shared).association.release()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_a_limit_of_associations(self) -> None:
        shared = self._shared(max_associations=1, wait=3.0)
        waits = [self._call(shared).is_waiting for _ in range(2)]
        self.assertEqual((waits, self.asked), ([False, True], [("associations", "pacs", 1)]))

    def test_a_limit_of_operations(self) -> None:
        shared = self._shared(max_operations=1)
        for _ in range(2):
            self._call(shared).sends(echo())
        self.assertEqual([line.hears() for line in self.peer.lines], [[echo()], []])
        self.assertEqual(self.asked, [("operations", "pacs", 1)])

    def test_a_reload_keeps_what_is_idle(self) -> None:
        pool = PoolSettings()
        self._call(self._shared(pool=pool)).association.release()
        self._call(self._shared(self._reached(self.peer), pool=pool))
        self.assertEqual(len(self.peer.lines), 1)

    def test_after_a_reload_new_ones_are_opened_the_new_way(self) -> None:
        self._shared(max_associations=5)
        other = Peer()
        self._call(self._shared(self._reached(other), max_associations=5))
        self.assertEqual((len(self.peer.lines), len(other.lines)), (0, 1))

    def test_a_reload_keeps_the_count(self) -> None:
        self._call(self._shared(max_associations=1))
        self.assertTrue(self._call(self._shared(max_associations=1)).is_waiting)

    def test_the_end(self) -> None:
        caller = self._call(self._shared(pool=PoolSettings()))
        caller.sends(echo())
        self.peer.last.says(echoed())
        caller.association.release()
        self.peer.last.hears()
        closing = self.outbounds.close()
        self.assertNoResult(closing)
        self.peer.last.is_released()
        self.successResultOf(closing)


class AnotherWay(OutboundsOfAProcess):
    """After a reload the peer is reached in another way: whoever answered on the old one may be somebody else."""

    def setUp(self) -> None:
        super().setUp()
        self.other = Peer()
        self.pooled = self._shared(pool=PoolSettings(size=2))

    def _reload(self) -> None:
        self._shared(self._reached(self.other), connect="tcp:h:2", pool=PoolSettings(size=2))

    def test_what_is_idle_is_released(self) -> None:
        self._call(self.pooled).association.release()
        self.peer.last.hears()
        self._reload()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_nothing_is_watched_after_that(self) -> None:
        self._call(self.pooled).association.release()
        self._reload()
        self.peer.last.is_released()
        self.assertEqual(self.deadlines._watched, set())

    def test_what_is_in_use_is_not_kept(self) -> None:
        caller = self._call(self.pooled)
        self._reload()
        caller.association.release()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_what_was_used_again_is_not_kept(self) -> None:
        self._call(self.pooled).association.release()
        caller = self._call(self.pooled)
        self._reload()
        caller.association.release()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_what_was_being_opened_is_not_kept(self) -> None:
        self.peer.accepts = False
        caller = self._call(self.pooled)
        self._reload()
        self.peer.last.accepts()
        caller.association.release()
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_what_takes_its_place_is_kept(self) -> None:
        self._call(self.pooled).association.release()
        caller = self._call(self.pooled)
        self._reload()
        self.peer.last.closes()
        caller.association.release()
        self._call(self.pooled)
        self.assertEqual((len(self.peer.lines), len(self.other.lines), self.pooled.idle), (1, 1, 0))

    def test_what_is_opened_from_then_on_is_kept(self) -> None:
        self._reload()
        for _ in range(2):
            self._call(self.pooled).association.release()
        self.assertEqual(len(self.other.lines), 1)

    def test_without_tls(self) -> None:
        secured = self._shared(tls=ClientTLS(), pool=PoolSettings(size=2))
        self._call(secured).association.release()
        self.peer.last.hears()
        self._shared(self._reached(self.peer), pool=PoolSettings(size=2))
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])

    def test_with_other_certificates(self) -> None:
        # They are read again, whatever the settings say.
        secured = self._shared(tls=ClientTLS(), pool=PoolSettings(size=2))
        self._call(secured).association.release()
        self.peer.last.hears()
        self._shared(self._reached(self.peer), tls=ClientTLS(), pool=PoolSettings(size=2))
        self.assertEqual(self.peer.last.hears(), [ReleaseRequest()])
