from __future__ import annotations

from threading import Event

from sqlalchemy import Connection
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.storage.database import DEADLINE, START_DEADLINE
from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable
from dimseproxy.storage.sqlite import sole_starter
from tests.storage.databases import NOTES, database, execute, note, opened


class Oops(Exception):
    """What work fails with."""


class Blocking:
    """Work that goes on until it is let go; the test lets it go in any case."""

    def __init__(self, case: TestCase) -> None:
        self._go = Event()
        case.addCleanup(self.let_go)

    def let_go(self) -> None:
        self._go.set()

    def __call__(self, connection: Connection) -> str:
        self._go.wait(30)
        return "went on"


class TransactionTests(TestCase):
    async def test_the_result_of_the_work_comes(self) -> None:
        kept = await opened(self)
        self.assertEqual(await kept.run(lambda connection: 42), 42)

    async def test_what_was_written_is_read(self) -> None:
        kept = await opened(self)
        await kept.run(note("one"))
        self.assertEqual(await kept.read(NOTES), [("one",)])

    async def test_work_that_fails_is_undone(self) -> None:
        def work(connection: Connection) -> None:
            note("one")(connection)
            raise Oops

        kept = await opened(self)
        await self.assertFailure(kept.run(work), Oops)
        self.assertEqual(await kept.read(NOTES), [])

    async def test_one_that_reads_does_not_wait_for_one_that_writes(self) -> None:
        def work(connection: Connection) -> str:
            note("two")(connection)
            return blocking(connection)

        blocking = Blocking(self)
        kept = await opened(self)
        await kept.run(note("one"))
        writing = kept.run(work)
        self.assertEqual(await kept.read(NOTES), [("one",)])
        blocking.let_go()
        await writing

    async def test_writers_of_two_databases_on_one_file_wait_for_one_another(self) -> None:
        def count(connection: Connection) -> None:
            ((number,),) = execute("SELECT count(*) FROM note")(connection)
            note(f"{number}")(connection)

        first = await opened(self)
        assert first._file is not None
        second = await opened(self, first._file.path)
        await gatherResults([each.run(count) for _ in range(50) for each in (first, second)])
        self.assertEqual(len(await first.read(NOTES)), 100)

    async def test_a_failure_says_nothing_of_what_was_written(self) -> None:
        kept = await opened(self)
        await kept.run(note("SECRET"))
        failures: list[Failure] = []
        await kept.run(note("SECRET")).addErrback(failures.append)
        self.assertNotIn("SECRET", failures[0].getTraceback())
        self.assertIn("SQLITE_CONSTRAINT", str(failures[0].value))


class LimitTests(TestCase):
    async def test_a_transaction_that_does_not_end_has_failed_at_the_deadline(self) -> None:
        clock = Clock()
        kept = await opened(self, clock=clock)
        late = kept.run(Blocking(self))
        clock.advance(DEADLINE - 1)
        self.assertNoResult(late)
        clock.advance(1)
        self.failureResultOf(late, DatabaseUnavailable)

    async def test_one_in_time_is_not_disturbed_by_the_deadline(self) -> None:
        clock = Clock()
        kept = await opened(self, clock=clock)
        await kept.run(note("one"))
        self.assertEqual(clock.getDelayedCalls(), [])

    async def test_what_exceeds_the_limit_is_refused(self) -> None:
        kept = await opened(self, most_waiting=2)
        blocking = Blocking(self)
        waiting = [kept.run(blocking), kept.run(blocking)]
        self.failureResultOf(kept.run(blocking), DatabaseUnavailable)
        blocking.let_go()
        self.assertEqual(await gatherResults(waiting), ["went on", "went on"])

    async def test_there_is_room_again_when_one_has_ended(self) -> None:
        kept = await opened(self, most_waiting=1)
        await kept.run(note("one"))
        await kept.run(note("two"))
        self.assertEqual(len(await kept.read(NOTES)), 2)

    async def test_a_start_that_does_not_end_has_failed_at_a_deadline_of_its_own(self) -> None:
        clock = Clock()
        kept = database(self, clock=clock)
        assert kept.file is not None
        with sole_starter(kept.file.parent / "another", 0):
            starting = kept.start()
            clock.advance(START_DEADLINE - 1)
            self.assertNoResult(starting)
            clock.advance(1)
            self.failureResultOf(starting, DatabaseUnavailable)
        await kept.stop()


class LifeTests(TestCase):
    def test_nothing_is_done_before_the_start(self) -> None:
        self.failureResultOf(database(self).run(note("one")), DatabaseUnavailable)

    async def test_nothing_is_done_after_the_stop(self) -> None:
        kept = await opened(self)
        await kept.stop()
        self.failureResultOf(kept.run(note("one")), DatabaseUnavailable)

    async def test_the_stop_waits_for_what_is_under_way(self) -> None:
        kept = await opened(self)
        blocking = Blocking(self)
        working = kept.run(blocking)
        stopped = kept.stop()
        self.assertNoResult(stopped)
        blocking.let_go()
        await stopped
        self.assertEqual(self.successResultOf(working), "went on")

    async def test_it_can_be_stopped_twice(self) -> None:
        kept = await opened(self)
        await gatherResults([kept.stop(), kept.stop()])
        self.successResultOf(kept.stop())

    async def test_it_can_be_started_again(self) -> None:
        kept = await opened(self)
        await kept.run(note("one"))
        await kept.stop()
        await kept.start()
        self.assertEqual(await kept.read(NOTES), [("one",)])


class AddressTests(TestCase):
    def test_another_kind_of_database_is_refused(self) -> None:
        with self.assertRaises(DatabaseRefused):
            database(self, "mysql://somewhere/else")

    def test_a_database_in_memory_is_refused(self) -> None:
        with self.assertRaises(DatabaseRefused):
            database(self, "sqlite://")

    def test_what_is_no_url_is_refused_without_being_repeated(self) -> None:
        with self.assertRaises(DatabaseRefused) as caught:
            database(self, "user:PASSWORD at somewhere")
        self.assertNotIn("PASSWORD", str(caught.exception))
