"""Statements that are given to the driver of a database as they are."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, Table, Text, func, insert, select
from sqlalchemy.exc import DBAPIError
from twisted.trial.unittest import TestCase

from dimseproxy.outbound.archive.statements import MOST_ASKED, Lookup, Statement
from dimseproxy.storage.errors import DatabaseUnavailable
from tests.storage.databases import NOTES, opened
from tests.support.postgresql import postgresql

NOTE = Table("note", MetaData(), Column("text", Text, primary_key=True))
WORDS = tuple(f"word {number}'s" for number in range(2 * MOST_ASKED + 1))


class SQLiteStatementTests(TestCase):
    def address(self) -> str | None:
        return None

    async def found(self, there: tuple[str, ...], asked: tuple[str, ...]) -> set[str]:
        database = await opened(self, self.address())
        inserting, lookup = Statement(insert(NOTE), ["text"]), Lookup(NOTE.c.text, NOTE.c.text)
        await database.run(lambda connection: inserting.run(connection, *({"text": word} for word in there)))
        found = await database.read(lambda connection: lookup.find(connection, asked))
        self.assertEqual(list(found.values()), [(word,) for word in found])
        return set(found)

    async def test_one_that_is_there(self) -> None:
        self.assertEqual(await self.found(WORDS[:1], WORDS[:1]), {WORDS[0]})

    async def test_few_of_which_some_are_there(self) -> None:
        self.assertEqual(await self.found(WORDS[:3], WORDS[2:5]), {WORDS[2]})

    async def test_more_than_one_statement_takes(self) -> None:
        self.assertEqual(await self.found(WORDS, WORDS), set(WORDS))

    async def test_nothing_is_asked(self) -> None:
        self.assertEqual(await self.found(WORDS[:1], ()), set())

    async def test_what_a_driver_does_not_do_is_told_without_values(self) -> None:
        database, inserting = await opened(self, self.address()), Statement(insert(NOTE), ["text"])
        rows = ({"text": "Meier^Anna"}, {"text": "Meier^Anna"})
        failed = database.run(lambda connection: inserting.run(connection, *rows))
        error = await self.assertFailure(failed, DatabaseUnavailable)
        self.assertRegex(str(error), "the database is unavailable: (SQLITE_CONSTRAINT_PRIMARYKEY|23505)$")

    async def test_nothing_is_left_of_its_transaction(self) -> None:
        database, inserting = await opened(self, self.address()), Statement(insert(NOTE), ["text"])
        rows = ({"text": "new"}, {"text": "new"})

        def work(connection: Connection) -> None:
            for row in rows:
                inserting.run(connection, row)

        await self.assertFailure(database.run(work), DatabaseUnavailable)
        self.assertEqual(await database.read(NOTES), [])


class PostgreSQLStatementTests(SQLiteStatementTests):
    """The same, on PostgreSQL."""

    def address(self) -> str:
        return postgresql().url()

    async def test_a_connection_that_is_lost_is_given_up(self) -> None:
        database = await opened(self, self.address())
        ending = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))
        given_up: list[bool] = []

        def work(connection: Connection) -> None:
            try:
                ending.run(connection, {})
            except DBAPIError:
                given_up.append(connection.invalidated)
                raise

        await self.assertFailure(database.run(work), DatabaseUnavailable)
        self.assertEqual(given_up, [True])
