"""Stalled and greedy callers (field notes A1, A2, A3): others do not notice, and the PACS never does."""

from __future__ import annotations

from dimseproxy.errors import LOCAL_LIMIT_EXCEEDED, AssociationRejected
from dimseproxy.ul.pdu import Abort
from tests.association.handshaking import asynchronous
from tests.association.playing import CT, VERIFICATION, a_request, echo, store, wire
from tests.calm.house import Caller, CalmTestCase, Socket, a_while, until

REQUEST = wire(a_request(VERIFICATION, CT, called="SHIELD"))
STALLED = {
    "nothing": b"",
    "three bytes": REQUEST[:3],
    "a header and titles": REQUEST[:26],
    "all but a byte": REQUEST[:-1],
}
HUGE = b"\x01\x00\xff\xff\xff\xff"


class StalledTests(CalmTestCase):
    async def _stalled(self, count: int) -> list[Socket]:
        kinds = list(STALLED.values())
        return [await self.connects(kinds[index % len(kinds)]) for index in range(count)]

    @asynchronous
    async def test_a_healthy_caller_beside_200_stalled_ones(self) -> None:
        await self._stalled(200)
        for _ in range(10):
            await self.echoes()
        self.assertEqual(len(self.pacs.requests), 10)

    @asynchronous
    async def test_each_ends_by_artim(self) -> None:
        stalled = await self._stalled(200)
        await until(lambda: all(each.is_closed for each in stalled))
        self.assertEqual({each.heard for each in stalled}, {b""})

    @asynchronous
    async def test_the_pacs_never_sees_them(self) -> None:
        stalled = await self._stalled(40)
        await until(lambda: all(each.is_closed for each in stalled))
        self.assertEqual(self.pacs.connections, 0)

    @asynchronous
    async def test_they_take_no_place(self) -> None:
        await self._stalled(40)
        [await self.calls() for _ in range(20)]
        self.assertEqual(len(self.pacs.requests), 20)

    @asynchronous
    async def test_a_huge_length_is_answered_at_once(self) -> None:
        socket = await self.connects(HUGE)
        await until(lambda: socket.heard)
        self.assertIsInstance(socket.pdus[0], Abort)

    @asynchronous
    async def test_a_huge_length_ends_even_if_it_goes_on_sending(self) -> None:
        socket = await self.connects(HUGE)
        await until(lambda: socket.heard)
        while not socket.is_closed:
            socket.says(bytes(65536))
            await a_while()
        self.assertEqual(len(socket.pdus), 1)

    @asynchronous
    async def test_a_huge_data_pdu_is_answered_at_once(self) -> None:
        socket = await self.connects(REQUEST)
        await until(lambda: socket.heard)
        socket.says(b"\x04\x00\xff\xff\xff\xff")
        await until(lambda: isinstance(socket.pdus[-1], Abort))
        self.assertEqual(socket.pdus[-1], Abort(2, 6))

    @asynchronous
    async def test_the_pacs_is_rid_of_it_then(self) -> None:
        socket = await self.connects(REQUEST)
        await until(lambda: socket.heard)
        socket.says(b"\x04\x00\xff\xff\xff\xff")
        await until(lambda: self.pacs.aborts)
        self.assertEqual(self.pacs.aborts, 1)

    @asynchronous
    async def test_callers_that_hang_up_leave_nothing(self) -> None:
        for said in (b"", REQUEST[:26], REQUEST):
            (await self.connects(said)).hangs_up()
        await until(lambda: all(socket.is_closed for socket in self.sockets))
        factories = [factory for _, factory in self.service._listeners.values()]
        await until(lambda: not factories[0].count and not self.service._deadlines._watched)
        self.assertEqual(self.service._reception._running, set())


class LimitTests(CalmTestCase):
    """Twenty associations are allowed."""

    async def _twenty(self) -> list[Caller]:
        return [await self.calls() for _ in range(20)]

    @asynchronous
    async def test_the_21st_is_rejected(self) -> None:
        await self._twenty()
        with self.assertRaises(AssociationRejected) as raised:
            await self.calls()
        self.assertEqual(raised.exception.rejection, LOCAL_LIMIT_EXCEEDED)

    @asynchronous
    async def test_the_pacs_does_not_see_it(self) -> None:
        await self._twenty()
        for _ in range(5):
            with self.assertRaises(AssociationRejected):
                await self.calls()
        self.assertEqual(self.pacs.connections, 20)

    @asynchronous
    async def test_the_others_go_on(self) -> None:
        callers = await self._twenty()
        with self.assertRaises(AssociationRejected):
            await self.calls()
        for caller in callers:
            await caller.asks(*store(1, context_id=3))
        self.assertEqual(len(self.pacs.objects), 20)

    @asynchronous
    async def test_it_recovers(self) -> None:
        callers = await self._twenty()
        await callers[0].leaves()
        [factory] = [factory for _, factory in self.service._listeners.values()]
        await until(lambda: factory.count < 20)
        await (await self.calls()).asks(echo(1))
        self.assertEqual(self.pacs.commands, ["C-ECHO-RQ"])

    @asynchronous
    async def test_it_recovers_from_callers_that_vanish(self) -> None:
        sockets = [await self.connects(REQUEST) for _ in range(20)]
        await until(lambda: all(socket.heard for socket in sockets))
        for socket in sockets:
            socket.hangs_up()
        [factory] = [factory for _, factory in self.service._listeners.values()]
        await until(lambda: not factory.count)
        await self.echoes()
        self.assertEqual(len(self.pacs.requests), 21)
