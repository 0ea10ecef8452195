"""Where pseudonyms come from: the settings of each source, and the secrets and accounts that they need.

Secrets are named by a file or an environment variable, so that printing a configuration cannot show one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from attrs import field, frozen

from dimseproxy.config.certificates import CertificateFile
from dimseproxy.config.document import Node
from dimseproxy.config.frozen_mapping import FrozenMapping, freeze
from dimseproxy.config.kinds import FilePath, Kind, Member, Seconds, Text, Whole, one_of
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import MappingOf, OneOf, Record, setting

#: What a value can identify; a pseudonym service may have a domain for each.
KINDS: Final = ("patient", "study", "series", "instance", "uid", "accession", "study-id", "other")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_KIND_NAME = Member("a kind of value: " + ", ".join(f"`{kind}`" for kind in KINDS), KINDS)


@frozen
class SecretFile(FilePath):
    """A file whose content is a secret. What it holds is never part of a message."""

    label: str = "a file"

    def fault_of(self, content: bytes) -> str | None:
        return None if content.strip() else "is empty"


@frozen
class VariableName(Text):
    """The name of an environment variable that is set."""

    label: str = "the name of an environment variable"

    def check(self, node: Node, reading: Reading) -> str:
        if not _VARIABLE.match(node.text):
            # What stands here may be the secret itself, so it is not shown.
            reading.refuse(node, "is no name of an environment variable: write the name, not the secret")
        if not os.environ.get(node.text, "").strip():
            reading.refuse(node, f"the environment variable `{node.text}` is not set")
        return node.text


@frozen
class ServiceURL(Text):
    """The base address of an HTTP service, without a trailing slash."""

    label: str = "a URL"

    def check(self, node: Node, reading: Reading) -> str:
        try:
            parts = urlsplit(node.text)
            port = parts.port
        except ValueError:
            reading.refuse(node, "is no URL: write it as `https://host:port/path`")
        if parts.username is not None or parts.password is not None:
            reading.refuse(node, "holds a user or a password: these belong under `auth`")
        if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
            reading.refuse(node, "is no URL of a service: write it as `https://host:port/path`")
        if parts.query or parts.fragment or any(character.isspace() for character in node.text):
            reading.refuse(node, "must be the address alone, without `?`, `#` or spaces")
        return node.text.rstrip("/")


@frozen(kw_only=True)
class Secret:
    """Where a secret is read from: a file or an environment variable, one of the two."""

    file: Path | None = field(
        default=None,
        metadata=setting(SecretFile(), "The file that holds it.", example="secret.txt", default="none"),
    )
    environment: str | None = field(
        default=None,
        metadata=setting(
            VariableName(), "The environment variable that holds it.", example="DIMSEPROXY_SECRET", default="none"
        ),
    )


def _check_secret(secret: Secret, node: Node, reading: Reading) -> None:
    if (secret.file is None) == (secret.environment is None):
        reading.note(node, "must name one place: write `{file: FILE}` or `{environment: NAME}`")


SECRET: Final = Record(Secret, "a file or an environment variable", check=_check_secret)
_SECRET_EXAMPLE = "{file: secret.txt}"


@frozen(kw_only=True)
class BasicAuth:
    """HTTP Basic authentication (RFC 7617)."""

    user: str = field(metadata=setting(Text(), "The user.", example="dimseproxy"))
    password: Secret = field(metadata=setting(SECRET, "Where the password is read from.", example=_SECRET_EXAMPLE))


@frozen(kw_only=True)
class BearerAuth:
    """An OAuth 2.0 access token by client credentials (RFC 6749 4.4), renewed before it expires."""

    token_url: str = field(
        metadata=setting(
            ServiceURL(),
            "Where tokens are asked for.",
            example="https://login.example.org/realms/ttp/protocol/openid-connect/token",
        )
    )
    client_id: str = field(metadata=setting(Text(), "The client.", example="dimseproxy"))
    client_secret: Secret = field(
        metadata=setting(SECRET, "Where the client's secret is read from.", example=_SECRET_EXAMPLE)
    )
    scope: str | None = field(
        default=None, metadata=setting(Text(), "The scope to ask for.", example="gpas", default="none is asked for")
    )


def _auth_form(auth: BasicAuth | BearerAuth) -> str:
    return "basic" if isinstance(auth, BasicAuth) else "bearer"


_AUTH: Final[OneOf[BasicAuth | BearerAuth]] = OneOf(
    forms={"basic": Record(BasicAuth, "an account"), "bearer": Record(BearerAuth, "a client")}, form_of=_auth_form
)


@frozen(kw_only=True)
class CacheSettings:
    """Answers of a source that are kept in memory, so that it is not asked twice."""

    entries: int = field(
        default=100_000, metadata=setting(Whole(0, 10_000_000), "The most of them; 0 keeps none.", example="100000")
    )
    seconds: float = field(
        default=3600.0, converter=float, metadata=setting(Seconds(), "How long each stays.", example="600")
    )


# mypy cannot infer the type of a generic converter.
def _freeze_domains(entries: Mapping[str, str]) -> Mapping[str, str]:
    return freeze(entries)


def _freeze_files(entries: Mapping[str, Path]) -> Mapping[str, Path]:
    return freeze(entries)


@frozen(kw_only=True)
class VaultSettings:
    """The embedded source: pseudonyms by a keyed hash, originals in an encrypted table of the database."""


@frozen(kw_only=True)
class ServiceSettings:
    """What every pseudonym service that is asked over HTTP has in common."""

    url: str = field(
        metadata=setting(
            ServiceURL(), "The base address of the service.", example="https://gpas.example.org/ttp-fhir/fhir/gpas"
        )
    )
    domain: str | None = field(
        default=None,
        metadata=setting(
            Text(),
            "The domain of every kind of value that `domains` does not name.",
            example="research",
            default="kinds without a domain get their pseudonyms from the vault",
        ),
    )
    domains: Mapping[str, str] = field(
        default=FrozenMapping(),
        converter=_freeze_domains,
        metadata=setting(
            MappingOf(_KIND_NAME, Text("a domain")),
            "The domain of each kind of value.",
            example="{patient: research-patients, study: research-uids}",
            default="none",
        ),
    )
    auth: BasicAuth | BearerAuth | None = field(
        default=None,
        metadata=setting(
            _AUTH,
            "How the proxy shows who it is.",
            example="{basic: {user: dimseproxy, password: {file: secret.txt}}}",
            default="it does not",
        ),
    )
    ca: Path | None = field(
        default=None,
        metadata=setting(
            CertificateFile(),
            "The authorities that may have issued the certificate of an `https` service.",
            example="ca.pem",
            default="those the system trusts",
        ),
    )
    timeout: float = field(
        default=10.0,
        converter=float,
        metadata=setting(Seconds(600), "For one request, retries included.", example="10"),
    )
    retries: int = field(
        default=2,
        metadata=setting(Whole(0, 10), "How often a request is repeated after a failure that may pass.", example="2"),
    )
    batch: int = field(default=100, metadata=setting(Whole(1, 1000), "The most values of one request.", example="100"))
    concurrency: int = field(
        default=4, metadata=setting(Whole(1, 64), "The most requests at a time, over all associations.", example="4")
    )
    cache: CacheSettings = field(
        default=CacheSettings(),
        metadata=setting(
            Record(CacheSettings, "cache settings"), "Answers that are kept.", example="{seconds: 600}",
            default="as below",
        ),
    )  # fmt: skip


@frozen(kw_only=True)
class GpasSettings(ServiceSettings):
    """gPAS, over its TTP-FHIR gateway."""

    operations: Literal["current", "hyphenated"] = field(
        default="current",
        metadata=setting(
            one_of("current", "hyphenated"),
            "How its operations are spelt; `hyphenated` is for gateways of release 1.10.2.",
            example="current",
        ),
    )


@frozen(kw_only=True)
class MiiSettings(ServiceSettings):
    """A pseudonym service with the interface of the German Medical Informatics Initiative (MII)."""

    system: str | None = field(
        default=None,
        metadata=setting(
            Text("a URI"),
            "The system of the identifiers that are sent.",
            example="https://example.org/originals",
            default="none is sent",
        ),
    )


@frozen(kw_only=True)
class CsvSettings:
    """Tables of originals and their pseudonyms, one file for each kind of value."""

    files: Mapping[str, Path] = field(converter=_freeze_files)


_CSV_FILES: Final[MappingOf[Path]] = MappingOf(
    _KIND_NAME, FilePath(), never_empty="name at least one file, for example `{patient: patients.csv}`"
)


@frozen
class CsvTables(Kind[CsvSettings]):
    """Settings that are written as their mapping alone."""

    label: str = "a mapping from kinds of value to two-column files (original, pseudonym)"

    def read(self, node: Node, reading: Reading) -> CsvSettings:
        return CsvSettings(files=_CSV_FILES.read(node, reading))

    def write(self, value: CsvSettings) -> object:
        return _CSV_FILES.write(value.files)


SourceSettings = VaultSettings | GpasSettings | MiiSettings | CsvSettings


def _source_form(source: SourceSettings) -> str:
    return {GpasSettings: "gpas", MiiSettings: "mii", CsvSettings: "csv"}[type(source)]


def _check_service(service: ServiceSettings, node: Node, reading: Reading) -> None:
    if service.domain is None and not service.domains:
        reading.note(node, "lacks a domain: write `domain: NAME`, or `domains: {patient: NAME}`")
    if service.url.startswith("http:"):
        if service.ca is not None:
            reading.note(node.get("ca") or node, "is for `https` services, and the `url` says `http`")
        if service.auth is not None and not _is_loopback(service.url):
            reading.note(node.get("url") or node, "would send the account in the clear: write `https`")
    if isinstance(service.auth, BearerAuth):
        token_url = service.auth.token_url
        if token_url.startswith("http:") and not _is_loopback(token_url):
            reading.note(node.get("auth") or node, "would send the client's secret in the clear: write `https`")


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


SOURCE: Final[OneOf[SourceSettings]] = OneOf(
    words={"vault": VaultSettings()},
    forms={
        "gpas": Record(GpasSettings, "a gPAS service", check=_check_service),
        "mii": Record(MiiSettings, "an MII pseudonym service", check=_check_service),
        "csv": CsvTables(),
    },
    form_of=_source_form,
)
