from __future__ import annotations

import errno
import os
from pathlib import Path

from sqlalchemy import Connection
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.sqlite import sole_starter
from tests.storage.databases import NOTES, database, execute, note, opened
from tests.support.process import scratch


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def refusal(kept: Database) -> str:
    """What a database says that refuses to start."""
    try:
        await kept.start()
    except DatabaseRefused as error:
        return str(error)
    return "it started"


class FileTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "kept" / "a 100% odd? name#.db"

    async def test_the_folder_is_the_owners_alone(self) -> None:
        await opened(self, self.path)
        self.assertEqual(mode(self.path.parent), 0o700)

    async def test_all_files_are_the_owners_alone(self) -> None:
        kept = await opened(self, self.path)
        await kept.run(note("one"))
        self.assertEqual(
            {path.name: mode(path) for path in self.path.parent.iterdir()},
            {self.path.name + end: 0o600 for end in ("", "-wal", "-shm")},
        )

    async def test_a_file_that_is_open_to_others_is_closed_to_them(self) -> None:
        self.path.parent.mkdir()
        self.path.touch(0o644)
        await opened(self, self.path)
        self.assertEqual(mode(self.path), 0o600)

    async def test_nothing_is_left_beside_the_file(self) -> None:
        kept = await opened(self, self.path)
        await kept.run(note("one"))
        await kept.stop()
        self.assertEqual(os.listdir(self.path.parent), [self.path.name])

    async def test_a_url_names_a_file_too(self) -> None:
        path = self.path.with_name("plain.db")
        await opened(self, f"sqlite:///{path}")
        self.assertTrue(path.exists())

    async def test_a_folder_that_cannot_be_made_is_a_failure(self) -> None:
        self.path.parent.write_text("no folder")
        await self.assertFailure(database(self, self.path).start(), DatabaseRefused)

    async def test_a_folder_without_rights_is_not_tried_again(self) -> None:
        for number in errno.EACCES, errno.EPERM, errno.EROFS:
            failing = OSError(number, os.strerror(number))
            self.patch(Path, "mkdir", lambda *_, failing=failing, **__: self._raise(failing))
            error = await refusal(database(self, self.path))
            self.assertEqual(error, f"the folder {self.path.parent} cannot be used: {os.strerror(number)}", number)

    async def test_a_full_disk_may_have_room_later(self) -> None:
        self.patch(Path, "mkdir", lambda *_, **__: self._raise(OSError(errno.ENOSPC, "full")))
        await self.assertFailure(database(self, self.path).start(), DatabaseUnavailable)

    async def test_a_file_of_somebody_else_is_named(self) -> None:
        # What SQLite cannot open, whoever runs the tests: root may read everything.
        self.path.mkdir(parents=True)
        error = await refusal(database(self, self.path))
        self.assertIn(f"{self.path} cannot be opened (SQLITE_CANTOPEN): is this the user of the proxy?", error)

    def _raise(self, error: OSError) -> None:
        raise error


class DurabilityTests(TestCase):
    async def test_the_log_is_written_ahead(self) -> None:
        kept = await opened(self)
        self.assertEqual(await kept.read(execute("PRAGMA journal_mode")), [("wal",)])

    async def test_what_the_log_grew_to_is_given_back(self) -> None:
        kept = await opened(self)
        self.assertEqual(await kept.read(execute("PRAGMA journal_size_limit")), [(64 * 2**20,)])

    async def test_each_commit_waits_for_the_disk(self) -> None:
        full = 2
        kept = await opened(self)
        self.assertEqual(await kept.read(execute("PRAGMA synchronous")), [(full,)])


class TroubleTests(TestCase):
    def setUp(self) -> None:
        self.path = scratch(self) / "test.db"

    async def test_a_full_disk_refuses_and_is_survived(self) -> None:
        def grow(connection: Connection) -> None:
            note("x" * 1_000_000)(connection)

        kept = await opened(self, self.path, threads=1)
        await kept.run(execute("PRAGMA max_page_count=20"))
        failures: list[Failure] = []
        await kept.run(grow).addErrback(failures.append)
        self.assertIn("SQLITE_FULL", str(failures[0].value))
        await kept.run(execute("PRAGMA max_page_count=1000000"))
        await kept.run(grow)
        self.assertEqual(len(await kept.read(NOTES)), 1)

    async def test_a_file_that_is_gone_refuses(self) -> None:
        kept = await opened(self, self.path)
        self.path.rename(self.path.with_name("elsewhere"))
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)

    async def test_a_file_that_is_gone_is_not_made_anew(self) -> None:
        kept = await opened(self, self.path)
        self.path.rename(self.path.with_name("elsewhere"))
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)
        self.assertFalse(self.path.exists())

    async def test_a_file_that_came_back_is_used_again(self) -> None:
        kept = await opened(self, self.path)
        elsewhere = self.path.rename(self.path.with_name("elsewhere"))
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)
        elsewhere.rename(self.path)
        await kept.run(note("two"))
        self.assertEqual(await kept.read(NOTES), [("two",)])

    async def test_another_file_in_its_place_is_not_used(self) -> None:
        kept = await opened(self, self.path)
        other = await opened(self, self.path.with_name("other.db"))
        await other.stop()
        self.path.rename(self.path.with_name("elsewhere"))
        self.path.with_name("other.db").rename(self.path)
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)

    async def test_what_is_no_database_refuses(self) -> None:
        self.path.write_bytes(b"no database" * 1000)
        error = await refusal(database(self, self.path))
        self.assertIn(f"{self.path} is no database (SQLITE_NOTADB)", error)


class StarterTests(TestCase):
    def test_one_starts_at_a_time(self) -> None:
        path = scratch(self) / "test.db"
        with sole_starter(path, 0), self.assertRaises(DatabaseUnavailable), sole_starter(path, 0):
            self.fail("a second one started")

    def test_the_next_one_starts_after_the_first(self) -> None:
        path = scratch(self) / "test.db"
        with sole_starter(path, 0):
            pass
        with sole_starter(path, 0):
            pass
        self.assertEqual(os.listdir(path.parent), [])
