"""
A journal: what must be durable soon, and goes to the database later, together.

A transaction costs a millisecond of computing and a few waits for the disk; a record in a file costs next to nothing
and one wait.  What comes while the disk is busy is gathered, and is the next write: group commit by nature.  The thread
does no more than write: whatever else it did would be in the reactor's way, for only one of them runs Python at a time.

The records stay until their owner says that they are not needed any longer.  When a file has grown, another one is
begun, and the full one is removed once all of it may be forgotten.  What a process leaves behind, killed or not, its
successor gets when it opens the journal.  Several processes may have journals of one path: each has files of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.journal_file import JournalFile, create, files, peek, sync_folder, take_over

log = Logger()

_T = TypeVar("_T")

#: Records that may wait for the disk, some 1 KiB each at most.
MOST_WAITING: Final = 50_000

#: Bytes of a file after which the next one is begun: some 5,000 records, which a start reads in no time.
FILE_SIZE: Final = 1024 * 1024


class Journal:
    """
    Opened once and closed once.

    @param path: of its files, each of which adds a number; the folder must be there.
    @param reactor: whose thread asks and is answered.
    @param most_waiting: records that wait for the disk; more are refused with `DatabaseUnavailable`.
    @param file_size: bytes of a file after which another is begun; it has the room from its beginning.
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
        #: What the thread shall do, and who is told what came of it, in the reactor's.
        self._steps: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]]] = SimpleQueue()
        self._thread: Thread | None = None
        #: Records that are not durable yet; those of them that wait for the disk to be free, and who waits for them.
        self._waiting = 0
        self._gathered: list[bytes] = []
        self._gathered_for: list[Deferred[None]] = []
        self._is_writing = False
        self._closing: list[Deferred[None]] = []
        # Written by the reactor and read by the thread.
        self._forgotten = 0
        # The thread's alone from here.
        self._appended = 0
        self._file: JournalFile | None = None
        self._full: deque[tuple[JournalFile, int]] = deque()
        self._left: list[JournalFile] = []
        self._is_untidy = False
        self._is_over = False

    def open(self) -> Deferred[list[bytes]]:
        """
        Begin a file, and take over those that nobody holds any longer.

        @return: their records, in the order in which they were written; all stays on the disk until `drop_left`.  Fails
            with `DatabaseUnavailable`, or with `DatabaseRefused` where a file is damaged; it must be closed then, too.
        """
        assert self._thread is None
        thread = Thread(target=self._run, name="journal", daemon=False)
        # It may not start, and then nobody waits for it.
        thread.start()
        self._thread = thread
        return self._call(self._open)

    def drop_left(self) -> Deferred[None]:
        """Remove what `open` took over.  Fails with `DatabaseUnavailable`."""
        return self._call(self._drop_left)

    def append(self, records: Sequence[bytes]) -> Deferred[None]:
        """
        Write records.

        @return: fires when they are durable; fails with `DatabaseUnavailable` when they are not.
        @raise DatabaseUnavailable: the journal is not open, or too much waits already.
        """
        if self._thread is None or self._closing:
            raise DatabaseUnavailable("the journal of the database is unavailable: it is not open")
        if self._waiting + len(records) > self._most_waiting:
            raise DatabaseUnavailable("the journal of the database is unavailable: too much waits to be written")
        self._waiting += len(records)
        self._gathered += records
        durable: Deferred[None] = Deferred()
        self._gathered_for.append(durable)
        if not self._is_writing:
            self._write_gathered()
        return durable

    def forget(self, count: int) -> None:
        """The oldest records are not needed any longer: as many more as `count` says, of those that were durable."""
        self._forgotten += count

    def is_alone(self) -> bool:
        """
        Whether there are no files but its own, of a living process or a dead one.  May be asked in any thread.

        @raise DatabaseUnavailable: the folder cannot be read.
        """
        return not self._others()

    def of_others(self, hints: Collection[bytes]) -> list[bytes]:
        """
        What other processes have in their files now.  It blocks, and may be asked in any thread.

        @param hints: files in which none of these stands are left out.
        @raise DatabaseUnavailable: a file cannot be read.
        @raise DatabaseRefused: a file is damaged.
        """
        return [record for path in self._others() for record in peek(path, hints)]

    def _others(self) -> list[Path]:
        held = (self._file, *self._left, *(full for full, _ in tuple(self._full)))
        own = {file.path for file in held if file is not None}
        return [path for path in files(self._path) if path not in own]

    def close(self) -> Deferred[None]:
        """Write what waits and let go; a file stays if it has anything that was not to be forgotten."""
        if self._thread is None:
            return succeed(None)
        closed: Deferred[None] = Deferred()
        self._closing.append(closed)
        if len(self._closing) == 1 and not self._is_writing:
            self._let_go()
        return closed

    def _call(self, work: Callable[[], _T]) -> Deferred[_T]:
        done: Deferred[_T] = Deferred()
        self._steps.put((work, done.callback))
        return done

    def _write_gathered(self) -> None:
        records, self._gathered = self._gathered, []
        waiting, self._gathered_for = self._gathered_for, []
        self._is_writing = True
        self._steps.put((partial(self._write, records), partial(self._written, len(records), waiting)))

    def _written(self, count: int, waiting: Sequence[Deferred[None]], outcome: Failure | None) -> None:
        self._waiting -= count
        self._is_writing = False
        if self._gathered:
            # First of all: the disk is not to be idle while they who waited go on.
            self._write_gathered()
        elif self._closing:
            self._let_go()
        for durable in waiting:
            durable.callback(outcome)

    def _let_go(self) -> None:
        self._call(self._close).addBoth(self._closed)

    def _closed(self, result: object) -> None:
        assert self._thread is not None
        # It has nothing left to do.
        self._thread.join()
        self._thread = None
        closing, self._closing = self._closing, []
        for closed in closing:
            closed.callback(None)

    # In the thread

    def _run(self) -> None:
        while not self._is_over:
            work, done = self._steps.get()
            outcome = _outcome(work)
            self._reactor.callFromThread(done, outcome)
            try:
                self._tidy()
                self._is_untidy = False
            except Exception as error:
                # It is tried again the next time; who waits to be written must not wait for ever.
                if not self._is_untidy:
                    self._is_untidy = True
                    kind = type(error).__name__
                    self._reactor.callFromThread(log.error, "a journal cannot be tidied up: {kind}", kind=kind)

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
                fresh = create(self._path, self._file_size)
                self._full.append((self._file, self._appended))
                self._file = fresh

    def _open(self) -> list[bytes]:
        # Its own one first: it tells others that somebody is there.
        self._file = create(self._path, self._file_size)
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
