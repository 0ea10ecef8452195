"""Who we are to a pseudonym service: nobody, a user with a password (RFC 7617), a client with a bearer (RFC 6750)."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, Final
from urllib.parse import quote, urlencode

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from dimseproxy.pseudonyms.http import Answer, Http
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

#: Seconds before its end at which a bearer is renewed: clocks differ, and requests take their time.
RENEW_BEFORE: Final = 30.0
#: Seconds that a bearer is taken to be good for where its issuer does not say (RFC 6749 5.1 recommends to say).
UNSAID_LIFETIME: Final = 60.0


class IAuthentication(Interface):
    """What a request is authorised by."""

    def authorization(seconds: float) -> Deferred[str | None]:
        """
        The value of the Authorization header, or None for a request without.

        @param seconds: within which it must be there.
        @return: fails with `SourceUnavailable` or `SourceRefused`.
        """

    def was_refused(authorization: str | None) -> bool:
        """The service answered 401 to this one: whether another one may be had."""


@implementer(IAuthentication)
@frozen
class Anonymous:
    """Without authorisation."""

    def authorization(self, seconds: float) -> Deferred[str | None]:
        return succeed(None)

    def was_refused(self, authorization: str | None) -> bool:
        return False


@implementer(IAuthentication)
@frozen
class Basic:
    """A user with a password."""

    user: str
    password: str = field(repr=False)

    def authorization(self, seconds: float) -> Deferred[str | None]:
        return succeed(_basic(self.user, self.password))

    def was_refused(self, authorization: str | None) -> bool:
        return False


@implementer(IAuthentication)
class ClientCredentials:
    """
    A client that gets bearers from an issuer, such as a Keycloak realm, by its own credentials (RFC 6749 4.4).

    @param url: the issuer's token endpoint.
    @param scope: what is asked for; None leaves that to the issuer.
    """

    def __init__(
        self, clock: IReactorTime, http: Http, url: str, client_id: str, client_secret: str, scope: str | None = None
    ) -> None:
        self._clock = clock
        self._http = http
        self._url = url
        # RFC 6749 2.3.1: both are form-encoded before they become a user and a password.
        self._credentials = _basic(quote(client_id, safe=""), quote(client_secret, safe=""))
        form = {"grant_type": "client_credentials"} | ({} if scope is None else {"scope": scope})
        self._form = urlencode(form).encode("ascii")
        self._bearer: str | None = None
        self._until = 0.0
        self._waiting: list[Deferred[str | None]] | None = None

    def authorization(self, seconds: float) -> Deferred[str | None]:
        if self._bearer is not None and self._clock.seconds() < self._until:
            return succeed(self._bearer)
        waiting: Deferred[str | None] = Deferred()
        if self._waiting is None:
            # One renewal serves everybody who waits.
            self._waiting = [waiting]
            Deferred.fromCoroutine(self._renew(seconds)).addBoth(self._renewed)
        else:
            self._waiting.append(waiting)
        return waiting

    def was_refused(self, authorization: str | None) -> bool:
        if authorization == self._bearer:
            self._bearer = None
        return True

    async def _renew(self, seconds: float) -> str:
        headers = {
            "Authorization": self._credentials,
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            answer = await self._http.request("POST", self._url, headers, self._form, seconds)
        except SourceUnavailable as error:
            raise SourceUnavailable(f"the issuer of bearers: {error}") from None
        except SourceRefused as error:
            raise SourceRefused(f"the issuer of bearers: {error}") from None
        if answer.status >= 500 or answer.status == 429:
            raise SourceUnavailable(f"the issuer of bearers failed (HTTP {answer.status})")
        if answer.status != 200:
            raise SourceRefused(f"the issuer of bearers does not accept our credentials (HTTP {answer.status})")
        self._bearer, lifetime = _bearer(answer)
        self._until = self._clock.seconds() + max(lifetime - RENEW_BEFORE, lifetime / 2)
        return self._bearer

    def _renewed(self, result: str | Failure) -> None:
        waiting, self._waiting = self._waiting or [], None
        for each in waiting:
            each.callback(Failure(result.value) if isinstance(result, Failure) else result)


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _bearer(answer: Answer) -> tuple[str, float]:
    """What an issuer gave, and for how many seconds."""
    try:
        document: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise SourceRefused("the issuer of bearers answers with something else: is its URL right?")
    bearer, kind, lifetime = (document.get(name) for name in ("access_token", "token_type", "expires_in"))
    if not isinstance(bearer, str) or not bearer.isascii() or not bearer.isprintable() or not bearer:
        raise SourceRefused("the issuer of bearers gave none")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise SourceRefused("the issuer of bearers gave something else than a bearer")
    if isinstance(lifetime, bool) or not isinstance(lifetime, (int, float)) or not 0 < lifetime < 1e9:
        lifetime = UNSAID_LIFETIME
    return f"Bearer {bearer}", float(lifetime)
