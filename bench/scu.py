"""A raw SCU on blocking sockets, PDUs encoded ahead: cheaper by association than an event loop would be."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from attrs import frozen

from bench import queries, wire
from bench.messages import Message
from bench.processes import BenchError

DEADLINE = 60.0
"""Seconds that a peer may leave the SCU without a byte, unless the caller says otherwise."""
_REQUEST = wire.associate_rq()
_QUERY_REQUEST = wire.associate_rq(contexts=queries.CONTEXTS)
_ECHO = wire.echo_rq(1)
_READ_SIZE = 256 * 1024


class Rejected(BenchError):
    """The association was rejected: result, source and reason as in PS3.8 table 9-21."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"rejected: result {result}, source {source}, reason {reason}")
        self.answer = (result, source, reason)


@frozen
class Found:
    """What a C-FIND brought."""

    answers: int
    marked: int
    """Answers with an original value in them."""
    first: bytes
    """The data set of the first answer; empty where there was none."""
    status: int


@frozen
class Moved:
    """What a C-MOVE said in the end (PS3.7 9.1.4.1)."""

    completed: int
    failed: int
    warned: int
    status: int


class Association:
    """One association with what listens on a port of the loopback; ``may_query`` proposes to find and to move too."""

    def __init__(self, port: int, deadline: float = DEADLINE, may_query: bool = False) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), deadline)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._at = 0
        self._rest: list[bytes] = []
        try:
            self._socket.sendall(_QUERY_REQUEST if may_query else _REQUEST)
            kind, body = self._read()
            if kind == wire.ASSOCIATE_RJ:
                raise Rejected(body[1], body[2], body[3])
            self._expect(wire.ASSOCIATE_AC, kind)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def echo(self) -> None:
        """One C-ECHO and its answer."""
        self._socket.sendall(_ECHO)
        self._expect(wire.P_DATA, self._read()[0])

    def store(self, length: int, instance: bytes = wire.INSTANCE) -> None:
        """One C-STORE of about ``length`` bytes, and its answer."""
        self._socket.sendall(wire.store_rq(1, instance))
        for run in wire.data_set(length, instance):
            self._socket.sendall(run)
        self._expect(wire.P_DATA, self._read()[0])

    def operate(self, message: Message) -> None:
        """Send a message that was encoded ahead, and have its answer, which must be one of success.

        :raises BenchError: when it says otherwise
        """
        for piece in message:
            self._socket.sendall(piece)
        for _, answer in self._fragments():
            if status := wire.number_in(answer, 0x0900):
                raise BenchError(f"the operation ended with status {status:04X}")
            return

    def keep(self, instance: bytes, content: bytes) -> int:
        """One C-STORE of a CT image whose data set is all there, and its status."""
        self._socket.sendall(wire.store_rq(1, instance) + wire.whole(content))
        for _, answer in self._fragments():
            return wire.number_in(answer, 0x0900)
        raise BenchError("the C-STORE was not answered")

    def begin_store(self, length: int) -> None:
        """The first half of a C-STORE of about ``length`` bytes."""
        self._socket.sendall(wire.store_rq(1))
        self._rest = list(wire.data_set(length))
        self._socket.sendall(self._rest.pop(0))

    def finish_store(self) -> None:
        """The rest of what :meth:`begin_store` began, and its answer."""
        for run in self._rest:
            self._socket.sendall(run)
        self._expect(wire.P_DATA, self._read()[0])

    def find(self, keys: bytes, rest_at: int = 0, rest: float = 0.0) -> Found:
        """One C-FIND; after ``rest_at`` answers it reads nothing for ``rest`` seconds.

        :raises BenchError: when it did not end with success
        """
        self._socket.sendall(queries.find_rq(1, keys))
        answers = marked = 0
        first = b""
        for is_command, content in self._fragments():
            if not is_command:
                answers += 1
                marked += queries.MARKER in content or queries.UID_MARKER in content
                first = first or content
                if answers == rest_at:
                    time.sleep(rest)
                continue
            status = wire.number_in(content, 0x0900)
            if status not in queries.PENDING_STATUSES:
                if status != queries.SUCCESS:
                    raise BenchError(f"the C-FIND ended with status {status:04X}")
                return Found(answers, marked, first, status)
        raise BenchError("the C-FIND did not end")

    def move(self, destination: bytes, keys: bytes) -> Moved:
        """One C-MOVE to an application, and what its final response says."""
        self._socket.sendall(queries.move_rq(1, destination, keys))
        for is_command, content in self._fragments():
            if not is_command:
                continue
            status = wire.number_in(content, 0x0900)
            if status not in queries.PENDING_STATUSES:
                found = wire.elements_in(content)
                completed, failed, warned = (
                    int.from_bytes(found.get(number, b""), "little") for number in (0x1021, 0x1022, 0x1023)
                )
                return Moved(completed, failed, warned, status)
        raise BenchError("the C-MOVE did not end")

    def release(self) -> None:
        """Release the association; the connection is closed by leaving the ``with``."""
        self._socket.sendall(wire.RELEASE_RQ_PDU)
        self._expect(wire.RELEASE_RP, self._read()[0])

    def leave(self) -> None:
        """Release the association and close the connection."""
        self.release()
        self.close()

    def close(self) -> None:
        """Close the connection without a word, also while another thread is sending."""
        with suppress(OSError):
            # Closing alone would not wake a thread that waits in a call on the socket.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _fragments(self) -> Iterator[tuple[bool, bytes]]:
        """The command sets and data sets that come, whole: whether it is a command set, and its bytes."""
        parts: dict[bool, bytes] = {True: b"", False: b""}
        while True:
            kind, body = self._read()
            self._expect(wire.P_DATA, kind)
            at = 0
            while at < len(body):
                length = int.from_bytes(body[at : at + 4], "big")
                control = body[at + 5]
                is_command = bool(control & wire.COMMAND)
                parts[is_command] += body[at + 6 : at + 4 + length]
                at += 4 + length
                if control & wire.LAST:
                    yield is_command, parts[is_command]
                    parts[is_command] = b""

    def _read(self) -> tuple[int, bytes]:
        while True:
            start, end = self._at, len(self._buffer)
            if end - start >= 6:
                kind, length = wire.HEADER.unpack_from(self._buffer, start)
                if end - start >= 6 + length:
                    self._at = start + 6 + length
                    return kind, self._buffer[start + 6 : self._at]
            data = self._socket.recv(_READ_SIZE)
            if not data:
                raise BenchError("the peer closed the connection")
            self._buffer, self._at = self._buffer[start:] + data, 0

    @staticmethod
    def _expect(wanted: int, kind: int) -> None:
        if kind != wanted:
            raise BenchError(f"a PDU of type {kind} came where {wanted} was expected")


def echo_once(port: int, deadline: float = DEADLINE) -> float:
    """Associate, C-ECHO, release, close; the seconds it took.

    :raises OSError: when the connection failed or a deadline passed
    :raises BenchError: when the peer answered otherwise than with success
    """
    started = time.perf_counter()
    with Association(port, deadline) as association:
        association.echo()
        association.release()
    return time.perf_counter() - started
