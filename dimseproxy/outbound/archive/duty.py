"""
Who looks after an archive that several processes answer from: one of them at a time.

Studies that are completed, sent and deleted by several at once would come to no harm, for each of these is one
transaction that only one of them can make.  But what the configuration says of a destination, such as how many
associations there are to it and how long it is left alone, has to hold for all processes together.

The process on duty writes now and then that it is alive.  Another one takes its place when it said that it ends, or
when nothing was heard of it for a while; how long that is, each measures by its own clock, so that clocks which differ
do no harm.  A process that was slow finds itself replaced, and stops.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select, update
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.tables import ARCHIVE_UPKEEP

log = Logger()

#: Seconds from one sign of life to the next, and from one look at it to the next.
BEAT: Final = 5.0
#: Seconds without a sign of life after which a process is replaced.
SILENCE: Final = 15.0

_UPKEEP: Final = ARCHIVE_UPKEEP.c


class Duty:
    """
    @param taken_up: called when this process is on duty.
    @param laid_down: called when it is not any longer; what was begun is over when that fires.
    """

    def __init__(
        self,
        database: Database,
        clock: IReactorTime,
        taken_up: Callable[[], None],
        laid_down: Callable[[], Deferred[Any]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._taken_up = taken_up
        self._laid_down = laid_down
        self._owner = secrets.token_hex(16)
        #: The last sign of life: of whom, which one, and when it was new to us.
        self._sign: tuple[str | None, int] = (None, -1)
        self._heard = 0.0
        self.is_ours = False
        self._call = LoopingCall(self._look)
        self._call.clock = clock
        self._stopped: Deferred[Any] = succeed(None)

    def start(self) -> None:
        """Be on duty as soon as nobody else is."""
        self._stopped = self._call.start(BEAT)

    def stop(self) -> Deferred[None]:
        """Leave it to the others; fires when what was begun is over."""
        if self._call.running:
            self._call.stop()
        stopped: Deferred[None] = Deferred.fromCoroutine(self._stop())
        return stopped

    def look(self) -> Deferred[None]:
        """Give a sign of life, or look for one."""
        looked: Deferred[None] = Deferred.fromCoroutine(self._keep() if self.is_ours else self._follow())
        return looked

    def _look(self) -> Deferred[Any]:
        # Whatever comes of it, there is a next time.
        return self.look().addErrback(_missed)

    async def _stop(self) -> None:
        await self._stopped
        if not self.is_ours:
            return
        await self._lay_down()
        try:
            await self._database.run(lambda connection: _write(connection, _UPKEEP.owner == self._owner, None))
        except (DatabaseUnavailable, DatabaseRefused) as error:
            log.warn("the others are not told that this process ends: {error}", error=str(error))

    async def _keep(self) -> None:
        try:
            is_ours = await self._database.run(
                lambda connection: _write(connection, _UPKEEP.owner == self._owner, self._owner)
            )
        except (DatabaseUnavailable, DatabaseRefused):
            # Nobody has seen the last sign for longer than we have.
            if self._clock.seconds() - self._heard < SILENCE:
                raise
            is_ours = False
        if is_ours:
            self._heard = self._clock.seconds()
        else:
            log.warn("this process looks after the archive no longer: it was not heard of for too long")
            await self._lay_down()

    async def _follow(self) -> None:
        now = self._clock.seconds()
        sign = await self._database.read(_last_sign)
        if sign != self._sign:
            self._sign, self._heard = sign, now
        owner, beat = sign
        # The clock may have been set back.
        self._heard = min(self._heard, now)
        if owner is not None and now - self._heard < SILENCE:
            return
        unchanged = (_UPKEEP.owner == owner) & (_UPKEEP.beat == beat)
        if await self._database.run(lambda connection: _write(connection, unchanged, self._owner)):
            self._heard = self._clock.seconds()
            self.is_ours = True
            log.info("this process looks after the archive from now on")
            self._taken_up()

    async def _lay_down(self) -> None:
        self.is_ours = False
        await self._laid_down()


def _last_sign(connection: Connection) -> tuple[str | None, int]:
    owner, beat = connection.execute(select(_UPKEEP.owner, _UPKEEP.beat)).one()
    return owner, beat


def _write(connection: Connection, condition: ColumnElement[bool], owner: str | None) -> bool:
    """Write a sign of life, if nobody else did meanwhile; whether it was written."""
    statement = update(ARCHIVE_UPKEEP).where(condition).values(owner=owner, beat=_UPKEEP.beat + 1)
    return connection.execute(statement).rowcount == 1


def _missed(failure: Any) -> None:
    if failure.check(DatabaseUnavailable, DatabaseRefused):
        log.warn("nobody can say who looks after the archive: {error}", error=failure.getErrorMessage())
    else:
        # Without the traceback: its values may be somebody's.
        log.error("nobody can say who looks after the archive: {kind}", kind=failure.type.__name__)
