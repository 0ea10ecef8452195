"""
HTTP to a service that is part of the trust: no redirect is followed, HTTPS is verified, every answer has an end.

What a service answers may hold identities: it is in no message and in no repr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IConsumer, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    HTTPConnectionPool,
    RequestTransmissionFailed,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

#: A hundred values are 50 KB, and the description of a large FHIR server is 2 MB.
LONGEST_BODY: Final = 8 << 20
#: Seconds for TCP and TLS: a service that is away is known to be before an operation's own deadline.
CONNECT_SECONDS: Final = 5.0
#: Seconds that an idle connection is kept: less than what servers and what stands before them wait.
IDLE_SECONDS: Final = 15

_MEDIA_TYPE: Final = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")
_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@frozen
class Answer:
    """
    @ivar media_type: in lower case, without parameters; empty where the service names none.
    """

    status: int
    media_type: str
    body: bytes = field(repr=False)


class Http:
    """
    Connections to a service, kept between requests.

    @param reactor: with TCP and time.
    @param ca: PEM file with the authorities that the service's certificate must come from; None trusts those that
        the operating system does.
    @param connections: how many are kept.
    @raise SourceRefused: the file of the authorities cannot be used.
    """

    def __init__(
        self, reactor: Any, *, ca: Path | None = None, connections: int = 4, longest_body: int = LONGEST_BODY
    ) -> None:
        self._reactor = reactor
        self._clock = IReactorTime(reactor)
        self._longest_body = longest_body
        self._pool = HTTPConnectionPool(reactor)
        self._pool.maxPersistentPerHost = connections
        self._pool.cachedConnectionTimeout = IDLE_SECONDS
        # Our own attempts are counted and have a deadline.
        self._pool.retryAutomatically = False
        endpoints = _Endpoints(reactor, BrowserLikePolicyForHTTPS(_authorities(ca)))
        agent = Agent.usingEndpointFactory(reactor, endpoints, self._pool)
        self._client = HTTPClient(agent, data_to_body_producer=_Whole)

    def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> Deferred[Answer]:
        """
        Ask, and wait for the whole answer.

        @param url: without identities: it is what servers log.
        @param seconds: by when the answer must have come.
        @return: an answer of whatever status; fails with `SourceUnavailable`, or with `SourceRefused` where the
            answer is too long.
        """
        asking = Deferred.fromCoroutine(self._request(method, url, headers, body))
        asking.addTimeout(max(seconds, 0.0), self._clock, _too_late)
        return asking

    def stop(self) -> Deferred[None]:
        """Close the connections that are idle."""
        closing: Deferred[None] = self._pool.closeCachedConnections()
        return closing

    async def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        try:
            response = await self._client.request(
                method,
                url,
                headers=Headers({name: [value] for name, value in headers.items()}),
                data=body,
                # A redirect would carry identities to where nobody meant them to go.
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            )
        except (CancelledError, SourceUnavailable):
            raise
        except Exception as error:
            raise SourceUnavailable(f"it cannot be reached: {_reason(error)}") from None
        media_type = _media_type(response)
        return Answer(response.code, media_type, await _body(response, self._longest_body))


@implementer(IAgentEndpointFactory)
@frozen
class _Endpoints:
    """Where to connect to for a URL."""

    reactor: Any
    policy: BrowserLikePolicyForHTTPS

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        endpoint: Any = HostnameEndpoint(self.reactor, uri.host, uri.port, timeout=CONNECT_SECONDS)
        if uri.scheme == b"https":
            endpoint = wrapClientTLS(self.policy.creatorForNetloc(uri.host, uri.port), endpoint)
        return _Quiet(endpoint)


@implementer(IStreamClientEndpoint)
@frozen
class _Quiet:
    """An endpoint that does not log each connection."""

    endpoint: IStreamClientEndpoint

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        protocolFactory.noisy = False
        return self.endpoint.connect(protocolFactory)


@implementer(IBodyProducer)
class _Whole:
    """
    A request's body that leaves with its headers.  Twisted's own producer gives way to others after them: where these
    are busy with the last answer, the service would wait for as long.
    """

    def __init__(self, body: bytes) -> None:
        self.length = len(body)
        self._body = body

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._body)
        return succeed(None)

    def pauseProducing(self) -> None:
        """All of it is written."""

    def resumeProducing(self) -> None:
        """All of it is written."""

    def stopProducing(self) -> None:
        """All of it is written."""


class _Body(Protocol):
    """Takes an answer's body, up to a limit."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._chunks: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred(lambda _: self._cut())

    def dataReceived(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._end(Failure(SourceRefused("its answer is too long")))
            self._cut()
        else:
            self._chunks.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # A body without a length ends with its connection; whether it is whole, its reader finds out.
        if reason.check(ResponseDone, PotentialDataLoss):
            self._end(b"".join(self._chunks))
        else:
            self._end(Failure(SourceUnavailable("its answer broke off")))

    def _end(self, result: bytes | Failure) -> None:
        if not self.whole.called:
            self.whole.callback(result)
        self._chunks.clear()

    def _cut(self) -> None:
        transport: Any = self.transport
        if transport is not None:
            # Over TLS a polite end would wait for the other's.
            getattr(transport, "abortConnection", transport.loseConnection)()


def _body(response: IResponse, limit: int) -> Deferred[bytes]:
    body = _Body(limit)
    response.deliverBody(body)
    return body.whole


def _media_type(response: IResponse) -> str:
    values = response.headers.getRawHeaders("content-type") or [""]
    media_type = values[-1].partition(";")[0].strip().lower()
    return media_type if _MEDIA_TYPE.fullmatch(media_type) else ""


def _too_late(_: object, seconds: float) -> Answer:
    raise SourceUnavailable("its answer did not come in time")


def _authorities(ca: Path | None) -> Any:
    if ca is None:
        return None
    try:
        certificates = [Certificate.loadPEM(each) for each in _CERTIFICATE.findall(ca.read_bytes())]
    except (OSError, SSL.Error, ValueError) as error:
        raise SourceRefused(f"{ca} cannot be used: {error}") from None
    if not certificates:
        raise SourceRefused(f"{ca} has no certificate in it")
    return trustRootFromCertificates(certificates)


def _reason(error: Exception) -> str:
    """What went wrong with a connection, in words that hold nothing of what was sent."""
    if isinstance(error, (ResponseNeverReceived, ResponseFailed, RequestTransmissionFailed)):
        reasons = [reason.value for reason in error.reasons]
        told = [reason for reason in reasons if isinstance(reason, (SSL.Error, VerificationError))]
        return _reason((told or reasons or [ConnectionClosed()])[0])
    if isinstance(error, VerificationError):
        return "its certificate is not for this host"
    if isinstance(error, SSL.Error):
        details = error.args[0] if error.args and isinstance(error.args[0], list) else []
        return "TLS failed: " + (str(details[0][-1]) if details else "unexpected end")
    if isinstance(error, DNSLookupError):
        return "its host name is unknown"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, ConnectError):
        return str(error)
    if isinstance(error, ConnectionClosed):
        return "the connection was closed"
    return type(error).__name__
