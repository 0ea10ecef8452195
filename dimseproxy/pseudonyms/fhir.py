"""
FHIR resources to and from a pseudonym service: attempts, their deadline, and what each answer means.

What a service says about an error may repeat the values that it was asked for: of an OperationOutcome only the status
that it came with is told.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from dimseproxy.pseudonyms.auth import Anonymous, IAuthentication
from dimseproxy.pseudonyms.breaker import Breaker
from dimseproxy.pseudonyms.http import Answer, Http
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

FHIR_JSON: Final = "application/fhir+json"

#: Seconds before the second attempt; each further one waits twice as long, up to the last of these.
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 2.0

# The second is that of FHIR before its third release; some gateways leave out that it is FHIR.
_MEDIA_TYPES: Final = frozenset((FHIR_JSON, "application/json+fhir", "application/json"))
#: Statuses that may be another the next time (RFC 9110, RFC 6585).
_PASSING: Final = frozenset((408, 425, 429))

Resource = Mapping[str, Any]


class RequestRefused(SourceRefused):
    """
    The service answered that it does not do what it was asked for.

    @ivar status: of HTTP.
    @ivar outcome: its OperationOutcome; None where it gave none, which a FHIR service does not do.
    """

    def __init__(self, message: str, status: int, outcome: Resource | None) -> None:
        super().__init__(message)
        self.status = status
        self.outcome = outcome


class UnknownDomain(SourceRefused):
    """The service has no domain of the name that the configuration gives."""

    def __init__(self, domain: str) -> None:
        super().__init__(f"the pseudonym service knows no domain {domain!r}")


class FhirService:
    """
    A FHIR base URL.

    @param url: without a slash at its end.
    @param seconds: for a request with all its attempts.
    @param retries: attempts after the first that failed, where another one may help.
    @param chance: between 0 and 1, so that several proxies do not come back at the same moment.
    """

    def __init__(
        self,
        clock: IReactorTime,
        http: Http,
        breaker: Breaker,
        url: str,
        *,
        authentication: IAuthentication | None = None,
        seconds: float = 10.0,
        retries: int = 3,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._http = http
        self._breaker = breaker
        self.url = url.rstrip("/")
        self._authentication: IAuthentication = authentication if authentication is not None else Anonymous()
        self.seconds = seconds
        self._retries = retries
        self._chance = chance

    async def get(self, path: str) -> Resource:
        """
        Read a resource.

        @param path: below the base URL.
        @raise SourceUnavailable: no answer within the deadline, or the breaker is open.
        @raise RequestRefused: an answer with an error.
        @raise SourceRefused: an answer that is no FHIR resource.
        """
        return await self._ask("GET", path, None)

    async def post(self, path: str, resource: Resource) -> Resource:
        """
        Ask for an operation that may be asked for again; see `get`.

        @param path: below the base URL; empty for the base URL itself.
        """
        body = json.dumps(resource, separators=(",", ":")).encode("ascii")
        return await self._ask("POST", path, body)

    def is_away(self) -> None:
        """It was found not to answer: ask it for nothing for a while."""
        self._breaker.open()

    async def _ask(self, method: str, path: str, body: bytes | None) -> Resource:
        until = self._clock.seconds() + self.seconds
        retried, renewed = 0, False
        while True:
            try:
                answer, authorization = await self._attempt(method, path, body, until - self._clock.seconds())
            except SourceUnavailable:
                wait = min(FIRST_WAIT * 2**retried, LONGEST_WAIT) * (0.5 + self._chance())
                retried += 1
                if retried > self._retries or self._clock.seconds() + wait >= until:
                    raise
                await deferLater(self._clock, wait)
                continue
            if answer.status == 401 and not renewed and self._authentication.was_refused(authorization):
                renewed = True
                continue
            return _resource(answer)

    async def _attempt(self, method: str, path: str, body: bytes | None, seconds: float) -> tuple[Answer, str | None]:
        self._breaker.admit()
        try:
            began = self._clock.seconds()
            authorization = await self._authentication.authorization(seconds)
            headers = {"Accept": FHIR_JSON}
            if body is not None:
                headers["Content-Type"] = FHIR_JSON
            if authorization is not None:
                headers["Authorization"] = authorization
            seconds -= self._clock.seconds() - began
            url = f"{self.url}/{path}" if path else self.url
            answer = await self._http.request(method, url, headers, body, seconds)
            if answer.status >= 500 or answer.status in _PASSING:
                raise SourceUnavailable(f"it failed (HTTP {answer.status})")
        except SourceUnavailable as error:
            self._breaker.failed()
            raise SourceUnavailable(f"the pseudonym service does not answer: {error}") from None
        except SourceRefused as error:
            self._breaker.succeeded()
            raise SourceRefused(f"the pseudonym service cannot be used: {error}") from None
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return answer, authorization


def _resource(answer: Answer) -> Resource:
    """The resource of an answer, or what the answer means instead."""
    status = answer.status
    resource = _decoded(answer)
    if 200 <= status < 300:
        if answer.media_type not in _MEDIA_TYPES:
            kind = answer.media_type or "something without a type"
            raise SourceRefused(f"the pseudonym service answers with {kind}, not with FHIR: is its URL right?")
        if resource is None:
            raise SourceRefused("the pseudonym service answers with what is no FHIR resource")
        return resource
    if status in (401, 403):
        raise RequestRefused(f"the pseudonym service does not accept our credentials (HTTP {status})", status, None)
    if 300 <= status < 400:
        message = f"the pseudonym service is somewhere else (HTTP {status}): its URL must be the one that it leads to"
        raise RequestRefused(message, status, None)
    if resource is None or resource.get("resourceType") != "OperationOutcome":
        message = f"there is no such operation at the URL of the pseudonym service (HTTP {status}): is it right?"
        raise RequestRefused(message, status, None)
    raise RequestRefused(f"the pseudonym service refuses the request (HTTP {status})", status, resource)


def _decoded(answer: Answer) -> dict[str, Any] | None:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("resourceType"), str) else None


def operations(statement: Resource) -> frozenset[str]:
    """
    The names of the operations in a CapabilityStatement, without the dollar sign that some put before them.

    @raise SourceRefused: it is another resource.
    """
    if statement.get("resourceType") != "CapabilityStatement":
        raise SourceRefused("the pseudonym service describes itself by no CapabilityStatement: is its URL right?")
    names = set()
    for rest in _dicts(statement.get("rest")):
        for owner in (rest, *_dicts(rest.get("resource"))):
            for operation in _dicts(owner.get("operation")):
                name = operation.get("name")
                if isinstance(name, str):
                    names.add(name.removeprefix("$"))
    return frozenset(names)


def parameters(resource: object) -> list[dict[str, Any]]:
    """
    The parameters of a Parameters resource.

    @raise SourceRefused: it is another resource, or broken.
    """
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        raise SourceRefused("the pseudonym service answers with no Parameters")
    found = resource.get("parameter", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise SourceRefused("the pseudonym service answers with broken Parameters")
    return found


_NAME: Final = itemgetter("name")
#: The type of what JSON has for a text.
_TEXT: Final = frozenset((str,))


def by_name(each: Any) -> dict[str, dict[str, Any]]:
    """
    Parameters, or parts of one, by their names: their order means nothing.

    @param each: a list; None is an empty one.
    @raise SourceRefused: it is something else, one of them has no name, or two have the same, so that one of them would
        be believed by chance.
    """
    if each is None:
        return {}
    try:
        found = dict(zip(map(_NAME, each), each, strict=True))
        is_broken = len(found) < len(each) or not _TEXT.issuperset(map(type, found))
    except (TypeError, KeyError):
        is_broken = True
    if is_broken:
        raise SourceRefused("the pseudonym service answers with broken Parameters")
    return found


def parts(parameter: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parts of a parameter by their names; empty where it has none; raises as `by_name`."""
    return by_name(parameter.get("part"))


def text(parameter: Mapping[str, Any] | None) -> str | None:
    """The text of a parameter of type string or Identifier; None where there is none, or something else."""
    if parameter is None:
        return None
    value = parameter.get("valueString")
    if value is None:
        identifier = parameter.get("valueIdentifier")
        value = identifier.get("value") if isinstance(identifier, dict) else None
    return value if isinstance(value, str) else None


def texts(parameter: Mapping[str, Any]) -> dict[str, str | None]:
    """What the parts of a parameter say, by their names: see `text`; raises as `by_name`."""
    each = parameter.get("part")
    try:
        # A hundred values a call have three parts each, nearly all of them an Identifier and nothing else.
        found: dict[str, str | None] = {part["name"]: part["valueIdentifier"]["value"] for part in each or ()}
        if (
            sum(map(len, each or ())) == 2 * len(found)
            and _TEXT.issuperset(map(type, found))
            and _TEXT.issuperset(map(type, found.values()))
        ):
            return found
    except (KeyError, TypeError):
        pass
    return {name: text(part) for name, part in parts(parameter).items()}


def _dicts(each: object) -> list[dict[str, Any]]:
    return [one for one in each if isinstance(one, dict)] if isinstance(each, list) else []
