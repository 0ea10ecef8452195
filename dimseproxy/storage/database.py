"""
The database, from the reactor: work is a function of a connection, runs as one transaction in a thread of the
database's own, and its result comes in a `Deferred`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable, unavailable
from dimseproxy.storage.migrations import migrate
from dimseproxy.storage.postgresql import InUse, postgresql_engine, wait_for_starters
from dimseproxy.storage.sqlite import READS, SQLiteFile, sole_starter

_T = TypeVar("_T")

#: Seconds for a transaction, the wait for a thread included.
DEADLINE: Final = 15.0

#: Seconds for the start: another process may be migrating a large database.
START_DEADLINE: Final = 120.0

#: Transactions side by side; SQLite has one writer among them at a time.
THREADS: Final = 4

#: Transactions that may wait for a thread: each is held in memory with what it would write.
MOST_WAITING: Final = 1_000

#: Seconds that the stop leaves to what is still under way, for which nobody waits, before PostgreSQL is told to end it.
LEFT_TO_END: Final = 2.0


class Database:
    """
    @param where: a file for SQLite, or the URL of a database as SQLAlchemy writes it: `postgresql+psycopg://...` or
        `sqlite:///...`.
    @param reactor: whose thread asks and is answered.
    @param clock: for the deadlines; the reactor, or a clock in memory.
    @param threads: transactions side by side.
    @param deadline: seconds until a transaction that did not end has failed; it may still be committed after.
    @param most_waiting: transactions under way or waiting; more are refused with `DatabaseUnavailable`.
    @raise DatabaseRefused: the URL is that of no database which the proxy can use.
    """

    def __init__(
        self,
        where: Path | str,
        reactor: IReactorFromThreads,
        clock: IReactorTime,
        *,
        threads: int = THREADS,
        deadline: float = DEADLINE,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._threads = threads
        self._deadline = deadline
        self._most_waiting = most_waiting
        self._file, self._engine = _engine(where, threads, deadline)
        self._pool: ThreadPool | None = None
        self._is_open = False
        self._under_way = 0
        self._stopping: list[Deferred[None]] = []
        #: Whose statements are cancelled; a SQLite file has nobody who could.
        self._in_use = InUse(self._engine) if self._file is None else None
        self._cancelling = LoopingCall(self._cancel)
        self._cancelling.clock = clock
        #: Whether what waits for a thread is not to begin any more; also read there.
        self._is_over = False

    @property
    def file(self) -> Path | None:
        """Where it is, if it is a SQLite file: the database of one machine."""
        return None if self._file is None else self._file.path

    def start(self) -> Deferred[None]:
        """
        Open the database and bring its tables up to date; other processes may do so at the same time.

        @return: fails with `DatabaseUnavailable` or `DatabaseRefused`; it can be started again then.
        """
        if self._pool is None:
            self._pool = ThreadPool(0, self._threads, "database")
            self._pool.start()
        self._is_over = False
        started = self._in_thread(self._open, START_DEADLINE)
        started.addCallback(self._opened)
        return started

    def stop(self) -> Deferred[None]:
        """
        Wait for what is under way, refuse what comes, and let go of everything.  Who still wants something waits for
        that before: on PostgreSQL, what goes on for longer than `LEFT_TO_END` fails.
        """
        self._is_open = False
        if self._pool is None:
            return succeed(None)
        stopped: Deferred[None] = Deferred()
        if self._in_use is not None and not self._stopping:
            self._cancelling.start(LEFT_TO_END, now=False)
        self._stopping.append(stopped)
        self._close_if_idle()
        return stopped

    def run(self, work: Callable[[Connection], _T]) -> Deferred[_T]:
        """
        Run a transaction that may write; it is durable when the result comes.

        @param work: called in a thread; what it raises rolls everything back and is the failure.
        @return: fails with `DatabaseUnavailable` where the database is at fault, or with what `work` raised.
        """
        return self._transaction(work, False)

    def read(self, work: Callable[[Connection], _T]) -> Deferred[_T]:
        """Run a transaction that only reads, beside one that writes.  All else as for `run`."""
        return self._transaction(work, True)

    def _transaction(self, work: Callable[[Connection], _T], is_read: bool) -> Deferred[_T]:
        if not self._is_open:
            return fail(DatabaseUnavailable("the database is unavailable: it is not open"))
        if self._under_way >= self._most_waiting:
            return fail(DatabaseUnavailable("the database is unavailable: too much waits for it"))
        return self._in_thread(lambda: self._begun(work, is_read), self._deadline)

    def _begun(self, work: Callable[[Connection], _T], is_read: bool) -> _T:
        if self._is_over:
            raise DatabaseUnavailable("the database is unavailable: it is not open")
        return _attempt(self._engine, work, is_read)

    def _in_thread(self, work: Callable[[], _T], deadline: float) -> Deferred[_T]:
        assert self._pool is not None
        answer: Deferred[_T] = Deferred()
        late = self._clock.callLater(deadline, self._give_up, answer)
        self._under_way += 1
        done = deferToThreadPool(self._reactor, self._pool, work)
        done.addBoth(self._done, answer, late)
        return answer

    def _give_up(self, answer: Deferred[_T]) -> None:
        # The thread goes on: nothing can end it. Its result finds nobody.
        answer.errback(DatabaseUnavailable("the database is unavailable: it did not answer in time"))

    def _done(self, result: _T | Failure, answer: Deferred[_T], late: IDelayedCall) -> None:
        self._under_way -= 1
        if late.active():
            late.cancel()
            answer.callback(result)
        self._close_if_idle()

    def _cancel(self) -> Deferred[None]:
        """Again and again: a transaction may go on with its next statement, or have been between two of them."""
        assert self._pool is not None and self._in_use is not None
        self._is_over = True
        # All the others may be busy with what is to be cancelled.
        self._pool.adjustPoolsize(0, self._threads + 1)
        self._under_way += 1
        cancelled: Deferred[None] = deferToThreadPool(self._reactor, self._pool, self._in_use.cancel)
        return cancelled.addBoth(self._cancelled)

    def _cancelled(self, result: Failure | None) -> Failure | None:
        self._under_way -= 1
        self._close_if_idle()
        return result

    def _close_if_idle(self) -> None:
        if self._stopping and not self._under_way and self._pool is not None:
            if self._cancelling.running:
                self._cancelling.stop()
            # The last connection to leave tidies the file up, which may take a while.
            self._under_way += 1
            closed = deferToThreadPool(self._reactor, self._pool, self._engine.dispose)
            closed.addBoth(self._closed)

    def _closed(self, result: Failure | None) -> None:
        assert self._pool is not None
        self._under_way -= 1
        # Idle by now: it joins its threads, and the reactor would wait for what they do.
        self._pool.stop()
        self._pool = None
        stopping, self._stopping = self._stopping, []
        for stopped in stopping:
            stopped.callback(None)

    def _open(self) -> None:
        if self._file is None:
            _attempt(self._engine, self._migrate, False)
            return
        with sole_starter(self._file.path, START_DEADLINE):
            self._file.prepare()
            try:
                _transacted(self._engine, self._migrate, False)
            except SQLAlchemyError as error:
                raise self._file.cannot_open(error) from None

    def _migrate(self, connection: Connection) -> None:
        if self._file is None:
            wait_for_starters(connection, START_DEADLINE)
        migrate(connection)

    def _opened(self, nothing: None) -> None:
        self._is_open = not self._stopping


def _engine(where: Path | str, threads: int, deadline: float) -> tuple[SQLiteFile | None, Engine]:
    """The file if it is one, and the engine; no connection is made."""
    if isinstance(where, str):
        try:
            url = make_url(where)
        except ArgumentError:
            raise DatabaseRefused("the address of the database is no URL such as postgresql+psycopg://...") from None
        backend = url.get_backend_name()
        if backend == "postgresql":
            return None, postgresql_engine(url, threads, deadline)
        if backend != "sqlite" or not url.database:
            raise DatabaseRefused("the database must be a SQLite file or PostgreSQL")
        where = Path(url.database)
    file = SQLiteFile(where)
    return file, file.engine(threads)


def _attempt(engine: Engine, work: Callable[[Connection], _T], is_read: bool) -> _T:
    """One transaction, in a thread."""
    try:
        return _transacted(engine, work, is_read)
    except SQLAlchemyError as error:
        raise unavailable(error) from None


def _transacted(engine: Engine, work: Callable[[Connection], _T], is_read: bool) -> _T:
    with engine.connect().execution_options(**{READS: is_read}) as connection, connection.begin():
        return work(connection)
