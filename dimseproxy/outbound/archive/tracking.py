"""
When studies are complete: no modality says so, so silence does.

What is known is in the database.  A study is complete once nothing came for a while, and its completion is written
together with what follows from it, so that neither a restart nor another proxy on the same database makes it happen
twice, or never.  A study that has grown since is completed once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.events import Events, StudyCompleted
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.tables import ARCHIVE_COMPLETION, ARCHIVE_SERIES, ARCHIVE_STUDY

log = Logger()

#: Studies that are completed in one transaction.
MOST_TOGETHER: Final = 200
#: A look at what came lately goes back by so many seconds more than it has to: a clock may be set back, that of another
#: proxy may be late, and a commit may take its time.
SLACK: Final = 900.0
#: Seconds from one look at everything to the next, for whatever slipped through in spite of that.
SWEEP_EVERY: Final = 3600.0
#: Seconds from one look to the next, at least and at most.
_SHORTEST_LOOK: Final = 0.5
_LONGEST_LOOK: Final = 5.0

_SERIES: Final = ARCHIVE_SERIES.c
_STUDY: Final = ARCHIVE_STUDY.c
_COMPLETION: Final = ARCHIVE_COMPLETION.c

#: Called in the transaction that completes studies, with their numbers and the time.
Follows = Callable[[Connection, Sequence[int], float], None]


class Tracking:
    """
    @param columns: read the study's UID.
    @param timeout: seconds of silence after which a study is complete.
    @param events: are told of each completion by the one proxy that wrote it.
    @param follows: writes what follows from the completion of studies.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        columns: Columns,
        timeout: float,
        events: Events,
        follows: Follows = lambda connection, studies, now: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._columns = columns
        self._timeout = timeout
        self._events = events
        self._follows = follows
        #: Whatever was received before is complete; 0: nobody knows.
        self._settled = 0.0
        self._next_sweep = 0.0
        self._call = LoopingCall(self._look)
        self._call.clock = clock
        self._stopped: Deferred[Any] = succeed(None)

    def start(self) -> None:
        """Look for studies from now on; first at all there are."""
        interval = min(max(self._timeout / 4, _SHORTEST_LOOK), _LONGEST_LOOK)
        self._stopped = self._call.start(interval)

    def stop(self) -> Deferred[Any]:
        """Look no more; fires when a look that is under way is over."""
        if self._call.running:
            self._call.stop()
        return self._stopped

    def look(self) -> Deferred[int]:
        """
        Complete the studies that are.

        @return: how many; fails with `DatabaseUnavailable`.
        """
        return Deferred.fromCoroutine(self._complete())

    def _look(self) -> Deferred[Any]:
        # Whatever comes of it, there is a next time.
        return self.look().addErrback(_missed)

    async def _complete(self) -> int:
        now = self._clock.seconds()
        if now >= self._next_sweep or now < self._settled:
            self._settled, self._next_sweep = 0.0, now + SWEEP_EVERY
        before, after = now - self._timeout, 0
        completed = 0
        # A transaction that may write keeps others from writing: none is begun for nothing.
        while found := await self._database.read(partial(_numbers, _silent(self._settled, before, after))):
            # As they are by then: one that has grown meanwhile is none of them any longer.
            silent = _silent(self._settled, before, after).where(_SERIES.study <= found[-1])
            events = await self._database.run(partial(self._write, silent, now))
            completed += len(events)
            for event in events:
                self._events.publish(event)
            after = found[-1]
        self._settled = max(before - SLACK, 0.0)
        return completed

    def _write(self, statement: Select[Any], now: float, connection: Connection) -> list[StudyCompleted]:
        found = {row[0]: row for row in connection.execute(statement)}
        completions = {}
        for study, last_received, instances, size in found.values():
            # None where another proxy has just written the same.
            number = connection.scalar(_completed(connection, study, int(instances), int(size), last_received))
            if number is not None:
                completions[study] = number
        self._follows(connection, tuple(completions), now)
        rows = connection.execute(select(_STUDY.id, _STUDY.uid, _STUDY.attributes).where(_STUDY.id.in_(completions)))
        events = []
        for study, found_by, attributes in rows:
            uid = self._columns.uid_of(ARCHIVE_STUDY, found_by, attributes)
            if uid is None:
                log.error("study {number} is complete, but cannot be read in the index", number=study)
                continue
            _, _, instances, size = found[study]
            events.append(StudyCompleted(study, uid, completions[study], int(instances), int(size)))
        return events


def _silent(settled: float, before: float, after: int) -> Select[Any]:
    """
    Studies of which nothing came after C{before}, and more than was there when they were complete last.

    @param settled: those of which nothing came since then are left out.
    @param after: only those with a higher number; they come in that order.
    """
    last_received, instances = func.max(_SERIES.last_received), func.sum(_SERIES.instances)
    statement = select(_SERIES.study, last_received, instances, func.sum(_SERIES.size)).where(_SERIES.study > after)
    if settled:
        statement = statement.where(
            _SERIES.study.in_(select(_SERIES.study).where(_SERIES.last_received >= settled, _SERIES.study > after))
        )
    return (
        statement.outerjoin(ARCHIVE_COMPLETION, _COMPLETION.study == _SERIES.study)
        # By what the index is sorted by, and nothing else: it is read no further than to the limit.
        .group_by(_SERIES.study)
        .having(
            and_(
                last_received <= before,
                or_(
                    func.min(_COMPLETION.study).is_(None),
                    func.min(_COMPLETION.last_received) < last_received,
                    # What came slowly may have been received before what was there already.
                    func.min(_COMPLETION.instances) < instances,
                ),
            )
        )
        # One order on every proxy, so that no two wait for one another.
        .order_by(_SERIES.study)
        .limit(MOST_TOGETHER)
    )


def _numbers(statement: Select[Any], connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute(statement)]


def _completed(connection: Connection, study: int, instances: int, size: int, last_received: float) -> Any:
    """Write a completion, unless it is written; gives how many there were by now."""
    there = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = there.insert(ARCHIVE_COMPLETION).values(
        study=study, completions=1, instances=instances, size=size, last_received=last_received
    )
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[_COMPLETION.study],
        set_={
            "completions": _COMPLETION.completions + 1,
            "instances": new.instances,
            "size": new.size,
            "last_received": new.last_received,
        },
        where=or_(_COMPLETION.last_received < new.last_received, _COMPLETION.instances < new.instances),
    ).returning(_COMPLETION.completions)


def _missed(failure: Any) -> None:
    if failure.check(DatabaseUnavailable, DatabaseRefused):
        log.warn("studies cannot be completed for now: {error}", error=failure.getErrorMessage())
    else:
        # Without the traceback: its values may be somebody's.
        log.error("studies cannot be completed: {kind}", kind=failure.type.__name__)
