"""
The cells of Table 9-10 that a peer can reach over a socket (field note A4): each PDU, in each state.

The standard's own words for what comes back: nothing, an A-ABORT with source and reason, or the end of the connection.
"""

from __future__ import annotations

from dimseproxy.errors import CALLED_AE_TITLE_NOT_RECOGNIZED
from dimseproxy.ul.pdu import (
    Abort,
    AssociateAccept,
    AssociateReject,
    ReleaseRequest,
    ReleaseResponse,
)
from tests.association.handshaking import asynchronous
from tests.association.playing import CT, VERIFICATION, a_request, an_accept, echo, echoed, wire
from tests.calm.house import CalmTestCase, Socket, until

REQUEST = a_request(VERIFICATION, CT, called="SHIELD")
ANSWERS = {
    "A-ASSOCIATE-AC": wire(an_accept(REQUEST)),
    "A-ASSOCIATE-RJ": wire(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED)),
    "A-ASSOCIATE-RQ": wire(REQUEST),
    "P-DATA-TF": wire(echo(1)),
    "A-RELEASE-RQ": wire(ReleaseRequest()),
    "A-RELEASE-RP": wire(ReleaseResponse()),
    "an unknown PDU": b"\x09\x00\x00\x00\x00\x00",
}
UNEXPECTED, UNRECOGNIZED = Abort(2, 2), Abort(2, 1)


class TableTests(CalmTestCase):
    #: Sta13 lasts until ARTIM.
    config = ""

    async def _established(self) -> Socket:
        socket = await self.connects(wire(REQUEST))
        await until(lambda: socket.heard)
        self.assertIsInstance(socket.pdus[0], AssociateAccept)
        return socket

    async def _aborts(self, socket: Socket) -> Abort:
        await until(lambda: socket.heard and isinstance(socket.pdus[-1], Abort))
        last = socket.pdus[-1]
        assert isinstance(last, Abort)
        return last

    @asynchronous
    async def test_sta2_is_aborted_by_all_but_a_request(self) -> None:
        for name in ANSWERS.keys() - {"A-ASSOCIATE-RQ"}:
            socket = await self.connects(ANSWERS[name])
            self.assertEqual((await self._aborts(socket)).source, 0, name)

    @asynchronous
    async def test_sta2_is_closed_by_an_abort(self) -> None:
        socket = await self.connects(wire(Abort(0, 0)))
        await until(lambda: socket.is_closed)
        self.assertEqual(socket.heard, b"")

    @asynchronous
    async def test_none_of_that_reaches_the_pacs(self) -> None:
        for name in ANSWERS.keys() - {"A-ASSOCIATE-RQ"}:
            await self._aborts(await self.connects(ANSWERS[name]))
        self.assertEqual(self.pacs.connections, 0)

    @asynchronous
    async def test_sta3_is_aborted_by_anything(self) -> None:
        for name, data in ANSWERS.items():
            socket = await self.connects(wire(REQUEST) + data)
            expected = UNRECOGNIZED if name == "an unknown PDU" else UNEXPECTED
            self.assertEqual(await self._aborts(socket), expected, name)

    @asynchronous
    async def test_sta3_is_closed_by_an_abort(self) -> None:
        socket = await self.connects(wire(REQUEST) + wire(Abort(0, 0)))
        await until(lambda: socket.is_closed)
        self.assertEqual(socket.heard, b"")

    @asynchronous
    async def test_sta6_carries_data(self) -> None:
        socket = await self._established()
        socket.says(ANSWERS["P-DATA-TF"])
        await until(lambda: len(socket.pdus) == 2)
        self.assertEqual(socket.pdus[1], echoed(1))

    @asynchronous
    async def test_sta6_is_released(self) -> None:
        socket = await self._established()
        socket.says(ANSWERS["A-RELEASE-RQ"])
        await until(lambda: len(socket.pdus) == 2)
        self.assertEqual(socket.pdus[1], ReleaseResponse())

    @asynchronous
    async def test_sta6_is_aborted_by_what_is_out_of_place(self) -> None:
        for name in ("A-ASSOCIATE-AC", "A-ASSOCIATE-RJ", "A-ASSOCIATE-RQ", "A-RELEASE-RP", "an unknown PDU"):
            socket = await self._established()
            socket.says(ANSWERS[name])
            expected = UNRECOGNIZED if name == "an unknown PDU" else UNEXPECTED
            self.assertEqual(await self._aborts(socket), expected, name)

    @asynchronous
    async def test_sta6_closes_on_an_abort(self) -> None:
        socket = await self._established()
        socket.says(wire(Abort(0, 0)))
        await until(lambda: socket.is_closed)
        await until(lambda: self.pacs.aborts)
        self.assertEqual(len(socket.pdus), 1)

    @asynchronous
    async def test_sta8_is_aborted_by_anything(self) -> None:
        for name, data in ANSWERS.items():
            socket = await self._established()
            socket.says(ANSWERS["A-RELEASE-RQ"] + data)
            expected = UNRECOGNIZED if name == "an unknown PDU" else UNEXPECTED
            self.assertEqual(await self._aborts(socket), expected, name)

    @asynchronous
    async def test_sta13_ignores_what_still_comes(self) -> None:
        for name in ANSWERS.keys() - {"A-ASSOCIATE-RQ", "an unknown PDU"}:
            socket = await self._established()
            socket.says(ANSWERS["A-RELEASE-RP"])
            await self._aborts(socket)
            socket.says(ANSWERS[name])
            await until(lambda socket=socket: socket.is_closed)  # type: ignore[misc]
            self.assertEqual(len(socket.pdus), 2, name)

    @asynchronous
    async def test_sta13_answers_a_request_with_another_abort(self) -> None:
        socket = await self._established()
        socket.says(ANSWERS["A-RELEASE-RP"])
        await self._aborts(socket)
        socket.says(ANSWERS["A-ASSOCIATE-RQ"])
        await until(lambda: len(socket.pdus) == 3)
        self.assertEqual(socket.pdus[2], UNEXPECTED)

    @asynchronous
    async def test_sta13_ends_with_artim(self) -> None:
        socket = await self._established()
        socket.says(ANSWERS["A-RELEASE-RQ"])
        await until(lambda: socket.is_closed)
        self.assertEqual(socket.pdus[-1], ReleaseResponse())

    @asynchronous
    async def test_sta13_ends_when_the_peer_closes(self) -> None:
        socket = await self._established()
        socket.says(ANSWERS["A-RELEASE-RQ"])
        await until(lambda: len(socket.pdus) == 2)
        socket.hangs_up()
        [factory] = [factory for _, factory in self.service._listeners.values()]
        await until(lambda: not factory.count)
        self.assertEqual(self.pacs.aborts, 0)

    @asynchronous
    async def test_healthy_callers_do_not_notice(self) -> None:
        for data in ANSWERS.values():
            await self.connects(data)
            await self.echoes()
        self.assertEqual(self.pacs.commands, ["C-ECHO-RQ"] * len(ANSWERS))
