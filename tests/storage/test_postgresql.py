from __future__ import annotations

from sqlalchemy import Connection
from twisted.internet.defer import gatherResults
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.storage.errors import DatabaseUnavailable
from tests.storage.databases import NOTES, database, execute, note, opened
from tests.support.postgresql import PostgreSQL, postgresql


class PostgreSQLTests(TestCase):
    async def test_what_was_written_is_read(self) -> None:
        kept = await opened(self, postgresql().url())
        await kept.run(note("one"))
        self.assertEqual(await kept.read(NOTES), [("one",)])

    async def test_a_plain_url_means_the_same_driver(self) -> None:
        kept = await opened(self, postgresql().url().replace("+psycopg", ""))
        self.assertEqual(await kept.read(NOTES), [])

    async def test_transactions_go_side_by_side(self) -> None:
        def work(connection: Connection) -> None:
            # Each waits for the other one to have come as far.
            connection.exec_driver_sql("SELECT pg_advisory_lock_shared(1)")
            while connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").scalar() != 2:
                pass

        kept = await opened(self, postgresql().url())
        await gatherResults([kept.run(work), kept.run(work)])

    async def test_the_server_ends_a_statement_at_the_deadline_too(self) -> None:
        kept = await opened(self, postgresql().url(), deadline=7)
        self.assertEqual(await kept.read(execute("SHOW statement_timeout")), [("7s",)])

    async def test_a_commit_waits_for_the_disk_though_the_role_does_not_want_it(self) -> None:
        kept = await opened(self, address := postgresql().url())
        await kept.run(
            execute("ALTER ROLE CURRENT_USER IN DATABASE " + _name(address) + " SET synchronous_commit = off")
        )
        again = await opened(self, address)
        self.assertEqual(await again.read(execute("SHOW synchronous_commit")), [("on",)])

    async def test_a_stricter_commit_is_left_as_it_is(self) -> None:
        kept = await opened(self, address := postgresql().url())
        await kept.run(
            execute("ALTER ROLE CURRENT_USER IN DATABASE " + _name(address) + " SET synchronous_commit = remote_apply")
        )
        again = await opened(self, address)
        self.assertEqual(await again.read(execute("SHOW synchronous_commit")), [("remote_apply",)])

    async def test_a_failure_says_nothing_of_what_was_written(self) -> None:
        kept = await opened(self, postgresql().url())
        await kept.run(note("SECRET"))
        failures: list[Failure] = []
        await kept.run(note("SECRET")).addErrback(failures.append)
        self.assertNotIn("SECRET", failures[0].getTraceback())
        self.assertIn("23505", str(failures[0].value))

    async def test_a_server_that_is_not_there_fails_the_start(self) -> None:
        address = postgresql().url().replace("host=", "host=/nowhere")
        await self.assertFailure(database(self, address).start(), DatabaseUnavailable)

    async def test_a_server_that_went_and_came_back_is_used_again(self) -> None:
        server = PostgreSQL()
        server.start()
        kept = await opened(self, server.url())
        server.stop()
        await self.assertFailure(kept.run(note("one")), DatabaseUnavailable)
        server.start()
        await kept.run(note("two"))
        self.assertEqual(await kept.read(NOTES), [("two",)])


def _name(address: str) -> str:
    return address.partition("@/")[2].partition("?")[0]
