"""
What the parent tells a worker: the settings, first of all and whenever they change, to drain, and to cut.

Orders go through a pipe, the worker's standard input.  Signals would not do: a terminal, or an init system, sends one
to all processes at once, and to have been told twice means something.  The end of the pipe is the end of the parent.

On the wire: the length of what follows (4 bytes, big-endian), what it is (1 byte), and text in UTF-8.  Of settings it
is what `--print-config` shows, and what that does not show: the address of the database, with its password.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from struct import Struct
from typing import Final

from attrs import evolve, field, frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.config import Settings, dump
from dimseproxy.config.load import parse

#: The pipe in a worker that orders come through: its standard input.
ORDERS: Final = 0
#: The pipe in a worker in which it says that callers are served.
READY: Final = 3
#: The signal to a worker that hangs, and takes no orders: it writes to its standard error which lines of code it is at.
WHERE: Final = signal.SIGUSR2

_STDERR: Final = 2
_LENGTH: Final = Struct(">I")
#: What says to a reactor that there is nothing more to read.
_GONE: Final = Failure(ConnectionDone())
_READ_SIZE: Final = 65536


class Kind(Enum):
    """What an order is."""

    SETTINGS = b"s"
    DRAIN = b"d"
    CUT = b"c"


@frozen
class Order:
    """
    @ivar text: the settings, or why to cut.
    """

    kind: Kind
    text: str = field(default="", repr=False)

    def encode(self) -> bytes:
        """As it goes through the pipe."""
        content = self.kind.value + self.text.encode()
        return _LENGTH.pack(len(content)) + content


def to_settle(settings: Settings) -> Order:
    """The order to go by these settings."""
    return Order(Kind.SETTINGS, json.dumps({"settings": dump(settings), "database": settings.database}))


def settings_in(text: str) -> Settings:
    """The settings of such an order; equal to what was given."""
    said = json.loads(text)
    # All its paths are absolute: relative ones were settled when the parent read the file.
    settings = parse(said["settings"].encode(), Path("/"))
    return evolve(settings, database=said["database"])


class NoOrders(Exception):
    """The pipe ended before it said what to do."""


def _decode(content: bytes) -> Order:
    return Order(Kind(content[:1]), content[1:].decode())


def settings_from_parent(descriptor: int = ORDERS) -> Settings:
    """
    Wait for the settings, which come before everything else; what follows them stays in the pipe.  From now on the
    process goes by orders, and not by what a terminal sends to all, and says where it is when it gets `WHERE`.

    @raise NoOrders: the pipe ended instead.
    """
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # Before there is much to hang in.  Without values, and without a core, which would have some.
    faulthandler.register(WHERE, file=_STDERR)
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size))
    order = _decode(_exactly(descriptor, length))
    if order.kind is not Kind.SETTINGS:
        raise NoOrders("the parent told something else before the settings")
    return settings_in(order.text)


def _exactly(descriptor: int, count: int) -> bytes:
    content = b""
    while len(content) < count:
        more = os.read(descriptor, count - len(content))
        if not more:
            raise NoOrders("the parent is gone")
        content += more
    return content


@implementer(IReadDescriptor)
class Orders:
    """
    Orders as they come; read by a reactor.

    @param descriptor: the pipe's.
    @param carry_out: called with each.
    @param orphaned: called when there are no more.
    """

    def __init__(self, descriptor: int, carry_out: Callable[[Order], object], orphaned: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._carry_out = carry_out
        self._orphaned = orphaned
        self._content = b""
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "orders"

    def doRead(self) -> Failure | None:
        try:
            more = os.read(self._descriptor, _READ_SIZE)
        except BlockingIOError:
            return None
        if not more:
            return _GONE
        self._content += more
        while len(self._content) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._content)
            end = _LENGTH.size + length
            if len(self._content) < end:
                break
            content, self._content = self._content[_LENGTH.size : end], self._content[end:]
            self._carry_out(_decode(content))
        return None

    def connectionLost(self, reason: Failure) -> None:
        self._orphaned()
