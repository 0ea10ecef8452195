"""How often a peer is read in a turn of the reactor, in the midst of others."""

from __future__ import annotations

import socket
from itertools import count

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import TestCase

from dimseproxy.association import stream
from dimseproxy.association.stream import CROWD, READS_A_TURN, SocketStream
from tests.association.test_stream import Speaker


class _Endless:
    """A socket in the place of one that always has more to read."""

    family = socket.AF_UNIX

    def __init__(self) -> None:
        self.reads = 0

    def recv(self, size: int) -> bytes:
        self.reads += 1
        return b"x"


class _Owner:
    """A transport that leaves its socket to the stream."""

    def __init__(self, handle: _Endless) -> None:
        self._handle = handle

    def getHandle(self) -> _Endless:
        return self._handle

    def pauseProducing(self) -> None:
        """It reads nothing itself."""


class TurnsTests(TestCase):
    """All peers are within a message."""

    def setUp(self) -> None:
        # So that streams of other tests do not count.
        self.patch(stream, "_turns", count())

    def _streams(self, number: int) -> list[tuple[_Endless, SocketStream]]:
        made = []
        for _ in range(number):
            handle, user = _Endless(), Speaker()
            user.is_within_message = True
            made.append((handle, SocketStream(_Owner(handle), user, MemoryReactorClock())))  # type: ignore[arg-type]
        return made

    def test_again_and_again_where_few_others_wait(self) -> None:
        streams = self._streams(CROWD)
        for _, each in streams * 3:
            each.doRead()
        self.assertEqual({handle.reads for handle, _ in streams}, {3 * READS_A_TURN})

    def test_once_where_many_wait(self) -> None:
        streams = self._streams(CROWD + 1)
        for _, each in streams:
            each.doRead()
        before = [handle.reads for handle, _ in streams]
        for _, each in streams * 3:
            each.doRead()
        self.assertEqual({handle.reads - first for (handle, _), first in zip(streams, before, strict=True)}, {3})

    def test_again_when_the_others_are_gone(self) -> None:
        streams = self._streams(CROWD + 1)
        for _, each in streams:
            each.doRead()
        handle, alone = streams[-1]
        before = handle.reads
        alone.doRead()
        self.assertEqual(handle.reads - before, READS_A_TURN)
