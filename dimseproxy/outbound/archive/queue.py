"""
What is to be dispatched, and how far it got: rows of the database, so that no restart forgets any of it.

Whoever sends a study owns its row for a while, and says in time that it still does; another proxy, or this one after a
crash, takes up what nobody speaks for, or what was left by the one that it comes after.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Any, Final, TypeVar

from attrs import field, frozen
from sqlalchemy import Connection, Table, and_, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dimseproxy.errors import DimseProxyError
from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.storage.database import Database
from dimseproxy.storage.tables import (
    ARCHIVE_COMPLETION,
    ARCHIVE_DELIVERED,
    ARCHIVE_DISPATCH,
    ARCHIVE_INSTANCE,
    ARCHIVE_SERIES,
    ARCHIVE_STUDY,
)

log = Logger()

_T = TypeVar("_T")

#: Seconds that a row is owned without a word.
LEASE: Final = 60.0

#: Why a study is a dead letter that was not even tried.
_UNREADABLE: Final = "the index cannot be read where it is about this study"

_DISPATCH: Final = ARCHIVE_DISPATCH.c
_INSTANCE: Final = ARCHIVE_INSTANCE.c
_DELIVERED: Final = ARCHIVE_DELIVERED.c


class State(Enum):
    """Where a study is on its way to a destination."""

    #: For its turn, its hour, or its next attempt.
    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    #: It was tried often enough: somebody has to look.
    DEAD = "dead"


class NotOurs(DimseProxyError):
    """Another proxy took a dispatch over, or the study is gone."""


@frozen
class Job:
    """
    A dispatch that we own.

    @ivar number: of the dispatch.
    @ivar study: the number of the study.
    @ivar study_uid: its Study Instance UID.
    @ivar attempts: those in a row before this one that delivered nothing.
    @ivar completions: how often the study was complete when it was taken up.
    """

    number: int
    study: int
    study_uid: str = field(repr=False)
    destination: str
    attempts: int
    completions: int


@frozen
class Pending:
    """
    An object that has not reached the destination.

    @ivar number: of the object, in the database.
    @ivar sop_instance: None where its row cannot be read.
    @ivar blob: the name of its file.
    @ivar size: of what was written to it, in bytes.
    """

    number: int
    sop_class: str
    sop_instance: str | None = field(repr=False)
    transfer_syntax: str
    blob: str
    size: int


class Queue:
    """
    @param columns: read UIDs.
    @param destinations: the names of those that a complete study goes to.
    """

    def __init__(
        self, database: Database, clock: IReactorTime, columns: Columns, destinations: Collection[str]
    ) -> None:
        self._database = database
        self._clock = clock
        self._columns = columns
        self._destinations = tuple(destinations)
        self._owner = secrets.token_hex(16)

    def enqueue(self, connection: Connection, studies: Sequence[int], now: float) -> None:
        """
        Studies are complete: send what each destination does not have.  What waits, waits on; what is dead stays so.

        @param now: seconds since 1970.
        """
        rows = [{"study": study, "destination": destination} for study in studies for destination in self._destinations]
        if not rows:
            return
        anew: dict[str, Any] = {
            "state": State.WAITING.value,
            "due": now,
            "owner": None,
            "attempts": 0,
            "since": now,
            "why": "",
        }
        statement = _insert_into(connection, ARCHIVE_DISPATCH).values([row | anew for row in rows])
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[_DISPATCH.study, _DISPATCH.destination],
                set_=anew,
                where=_DISPATCH.state == State.SENT.value,
            )
        )

    def claim(self, destination: str) -> Deferred[Job | None]:
        """
        Take up what is due for a destination, the longest first; None where nothing is.  A study whose row cannot be
        read is a dead letter.
        """
        now = self._clock.seconds()
        due = (
            select(_DISPATCH.id)
            .where(_DISPATCH.destination == destination, _DISPATCH.due <= now)
            .order_by(_DISPATCH.due, _DISPATCH.id)
            .limit(1)
        )

        def take(connection: Connection) -> Job | None:
            while (number := connection.scalar(due.with_for_update(skip_locked=True))) is not None:
                job = self._job(connection, number)
                if job is not None:
                    _set(connection, number, state=State.SENDING.value, due=now + LEASE, owner=self._owner)
                    return job
                log.error("dispatch {number}: {why}", number=number, why=_UNREADABLE)
                _set(connection, number, state=State.DEAD.value, due=None, owner=None, why=_UNREADABLE)
            return None

        def is_there(number: int | None) -> Deferred[Job | None]:
            return succeed(None) if number is None else self._database.run(take)

        # A transaction that may write keeps others from writing: none is begun for nothing.
        return self._database.read(lambda connection: connection.scalar(due)).addCallback(is_there)

    def take_over(self) -> Deferred[int]:
        """
        Nobody else sends any longer: what others did not finish is due now.  Should one of them still be alive, it
        learns that its dispatch is another's.

        @return: how many there are.
        """
        others = (_DISPATCH.state == State.SENDING.value) & (_DISPATCH.owner != self._owner)
        due = update(ARCHIVE_DISPATCH).where(others).values(due=self._clock.seconds(), owner=None)
        return self._database.run(lambda connection: connection.execute(due).rowcount)

    def _job(self, connection: Connection, number: int) -> Job | None:
        completion = ARCHIVE_COMPLETION.c
        row = connection.execute(
            select(
                _DISPATCH.study,
                _DISPATCH.destination,
                _DISPATCH.attempts,
                func.coalesce(completion.completions, 0),
                ARCHIVE_STUDY.c.uid,
                ARCHIVE_STUDY.c.attributes,
            )
            .join_from(ARCHIVE_DISPATCH, ARCHIVE_STUDY)
            .outerjoin(ARCHIVE_COMPLETION, completion.study == ARCHIVE_STUDY.c.id)
            .where(_DISPATCH.id == number)
        ).one()
        study, destination, attempts, completions, found_by, attributes = row
        uid = self._columns.uid_of(ARCHIVE_STUDY, found_by, attributes)
        return None if uid is None else Job(number, study, uid, destination, attempts, completions)

    def pending(self, job: Job, after: int, limit: int) -> Deferred[list[Pending]]:
        """
        Objects that have not reached the destination, in the order in which they came.

        @param after: only those with a higher number.
        """
        reached = select(_DELIVERED.instance).where(
            _DELIVERED.instance == _INSTANCE.id, _DELIVERED.dispatch == job.number
        )
        statement = (
            select(
                *(_INSTANCE.id, _INSTANCE.sop_class, _INSTANCE.uid, _INSTANCE.transfer_syntax, _INSTANCE.blob),
                _INSTANCE.size,
                _INSTANCE.attributes if self._columns.is_sealed else literal(b""),
            )
            .join_from(ARCHIVE_INSTANCE, ARCHIVE_SERIES)
            .where(ARCHIVE_SERIES.c.study == job.study, _INSTANCE.id > after, ~reached.exists())
            .order_by(_INSTANCE.id)
            .limit(limit)
        )

        def work(connection: Connection) -> list[Pending]:
            return [
                Pending(
                    number,
                    sop_class,
                    self._columns.uid_of(ARCHIVE_INSTANCE, uid, attributes),
                    transfer_syntax,
                    blob,
                    size,
                )
                for number, sop_class, uid, transfer_syntax, blob, size, attributes in connection.execute(statement)
            ]

        return self._database.read(work)

    def renew(self, job: Job) -> Deferred[None]:
        """Say that we still send this; fails with `NotOurs`."""
        return self._as_owner(job, lambda connection: None)

    def delivered(self, job: Job, objects: Sequence[Pending]) -> Deferred[None]:
        """Objects reached the destination; fails with `NotOurs`."""

        def work(connection: Connection) -> None:
            # One that was replaced meanwhile has another file: its new content has not reached anybody.
            there = {
                row[0]: row[1]
                for row in connection.execute(
                    select(_INSTANCE.id, _INSTANCE.blob).where(_INSTANCE.id.in_([each.number for each in objects]))
                )
            }
            rows = [
                {"instance": each.number, "dispatch": job.number}
                for each in objects
                if there.get(each.number) == each.blob
            ]
            if rows:
                connection.execute(_insert_into(connection, ARCHIVE_DELIVERED).on_conflict_do_nothing(), rows)

        return self._as_owner(job, work)

    def sent(self, job: Job) -> Deferred[bool]:
        """
        All of it reached the destination.

        @return: whether that is all there is; if the study was completed once more meanwhile, it waits again.  Fails
            with `NotOurs`.
        """

        def work(connection: Connection) -> bool:
            completions = connection.scalar(
                select(ARCHIVE_COMPLETION.c.completions).where(ARCHIVE_COMPLETION.c.study == job.study)
            )
            is_all = (completions or 0) == job.completions
            state, due = (State.SENT, None) if is_all else (State.WAITING, self._clock.seconds())
            _set(connection, job.number, state=state.value, due=due, owner=None, attempts=0, why="")
            return is_all

        return self._as_owner(job, work)

    def failed(self, job: Job, attempts: int, retry: float | None, why: str) -> Deferred[None]:
        """
        Not all of it reached the destination.

        @param attempts: in a row that delivered nothing, this one included.
        @param retry: when it is tried again, in seconds since 1970; None: it is dead.
        @param why: nothing that says whose study it is.
        """
        state = State.DEAD if retry is None else State.WAITING
        return self._as_owner(
            job,
            lambda connection: _set(
                connection, job.number, state=state.value, due=retry, owner=None, attempts=attempts, why=why
            ),
        )

    def put_back(self, job: Job) -> Deferred[None]:
        """It was not our turn after all: anybody may take it up."""
        now = self._clock.seconds()
        return self._as_owner(
            job, lambda connection: _set(connection, job.number, state=State.WAITING.value, due=now, owner=None)
        )

    def _as_owner(self, job: Job, work: Callable[[Connection], _T]) -> Deferred[_T]:
        """Do something as the owner of the row, and stay it for another while."""
        lease = self._clock.seconds() + LEASE
        still_ours = and_(
            _DISPATCH.id == job.number,
            _DISPATCH.study == job.study,
            _DISPATCH.state == State.SENDING.value,
            _DISPATCH.owner == self._owner,
        )

        def owned(connection: Connection) -> _T:
            if connection.execute(update(ARCHIVE_DISPATCH).where(still_ours).values(due=lease)).rowcount != 1:
                raise NotOurs("the dispatch was taken over by another proxy, or its study is gone")
            return work(connection)

        return self._database.run(owned)


def _set(connection: Connection, number: int, **values: Any) -> None:
    connection.execute(update(ARCHIVE_DISPATCH).where(_DISPATCH.id == number).values(**values))


def _insert_into(connection: Connection, table: Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
