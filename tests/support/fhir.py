"""
A FHIR service to ask pseudonyms of, as a real HTTP server on the loopback: what gPAS and the MII interface share.

It checks each request against the interface, keeps what was wrong in `violations`, and can be made to fail in every
way that a service was seen to.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from enum import Enum
from hashlib import sha256
from typing import Any

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IReactorTCP, IReactorTime
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.internet.task import deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from tests.association.certificates import Identity

FHIR_JSON = "application/fhir+json"
ISSUER = "/realms/ttp/protocol/openid-connect/token"


class Mode(Enum):
    """How the service answers."""

    WELL = "well"
    HANGS = "never"
    FAILS = "500 with an OperationOutcome that repeats what was asked"
    AWAY = "503 of a reverse proxy, in HTML"
    HTML = "200 with a login page"
    WRONG_TYPE = "numbers in the place of texts"
    PARTIAL = "without the last value"
    GARBAGE = "no JSON"
    DEEP = "JSON that is nested without end"
    OVERSIZE = "without end"
    CUT = "the beginning of an answer, then a closed connection"
    REDIRECT = "somewhere else"
    ERROR_TEXT = "the text of an error in the place of a value"
    ECHO = "each value as its own pseudonym"
    COLLISION = "one pseudonym for all"
    FOREIGN = "about other values"
    INVALID = "what no data set can hold"
    DOUBLE = "two pseudonyms for each value"
    LIST = "a JSON array"
    OTHER_DOMAIN = "out of another domain"
    ERRORS = "an error for each value"


class Domain:
    """
    Originals and their pseudonyms.

    @param shape: `text`, `short` (16 characters at most) or `uid`.
    @ivar ignores_case: whether it takes originals for one that differ in case only, as a database may.
    """

    def __init__(self, name: str, shape: str = "text") -> None:
        self.name = name
        self.shape = shape
        self.pseudonyms: dict[str, str] = {}
        self.originals: dict[str, str] = {}
        self.ignores_case = False

    def known(self, original: str) -> str:
        """An original as it came first."""
        if not self.ignores_case:
            return original
        return next((each for each in self.pseudonyms if each.casefold() == original.casefold()), original)

    def pseudonym(self, original: str) -> str:
        original = self.known(original)
        if original not in self.pseudonyms:
            digest = sha256(f"{self.name}\0{original}".encode()).digest()
            number = int.from_bytes(digest[:16], "big")
            self.put(
                original, {"uid": f"2.25.{number}", "short": f"{number % 10**14}"}.get(self.shape, f"psn_{number:x}")
            )
        return self.pseudonyms[original]

    def put(self, original: str, pseudonym: str) -> None:
        self.pseudonyms[original] = pseudonym
        self.originals[pseudonym] = original


class Refusal(Exception):
    """The service answers with an error."""

    def __init__(self, status: int, code: str, diagnostics: str, expression: str = "") -> None:
        super().__init__(diagnostics)
        self.status = status
        self.outcome = {
            "resourceType": "OperationOutcome",
            "issue": [
                {"severity": "error", "code": code, "diagnostics": diagnostics}
                | ({"expression": [expression]} if expression else {})
            ],
        }


class FhirStandIn:
    """
    @ivar mode: how it answers from now on.
    @ivar delay: seconds before each answer.
    @ivar fail_next: requests that are answered by 503 before it goes on well.
    @ivar violations: what requests had wrong with them.
    @ivar asked: the values of each request, in the order of their arrival.
    @ivar most_at_once: the most requests that waited for an answer together.
    @ivar basic: user and password that it wants; None lets anybody in.
    @ivar bearer: the bearer that it wants, which its issuer gives out; None wants none.
    """

    path = ""
    operations: tuple[str, ...] = ()

    def __init__(self, *domains: Domain) -> None:
        self.domains = {domain.name: domain for domain in domains}
        self.mode = Mode.WELL
        self.delay = 0.0
        self.fail_next = 0
        self.violations: list[str] = []
        self.asked: list[tuple[str, ...]] = []
        self.paths: list[str] = []
        self.most_at_once = 0
        self.basic: tuple[str, str] | None = None
        self.bearer: str | None = None
        self.client: tuple[str, str] = ("dimseproxy", "secret")
        self.bearers_given = 0
        self.bearer_seconds = 300
        self._at_once = 0
        self._port: IListeningPort | None = None
        self._connections: _Connections
        self._scheme = "http"

    @property
    def origin(self) -> str:
        assert self._port is not None
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        return f"{self._scheme}://127.0.0.1:{address.port}"

    @property
    def url(self) -> str:
        return self.origin + self.path

    def start(self, port: int = 0, identity: Identity | None = None) -> None:
        """Listen on the loopback, by TLS with an identity."""
        self._connections = _Connections(Site(_Everything(self)))
        if identity is None:
            self._port = IReactorTCP(reactor).listenTCP(
                port,
                self._connections,  # type: ignore[arg-type]
                interface="127.0.0.1",
            )
        else:
            self._scheme = "https"
            context = DefaultOpenSSLContextFactory(str(identity.key), str(identity.certificate))
            self._port = reactor.listenSSL(  # type: ignore[attr-defined]
                port, self._connections, context, interface="127.0.0.1"
            )

    @property
    def port(self) -> int:
        assert self._port is not None
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        return address.port

    def stop(self) -> Deferred[None]:
        """Close the port and every connection."""
        port, self._port = self._port, None
        if port is None:
            return succeed(None)
        closing: list[Deferred[Any]] = [maybeDeferred(port.stopListening), self._connections.close()]
        return gatherResults(closing, consumeErrors=True).addCallback(lambda _: None)

    def operate(self, path: str, document: Any) -> Any:
        """
        The answer to a request.

        @param path: below the base URL.
        @raise Refusal: the answer is an error.
        """
        raise NotImplementedError

    def violate(self, what: str) -> Refusal:
        self.violations.append(what)
        return Refusal(400, "invalid", what)

    def domain(self, name: object) -> Domain:
        if name not in self.domains:
            raise Refusal(404, "not-found", f"unknown domain {name}", "Parameters.parameter.where(name='target')")
        return self.domains[str(name)]

    def statement(self) -> dict[str, Any]:
        operations = [
            {"name": name, "definition": f"{self.url}/OperationDefinition/{name}"} for name in self.operations
        ]
        return {
            "resourceType": "CapabilityStatement",
            "fhirVersion": "4.0.1",
            "rest": [{"mode": "server", "operation": operations}],
        }

    def answer(self, request: Request) -> None:
        """Begin to answer."""
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        is_gone = []

        def gone(_: object) -> None:
            is_gone.append(True)
            self._at_once -= 1

        request.notifyFinish().addBoth(gone)

        def reply(_: object) -> None:
            if not is_gone:
                self._reply(request)

        if self.mode is not Mode.HANGS:
            deferLater(IReactorTime(reactor), self.delay).addCallback(reply)

    def _reply(self, request: Request) -> None:
        if request.path.decode() == ISSUER:
            self._issue(request)
            return
        if self.fail_next:
            self.fail_next -= 1
            _send(request, 503, b"<html>back soon</html>", "text/html")
            return
        if _BY_MODE.get(self.mode, lambda _: False)(request):
            return
        try:
            self._authorize(request)
            status, resource = 200, self._resource(request)
        except Refusal as refusal:
            status, resource = refusal.status, refusal.outcome
        if self.mode is Mode.LIST:
            resource = [resource]
        _send(request, status, json.dumps(resource).encode(), FHIR_JSON + ";charset=UTF-8")

    def _authorize(self, request: Request) -> None:
        given = request.getHeader("authorization")
        wanted = None
        if self.basic is not None:
            wanted = "Basic " + b64encode(":".join(self.basic).encode()).decode()
        elif self.bearer is not None:
            wanted = f"Bearer {self.bearer}"
        if given != wanted:
            raise Refusal(401, "login", "who are you?")

    def _resource(self, request: Request) -> Any:
        path = request.path.decode()
        if not path.startswith(self.path):
            raise Refusal(404, "not-found", "no such path")
        path = path[len(self.path) :].strip("/")
        if path == "metadata":
            if request.method != b"GET":
                raise self.violate("metadata are read by GET")
            return self.statement()
        if request.method != b"POST":
            raise self.violate("operations are asked for by POST")
        if request.getHeader("content-type") != FHIR_JSON:
            raise self.violate(f"requests are {FHIR_JSON}")
        if request.uri != request.path:
            raise self.violate("nothing belongs into the URL")
        assert request.content is not None
        try:
            document = json.loads(request.content.read())
        except ValueError:
            raise self.violate("requests are JSON") from None
        self.paths.append(path)
        return self.operate(path, document)

    def _issue(self, request: Request) -> None:
        """Give out the bearer, as a Keycloak realm does."""
        if request.method != b"POST" or request.args != {b"grant_type": [b"client_credentials"]}:
            self.violations.append("a bearer is asked for by POST of grant_type=client_credentials")
        if request.getHeader("authorization") != "Basic " + b64encode(":".join(self.client).encode()).decode():
            _send(request, 401, b'{"error": "unauthorized_client"}', "application/json")
            return
        self.bearers_given += 1
        self.bearer = f"bearer-{self.bearers_given}"
        given = {"access_token": self.bearer, "token_type": "Bearer", "expires_in": self.bearer_seconds}
        _send(request, 200, json.dumps(given).encode(), "application/json")


class _Everything(Resource):
    """One resource for all paths."""

    isLeaf = True

    def __init__(self, owner: FhirStandIn) -> None:
        super().__init__()
        self._owner = owner

    def render(self, request: Request) -> int:
        self._owner.answer(request)
        return NOT_DONE_YET


class _Connections(WrappingFactory):
    """Knows the connections that are open."""

    noisy = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        site.noisy = False
        self._closed: Deferred[None] | None = None

    def unregisterProtocol(self, p: ProtocolWrapper) -> None:
        super().unregisterProtocol(p)
        if self._closed is not None and not self.protocols:
            self._closed.callback(None)

    def close(self) -> Deferred[None]:
        self._closed = Deferred()
        for protocol in list(self.protocols):
            protocol.abortConnection()
        if not self.protocols and not self._closed.called:
            self._closed.callback(None)
        return self._closed


def _send(request: HttpRequest, status: int, body: bytes, media_type: str) -> None:
    request.setResponseCode(status)
    request.setHeader("content-type", media_type)
    request.setHeader("content-length", str(len(body)))
    request.write(body)
    request.finish()


def _fails(request: Request) -> bool:
    assert request.content is not None
    said = request.content.read().decode()
    _send(request, 500, json.dumps(Refusal(500, "exception", f"failed at {said}").outcome).encode(), FHIR_JSON)
    return True


def _sends(status: int, body: bytes, media_type: str) -> Callable[[Request], bool]:
    def send(request: Request) -> bool:
        _send(request, status, body, media_type)
        return True

    return send


def _oversize(request: Request) -> bool:
    request.setHeader("content-type", FHIR_JSON)
    for _ in range(64):
        request.write(b" " * (1 << 18))
    request.finish()
    return True


def _cut(request: Request) -> bool:
    request.setHeader("content-type", FHIR_JSON)
    request.setHeader("content-length", "1000")
    request.write(b'{"resourceType": "Parameters", "parameter": [')
    request.loseConnection()
    return True


def _redirect(request: Request) -> bool:
    request.setHeader("location", "/elsewhere")
    _send(request, 307, b"", "text/html")
    return True


_BY_MODE: dict[Mode, Callable[[Request], bool]] = {
    Mode.FAILS: _fails,
    Mode.AWAY: _sends(503, b"<html>Service Unavailable</html>", "text/html"),
    Mode.HTML: _sends(200, b"<html>Please log in</html>", "text/html; charset=utf-8"),
    Mode.GARBAGE: _sends(200, b'{"resourceType": "Parameters", ', FHIR_JSON),
    Mode.DEEP: _sends(200, b"[" * 1_000_000, FHIR_JSON),
    Mode.OVERSIZE: _oversize,
    Mode.CUT: _cut,
    Mode.REDIRECT: _redirect,
}
