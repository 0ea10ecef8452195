"""Makes a source of a pseudonym service out of plain values, as a configuration has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.auth import Anonymous, Basic, ClientCredentials, IAuthentication
from dimseproxy.pseudonyms.breaker import Breaker
from dimseproxy.pseudonyms.fhir import FhirService
from dimseproxy.pseudonyms.http import Http
from dimseproxy.pseudonyms.remote import IDialect, RemotePseudonyms


@frozen
class Client:
    """What `ClientCredentials` are made of."""

    url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None


def service_source(
    reactor: Any,
    dialect: IDialect,
    url: str,
    domains: Mapping[Kind, str],
    *,
    credentials: Basic | Client | None = None,
    ca: Path | None = None,
    seconds: float = 10.0,
    retries: int = 2,
    batch: int = 100,
    concurrency: int = 4,
    cache_entries: int = 100_000,
    cache_seconds: float = 3600.0,
) -> RemotePseudonyms:
    """
    A source that asks a service; see `Http`, `FhirService` and `RemotePseudonyms` for the arguments.

    @param dialect: `Gpas(...)` or `Mii(...)`.
    @param credentials: who we are to the service.
    @raise SourceRefused: `ca` cannot be used.
    """
    clock = IReactorTime(reactor)
    http = Http(reactor, ca=ca, connections=concurrency)
    authentication: IAuthentication
    if isinstance(credentials, Client):
        authentication = ClientCredentials(
            clock, http, credentials.url, credentials.client_id, credentials.client_secret, credentials.scope
        )
    else:
        authentication = credentials or Anonymous()
    service = FhirService(
        clock,
        http,
        Breaker(clock, f"the pseudonym service {url}"),
        url,
        authentication=authentication,
        seconds=seconds,
        retries=retries,
    )
    return RemotePseudonyms(
        clock,
        http,
        service,
        dialect,
        domains,
        batch=batch,
        concurrency=concurrency,
        cache_entries=cache_entries,
        cache_seconds=cache_seconds,
    )
