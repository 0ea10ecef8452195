"""Twisted endpoint strings, checked by rehearsal: Twisted acts on them with a reactor that only takes notes.

No port is opened, no name resolved. Twisted's own parsers decide what is valid, so a string that passes here
is one that `serverFromString` and `clientFromString` will take.
"""

from __future__ import annotations

import ipaddress
from typing import Any, cast

from attrs import define, field, frozen
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Text, fault_of_host
from dimseproxy.config.reading import Reading

LISTEN_EXAMPLE = "tcp:11112:interface=127.0.0.1"
CONNECT_EXAMPLE = "tcp:192.0.2.10:104"
_WILDCARDS = ("", "0.0.0.0", "::")
_TLS_BELONGS_ELSEWHERE = "TLS is configured by the key `tls` beside this one: write the endpoint with `tcp:`"


class BadEndpoint(Exception):
    """An endpoint string that cannot be used; its text says why and what would be right."""


@frozen
class Address:
    """Where an endpoint string points.

    TCP: `host` (the interface of a listener, empty for all) and `port`. UNIX: `path`. A socket handed over
    by systemd has neither. `proxied`: callers come through a load balancer and the PROXY protocol.
    """

    host: str = ""
    port: int | None = None
    path: str | None = None
    proxied: bool = False

    @property
    def is_local(self) -> bool:
        """Whether only this machine can call. Behind a load balancer anybody can, whatever the interface."""
        if self.proxied:
            return False
        if self.path is not None:
            return True
        return self.port is not None and self.host not in _WILDCARDS and _is_loopback(self.host)

    def reaches(self, listener: Address) -> bool:
        """Whether who connects to this address is at a listener of the same machine."""
        if self.path is not None or listener.path is not None:
            return self.path == listener.path
        if not self.port or self.port != listener.port:
            return False
        own, others = (host.replace("localhost", "127.0.0.1") for host in (self.host, listener.host))
        return own == others or (others in _WILDCARDS and _is_loopback(own))

    def overlaps(self, other: Address) -> bool:
        """Whether the two cannot both be listened on."""
        if self.path is not None or other.path is not None:
            return self.path == other.path
        # Port 0 asks the system for a free one, each time another.
        if not self.port or self.port != other.port:
            return False
        hosts = {self.host.replace("localhost", "127.0.0.1"), other.host.replace("localhost", "127.0.0.1")}
        return len(hosts) == 1 or not hosts.isdisjoint(_WILDCARDS)


@define
class _Rehearsal:
    """A reactor that notes where it was asked to listen or to connect, and does neither."""

    address: Address | None = field(default=None)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> None:
        self.address = Address(host=interface, port=port)

    def listenUNIX(self, address: str, factory: Any, **options: object) -> None:
        self.address = Address(path=address)

    def connectTCP(self, host: str, port: int, factory: Any, timeout: int = 30, bindAddress: Any = None) -> None:
        self.address = Address(host=host, port=port)

    def connectUNIX(self, address: str, factory: Any, **options: object) -> None:
        self.address = Address(path=address)


def listen_address(description: str) -> Address:
    """Where a server endpoint string would listen. Raises `BadEndpoint`."""
    scheme, *rest = description.split(":", 2)
    proxied = scheme == "haproxy"
    if proxied and rest:
        scheme = rest[0]
    if scheme in ("ssl", "tls"):
        raise BadEndpoint(_TLS_BELONGS_ELSEWHERE)
    if scheme == "systemd":
        # Its parser looks for the sockets in the environment, which only a start by systemd has.
        if not any(word in description for word in (":index=", ":name=")) or ":domain=" not in description:
            raise BadEndpoint("must name the socket: write `systemd:domain=INET:index=0` or `...:name=NAME`")
        return Address(proxied=proxied)
    if scheme not in ("tcp", "tcp6", "unix"):
        raise BadEndpoint(
            f"`{description}` is no server endpoint: it begins with `tcp:`, `tcp6:`, `unix:` or `systemd:`, "
            f"or with `haproxy:` and one of these, for example `{LISTEN_EXAMPLE}`"
        )
    address = _rehearse(description, LISTEN_EXAMPLE, server=True)
    if address.port is not None and not 0 <= address.port <= 65535:
        raise BadEndpoint(f"asks for port {address.port}: ports are 1 to 65535 (0 takes any free one)")
    if address.host and not _is_address(address.host) and address.host != "localhost":
        raise BadEndpoint(f"`interface={address.host}` is not an IP address of this machine")
    return Address(address.host, address.port, address.path, proxied)


def connect_address(description: str) -> Address:
    """Where a client endpoint string would connect. Raises `BadEndpoint`."""
    scheme = description.partition(":")[0].lower()
    if scheme in ("ssl", "tls"):
        raise BadEndpoint(_TLS_BELONGS_ELSEWHERE)
    if scheme not in ("tcp", "unix"):
        raise BadEndpoint(
            f"`{description}` is no client endpoint: it begins with `tcp:` or `unix:`, for example `{CONNECT_EXAMPLE}`"
        )
    address = _rehearse(description, CONNECT_EXAMPLE, server=False)
    if address.port is not None and not 1 <= address.port <= 65535:
        raise BadEndpoint(f"asks for port {address.port}: ports are 1 to 65535")
    if address.path is None and not address.host:
        raise BadEndpoint(f"names no host: write it as `{CONNECT_EXAMPLE}`")
    fault = None if address.path is not None else fault_of_host(address.host)
    if fault:
        raise BadEndpoint(fault)
    return address


def _rehearse(description: str, example: str, *, server: bool) -> Address:
    rehearsal = _Rehearsal()
    reactor = cast(IReactorCore, rehearsal)
    try:
        if server:
            serverFromString(reactor, description).listen(Factory())
        else:
            clientFromString(reactor, description).connect(Factory())
    # The parsers are plain function calls with what was between the colons: a word too many or too few is a
    # TypeError, a port that is no number a ValueError, a string that ends in a backslash a RuntimeError.
    except (ValueError, TypeError, LookupError, RuntimeError) as error:
        raise BadEndpoint(_wrong_form(description, example)) from error
    if rehearsal.address is None:
        raise BadEndpoint(_wrong_form(description, example))
    return rehearsal.address


def _wrong_form(description: str, example: str) -> str:
    text = f"`{description}` is no endpoint string that Twisted can read: write it as `{example}`"
    if "[" in description or "::" in description:
        text += r"; the colons of an IPv6 address are escaped: `tcp:\:\:1:104`"
    return text


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


@frozen
class ListenString(Text):
    """A Twisted server endpoint string."""

    label: str = "a Twisted server endpoint string"

    def not_text(self, node: Node) -> str:
        return f'`{node.text}` is no endpoint string: write, for example, "{LISTEN_EXAMPLE}"'

    def check(self, node: Node, reading: Reading) -> str:
        try:
            listen_address(node.text)
        except BadEndpoint as fault:
            reading.refuse(node, str(fault))
        return node.text


@frozen
class ConnectString(Text):
    """A Twisted client endpoint string."""

    label: str = "a Twisted client endpoint string"

    def not_text(self, node: Node) -> str:
        return f'`{node.text}` is no endpoint string: write, for example, "{CONNECT_EXAMPLE}"'

    def check(self, node: Node, reading: Reading) -> str:
        try:
            connect_address(node.text)
        except BadEndpoint as fault:
            reading.refuse(node, str(fault))
        return node.text
