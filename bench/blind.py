"""A relay in Twisted that looks at nothing: ``python -m bench.blind PORT SINK``. No relay in Twisted can be quicker.

It reads and writes its sockets itself, as dimseproxy does, which is quicker than Twisted's transports; it closes both
ends as soon as one is closed.
"""

from __future__ import annotations

import socket
import sys
from typing import Any, cast

from twisted.internet import reactor as any_reactor
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure
from zope.interface import implementer

reactor = cast(Any, any_reactor)

READ_SIZE = 120 * 1024
BACKLOG = 1000


@implementer(IReadWriteDescriptor)
class Leg:
    """One of two connected sockets."""

    other: Leg

    def __init__(self, connection: socket.socket, is_connecting: bool = False) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self.is_connecting = is_connecting
        self.waiting: memoryview | None = None

    def fileno(self) -> int:
        """Of the socket."""
        return self.connection.fileno()

    def logPrefix(self) -> str:
        """What Twisted asks for each event."""
        return "blind"

    def doRead(self) -> Failure | None:
        """Send on what there is; what is not taken keeps this leg waiting."""
        try:
            data = self.connection.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            return cast(Failure, CONNECTION_LOST)
        if not data:
            return cast(Failure, CONNECTION_DONE)
        try:
            sent = self.other.connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return cast(Failure, CONNECTION_LOST)
        if sent < len(data):
            self.other.waiting = memoryview(data)[sent:]
            reactor.removeReader(self)
            reactor.addWriter(self.other)
        return None

    def doWrite(self) -> Failure | None:
        """Send what waits, or begin."""
        if self.is_connecting:
            self.is_connecting = False
            reactor.addReader(self)
            reactor.addReader(self.other)
        if self.waiting is not None:
            try:
                self.waiting = self.waiting[self.connection.send(self.waiting) :] or None
            except BlockingIOError:
                return None
            except OSError:
                return cast(Failure, CONNECTION_LOST)
        if self.waiting is None:
            reactor.removeWriter(self)
            reactor.addReader(self.other)
        return None

    def connectionLost(self, reason: Failure) -> None:
        """Close both."""
        for leg in (self, self.other):
            reactor.removeReader(leg)
            reactor.removeWriter(leg)
            leg.connection.close()


class Door:
    """Takes callers, and calls the sink for each."""

    def __init__(self, port: int, sink: int) -> None:
        self._sink = sink
        self._socket = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Of the listening socket."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted asks for each event."""
        return "blind"

    def doRead(self) -> None:
        """Take one."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return
        caller, sink = Leg(connection), Leg(socket.socket(), is_connecting=True)
        caller.other, sink.other = sink, caller
        sink.connection.connect_ex(("127.0.0.1", self._sink))
        reactor.addWriter(sink)

    def connectionLost(self, reason: Failure) -> None:
        """The end."""
        self._socket.close()


def main(port: int, sink: int) -> None:
    """Relay until the process is ended."""
    reactor.addReader(Door(port, sink))
    reactor.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
