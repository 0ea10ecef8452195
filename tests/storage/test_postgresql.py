from __future__ import annotations

import contextlib
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.storage.database import LEFT_TO_END, Database
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.postgresql import wait_for_starters
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

    async def test_a_host_that_is_gone_without_a_word_is_found_out(self) -> None:
        def keepalives(connection: Connection) -> list[str]:
            set_to = connection.connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]
            return [set_to[f"keepalives_{what}"] for what in ("idle", "interval")]

        kept = await opened(self, postgresql().url())
        self.assertEqual(await kept.read(keepalives), ["10", "5"])

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


class StopTests(TestCase):
    """What is still under way at the stop, nobody waits for: the server is told so."""

    timeout = 20

    async def setUp(self) -> None:  # type: ignore[override]
        self.address = postgresql().url()
        self.clock = Clock()
        self.onlooker = await opened(self, self.address)

    async def opened(self, **settings: Any) -> Database:
        """One whose statements may take longer than a test."""
        return await opened(self, self.address, clock=self.clock, deadline=30, **settings)

    async def runs(self, beginning: str) -> None:
        """Wait until the server is at a statement that begins like this."""
        activity = "FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        statement = f"SELECT 1 {activity} AND starts_with(query, '{beginning}')"
        while not await self.onlooker.read(execute(statement)):
            pass

    async def test_a_statement_without_end_is_cancelled(self) -> None:
        kept = await self.opened()
        stuck = kept.run(execute("SELECT pg_sleep(60)"))
        await self.runs("SELECT pg_sleep")
        stopped = kept.stop()
        self.clock.advance(LEFT_TO_END)
        await stopped
        self.assertIn("57014", str(self.failureResultOf(stuck, DatabaseUnavailable).value))

    async def test_nothing_is_cancelled_before(self) -> None:
        kept = await self.opened()
        writing = kept.run(lambda connection: (connection.exec_driver_sql("SELECT pg_sleep(0.1)"), "written")[1])
        stopped = kept.stop()
        self.clock.advance(LEFT_TO_END - 1)
        await stopped
        self.assertEqual((self.successResultOf(writing), self.clock.getDelayedCalls()), ("written", []))

    async def test_stopped_twice_it_cancels_nothing_after(self) -> None:
        kept = await self.opened()
        await gatherResults([kept.stop(), kept.stop()])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_each_statement_of_a_transaction_is(self) -> None:
        def again(connection: Connection) -> None:
            for _ in range(2):
                with contextlib.suppress(OperationalError), connection.begin_nested():
                    connection.exec_driver_sql("SELECT pg_sleep(60)")
            connection.exec_driver_sql("SELECT pg_sleep(60), 'last'")

        kept = await self.opened()
        stuck = kept.run(again)
        await self.runs("SELECT pg_sleep")
        stopped = kept.stop()
        while not stopped.called:
            self.clock.advance(LEFT_TO_END)
            await deferLater(reactor, 0.01)
        self.failureResultOf(stuck, DatabaseUnavailable)

    async def test_what_waits_for_a_thread_does_not_begin(self) -> None:
        kept = await self.opened(threads=1)
        stuck = [kept.run(execute("SELECT pg_sleep(60)")), kept.run(note("one"))]
        await self.runs("SELECT pg_sleep")
        stopped = kept.stop()
        self.clock.advance(LEFT_TO_END)
        await stopped
        for each in stuck:
            self.failureResultOf(each, DatabaseUnavailable)
        again = await self.opened()
        self.assertEqual(await again.read(NOTES), [])

    async def test_who_waits_for_another_that_starts_need_not_wait_any_longer(self) -> None:
        def migrating(connection: Connection) -> None:
            wait_for_starters(connection, 30)
            connection.exec_driver_sql("SELECT pg_sleep(60)")

        another = await self.opened()
        held = another.run(migrating)
        await self.runs("SELECT pg_sleep")
        kept = database(self, self.address, clock=self.clock)
        starting = kept.start()
        await self.runs("SELECT pg_advisory_xact_lock")
        stopped = kept.stop()
        self.clock.advance(LEFT_TO_END)
        await stopped
        self.failureResultOf(starting, DatabaseUnavailable)
        self.assertNoResult(held)
        stopped = another.stop()
        self.clock.advance(LEFT_TO_END)
        await stopped
        self.failureResultOf(held, DatabaseUnavailable)

    async def test_it_can_be_started_again(self) -> None:
        kept = await self.opened()
        stuck = kept.run(execute("SELECT pg_sleep(60)"))
        await self.runs("SELECT pg_sleep")
        stopped = kept.stop()
        self.clock.advance(LEFT_TO_END)
        await stopped
        self.failureResultOf(stuck, DatabaseUnavailable)
        await kept.start()
        await kept.run(note("one"))
        self.assertEqual(await kept.read(NOTES), [("one",)])


def _name(address: str) -> str:
    return address.partition("@/")[2].partition("?")[0]
