"""
Listening sockets that several processes share.

For each inbound the parent makes one socket for each worker, all on the same port (SO_REUSEPORT): Linux distributes
the callers.  The parent keeps them open, so that the callers of a worker that has died wait for its successor.

Both sides are reactors as far as Twisted's endpoints know: what `listen` of the configuration may say stays Twisted's
affair, PROXY protocol included.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory


def shared_sockets(listen: str, count: int) -> tuple[socket.socket, ...]:
    """
    Listen on the port of a server endpoint string, `count` times.

    @param listen: of a TCP endpoint.  Port 0 is any free port, the same one for all.
    @raise CannotListenError: the port is in use, by another instance of this proxy included, or cannot be had.
    """
    making = _Making(count)
    failures: list[Any] = []
    listening: Deferred[Any] = serverFromString(making, listen).listen(Factory())
    listening.addErrback(failures.append)
    for failure in failures:
        failure.raiseException()
    return tuple(making.sockets)


@define
class _Making:
    """A reactor that listens on sockets and accepts nobody."""

    count: int
    sockets: list[socket.socket] = field(factory=list)

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> None:
        try:
            self._listen(port, backlog, interface)
        except OSError as error:
            for each in self.sockets:
                each.close()
            raise CannotListenError(interface, port, error) from None

    def _listen(self, port: int, backlog: int, interface: str) -> None:
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        address: Any = (interface, port)
        if family == socket.AF_INET6:
            # With the zone of a link-local address.
            address = socket.getaddrinfo(interface, port, family, socket.SOCK_STREAM)[0][4]
        first = self._bound(family, address)
        # Alone first, and shared only once it listens: otherwise another instance of this proxy, whose sockets are
        # shared too, would get a part of our callers instead of an error.
        first.listen(backlog)
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        for _ in range(1, self.count):
            self._bound(family, first.getsockname(), is_shared=True).listen(backlog)

    def _bound(self, family: int, address: Any, *, is_shared: bool = False) -> socket.socket:
        made = socket.socket(family, socket.SOCK_STREAM)
        self.sockets.append(made)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(address)
        return made


@define
class Adopting:
    """
    A reactor that listens on sockets which are there already, one after the other, in the order given.

    @ivar reactor: the one that reads them.
    """

    reactor: Any
    _descriptors: list[int]

    @classmethod
    def of(cls, descriptors: Sequence[int], reactor: Any) -> Adopting:
        """@param descriptors: of listening sockets; they are closed when what has adopted them is."""
        return cls(reactor, list(descriptors))

    def listenTCP(self, port: int, factory: object, backlog: int = 50, interface: str = "") -> IListeningPort:
        descriptor = self._descriptors.pop(0)
        family = socket.AF_INET6 if isIPv6Address(interface) else socket.AF_INET
        adopted: IListeningPort = self.reactor.adoptStreamPort(descriptor, family, factory)
        # It works on a duplicate.
        os.close(descriptor)
        return adopted
