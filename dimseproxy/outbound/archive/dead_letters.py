"""What could not be dispatched, for those who look after it; no dispatch has to be running for that."""

from __future__ import annotations

from typing import Final

from attrs import frozen
from sqlalchemy import ColumnElement, Connection, func, select, update
from twisted.internet.defer import Deferred

from dimseproxy.outbound.archive.queue import State
from dimseproxy.storage.database import Database
from dimseproxy.storage.tables import ARCHIVE_DISPATCH

_DISPATCH: Final = ARCHIVE_DISPATCH.c


@frozen
class DeadLetter:
    """
    A study that is not tried again by itself.

    @ivar number: what it is requeued by.
    @ivar study: the number of the study, in the database.
    @ivar attempts: those in a row that delivered nothing.
    @ivar since: when it was first due, in seconds since 1970.
    @ivar why: the last attempt failed.
    """

    number: int
    study: int
    destination: str
    attempts: int
    since: float
    why: str


def dead_letters(database: Database) -> Deferred[list[DeadLetter]]:
    """All dead letters, the oldest first; fails with `DatabaseUnavailable`."""
    statement = (
        select(
            *(_DISPATCH.id, _DISPATCH.study, _DISPATCH.destination),
            *(_DISPATCH.attempts, _DISPATCH.since, _DISPATCH.why),
        )
        .where(_DISPATCH.state == State.DEAD.value)
        .order_by(_DISPATCH.since, _DISPATCH.id)
    )
    return database.read(lambda connection: [DeadLetter(*row) for row in connection.execute(statement)])


def requeue(database: Database, number: int) -> Deferred[bool]:
    """
    Try a dead letter again, as often as if it were new.

    @return: whether there is such a dead letter; fails with `DatabaseUnavailable`.
    """
    return _requeue(database, _DISPATCH.id == number).addCallback(bool)


def requeue_all(database: Database, destination: str | None = None) -> Deferred[int]:
    """
    Try all dead letters again.

    @param destination: only those for this one.
    @return: how many there are.
    """
    if destination is None:
        return _requeue(database)
    return _requeue(database, _DISPATCH.destination == destination)


def _requeue(database: Database, *which: ColumnElement[bool]) -> Deferred[int]:
    # Due since the beginning of time: before all that waits.
    statement = (
        update(ARCHIVE_DISPATCH)
        .where(_DISPATCH.state == State.DEAD.value, *which)
        .values(state=State.WAITING.value, due=0.0, owner=None, attempts=0)
    )
    return database.run(lambda connection: connection.execute(statement).rowcount)


def count_by_state(database: Database) -> Deferred[dict[tuple[str, State], int]]:
    """How many studies are where on their way, by destination and state; fails with `DatabaseUnavailable`."""
    what = (_DISPATCH.destination, _DISPATCH.state)
    statement = select(*what, func.count()).group_by(*what)

    def work(connection: Connection) -> dict[tuple[str, State], int]:
        return {(row[0], State(row[1])): int(row[2]) for row in connection.execute(statement)}

    return database.read(work)
