"""The relay in this process, on loopback sockets, between callers and an outbound that play the corpus."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from typing import Final, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IReactorTCP, IReactorTime, ITCPTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.command_set import CommandField, CommandSet, response_to
from dimseproxy.dimse.fragmenter import encode_parts
from dimseproxy.dimse.parts import Command
from dimseproxy.errors import RemoteProtocolError
from dimseproxy.service import ProxyService
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment
from dimseproxy.ul.framer import ControlPdu, Framer, InvalidPdu
from dimseproxy.ul.machine import UpperLayer
from dimseproxy.ul.pdu import AssociateRequest, ReleaseRequest
from dimseproxy.ul.state_table import State
from tests.config.support import settings_of
from tests.corpus.cases import Answer, Stage
from tests.corpus.playing import MAX_PDU_LENGTH, accept_all
from tests.dimse.messages import echo_rq, parts_of
from tests.support.process import free_port
from tests.ul.wire import MAXIMUM_LENGTH, RELEASE_RQ, associate_rq, p_data, pdv, proposed, user_information

tcp: Final = cast(IReactorTCP, _reactor)
clock: Final = cast(IReactorTime, _reactor)

#: Seconds that an answer may take before the test gives up on it; all deadlines of the relay are longer.
PATIENCE: Final = 20.0
_ANSWERS: Final = {2: Answer.ACCEPTED, 3: Answer.REJECTED, 6: Answer.RELEASED, 7: Answer.ABORTED}


class Outbound(Protocol):
    """An SCP that accepts everything and answers C-ECHO, unless its caller's title is in the script."""

    def __init__(self, script: Mapping[str, tuple[Stage, bytes]]) -> None:
        self._script = script
        self._layer = UpperLayer(is_requestor=False, max_pdu_length=1 << 20, artim=30.0)
        self._assembler = Assembler(())

    def connectionMade(self) -> None:
        self._layer.transport_connected(0.0)

    def dataReceived(self, data: bytes) -> None:
        transport = cast(ITCPTransport, self.transport)
        for indication in self._layer.receive_data(data, 0.0):
            if isinstance(indication, AssociateRequest):
                stage, answer = self._script.get(indication.calling_ae_title, (None, b""))
                if stage is Stage.ANSWERING:
                    transport.write(answer)
                    transport.loseConnection()
                    return
                self._assembler = Assembler({context.context_id for context in indication.contexts})
                self._layer.accept(accept_all(indication), 0.0)
                if stage is Stage.ANSWERED:
                    transport.write(self._layer.data_to_send() + answer)
                    transport.loseConnection()
                    return
            elif isinstance(indication, ReleaseRequest):
                if self._layer.state is State.AWAITING_LOCAL_RELEASE_RESPONSE:
                    # An abort right behind it would have ended that already.
                    self._layer.respond_release(0.0)
            elif isinstance(indication, (CommandFragment, DataSetFragment)):
                self._message(indication)
        transport.write(self._layer.data_to_send())
        if self._layer.close_transport:
            transport.loseConnection()

    def _message(self, fragment: CommandFragment | DataSetFragment) -> None:
        for part in parts_of(self._assembler, fragment):
            if isinstance(part, Command) and part.command_set.command_field == CommandField.C_ECHO_RQ:
                response = Command(part.context_id, response_to(part.command_set, 0))
                cast(ITCPTransport, self.transport).write(b"".join(encode_parts([response], 16384)))


class Caller(Protocol):
    """
    Sends what a case says and waits for the answer and the end.

    @param first: an A-ASSOCIATE-RQ that has to be accepted before, or nothing.
    @param hangs_up: whether to close our direction right after the bytes, because no answer is expected.
    """

    def __init__(self, first: bytes, data: bytes, hangs_up: bool) -> None:
        self._first = first
        self._data = data
        self._hangs_up = hangs_up
        self._framer = Framer(MAX_PDU_LENGTH)
        self.answers: list[Answer] = []
        self.ended: Deferred[Answer] = Deferred()

    def connectionMade(self) -> None:
        if self._first:
            self._transport.write(self._first)
        else:
            self._send()

    def dataReceived(self, data: bytes) -> None:
        for frame in self._framer.receive_data(data):
            if not isinstance(frame, ControlPdu):
                continue
            if self._first:
                if frame.pdu_type != 2:
                    raise AssertionError(f"PDU type {frame.pdu_type} instead of an A-ASSOCIATE-AC")
                self._first = b""
                self._send()
                continue
            if frame.pdu_type in _ANSWERS:
                self.answers.append(_ANSWERS[frame.pdu_type])
            self._transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.callback(self.answers[-1] if self.answers else Answer.SILENT)

    def _send(self) -> None:
        self._transport.write(self._data)
        if self._hangs_up:
            self._transport.loseWriteConnection()

    @property
    def _transport(self) -> ITCPTransport:
        return cast(ITCPTransport, self.transport)


class Neighbour(Protocol):
    """A healthy association that echoes."""

    def __init__(self) -> None:
        self._framer = Framer(MAX_PDU_LENGTH)
        self._assembler = Assembler({1})
        self._awaited: Deferred[int] = Deferred()
        self.echoes = 0

    def connectionMade(self) -> None:
        request = associate_rq(proposed(1), user_information(MAXIMUM_LENGTH), calling=b"NEIGHBOUR")
        cast(ITCPTransport, self.transport).write(request)

    def associated(self) -> Deferred[int]:
        """The type of the PDU that answers the A-ASSOCIATE-RQ."""
        return self._awaited

    def echo(self) -> Deferred[int]:
        """Fires with the status of the response."""
        return self._ask(p_data(pdv(1, 3, echo_rq(self.echoes + 1))))

    def cut(self) -> None:
        """Leave without a word."""
        cast(ITCPTransport, self.transport).abortConnection()

    def release(self) -> Deferred[int]:
        """Fires with the type of the PDU that answers."""
        return self._ask(RELEASE_RQ)

    def _ask(self, data: bytes) -> Deferred[int]:
        self._awaited = Deferred()
        self._awaited.addTimeout(PATIENCE, clock)
        cast(ITCPTransport, self.transport).write(data)
        return self._awaited

    def dataReceived(self, data: bytes) -> None:
        for frame in self._framer.receive_data(data):
            if isinstance(frame, ControlPdu):
                self._awaited.callback(frame.pdu_type)
            elif not isinstance(frame, InvalidPdu):
                for part in parts_of(self._assembler, frame):
                    if isinstance(part, Command):
                        self._echoed(part.command_set)

    def _echoed(self, response: CommandSet) -> None:
        self.echoes += 1
        if response.responds_to != self.echoes:
            raise RemoteProtocolError("the response to another request")
        self._awaited.callback(response.status)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._awaited.called:
            self._awaited.errback(reason)


class _One(ClientFactory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        return self._protocol


class _Outbounds(Factory):
    noisy = False

    def __init__(self, script: Mapping[str, tuple[Stage, bytes]]) -> None:
        self._script = script

    def buildProtocol(self, addr: IAddress | None) -> Outbound:
        return Outbound(self._script)


class Loopback:
    """
    The relay and its outbound.

    @ivar script: what the outbound plays, by calling AE title.
    """

    def __init__(self) -> None:
        self.script: dict[str, tuple[Stage, bytes]] = {}
        self._port = 0

    async def start(self, case: TestCase) -> None:
        """Start both; they end with the test."""
        listening = await TCP4ServerEndpoint(_reactor, 0, interface="127.0.0.1").listen(_Outbounds(self.script))
        case.addCleanup(listening.stopListening)
        self._port = free_port()
        outbound = {"connect": f"tcp:127.0.0.1:{listening.getHost().port}", "ae_title": "PACS"}
        config = {
            "inbound": {"clinic": {"dimse": {"listen": f"tcp:{self._port}:interface=127.0.0.1"}}},
            "outbound": {"pacs": {"dimse": {**outbound, "calling_ae_title": "same"}}},
            "applications": {},
            "unknown_applications": "accept",
            "routes": [{"outbound": "pacs"}],
            "timeouts": {"drain": 1},
        }
        case.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        self.service = ProxyService(settings_of(json.dumps(config)), None, None)
        self.service.privilegedStartService()
        self.service.startService()
        case.addCleanup(self.service.stopService)

    async def call(self, protocol: Protocol) -> None:
        """Connect to the relay."""
        tcp.connectTCP("127.0.0.1", self._port, _One(protocol))

    async def answer(self, caller: Caller) -> Answer:
        """The relay's answer to a caller."""
        caller.ended.addTimeout(PATIENCE, clock)
        await self.call(caller)
        return await caller.ended

    async def neighbour(self, case: TestCase) -> Neighbour:
        """A healthy association."""
        neighbour = Neighbour()
        case.addCleanup(neighbour.cut)
        await self.call(neighbour)
        if await neighbour.associated() != 2:
            raise AssertionError("a healthy association was not accepted")
        return neighbour
