"""
What an identifier asks for (PS3.4 C.4.1, C.4.2, C.4.3).

Queries are relational: any attribute at the level of the query or above it may be a key, and unique keys above may be
left out (PS3.4 C.4.1.1.3.1 and C.4.1.2.2).  Who asks by the hierarchy gets the answers of the hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Final, Literal, cast

from attrs import field, frozen

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.heads import Values
from dimseproxy.outbound.archive.levels import (
    DATES_AND_TIMES,
    DERIVED,
    INSTANCE_AVAILABILITY,
    LEVELS,
    QUERY_RETRIEVE_LEVEL,
    RETRIEVE_AE_TITLE,
    SPECIFIC_CHARACTER_SET,
    UNIQUE_KEYS,
    Level,
    Root,
    name_of,
    root_of,
    vr_of,
)
from dimseproxy.outbound.archive.matching import Condition, Days, During, TimeOfDay, condition_of, day_digits, time_ends
from dimseproxy.privacy.identifier_keys import Key, read_keys
from dimseproxy.privacy.matching import Span, parse_span
from dimseproxy.privacy.values import TEXT, Unreadable, texts_of

__all__ = ["Query", "Root", "Selection", "read_query", "read_selection", "root_of"]

#: In one identifier; a database takes no more values in one statement.
MAX_UIDS: Final = 30_000

#: Values in one identifier that are no UIDs: each is compared with each row that is looked at.
MAX_VALUES: Final = 64
#: Characters of one: patterns cost what they are long. Only texts of paragraphs have more, and nobody asks for a whole
#: one.
MAX_VALUE: Final = 1024

#: Those that are no attribute of what is asked for, but are answered with it.
_ABOUT_THE_ANSWER: Final = frozenset((QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY))
_SILENT: Final = frozenset((SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL))


@frozen
class Wanted:
    """
    An attribute that the answers shall have.

    @ivar name: its name among the values.
    @ivar within: what each item of a sequence shall have; empty for all of it.
    """

    tag: int
    name: str
    within: tuple[Wanted, ...] = ()


@frozen
class ValueIs:
    """A condition on the values of an attribute, by its name."""

    name: str
    condition: Condition

    def is_met(self, values: Values) -> bool:
        texts = values.get(self.name)
        # What one takes for a text may be a sequence to another, where the standard knows neither.
        if not texts or not isinstance(texts[0], str):
            return False
        return self.condition.is_met(texts)


@frozen
class ItemIs:
    """Sequence matching: one item meets all the conditions (PS3.4 C.2.2.2.6)."""

    name: str
    conditions: tuple[ValueIs | ItemIs, ...]

    def is_met(self, values: Values) -> bool:
        return any(
            isinstance(item, dict) and all(condition.is_met(item) for condition in self.conditions)
            for item in values.get(self.name, ())
        )


@frozen
class MomentIs:
    """
    Combined matching of a date and its time (PS3.4 C.2.2.2.5).

    @ivar earliest, latest: date and time of day, twenty digits each.
    """

    date: str
    time: str
    earliest: str = field(repr=False)
    latest: str = field(repr=False)

    def is_met(self, values: Values) -> bool:
        dates, times = cast(list[str], values.get(self.date, [])), cast(list[str], values.get(self.time, []))
        # Of several, those in the same place belong together.
        return any(self._is(date, time) for date, time in zip_longest(dates, times[: len(dates)], fillvalue=""))

    def _is(self, date: str, time: str) -> bool:
        day = day_digits(date)
        if not day:
            return False
        ends = time_ends(time) if time else ("000000000000", "235959999999")
        return ends is not None and day + ends[0] <= self.latest and self.earliest <= day + ends[1]


Match = ValueIs | ItemIs | MomentIs


@frozen
class Query:
    """
    A C-FIND.

    @ivar level: what is asked for.
    @ivar wanted: what the answers tell, in the order of tags.
    @ivar matches: on what is kept; all must be met.
    @ivar derived: on what is counted or collected.
    @ivar conditions: those of `matches` on single attributes, by tag.
    @ivar has_unsupported_keys: whether something was asked that the archive does not know; it matches anything.
    """

    level: Level
    wanted: tuple[Wanted, ...]
    matches: tuple[Match, ...] = field(repr=False)
    derived: tuple[ValueIs, ...] = field(repr=False)
    conditions: Mapping[int, Condition] = field(repr=False)
    has_unsupported_keys: bool


@frozen
class Selection:
    """
    What a retrieve is of; the unique keys of the levels, None for any.
    """

    patients: frozenset[str] | None = field(default=None, repr=False)
    studies: frozenset[str] | None = field(default=None, repr=False)
    series: frozenset[str] | None = field(default=None, repr=False)
    instances: frozenset[str] | None = field(default=None, repr=False)


def read_query(root: Root, identifier: bytes, encoding: Encoding, combines_date_time: bool = False) -> Query:
    """
    What a C-FIND asks for.

    @param combines_date_time: whether combined matching was negotiated (PS3.4 C.5.1.1.1): a range of dates and one of
        times are one range of moments then, and else each is a range of its own.
    @raise OperationRefused: the identifier cannot be read, or names no level of the information model.
    """
    keys = read_keys(identifier, encoding)
    texts = _Texts(keys, encoding)
    level = _level(root, keys, texts)
    known = [key for key in keys if _is_known(key, level)]
    wanted = tuple(_wanted(key) for key in known if key.tag not in _SILENT)
    matches: list[Match] = []
    derived: list[ValueIs] = []
    conditions: dict[int, Condition] = {}
    for key in known:
        match = None if key.tag in _ABOUT_THE_ANSWER else _match(key, texts)
        if match is None:
            continue
        if isinstance(match, ValueIs):
            conditions[key.tag] = match.condition
        if isinstance(match, ValueIs) and key.tag in DERIVED:
            derived.append(match)
        else:
            matches.append(match)
    if combines_date_time:
        matches = list(_combined(matches, conditions))
    unsupported = any(key.tag not in _SILENT and key not in known for key in keys)
    return Query(level, wanted, tuple(matches), tuple(derived), conditions, unsupported)


def read_selection(root: Root, identifier: bytes, encoding: Encoding) -> Selection:
    """
    What a C-GET or a C-MOVE is of.

    @raise OperationRefused: the identifier cannot be read, names no level of the information model, or has no unique
        key of that level (PS3.4 C.4.2.1.4.1, C.4.3.1.3.1).
    """
    keys = read_keys(identifier, encoding)
    texts = _Texts(keys, encoding)
    level = _level(root, keys, texts)
    found: dict[Level, frozenset[str] | None] = dict.fromkeys(Level)
    for key in keys:
        for of, tag in UNIQUE_KEYS.items():
            if key.tag == tag and of <= level:
                found[of] = frozenset(text for text in texts.of(key) if text) or None
    if found[level] is None:
        raise _refusal("has no unique key of its level")
    if sum(len(values) for values in found.values() if values) > MAX_UIDS:
        raise OperationRefused(Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, "the identifier has too many values")
    return Selection(found[Level.PATIENT], found[Level.STUDY], found[Level.SERIES], found[Level.IMAGE])


class _Texts:
    """The values of keys, in the character set of their identifier."""

    def __init__(
        self, keys: Iterable[Key], encoding: Encoding, outer: bytes = b"", effort: _Effort | None = None
    ) -> None:
        self._encoding = encoding
        self._effort = effort or _Effort()
        self._character_sets = next((key.value for key in keys if key.tag == SPECIFIC_CHARACTER_SET), outer)

    def of(self, key: Key) -> list[str]:
        """
        @raise OperationRefused: it is no text of the character set.
        """
        vr = vr_of(key.tag)
        if vr in ("US", "UL"):
            order: Literal["little", "big"] = "little" if self._encoding.is_little_endian else "big"
            return [str(int.from_bytes(key.value, order))] if key.value else []
        if vr not in TEXT:
            return []
        try:
            return texts_of(key.value, vr, self._character_sets)
        except Unreadable:
            raise _refusal("has text that is not of its character set") from None

    def asked(self, key: Key) -> list[str]:
        """
        The values that an attribute is to be compared with.

        @raise OperationRefused: as for `of`, or they cost too much.
        """
        texts = self.of(key)
        self._effort.add(vr_of(key.tag), texts)
        return texts

    def within(self, item: Iterable[Key]) -> _Texts:
        """The same for an item of a sequence."""
        return _Texts(item, self._encoding, self._character_sets, self._effort)


class _Effort:
    """What an identifier asks to be compared with each row."""

    def __init__(self) -> None:
        self._values = 0

    def add(self, vr: str, texts: Iterable[str]) -> None:
        """
        More of it.

        @raise OperationRefused: that is too much.
        """
        lengths = [len(text) for text in texts if text]
        # Of a list of UIDs it is looked up whether one is in it.
        self._values += 0 if vr == "UI" else len(lengths)
        if self._values > MAX_VALUES or max(lengths, default=0) > MAX_VALUE:
            raise _refusal("has too many or too long values to match by")


def _level(root: Root, keys: Iterable[Key], texts: _Texts) -> Level:
    named = [text for key in keys if key.tag == QUERY_RETRIEVE_LEVEL for text in texts.of(key)]
    if len(named) == 1 and named[0] in Level.__members__:
        level = Level[named[0]]
        if level >= root.value:
            return level
    raise _refusal("names no level of its information model")


def _is_known(key: Key, level: Level) -> bool:
    if key.tag in _ABOUT_THE_ANSWER or key.tag == SPECIFIC_CHARACTER_SET:
        return True
    of = LEVELS.get(key.tag, DERIVED.get(key.tag))
    return of is not None and of <= level and (vr_of(key.tag) == "SQ") == (key.items is not None)


def _wanted(key: Key) -> Wanted:
    item = key.items[0] if key.items else ()
    return Wanted(
        key.tag, name_of(key.tag), tuple(_wanted(part) for part in item if part.tag != SPECIFIC_CHARACTER_SET)
    )


def _match(key: Key, texts: _Texts) -> ValueIs | ItemIs | None:
    name = name_of(key.tag)
    if key.tag == SPECIFIC_CHARACTER_SET:
        return None
    if key.items is None:
        condition = condition_of(vr_of(key.tag), texts.asked(key))
        return None if condition is None else ValueIs(name, condition)
    if not key.items:
        return None
    if len(key.items) > 1:
        raise _refusal("has a sequence of several items")
    (item,) = key.items
    inner = texts.within(item)
    conditions = tuple(match for part in item if (match := _match(part, inner)) is not None)
    return ItemIs(name, conditions) if conditions else None


def _combined(matches: list[Match], conditions: dict[int, Condition]) -> Iterable[Match]:
    """The same, with one condition for each date and time that both are ranges."""
    replaced: set[str] = set()
    for date, time in DATES_AND_TIMES:
        day, hour = conditions.get(date), conditions.get(time)
        days = None if isinstance(day, During) and not _is_range(day.span) else day_range(day)
        if days is not None and isinstance(hour, TimeOfDay):
            replaced |= {name_of(date), name_of(time)}
            yield MomentIs(name_of(date), name_of(time), days[0] + hour.earliest, days[1] + hour.latest)
    for match in matches:
        if not (isinstance(match, ValueIs) and match.name in replaced):
            yield match


def _is_range(span: Span) -> bool:
    return span.begin is not span.end


def day_range(condition: Condition | None) -> tuple[str, str] | None:
    """The first and the last day that a condition on a date may be met by, YYYYMMDD; None where that is not known."""
    if isinstance(condition, Days):
        return condition.earliest, condition.latest
    if not isinstance(condition, During):
        return None
    begin, end = condition.span.begin, condition.span.end
    first = "00000000" if begin is None else begin.first.strftime("%Y%m%d").zfill(8)
    last = "99999999" if end is None else end.last.strftime("%Y%m%d").zfill(8)
    return first, last


def day_of(text: str) -> str:
    """A date as YYYYMMDD; empty where it is none."""
    span = parse_span("DA", text)
    if span is None or span.begin is None or _is_range(span):
        return ""
    return span.begin.first.strftime("%Y%m%d").zfill(8)


def _refusal(problem: str) -> OperationRefused:
    return OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, f"the identifier {problem}")
