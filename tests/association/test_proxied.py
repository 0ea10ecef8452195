"""What a load balancer says of its callers."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort, IProtocol, IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from dimseproxy.association.proxied import ProxiedServerEndpoint
from dimseproxy.relay.access import parse_address

BALANCER = IPv4Address("TCP", "192.0.2.1", 40000)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
INET = SIGNATURE + b"\x21\x11\x00\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 8]) + b"\x04\x00\x2b\x68"
INET6 = SIGNATURE + b"\x21\x21\x00\x24" + (b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07") * 2 + b"\x04\x00\x2b\x68"
#: With a TLV behind the addresses: a unique id of the connection.
WITH_TLV = SIGNATURE + b"\x21\x11\x00\x10" + INET[16:] + b"\x05\x00\x01\x07"
UNSPECIFIED = SIGNATURE + b"\x21\x00\x00\x00"
UNIX = SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)
DATAGRAMS = INET[:13] + b"\x12" + INET[14:]

MALFORMED = (
    b"PROXY TCP4 192.0.2.7 192.0.2.8 DOE 11112\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 99999 11112\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1024 -1\r\n",
    b"PROXY TCP4 DOE 192.0.2.8 1024 11112\r\n",
    b"PROXY TCP4 \xff\xfe 192.0.2.8 1024 11112\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::8 1024 11112\r\n",
    b"PROXY TCP6 192.0.2.7 192.0.2.8 1024 11112\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1024\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.8 1024 11112 DOE\r\n",
    b"PROXY TCP4  192.0.2.7 192.0.2.8 1024 11112\r\n",
    b"PROXY DOE 192.0.2.7 192.0.2.8 1024 11112\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWN " + b"DOE" * 40,
    SIGNATURE + b"\x11\x11\x00\x0c" + INET[16:],
    SIGNATURE + b"\x22\x11\x00\x0c" + INET[16:],
    SIGNATURE + b"\x21\x11\x00\x03DOE",
    SIGNATURE + b"\x21\x11\xff\xff" + INET[16:],
)


class Behind(Protocol):
    """What is behind the header, as an association would be."""

    def __init__(self) -> None:
        self.heard = b""
        self.is_lost = False

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True


@implementer(IStreamServerEndpoint)
class Listening:
    """An endpoint that listens nowhere."""

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        self.factory = protocolFactory
        return succeed(None)  # type: ignore[arg-type]


class ProxiedTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.listening = Listening()
        self.behind = Behind()
        self.transport = StringTransport(peerAddress=BALANCER)
        callers = Factory.forProtocol(lambda: self.behind)
        ProxiedServerEndpoint(self.listening, self.clock, 10).listen(callers)

    def connect(self) -> IProtocol:
        connection = self.listening.factory.buildProtocol(BALANCER)
        assert connection is not None
        connection.makeConnection(self.transport)
        return connection

    def send(self, *pieces: bytes) -> list[str]:
        """What is logged of a connection that begins so."""
        with capturedLogs() as events:
            connection = self.connect()
            for piece in pieces:
                connection.dataReceived(piece)
        return [text for text in map(formatEvent, events) if text]

    @property
    def host(self) -> str:
        """Where the caller is, as an association reads it."""
        assert self.behind.transport is not None
        return str(getattr(self.behind.transport.getPeer(), "host", ""))


class HeaderTests(ProxiedTestCase):
    def test_version_1(self) -> None:
        self.assertEqual(self.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1024 11112\r\nrest"), [])
        self.assertEqual(self.behind.heard, b"rest")
        assert self.behind.transport is not None
        self.assertEqual(self.behind.transport.getPeer(), IPv4Address("TCP", "192.0.2.7", 1024))

    def test_version_1_and_ipv6(self) -> None:
        self.send(b"PROXY TCP6 2001:db8::7 2001:db8::8 1024 11112\r\n")
        assert self.behind.transport is not None
        self.assertEqual(self.behind.transport.getPeer(), IPv6Address("TCP", "2001:db8::7", 1024))

    def test_version_2(self) -> None:
        self.send(INET + b"rest")
        self.assertEqual((self.host, self.behind.heard), ("192.0.2.7", b"rest"))

    def test_version_2_and_ipv6(self) -> None:
        self.send(INET6)
        self.assertEqual(parse_address(self.host), parse_address("2001:db8::7"))

    def test_more_than_addresses(self) -> None:
        self.send(WITH_TLV + b"rest")
        self.assertEqual((self.host, self.behind.heard), ("192.0.2.7", b"rest"))

    def test_byte_by_byte(self) -> None:
        for header in b"PROXY TCP4 192.0.2.7 192.0.2.8 1024 11112\r\n", INET:
            self.setUp()
            self.assertEqual(self.send(*[bytes([each]) for each in header + b"rest"]), [])
            self.assertEqual((self.host, self.behind.heard), ("192.0.2.7", b"rest"))

    def test_what_comes_later_is_not_looked_at(self) -> None:
        self.send(INET, b"PROXY TCP4 DOE\r\n")
        self.assertEqual(self.behind.heard, b"PROXY TCP4 DOE\r\n")

    def test_nothing_is_connected_before_it(self) -> None:
        self.send(INET[:-1])
        self.assertIsNone(self.behind.transport)

    def test_the_end_of_the_connection(self) -> None:
        connection = self.connect()
        connection.dataReceived(INET)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.behind.is_lost)


class MalformedHeaderTests(ProxiedTestCase):
    def test_one_line_without_what_was_sent(self) -> None:
        for header in MALFORMED:
            self.setUp()
            logged = self.send(header)
            self.assertEqual(logged, ["connection from 192.0.2.1: cut, its PROXY header is malformed"], header)

    def test_the_connection_is_closed(self) -> None:
        for header in MALFORMED:
            self.setUp()
            self.send(header)
            self.assertEqual((self.transport.disconnecting, self.behind.transport), (True, None), header)

    def test_no_header_at_all(self) -> None:
        logged = self.send(b"\x01\x00\x00\x00\x00\xcd\x00\x01")
        self.assertEqual(logged, ["connection from 192.0.2.1: cut, it does not begin with a PROXY header"])
        self.assertTrue(self.transport.disconnecting)

    def test_what_follows_is_not_read(self) -> None:
        self.assertEqual(len(self.send(*MALFORMED)), 1)


class UnknownCallerTests(ProxiedTestCase):
    """A balancer that does not say who called it, or has called itself."""

    UNKNOWN = (
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN 192.0.2.7 192.0.2.8 1024 11112\r\n",
        b"PROXY UNKNOWN \xff\r\n",
        UNSPECIFIED,
        UNIX,
        DATAGRAMS,
    )

    def test_it_is_heard(self) -> None:
        for header in self.UNKNOWN:
            self.setUp()
            self.assertEqual((self.send(header + b"rest"), self.behind.heard), ([], b"rest"), header)

    def test_it_is_at_no_address(self) -> None:
        """The balancer's would be that of an application on the same machine: see identify and find_route."""
        for header in self.UNKNOWN:
            self.setUp()
            self.send(header)
            self.assertIsNone(parse_address(self.host), header)

    def test_the_log_says_who_brought_it(self) -> None:
        self.send(b"PROXY UNKNOWN\r\n")
        self.assertEqual(self.host, "an unknown address behind 192.0.2.1")

    def test_the_balancer_itself(self) -> None:
        """LOCAL, such as for a health check: nobody is behind it."""
        self.send(LOCAL + b"rest")
        self.assertEqual((self.host, self.behind.heard), ("192.0.2.1", b"rest"))


class SilentCallerTests(ProxiedTestCase):
    def test_a_header_in_time(self) -> None:
        connection = self.connect()
        self.clock.advance(9)
        connection.dataReceived(INET)
        self.clock.advance(9)
        self.assertFalse(self.transport.disconnecting)

    def test_no_header_in_time(self) -> None:
        with capturedLogs() as events:
            self.connect().dataReceived(INET[:-1])
            self.clock.advance(10)
        self.assertEqual(
            [formatEvent(each) for each in events], ["connection from 192.0.2.1: cut, no PROXY header in time"]
        )
        self.assertTrue(self.transport.disconnecting)

    def test_who_only_looks_whether_the_port_is_open(self) -> None:
        with capturedLogs() as events:
            self.connect().connectionLost(Failure(ConnectionDone()))
            self.clock.advance(10)
        self.assertEqual((events, self.clock.getDelayedCalls()), ([], []))
