"""
What the values of keys ask for, and whether the values of an attribute are that (PS3.4 C.2.2.2).

Without any value an attribute is matched by universal matching only.  One of several values is enough.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, Protocol

from attrs import field, frozen

from dimseproxy.privacy.dates import split_range
from dimseproxy.privacy.matching import Span, parse_span

_WILDCARDS: Final = frozenset("*?")
_NUMBERS: Final = frozenset(("DS", "IS", "US", "UL"))
_NEVER_PATTERNS: Final = frozenset(("UI", *_NUMBERS))
#: Of eight digits, or as ACR-NEMA had it (PS3.5 6.2).
_DAY: Final = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3])(?::?([0-5]\d)(?::?([0-5]\d|60)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_EARLIEST: Final = "000000000000"
_LATEST: Final = "235959999999"
_COMPONENTS: Final = 5
_GROUPS: Final = 3
#: Characters of what is worth remembering: peers choose what it is, and thousands of texts are remembered.
_MAX_REMEMBERED: Final = 256
#: Comes before each further letter that a character of a name is without its case, such as the second s of a sharp s.
#: No text that was decoded has it.
_WITHIN: Final = "\ud800"


class Condition(Protocol):
    """What a key asks for."""

    def is_met(self, texts: Sequence[str]) -> bool:
        """Whether the values of the attribute are it."""


@frozen
class Exactly:
    """Single value matching, and list of UID matching (PS3.4 C.2.2.2.1, C.2.2.2.2)."""

    texts: frozenset[str] = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        return not self.texts.isdisjoint(texts)


@frozen
class Numbers:
    """Single value matching of numbers: by what they mean, not by how they are written."""

    numbers: frozenset[Decimal] = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        return any(_number(text) in self.numbers for text in texts)


@frozen
class Pattern:
    """Wild card matching (PS3.4 C.2.2.2.4)."""

    pattern: str = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        fits = _pattern(self.pattern)
        return any(text and fits(text) for text in texts)


@frozen
class During:
    """A day or an instant, or a range of them (PS3.4 C.2.2.2.5)."""

    span: Span = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        return any(self.span.holds(text) for text in texts)


@frozen
class Days:
    """
    A range of days whose ends need not be in the calendar: many ask for a month as its days 01 to 31.

    @ivar earliest: eight digits.
    @ivar latest: eight digits.
    """

    earliest: str = field(repr=False)
    latest: str = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        return any(self.earliest <= day <= self.latest for text in texts if (day := day_digits(text)))


@frozen
class TimeOfDay:
    """
    A time of day, or a range.

    @ivar earliest: twelve digits, up to microseconds.
    @ivar latest: the same; a time without seconds lasts to the end of its minute.
    """

    earliest: str = field(repr=False)
    latest: str = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        for text in texts:
            ends = time_ends(text)
            if ends is not None and ends[0] <= self.latest and self.earliest <= ends[1]:
                return True
        return False


@frozen
class Name:
    """
    The name of a person, in any case (PS3.4 C.2.2.2.1).

    @ivar groups: the folded component groups that are asked for, an empty one for any. One alone may be any of the
        groups that a name has, for who asks need not know in which script it is kept.
    """

    groups: tuple[str, ...] = field(repr=False)

    def is_met(self, texts: Sequence[str]) -> bool:
        return any(self._is(_groups(text)) for text in texts if text)

    def _is(self, groups: tuple[str, ...]) -> bool:
        if len(self.groups) == 1:
            return any(_is_group(self.groups[0], group) for group in groups if group)
        if len(self.groups) > len(groups):
            groups = (*groups, *("",) * (len(self.groups) - len(groups)))
        return all(not asked or _is_group(asked, group) for asked, group in zip(self.groups, groups, strict=False))


@frozen
class AnyOf:
    """What several values of a key ask for."""

    conditions: tuple[Condition, ...]

    def is_met(self, texts: Sequence[str]) -> bool:
        return any(condition.is_met(texts) for condition in self.conditions)


@frozen
class Nothing:
    """What nothing is."""

    def is_met(self, texts: Sequence[str]) -> bool:
        return False


def condition_of(vr: str, texts: Iterable[str]) -> Condition | None:
    """
    What the values of a key ask for; None for universal matching (PS3.4 C.2.2.2.3).

    @param texts: the values without padding.
    """
    asked = [text for text in texts if text]
    if not asked or any(not text.strip("*") for text in asked):
        return None
    if vr not in _NEVER_PATTERNS and len(asked) == 1:
        return _single(vr, asked[0])
    if vr in _NUMBERS:
        numbers = frozenset(number for text in asked if (number := _number(text)) is not None)
        return Numbers(numbers) if numbers else Nothing()
    if vr == "UI" or not any(_is_special(vr, text) for text in asked):
        return Exactly(frozenset(asked))
    return AnyOf(tuple(_single(vr, text) for text in asked))


def _single(vr: str, text: str) -> Condition:
    if vr == "PN":
        return Name(folded_groups(text)[:_GROUPS])
    if vr in ("DA", "DT"):
        span = parse_span(vr, text)
        if span is not None:
            return During(span)
    if vr == "DA":
        days = _days(text)
        if days is not None:
            return days
    if vr == "TM":
        ends = _time_range(text)
        if ends is not None:
            return TimeOfDay(*ends)
    return Pattern(text) if has_wildcard(text) else Exactly(frozenset((text,)))


def has_wildcard(text: str) -> bool:
    """Whether a text is a pattern."""
    return not _WILDCARDS.isdisjoint(text)


def folded_groups(name: str) -> tuple[str, ...]:
    """The component groups of a name as they are compared: without case, and without what may be left out at ends."""
    return tuple(group.replace(_WITHIN, "") for group in _groups(name))


def _groups(name: str) -> tuple[str, ...]:
    """The same, with what says which letters are one character of the name: a question mark stands for all of them."""
    return _folded(name) if len(name) <= _MAX_REMEMBERED else _folded.__wrapped__(name)


@lru_cache(maxsize=4096)
def _folded(name: str) -> tuple[str, ...]:
    written = unicodedata.normalize("NFC", name)
    folded = written.casefold()
    if len(folded) > len(written):
        folded = "".join(_WITHIN.join(character.casefold()) for character in written)
    groups = ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in folded.split("=")]
    while len(groups) > 1 and not groups[-1]:
        groups.pop()
    return tuple(groups)


def day_digits(text: str) -> str:
    """A day as eight digits, be it in the calendar or not; empty where it is none."""
    return text.replace(".", "") if _DAY.fullmatch(text) else ""


def time_ends(text: str) -> tuple[str, str] | None:
    """The first and the last instant that a value of VR TM may mean; None where it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    digits = "".join(part or "" for part in match.groups())
    return digits + _EARLIEST[len(digits) :], digits + _LATEST[len(digits) :]


def _days(text: str) -> Days | None:
    ends = split_range("DA", text)
    if ends is None:
        return None
    earliest, latest = (day_digits(end) for end in ends)
    if (ends[0] and not earliest) or (ends[1] and not latest):
        return None
    return Days(earliest or "00000000", latest or "99999999")


def _time_range(text: str) -> tuple[str, str] | None:
    ends = split_range("TM", text)
    if ends is None:
        return time_ends(text)
    begin = time_ends(ends[0]) if ends[0] else (_EARLIEST, "")
    end = time_ends(ends[1]) if ends[1] else ("", _LATEST)
    return None if begin is None or end is None else (begin[0], end[1])


def _is_special(vr: str, text: str) -> bool:
    return vr in ("PN", "DA", "DT", "TM") or has_wildcard(text)


def _is_group(asked: str, group: str) -> bool:
    is_longer = _WITHIN in group
    if is_longer and "?" not in asked:
        group, is_longer = group.replace(_WITHIN, ""), False
    if not has_wildcard(asked):
        return asked == group
    fits = _pattern(asked, is_longer)
    # Components that are not there are empty ones: DOE^* is the pattern of DOE too.
    missing = _COMPONENTS - 1 - group.count("^")
    return bool(fits(group) or ("^" in asked and fits(group + "^" * missing)))


def _number(text: str) -> Decimal | None:
    return _remembered_number(text) if len(text) <= _MAX_REMEMBERED else _remembered_number.__wrapped__(text)


@lru_cache(maxsize=1024)
def _remembered_number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# Also long ones: each is asked for again with each row, and a query has no more and no longer ones than it may have.
@lru_cache(maxsize=256)
def _pattern(pattern: str, is_longer: bool = False) -> Callable[[str], object]:
    """
    Whether a text fits; at a cost that does not depend on how many asterisks there are.

    @param is_longer: whether the text has characters that are several letters each.
    """
    # A letter may be any of those of a character; one character is all of its letters, from the first to the last.
    one, before = (f"(?<!{_WITHIN})[^{_WITHIN}](?:{_WITHIN}.)*+", f"{_WITHIN}?") if is_longer else (".", "")
    first, *others = (
        "".join(one if mark == "?" else before + re.escape(mark) for mark in part) for part in pattern.split("*")
    )
    if not others:
        return re.compile(first, re.DOTALL).fullmatch
    # The leftmost place for each part is as good as any other: nothing is tried again (atomic groups).
    middle = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(f"{first}{middle}.*{others[-1]}", re.DOTALL).fullmatch
