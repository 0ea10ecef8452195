"""What the values of keys ask for."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.dates import shift_date
from dimseproxy.privacy.matching import Span, has_wildcard, is_universal, parse_moment, parse_span
from tests.ul.strategies import PROPERTY

#: Far enough from both ends of the calendar for any shift.
DAYS = st.dates(date(1850, 1, 1), date(2150, 1, 1))


def da(day: date) -> str:
    return f"{day:%Y%m%d}"


class UniversalTests(SynchronousTestCase):
    def test_what_matches_everything(self) -> None:
        for value in (b"", b" ", b"\0", b"*", b"* ", b"**", b"****\0"):
            with self.subTest(value=value):
                self.assertTrue(is_universal(value))

    def test_what_does_not(self) -> None:
        # The last but one is empty value matching: it tells whether a value is there.
        for value in (b"?", b"*?", b"A*", b"* *", b"\\", b"*\\*", b"-", b'""', b"*\0*"):
            with self.subTest(value=value):
                self.assertFalse(is_universal(value))

    def test_both_wildcards_are_seen(self) -> None:
        self.assertEqual([has_wildcard(text) for text in ("A*", "A?B", "A-B")], [True, True, False])


class SpanTests(SynchronousTestCase):
    def span(self, vr: str, value: str) -> Span:
        span = parse_span(vr, value)
        if span is None:
            self.fail(f"{value} is no span of {vr}")
        return span

    def test_what_is_neither_date_nor_range(self) -> None:
        for vr, value in (
            ("DA", "2020"),
            ("DA", "202001??"),
            ("DA", "20200230"),
            ("DA", "-"),
            ("DA", "20200101-20200102-20200103"),
            ("DA", "20200101-x"),
            ("DA", "x-20200101"),
            ("DA", ""),
            ("DT", "2020013"),
            ("DT", "20201301"),
            ("DT", "20200101-garbage"),
            ("DT", "2020010125"),
            ("TM", "1200"),
            ("LO", "20200101"),
        ):
            with self.subTest(vr=vr, value=value):
                self.assertIsNone(parse_span(vr, value))

    def test_moved(self) -> None:
        for vr, value, days, expected in (
            ("DA", "20200110", (-9, -9), "20200101"),
            ("DA", "2020.01.10", (-9, -9), "20200101"),
            ("DA", "20200110", (1, 365), "20200111-20210109"),
            ("DA", "20200110-20200120", (-9, -9), "20200101-20200111"),
            ("DA", "20200110-20200120", (1, 3), "20200111-20200123"),
            ("DA", "-20200120", (1, 3), "-20200123"),
            ("DA", "20200110-", (1, 3), "20200111-"),
            ("DT", "20200110123000.5+0100", (-9, -9), "20200101123000.5+0100"),
            ("DT", "20200110-0500", (-9, -9), "20200101-0500"),
            ("DT", "20200110-0500-20200112-0500", (1, 1), "20200111-0500-20200113-0500"),
            ("DT", "2020", (1, 1), "20200102-20210101"),
            ("DT", "202002-202003", (0, 0), "20200201-20200331"),
        ):
            with self.subTest(value=value, days=days):
                self.assertEqual(self.span(vr, value).moved(*days), expected)

    def test_a_range_ends_with_the_calendar(self) -> None:
        self.assertEqual(self.span("DA", "00010101-99991231").moved(-1, 1), "00010101-99991231")

    def test_a_range_beyond_the_calendar_does_not_become_all_of_it(self) -> None:
        self.assertEqual(self.span("DA", "99991231-").moved(1, 1), "99991231-")
        self.assertEqual(self.span("DA", "-00010101").moved(-1, -1), "-00010101")

    def test_a_single_date_does_not_leave_the_calendar(self) -> None:
        self.assertIsNone(self.span("DA", "99991231").moved(1, 1))

    def test_held(self) -> None:
        for vr, value, held, others in (
            ("DA", "20200110", ("20200110", "2020.01.10"), ("20200109", "20200111", "", "x", "2020")),
            ("DA", "20200110-20200120", ("20200110", "20200120"), ("20200109", "20200121")),
            ("DA", "-20200120", ("00010101", "20200120"), ("20200121",)),
            ("DA", "20200110-", ("20200110", "99991231"), ("20200109",)),
            ("DT", "20200110", ("20200110", "20200110235959.999999", "2020"), ("20200109", "20200111", "2019")),
            ("DT", "2020011012-2020011013", ("202001101200", "20200110135960"), ("202001101159", "2020011014")),
            # Offsets count only where both have one.
            ("DT", "2020011012+0100", ("2020011011+0000", "2020011012"), ("2020011012+0000",)),
            ("DT", "9999123123-1200", ("9999123123-1200",), ("9999123122-1200",)),
        ):
            span = self.span(vr, value)
            for text in held:
                with self.subTest(value=value, held=text):
                    self.assertTrue(span.holds(text))
            for text in others:
                with self.subTest(value=value, other=text):
                    self.assertFalse(span.holds(text))

    def test_nothing_that_it_holds_is_in_a_repr(self) -> None:
        self.assertNotIn("2020", repr(self.span("DT", "20200110-20200112")) + repr(parse_moment("DA", "20200110")))

    @PROPERTY
    @given(DAYS, st.integers(0, 400), st.integers(-500, 500), st.integers(0, 500), st.data())
    def test_what_is_held_was_asked_for_wherever_it_came_from(
        self, begin: date, length: int, least: int, spread: int, data: st.DataObject
    ) -> None:
        """An original date that moves into the range of a caller is in the range that the outbound is asked for."""
        most = least + spread
        asked = self.span("DA", f"{da(begin)}-{da(begin + timedelta(length))}")
        shown = begin + timedelta(data.draw(st.integers(0, length)))
        original = shift_date(da(shown), -data.draw(st.integers(least, most)))
        widened = asked.moved(-most, -least)
        assert original is not None and widened is not None
        self.assertTrue(asked.holds(da(shown)))
        self.assertTrue(self.span("DA", widened).holds(original))
