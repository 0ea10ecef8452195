"""
What the values of keys ask for (PS3.4 C.2.2.2): everything, exact values, patterns, or ranges of dates.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from typing import Final

from attrs import field, frozen

from dimseproxy.privacy.dates import parse_date, split_range

_WILDCARDS: Final = re.compile(r"[*?]")
_DATE_TIME: Final = re.compile(
    r"(?P<year>\d{4})(?:(?P<month>\d{2})(?:(?P<day>\d{2})"
    r"(?P<time>(?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?)?)?)?"
    r"(?P<offset>[+-](?:0\d|1[0-4])[0-5]\d)?",
    re.ASCII,
)
_EARLIEST_TIME: Final = "000000000000"
_LATEST_TIME: Final = "235959999999"


def is_universal(value: bytes) -> bool:
    """
    Whether a key matches everything: nothing in it, or nothing but C{*} (PS3.4 C.2.2.2.3 and C.2.2.2.4).

    @param value: as on the wire.
    """
    return not value.strip(b" \0").strip(b"*")


def has_wildcard(text: str) -> bool:
    """Whether a text is a pattern to a peer that matches by it (PS3.4 C.2.2.2.4)."""
    return _WILDCARDS.search(text) is not None


@frozen
class Moment:
    """
    One end of a range, or a single value, of VR DA or DT.

    @ivar first: the first day that it may mean; a DT without a day, or without a month, means more than one.
    @ivar last: the last one.
    @ivar time: as written behind the day, up to microseconds; empty where there is none.
    @ivar offset: from UTC, as written; empty where there is none.
    """

    first: date = field(repr=False)
    last: date = field(repr=False)
    time: str = field(default="", repr=False)
    offset: str = field(default="", repr=False)

    def earliest(self, has_offset: bool) -> int:
        """The first instant that it may mean, in microseconds: UTC, or on the clock of whoever wrote it."""
        return _instant(self.first, _filled(self.time, _EARLIEST_TIME), self.offset if has_offset else "")

    def latest(self, has_offset: bool) -> int:
        """The last one."""
        return _instant(self.last, _filled(self.time, _LATEST_TIME), self.offset if has_offset else "")


@frozen
class Span:
    """
    What a key of VR DA or DT asks for.

    @ivar vr: DA or DT.
    @ivar begin: None in a range that is open at its beginning.
    @ivar end: None in one that is open at its end; the same as C{begin} in a single value.
    """

    vr: str
    begin: Moment | None = field(repr=False)
    end: Moment | None = field(repr=False)

    def moved(self, least: int, most: int) -> str | None:
        """
        The value that asks for everything in this span, moved by C{least} to C{most} days.

        @return: a single value only where it asks for one full date and there is one way to move it; None where that
            leaves the calendar. A range ends with the calendar instead.
        """
        begin, end = self.begin, self.end
        if begin is not None and begin is end and begin.first == begin.last and least == most:
            day = _moved(begin.first, least)
            return None if day is None else f"{_text(day)}{begin.time}{begin.offset}"
        first = "" if begin is None else _text(_moved_within(begin.first, least))
        last = "" if end is None else _text(_moved_within(end.last, most))
        if begin is not None and begin.first == begin.last:
            first += begin.time + begin.offset
        if end is not None and end.first == end.last:
            last += end.time + end.offset
        return f"{first}-{last}"

    def holds(self, value: str) -> bool:
        """Whether a value of an answer is one that was asked for; one that cannot be read is not."""
        moment = parse_moment(self.vr, value)
        if moment is None:
            return False
        return (self.begin is None or _is_ordered(self.begin, moment)) and (
            self.end is None or _is_ordered(moment, self.end)
        )


def parse_span(vr: str, value: str) -> Span | None:
    """
    What a date, or a range of dates, asks for (PS3.4 C.2.2.2.5); None where it is neither.

    @param vr: DA or DT.
    @param value: one value without padding.
    """
    ends = split_range(vr, value)
    if ends is None:
        moment = parse_moment(vr, value)
        return None if moment is None else Span(vr, moment, moment)
    begin, end = (parse_moment(vr, text) if text else None for text in ends)
    if (ends[0] and begin is None) or (ends[1] and end is None):
        return None
    return Span(vr, begin, end)


def parse_moment(vr: str, value: str) -> Moment | None:
    """A single value of VR DA or DT; None where it is none."""
    if vr == "DA":
        day = parse_date(value)
        return None if day is None else Moment(day, day)
    match = _DATE_TIME.fullmatch(value) if vr == "DT" else None
    if match is None:
        return None
    year, month, day_of_month = (int(match[part] or 0) for part in ("year", "month", "day"))
    try:
        first = date(year, month or 1, day_of_month or 1)
        last = date(year, month or 12, day_of_month or calendar.monthrange(year, month or 12)[1])
    except ValueError:
        return None
    return Moment(first, last, match["time"] or "", match["offset"] or "")


def _is_ordered(earlier: Moment, later: Moment) -> bool:
    """Whether something of the one may be no later than something of the other."""
    # Without an offset nobody knows the clock: both are read as if from the same one then.
    has_offsets = bool(earlier.offset and later.offset)
    return earlier.earliest(has_offsets) <= later.latest(has_offsets)


def _filled(time: str, rest: str) -> str:
    digits = time.replace(".", "")
    return digits + rest[len(digits) :]


def _instant(day: date, digits: str, offset: str) -> int:
    """Microseconds, in whole numbers: a clock to compare by, which nothing at the ends of the calendar leaves."""
    # A leap second belongs to its minute.
    hour, minute, second = int(digits[:2]), int(digits[2:4]), min(int(digits[4:6]), 59)
    seconds = ((day.toordinal() * 24 + hour) * 60 + minute) * 60 + second
    if offset:
        east = (int(offset[1:3]) * 60 + int(offset[3:5])) * 60
        seconds -= -east if offset[0] == "-" else east
    return seconds * 1_000_000 + int(digits[6:12])


def _moved(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days)
    except OverflowError:
        return None


def _moved_within(day: date, days: int) -> date:
    """What leaves the calendar stays at its end: that is what 99991231 is written for in a range."""
    return _moved(day, days) or (date.max if days > 0 else date.min)


def _text(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"
