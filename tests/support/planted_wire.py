"""What crosses a connection, byte for byte: a TCP relay that keeps all of it, and a reading of what it kept.

The reading is independent of the package: it knows the PDU header and the PDV header, and nothing more.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReactorTCP, ITCPTransport
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support.planted_markers import Marker, found
from tests.support.process import free_port

P_DATA_TF = 4
"""PDU type (PS3.8 9.3.5)."""

_PDU_HEADER = 6
_PDV_HEADER = 6
_IS_COMMAND, _IS_LAST = 1, 2

#: The most that anything recorded here inflates to.
_MOST_INFLATED = 16 * 1024 * 1024


@attrs.define
class Conversation:
    """The bytes of one connection, in both directions."""

    to_target: bytearray = attrs.field(factory=bytearray)
    to_caller: bytearray = attrs.field(factory=bytearray)


class Wire:
    """A relay between a caller and a loopback port, which keeps all that crosses it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.conversations: list[Conversation] = []
        self._open: set[Protocol] = set()

    @classmethod
    def before(cls, case: TestCase, target: int) -> Wire:
        """Listen, until the test ends; the target need not be there yet."""
        wire = cls(target)
        listening = IReactorTCP(reactor).listenTCP(wire.port, _Callers(wire), interface="127.0.0.1")
        case.addCleanup(wire._stop, listening)
        return wire

    def _stop(self, listening: IListeningPort) -> Deferred[None] | None:
        for end in list(self._open):
            ITCPTransport(end.transport).abortConnection()
        return listening.stopListening()

    @property
    def to_caller(self) -> bytes:
        """All that reached callers, as it was and as data sets."""
        return b"".join(seen(bytes(one.to_caller)) for one in self.conversations)

    @property
    def to_target(self) -> bytes:
        """All that callers sent, as it was and as data sets."""
        return b"".join(seen(bytes(one.to_target)) for one in self.conversations)

    @property
    def requests(self) -> int:
        """How many messages callers sent: data sets do not count."""
        return sum(1 for one in self.conversations for is_command, _ in messages(bytes(one.to_target)) if is_command)

    def leaks(self, markers: Iterable[Marker]) -> list[str]:
        """The places of markers that crossed towards callers or came from them."""
        return found(markers, self.to_caller + self.to_target)

    def leaks_to_target(self, markers: Iterable[Marker]) -> list[str]:
        """The places of markers that crossed towards the target."""
        return found(markers, self.to_target)

    def leaks_to_caller(self, markers: Iterable[Marker]) -> list[str]:
        """The places of markers that crossed towards callers."""
        return found(markers, self.to_caller)


def seen(stream: bytes) -> bytes:
    """
    The bytes as they are, then each message without what divides it, then what is deflated inflated.

    A marker may lie across two PDVs, and so be in the data set but not in the stream.
    """
    parts = [stream]
    for is_command, message in messages(stream):
        parts.append(message)
        if not is_command:
            parts.append(inflated(message))
    return b"\0".join(parts)


def messages(stream: bytes) -> Iterator[tuple[bool, bytes]]:
    """Command sets (True) and data sets (False) of one direction of an association; a cut one at the end counts."""
    pending: dict[tuple[int, bool], bytearray] = {}
    for kind, content in _pdus(stream):
        if kind != P_DATA_TF:
            continue
        while len(content) >= _PDV_HEADER:
            length = int.from_bytes(content[:4], "big")
            context, flags = content[4], content[5]
            key = context, bool(flags & _IS_COMMAND)
            pending.setdefault(key, bytearray()).extend(content[_PDV_HEADER : 4 + length])
            content = content[4 + length :]
            if flags & _IS_LAST:
                yield key[1], bytes(pending.pop(key))
    for (_, is_command), message in pending.items():
        yield is_command, bytes(message)


def _pdus(stream: bytes) -> Iterator[tuple[int, bytes]]:
    while len(stream) >= _PDU_HEADER:
        length = int.from_bytes(stream[2:_PDU_HEADER], "big")
        yield stream[0], stream[_PDU_HEADER : _PDU_HEADER + length]
        stream = stream[_PDU_HEADER + length :]


def inflated(message: bytes) -> bytes:
    """What a deflated data set holds; nothing where it is not deflated."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(message, _MOST_INFLATED)
    except zlib.error:
        return b""


class _End(Protocol):
    """One end of a recorded connection: what it receives is kept, and sent on once the other end is there."""

    def __init__(self, wire: Wire, kept: bytearray) -> None:
        self._wire = wire
        self._kept = kept
        self._sent = 0
        self.other: _End | None = None

    def connectionMade(self) -> None:
        ITCPTransport(self.transport).setTcpNoDelay(True)
        self._wire._open.add(self)

    def dataReceived(self, data: bytes) -> None:
        self._kept += data
        self.pass_on()

    def pass_on(self) -> None:
        """Send what was kept and not sent yet."""
        if self.other is not None and self.other.transport is not None:
            data, self._sent = bytes(self._kept[self._sent :]), len(self._kept)
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._wire._open.discard(self)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.loseConnection()


class _Caller(_End):
    """The caller's end; it opens the other one."""

    def __init__(self, wire: Wire) -> None:
        self._conversation = Conversation()
        super().__init__(wire, self._conversation.to_target)
        wire.conversations.append(self._conversation)

    def connectionMade(self) -> None:
        super().connectionMade()
        IReactorTCP(reactor).connectTCP("127.0.0.1", self._wire.target, _Targets(self._wire, self._conversation, self))


class _Target(_End):
    def __init__(self, wire: Wire, conversation: Conversation, caller: _Caller) -> None:
        super().__init__(wire, conversation.to_caller)
        self._caller = caller

    def connectionMade(self) -> None:
        super().connectionMade()
        self.other, self._caller.other = self._caller, self
        self._caller.pass_on()
        if self._caller not in self._wire._open:
            assert self.transport is not None
            self.transport.loseConnection()


class _Callers(ServerFactory):
    noisy = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def buildProtocol(self, addr: IAddress | None) -> _Caller:
        return _Caller(self._wire)


class _Targets(ClientFactory):
    noisy = False

    def __init__(self, wire: Wire, conversation: Conversation, caller: _Caller) -> None:
        self._made = _Target(wire, conversation, caller)
        self._caller = caller

    def buildProtocol(self, addr: IAddress | None) -> _Target:
        return self._made

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        assert self._caller.transport is not None
        self._caller.transport.loseConnection()
