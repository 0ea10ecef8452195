"""Sockets that several processes share."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dimseproxy.workers.listening import Adopting, shared_sockets
from tests.association.handshaking import asynchronous

LOOPBACK = "tcp:%d:interface=127.0.0.1"


def option(each: socket.socket, name: int) -> int:
    return each.getsockopt(socket.SOL_SOCKET, name)


class SharedSocketsTests(SynchronousTestCase):
    def shared(self, listen: str, count: int = 3) -> tuple[socket.socket, ...]:
        sockets = shared_sockets(listen, count)
        for each in sockets:
            self.addCleanup(each.close)
        return sockets

    def test_there_is_one_for_each_worker(self) -> None:
        self.assertEqual(len(self.shared(LOOPBACK % 0, 5)), 5)

    def test_port_0_is_one_port_for_all(self) -> None:
        names = {each.getsockname() for each in self.shared(LOOPBACK % 0)}
        self.assertEqual([(host, port != 0) for host, port in names], [("127.0.0.1", True)])

    def test_all_of_them_listen(self) -> None:
        self.assertEqual([option(each, socket.SO_ACCEPTCONN) for each in self.shared(LOOPBACK % 0)], [1, 1, 1])

    def test_the_callers_are_distributed(self) -> None:
        sockets = self.shared(LOOPBACK % 0 + ":backlog=200", 2)
        address = sockets[0].getsockname()
        # By their addresses: that none of a hundred goes to one of the two is as likely as a hundred heads in a row.
        for _ in range(100):
            self.addCleanup(socket.create_connection(address).close)
        for each in sockets:
            accepted, _ = each.accept()
            accepted.close()

    def test_nobody_else_gets_a_part_of_them(self) -> None:
        sockets = self.shared(LOOPBACK % 0)
        with self.assertRaises(CannotListenError):
            shared_sockets(LOOPBACK % sockets[0].getsockname()[1], 3)

    def test_a_port_in_use_is_not_shared(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, self.assertRaises(CannotListenError) as raised:
            shared_sockets(LOOPBACK % taken.getsockname()[1], 3)
        self.assertEqual(raised.exception.socketError.strerror, "Address already in use")

    def test_ipv6(self) -> None:
        names = {each.getsockname()[:2] for each in self.shared(r"tcp6:0:interface=\:\:1")}
        self.assertEqual([host for host, _ in names], ["::1"])

    def test_behind_a_load_balancer(self) -> None:
        self.assertEqual(len(self.shared("haproxy:" + LOOPBACK % 0)), 3)

    def test_no_other_program_inherits_them(self) -> None:
        self.assertEqual([each.get_inheritable() for each in self.shared(LOOPBACK % 0)], [False] * 3)


class _Greeted(Protocol):
    """Tells its factory whom it met, and hangs up."""

    def connectionMade(self) -> None:
        assert self.transport is not None and isinstance(self.factory, Greetings)
        self.factory.met.callback(self.transport.getPeer())
        self.transport.loseConnection()


class Greetings(Factory):
    protocol = _Greeted

    def __init__(self) -> None:
        self.met: Deferred[IAddress] = Deferred()


class AdoptingTests(TestCase):
    """What a worker does with the sockets that it inherits."""

    timeout = 20

    async def listen(self, listen: str, sockets: Sequence[socket.socket], factory: Factory) -> IListeningPort:
        # A worker has descriptors of its own.
        adopting = Adopting.of([each.detach() for each in sockets], reactor)
        port: IListeningPort = await serverFromString(adopting, listen).listen(factory)
        self.addCleanup(port.stopListening)
        return port

    @asynchronous
    async def test_callers_are_accepted_on_what_is_there(self) -> None:
        factory = Greetings()
        (shared,) = shared_sockets(LOOPBACK % 0, 1)
        caller = socket.create_connection(shared.getsockname())
        self.addCleanup(caller.close)
        await self.listen(LOOPBACK % 0, [shared], factory)
        met = await factory.met
        self.assertEqual(met, IPv4Address("TCP", *caller.getsockname()))

    @asynchronous
    async def test_who_called_meanwhile_waits_for_the_successor(self) -> None:
        (shared,) = shared_sockets(LOOPBACK % 0, 1)
        first = await self.listen(LOOPBACK % 0, [shared.dup()], Greetings())
        await first.stopListening()  # type: ignore[misc]
        self.addCleanup(socket.create_connection(shared.getsockname()).close)
        successor = Greetings()
        await self.listen(LOOPBACK % 0, [shared], successor)
        self.assertIsInstance(await successor.met, IPv4Address)

    @asynchronous
    async def test_nobody_listens_when_all_have_stopped(self) -> None:
        (shared,) = shared_sockets(LOOPBACK % 0, 1)
        address = shared.getsockname()
        port = await self.listen(LOOPBACK % 0, [shared], Greetings())
        await port.stopListening()  # type: ignore[misc]
        self.assertRaises(ConnectionRefusedError, socket.create_connection, address)
