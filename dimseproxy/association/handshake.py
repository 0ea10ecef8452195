"""
Endpoints that speak TLS, with a deadline for the handshake.

An association behind them is connected when the handshake is complete, not before: its peer is then verified,
its transport writable, and `getPeer()` is the real caller even after a PROXY header.  A handshake that fails
never reaches it.  They stand on any stream endpoint: over a `ProxiedServerEndpoint` the PROXY header comes in
plain, TLS after it.

    bytes -> TCP -> (PROXY header) -> TLS -> _Handshake, which then steps aside for -> the association
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from attrs import frozen
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.tls import VerifiedConnection, openssl_text
from dimseproxy.errors import OutboundUnreachable

log = Logger()

# What OpenSSL says of bytes that are no TLS record, depending on what they happen to be.
_NOT_TLS: Final = frozenset({"wrong version number", "http request", "https proxy request", "packet length too long"})
_TOO_OLD: Final = frozenset({"unsupported protocol", "tlsv1 alert protocol version"})
_NO_CERTIFICATE: Final = "peer did not return a certificate"


class HandshakeError(OutboundUnreachable):
    """No TLS connection came about; the text says why."""


def why(reason: Failure) -> str:
    """
    Why a TLS connection ended, in words for a log.

    Of use after the handshake too: a TLS 1.3 server refuses our certificate when we have already finished.

    @param reason: what `connectionLost` was given.
    """
    error = reason.value
    if isinstance(error, HandshakeError):
        return str(error)
    if isinstance(error, ConnectionAborted):
        return "aborted"
    if isinstance(error, ConnectionDone | ConnectionLost):
        return "the peer closed the connection"
    if not isinstance(error, SSL.Error):
        return reason.getErrorMessage()
    text = openssl_text(error)
    if text in _NOT_TLS:
        return "the peer does not speak TLS"
    if text in _TOO_OLD:
        return "no TLS version in common: 1.2 or 1.3 is needed"
    if text == _NO_CERTIFICATE:
        return "the peer has sent no certificate"
    return f"TLS: {text}"


@implementer(IHandshakeListener)
class _Handshake(Protocol):
    """Stands in for an association until the TLS handshake is complete, at most until the deadline."""

    _deadline: IDelayedCall | None = None

    def __init__(self, handshakes: _HandshakeFactory, association: IProtocol | None) -> None:
        self._handshakes = handshakes
        self._association = association

    def connectionMade(self) -> None:
        self._handshakes.begun(self)
        if self._association is None:
            self.abandon("refused before the handshake")
        else:
            seconds = self._handshakes.seconds
            self._deadline = self._handshakes.clock.callLater(seconds, self._expire, seconds)

    def handshakeCompleted(self) -> None:
        self._cancel_deadline()
        tls, association = self.transport, self._association
        if not isinstance(tls, TLSMemoryBIOProtocol) or association is None:
            raise TypeError(f"a TLS handshake without TLS: {tls!r}")
        # From here on TLS talks to the association itself; nothing of ours stays in the way of the bytes.
        tls.wrappedProtocol = association
        association.makeConnection(tls)
        self._handshakes.ended(self, association)

    def abandon(self, text: str) -> None:
        """Cut the connection now, for this reason."""
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            self.transport.failVerification(Failure(HandshakeError(text)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._cancel_deadline()
        # Asked now: TLS forgets its OpenSSL connection right after this call.
        handle = self.transport.getHandle() if isinstance(self.transport, TLSMemoryBIOProtocol) else None
        refusal = handle.refusal if isinstance(handle, VerifiedConnection) else None
        self._handshakes.ended(self, HandshakeError(refusal or why(reason)))

    def _expire(self, seconds: float) -> None:
        self._deadline = None
        self.abandon(f"no TLS handshake within {seconds:g} s")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _HandshakeFactory(Factory):
    """
    Builds associations, each behind its handshake.

    `None` from the factory of associations becomes a connection that is cut at once: the wrappers around us
    (TLS and PROXY) cannot deal with `None`.

    @param associations: the factory of what is behind TLS.
    @param clock: where deadlines are set.
    @param seconds: the deadline of a handshake.
    @param outcome: told how each handshake ended: the connected association, or the error.
    @param limit: how many handshakes may be in progress at once.
    """

    noisy = False

    def __init__(
        self,
        associations: IProtocolFactory,
        clock: IReactorTime,
        seconds: float,
        outcome: Callable[[_Handshake, IProtocol | HandshakeError], None],
        limit: float = inf,
    ) -> None:
        self.clock = clock
        self.seconds = seconds
        #: In the order in which they began.
        self.in_progress: dict[_Handshake, None] = {}
        self._associations = associations
        self._outcome = outcome
        self._limit = limit

    def doStart(self) -> None:
        self._associations.doStart()
        super().doStart()  # type: ignore[no-untyped-call]

    def doStop(self) -> None:
        self._associations.doStop()
        super().doStop()  # type: ignore[no-untyped-call]

    def buildProtocol(self, addr: IAddress | None) -> _Handshake:
        if len(self.in_progress) >= self._limit:
            # Whoever is silent the longest makes room: else silent ones would keep everybody out.
            oldest = next(iter(self.in_progress))
            del self.in_progress[oldest]
            oldest.abandon("others wait to be let in")
        return _Handshake(self, self._associations.buildProtocol(addr))  # type: ignore[arg-type]

    def begun(self, handshake: _Handshake) -> None:
        self.in_progress[handshake] = None

    def ended(self, handshake: _Handshake, result: IProtocol | HandshakeError) -> None:
        self.in_progress.pop(handshake, None)
        self._outcome(handshake, result)


class _TLSFactory(TLSMemoryBIOFactory):
    """TLS that encrypts at once what it is given, which is never little by little: Twisted's own waits for more."""

    protocol = TLSMemoryBIOProtocol


@implementer(IStreamServerEndpoint)
@frozen
class TLSServerEndpoint:
    """
    Listens for TLS on what another server endpoint accepts.  A failed handshake is logged, and that is all.

    @ivar endpoint: the endpoint to listen on, plain; one that reads a PROXY header is right too.
    @ivar creator: see `tls.server_creator`.
    @ivar clock: the reactor.
    @ivar handshake_seconds: a peer that has not completed its handshake by then is cut.
    @ivar max_handshakes: how many handshakes may be in progress; for one beyond that the oldest is cut.
    """

    endpoint: IStreamServerEndpoint
    creator: IOpenSSLServerConnectionCreator
    clock: IReactorTime
    handshake_seconds: float
    max_handshakes: int = 500

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        handshakes = _HandshakeFactory(
            protocolFactory, self.clock, self.handshake_seconds, _log_refusal, self.max_handshakes
        )
        return self.endpoint.listen(_TLSFactory(self.creator, False, handshakes, self.clock))


def _log_refusal(handshake: _Handshake, result: IProtocol | HandshakeError) -> None:
    if isinstance(result, HandshakeError) and handshake.transport is not None:
        peer = handshake.transport.getPeer()
        log.info(
            "TLS handshake with {address} failed: {reason}",
            address=getattr(peer, "host", peer),
            reason=str(result),
        )


@implementer(IStreamClientEndpoint)
@frozen
class TLSClientEndpoint:
    """
    Connects with TLS over another client endpoint.

    `connect` gives the association when its handshake is complete.  It fails with a `HandshakeError`, or with
    what the plain endpoint fails with; cancelling it cuts the connection in either stage.

    @ivar endpoint: the endpoint to connect with, plain; it has its own deadline.
    @ivar creator: see `tls.client_creator`.
    @ivar clock: the reactor.
    @ivar handshake_seconds: the deadline of the handshake, counted from the plain connection.
    """

    endpoint: IStreamClientEndpoint
    creator: IOpenSSLClientConnectionCreator
    clock: IReactorTime
    handshake_seconds: float

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        def cut(_: Deferred[IProtocol]) -> None:
            for handshake in tuple(handshakes.in_progress):
                handshake.abandon("cancelled")

        def resolve(_: _Handshake, result: IProtocol | HandshakeError) -> None:
            if completed.called:
                return  # Cancelled, and only now gone.
            if isinstance(result, HandshakeError):
                completed.errback(result)
            else:
                completed.callback(result)

        completed: Deferred[IProtocol] = Deferred(cut)
        handshakes = _HandshakeFactory(protocolFactory, self.clock, self.handshake_seconds, resolve)
        plain = self.endpoint.connect(_TLSFactory(self.creator, True, handshakes, self.clock))
        return plain.addCallback(lambda _: completed)
