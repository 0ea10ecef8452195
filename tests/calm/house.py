"""
A proxy, the PACS behind it and its callers, all in this process, on real loopback sockets.

The PACS and the well-behaved callers are made of the same associations as the proxy; whoever misbehaves is a plain
socket. What is counted is what the PACS saw.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.interfaces import IAssociation, IAssociationUser, ICallers, IIncomingAssociation
from dimseproxy.association.limits import Limits
from dimseproxy.config.load import parse
from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AssociationAborted
from dimseproxy.inbound.dimse import DimseInbound
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.service import ProxyService
from dimseproxy.ul.pdu import AssociateRequest, Pdu
from tests.association.playing import CT, VERIFICATION, a_request, an_accept, echo, read, response

clock = IReactorTime(reactor)
LOCALHOST = "127.0.0.1"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces; trial's timeout gives up on it."""
    while not condition():
        await deferLater(clock, 0.005)


async def a_while() -> None:
    """Time for what must not happen."""
    await deferLater(clock, 0.05)


@implementer(IAssociationUser)
class _Serving:
    """Answers echoes, and stores objects; what it holds back is answered by `Pacs.go_on`."""

    def __init__(self, pacs: Pacs, association: IAssociation) -> None:
        self._pacs = pacs
        self._association = association
        self._request: Command | None = None
        self._data = bytearray()

    def received(self, parts: Sequence[Part]) -> None:
        for part in parts:
            if isinstance(part, DataSetFragment):
                for view in part.views:
                    self._data += view
                if part.is_last and self._request is not None:
                    self._pacs.objects.append(bytes(self._data))
                    self._data.clear()
                    self._answer(self._request)
            elif part.command_set.has_data_set:
                self._request = part
            else:
                self._answer(part)

    def _answer(self, request: Command) -> None:
        self._pacs.commands.append(request.command_set.name)
        command_set = request.command_set
        answer = response(
            CommandField(command_set.command_field | 0x8000), command_set.message_id, context_id=request.context_id
        )
        self._pacs.answer(lambda: self._association.send([answer]))

    def release_requested(self) -> None:
        self._association.respond_release()

    def released(self) -> None:
        """Never asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        self._pacs.aborts += 1

    def pause_sending(self) -> None:
        """What is sent is small."""

    def resume_sending(self) -> None:
        """What is sent is small."""


@implementer(ICallers)
class Pacs:
    """A PACS that counts."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[AssociateRequest] = []
        self.objects: list[bytes] = []
        self.commands: list[str] = []
        self.aborts = 0
        self.is_holding = False
        self._held: list[Callable[[], None]] = []

    def incoming(self, association: IIncomingAssociation) -> None:
        self.requests.append(association.request)
        association.use(_Serving(self, association))
        association.accept(an_accept(association.request, maximum=65536), 0)

    def answer(self, send: Callable[[], None]) -> None:
        if self.is_holding:
            self._held.append(send)
        else:
            send()

    def go_on(self) -> None:
        held, self._held = self._held, []
        for send in held:
            send()


class _Counting(DimseInbound):
    pacs: Pacs

    def buildProtocol(self, addr: IAddress | None):  # type: ignore[no-untyped-def]
        self.pacs.connections += 1
        return super().buildProtocol(addr)


@implementer(IAssociationUser)
class Caller:
    """A well-behaved caller that waits for each of its responses."""

    def __init__(self, association: IAssociation) -> None:
        self.association = association
        self.responses: list[Part] = []
        self.end: object = None
        association.use(self)

    def received(self, parts: Sequence[Part]) -> None:
        self.responses.extend(parts)

    def release_requested(self) -> None:
        self.association.respond_release()
        self.end = "released"

    def released(self) -> None:
        self.end = "released"

    def ended(self, reason: AssociationAborted) -> None:
        self.end = (reason.source, reason.reason)

    def pause_sending(self) -> None:
        """Objects in tests are small."""

    def resume_sending(self) -> None:
        """Objects in tests are small."""

    async def asks(self, *parts: Part) -> None:
        """Send a request and wait for its response."""
        had = len(self.responses)
        self.association.send(parts)
        await until(lambda: len(self.responses) > had or self.end is not None)

    async def leaves(self) -> None:
        self.association.release()
        await until(lambda: self.end is not None)


class Socket(Protocol):
    """A peer that sends what a test says, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_closed = False

    def says(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_closed = True

    def hangs_up(self) -> None:
        assert self.transport is not None
        self.transport.abortConnection()  # type: ignore[attr-defined]

    @property
    def pdus(self) -> list[Pdu | Part]:
        return read(self.heard)


class CalmTestCase(TestCase):
    """A proxy on a free port with a PACS behind; `configure` says what is special about it."""

    timeout = 30
    config = ""

    async def setUp(self) -> None:  # type: ignore[override]
        self.deadlines = Deadlines(clock)
        self.deadlines.start()
        self.addCleanup(self.deadlines.stop)
        self.limits = Limits(artim=10, pdu=10, stall=10)
        self.pacs = Pacs()
        self._pacs_factory = _Counting("pacs", self.pacs, self.deadlines, self.limits, 1000)
        self._pacs_factory.pacs = self.pacs
        self._pacs_port: IListeningPort = await TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST).listen(
            self._pacs_factory
        )
        self.callers: list[Caller] = []
        self.sockets: list[Socket] = []
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.file = Path(self.mktemp())
        self.configure()
        self.service = ProxyService(parse(self.file.read_bytes(), self.file.parent), self.file, None)
        self.service.privilegedStartService()
        self.service.startService()
        [port] = self.service._ports
        self.port: int = port.getHost().port  # type: ignore[attr-defined]
        # The reactor runs from here on: the service has taken its signals.
        await deferLater(clock, 0)

    def configure(self, extra: str = "") -> None:
        """Write the configuration file."""
        pacs = self._pacs_port.getHost().port  # type: ignore[attr-defined]
        self.file.write_text(
            f"""
ae_title: DIMSEPROXY
inbound: {{clinic: {{dimse: {{listen: "tcp:0:interface=127.0.0.1", max_associations: 20}}}}}}
outbound: {{pacs: {{dimse: {{connect: "tcp:127.0.0.1:{pacs}", ae_title: PACS}}}}}}
timeouts: {{artim: 1, drain: 5}}
{self.config}
{extra}
"""
        )

    async def tearDown(self) -> None:  # type: ignore[override]
        for caller in self.callers:
            caller.association.abort(0, 0)
        for socket in self.sockets:
            if not socket.is_closed:
                socket.hangs_up()
        await until(lambda: all(socket.is_closed for socket in self.sockets))
        if self.service.running:
            await self.service.stopService()
        await maybeDeferred(self._pacs_port.stopListening)
        await until(lambda: not self._pacs_factory.count and not self.deadlines._watched)

    async def calls(self, request: AssociateRequest | None = None) -> Caller:
        """A caller, with an association."""
        outbound = DimseOutbound(TCP4ClientEndpoint(reactor, LOCALHOST, self.port), self.deadlines, self.limits, 10.0)
        association = await outbound.associate(request or a_request(VERIFICATION, CT, called="SHIELD"))
        caller = Caller(association)
        self.callers.append(caller)
        return caller

    async def connects(self, *said: bytes) -> Socket:
        """A socket that says something to begin with."""
        socket: Socket = await connectProtocol(TCP4ClientEndpoint(reactor, LOCALHOST, self.port), Socket())
        self.sockets.append(socket)
        for data in said:
            socket.says(data)
        return socket

    async def echoes(self) -> None:
        """A healthy caller: associates, verifies, leaves."""
        caller = await self.calls()
        await caller.asks(echo(1))
        self.assertEqual(len(caller.responses), 1)
        await caller.leaves()
