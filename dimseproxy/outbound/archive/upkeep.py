"""
What goes on in an archive by itself: studies become complete, are sent on, and are deleted.

Of all processes that answer from an archive, the one on duty does this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.dispatch import Destination, Dispatch, Means
from dimseproxy.outbound.archive.duty import Duty
from dimseproxy.outbound.archive.events import Events
from dimseproxy.outbound.archive.files import Files, Release
from dimseproxy.outbound.archive.queue import Queue
from dimseproxy.outbound.archive.retention import Bounds, Retention
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.tracking import Tracking
from dimseproxy.storage.database import Database

log = Logger()


class Upkeep:
    """
    @param files: those of the archive.
    @param release: has the index see to it that no object is in a file that is deleted.
    @param seal: that of the index.
    @param events: told what happens.
    @param study_timeout: seconds of silence after which a study is complete.
    @param destinations: where complete studies are sent.
    @param days: how long studies are kept; None: for ever.
    @param size: how many bytes all studies may have together; None: as many as there is room for.
    """

    def __init__(
        self,
        database: Database,
        files: Files,
        release: Release,
        seal: Seal | None,
        events: Events,
        clock: IReactorTime,
        *,
        study_timeout: float,
        destinations: Sequence[Destination] = (),
        days: float | None = None,
        size: int | None = None,
    ) -> None:
        columns = Columns(seal)
        names = [destination.name for destination in destinations]
        self._queue = Queue(database, clock, columns, names)
        self._dispatch = Dispatch(Means(self._queue, clock, events, files.in_thread, files.read), destinations)
        self._tracking = Tracking(database, clock, columns, study_timeout, events, self._queue.enqueue)
        self._retention = Retention(database, clock, files, release, Bounds(days, size, frozenset(names)))
        self._duty = Duty(database, clock, self._begin, self._end)
        self._is_running = False

    def start(self) -> Deferred[None]:
        """Begin, or go on, when it is our turn; the index and the archive have to be started before."""
        if not self._is_running:
            self._is_running = True
            self._duty.start()
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """End; the archive and the database are needed until this fires."""
        self._is_running = False
        return self._duty.stop()

    def _begin(self) -> None:
        self._dispatch.start()
        self._tracking.start()
        self._retention.start()
        self._queue.take_over().addCallbacks(lambda _: self._dispatch.look(), _missed)

    def _end(self) -> Deferred[Any]:
        return DeferredList([self._tracking.stop(), self._dispatch.stop(), self._retention.stop()])


def _missed(failure: Failure) -> None:
    # It is found again all the same, when its owner did not speak for it for long enough. Without the traceback: its
    # values may be somebody's.
    log.warn("what was being sent is not taken over at once: {kind}", kind=getattr(failure.type, "__name__", "unknown"))
