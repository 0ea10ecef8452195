"""
A journal: what must be durable soon, and goes to the database later, together.

A transaction costs a millisecond of computing and a few waits for the disk; a record in a file costs next to nothing
and one wait.  One thread writes what has come while the disk was busy with what came before: group commit by nature.

The records stay until their owner says that they are not needed any longer.  When a file has grown, another one is
begun, and the full one is removed once all of it may be forgotten.  What a process leaves behind, killed or not, its
successor gets when it opens the journal.  Several processes may have journals of one path: each has files of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from attrs import field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.journal_file import JournalFile, create, files, sync_folder, take_over

_T = TypeVar("_T")

#: Records that may wait for the disk, some 1 KiB each at most.
MOST_WAITING: Final = 50_000

#: Bytes of a file after which the next one is begun: some 5,000 records, which a start reads in no time.
FILE_SIZE: Final = 1024 * 1024


@frozen(eq=False)
class _Append:
    """Records to be written; `make` is called in the thread."""

    make: Callable[[], Sequence[bytes]] = field(repr=False)
    count: int
    done: Deferred[None] = field(factory=Deferred, repr=False)


@frozen(eq=False)
class _Call:
    """Anything else for the thread, in its turn."""

    work: Callable[[], Any] = field(repr=False)
    done: Deferred[Any] = field(factory=Deferred, repr=False)


class Journal:
    """
    Opened once and closed once.

    @param path: of its files, each of which adds a number; the folder must be there.
    @param reactor: whose thread asks and is answered.
    @param most_waiting: records that wait for the disk; more are refused with `DatabaseUnavailable`.
    @param file_size: bytes of a file after which another is begun.
    """

    def __init__(
        self,
        path: Path,
        reactor: IReactorFromThreads,
        *,
        most_waiting: int = MOST_WAITING,
        file_size: int = FILE_SIZE,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._most_waiting = most_waiting
        self._file_size = file_size
        self._steps: SimpleQueue[_Append | _Call] = SimpleQueue()
        self._thread: Thread | None = None
        self._waiting = 0
        self._closing: list[Deferred[None]] = []
        # Written by the reactor and read by the thread.
        self._forgotten = 0
        # The thread's alone from here.
        self._appended = 0
        self._file: JournalFile | None = None
        self._full: deque[tuple[JournalFile, int]] = deque()
        self._left: list[JournalFile] = []
        self._is_over = False

    def open(self) -> Deferred[list[bytes]]:
        """
        Begin a file, and take over those that nobody holds any longer.

        @return: their records, in the order in which they were written; all stays on the disk until `drop_left`.  Fails
            with `DatabaseUnavailable`, or with `DatabaseRefused` where a file is damaged; it must be closed then, too.
        """
        assert self._thread is None
        self._thread = Thread(target=self._run, name="journal", daemon=False)
        self._thread.start()
        return self._call(self._open)

    def drop_left(self) -> Deferred[None]:
        """Remove what `open` took over.  Fails with `DatabaseUnavailable`."""
        return self._call(self._drop_left)

    def append(self, make: Callable[[], Sequence[bytes]], count: int) -> Deferred[None]:
        """
        Write records.

        @param make: makes them, as many as `count` says; called in the thread.
        @return: fires when they are durable; fails with `DatabaseUnavailable` when they are not, or with what `make`
            raised.
        @raise DatabaseUnavailable: the journal is not open, or too much waits already.
        """
        if self._thread is None or self._closing:
            raise DatabaseUnavailable("the journal of the database is unavailable: it is not open")
        if self._waiting + count > self._most_waiting:
            raise DatabaseUnavailable("the journal of the database is unavailable: too much waits to be written")
        self._waiting += count
        step = _Append(make, count)
        self._steps.put(step)
        return step.done

    def forget(self, count: int) -> None:
        """The oldest records are not needed any longer: as many more as `count` says, of those that were durable."""
        self._forgotten += count

    def is_alone(self) -> bool:
        """
        Whether there are no files but its own, of a living process or a dead one.  May be asked in any thread.

        @raise DatabaseUnavailable: the folder cannot be read.
        """
        assert self._file is not None
        own = {file.path for file in (self._file, *self._left, *(full for full, _ in tuple(self._full)))}
        return own.issuperset(files(self._path))

    def close(self) -> Deferred[None]:
        """Write what waits and let go; a file stays if it has anything that was not to be forgotten."""
        if self._thread is None:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        if len(self._closing) == 1:
            self._call(self._close).addBoth(self._closed)
        return closed

    def _call(self, work: Callable[[], _T]) -> Deferred[_T]:
        step = _Call(work)
        self._steps.put(step)
        return step.done

    def _closed(self, result: object) -> None:
        assert self._thread is not None
        # It has nothing left to do.
        self._thread.join()
        self._thread = None
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.callback(None)

    def _deliver(self, outcomes: Sequence[tuple[_Append | _Call, Any]]) -> None:
        for step, _ in outcomes:
            if isinstance(step, _Append):
                self._waiting -= step.count
        for step, outcome in outcomes:
            step.done.callback(outcome)

    # In the thread

    def _run(self) -> None:
        while not self._is_over:
            steps = [self._steps.get()]
            with suppress(Empty):
                while True:
                    steps.append(self._steps.get_nowait())
            outcomes: list[tuple[_Append | _Call, Any]] = []
            group: list[_Append] = []
            for step in steps:
                if isinstance(step, _Append):
                    group.append(step)
                else:
                    outcomes += self._append(group)
                    group = []
                    outcomes.append((step, _outcome(step.work)))
            outcomes += self._append(group)
            # Once for all of them: it wakes the reactor up.
            self._reactor.callFromThread(self._deliver, outcomes)
            self._tidy()

    def _append(self, group: Sequence[_Append]) -> list[tuple[_Append, Any]]:
        outcomes = [(step, _outcome(step.make)) for step in group]
        records = [record for _, made in outcomes if not isinstance(made, Failure) for record in made]
        result = _outcome(lambda: self._write(records)) if records else None
        return [(step, made if isinstance(made, Failure) else result) for step, made in outcomes]

    def _write(self, records: Sequence[bytes]) -> None:
        if self._file is None:
            raise DatabaseUnavailable("the journal of the database is unavailable: it is not open")
        self._file.append(records)
        self._appended += len(records)

    def _tidy(self) -> None:
        while self._full and self._full[0][1] <= self._forgotten:
            # Out of the list after it is gone: `is_alone` may look meanwhile.
            self._full[0][0].remove()
            self._full.popleft()
        if self._file is not None and self._file.size >= self._file_size:
            # Where there is no room for a new one, the old one grows.
            with suppress(DatabaseUnavailable):
                fresh = create(self._path)
                self._full.append((self._file, self._appended))
                self._file = fresh

    def _open(self) -> list[bytes]:
        # Its own one first: it tells others that somebody is there.
        self._file = create(self._path)
        records: list[bytes] = []
        for file in take_over(self._path):
            self._left.append(file)
            records += file.read()
        return records

    def _drop_left(self) -> None:
        for file in self._left:
            file.remove()
        self._left = []
        sync_folder(self._path)

    def _close(self) -> None:
        self._is_over = True
        held = [*self._full] if self._file is None else [*self._full, (self._file, self._appended)]
        self._full.clear()
        self._file = None
        for file, until in held:
            if until <= self._forgotten:
                file.remove()
            else:
                file.close()
        for file in self._left:
            file.close()
        self._left = []
        sync_folder(self._path)


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception:
        return Failure()
