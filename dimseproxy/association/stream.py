"""
The bytes of an association: reading, writing, back-pressure and closing, over any transport.

`SocketStream` serves plain TCP, and Unix sockets, and is where the relay's speed comes from: it takes the place of
Twisted's transport in the reactor, reads large pieces, and sends at once, without a copy, whatever the socket takes.
Measured beside `transport.write` it saves a fifth to a third of the CPU time.  `TransportStream` serves everything else
(TLS, PROXY headers, transports in memory) through the transport's own methods; what TLS has encrypted goes over a
`SocketStream`, too, once its handshake is complete.  `stream_over` chooses.

Both keep what the peer does not take, call the user's `pause_sending` once that is more than `HIGH_WATER`, and
`resume_sending` when it is gone.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Final, Protocol, cast

from twisted.internet import tcp
from twisted.internet.interfaces import (
    IAddress,
    IPushProducer,
    IReactorFDSet,
    IReactorTime,
    IReadWriteDescriptor,
    ITransport,
)
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

#: How much one read takes at most: as much as malloc gives without a page mapping of its own.  At 128 KiB and more,
#: each read costs 15 microseconds more, whatever it reads.
READ_SIZE: Final = 120 * 1024
#: How much may wait for a slow peer before the other leg is paused; one more read may come on top.
HIGH_WATER: Final = 64 * 1024
#: Linux takes at most 1,024 buffers a call (IOV_MAX).
_MAX_BUFFERS: Final = 512
#: How often a peer is read in one turn of the reactor; then the others have their turn.
READS_A_TURN: Final = 4
#: Where more than these others were read since, once is enough: of two hundred that send all they can, each would keep
#: everybody waiting for three reads more.
CROWD: Final = 16
#: What Twisted's own transports return to the reactor, which is annotated otherwise.
_LOST: Final = cast(Failure, CONNECTION_LOST)
_DONE: Final = cast(Failure, CONNECTION_DONE)
#: Numbers the turns of all streams: how many others a stream has let by shows in the numbers of two of its own.
_turns: Final = count()
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class StreamUser(Protocol):
    """Who the bytes are for."""

    @property
    def is_within_message(self) -> bool:
        """Whether the peer owes the rest of a message."""

    def read_size(self, limit: int) -> int:
        """How many bytes to read at most, `limit` or less."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the peer."""

    def pause_sending(self) -> None:
        """More than `HIGH_WATER` waits."""

    def resume_sending(self) -> None:
        """Nothing waits any more."""


class ByteStream(Protocol):
    """What an association needs of its transport."""

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Send in order; what the peer does not take at once is kept, so views must be of what does not change."""

    def pause_reading(self) -> None:
        """Read nothing more; TCP tells the peer."""

    def resume_reading(self) -> None:
        """Read again."""

    def close(self) -> None:
        """Close when everything is sent."""

    def abort(self) -> None:
        """Cut the connection now, whatever waits."""

    @property
    def waiting(self) -> bool:
        """Whether something waits for the peer to take it."""

    @property
    def progress(self) -> int:
        """A count of bytes that grows while the peer takes something."""


def socket_transport(transport: object) -> object:
    """The transport with the socket, below TLS and PROXY: where buffer sizes and socket options belong."""
    while isinstance(transport, (ProtocolWrapper, _BelowTLS)):
        transport = transport.transport
    return transport


def stream_over(transport: ITransport, user: StreamUser, reactor: object) -> ByteStream:
    """The fastest stream for this transport."""
    base = socket_transport(transport)
    if isinstance(base, tcp.Connection):
        base.setTcpNoDelay(True)
        if IReactorFDSet.providedBy(reactor):
            if base is transport:
                return SocketStream(base, user, reactor)
            if isinstance(transport, TLSMemoryBIOProtocol) and _has_sent_all(base):
                below = transport.transport = _BelowTLS(transport, base, user, reactor)
                return TransportStream(transport, user, below.stream)
        # What is read at once, and from when on a writer is told to pause.
        base.bufferSize = READ_SIZE
        base.SEND_LIMIT = 2 * READ_SIZE
    return TransportStream(transport, user)


def _has_sent_all(base: tcp.Connection) -> bool:
    """Whether nothing waits in Twisted's own buffer, after another attempt: it would be overtaken."""
    return base.doWrite() is None and not base.dataBuffer


@implementer(IPushProducer)
class TransportStream:
    """
    A stream through the methods of a Twisted transport.

    @param below: what the transport itself sends over, where that is known.
    """

    def __init__(self, transport: ITransport, user: StreamUser, below: SocketStream | None = None) -> None:
        self._transport = transport
        self._user = user
        self._below = below
        self._resumed = 0
        self._reading = True
        self._closing = False
        self._is_full = False
        transport.registerProducer(self, True)  # type: ignore[attr-defined]

    @property
    def progress(self) -> int:
        """
        Where nothing is known of below, counts whole buffers that went out, of `READ_SIZE` or more each.
        """
        return self._resumed * READ_SIZE if self._below is None else self._below.progress

    @property
    def waiting(self) -> bool:
        return self._is_full if self._below is None else self._below.waiting

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        self._transport.write(b"".join(chunks))

    def pause_reading(self) -> None:
        if self._reading and not self._closing:
            self._reading = False
            self._transport.pauseProducing()  # type: ignore[attr-defined]

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resumeProducing()  # type: ignore[attr-defined]

    def close(self) -> None:
        # TLS closes only without a producer, and hears of its peer's close_notify only while it reads.
        self._transport.unregisterProducer()  # type: ignore[attr-defined]
        self.resume_reading()
        self._closing = True
        self._transport.loseConnection()

    def abort(self) -> None:
        self._closing = True
        self._transport.abortConnection()  # type: ignore[attr-defined]

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._is_full = True
        self._user.pause_sending()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty."""
        self._is_full = False
        self._resumed += 1
        self._user.resume_sending()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so."""


@implementer(ITransport)
class _BelowTLS:
    """
    What TLS takes for the transport below it: a `SocketStream`.

    @param user: whom TLS serves.
    @ivar transport: what was below TLS until now, and knows who the caller is.
    """

    def __init__(
        self, tls: TLSMemoryBIOProtocol, base: tcp.Connection, user: StreamUser, reactor: IReactorFDSet
    ) -> None:
        self.transport = cast(ITransport, tls.transport)
        self._user = user
        self._producer: IPushProducer | None = None
        #: What arrives is for TLS.
        self.dataReceived = tls.dataReceived
        self.stream = SocketStream(base, self, reactor)

    # What the stream asks

    @property
    def is_within_message(self) -> bool:
        """See `StreamUser`."""
        return self._user.is_within_message

    def read_size(self, limit: int) -> int:
        """Where PDUs end cannot be seen here."""
        return limit

    def pause_sending(self) -> None:
        """See `StreamUser`."""
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume_sending(self) -> None:
        """See `StreamUser`."""
        if self._producer is not None:
            self._producer.resumeProducing()

    # What TLS asks

    def write(self, data: bytes) -> None:
        """Send."""
        self.stream.write((data,))

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close when everything is sent."""
        self.stream.close()

    def abortConnection(self) -> None:
        """Close now."""
        self.stream.abort()

    def registerProducer(self, producer: IPushProducer, streaming: bool) -> None:
        """Who is told to pause."""
        self._producer = producer

    def unregisterProducer(self) -> None:
        """Nobody is told any longer."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Read nothing more."""
        self.stream.pause_reading()

    def resumeProducing(self) -> None:
        """Read again."""
        self.stream.resume_reading()

    def getPeer(self) -> IAddress:
        """The caller's, which a PROXY header may have told."""
        return self.transport.getPeer()

    def getHost(self) -> IAddress:
        """Our own."""
        return self.transport.getHost()


@implementer(IReadWriteDescriptor)
class SocketStream:
    """
    A stream that reads and writes the socket of a plain TCP transport itself.

    The transport stays the owner of the socket: it is handed the end, closes it, and tells the protocol.
    """

    def __init__(self, transport: tcp.Connection, user: StreamUser, reactor: IReactorFDSet) -> None:
        self._transport = transport
        self._socket: socket.socket = transport.getHandle()
        self._recv = self._socket.recv
        self._user = user
        self._reactor = reactor
        # A socket of this machine, such as one worker has for another, has no ACKs.
        self._quickack = None if self._socket.family == socket.AF_UNIX else _QUICKACK
        self._pending: deque[memoryview] = deque()
        self._pending_length = 0
        self._user_paused = False
        self._closing = False
        self._handed_back = False
        self._is_reading = True
        self._last_turn = 0
        self.progress = 0
        transport.pauseProducing()
        reactor.addReader(self)

    @property
    def waiting(self) -> bool:
        return bool(self._pending)

    # What the association calls

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        if self._closing or self._handed_back:
            return
        sent = 0
        if not self._pending:
            try:
                sent = self._send(chunks)
            except OSError:
                # The reactor learns of it where it expects to: from its next call.
                sent = 0
            if sent == sum(map(len, chunks)):
                return
        self._keep(chunks, sent)

    def pause_reading(self) -> None:
        # The reactor is told only if something arrives meanwhile: most pauses are over before.
        self._is_reading = False

    def resume_reading(self) -> None:
        if not self._handed_back and not self._is_reading:
            self._is_reading = True
            self._reactor.addReader(self)

    def close(self) -> None:
        self._closing = True
        if not self._pending:
            self._finish()

    def abort(self) -> None:
        self._closing = True
        self._hand_back()
        self._transport.abortConnection()

    # What the reactor calls

    def fileno(self) -> int:
        """-1 tells the reactor that the socket is gone."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """Names the source of what is logged meanwhile."""
        return "association"

    def doRead(self) -> Failure | None:
        """
        Read, and read again while the peer is within a message: the rest of it is often there by then, and asking the
        socket costs far less than another turn of the reactor, unless many wait for theirs.
        """
        if not self._is_reading:
            self._reactor.removeReader(self)
            return None
        user = self._user
        turn = next(_turns)
        is_crowded, self._last_turn = turn - self._last_turn > CROWD, turn
        for _ in range(1 if is_crowded else READS_A_TURN):
            try:
                data = self._recv(user.read_size(READ_SIZE))
            except (BlockingIOError, InterruptedError):
                return None
            except OSError:
                return _LOST
            if not data:
                return _DONE
            user.dataReceived(data)
            if self._quickack is not None and len(data) < HIGH_WATER and not self._handed_back:
                # Linux forgets it; without it a peer with Nagle's algorithm waits 40 ms for our ACK of a small write.
                # First what came goes on: an ACK costs as much as that.
                self._socket.setsockopt(socket.IPPROTO_TCP, self._quickack, 1)
            if not self._is_reading or not user.is_within_message:
                return None
        return None

    def doWrite(self) -> Failure | None:
        """Send what waits."""
        pending = self._pending
        try:
            sent = self._send([pending[i] for i in range(min(len(pending), _MAX_BUFFERS))])
        except OSError:
            return _LOST
        self._pending_length -= sent
        while sent:
            first = pending[0]
            if len(first) > sent:
                pending[0] = first[sent:]
                break
            sent -= len(first)
            pending.popleft()
        if not pending:
            self._drained()
        return None

    def connectionLost(self, reason: Failure) -> None:
        """The end, handed on to the transport, which closes the socket and tells the protocol."""
        self._hand_back()
        self._transport.connectionLost(reason)

    # Inside

    def _send(self, buffers: Sequence[bytes | memoryview]) -> int:
        """
        How many bytes the socket took.

        @raise OSError: where the connection is gone.
        """
        try:
            # A plain send is the cheaper call, and the commonest.
            one = len(buffers) == 1
            sent = self._socket.send(buffers[0]) if one else self._socket.sendmsg(buffers[:_MAX_BUFFERS])
        except (BlockingIOError, InterruptedError):
            return 0
        self.progress += sent
        return sent

    def _keep(self, buffers: Sequence[bytes | memoryview], sent: int) -> None:
        """Keep what was not sent of these buffers."""
        for buffer in buffers:
            size = len(buffer)
            if sent >= size:
                sent -= size
                continue
            self._pending.append(memoryview(buffer)[sent:])
            self._pending_length += size - sent
            sent = 0
        if self._pending:
            self._reactor.addWriter(self)
            if self._pending_length > HIGH_WATER and not self._user_paused:
                self._user_paused = True
                self._user.pause_sending()

    def _drained(self) -> None:
        self._reactor.removeWriter(self)
        if self._closing:
            self._finish()
        elif self._user_paused:
            self._user_paused = False
            self._user.resume_sending()

    def _finish(self) -> None:
        """
        Everything is sent: the transport closes in the next turn of the reactor, which is not asked first whether it
        may write, as `loseConnection` would.
        """
        self._hand_back()
        clock = cast(IReactorTime, self._reactor)
        clock.callLater(0, self._transport.connectionLost, Failure(CONNECTION_DONE))

    def _hand_back(self) -> None:
        """Leave the reactor; the socket is the transport's alone again."""
        if not self._handed_back:
            self._handed_back = True
            self._is_reading = False
            self._reactor.removeReader(self)
            if self._pending:
                self._pending.clear()
                self._reactor.removeWriter(self)
