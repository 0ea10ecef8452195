"""A storage SCP that cannot be relied on: it comes and goes, and ends associations in every way it can."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import suppress
from random import Random
from typing import BinaryIO

from attrs import Factory, define, field
from twisted.trial.unittest import TestCase

from bench import wire
from tests.support.process import free_port

_TAKES = 0.6
"""How much of what comes goes well."""
_EARLY = ("rejected", "lost at once")
_LATE = ("refused", "aborted", "lost with the object", "lost with the answer")
WAYS = frozenset((*_EARLY, *_LATE))
"""What goes wrong: with the association, and with an object."""
_REJECTED = wire.pdu(wire.ASSOCIATE_RJ, b"\0\2\3\2")
"""Transient, by the presentation service provider: local limit exceeded (PS3.8 9.3.4)."""
_ABORT = wire.pdu(wire.ABORT, b"\0\0\0\0")
_PATIENCE = 30.0


@define
class Flapping:
    """
    It runs in threads of its own.

    @ivar taken: how often each SOP Instance UID was answered with success.
    @ivar mishaps: what went wrong on purpose, and how often.
    @ivar is_calm: whether nothing goes wrong any longer.
    @ivar answers_releases: whether it does.
    @ivar releases: how often it was asked for one.
    """

    port: int
    chance: Random
    taken: Counter[str] = Factory(Counter)
    mishaps: Counter[str] = Factory(Counter)
    is_calm: bool = False
    answers_releases: bool = True
    releases: int = 0
    _lock: threading.Lock = field(factory=threading.Lock)
    _listening: socket.socket | None = None

    def start(self) -> None:
        """Listen."""
        self._listening = socket.create_server(("127.0.0.1", self.port), backlog=50)
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more; nobody is there then."""
        if self._listening is not None:
            with suppress(OSError):
                # Closing alone would not wake the thread that waits.
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _goes_wrong(self, *ways: str) -> str:
        """One of the ways in which something goes wrong, or nothing."""
        with self._lock:
            if self.is_calm or self.chance.random() < _TAKES:
                return ""
            way = self.chance.choice(ways)
            self.mishaps[way] += 1
            return way

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE)
        with suppress(OSError, EOFError), connection, connection.makefile("rb") as stream:
            _, request = _pdu(stream)
            match self._goes_wrong(*_EARLY):
                case "rejected":
                    connection.sendall(_REJECTED)
                    return
                case "lost at once":
                    return
            connection.sendall(wire.associate_ac(request))
            while self._answer(connection, stream):
                pass

    def _answer(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answer one object, or the release; whether there may be more."""
        command = content = b""
        while True:
            kind, body = _pdu(stream)
            if kind == wire.RELEASE_RQ:
                self.releases += 1
                if not self.answers_releases:
                    return True
                connection.sendall(wire.RELEASE_RP_PDU)
                return False
            if kind != wire.P_DATA:
                return False
            at = 0
            is_whole = False
            while at < len(body):
                length = int.from_bytes(body[at : at + 4], "big")
                context, control = body[at + 4], body[at + 5]
                fragment = body[at + 6 : at + 4 + length]
                if control & wire.COMMAND:
                    command += fragment
                else:
                    content += fragment
                    is_whole = is_whole or bool(control & wire.LAST)
                at += 4 + length
            if not is_whole:
                continue
            elements = wire.elements_in(command)
            instance, sop_class = (elements[number].rstrip(b"\0") for number in (0x1000, 0x0002))
            message_id = wire.number_in(command, 0x0110)
            answer = wire.store_rsp(message_id, context, sop_class, instance)
            match self._goes_wrong(*_LATE):
                case "refused":
                    connection.sendall(answer.replace(wire.us(0x0900, 0), wire.us(0x0900, 0xA700)))
                    return True
                case "aborted":
                    connection.sendall(_ABORT)
                    return False
                case "lost with the object":
                    return False
                case "lost with the answer":
                    # It has the object, and nobody knows.
                    self._take(instance)
                    return False
            self._take(instance)
            connection.sendall(answer)
            return True

    def _take(self, instance: bytes) -> None:
        with self._lock:
            self.taken[instance.decode()] += 1


def _pdu(stream: BinaryIO) -> tuple[int, bytes]:
    header = stream.read(wire.HEADER.size)
    if len(header) < wire.HEADER.size:
        raise EOFError
    kind, length = wire.HEADER.unpack(header)
    return kind, stream.read(length)


def flapping(case: TestCase, seed: int = 4) -> Flapping:
    """Start one, for as long as the test runs."""
    peer = Flapping(free_port(), Random(seed))
    peer.start()
    case.addCleanup(peer.stop)
    return peer
