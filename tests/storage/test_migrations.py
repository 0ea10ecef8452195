from __future__ import annotations

import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from twisted.trial.unittest import TestCase

from dimseproxy.storage.errors import DatabaseRefused
from dimseproxy.storage.tables import METADATA
from tests.storage.databases import database, execute
from tests.support.postgresql import postgresql
from tests.support.process import at_once, run, scratch

_START = """
import sys
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import react
from dimseproxy.storage.database import Database

async def start(reactor):
    database = Database(sys.argv[1], reactor, reactor)
    await database.start()
    await database.stop()

react(lambda reactor: ensureDeferred(start(reactor)))
"""


class SQLiteTests(TestCase):
    def address(self) -> str:
        return f"sqlite:///{scratch(self)}/test.db"

    async def test_the_tables_are_those_of_the_code(self) -> None:
        def differences(connection: Connection) -> list[object]:
            return list(compare_metadata(MigrationContext.configure(connection), METADATA))

        kept = database(self, self.address())
        await kept.start()
        self.assertEqual(await kept.run(differences), [])

    async def test_a_second_start_changes_nothing(self) -> None:
        address = self.address()
        first = database(self, address)
        await first.start()
        await first.run(execute("INSERT INTO vault VALUES (7, 'name', '', '', false, true)"))
        await first.stop()
        second = database(self, address)
        await second.start()
        self.assertEqual(await second.read(execute("SELECT id FROM vault")), [(7,)])

    async def test_processes_that_start_at_the_same_time_all_start(self) -> None:
        address = self.address()
        ends = await at_once(*(run(self, [sys.executable, "-c", _START, address]) for _ in range(4)))
        self.assertEqual([(end.code, end.output) for end in ends], [(0, "")] * 4)

    async def test_tables_of_a_newer_version_are_refused(self) -> None:
        address = self.address()
        newer = database(self, address)
        await newer.start()
        await newer.run(execute("UPDATE alembic_version SET version_num = '9999'"))
        await newer.stop()
        await self.assertFailure(database(self, address).start(), DatabaseRefused)


class PostgreSQLTests(SQLiteTests):
    def address(self) -> str:
        return postgresql().url()
