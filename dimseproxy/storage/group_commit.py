"""
Group commit: what comes while a transaction is being committed goes into the next one, together.

A commit waits for the disk, and the disk takes as long for one row as for hundreds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseUnavailable

_Row = TypeVar("_Row")
_Result = TypeVar("_Result")

#: Rows in a transaction: at some 20 us each, it is over in 10 ms.
MOST_TOGETHER: Final = 500

#: Rows that may wait, some 1 KiB each at most.
MOST_QUEUED: Final = 50_000


@define(eq=False)
class Group(Generic[_Row]):
    """Rows that are committed together."""

    rows: list[_Row] = field(factory=list, repr=False)
    _waiting: list[Deferred[None]] = field(factory=list, repr=False)

    def committed(self) -> Deferred[None]:
        """Fires when all of it is durable, or fails as the transaction did.  To be asked while it is queued only."""
        deferred: Deferred[None] = Deferred()
        self._waiting.append(deferred)
        return deferred

    def end(self, result: Failure | None) -> None:
        """Tell those who wait."""
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None) if result is None else deferred.errback(result)


class GroupCommit(Generic[_Row, _Result]):
    """
    @param clock: a group is begun in one turn of the reactor and written from the next.
    @param write: writes rows and says what became of them; called in a thread of the database.
    @param committed: told rows and what `write` said of them, before those who wait for the group.
    @param lost: told rows that were not written, before those who wait for them.
    @param most_together: rows in a transaction.
    @param most_queued: rows that wait; more are refused.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        write: Callable[[Connection, Sequence[_Row]], _Result],
        committed: Callable[[Sequence[_Row], _Result], None],
        lost: Callable[[Sequence[_Row]], None],
        *,
        most_together: int = MOST_TOGETHER,
        most_queued: int = MOST_QUEUED,
    ) -> None:
        self._database = database
        self._clock = clock
        self._write = write
        self._committed = committed
        self._lost = lost
        self._most_together = most_together
        self._most_queued = most_queued
        self._queue: deque[Group[_Row]] = deque()
        self._queued = 0
        self._being_written: Group[_Row] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is queued or being written."""
        return not self._queue and self._being_written is None

    def add(self, row: _Row) -> Group[_Row]:
        """
        Queue a row.

        @return: the group that it will be committed with.
        @raise DatabaseUnavailable: too many wait already.
        """
        if self._queued >= self._most_queued:
            raise DatabaseUnavailable("the database is unavailable: too much waits to be written")
        if self._queue and len(self._queue[-1].rows) < self._most_together:
            group = self._queue[-1]
        else:
            if self.is_idle:
                self._clock.callLater(0.0, self._next)
            group = Group()
            self._queue.append(group)
        group.rows.append(row)
        self._queued += 1
        return group

    def settled(self) -> Deferred[None]:
        """Fires when all that is queued by now is durable or lost; it does not fail."""
        last = self._queue[-1] if self._queue else self._being_written
        if last is None:
            return succeed(None)
        return last.committed().addErrback(lambda failure: None)

    def _next(self) -> None:
        if self._being_written is not None or not self._queue:
            return
        group = self._being_written = self._queue.popleft()
        written = self._database.run(lambda connection: self._write(connection, group.rows))
        written.addCallbacks(self._succeeded, self._failed, callbackArgs=(group,), errbackArgs=(group,))

    def _succeeded(self, result: _Result, group: Group[_Row]) -> None:
        self._being_written = None
        self._queued -= len(group.rows)
        try:
            self._committed(group.rows, result)
        finally:
            # Before those who waited, who may take a while: the disk need not.
            self._next()
            group.end(None)

    def _failed(self, failure: Failure, group: Group[_Row]) -> None:
        # What queued behind it would fail the same way, a deadline later each time. Who still wants it asks again.
        groups = (group, *self._queue)
        self._being_written = None
        self._queue.clear()
        self._queued = 0
        try:
            for lost in groups:
                self._lost(lost.rows)
        finally:
            for lost in groups:
                lost.end(failure)
