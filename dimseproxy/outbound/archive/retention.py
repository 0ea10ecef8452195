"""
Room: studies that are deleted because they are old or there is too much of them, and objects that are refused because
the disk is nearly full.

Only a study that is complete, and that has reached every destination it was to go to, is deleted; whether it still is
that, is looked at in the transaction that takes it out of the index.  Its files go after that, so that at no time the
index knows of a file that is not there; until they are gone the database says that they have to.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from attrs import frozen
from sqlalchemy import Connection, Select, and_, func, select
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive import leaving, writing
from dimseproxy.outbound.archive.events import Events, ObjectsRefused
from dimseproxy.outbound.archive.files import Files, Release
from dimseproxy.outbound.archive.queue import State
from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.tables import ARCHIVE_COMPLETION, ARCHIVE_DISPATCH, ARCHIVE_INSTANCE, ARCHIVE_SERIES

log = Logger()

#: Seconds from one look to the next.
LOOK_EVERY: Final = 60.0
#: Studies that are looked up together.
MOST_TOGETHER: Final = 100
#: Seconds for which what is known of the disk counts: it may fill by some hundred megabytes.
_FREE_IS_KNOWN: Final = 0.25
_DAY: Final = 86400.0

_SERIES: Final = ARCHIVE_SERIES.c
_COMPLETION: Final = ARCHIVE_COMPLETION.c
_DISPATCH: Final = ARCHIVE_DISPATCH.c


@frozen
class Bounds:
    """
    What is kept.

    @ivar days: how long after its last object came a study is kept; None: for ever.
    @ivar size: how many bytes the files of all studies may have together; None: as many as there is room for.
    @ivar destinations: those that a study must have reached before it may go.
    """

    days: float | None = None
    size: int | None = None
    destinations: frozenset[str] = frozenset()


class Retention:
    """
    Deletes studies, those first of which the last object came first.

    @param release: has the index see to it that no object is in a file that is deleted.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        files: Files,
        release: Release,
        bounds: Bounds,
    ) -> None:
        self._database = database
        self._clock = clock
        self._files = files
        self._release = release
        self._bounds = bounds
        self._call = LoopingCall(self._look)
        self._call.clock = clock
        self._stopped: Deferred[Any] = succeed(None)
        self._is_stopping = False

    def start(self) -> None:
        """Look from now on, if there are any bounds."""
        self._is_stopping = False
        if self._bounds.days is not None or self._bounds.size is not None:
            self._stopped = self._call.start(LOOK_EVERY)

    def stop(self) -> Deferred[Any]:
        """Look no more; fires when a look that is under way is over."""
        self._is_stopping = True
        if self._call.running:
            self._call.stop()
        return self._stopped

    def look(self) -> Deferred[int]:
        """
        Delete what may go and has to.

        @return: how many studies; fails with `DatabaseUnavailable`.
        """
        return Deferred.fromCoroutine(self._delete())

    def _look(self) -> Deferred[Any]:
        # Whatever comes of it, there is a next time.
        return self.look().addErrback(_missed)

    async def _delete(self) -> int:
        await self._delete_left()
        deleted = 0
        if self._bounds.days is not None:
            limit = self._clock.seconds() - self._bounds.days * _DAY
            deleted += await self._delete_until(self._removable().having(_last_received() < limit), None)
        if self._bounds.size is not None:
            deleted += await self._delete_until(self._removable(), self._bounds.size)
        if deleted:
            log.info("{count} studies were deleted to make room", count=deleted)
        return deleted

    async def _delete_until(self, removable: Select[Any], size: int | None) -> int:
        """Delete studies until there are no more, or all that are left take no more than C{size}."""
        deleted = 0
        total = select(func.sum(_SERIES.size)).scalar_subquery()
        # In one statement: what another process deletes is in both, or in neither.
        oldest = removable.add_columns(total).order_by(_last_received(), _SERIES.study).limit(MOST_TOGETHER)
        while not self._is_stopping:
            found = await self._database.read(lambda connection: connection.execute(oldest).all())
            before = deleted
            excess = 0 if size is None or not found else int(found[0][3]) - size
            for study, last_received, study_size, _ in found:
                if self._is_stopping or (size is not None and excess <= 0):
                    break
                if await self._delete_study(study, last_received):
                    deleted += 1
                # Also where it is gone already. One that has grown is made up for by another look.
                excess -= int(study_size)
            if deleted == before:
                break
        return deleted

    async def _delete_study(self, study: int, last_received: float) -> bool:
        """Delete a study, unless it has grown or gone meanwhile."""
        blobs = await self._database.run(lambda connection: self._take_out(connection, study, last_received))
        if blobs:
            await self._delete_files(blobs)
        return blobs is not None

    async def _delete_left(self) -> None:
        """Delete what could not be deleted before, or not before a process ended."""
        after: str | None = ""
        while after is not None and not self._is_stopping:
            blobs = await self._database.read(partial(leaving.page, after=after))
            await self._delete_files(blobs)
            after = blobs[-1] if blobs else None

    async def _delete_files(self, blobs: Sequence[str]) -> None:
        """Delete files, unless an object is in them; those that cannot be deleted are at the next look."""
        deleted = {blob for blob in blobs if await self._delete_file(blob)}

        def forget(connection: Connection) -> None:
            leaving.forget(connection, deleted)
            if len(deleted) < len(blobs):
                leaving.forget_needed(connection)

        if blobs:
            await self._database.run(forget)

    async def _delete_file(self, blob: str) -> bool:
        try:
            return await self._files.remove(blob, self._release)
        except (OSError, DatabaseUnavailable) as error:
            why = errno.errorcode.get(error.errno or 0, "unknown") if isinstance(error, OSError) else str(error)
            log.error("a file cannot be deleted for now: {error}", error=why)
            return False

    def _removable(self) -> Select[Any]:
        """Studies that may go: number, when the last object came, bytes."""
        unfinished = select(_DISPATCH.study).where(
            _DISPATCH.destination.in_(self._bounds.destinations), _DISPATCH.state != State.SENT.value
        )
        return (
            select(_SERIES.study, _last_received(), func.sum(_SERIES.size))
            .join(ARCHIVE_COMPLETION, _COMPLETION.study == _SERIES.study)
            .where(_SERIES.study.not_in(unfinished))
            .group_by(_SERIES.study, _COMPLETION.last_received, _COMPLETION.instances)
            .having(
                and_(
                    _last_received() <= _COMPLETION.last_received, func.sum(_SERIES.instances) <= _COMPLETION.instances
                )
            )
        )

    def _take_out(self, connection: Connection, study: int, last_received: float) -> list[str] | None:
        """
        Take a study out of the index.

        @return: the names of its files; None where it may not go any longer.
        """
        writing.lock(connection)
        row = connection.execute(self._removable().where(_SERIES.study == study)).first()
        if row is None or row[1] != last_received:
            return None
        instances = ARCHIVE_INSTANCE.c
        numbers = connection.scalars(select(instances.id).join(ARCHIVE_SERIES).where(_SERIES.study == study)).all()
        blobs = writing.remove(connection, numbers)
        leaving.note(connection, blobs)
        return blobs


class Watermark:
    """
    Refuses objects while the disk is nearly full.

    @param free: how many bytes the disk still takes; it may raise `OSError`, and then nothing is taken either.
    @param refuse_below: with less than this free, in bytes.
    @param events: are told when it begins.
    """

    def __init__(self, free: Callable[[], int], refuse_below: int, clock: IReactorTime, events: Events) -> None:
        self._free = free
        self._refuse_below = refuse_below
        self._clock = clock
        self._events = events
        self._looked: float | None = None
        self._is_full = False

    def admit(self) -> None:
        """
        Ask whether an object may come.

        @raise OperationRefused: there is no room.
        """
        now = self._clock.seconds()
        if self._looked is None or not 0 <= now - self._looked < _FREE_IS_KNOWN:
            self._looked = now
            self._look()
        if self._is_full:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "The disk is nearly full")

    def _look(self) -> None:
        try:
            free = self._free()
        except OSError:
            free = 0
        was_full, self._is_full = self._is_full, free < self._refuse_below
        if self._is_full and not was_full:
            log.error("the disk is nearly full, {free} bytes are left: objects are refused", free=free)
            self._events.publish(ObjectsRefused(free))
        elif was_full and not self._is_full:
            log.info("the disk has room again, {free} bytes: objects are taken", free=free)


def _last_received() -> Any:
    return func.max(_SERIES.last_received)


def _missed(failure: Failure) -> None:
    if failure.check(DatabaseUnavailable):
        log.warn("nothing is deleted for now: {error}", error=failure.getErrorMessage())
    else:
        # Without the traceback: its values may be somebody's.
        log.error("nothing is deleted: {kind}", kind=getattr(failure.type, "__name__", "unknown"))
