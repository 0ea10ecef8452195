"""
A SQLite file as the database of one machine.

Write-ahead log, so that who reads does not wait for who writes; `synchronous=FULL`, so that what was committed
survives a power cut; a write takes the lock of writers when it begins (`BEGIN IMMEDIATE`), because a transaction that
has read first cannot wait for it later.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from dimseproxy.storage.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    as_of_sqlalchemy,
    driver_errors,
    state_of,
    unavailable,
)

#: Seconds to wait for another process that writes.
_BUSY: Final = 10.0

#: Of each connection.  What readers made the journal grow to is given back when they have ended, but for this much.
_SETTINGS: Final = (
    "journal_mode=WAL",
    "journal_size_limit=67108864",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
)

#: How often to try for the lock of those who start, in seconds.
_TRY_EVERY: Final = 0.02

#: How often to try for the lock of those who write, in seconds: a transaction takes some milliseconds.
_WRITE_EVERY: Final = 0.0005

#: Steps of SQLite's virtual machine from one question whether a statement goes on to the next: some milliseconds.
_LOOK_AFTER: Final = 100_000

#: What waiting does not change: somebody has to give rights, or another folder.
_NOT_WITH_TIME: Final = frozenset((errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EROFS))

#: What SQLite says of a file or a folder that are another user's.
_NO_RIGHTS: Final = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")

#: The execution option of a transaction that does not write.
READS: Final = "dimseproxy_reads"


class SQLiteFile:
    """
    The file, and those who may open it.

    @ivar path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: tuple[int, int] | None = None

    def prepare(self) -> None:
        """
        See that the file is there, and is its owner's alone (as will be the log files beside it).

        @raise DatabaseUnavailable: the folder or the file cannot be made now.
        @raise DatabaseRefused: they cannot be made at all, or are another user's.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never open one that is there: to close it again would free the locks that this process has on it.
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            if self.path.stat().st_mode & 0o077:
                self.path.chmod(0o600)
        except OSError as error:
            raise _as_of_files(f"the database file {self.path} cannot be made", error) from None
        self._identity = self._present()

    def cannot_open(self, error: SQLAlchemyError) -> DatabaseUnavailable | DatabaseRefused:
        """Why the file, which is there, cannot be opened, and whether another attempt may help."""
        state = state_of(error) or ""
        if state == "SQLITE_NOTADB":
            return DatabaseRefused(f"the file {self.path} is no database ({state}): something else has written it")
        if state.startswith(_NO_RIGHTS):
            text = f"the database {self.path} cannot be opened ({state}): is this the user of the proxy?"
            return DatabaseRefused(text)
        return unavailable(error)

    def engine(self, connections: int) -> Engine:
        """An engine for the file; `prepare` comes before its first connection."""
        # mode=rw: a file that has gone is not silently replaced by an empty one.
        address = f"file:{quote(str(self.path))}?mode=rw"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                address, uri=True, timeout=_BUSY, isolation_level=None, check_same_thread=False
            )
            for setting in _SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            return connection

        engine = create_engine(
            "sqlite://",
            creator=connect,
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
        )
        event.listen(engine, "checkout", self._see_that_it_is_there)
        event.listen(engine, "begin", _begin)
        return engine

    def _see_that_it_is_there(self, connection: Any, record: Any, proxy: Any) -> None:
        # SQLite would go on with the file that it has open, though nobody can find it any more; and what is known of
        # the rows of one file is not true of another.
        if self._present() != self._identity:
            raise DatabaseUnavailable("the database is unavailable: its file is gone, or was replaced: start again")

    def _present(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _begin(connection: Connection) -> None:
    is_read = connection.get_execution_options().get(READS, False)
    with closing(connection.connection.cursor()) as cursor:
        try:
            if is_read:
                cursor.execute("BEGIN")
            else:
                _begin_to_write(cursor)
        except driver_errors(connection) as error:
            raise as_of_sqlalchemy(connection, error) from None


def _begin_to_write(cursor: Any) -> None:
    """
    Begin when nobody else writes.

    SQLite itself would try again after waits of up to 100 ms, in which another process writes a dozen times: one that
    writes all the time would keep the others from it.
    """
    until = time.monotonic() + _BUSY
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(_WRITE_EVERY)
    finally:
        cursor.execute(f"PRAGMA busy_timeout={int(_BUSY * 1000)}")


@contextmanager
def given_up(connection: Connection, when: Callable[[], bool]) -> Iterator[None]:
    """
    Statements on a connection are given up, with `SQLITE_INTERRUPT`, as soon as it is said so.  Nothing is on a
    connection to another database, whose server ends what takes too long.

    @param when: asked in the thread that runs the statement.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.set_progress_handler(when, _LOOK_AFTER)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _as_of_files(what: str, error: OSError) -> DatabaseUnavailable | DatabaseRefused:
    """What an error of the file system is to who starts."""
    if error.errno in _NOT_WITH_TIME:
        return DatabaseRefused(f"{what}: {error.strerror}")
    return DatabaseUnavailable(f"{what}: {error.strerror}")


@contextmanager
def sole_starter(path: Path, patience: float) -> Iterator[None]:
    """
    One process at a time makes the file, turns its write-ahead log on and migrates it.

    The lock is one of the folder, so that no file of its own is left behind.

    @param patience: seconds to wait for another process.
    @raise DatabaseUnavailable: it took longer.
    @raise DatabaseRefused: the folder cannot be used at all.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _as_of_files(f"the folder {path.parent} cannot be used", error) from None
    try:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DatabaseUnavailable("the database is unavailable: another process is starting") from None
                time.sleep(_TRY_EVERY)
            else:
                break
        yield
    finally:
        os.close(folder)
