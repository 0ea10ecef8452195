"""A raw SCU on blocking sockets, PDUs encoded ahead: cheaper by association than an event loop would be."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from bench import wire
from bench.processes import BenchError

DEADLINE = 60.0
"""Seconds that a peer may leave the SCU without a byte, unless the caller says otherwise."""
_REQUEST = wire.associate_rq()
_ECHO = wire.echo_rq(1)


class Rejected(BenchError):
    """The association was rejected: result, source and reason as in PS3.8 table 9-21."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"rejected: result {result}, source {source}, reason {reason}")
        self.answer = (result, source, reason)


class Association:
    """One association with what listens on a port of the loopback."""

    def __init__(self, port: int, deadline: float = DEADLINE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), deadline)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._rest: list[bytes] = []
        try:
            self._socket.sendall(_REQUEST)
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

    def store(self, length: int) -> None:
        """One C-STORE of about ``length`` bytes, and its answer."""
        self._socket.sendall(wire.store_rq(1))
        for run in wire.data_set(length):
            self._socket.sendall(run)
        self._expect(wire.P_DATA, self._read()[0])

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

    def _read(self) -> tuple[int, bytes]:
        while True:
            if len(self._buffer) >= 6:
                kind, length = wire.HEADER.unpack_from(self._buffer)
                if len(self._buffer) >= 6 + length:
                    body = self._buffer[6 : 6 + length]
                    self._buffer = self._buffer[6 + length :]
                    return kind, body
            data = self._socket.recv(65536)
            if not data:
                raise BenchError("the peer closed the connection")
            self._buffer += data

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
