"""
The embedded source: pseudonyms are made with a key, and kept in an encrypted table so that there is a way back.

A pseudonym is HMAC-SHA-256 under the key over namespace, NUL and original: the same every time, on every proxy with the
same key, before and after a crash.  So it is known at once, and only what is reported as success waits for the disk.
It is the first 80 bits in base32, 16 characters that any text of DICOM may hold.  UIDs go by their stems (`vault_uids`)
and depend on the first key that their vault had, as date shifts do.

The way back is the table: unique by pseudonym and by original, so that two originals never share a pseudonym.  In a
SQLite file, rows wait for the table in a journal beside it, as encrypted as in the table, where they are as safe from a
crash; the vault itself finds them in its memory, and another process on the same file in that journal.

Of two originals with one pseudonym the second is refused.  Where a journal stands before the table, that may be found
after the first use of the pseudonym: it is logged, and refused from then on.  With 80 bits and more there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredLock, FirstError, fail, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.keys import Keys
from dimseproxy.pseudonyms.recent import Recent
from dimseproxy.pseudonyms.vault_entries import Entry, JournalledEntries, journal_path
from dimseproxy.pseudonyms.vault_keys import FIRST, ROWS_TOGETHER, encrypt_anew, open_vault, take_in
from dimseproxy.pseudonyms.vault_rows import (
    NAMESPACES,
    STEMS,
    Place,
    VaultState,
    find_originals,
    find_pseudonyms,
    key_of,
    pseudonym_of,
    row_of,
    unpacked,
    write_rows,
)
from dimseproxy.pseudonyms.vault_uids import SplitUid, split
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.group_commit import MOST_QUEUED, GroupCommit
from dimseproxy.storage.journal import Journal

log = Logger()

#: Entries that are held in memory for each direction, at some 500 bytes each.
CACHE_ENTRIES: Final = 100_000

#: Entries on their way to the table from which on whoever brings new ones waits, at some 1 KiB each.
MOST_PENDING: Final = 5_000

#: Originals whose pseudonym is another's; by the numbers there is none.
_MOST_COLLIDED: Final = 10_000


@implementer(IPseudonyms)
class Vault:
    """
    @param database: has been started, and is stopped after the vault.
    @param keys: the newest makes new pseudonyms; the older ones are needed until a start has succeeded with them.
    @param reactor: gives the time to rows, and is told by the thread of the journal.
    @param name: of which vault in the database; vaults of two names share nothing but the tables.
    @param cache_entries: held in memory for each direction.
    @param most_queued: rows that may wait for the table; new originals beyond are refused with `SourceUnavailable`.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        reactor: Any,
        *,
        name: str = "default",
        cache_entries: int = CACHE_ENTRIES,
        most_queued: int = MOST_QUEUED,
    ) -> None:
        self._database = database
        self._keys = keys
        self._reactor = reactor
        self._name = name
        self._most_queued = most_queued
        self._state: VaultState | None = None
        self._is_open = False
        self._is_wanted = False
        self._one_at_a_time = DeferredLock()
        self._refusal: SourceRefused | None = None
        # By the keys of places.
        self._pseudonyms: Recent[str, str] = Recent(cache_entries)
        self._originals: Recent[str, str] = Recent(cache_entries)
        self._collided: Recent[str, bool] = Recent(_MOST_COLLIDED)
        # By original, and by pseudonym.
        self._pending: dict[Place, Entry] = {}
        self._pending_back: dict[Place, Entry] = {}
        # Where the database is that of one machine.
        self._journalled: JournalledEntries | None = None
        self._commit: GroupCommit[Entry, Collection[Place]] = GroupCommit(
            database, reactor, self._write, self._written, self._lost, most_queued=most_queued
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
        Open the vault, unless it is open.  What a process that was killed has left goes into the table first.  Where
        the newest key is new to the vault, everything is encrypted anew: some 20,000 rows a second.

        @return: fails with `SourceUnavailable`, or with `SourceRefused` where a key is missing or a journal is damaged.
        """
        self._is_wanted = True
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._start()))

    def stop(self) -> Deferred[None]:
        """Refuse what comes, and wait until what is queued is durable or lost; what is durable is not lost any more."""
        self._is_wanted = self._is_open = False
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._stop()))

    def settled(self) -> Deferred[None]:
        """Fires when the table has all that was made by now, or has failed to take it; it does not fail."""
        return self._commit.settled() if self._journalled is None else self._journalled.settled()

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        """
        The pseudonyms of originals, at once: only where an older key made pseudonyms, new originals are looked for
        among them first.

        @return: fails with `SourceUnavailable`, or with `SourceRefused` where a pseudonym is another's.
        """
        if self._journalled is not None and len(self._pending) >= MOST_PENDING:
            return Deferred.fromCoroutine(self._when_there_is_room(originals))
        try:
            state = self._opened()
            if not state.is_inherited:
                return succeed(self._answer(state, originals, {}))
            known, strangers = self._sorted(originals)
            if not strangers:
                return succeed(self._answer(state, originals, known))
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
        if self._is_open or not self._is_wanted:
            return
        path = self._database.file
        journal = None if path is None else Journal(journal_path(path, self._name), self._reactor)
        try:
            state = await self._prepared(journal)
        except BaseException as error:
            if journal is not None:
                await journal.close()
            if isinstance(error, (DatabaseUnavailable, DatabaseRefused)):
                raise _as_source_error(error) from None
            raise
        self._state = state
        self._refusal = None
        if journal is not None:
            self._journalled = JournalledEntries(
                self._database, journal, self._reactor, state, self._written, self._lost, self._refuse
            )
        # Not where it was stopped meanwhile: the stop waits, and closes all of this.
        self._is_open = self._is_wanted

    async def _prepared(self, journal: Journal | None) -> VaultState:
        """The vault as it is when everything that others left is in the table, and under the newest key."""
        may_change: Callable[[], bool] = _always
        if journal is not None:
            await self._take_in(journal)
            # Who has the vault open under an older key goes on making pseudonyms with it.
            may_change = journal.is_alone
        state = await self._database.run(partial(open_vault, name=self._name, keys=self._keys, may_change=may_change))
        if not state.is_settled:
            log.info("the vault {name!r} comes under a new key", name=self._name)
            after: Place | None = FIRST
            while after is not None:
                if not self._is_wanted:
                    raise SourceUnavailable("the vault was stopped while it came under a new key")
                after = await self._database.run(partial(encrypt_anew, state=state, after=after))
            log.info("the vault {name!r} is under its new key", name=self._name)
        return state

    async def _take_in(self, journal: Journal) -> None:
        rows = [unpacked(record) for record in await journal.open()]
        for start in range(0, len(rows), ROWS_TOGETHER):
            some = rows[start : start + ROWS_TOGETHER]
            collisions = await self._database.run(partial(take_in, name=self._name, keys=self._keys, rows=some))
            for original in collisions:
                self._collide(original)
        if rows:
            log.info("{count} rows of the vault {name!r} were in a journal", count=len(rows), name=self._name)
        await journal.drop_left()

    async def _stop(self) -> None:
        if self._journalled is None:
            await self._commit.settled()
            return
        await self._journalled.stop()
        self._journalled = None
        # What the table did not take is in the journal, and is no longer this vault's to move.
        self._pending.clear()
        self._pending_back.clear()

    def _opened(self) -> VaultState:
        if self._refusal is not None:
            raise self._refusal
        if self._state is None or not self._is_open:
            raise SourceUnavailable("the vault is not open")
        return self._state

    def _answer(self, state: VaultState, originals: Collection[Identity], found: Mapping[Place, str]) -> Pseudonyms:
        """
        @param found: pseudonyms that are in the table.
        """
        values = {}
        waiting: list[Entry] = []
        fresh: list[Entry] = []
        recent, uid = self._pseudonyms.get, state.uids.pseudonym
        try:
            for identity in originals:
                namespace, original, tail = _original(identity)
                pseudonym = recent(key_of(namespace, original))
                if pseudonym is None:
                    pseudonym = self._not_recent(Place(namespace, original), found, waiting, fresh)
                values[identity] = pseudonym if tail is None else uid(pseudonym, tail)
            if fresh:
                self._keep(fresh)
        except (SourceUnavailable, SourceRefused, DatabaseUnavailable) as error:
            self._lost(fresh)
            raise _as_source_error(error) from None
        return Pseudonyms(values, self._kept(waiting) if waiting else None)

    def _not_recent(self, original: Place, found: Mapping[Place, str], waiting: list[Entry], fresh: list[Entry]) -> str:
        """The pseudonym of what was not used lately: found in the table, on its way there, or made now."""
        pseudonym = found.get(original)
        if pseudonym is not None:
            return pseudonym
        entry = self._pending.get(original)
        if entry is None:
            entry = self._enter(original)
            fresh.append(entry)
            waiting.append(entry)
        elif entry.group is not None:
            waiting.append(entry)
        return entry.pseudonym.value

    def _enter(self, original: Place) -> Entry:
        """Make a pseudonym that is to be kept."""
        if original.key in self._collided:
            raise _collision()
        if len(self._pending) >= self._most_queued:
            raise SourceUnavailable("the vault is unavailable: too much waits to be written")
        pseudonym = Place(original.namespace, pseudonym_of(self._opened(), original))
        if pseudonym in self._pending_back or self._originals.get(pseudonym.key) not in (None, original.value):
            self._collide(original)
            raise _collision()
        entry = Entry(original, pseudonym)
        self._pending[original] = self._pending_back[pseudonym] = entry
        return entry

    def _keep(self, entries: Sequence[Entry]) -> None:
        """Have entries written."""
        if self._journalled is None:
            for entry in entries:
                entry.group = self._commit.add(entry)
        elif entries:
            self._journalled.add(entries)

    def _kept(self, entries: Sequence[Entry]) -> Deferred[None]:
        """Fires when entries are durable."""
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
        for namespace, value, _ in map(_original, originals):
            original = Place(namespace, value)
            pseudonym = self._pseudonyms.get(original.key)
            if pseudonym is not None:
                # Held on to: it may be forgotten before the strangers have been looked for.
                known[original] = pseudonym
            elif original not in self._pending:
                strangers.append(original)
        return known, strangers

    async def _when_there_is_room(self, originals: Collection[Identity]) -> Pseudonyms:
        """Wait for the table: whoever asks faster than it takes rows is slowed down by that."""
        while self._journalled is not None and len(self._pending) >= MOST_PENDING:
            if not await self._journalled.attempt() and len(self._pending) >= MOST_PENDING:
                raise SourceUnavailable("the vault is unavailable: its table takes no rows")
        return await self.pseudonyms_of(originals)

    async def _look_up(
        self, originals: Collection[Identity], known: dict[Place, str], strangers: Collection[Place]
    ) -> Pseudonyms:
        state = self._opened()
        try:
            found = await self._database.read(lambda connection: find_pseudonyms(connection, state, strangers))
        except (DatabaseUnavailable, DatabaseRefused) as error:
            raise _as_source_error(error) from None
        for original, pseudonym in found.items():
            self._pseudonyms.put(original.key, pseudonym)
        return self._answer(self._opened(), originals, {**known, **found})

    async def _originals_of(self, pseudonyms: Collection[Identity]) -> Mapping[Identity, str]:
        state = self._opened()
        asked: dict[Place, list[tuple[Identity, str | None]]] = {}
        for identity in pseudonyms:
            split = state.uids.split(identity.value) if identity.kind.is_uid else SplitUid(identity.value, "")
            asked.setdefault(Place(NAMESPACES[identity.kind], split.stem), []).append((identity, split.tail))
        found = {}
        strangers = []
        for pseudonym in asked:
            pending = self._pending_back.get(pseudonym)
            original = self._originals.get(pseudonym.key) if pending is None else pending.original.value
            if original is None:
                strangers.append(pseudonym)
            else:
                found[pseudonym] = original
        if strangers:
            try:
                looked_up = await self._found(state, strangers)
            except (DatabaseUnavailable, DatabaseRefused) as error:
                raise _as_source_error(error) from None
            for pseudonym, original in looked_up.items():
                self._originals.put(pseudonym.key, original)
            found.update(looked_up)
        return {
            identity: original + tail
            for pseudonym, original in found.items()
            for identity, tail in asked[pseudonym]
            if tail is not None
        }

    async def _found(self, state: VaultState, pseudonyms: Collection[Place]) -> dict[Place, str]:
        """The originals that are in the table, or on their way there from another process."""
        journalled = self._journalled

        def look(connection: Connection) -> tuple[dict[Place, str], bool]:
            # Before the first SELECT: a transaction of SQLite sees nothing new from there on.
            is_alone = journalled is None or journalled.is_alone()
            return find_originals(connection, state, pseudonyms), is_alone

        found, is_alone = await self._database.read(look)
        missing = frozenset(pseudonyms) - found.keys()
        if journalled is None or is_alone or not missing:
            return found
        found.update(await self._database.read(lambda _: journalled.of_others(missing)))
        missing -= found.keys()
        if missing:
            # A row leaves a journal when the table has it, which may have been between the two.
            found.update(await self._database.read(lambda connection: find_originals(connection, state, missing)))
        return found

    def _write(self, connection: Connection, entries: Sequence[Entry]) -> set[Place]:
        """In a thread: the originals of those that collide."""
        assert self._state is not None
        created = int(self._reactor.seconds())
        rows = [row_of(self._state, entry.original, entry.pseudonym.value, created) for entry in entries]
        collisions = write_rows(connection, self._state, rows)
        return {entry.original for entry in entries if entry.pseudonym in collisions}

    def _written(self, entries: Sequence[Entry], collisions: Collection[Place]) -> None:
        for entry in entries:
            original, pseudonym = entry.original, entry.pseudonym
            del self._pending[original], self._pending_back[pseudonym]
            if original in collisions:
                entry.is_collision = True
                self._collide(original)
            else:
                self._pseudonyms.put(original.key, pseudonym.value)
                self._originals.put(pseudonym.key, original.value)

    def _lost(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            del self._pending[entry.original], self._pending_back[entry.pseudonym]

    def _collide(self, original: Place) -> None:
        self._collided.put(original.key, True)
        log.error("the vault {name!r} has a pseudonym that is another's: refused", name=self._name)

    def _refuse(self, refusal: SourceRefused) -> None:
        self._refusal = refusal


def _original(identity: Identity) -> tuple[str, str, str | None]:
    """The original that has a row, with its namespace, and the tail of a UID."""
    kind, value = identity
    if kind.is_uid:
        return STEMS, *split(value)
    return NAMESPACES[kind], value, None


def _checked(nothing: None, entries: Sequence[Entry]) -> None:
    if any(entry.is_collision for entry in entries):
        raise _collision()


def _always() -> bool:
    return True


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
