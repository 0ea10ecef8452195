from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from dimseproxy.storage.database import Database
from dimseproxy.storage.errors import DatabaseUnavailable
from dimseproxy.storage.group_commit import GroupCommit


class Transactions:
    """A database in memory: each transaction is under way until the test ends it."""

    def __init__(self) -> None:
        self.under_way: list[tuple[Callable[[Connection], str], Deferred[str]]] = []

    def run(self, work: Callable[[Connection], str]) -> Deferred[str]:
        deferred: Deferred[str] = Deferred()
        self.under_way.append((work, deferred))
        return deferred

    def commit(self) -> None:
        work, deferred = self.under_way.pop(0)
        deferred.callback(work(cast(Connection, None)))

    def fail(self) -> None:
        _, deferred = self.under_way.pop(0)
        deferred.errback(DatabaseUnavailable("gone"))


class GroupCommitCase(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.transactions = Transactions()
        self.told: list[tuple[str, str]] = []
        self.commit = self.group_commit()

    def group_commit(self, most_together: int = 500, most_queued: int = 50_000) -> GroupCommit[str, str]:
        return GroupCommit(
            cast(Database, self.transactions),
            self.clock,
            lambda connection, rows: "".join(rows),
            lambda rows, result: self.told.append(("committed", result)),
            self.lost,
            most_together=most_together,
            most_queued=most_queued,
        )

    def lost(self, rows: Sequence[str]) -> None:
        self.told.append(("lost", "".join(rows)))

    def add(self, rows: str) -> list[Deferred[None]]:
        return [self.commit.add(row).committed() for row in rows]


class GroupTests(GroupCommitCase):
    def test_rows_of_one_turn_are_committed_together(self) -> None:
        self.add("abc")
        self.clock.advance(0)
        self.transactions.commit()
        self.assertEqual(self.told, [("committed", "abc")])

    def test_nothing_is_written_in_the_turn_that_asks(self) -> None:
        self.add("abc")
        self.assertEqual(self.transactions.under_way, [])

    def test_rows_that_come_during_a_commit_go_into_the_next(self) -> None:
        self.add("a")
        self.clock.advance(0)
        self.add("bc")
        self.clock.advance(0)
        self.assertEqual(len(self.transactions.under_way), 1)
        self.transactions.commit()
        self.transactions.commit()
        self.assertEqual(self.told, [("committed", "a"), ("committed", "bc")])

    def test_a_transaction_has_a_limit(self) -> None:
        self.commit = self.group_commit(most_together=2)
        self.add("abc")
        self.clock.advance(0)
        self.transactions.commit()
        self.transactions.commit()
        self.assertEqual(self.told, [("committed", "ab"), ("committed", "c")])

    def test_nobody_is_told_before_the_commit(self) -> None:
        (kept,) = self.add("a")
        self.clock.advance(0)
        self.assertNoResult(kept)
        self.transactions.commit()
        self.assertIsNone(self.successResultOf(kept))

    def test_the_owner_of_the_rows_is_told_before_those_who_wait(self) -> None:
        (kept,) = self.add("a")
        kept.addCallback(lambda nothing: self.told.append(("waited", "a")))
        self.clock.advance(0)
        self.transactions.commit()
        self.assertEqual(self.told, [("committed", "a"), ("waited", "a")])

    def test_the_next_group_is_on_its_way_when_those_who_wait_are_told(self) -> None:
        (kept,) = self.add("a")
        under_way: list[int] = []
        kept.addCallback(lambda nothing: under_way.append(len(self.transactions.under_way)))
        self.clock.advance(0)
        self.add("b")
        self.transactions.commit()
        self.assertEqual(under_way, [1])

    def test_who_waits_for_a_group_learns_of_its_failure(self) -> None:
        (kept,) = self.add("a")
        self.clock.advance(0)
        self.transactions.fail()
        self.failureResultOf(kept, DatabaseUnavailable)

    def test_what_is_queued_behind_a_failure_fails_with_it(self) -> None:
        (first,) = self.add("a")
        self.clock.advance(0)
        (second,) = self.add("b")
        self.transactions.fail()
        self.failureResultOf(first, DatabaseUnavailable)
        self.failureResultOf(second, DatabaseUnavailable)
        self.assertEqual(self.told, [("lost", "a"), ("lost", "b")])

    def test_it_goes_on_after_a_failure(self) -> None:
        (first,) = self.add("a")
        self.clock.advance(0)
        self.transactions.fail()
        self.failureResultOf(first, DatabaseUnavailable)
        self.add("b")
        self.clock.advance(0)
        self.transactions.commit()
        self.assertEqual(self.told[-1], ("committed", "b"))

    def test_who_asks_again_when_told_of_a_failure_is_served(self) -> None:
        def again(failure: Failure) -> Deferred[None]:
            return self.commit.add("b").committed()

        (kept,) = self.add("a")
        kept.addErrback(again)
        self.clock.advance(0)
        self.transactions.fail()
        self.clock.advance(0)
        self.transactions.commit()
        self.successResultOf(kept)

    def test_more_than_may_wait_are_refused(self) -> None:
        self.commit = self.group_commit(most_queued=2)
        self.add("ab")
        with self.assertRaises(DatabaseUnavailable):
            self.commit.add("c")

    def test_there_is_room_again_after_a_commit(self) -> None:
        self.commit = self.group_commit(most_queued=1)
        self.add("a")
        self.clock.advance(0)
        self.transactions.commit()
        self.add("b")
        self.clock.advance(0)
        self.transactions.commit()
        self.assertEqual(self.told[-1], ("committed", "b"))

    def test_there_is_room_again_after_a_failure(self) -> None:
        self.commit = self.group_commit(most_queued=1)
        (kept,) = self.add("a")
        self.clock.advance(0)
        self.transactions.fail()
        self.failureResultOf(kept, DatabaseUnavailable)
        self.add("b")

    def test_who_no_longer_waits_disturbs_nobody(self) -> None:
        gone, stayed = self.add("ab")
        gone.cancel()
        self.clock.advance(0)
        self.transactions.commit()
        self.successResultOf(stayed)
        self.failureResultOf(gone)


class SettledTests(GroupCommitCase):
    def test_nothing_is_settled_at_once(self) -> None:
        self.successResultOf(self.commit.settled())

    def test_it_waits_for_all_that_is_queued(self) -> None:
        self.add("a")
        self.clock.advance(0)
        self.add("b")
        settled = self.commit.settled()
        self.transactions.commit()
        self.assertNoResult(settled)
        self.transactions.commit()
        self.successResultOf(settled)

    def test_what_is_lost_is_settled(self) -> None:
        self.commit.add("a")
        self.clock.advance(0)
        settled = self.commit.settled()
        self.transactions.fail()
        self.successResultOf(settled)
