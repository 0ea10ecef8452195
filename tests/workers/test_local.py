"""Workers call one another: real sockets in a folder."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.association.interfaces import IIncomingAssociation
from dimseproxy.association.stream import SocketStream
from dimseproxy.dimse.parts import Part
from dimseproxy.errors import LOCAL_LIMIT_EXCEEDED, NO_REASON_GIVEN, AssociationRejected, OutboundUnreachable
from dimseproxy.relay.destinations import DestinationLeg
from dimseproxy.workers import local as module
from dimseproxy.workers.local import Locally, Sockets
from tests.association.playing import CT, LIMITS, User, a_request, an_accept, echo, echoed

clock: Any = reactor


class Listener:
    """What a delivery is told by a leg."""

    def __init__(self) -> None:
        self.heard: Deferred[list[Part]] = Deferred()
        self.over: Deferred[None] = Deferred()

    def leg_received(self, leg: DestinationLeg, parts: Sequence[Part]) -> None:
        self.heard.callback(list(parts))

    def leg_ended(self, leg: DestinationLeg) -> None:
        self.over.callback(None)

    def leg_pauses(self, leg: DestinationLeg) -> None:
        """Nothing is sent."""

    def leg_resumes(self, leg: DestinationLeg) -> None:
        """Nothing is sent."""


class Accepting(User):
    """What answers at the worker that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[tuple[IIncomingAssociation, str]] = []
        self.rejects = False

    def passed_on(self, association: IIncomingAssociation, outbound: str) -> None:
        self.came.append((association, outbound))
        if self.rejects:
            association.reject(NO_REASON_GIVEN, "nobody asked")
            return
        association.use(self)
        association.accept(an_accept(association.request), 0)

    def received(self, parts: Sequence[Part]) -> None:
        self.came[-1][0].send([echoed(1)])

    def release_requested(self) -> None:
        self.came[-1][0].respond_release()


class LocallyTestCase(TestCase):
    timeout = 30

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(mode=0o700)
        # A path that fits into the address of a socket, wherever the tests run.
        self.addCleanup(os.close, descriptor := os.open(self.folder, os.O_RDONLY))
        self.sockets = Sockets(Path(f"/proc/self/fd/{descriptor}"), ("other", "pacs"))
        self.deadlines = Deadlines(clock)
        self.called = Accepting()
        self.first, self.second = self._end(0), self._end(1)
        self.first.start(self.called.passed_on)
        self.addCleanup(self._stop, self.first)

    def _end(self, number: int, most: int = 10) -> Locally:
        return Locally(self.sockets, number, clock, self.deadlines, LIMITS, 10.0, most)

    async def _stop(self, end: Locally) -> None:
        end.cut_all()
        await end.emptied()
        await end.stop()


class PassingOnTests(LocallyTestCase):
    async def _open(self, outbound: str = "pacs") -> DestinationLeg:
        leg = await self.second.to(0, outbound).open(a_request(CT, called="DIMSEPROXY", calling="PACS"))
        self.addCleanup(leg.cut)
        return leg

    async def test_the_worker_is_told_which_outbound_it_is_from(self) -> None:
        for outbound in ("pacs", "other"):
            await self._open(outbound)
        self.assertEqual([outbound for _, outbound in self.called.came], ["pacs", "other"])

    async def test_the_titles_are_those_of_the_delivery(self) -> None:
        await self._open()
        request = self.called.came[0][0].request
        self.assertEqual((request.calling_ae_title, request.called_ae_title), ("PACS", "DIMSEPROXY"))

    async def test_messages_cross_both_ways(self) -> None:
        leg, listener = await self._open(), Listener()
        leg.use(listener)
        leg.send([echo(1)])
        self.assertEqual(await listener.heard, [echoed(1)])

    async def test_over_the_fastest_stream(self) -> None:
        await self._open()
        association = self.called.came[0][0]
        assert isinstance(association, IncomingAssociation)
        self.assertIsInstance(association._stream, SocketStream)

    async def test_the_end_of_the_worker_is_noticed(self) -> None:
        leg, listener = await self._open(), Listener()
        leg.use(listener)
        self.first.cut_all()
        await listener.over

    async def test_it_is_empty_when_the_others_are_done(self) -> None:
        leg = await self._open()
        empty = self.first.emptied()
        self.assertNoResult(empty)
        leg.finish()
        await empty

    async def test_one_that_is_not_awaited(self) -> None:
        self.called.rejects = True
        with self.assertRaises(AssociationRejected):
            await self._open()

    async def test_one_more_than_an_outbound_may_have(self) -> None:
        third = self._end(2, most=1)
        third.start(self.called.passed_on)
        self.addCleanup(self._stop, third)
        legs = [await self.second.to(2, "pacs").open(a_request(CT))]
        with self.assertRaises(AssociationRejected) as caught:
            await self.second.to(2, "pacs").open(a_request(CT))
        self.assertEqual(caught.exception.rejection, LOCAL_LIMIT_EXCEEDED)
        legs[0].cut()

    async def test_a_worker_that_is_not_there(self) -> None:
        with self.assertRaises(OutboundUnreachable):
            await self.second.to(2, "pacs").open(a_request(CT))

    def test_only_the_user_may_come_in(self) -> None:
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in self.folder.iterdir()}
        self.assertEqual(modes, {"0-0": 0o600, "0-1": 0o600, "0-failed": 0o600})

    def test_a_worker_has_a_key_for_each_outbound(self) -> None:
        keys = [self.second.to(0, "pacs").key, self.second.to(0, "other").key, self.second.to(2, "pacs").key]
        self.assertEqual(keys, [("worker", 0, "pacs"), ("worker", 0, "other"), ("worker", 2, "pacs")])

    async def test_what_a_predecessor_left_is_no_obstacle(self) -> None:
        os.mkfifo(self.sockets.of_names(2))
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.sockets.of_outbound(2, "pacs")))
        successor = self._end(2)
        successor.start(self.called.passed_on)
        self.addCleanup(self._stop, successor)
        (await self.second.to(2, "pacs").open(a_request(CT))).cut()
        self.assertEqual(len(self.called.came), 1)

    async def test_the_folder_may_be_gone_before_the_worker(self) -> None:
        third = self._end(2)
        third.start(self.called.passed_on)
        for outbound in ("pacs", "other"):
            self.sockets.of_outbound(2, outbound).unlink()
        await third.stop()
        self.assertEqual(third.failed(), [])


class NamesTests(LocallyTestCase):
    """Of objects that were not taken."""

    def test_they_arrive(self) -> None:
        self.second.name_failed(0, 0x8001, "1.2.3")
        self.second.name_failed(0, 0x8004, "1.2.4")
        self.assertEqual(self.first.failed(), [(0x8001, "1.2.3"), (0x8004, "1.2.4")])

    def test_they_arrive_once(self) -> None:
        self.second.name_failed(0, 0x8001, "1.2.3")
        self.first.failed()
        self.assertEqual(self.first.failed(), [])

    def test_as_many_as_a_response_may_list(self) -> None:
        uid = "1." + "2" * 62
        for _ in range(10_000):
            self.second.name_failed(0, 0x8001, uid)
        self.assertEqual(len(self.first.failed()), 10_000)

    def test_when_there_is_no_room_they_are_lost(self) -> None:
        self.patch(module, "_LONGEST_NAME", 4096)
        for _ in range(400):
            self.second.name_failed(0, 0x8001, "1" * 4000)
        self.assertLess(len(self.first.failed()), 400)

    def test_a_worker_that_dies_before_it_is_told(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        self.patch(os, "open", lambda *_: writing)
        self.second.name_failed(0, 0x8001, "1.2.3")
        self.assertRaises(OSError, os.fstat, writing)

    def test_one_that_is_no_uid_is_not_told(self) -> None:
        for name in ("1.2\n33024 1.3", "1" * 300):
            self.second.name_failed(0, 0x8001, name)
        self.assertEqual(self.first.failed(), [])

    def test_those_of_a_worker_that_is_gone_go_nowhere(self) -> None:
        self.second.name_failed(2, 0x8001, "1.2.3")
        self.assertEqual(self.first.failed(), [])

    async def test_nothing_is_left_in_the_folder(self) -> None:
        third = self._end(2)
        third.start(self.called.passed_on)
        await third.stop()
        self.assertEqual([each.name for each in self.folder.iterdir() if each.name.startswith("2-")], [])

    def test_before_it_has_started_a_worker_was_told_nothing(self) -> None:
        self.assertEqual(self.second.failed(), [])
