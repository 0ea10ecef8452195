"""
Two ends of TLS on real loopback sockets, for tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, cast

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.association.handshake import (
    TLSClientEndpoint,
    TLSServerEndpoint,
    why,
)
from dimseproxy.association.proxied import ProxiedServerEndpoint
from dimseproxy.association.tls import client_creator, server_creator
from tests.association import certificates
from tests.association.certificates import Identity

P = ParamSpec("P")

LOOPBACK = "tcp:0:interface=127.0.0.1"
# Deadlines in seconds: one that no test reaches, one that a test waits for.
LONG = 60.0
SHORT = 0.1
NO_TRANSPORT = cast(TLSMemoryBIOProtocol, None)


class Peer(Protocol):
    """What is behind TLS, or a plain peer: says a first thing, and keeps what it hears."""

    def __init__(self, first: bytes = b"", reply: bytes = b"") -> None:
        self.first = first
        self.reply = reply
        self.heard = b""
        self.connections = 0
        self.caller: IAddress | None = None
        self.lost: Deferred[str] = Deferred()
        self._awaited: tuple[bytes, Deferred[None]] | None = None

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.connections += 1
        self.caller = self.transport.getPeer()
        if self.first:
            self.transport.write(self.first)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.heard += data
        if self.reply:
            self.transport.write(self.reply)
        if self._awaited is not None and self.heard.endswith(self._awaited[0]):
            self._awaited[1].callback(None)
            self._awaited = None

    def hears(self, what: bytes) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if self.heard.endswith(what):
            done.callback(None)
        else:
            self._awaited = what, done
        return done

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(why(reason))

    def cut(self) -> Deferred[str] | None:
        if self.transport is None or self.lost.called:
            return None
        self.transport.abortConnection()  # type: ignore[attr-defined]
        return self.lost


class Peers(Factory):
    noisy = False

    def __init__(self, *peers: Peer) -> None:
        self.waiting = list(peers)

    def buildProtocol(self, addr: IAddress | None) -> Peer | None:
        return self.waiting.pop(0) if self.waiting else None


def asynchronous(
    test: Callable[P, Coroutine[Deferred[Any], Any, None]],
) -> Callable[P, Deferred[None]]:
    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> Deferred[None]:
        return Deferred.fromCoroutine(test(*args, **kwargs))

    return run


class HandshakeTestCase(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.refusals: list[str] = []
        self._refused: Deferred[str] | None = None
        observer = cast(ILogObserver, self._observe)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def _observe(self, event: LogEvent) -> None:
        if event.get("log_namespace") == "dimseproxy.association.handshake":
            self.refusals.append(event["reason"])
            if self._refused is not None:
                self._refused.callback(event["reason"])
                self._refused = None

    def refusal(self) -> Deferred[str]:
        """The next reason that a server of ours logs."""
        self._refused = Deferred()
        return self._refused

    async def listen(
        self,
        creator: IOpenSSLServerConnectionCreator,
        *peers: Peer,
        seconds: float = LONG,
        limit: int = 500,
        is_proxied: bool = False,
    ) -> int:
        plain = serverFromString(reactor, LOOPBACK)
        on = ProxiedServerEndpoint(plain, reactor, seconds) if is_proxied else plain
        endpoint = TLSServerEndpoint(on, creator, reactor, seconds, limit)
        return await self._listen(endpoint, *peers)

    async def listen_plain(self, *peers: Peer) -> int:
        return await self._listen(serverFromString(reactor, LOOPBACK), *peers)

    async def _listen(self, endpoint: Any, *peers: Peer) -> int:
        port = await endpoint.listen(Peers(*peers))
        for peer in peers:
            self.addCleanup(peer.cut)
        self.addCleanup(port.stopListening)
        return int(port.getHost().port)

    async def connect(
        self, creator: IOpenSSLClientConnectionCreator, port: int, peer: Peer, seconds: float = LONG
    ) -> None:
        self.addCleanup(peer.cut)
        await self.connecting(creator, port, peer, seconds)

    def connecting(
        self, creator: IOpenSSLClientConnectionCreator, port: int, peer: Peer, seconds: float = LONG
    ) -> Deferred[Any]:
        plain = clientFromString(reactor, f"tcp:127.0.0.1:{port}")
        return TLSClientEndpoint(plain, creator, reactor, seconds).connect(Peers(peer))

    async def connect_plain(self, port: int, peer: Peer) -> None:
        self.addCleanup(peer.cut)
        await clientFromString(reactor, f"tcp:127.0.0.1:{port}").connect(Peers(peer))


def our_server(identity: Identity | None = None, mutual: bool = False) -> IOpenSSLServerConnectionCreator:
    identity = identity or certificates.server()
    authority = certificates.authority().certificate
    return server_creator(identity.certificate, identity.key, authority if mutual else None, "bcp195")


def our_client(
    host: str = "localhost",
    own: Identity | None = None,
    verify_host: bool = True,
    trusted: Identity | None = None,
) -> IOpenSSLClientConnectionCreator:
    return client_creator(
        host,
        (trusted or certificates.authority()).certificate,
        own.certificate if own else None,
        own.key if own else None,
        verify_host,
        "bcp195",
    )


class ProxiedTLS(Peer):
    """A client of a balancer: a PROXY header, then TLS with C{ping} in it, by a bare OpenSSL connection."""

    def __init__(self, creator: IOpenSSLClientConnectionCreator) -> None:
        super().__init__(first=b"PROXY TCP4 192.0.2.7 192.0.2.8 1024 11112\r\n")
        self.tls = creator.clientConnectionForTLS(NO_TRANSPORT)
        self.tls.set_connect_state()

    def connectionMade(self) -> None:
        super().connectionMade()
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        if data:
            self.tls.bio_write(data)
        try:
            self.tls.do_handshake()
            if not self.heard:
                self.tls.send(b"ping")
            super().dataReceived(self.tls.recv(100))
        except SSL.WantReadError:
            pass
        finally:
            with contextlib.suppress(SSL.WantReadError):
                self.transport.write(self.tls.bio_read(1 << 16))
