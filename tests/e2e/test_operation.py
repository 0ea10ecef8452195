"""The process: reload on SIGHUP, drain on SIGTERM, a port in use, and its command line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from pynetdicom import build_context
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification
from twisted.internet.defer import Deferred, ensureDeferred

from tests.e2e.base import EndToEnd
from tests.support import pynetdicom_scu
from tests.support.objects import sample
from tests.support.process import PATIENCE, free_port, port_is_open, until
from tests.support.proxy import CALLED, ProxyProcess, application, relay
from tests.support.pynetdicom_scp import pynetdicom_scp
from tests.support.pynetdicom_scu import Refusal, Refused, associate
from tests.support.threads import in_thread

ECHO = [build_context(Verification)]

STRICT: dict[str, Any] = {"unknown_applications": "refuse", "applications": {"OTHER": application(104)}}


class Operation(EndToEnd):
    """A proxy before an acceptor that records."""

    def setUp(self) -> None:
        self.needs_proxy()
        self.peer = pynetdicom_scp(self)
        self.port = free_port()

    def config(self, **settings: Any) -> dict[str, Any]:
        return relay(self.port, self.peer.port, self.peer.title, **settings)

    async def start(self, **settings: Any) -> ProxyProcess:
        return await ProxyProcess.start(self, self.config(**settings), self.port)

    def held(self, talk: Callable[[Association], Any]) -> tuple[threading.Event, threading.Event, Deferred[Any]]:
        """An association that is open (the first event is set), and talks once the second event is set."""
        opened, go = threading.Event(), threading.Event()
        self.addCleanup(go.set)

        def whole() -> Any:
            association = associate(self.port, CALLED, "CALLER", ECHO)
            opened.set()
            go.wait(PATIENCE)
            try:
                return talk(association)
            finally:
                if association.is_established:
                    association.release()

        return opened, go, in_thread(whole)

    async def echo(self, calling: str = "CALLER") -> int:
        """The status of a C-ECHO."""
        return await pynetdicom_scu.conversation(
            self.port, CALLED, calling, ECHO, lambda association: int(association.send_c_echo().Status)
        )

    async def is_refused(self, calling: str) -> bool:
        try:
            await self.echo(calling)
        except Refused as error:
            return error.refusal == Refusal(1, 1, 3)
        return False


class Reload(Operation):
    """SIGHUP."""

    async def reloaded(self, proxy: ProxyProcess, config: Any) -> None:
        already = len(proxy.log)
        proxy.configure(config)
        proxy.process.signal("HUP")
        await until(
            lambda: "reload" in proxy.log[already:].lower() or not proxy.process.running,
            "the log to tell of the reload",
        )

    async def test_applications_are_replaced(self) -> None:
        proxy = await self.start()
        self.assertEqual(0x0000, await self.echo())
        await self.reloaded(proxy, self.config(**STRICT))
        self.assertTrue(await self.is_refused("CALLER"))
        self.assertEqual(0x0000, await self.echo("OTHER"))

    async def test_a_running_association_goes_on(self) -> None:
        proxy = await self.start()
        opened, go, outcome = self.held(lambda association: int(association.send_c_echo().Status))
        await until(opened.is_set, "the association")
        await self.reloaded(proxy, self.config(**STRICT))
        go.set()
        self.assertEqual(0x0000, await outcome)

    async def test_a_mistaken_file_changes_nothing(self) -> None:
        proxy = await self.start()
        await self.reloaded(proxy, self.config(routes=[{"outbound": "nowhere"}]))
        self.assertEqual(0x0000, await self.echo())


class Stop(Operation):
    """SIGTERM: twistd ends by the signal that it got, once its services have stopped."""

    def setUp(self) -> None:
        super().setUp()
        self.gate = self.peer.store_gate = threading.Event()
        self.addCleanup(self.gate.set)

    async def storing(self) -> Deferred[list[int]]:
        """A C-STORE that the PACS has received and does not answer before the gate opens."""
        outcome = ensureDeferred(pynetdicom_scu.store(self.port, CALLED, "CALLER", [sample("CT_small.dcm")]))
        await until(lambda: self.peer.stored, "the object in the PACS")
        return outcome

    async def test_it_ends_when_idle(self) -> None:
        proxy = await self.start()
        proxy.process.signal("TERM")
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)

    async def test_a_running_message_finishes(self) -> None:
        proxy = await self.start()
        outcome = await self.storing()
        proxy.process.signal("TERM")
        await until(lambda: not port_is_open(self.port), "the port to close")
        self.gate.set()
        self.assertEqual([0x0000], await outcome)
        self.assertEqual(-signal.SIGTERM, (await proxy.ended()).code)

    async def test_no_association_begins_while_a_message_finishes(self) -> None:
        proxy = await self.start()
        outcome = await self.storing()
        proxy.process.signal("TERM")
        await until(lambda: not port_is_open(self.port), "the port to close")
        with self.assertRaises(Refused):
            await self.echo()
        self.gate.set()
        await outcome

    async def test_a_message_that_does_not_finish_is_aborted_at_the_limit(self) -> None:
        proxy = await self.start(timeouts={"drain": 0.5})
        outcome = await self.storing()
        proxy.process.signal("TERM")
        await proxy.ended()
        # pynetdicom's answer without a response is an empty data set.
        await self.assertFailure(outcome, AttributeError)


class Start(Operation):
    """Mistakes end the start."""

    async def test_a_port_in_use(self) -> None:
        await self.start()
        second = ProxyProcess.launch(self, self.config())
        result = await second.ended()
        self.assertNotEqual(0, result.code)
        self.assertIn(str(self.port), result.output)

    async def test_check_prints_every_mistake_with_its_path(self) -> None:
        config = self.config(routes=[{"outbound": "nowhere"}], timeouts={"connect": -1})
        result = await ProxyProcess.launch(self, config, "--check").ended()
        self.assertEqual(1, result.code)
        for path in "routes", "timeouts.connect":
            self.assertIn(path, result.output)

    async def test_check_of_a_good_file(self) -> None:
        result = await ProxyProcess.launch(self, self.config(), "--check").ended()
        self.assertEqual(0, result.code, result.output)

    async def test_nothing_in_the_log_names_a_patient(self) -> None:
        proxy = await self.start()
        one = sample("CT_small.dcm")
        await pynetdicom_scu.store(self.port, CALLED, "CALLER", [one])
        for secret in (one.patient, "CompressedSamples", one.sop_instance, one.study):
            self.assertNotIn(secret, proxy.log)
