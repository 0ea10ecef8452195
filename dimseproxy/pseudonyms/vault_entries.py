"""
What a vault has made and the table does not have yet.

With the database of one machine, entries become durable in a journal and go to the table a little later, many in a
transaction.  Where several proxies share a database there is no journal, for each must find what another has made:
there an entry is durable when the table has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.pseudonyms.interfaces import SourceRefused
from dimseproxy.pseudonyms.vault_rows import (
    Place,
    Row,
    VaultState,
    decrypted,
    packed,
    row_of,
    take_in_rows,
    unpacked,
)
from dimseproxy.storage.database import Database
from dimseproxy.storage.group_commit import Group
from dimseproxy.storage.journal import Journal

log = Logger()

#: Rows that go to the table at once, and in one transaction.
MOST_TOGETHER: Final = 2_000

#: Seconds that a row waits for others; its original can be found meanwhile, and a crash would not lose it.
DELAY: Final = 0.25

#: Seconds until the table is tried again after it took nothing.
RETRY_AFTER: Final = 1.0

#: Characters of a vault's name in that of a file; a longer one goes by its digest.
_LONGEST_NAME: Final = 100


@define(eq=False)
class Entry:
    """
    A row that is not known to be in the table.

    @ivar pseudonym: in the same namespace.
    @ivar group: what it becomes durable with; None when it is.
    @ivar row: what goes to the table, when it has been made.
    @ivar is_collision: found on writing: the pseudonym is another's.
    """

    original: Place
    pseudonym: Place
    group: Group[Entry] | None = field(default=None, repr=False)
    row: Row | None = field(default=None, repr=False)
    is_collision: bool = False


def journal_path(database: Path, vault: str) -> Path:
    """Where the journals of a vault are, beside the database: one for each name."""
    name = quote(vault, safe="")
    if len(name) > _LONGEST_NAME:
        name = sha256(vault.encode()).hexdigest()
    return database.with_name(f"{database.name}-vault-{name}")


class JournalledEntries:
    """
    Entries on their way through the journal into the table, in one order.

    @param journal: is open; it is closed by `stop`.
    @param written: told entries that the table has, and the originals among them that it has not: their pseudonym is
        another's.
    @param lost: told entries that the journal did not take, before those who wait for them.
    @param refused: told when the table will take nothing more; what waits for it stays in the journal.
    """

    def __init__(
        self,
        database: Database,
        journal: Journal,
        clock: IReactorTime,
        state: VaultState,
        written: Callable[[Sequence[Entry], Collection[Place]], None],
        lost: Callable[[Sequence[Entry]], None],
        refused: Callable[[SourceRefused], None],
    ) -> None:
        self._database = database
        self._journal = journal
        self._clock = clock
        self._state = state
        self._written = written
        self._lost = lost
        self._refused = refused
        self._last: Group[Entry] | None = None
        self._waiting: deque[Entry] = deque()
        self._moved = 0
        self._timer: IDelayedCall | None = None
        self._is_moving = False
        self._is_failing = False
        self._is_over = False
        self._attempts: list[Deferred[bool]] = []

    def add(self, entries: Sequence[Entry]) -> None:
        """
        Have entries written, which are durable when their group is.

        @raise DatabaseUnavailable: nothing more can wait.
        """
        group: Group[Entry] = Group(list(entries))
        created = int(self._clock.seconds())
        records = []
        for entry in entries:
            entry.row = row_of(self._state, entry.original, entry.pseudonym.value, created)
            records.append(packed(entry.row))
        kept = self._journal.append(records)
        for entry in entries:
            entry.group = group
        self._last = group
        kept.addCallbacks(self._kept, self._not_kept, callbackArgs=(group,), errbackArgs=(group,))

    def is_alone(self) -> bool:
        """As `Journal.is_alone`."""
        return self._journal.is_alone()

    def of_others(self, pseudonyms: Collection[Place]) -> dict[Place, str]:
        """
        The originals of pseudonyms that other processes have in their journals.  It blocks, in any thread.

        @raise DatabaseUnavailable: a journal cannot be read.
        @raise DatabaseRefused: a journal is damaged.
        @raise SourceRefused: a row cannot be decrypted.
        """
        rows = map(unpacked, self._journal.of_others([each.value.encode("utf-8", "replace") for each in pseudonyms]))
        return {
            row.place: decrypted(self._state, row.place, row.original, row.key_id)
            for row in rows
            if row.place in pseudonyms
        }

    def settled(self) -> Deferred[None]:
        """Fires when the table has all that was added by now, or when an attempt has failed; it does not fail."""
        return Deferred.fromCoroutine(self._settled())

    def stop(self) -> Deferred[None]:
        """Bring what there is into the table, and close the journal; what the table does not take stays in it."""
        return Deferred.fromCoroutine(self._stop())

    def _kept(self, nothing: None, group: Group[Entry]) -> None:
        self._end_group(group)
        self._waiting.extend(group.rows)
        self._arrange()
        group.end(None)

    def _not_kept(self, failure: Failure, group: Group[Entry]) -> None:
        self._end_group(group)
        self._lost(group.rows)
        group.end(failure)

    def _end_group(self, group: Group[Entry]) -> None:
        if self._last is group:
            self._last = None
        for entry in group.rows:
            entry.group = None

    # To the table

    def _arrange(self) -> None:
        if self._is_moving or self._is_over or not self._waiting:
            return
        if len(self._waiting) >= MOST_TOGETHER and not self._is_failing:
            self._move()
        elif self._timer is None:
            self._timer = self._clock.callLater(RETRY_AFTER if self._is_failing else DELAY, self._move)

    def _move(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if self._is_moving:
            return
        self._is_moving = True
        entries = list(islice(self._waiting, MOST_TOGETHER))
        rows = [entry.row for entry in entries if entry.row is not None]
        moved = self._database.run(lambda connection: take_in_rows(connection, self._state, rows))
        moved.addCallbacks(self._succeeded, self._failed, callbackArgs=(entries,))
        moved.addErrback(lambda failure: log.failure("the journal of the vault", failure))

    def _succeeded(self, collisions: Collection[Place], entries: Sequence[Entry]) -> None:
        if self._is_failing:
            log.info("the table of the vault {name!r} takes rows again", name=self._state.name)
        self._is_failing = False
        for _ in entries:
            self._waiting.popleft()
        self._moved += len(entries)
        self._journal.forget(len(entries))
        self._written(entries, collisions)
        self._end_attempt(True)

    def _failed(self, failure: Failure) -> None:
        if not self._is_failing:
            log.error(
                "the table of the vault {name!r} takes no rows, they stay in the journal: {error}",
                name=self._state.name,
                error=failure.getErrorMessage(),
            )
        self._is_failing = True
        if isinstance(failure.value, SourceRefused):
            self._is_over = True
            self._refused(failure.value)
        self._end_attempt(False)

    def _end_attempt(self, has_succeeded: bool) -> None:
        self._is_moving = False
        attempts, self._attempts = self._attempts, []
        for attempt in attempts:
            attempt.callback(has_succeeded)
        self._arrange()

    async def _settled(self) -> None:
        if self._last is not None:
            await self._last.committed().addErrback(lambda failure: None)
        until = self._moved + len(self._waiting)
        has_succeeded = True
        while self._moved < until and has_succeeded and not self._is_over:
            has_succeeded = await self._attempt()

    async def attempt(self) -> bool:
        """Wait until the next rows are in the table; False where they are not."""
        if self._last is not None and not self._waiting and not self._is_moving:
            # In the journal first.
            await self._last.committed().addErrback(lambda failure: None)
        if self._is_over or not (self._waiting or self._is_moving):
            return False
        return await self._attempt()

    def _attempt(self) -> Deferred[bool]:
        attempt: Deferred[bool] = Deferred()
        self._attempts.append(attempt)
        self._move()
        return attempt

    async def _stop(self) -> None:
        await self._settled()
        self._is_over = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        await self._journal.close()
