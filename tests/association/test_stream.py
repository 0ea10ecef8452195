"""
Streams on real loopback sockets: transports in memory deliver while they are paused, and never take only a part.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IReactorTime, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.association.handshake import TLSClientEndpoint, TLSServerEndpoint
from dimseproxy.association.stream import (
    HIGH_WATER,
    READ_SIZE,
    ByteStream,
    SocketStream,
    TransportStream,
    socket_transport,
    stream_over,
)
from dimseproxy.association.tls import client_creator, server_creator
from tests.association import certificates
from tests.association.handshaking import asynchronous

clock = IReactorTime(reactor)

KIB = 1024
MIB = 1024 * KIB
#: So that a reader that stops is felt soon: the kernel's own buffers otherwise take megabytes.
SMALL_BUFFER = 256 * KIB


class Speaker(Protocol):
    """The end under test: a protocol on a stream."""

    stream: ByteStream

    def __init__(self) -> None:
        self.pauses = 0
        self.resumes = 0
        self.is_asked_to_pause = False
        self.heard = 0
        self.digest = hashlib.sha256()
        self.lost: Deferred[None] = Deferred()
        self.when_resumed: Callable[[], None] = lambda: None
        self.when_heard: Callable[[], None] = lambda: None
        self.is_lost = False
        #: What the association says: whether the rest of a message is due.
        self.is_within_message = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.stream = stream_over(self.transport, self, reactor)

    def read_size(self, limit: int) -> int:
        return limit

    def dataReceived(self, data: bytes) -> None:
        self.heard += len(data)
        self.digest.update(data)
        self.when_heard()

    def pause_sending(self) -> None:
        self.pauses += 1
        self.is_asked_to_pause = True

    def resume_sending(self) -> None:
        self.resumes += 1
        self.is_asked_to_pause = False
        self.when_resumed()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        self.lost.callback(None)


class _Speakers(Factory):
    noisy = False

    def __init__(self) -> None:
        self.built: Deferred[Speaker] = Deferred()

    def buildProtocol(self, addr: IAddress | None) -> Speaker:
        speaker = Speaker()
        original = speaker.connectionMade

        def made() -> None:
            original()
            self.built.callback(speaker)

        speaker.connectionMade = made  # type: ignore[method-assign]
        return speaker


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    while not condition():
        await deferLater(clock, 0.005)


class _StreamTests:
    """What holds for every stream. `self.near` writes, `self.far` reads; both are streams."""

    near: Speaker
    far: Speaker
    #: The most that may wait in memory of a writer that pauses when it is asked to.
    most_waiting = HIGH_WATER + READ_SIZE

    def _endpoints(self, port: int) -> tuple[IStreamServerEndpoint, IStreamClientEndpoint]:
        raise NotImplementedError

    async def _connect(self) -> None:
        server, _ = self._endpoints(0)
        factory, other = _Speakers(), _Speakers()
        port = await server.listen(factory)
        self.addCleanup(port.stopListening)  # type: ignore[attr-defined]
        _, client = self._endpoints(port.getHost().port)  # type: ignore[attr-defined]
        await client.connect(other)
        self.near = await other.built
        self.far = await factory.built
        for speaker, option in ((self.near, socket.SO_SNDBUF), (self.far, socket.SO_RCVBUF)):
            self._socket(speaker).setsockopt(socket.SOL_SOCKET, option, SMALL_BUFFER)
        self.addCleanup(self._end)  # type: ignore[attr-defined]

    async def _end(self) -> None:
        for speaker in (self.near, self.far):
            if not speaker.is_lost:
                speaker.stream.abort()
                await speaker.lost

    def _socket(self, speaker: Speaker) -> socket.socket:
        transport: Any = speaker.transport
        while not isinstance(transport, tcp.Connection):
            transport = transport.transport
        handle: socket.socket = transport.getHandle()
        return handle

    def _pump(self, total: int, piece: int = 64 * KIB) -> str:
        """Write so much, pausing when asked to; the digest of it all."""
        digest = hashlib.sha256()
        left = total

        def more() -> None:
            nonlocal left
            while left and not self.near.is_asked_to_pause:
                data = (left.to_bytes(8, "big") * (piece // 8))[: min(piece, left)]
                left -= len(data)
                digest.update(data)
                # In two pieces: streams take several buffers at once.
                self.near.stream.write([data[:100], memoryview(data)[100:]])
            self.left = left

        self.near.when_resumed = more
        more()
        self._digest = digest
        return digest.hexdigest()

    async def _test_everything_arrives(self) -> None:
        self._pump(4 * MIB)
        await until(lambda: self.far.heard == 4 * MIB)
        assert self.far.digest.hexdigest() == self._digest.hexdigest()

    @asynchronous
    async def test_everything_arrives(self) -> None:
        await self._connect()
        await self._test_everything_arrives()

    @asynchronous
    async def test_a_reader_that_stops_makes_the_writer_pause(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.assertGreater(self.left, 0)  # type: ignore[attr-defined]

    @asynchronous
    async def test_a_writer_is_asked_to_pause_once(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        for _ in range(100):
            self.near.stream.write([bytes(64 * KIB)])
        self.assertEqual((self.near.pauses, self.near.resumes), (1, 0))  # type: ignore[attr-defined]

    @asynchronous
    async def test_something_waits_for_a_reader_that_stopped(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.assertTrue(self.near.stream.waiting)  # type: ignore[attr-defined]

    @asynchronous
    async def test_nothing_waits_when_all_was_taken(self) -> None:
        await self._connect()
        await self._test_everything_arrives()
        await until(lambda: not self.near.stream.waiting)
        self.assertFalse(self.near.is_asked_to_pause)  # type: ignore[attr-defined]

    @asynchronous
    async def test_everything_arrives_when_the_reader_goes_on(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.far.stream.resume_reading()
        await until(lambda: self.far.heard == 8 * MIB)
        self.assertEqual(self.far.digest.hexdigest(), self._digest.hexdigest())  # type: ignore[attr-defined]

    @asynchronous
    async def test_everything_arrives_at_a_reader_that_keeps_stopping(self) -> None:
        await self._connect()

        def stop() -> None:
            self.far.stream.pause_reading()
            clock.callLater(0, self.far.stream.resume_reading)

        self.far.when_heard = stop
        self._pump(4 * MIB)
        await until(lambda: self.far.heard == 4 * MIB)
        self.assertEqual(self.far.digest.hexdigest(), self._digest.hexdigest())  # type: ignore[attr-defined]

    @asynchronous
    async def test_progress_grows_while_something_is_taken(self) -> None:
        await self._connect()
        before = self.near.stream.progress
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.far.stream.resume_reading()
        await until(lambda: self.far.heard == 8 * MIB)
        self.assertGreater(self.near.stream.progress, before)  # type: ignore[attr-defined]

    @asynchronous
    async def test_closing_delivers_what_waits(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        written = 8 * MIB - self.left
        self.near.when_resumed = lambda: None
        self.near.stream.close()
        self.far.stream.resume_reading()
        await self.far.lost
        self.assertEqual(self.far.heard, written)  # type: ignore[attr-defined]

    @asynchronous
    async def test_closing_with_nothing_waiting(self) -> None:
        await self._connect()
        self.near.stream.write([b"last words"])
        self.near.stream.close()
        await self.far.lost
        self.assertEqual(self.far.heard, 10)  # type: ignore[attr-defined]

    @asynchronous
    async def test_closing_while_not_reading(self) -> None:
        await self._connect()
        self.near.stream.pause_reading()
        self.near.stream.close()
        await self.far.lost
        await self.near.lost
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_writing_after_closing_does_nothing(self) -> None:
        await self._connect()
        self.near.stream.write([b"last words"])
        self.near.stream.close()
        self.near.stream.write([b"and more"])
        await self.far.lost
        self.assertEqual(self.far.heard, 10)  # type: ignore[attr-defined]

    @asynchronous
    async def test_aborting_does_not_wait(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.near.stream.abort()
        await self.near.lost
        self.assertFalse(self.far.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_aborting_twice_is_no_mistake(self) -> None:
        await self._connect()
        self.near.stream.abort()
        self.near.stream.abort()
        await self.near.lost
        self.near.stream.abort()
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_cutting_off_what_does_not_close(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.near.when_resumed = lambda: None
        self.near.stream.close()
        self.near.stream.abort()
        await self.near.lost
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_a_reset_is_seen_when_reading_goes_on(self) -> None:
        await self._connect()
        self.near.stream.pause_reading()
        self.far.stream.abort()
        await self.far.lost
        self.near.stream.resume_reading()
        await self.near.lost
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_a_reset_is_seen_while_something_waits(self) -> None:
        await self._connect()
        self.near.stream.pause_reading()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        self.far.stream.abort()
        await self.near.lost
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_writing_to_whoever_is_gone(self) -> None:
        await self._connect()
        self.near.stream.pause_reading()
        self.far.stream.abort()
        await self.far.lost
        for _ in range(10):
            self.near.stream.write([bytes(64 * KIB)])
            await deferLater(clock, 0)
        self.near.stream.resume_reading()
        await self.near.lost
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_methods_of_a_stream_that_is_gone(self) -> None:
        await self._connect()
        self.far.stream.abort()
        await self.near.lost
        self.near.stream.pause_reading()
        self.near.stream.resume_reading()
        self.near.stream.write([b"nothing"])
        self.near.stream.close()
        self.assertTrue(self.near.is_lost)  # type: ignore[attr-defined]

    @asynchronous
    async def test_a_writer_that_goes_on_within_resume(self) -> None:
        await self._connect()
        self._pump(2 * MIB, piece=256 * KIB)
        await until(lambda: self.far.heard == 2 * MIB)
        self.assertEqual(self.far.digest.hexdigest(), self._digest.hexdigest())  # type: ignore[attr-defined]


class SocketStreamTests(_StreamTests, TestCase):
    timeout = 30

    def _endpoints(self, port: int) -> tuple[IStreamServerEndpoint, IStreamClientEndpoint]:
        return (
            TCP4ServerEndpoint(reactor, port, interface="127.0.0.1"),
            TCP4ClientEndpoint(reactor, "127.0.0.1", port),
        )

    @asynchronous
    async def test_is_what_plain_tcp_gets(self) -> None:
        await self._connect()
        self.assertIsInstance(self.near.stream, SocketStream)

    @asynchronous
    async def test_little_waits(self) -> None:
        await self._connect()
        self.far.stream.pause_reading()
        self._pump(8 * MIB)
        await until(lambda: self.near.is_asked_to_pause)
        stream = self.near.stream
        assert isinstance(stream, SocketStream)
        self.assertLessEqual(sum(map(len, stream._pending)), HIGH_WATER + 64 * KIB)

    @asynchronous
    async def test_more_buffers_than_one_call_takes(self) -> None:
        await self._connect()
        pieces = [bytes([index % 256]) * 7 for index in range(5000)]
        self.near.stream.write(pieces)
        await until(lambda: self.far.heard == 35000)
        self.assertEqual(self.far.digest.digest(), hashlib.sha256(b"".join(pieces)).digest())

    @asynchronous
    async def test_empty_buffers(self) -> None:
        await self._connect()
        self.near.stream.write([b"", b"a", b"", b"b"])
        self.near.stream.write([b""])
        self.near.stream.write([])
        self.near.stream.write([b"c"])
        await until(lambda: self.far.heard == 3)
        self.assertEqual(self.far.digest.digest(), hashlib.sha256(b"abc").digest())

    @asynchronous
    async def test_small_writes_go_out_at_once(self) -> None:
        await self._connect()
        self.assertEqual(self._socket(self.near).getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)


class TLSStreamTests(_StreamTests, TestCase):
    timeout = 30

    def _endpoints(self, port: int) -> tuple[IStreamServerEndpoint, IStreamClientEndpoint]:
        identity, authority = certificates.server(), certificates.authority()
        server = server_creator(identity.certificate, identity.key, None, "bcp195")
        client = client_creator("localhost", authority.certificate, None, None, True, "bcp195")
        return (
            TLSServerEndpoint(TCP4ServerEndpoint(reactor, port, interface="127.0.0.1"), server, clock, 10.0),
            TLSClientEndpoint(TCP4ClientEndpoint(reactor, "127.0.0.1", port), client, clock, 10.0),
        )

    @asynchronous
    async def test_is_what_tls_gets(self) -> None:
        await self._connect()
        self.assertIsInstance(self.near.stream, TransportStream)

    @asynchronous
    async def test_what_it_encrypts_is_sent_at_once(self) -> None:
        await self._connect()
        self.near.stream.write([b"abc"])
        # Nothing of it waits for the reactor's next turn: the peer's socket has it, a record of TLS 1.3.
        self.assertEqual(len(self._socket(self.far).recv(READ_SIZE, socket.MSG_PEEK)), 5 + 3 + 1 + 16)

    @asynchronous
    async def test_the_socket_below_is_found(self) -> None:
        await self._connect()
        self.assertIsInstance(socket_transport(self.near.transport), tcp.Connection)


class ChoiceTests(TestCase):
    def test_a_transport_in_memory_keeps_its_own_methods(self) -> None:
        self.assertIsInstance(stream_over(StringTransport(), Speaker(), reactor), TransportStream)
