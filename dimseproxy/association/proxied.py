"""
Endpoints behind a load balancer, by HAProxy's PROXY protocol, versions 1 and 2: each connection begins with a header
that says who called the balancer.

An association behind them is connected when the header is complete, not before: `getPeer()` is the caller from the
first byte on.  A header that is malformed, or does not come in time, never reaches it.

Twisted has the same as `haproxy:` endpoints.  Its parsers raise what they do not expect out of `dataReceived`, so that
the log shows a traceback with what was sent; they take a port 99999 and a host `anything` as addresses, close at a
header that comes in pieces, and at the shortest `PROXY UNKNOWN`.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import Final, cast

from attrs import frozen
from twisted.internet.address import IPv4Address as TCP4Address
from twisted.internet.address import IPv6Address as TCP6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

log = Logger()

_WORD_1: Final = b"PROXY "
_LINE_END: Final = b"\r\n"
#: The longest line of version 1, its end included.
_LONGEST_LINE: Final = 107

_SIGNATURE_2: Final = b"\r\n\r\n\0\r\nQUIT\n"
#: Version and command, address family and transport protocol, and how many bytes follow.
_HEAD_2: Final = Struct(f">{len(_SIGNATURE_2)}sBBH")
_VERSION_2: Final = 0x20
_LOCAL: Final = 0
_PROXY: Final = 1
#: Far more than balancers say besides the addresses.
_LONGEST_2: Final = 4096
#: Two addresses and two ports, by family and protocol: those of TCP.
_ADDRESSES_2: Final = {0x11: Struct(">4s4sHH"), 0x21: Struct(">16s16sHH")}


class BadHeader(Exception):
    """What came is no PROXY header; its text says no more of what was sent."""


@implementer(IAddress)
@frozen
class UnknownCaller:
    """
    The address of a caller whose balancer does not say where it is: `UNKNOWN`, or a family other than TCP's.

    The connection is the balancer's, but its address would be wrong: an application may be there, or a route be for the
    network that it is in, and whoever is unknown would pass for those.  So it is at no address at all.

    @ivar balancer: the balancer's host.
    """

    balancer: str
    port: int = 0

    @property
    def host(self) -> str:
        """Words for the log, which are no IP address."""
        return f"an unknown address behind {self.balancer}"


@frozen
class Header:
    """
    @ivar length: in bytes.
    @ivar caller: who called the balancer; None where that is not said.
    @ivar is_local: whether the balancer calls for itself.
    """

    length: int
    caller: IAddress | None = None
    is_local: bool = False


def read_header(data: bytes) -> Header | None:
    """
    The header that a connection begins with; None while it is not complete.

    @raise BadHeader: it does not begin with one.
    """
    if data.startswith(_WORD_1):
        return _read_version_1(data)
    if data.startswith(_SIGNATURE_2):
        return _read_version_2(data)
    if _WORD_1.startswith(data) or _SIGNATURE_2.startswith(data):
        return None
    raise BadHeader("it does not begin with a PROXY header")


def _read_version_1(data: bytes) -> Header | None:
    line, end, _ = data[:_LONGEST_LINE].partition(_LINE_END)
    if not end:
        if len(data) >= _LONGEST_LINE:
            raise _malformed()
        return None
    length = len(line) + len(end)
    _, protocol, *rest = line.split(b" ")
    if protocol == b"UNKNOWN":
        return Header(length)
    try:
        source, destination, source_port, destination_port = (each.decode("ascii") for each in rest)
        _port(destination_port)
        if protocol == b"TCP4":
            IPv4Address(destination)
            return Header(length, TCP4Address("TCP", str(IPv4Address(source)), _port(source_port)))
        if protocol == b"TCP6":
            IPv6Address(destination)
            return Header(length, TCP6Address("TCP", str(IPv6Address(source)), _port(source_port)))
    except ValueError:
        # Also if there are not four of them, or one is not ASCII.
        raise _malformed() from None
    raise _malformed()


def _port(digits: str) -> int:
    if not digits.isdecimal() or int(digits) > 0xFFFF:
        raise ValueError
    return int(digits)


def _read_version_2(data: bytes) -> Header | None:
    if len(data) < _HEAD_2.size:
        return None
    _, version_and_command, family, size = _HEAD_2.unpack_from(data)
    if version_and_command not in (_VERSION_2 | _LOCAL, _VERSION_2 | _PROXY):
        raise _malformed()
    length = _HEAD_2.size + size
    is_local = version_and_command == _VERSION_2 | _LOCAL
    addresses = None if is_local else _ADDRESSES_2.get(family)
    if length > _LONGEST_2 or (addresses is not None and size < addresses.size):
        raise _malformed()
    if len(data) < length:
        return None
    if addresses is None:
        return Header(length, is_local=is_local)
    source, _, port, _ = addresses.unpack_from(data, _HEAD_2.size)
    if len(source) == 4:
        return Header(length, TCP4Address("TCP", str(IPv4Address(source)), port))
    return Header(length, TCP6Address("TCP", str(IPv6Address(source)), port))


def _malformed() -> BadHeader:
    return BadHeader("its PROXY header is malformed")


class _Proxied(ProtocolWrapper):
    """A connection whose PROXY header is read first."""

    factory: _ProxiedFactory
    _deadline: IDelayedCall | None = None
    #: The header as far as it is there; None once it was read.
    _begun: bytes | None = b""
    _caller: IAddress | None = None

    def makeConnection(self, transport: ITransport) -> None:
        # As the wrapper that we inherit from, but for what is behind us: that is connected later.
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        self.factory.registerProtocol(self)  # type: ignore[no-untyped-call]
        self._deadline = self.factory.clock.callLater(self.factory.seconds, self._expire)

    def dataReceived(self, data: bytes) -> None:
        if self._begun is None:
            self.wrappedProtocol.dataReceived(data)
            return
        if self.disconnecting:
            return
        self._begun += data
        try:
            header = read_header(self._begun)
        except BadHeader as error:
            self._cut(str(error))
        else:
            if header is not None:
                self._connect(header, self._begun[header.length :])

    def getPeer(self) -> IAddress:
        return self._balancer if self._caller is None else self._caller

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()
        if self._begun is None:
            super().connectionLost(reason)  # type: ignore[no-untyped-call]
        else:
            # Who only looks whether the port is open has nothing to say, and nothing is said of it.
            self.factory.unregisterProtocol(self)  # type: ignore[no-untyped-call]

    def _connect(self, header: Header, rest: bytes) -> None:
        self._cancel_deadline()
        self._begun = None
        if not header.is_local:
            self._caller = header.caller or UnknownCaller(_host_of(self._balancer))
        self.wrappedProtocol.makeConnection(cast(ITransport, self))
        if rest:
            self.wrappedProtocol.dataReceived(rest)

    @property
    def _balancer(self) -> IAddress:
        return cast(ITransport, self.transport).getPeer()

    def _expire(self) -> None:
        self._deadline = None
        self._cut("no PROXY header in time")

    def _cut(self, why: str) -> None:
        log.info("connection from {host}: cut, {why}", host=_host_of(self._balancer), why=why)
        self._cancel_deadline()
        self.loseConnection()  # type: ignore[no-untyped-call]

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _host_of(address: IAddress) -> str:
    """A socket of this machine has none."""
    return str(getattr(address, "host", "this machine"))


class _ProxiedFactory(WrappingFactory[_Proxied]):
    """
    @param factory: of what is behind the header.
    @param clock: where deadlines are set.
    @param seconds: by when the header must be there.
    """

    protocol = _Proxied
    noisy = False

    def __init__(self, factory: IProtocolFactory, clock: IReactorTime, seconds: float) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        self.clock = clock
        self.seconds = seconds


@implementer(IStreamServerEndpoint)
@frozen
class ProxiedServerEndpoint:
    """
    Listens for what a load balancer passes on to another server endpoint.

    @ivar endpoint: the endpoint to listen on, plain; TLS comes after the header.
    @ivar clock: the reactor.
    @ivar header_seconds: a connection whose header is not complete by then is cut.
    """

    endpoint: IStreamServerEndpoint
    clock: IReactorTime
    header_seconds: float

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        return self.endpoint.listen(_ProxiedFactory(protocolFactory, self.clock, self.header_seconds))
