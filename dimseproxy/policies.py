"""
The policies of the configuration, put together: what happens to each attribute, and where pseudonyms come from.

Policies without a key of their own share one vault, under `privacy.key` in the data directory; a policy with a key of
its own has a vault of its own, of the policy's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import asdict
from twisted.logger import Logger

from dimseproxy.config import (
    BasicAuth,
    BearerAuth,
    CsvSettings,
    GpasSettings,
    MiiSettings,
    PrivacySettings,
    Secret,
    Settings,
)
from dimseproxy.dataset.element import Limits
from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.policy import Blank, Policy, compile_policy
from dimseproxy.pseudonyms.auth import Basic
from dimseproxy.pseudonyms.by_kind import ByKind
from dimseproxy.pseudonyms.csv_table import CsvTables
from dimseproxy.pseudonyms.gpas import Gpas, Operations
from dimseproxy.pseudonyms.interfaces import IPseudonyms
from dimseproxy.pseudonyms.keys import Keys, keys_from_own_file
from dimseproxy.pseudonyms.mii import Mii
from dimseproxy.pseudonyms.services import Client, service_source
from dimseproxy.pseudonyms.vault import Vault
from dimseproxy.relay.privacy import Privacy
from dimseproxy.secrets import keys_of, text_of
from dimseproxy.storage.database import Database

log = Logger()

_SHARED: Final = "default"


class Policies:
    """
    @param settings: what the configuration says.
    @param database: where vaults are; started before this, and stopped after.
    @raise SourceRefused: a key, a certificate or a table cannot be used.
    """

    def __init__(self, settings: Settings, reactor: Any, database: Database | None) -> None:
        self._settings = settings
        self._reactor = reactor
        self._database = database
        self._vaults: dict[str, Vault] = {}
        self.privacy: Mapping[str, Privacy] = {name: self._made(name, each) for name, each in settings.privacy.items()}

    async def start(self) -> None:
        """
        Open the sources; the database is open.

        @raise SourceUnavailable: one cannot be opened now; this may be called again.
        @raise SourceRefused: one cannot be opened at all.
        """
        for privacy in self.privacy.values():
            await privacy.source.start()

    async def stop(self) -> None:
        """Let what is under way end."""
        for privacy in self.privacy.values():
            await privacy.source.stop()

    # Putting together

    def _made(self, name: str, settings: PrivacySettings) -> Privacy:
        policy = compiled(name, settings)
        keys = self._keys(settings.key)
        given = self._sources(settings)
        kinds = [kind for kind in Kind if kind not in given and policy.maps(kind)]
        # A table is read in memory, a service is asked.
        looks_ahead = Kind.INSTANCE in given and not isinstance(settings.pseudonyms, CsvSettings)
        limits = Limits(head=settings.max_head)
        if kinds or policy.shifts or not given:
            vault = self._vault(name if settings.key is not None else _SHARED, keys)
            given.update(dict.fromkeys(kinds or [Kind.PATIENT], vault))
            return Privacy(policy, ByKind(given), lambda: vault.date_shift, looks_ahead, limits)
        return Privacy(policy, ByKind(given), lambda: keys.oldest.date_shift, looks_ahead, limits)

    def _keys(self, secret: Secret | None) -> Keys:
        return keys_from_own_file(own_key_file(self._settings)) if secret is None else keys_of(secret)

    def _vault(self, name: str, keys: Keys) -> Vault:
        assert self._database is not None
        if name not in self._vaults:
            self._vaults[name] = Vault(self._database, keys, self._reactor, name=name)
        return self._vaults[name]

    def _sources(self, settings: PrivacySettings) -> dict[Kind, IPseudonyms]:
        """The source of each kind that does not come from the vault."""
        source = settings.pseudonyms
        if isinstance(source, CsvSettings):
            files = {Kind(kind): path for kind, path in source.files.items()}
            return dict.fromkeys(files, CsvTables(self._reactor, files))
        if isinstance(source, (GpasSettings, MiiSettings)):
            return self._service(source)
        return {}

    def _service(self, settings: GpasSettings | MiiSettings) -> dict[Kind, IPseudonyms]:
        every = {} if settings.domain is None else dict.fromkeys(Kind, settings.domain)
        domains = {**every, **{Kind(kind): domain for kind, domain in settings.domains.items()}}
        dialect = (
            Gpas(Operations[settings.operations.upper()])
            if isinstance(settings, GpasSettings)
            else Mii(settings.system)
        )
        service = service_source(
            self._reactor,
            dialect,
            settings.url,
            domains,
            credentials=_credentials(settings.auth),
            ca=settings.ca,
            seconds=settings.timeout,
            retries=settings.retries,
            batch=settings.batch,
            concurrency=settings.concurrency,
            cache_entries=settings.cache.entries,
            cache_seconds=settings.cache.seconds,
        )
        return dict.fromkeys(domains, service)


def own_key_file(settings: Settings) -> Path:
    """Where the key of policies is that name none."""
    return settings.data_dir / "privacy.key"


def compiled(name: str, settings: PrivacySettings) -> Policy:
    """What a policy of the configuration does to each attribute."""
    words = () if settings.vocabulary is None else settings.vocabulary.read_text("utf-8-sig").split()
    return compile_policy(
        name=name,
        originals=settings.originals,
        profile=settings.profile,
        options=settings.options,
        pseudonymise=settings.pseudonymise,
        remove=settings.remove,
        keep=settings.keep,
        replace=settings.replace,
        private_attributes=settings.private_attributes,
        shift_days=settings.shift_days,
        age=settings.age,
        burned_in=settings.burned_in,
        blanks=tuple(Blank(**asdict(blank)) for blank in settings.blank),
        vocabulary=words,
        guard=settings.guard,
        new_instances=settings.new_instances,
    )


def _credentials(auth: BasicAuth | BearerAuth | None) -> Basic | Client | None:
    if isinstance(auth, BasicAuth):
        return Basic(auth.user, text_of(auth.password))
    if isinstance(auth, BearerAuth):
        return Client(auth.token_url, auth.client_id, text_of(auth.client_secret), auth.scope)
    return None
