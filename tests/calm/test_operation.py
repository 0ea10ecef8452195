"""Stopping and reloading (field note A16)."""

from __future__ import annotations

import os
import signal

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    AssociationRejected,
    OutboundUnreachable,
)
from dimseproxy.ul.pdu import AssociateReject
from tests.association.handshaking import asynchronous
from tests.association.playing import CT, VERIFICATION, a_request, echo, fragment, response, store, wire
from tests.calm.house import CalmTestCase, a_while, until


class StoppingTests(CalmTestCase):
    config = "log: {level: warn}"

    @asynchronous
    async def test_no_new_connections(self) -> None:
        stopping = self.service.stopService()
        with self.assertRaises(OutboundUnreachable):
            await self.calls()
        await stopping
        self.assertEqual(self.pacs.connections, 0)

    @asynchronous
    async def test_no_new_associations_on_connections_that_are_there(self) -> None:
        caller = await self.calls()
        caller.association.send(store(1, context_id=3)[:1])
        socket = await self.connects()
        await until(lambda: len(self.service._deadlines._watched) > 3)
        stopping = self.service.stopService()
        socket.says(wire(a_request(VERIFICATION, CT, called="SHIELD")))
        await until(lambda: socket.heard)
        self.assertEqual(socket.pdus, [AssociateReject(LOCAL_LIMIT_EXCEEDED)])
        caller.association.abort(0, 0)
        await stopping

    @asynchronous
    async def test_a_running_store_finishes(self) -> None:
        caller = await self.calls()
        command, _ = store(1, context_id=3)
        caller.association.send([command, fragment(b"first half, ", context_id=3, is_last=False)])
        await until(lambda: not next(iter(self.service._reception._running)).is_idle)  # type: ignore[union-attr]
        stopping = self.service.stopService()
        await a_while()
        await caller.asks(fragment(b"second half", context_id=3))
        await stopping
        self.assertEqual(
            (self.pacs.objects, caller.responses),
            ([b"first half, second half"], [response(CommandField.C_STORE_RSP, 1, context_id=3)]),
        )

    @asynchronous
    async def test_one_that_waits_for_its_answer_gets_it(self) -> None:
        self.pacs.is_holding = True
        caller = await self.calls()
        caller.association.send(store(1, context_id=3))
        await until(lambda: self.pacs.objects)
        stopping = self.service.stopService()
        await a_while()
        self.pacs.go_on()
        await stopping
        await until(lambda: caller.responses)
        self.assertEqual(caller.responses, [response(CommandField.C_STORE_RSP, 1, context_id=3)])

    @asynchronous
    async def test_idle_associations_end_at_once(self) -> None:
        caller = await self.calls()
        await self.service.stopService()
        await until(lambda: caller.end is not None)
        self.assertEqual(caller.end, (2, 0))

    @asynchronous
    async def test_the_pacs_is_told_too(self) -> None:
        await self.calls()
        await self.service.stopService()
        await until(lambda: self.pacs.aborts)
        self.assertEqual(self.pacs.aborts, 1)


class HardStopTests(CalmTestCase):
    def configure(self, extra: str = "") -> None:
        super().configure(extra)
        self.file.write_text(self.file.read_text().replace("drain: 5", "drain: 0.2"))

    @asynchronous
    async def test_what_does_not_finish_is_aborted_on_both_sides(self) -> None:
        self.pacs.is_holding = True
        caller = await self.calls()
        caller.association.send(store(1, context_id=3))
        await until(lambda: self.pacs.objects)
        await self.service.stopService()
        await until(lambda: caller.end is not None and self.pacs.aborts)
        self.assertEqual((caller.end, caller.responses), ((2, 0), []))

    @asynchronous
    async def test_a_caller_that_never_closes_does_not_delay_it(self) -> None:
        socket = await self.connects(wire(a_request(VERIFICATION, CT, called="SHIELD")))
        await until(lambda: socket.heard)
        assert socket.transport is not None
        socket.transport.pauseProducing()  # type: ignore[attr-defined]
        await self.service.stopService()
        socket.transport.resumeProducing()  # type: ignore[attr-defined]
        self.assertFalse(self.service.running)


class ReloadTests(CalmTestCase):
    config = "unknown_applications: accept"

    async def _reloads(self, extra: str) -> None:
        before = self.service._settings
        self.configure(extra)
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: self.service._settings is not before)

    @asynchronous
    async def test_new_associations_follow_the_new_routes(self) -> None:
        await self._reloads("routes: [{called: ELSEWHERE, outbound: pacs}]")
        with self.assertRaises(AssociationRejected) as raised:
            await self.calls()
        self.assertEqual(raised.exception.rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    @asynchronous
    async def test_running_ones_go_on(self) -> None:
        caller = await self.calls()
        await self._reloads("routes: [{called: ELSEWHERE, outbound: pacs}]")
        await caller.asks(echo(1))
        self.assertEqual(len(caller.responses), 1)

    @asynchronous
    async def test_a_mistake_changes_nothing(self) -> None:
        self.file.write_text("routes: nonsense")
        self.service.reload()
        await self.echoes()
        self.assertEqual(len(self.pacs.requests), 1)
