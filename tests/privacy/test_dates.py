"""Dates move, there and back; ages are worked out."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.privacy import dates
from dimseproxy.privacy.dates import (
    cap_age,
    derive_age,
    parse_date,
    shift,
    shift_date,
    shift_days,
    shift_range,
    split_range,
)

KEY = b"k" * 32
#: Far enough from both ends of the calendar that no shift leaves it.
DAYS = st.dates(date(2, 6, 1), date(9998, 1, 1))
SHIFTS = st.integers(-365, 365)


class ShiftDays(TestCase):
    @given(st.text(max_size=64), st.integers(-4000, 4000), st.integers(0, 4000))
    def test_it_lies_in_the_range_and_is_never_nought(self, patient: str, least: int, span: int) -> None:
        if least == 0 and span == 0:
            return
        days = shift_days(KEY, patient, least, least + span)
        self.assertTrue(least <= days <= least + span and days != 0)

    def test_every_day_of_a_range_occurs(self) -> None:
        found = {shift_days(KEY, str(patient), -2, 2) for patient in range(200)}
        self.assertEqual(found, {-2, -1, 1, 2})

    def test_it_stays_the_same_for_a_patient(self) -> None:
        self.assertEqual(shift_days(KEY, "4711", -365, -1), shift_days(KEY, "4711", -365, -1))

    def test_nobody_can_tell_it_without_the_key(self) -> None:
        self.assertNotEqual(
            [shift_days(KEY, str(patient), -3650, -1) for patient in range(4)],
            [shift_days(b"another", str(patient), -3650, -1) for patient in range(4)],
        )

    def test_a_range_of_nothing_but_nought_is_none(self) -> None:
        self.assertRaises(ValueError, shift_days, KEY, "4711", 0, 0)


class Shift(TestCase):
    def test_a_date_moves_over_the_end_of_a_month_and_a_year(self) -> None:
        self.assertEqual([shift("DA", "20240301", -1), shift("DA", "20231231", 1)], ["20240229", "20240101"])

    def test_a_date_of_acr_nema_stays_one(self) -> None:
        self.assertEqual(shift("DA", "1993.08.22", -22), "1993.07.31")

    @given(DAYS, SHIFTS)
    def test_a_date_moves_back_to_what_it_was(self, day: date, days: int) -> None:
        value = f"{day.year:04}{day.month:02}{day.day:02}"
        moved = shift("DA", value, days)
        assert moved is not None
        self.assertEqual(shift("DA", moved, -days), value)

    @given(DAYS, DAYS, SHIFTS)
    def test_intervals_stay(self, first: date, second: date, days: int) -> None:
        moved = [shift("DA", f"{day.year:04}{day.month:02}{day.day:02}", days) for day in (first, second)]
        self.assertEqual(moved[0] == moved[1], first == second)
        self.assertEqual(moved[0], f"{(first + timedelta(days)).year:04}" + (first + timedelta(days)).strftime("%m%d"))

    def test_what_is_no_date_moves_nowhere(self) -> None:
        for value in ("", "2024", "20240230", "20241301", "2024-03-01", "20240301-", "Meier", "²0240301", "202403011"):
            self.assertIsNone(shift("DA", value, 1), value)

    def test_a_date_does_not_leave_the_calendar(self) -> None:
        self.assertEqual([shift("DA", "00010101", -1), shift("DA", "99991231", 1)], [None, None])

    def test_a_date_time_keeps_its_time_and_offset(self) -> None:
        self.assertEqual(shift("DT", "20240301120001.000500+0100", -1), "20240229120001.000500+0100")

    def test_a_date_time_may_end_after_any_component(self) -> None:
        values = ("2024030112", "202403011200", "20240301120001", "20240301120060.5", "20240301-0500")
        self.assertEqual([shift("DT", value, 0) for value in values], list(values))

    def test_a_date_time_without_a_day_moves_by_months(self) -> None:
        self.assertEqual([shift("DT", "202401", days) for days in (-1, -31, -365)], ["202401", "202312", "202301"])

    def test_a_date_time_without_a_month_moves_by_years(self) -> None:
        self.assertEqual([shift("DT", "2024", days) for days in (-1, -365, 800)], ["2024", "2023", "2026"])

    @given(st.integers(40, 9900), st.integers(0, 12), SHIFTS)
    def test_a_partial_date_time_moves_back_to_what_it_was(self, year: int, month: int, days: int) -> None:
        value = f"{year:04}" + (f"{month:02}" if month else "")
        moved = shift("DT", value, days)
        assert moved is not None
        self.assertEqual(shift("DT", moved, -days), value)

    def test_what_is_no_date_time_moves_nowhere(self) -> None:
        for value in (
            "",
            "202",
            "202413",
            "20240230",
            "2024030124",
            "20240301126000",
            "2024030112000000",
            "20240301+1",
        ):
            self.assertIsNone(shift("DT", value, 1), value)

    def test_no_cache_keeps_what_is_too_long_for_a_date(self) -> None:
        for function, cache in (
            (shift_date, dates._shift_date),
            (lambda value, _: parse_date(value), dates._parse_date),
        ):
            before = cache.cache_info().misses
            self.assertIsNone(function("20240301" * 4, 1))
            self.assertEqual(cache.cache_info().misses, before)

    def test_nothing_else_moves(self) -> None:
        for vr in ("LO", "TM"):
            self.assertIsNone(shift(vr, "20240301", 1), vr)


class Ranges(TestCase):
    def test_the_ends_of_a_range_of_dates(self) -> None:
        ranges = ("20240101-20240131", "20240101-", "-20240131", "20240101", "-", "1-2-3")
        self.assertEqual(
            [split_range("DA", value) for value in ranges],
            [("20240101", "20240131"), ("20240101", ""), ("", "20240131"), None, None, None],
        )

    def test_the_hyphen_of_an_offset_is_none_of_a_range(self) -> None:
        ranges = ("20240101-0500", "20240101-0500-20240131-0500", "20240101-0500-", "2023-2024", "-20240131+0100")
        self.assertEqual(
            [split_range("DT", value) for value in ranges],
            [
                None,
                ("20240101-0500", "20240131-0500"),
                ("20240101-0500", ""),
                ("2023", "2024"),
                ("", "20240131+0100"),
            ],
        )

    def test_both_ends_move(self) -> None:
        ranges = ("20240101-20240131", "20240101-", "-20240131", "20240131")
        self.assertEqual(
            [shift_range("DA", value, 1) for value in ranges],
            ["20240102-20240201", "20240102-", "-20240201", "20240201"],
        )

    def test_a_single_date_is_widened_to_a_range(self) -> None:
        self.assertEqual(shift_range("DA", "20240110", 1, 9), "20240111-20240119")

    def test_an_end_that_is_no_date_makes_it_no_range(self) -> None:
        self.assertIsNone(shift_range("DA", "20240101-Meier", 1))


class Ages(TestCase):
    def test_units_grow_with_age(self) -> None:
        ages = {"20240101": "000D", "20240128": "027D", "20240129": "004W", "20240331": "012W", "20240401": "003M",
                "20251231": "023M", "20260101": "002Y", "20341231": "010Y"}  # fmt: skip
        self.assertEqual({day: derive_age("20240101", day) for day in ages}, ages)

    def test_a_year_is_full_on_the_birthday(self) -> None:
        self.assertEqual([derive_age("19700615", "20240614"), derive_age("19700615", "20240615")], ["053Y", "054Y"])

    def test_ninety_and_more_are_one_category(self) -> None:
        days = ("20091231", "20100101", "20240101")
        self.assertEqual([derive_age("19200101", day) for day in days], ["089Y", "090Y", "090Y"])

    def test_nothing_comes_of_what_is_no_date_or_before_birth(self) -> None:
        self.assertEqual([derive_age("", "20240101"), derive_age("20240102", "20240101")], [None, None])

    def test_a_stated_age_is_capped(self) -> None:
        stated = ("045Y", "090Y", "104Y", "999M", "999W", "45", "45Y", "")
        self.assertEqual([cap_age(age) for age in stated], ["045Y", "090Y", "090Y", "999M", "999W", None, None, None])
