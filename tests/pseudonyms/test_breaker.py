from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.pseudonyms.breaker import FIRST_PAUSE, LONGEST_PAUSE, Breaker, State
from dimseproxy.pseudonyms.interfaces import SourceUnavailable


class BreakerTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(self.clock, "a service", failures=3)

    def _fail(self, times: int = 1) -> None:
        for _ in range(times):
            self.breaker.admit()
            self.breaker.failed()

    def test_admits_at_first(self) -> None:
        self.breaker.admit()
        self.assertIs(self.breaker.state, State.CLOSED)

    def test_opens_after_failures_in_a_row(self) -> None:
        self._fail(3)
        self.assertRaises(SourceUnavailable, self.breaker.admit)

    def test_stays_closed_where_an_answer_comes_between(self) -> None:
        self._fail(2)
        self.breaker.succeeded()
        self._fail(2)
        self.breaker.admit()

    def test_admits_one_attempt_after_a_pause(self) -> None:
        self._fail(3)
        self.clock.advance(FIRST_PAUSE)
        self.breaker.admit()
        self.assertRaises(SourceUnavailable, self.breaker.admit)

    def test_closes_when_that_attempt_succeeds(self) -> None:
        self._fail(3)
        self.clock.advance(FIRST_PAUSE)
        self.breaker.admit()
        self.breaker.succeeded()
        self._fail(2)
        self.breaker.admit()

    def test_opens_again_when_it_fails_and_for_longer(self) -> None:
        self._fail(3)
        self.clock.advance(FIRST_PAUSE)
        self._fail()
        self.clock.advance(FIRST_PAUSE)
        self.assertRaises(SourceUnavailable, self.breaker.admit)
        self.clock.advance(FIRST_PAUSE)
        self.breaker.admit()

    def test_never_stays_open_for_longer_than_its_longest_pause(self) -> None:
        self._fail(3)
        for _ in range(20):
            self.clock.advance(LONGEST_PAUSE)
            self._fail()
        self.clock.advance(LONGEST_PAUSE)
        self.breaker.admit()

    def test_admits_another_where_the_attempt_came_to_nothing(self) -> None:
        self._fail(3)
        self.clock.advance(FIRST_PAUSE)
        self.breaker.admit()
        self.breaker.abandoned()
        self.breaker.admit()

    def test_failures_of_what_was_under_way_do_not_lengthen_the_pause(self) -> None:
        self._fail(3)
        for _ in range(10):
            self.breaker.failed()
        self.clock.advance(FIRST_PAUSE)
        self.breaker.admit()

    def test_can_be_opened(self) -> None:
        self.breaker.open()
        self.assertRaises(SourceUnavailable, self.breaker.admit)
