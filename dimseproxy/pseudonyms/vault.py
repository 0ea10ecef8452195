"""
The embedded source: pseudonyms are made with a key, and kept in an encrypted table so that there is a way back.

A pseudonym is HMAC-SHA-256 under the key over namespace, NUL and original: the same every time, on every proxy with the
same key, before and after a crash.  So it is known at once, and only what is reported as success waits for the table.
A UID is `2.25.` and the first 128 bits as a number (PS3.5 B.2); all else is the first 80 bits in base32, 16 characters
that any text of DICOM may hold.

The way back is the table: unique by pseudonym and by original, so that two originals never share a pseudonym: the
second one is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, FirstError, fail, gatherResults, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.keys import Keys
from dimseproxy.pseudonyms.recent import Recent
from dimseproxy.pseudonyms.vault_keys import FIRST, encrypt_anew, open_vault
from dimseproxy.pseudonyms.vault_rows import (
    NAMESPACES,
    Place,
    VaultState,
    find_originals,
    find_pseudonyms,
    pseudonym_of,
    write_rows,
)
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.group_commit import MOST_QUEUED, Group, GroupCommit

log = Logger()

#: Entries that are held in memory for each direction, at some 500 bytes each.
CACHE_ENTRIES: Final = 100_000

#: Originals whose pseudonym is another's; by the numbers there is none.
_MOST_COLLIDED: Final = 10_000


@define(eq=False)
class _Entry:
    """
    A row that is not known to be in the table.

    @ivar group: what it is written with.
    @ivar is_collision: found on writing: the pseudonym is another's.
    """

    original: Place
    pseudonym: str = field(repr=False)
    group: Group[_Entry] | None = field(default=None, repr=False)
    is_collision: bool = False


@implementer(IPseudonyms)
class Vault:
    """
    @param database: has been started, and is stopped after the vault.
    @param keys: the newest makes new pseudonyms; the older ones are needed until a start has succeeded with them.
    @param clock: the reactor; gives the time to rows.
    @param name: of which vault in the database; vaults of two names share nothing but the tables.
    @param cache_entries: held in memory for each direction.
    @param most_queued: rows that may wait for the table; more are refused with `SourceUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        clock: IReactorTime,
        *,
        name: str = "default",
        cache_entries: int = CACHE_ENTRIES,
        most_queued: int = MOST_QUEUED,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._name = name
        self._state: VaultState | None = None
        self._is_open = False
        self._pseudonyms: Recent[Place, str] = Recent(cache_entries)
        self._originals: Recent[Place, str] = Recent(cache_entries)
        self._collided: Recent[Place, bool] = Recent(_MOST_COLLIDED)
        self._pending: dict[Place, _Entry] = {}
        self._commit: GroupCommit[_Entry, frozenset[Place]] = GroupCommit(
            database, clock, self._write, self._written, self._lost, most_queued=most_queued
        )

    @property
    def date_shift(self) -> bytes:
        """
        The key of the date shifts, the same for the life of the vault, whatever its keys.

        @raise SourceUnavailable: the vault is not open.
        """
        return self._opened().date_shift

    def start(self) -> Deferred[None]:
        """
        Open the vault.  Where the newest key is new to it, encrypt everything anew first: some 20,000 rows a second.

        @return: fails with `SourceUnavailable`, or with `SourceRefused` where a key is missing.
        """
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        """Refuse what comes, and wait until what is queued is durable or lost."""
        self._is_open = False
        return self._commit.settled()

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        """
        The pseudonyms of originals, at once: only where an older key made pseudonyms, new originals are looked for
        among them first.

        @return: fails with `SourceUnavailable`, or with `SourceRefused` where a pseudonym is another's.
        """
        try:
            if not self._opened().is_inherited:
                return succeed(self._answer(originals, {}))
            known, strangers = self._sorted(originals)
            if not strangers:
                return succeed(self._answer(originals, known))
        except (SourceUnavailable, SourceRefused) as error:
            return fail(error)
        return Deferred.fromCoroutine(self._look_up(originals, known, strangers))

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        """
        The originals of pseudonyms.  What is nobody's pseudonym, an original for one, takes the same way as a pseudonym
        that was not used lately.

        @return: fails with `SourceUnavailable`, or with `SourceRefused` where the table cannot be read.
        """
        return Deferred.fromCoroutine(self._originals_of(pseudonyms))

    async def _start(self) -> None:
        try:
            state = await self._database.run(lambda connection: open_vault(connection, self._name, self._keys))
            if not state.is_settled:
                log.info("the vault {name!r} comes under a new key", name=self._name)
                await self._encrypt_anew(state)
                log.info("the vault {name!r} is under its new key", name=self._name)
        except (DatabaseUnavailable, DatabaseRefused) as error:
            raise _as_source_error(error) from None
        self._state = state
        self._is_open = True

    async def _encrypt_anew(self, state: VaultState) -> None:
        after: Place | None = FIRST
        while after is not None:
            after = await self._database.run(partial(encrypt_anew, state=state, after=after))

    def _opened(self) -> VaultState:
        if self._state is None or not self._is_open:
            raise SourceUnavailable("the vault is not open")
        return self._state

    def _answer(self, originals: Collection[Identity], found: Mapping[Place, str]) -> Pseudonyms:
        """
        @param found: pseudonyms that are in the table.
        """
        values = {}
        waiting = []
        for identity in originals:
            original = Place(NAMESPACES[identity.kind], identity.value)
            pseudonym = self._pseudonyms.get(original) or found.get(original)
            if pseudonym is None:
                entry = self._pending.get(original) or self._enter(original)
                waiting.append(entry)
                pseudonym = entry.pseudonym
            values[identity] = pseudonym
        return Pseudonyms(values, self._kept(waiting) if waiting else None)

    def _enter(self, original: Place) -> _Entry:
        """Make a pseudonym, and have it written."""
        if original in self._collided:
            raise _collision()
        entry = _Entry(original, pseudonym_of(self._opened(), original))
        try:
            entry.group = self._commit.add(entry)
        except DatabaseUnavailable as error:
            raise _as_source_error(error) from None
        self._pending[original] = entry
        return entry

    def _kept(self, entries: Sequence[_Entry]) -> Deferred[None]:
        """Fires when entries are in the table."""
        groups = {entry.group for entry in entries if entry.group is not None}
        if len(groups) == 1:
            kept = groups.pop().committed()
        else:
            kept = gatherResults([group.committed() for group in groups], consumeErrors=True).addCallback(_nothing)
        return kept.addCallbacks(_checked, _as_source_failure, callbackArgs=(entries,))

    def _sorted(self, originals: Collection[Identity]) -> tuple[dict[Place, str], list[Place]]:
        """Those whose pseudonyms are known to be in the table, and those that may be there or not."""
        known = {}
        strangers = []
        for identity in originals:
            original = Place(NAMESPACES[identity.kind], identity.value)
            pseudonym = self._pseudonyms.get(original)
            if pseudonym is not None:
                # Held on to: it may be forgotten before the strangers have been looked for.
                known[original] = pseudonym
            elif original not in self._pending:
                strangers.append(original)
        return known, strangers

    async def _look_up(
        self, originals: Collection[Identity], known: dict[Place, str], strangers: Collection[Place]
    ) -> Pseudonyms:
        state = self._opened()
        try:
            found = await self._database.read(lambda connection: find_pseudonyms(connection, state, strangers))
        except (DatabaseUnavailable, DatabaseRefused) as error:
            raise _as_source_error(error) from None
        for original, pseudonym in found.items():
            self._pseudonyms.put(original, pseudonym)
        return self._answer(originals, {**known, **found})

    async def _originals_of(self, pseudonyms: Collection[Identity]) -> Mapping[Identity, str]:
        state = self._opened()
        values = {}
        strangers: dict[Place, list[Identity]] = {}
        for identity in pseudonyms:
            pseudonym = Place(NAMESPACES[identity.kind], identity.value)
            original = self._originals.get(pseudonym)
            if original is None:
                strangers.setdefault(pseudonym, []).append(identity)
            else:
                values[identity] = original
        if strangers:
            # A peer may ask with a pseudonym of an answer whose rows are still on their way.
            await self._commit.settled()
            try:
                found = await self._database.read(lambda connection: find_originals(connection, state, strangers))
            except (DatabaseUnavailable, DatabaseRefused) as error:
                raise _as_source_error(error) from None
            for pseudonym, original in found.items():
                self._originals.put(pseudonym, original)
                values.update(dict.fromkeys(strangers[pseudonym], original))
        return values

    def _write(self, connection: Connection, entries: Sequence[_Entry]) -> frozenset[Place]:
        """In a thread: those that collide."""
        assert self._state is not None
        pseudonyms = {entry.original: entry.pseudonym for entry in entries}
        return write_rows(connection, self._state, pseudonyms, int(self._clock.seconds()))

    def _written(self, entries: Sequence[_Entry], collisions: frozenset[Place]) -> None:
        for entry in entries:
            original, pseudonym = entry.original, entry.pseudonym
            del self._pending[original]
            if original in collisions:
                entry.is_collision = True
                self._collided.put(original, True)
                log.error("the vault {name!r} has a pseudonym that is another's: refused", name=self._name)
            else:
                self._pseudonyms.put(original, pseudonym)
                self._originals.put(Place(original.namespace, pseudonym), original.value)

    def _lost(self, entries: Sequence[_Entry]) -> None:
        for entry in entries:
            del self._pending[entry.original]


def _checked(nothing: None, entries: Sequence[_Entry]) -> None:
    if any(entry.is_collision for entry in entries):
        raise _collision()


def _nothing(results: object) -> None:
    return None


def _collision() -> SourceRefused:
    return SourceRefused("the pseudonym is that of another original already")


def _as_source_error(error: Exception) -> Exception:
    """What a failure of the database is to those who use a source."""
    if isinstance(error, DatabaseUnavailable):
        return SourceUnavailable(str(error))
    if isinstance(error, DatabaseRefused):
        return SourceRefused(str(error))
    return error


def _as_source_failure(failure: Failure) -> Failure:
    if isinstance(failure.value, FirstError):
        failure = failure.value.subFailure
    return Failure(_as_source_error(failure.value)) if isinstance(failure.value, Exception) else failure
