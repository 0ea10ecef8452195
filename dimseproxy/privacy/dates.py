"""
Dates that move by the same number of days for everything of a patient, and ages (PS3.15 E.3.6).

Intervals within a patient stay what they are; the days themselves are not told apart from any others of the range.
A value that cannot be read as its VR says moves nowhere: what asks is answered with None and empties the element.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache
from hashlib import sha256
from hmac import digest
from typing import Final

#: Ages of 90 years and more are one category (45 CFR 164.514(b)(2)(i)(C)); PS3.15 has no rule of its own.
OLDEST_AGE: Final = 90

#: A component of a range of VR DT, and a range (PS3.5 Table 6.2-1). What is longer is no date; no cache may keep it.
_LONGEST: Final = 26
_LONGEST_RANGE: Final = 54
_DATE: Final = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
#: As ACR-NEMA 300 wrote it, still to be accepted (PS3.5 6.2).
_OLD_DATE: Final = re.compile(r"(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
_OFFSET: Final = r"[+-](?:0\d|1[0-4])[0-5]\d"
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})((?:[01]\d|2[0-3])(?:[0-5]\d(?:(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?)?)?)?"
    rf"({_OFFSET})?",
    re.ASCII,
)
#: The hyphen of a range, and not that of an offset from UTC: an offset is four digits up to 1400, and then the
#: value ends or its range goes on (PS3.5 6.2, DT).
_DATE_TIME_RANGE: Final = re.compile(rf"(\d[\d.]*(?:{_OFFSET}(?=-|$))?)?-(\d[\d.]*(?:{_OFFSET})?)?", re.ASCII)
_AGE: Final = re.compile(r"(\d{3})([DWMY])", re.ASCII)
_DAYS_OF: Final = {"D": 1.0, "W": 7.0, "M": 365.2425 / 12, "Y": 365.2425}


def shift_days(key: bytes, patient: str, least: int, most: int) -> int:
    """
    By how many days the dates of a patient move.

    @param key: the secret key of the pseudonyms.
    @param patient: the original Patient ID.
    @param least: the first day of the range, counted in it.
    @param most: the last one; the range holds another day than 0.
    @return: never 0.
    """
    spans_zero = least <= 0 <= most
    count = most - least + 1 - spans_zero
    if count < 1:
        raise ValueError("the range of a date shift holds no day but 0")
    chosen = least + int.from_bytes(digest(key, b"shift" + patient.encode("utf-8"), sha256), "big") % count
    return chosen + 1 if spans_zero and chosen >= 0 else chosen


def shift(vr: str, value: str, days: int) -> str | None:
    """
    A value of VR DA or DT, moved.

    @param value: one value without padding.
    @return: None where the value is no valid one, or leaves the calendar; and for any other VR.
    """
    if vr == "DA":
        return shift_date(value, days)
    return shift_date_time(value, days) if vr == "DT" else None


def shift_date(value: str, days: int) -> str | None:
    """A value of VR DA, moved; written as it was."""
    return _shift_date(value, days) if len(value) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _shift_date(value: str, days: int) -> str | None:
    day = parse_date(value)
    moved = None if day is None else _moved(day, days)
    if moved is None:
        return None
    separator = "." if "." in value else ""
    return f"{moved.year:04}{separator}{moved.month:02}{separator}{moved.day:02}"


def shift_date_time(value: str, days: int) -> str | None:
    """
    A value of VR DT, moved; time of day and offset from UTC stay.

    One without a day moves by the nearest number of whole months, one without a month by that of whole years. That
    may be none at all; and it moves back to exactly what it was.
    """
    match = _DATE_TIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, time, offset = match.groups("")
    if day:
        moved = shift_date(year + month + day, days)
        return None if moved is None else f"{moved}{time}{offset}"
    if month:
        if not 1 <= int(month) <= 12:
            return None
        months = int(year) * 12 + int(month) - 1 + round(days / _DAYS_OF["M"])
        return f"{months // 12:04}{months % 12 + 1:02}{offset}" if 12 <= months < 120_000 else None
    moved_year = int(year) + round(days / _DAYS_OF["Y"])
    return f"{moved_year:04}{offset}" if 1 <= moved_year <= 9999 else None


def split_range(vr: str, value: str) -> tuple[str, str] | None:
    """
    The two ends of a range (PS3.4 C.2.2.2.5), an open one empty; None where the value is a single one or no range.
    """
    if len(value) > _LONGEST_RANGE:
        return None
    if vr == "DT":
        match = _DATE_TIME_RANGE.fullmatch(value)
        if match is None or _DATE_TIME.fullmatch(value):
            return None
        first, last = match.groups("")
    else:
        first, hyphen, last = value.partition("-")
        if not hyphen or "-" in last:
            return None
        first, last = first.strip(), last.strip()
    return (first, last) if first or last else None


def shift_range(vr: str, value: str, days: int, last_days: int | None = None) -> str | None:
    """
    A value of VR DA or DT to match by, single or a range, moved.

    @param last_days: how far the end of the range moves, where that is not as far as its beginning: a range that is
        to hold everything that was moved by C{-days} to C{-last_days}. A single value becomes a range then.
    @return: None where it is neither a value nor a range.
    """
    if last_days is None:
        last_days = days
    ends = split_range(vr, value)
    if ends is None:
        if days == last_days:
            return shift(vr, value, days)
        ends = (value, value)
    moved = [shift(vr, end, by) if end else "" for end, by in zip(ends, (days, last_days), strict=True)]
    if moved[0] is None or moved[1] is None:
        return None
    return f"{moved[0]}-{moved[1]}"


def parse_date(value: str) -> date | None:
    """The day of a value of VR DA; None where it is none."""
    return _parse_date(value) if len(value) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _parse_date(value: str) -> date | None:
    match = _DATE.fullmatch(value) or _OLD_DATE.fullmatch(value)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def derive_age(birth: str, on: str) -> str | None:
    """
    An age of VR AS from two values of VR DA: in days for four weeks, in weeks for three months, in months for two
    years, in years then, and C{090Y} from ninety years on.

    @return: None where one is no date, or birth comes after the other.
    """
    born, day = parse_date(birth), parse_date(on)
    if born is None or day is None or born > day:
        return None
    days = (day - born).days
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    if days < 28:
        return f"{days:03}D"
    if months < 3:
        return f"{days // 7:03}W"
    if months < 24:
        return f"{months:03}M"
    return f"{min(months // 12, OLDEST_AGE):03}Y"


def cap_age(value: str) -> str | None:
    """A value of VR AS, C{090Y} where it says more than that; None where it is none."""
    match = _AGE.fullmatch(value)
    if match is None:
        return None
    years = int(match[1]) * _DAYS_OF[match[2]] / _DAYS_OF["Y"]
    return f"{OLDEST_AGE:03}Y" if years >= OLDEST_AGE else value


def _moved(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days)
    except OverflowError:
        return None
