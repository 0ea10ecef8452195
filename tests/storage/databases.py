"""Databases for tests, opened and closed with the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from twisted.internet import reactor
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.trial.unittest import TestCase

from dimseproxy.storage.database import Database
from tests.support.process import scratch

Work = Callable[[Connection], list[tuple[object, ...]]]


def database(case: TestCase, where: Path | str | None = None, **settings: Any) -> Database:
    """A database that is not started yet: a new file, or the one given.  The test stops it."""
    clock = settings.pop("clock", reactor)
    made = Database(
        scratch(case) / "kept" / "test.db" if where is None else where,
        IReactorFromThreads(reactor),
        IReactorTime(clock),
        **settings,
    )
    case.addCleanup(made.stop)
    return made


async def opened(case: TestCase, where: Path | str | None = None, **settings: Any) -> Database:
    """A database that is open, with an empty table `note`."""
    made = database(case, where, **settings)
    await made.start()
    await made.run(execute("CREATE TABLE IF NOT EXISTS note (text TEXT PRIMARY KEY)"))
    return made


def execute(statement: str, **parameters: object) -> Work:
    """Work: one statement; its rows."""

    def work(connection: Connection) -> list[tuple[object, ...]]:
        result = connection.execute(text(statement), parameters)
        return [tuple(row) for row in result] if result.returns_rows else []

    return work


def note(words: str) -> Work:
    """Work: write a note."""
    return execute("INSERT INTO note VALUES (:words)", words=words)


#: Work: read the notes.
NOTES = execute("SELECT text FROM note ORDER BY text")
