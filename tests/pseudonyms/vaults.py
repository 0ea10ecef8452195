"""Vaults for tests, on either kind of database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.python.monkey import MonkeyPatcher
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.interfaces import Pseudonyms
from dimseproxy.pseudonyms.keys import Key, Keys
from dimseproxy.pseudonyms.vault import Vault
from dimseproxy.pseudonyms.vault_uids import UidCipher
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.storage.databases import database
from tests.support.postgresql import postgresql
from tests.support.process import scratch

OLD = Key(bytes(range(32)))
NEW = Key(bytes(range(50, 82)))
NEWER = Key(bytes(range(100, 140)))

STUDY = Identity(Kind.STUDY, "1.2.826.0.1.3680043.8.498.1.1")
SERIES = Identity(Kind.SERIES, "1.2.826.0.1.3680043.8.498.2.1")
PATIENT = Identity(Kind.PATIENT, "Müller-4711")
ACCESSION = Identity(Kind.ACCESSION, "Müller-4711")
IDENTITIES = (STUDY, SERIES, PATIENT, ACCESSION)


class VaultCase(TestCase):
    """A test of a vault in a SQLite file."""

    #: Whether what is kept is in a journal, and in the table later.
    has_journal = True

    async def setUp(self) -> None:  # type: ignore[override]
        self.running: list[Vault] = []
        self.database = await self.opened()

    def address(self) -> str:
        """Of a new database."""
        return f"sqlite:///{scratch(self)}/test.db"

    async def opened(self) -> Database:
        """A new database."""
        made = database(self, self.address())
        await made.start()
        return made

    async def started(self, *keys: Key, where: Database | None = None, beside: bool = False, **settings: Any) -> Vault:
        """
        One that is open, with these keys, the newest first; `OLD` where none are given.

        @param beside: those that were started before go on; as a rule they have ended.
        """
        vault = Vault(where or self.database, Keys(keys or (OLD,)), reactor, **settings)
        if not beside:
            await self.end_all()
        self.running.append(vault)
        self.addCleanup(vault.stop)
        await vault.start()
        return vault

    async def vault(self, *keys: Key, **settings: Any) -> Vault:
        """The same, for those who expect no failure."""
        return await self.started(*keys, **settings)

    async def end_all(self) -> None:
        """As when their processes end."""
        while self.running:
            await self.running.pop().stop()

    async def kill(self, vault: Vault) -> None:
        """As when its process is killed: what waits for the table goes no further, and the journal stays as it is."""
        self.running.remove(vault)
        with patched(self.database, "run", lambda work: fail(DatabaseUnavailable("killed"))):
            await vault.stop()
        self.flushLoggedErrors()

    @property
    def file(self) -> Path:
        """That of the database."""
        assert self.database.file is not None
        return self.database.file

    def journals(self) -> list[Path]:
        """The files of all journals of the database."""
        return sorted(self.file.parent.glob("*-vault-*"))


@contextmanager
def patched(target: object, name: str, value: object) -> Iterator[None]:
    """Another attribute for a while."""
    patcher = MonkeyPatcher((target, name, value))
    patcher.patch()
    try:
        yield
    finally:
        patcher.restore()


class OnPostgreSQL(VaultCase):
    """The same on PostgreSQL, where what is kept is in the table."""

    has_journal = False

    def address(self) -> str:
        return postgresql().url()


async def made(vault: Vault, identities: Iterable[Identity]) -> dict[Identity, str]:
    """The pseudonyms of originals, when they are in the table."""
    answer = await vault.pseudonyms_of(list(identities))
    await kept(answer)
    await vault.settled()
    return dict(answer.values)


async def kept(answer: Pseudonyms) -> None:
    """Wait until an answer is durable."""
    if answer.kept is not None:
        await answer.kept


def back(vault: Vault, pseudonyms: dict[Identity, str]) -> Deferred[dict[Identity, str]]:
    """The way back, for each original that the table still has."""

    async def ask() -> dict[Identity, str]:
        asked = {original: Identity(original.kind, pseudonym) for original, pseudonym in pseudonyms.items()}
        found = await vault.originals_of(list(asked.values()))
        return {original: found[pseudonym] for original, pseudonym in asked.items() if pseudonym in found}

    return ensureDeferred(ask())


def in_the_table(identity: Identity, pseudonym: str, key: Key = OLD) -> str:
    """What the table has of the pseudonym of an original, in a vault whose first key this is."""
    return UidCipher(key.date_shift).split(pseudonym).stem if identity.kind.is_uid else pseudonym


def instances(count: int, root: str = "1.2.3") -> list[Identity]:
    """As many originals of one kind, each with a stem of its own."""
    return [Identity(Kind.INSTANCE, f"{root}.{number}.1") for number in range(count)]


def itself(identities: Iterable[Identity]) -> dict[Identity, str]:
    """What the way back should yield."""
    return {identity: identity.value for identity in identities}
