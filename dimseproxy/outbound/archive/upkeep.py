"""What goes on in an archive by itself: studies become complete, are sent on, and are deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime

from dimseproxy.outbound.archive.columns import Columns
from dimseproxy.outbound.archive.dispatch import Destination, Dispatch, Means
from dimseproxy.outbound.archive.events import Events
from dimseproxy.outbound.archive.files import Files
from dimseproxy.outbound.archive.queue import Queue
from dimseproxy.outbound.archive.retention import Bounds, Retention
from dimseproxy.outbound.archive.seal import Seal
from dimseproxy.outbound.archive.tracking import Tracking
from dimseproxy.storage.database import Database


class Upkeep:
    """
    @param files: those of the archive.
    @param is_used: asks the index whether an object is in a file.
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
        is_used: Callable[[str], Deferred[bool]],
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
        queue = Queue(database, clock, columns, names)
        self._dispatch = Dispatch(Means(queue, clock, events, files.in_thread, files.read), destinations)
        self._tracking = Tracking(database, clock, columns, study_timeout, events, queue.enqueue)
        self._retention = Retention(database, clock, files, is_used, Bounds(days, size, frozenset(names)))
        self._is_running = False

    def start(self) -> Deferred[None]:
        """Begin, or go on; the index and the archive have to be started before."""
        if not self._is_running:
            self._is_running = True
            self._dispatch.start()
            self._tracking.start()
            self._retention.start()
        return succeed(None)

    def stop(self) -> Deferred[Any]:
        """End; the archive and the database are needed until this fires."""
        self._is_running = False
        return DeferredList([self._tracking.stop(), self._dispatch.stop(), self._retention.stop()])
