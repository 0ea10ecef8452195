from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.outbound.archive.schedule import JITTER, Hours, Retries

HOUR = 3600.0
DAY = 24 * HOUR


def utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def retries(random: float = 0.5, most: int = 3, longest: float = 1000.0) -> Retries:
    return Retries(most, 10.0, longest, lambda: random)


class HoursTests(SynchronousTestCase):
    night = Hours(time(20), time(6), utc)
    morning = Hours(time(6), time(8), utc)

    def test_within_them_there_is_no_wait(self) -> None:
        self.assertEqual(self.morning.wait(7 * HOUR), 0)

    def test_they_begin_with_their_first_minute(self) -> None:
        self.assertEqual(self.morning.wait(6 * HOUR), 0)

    def test_they_end_before_their_last_minute(self) -> None:
        self.assertEqual(self.morning.wait(8 * HOUR), 22 * HOUR)

    def test_before_them_the_wait_is_until_they_begin(self) -> None:
        self.assertEqual(self.morning.wait(5.5 * HOUR), 0.5 * HOUR)

    def test_they_may_go_past_midnight(self) -> None:
        self.assertEqual([self.night.wait(hour * HOUR) for hour in (21, 0, 5)], [0, 0, 0])

    def test_the_day_between_two_nights_is_waited_for(self) -> None:
        self.assertEqual(self.night.wait(6 * HOUR), 14 * HOUR)

    def test_they_may_end_at_midnight(self) -> None:
        evening = Hours(time(20), time(0), utc)
        self.assertEqual((evening.wait(23 * HOUR), evening.wait(0)), (0, 20 * HOUR))

    @given(
        st.times().map(lambda each: each.replace(microsecond=0)),
        st.times().map(lambda each: each.replace(microsecond=0)),
        st.integers(0, 10 * 86400),
    )
    def test_after_the_wait_they_have_begun(self, begins: time, ends: time, now: int) -> None:
        hours = Hours(begins, ends, utc)
        wait = hours.wait(now)
        self.assertTrue(0 <= wait <= DAY and hours.wait(now + wait) == 0, wait)

    def test_a_clock_that_is_set_forward_is_followed(self) -> None:
        def summer(seconds: float) -> datetime:
            return utc(seconds) + timedelta(hours=1 if seconds >= 2 * HOUR else 0)

        self.assertEqual(Hours(time(3), time(4), summer).wait(2 * HOUR), 0)


class RetriesTests(SynchronousTestCase):
    def test_each_wait_is_twice_the_one_before(self) -> None:
        self.assertEqual([retries().wait(attempts) for attempts in (1, 2, 3)], [10, 20, 40])

    def test_no_wait_is_longer_than_the_longest(self) -> None:
        self.assertEqual(retries(0.999, longest=30.0).wait(1_000_000), 30)

    def test_waits_differ_by_a_quarter(self) -> None:
        self.assertEqual((retries(0.0).wait(1), retries(1.0).wait(1)), (10 * (1 - JITTER), 10 * (1 + JITTER)))

    def test_after_the_last_retry_it_is_over(self) -> None:
        self.assertEqual([retries().is_last(attempts) for attempts in (3, 4)], [False, True])

    def test_with_no_retries_the_first_attempt_is_the_last(self) -> None:
        self.assertTrue(retries(most=0).is_last(1))
