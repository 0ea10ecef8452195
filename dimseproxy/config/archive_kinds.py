"""The kinds of values of what is kept and what is held: sets of SOP classes, amounts of bytes, hours of the day."""

from __future__ import annotations

import re
from datetime import time
from typing import Final

from attrs import frozen
from pydicom._uid_dict import UID_dictionary

from dimseproxy.config.document import Node
from dimseproxy.config.kinds import Kind, Text
from dimseproxy.config.mistakes import did_you_mean
from dimseproxy.config.reading import Reading
from dimseproxy.config.shapes import ListOf

ALL: Final = "all"

# The keywords of PS3.6 Table A-1. The two models of storage commitment are the only ones that are no storage.
_STORAGE: Final = {
    keyword: uid
    for uid, (_, kind, _, _, keyword) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in keyword and not keyword.endswith("Model")
}
_KEYWORDS: Final = {uid: keyword for keyword, uid in _STORAGE.items()}
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+\Z")
_MOST_UID_CHARACTERS: Final = 64

_AMOUNT = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,3}))? ?([A-Za-z]+)\Z")
_UNITS: Final = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_DECIMAL_UNITS: Final = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3}
_MOST_OCTETS: Final = 1 << 60

_HOURS = re.compile(r"([0-2][0-9]):([0-5][0-9])-([0-2][0-9]):([0-5][0-9])\Z")
_MINUTES_A_DAY: Final = 24 * 60

#: From one time of the day to another, on the day after where that comes earlier.
Hours = tuple[time, time]


@frozen
class SopClass(Text):
    """A storage SOP class, by its keyword in PS3.6 or its UID; what is not in PS3.6 may be private."""

    label: str = "a storage SOP class"

    def not_text(self, node: Node) -> str:
        return f"`{node.text}` is no SOP class: write a keyword such as CTImageStorage, or a UID"

    def check(self, node: Node, reading: Reading) -> str:
        if not node.text[0].isdecimal():
            if node.text not in _STORAGE:
                reading.refuse(node, f"`{node.text}` is no storage SOP class: {_nearest(node.text)}")
            return _STORAGE[node.text]
        if not _UID.match(node.text) or len(node.text) > _MOST_UID_CHARACTERS:
            reading.refuse(node, f"`{node.text}` is no UID (PS3.5 9.1)")
        if node.text in UID_dictionary and node.text not in _KEYWORDS:
            reading.refuse(node, f"is {UID_dictionary[node.text][0]}: nothing of that is stored")
        return node.text


def _nearest(word: str) -> str:
    suggestion = did_you_mean(word, _STORAGE)
    # There are two hundred of them, too many for a list.
    return suggestion if suggestion.startswith("did you") else "write a keyword of PS3.6 Table A-1, or a UID"


@frozen
class SopClasses(Kind[tuple[str, ...] | None]):
    """The word `all`, which is None, or a list of storage SOP classes, which are held as UIDs."""

    label: str = f"`{ALL}` or a list of storage SOP classes, each a keyword or a UID"

    def read(self, node: Node, reading: Reading) -> tuple[str, ...] | None:
        if node.is_scalar and node.text == ALL:
            return None
        if not node.is_list and not node.is_empty:
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f"is {shown}, but must be {self.label}")
        never_empty = f"nothing could be stored, write `{ALL}` or name at least one"
        # Once is enough: a set, in the order of the file.
        return tuple(dict.fromkeys(ListOf(SopClass(), never_empty).read(node, reading)))

    def write(self, value: tuple[str, ...] | None) -> object:
        return ALL if value is None else [_KEYWORDS.get(uid, uid) for uid in value]

    def differences(self, old: tuple[str, ...] | None, new: tuple[str, ...] | None, path: str) -> tuple[str, ...]:
        same = old == new if old is None or new is None else set(old) == set(new)
        return () if same else (path,)


@frozen
class Octets(Kind[int]):
    """An amount of bytes with its unit, between two limits, both allowed."""

    least: int = 1
    most: int = _MOST_OCTETS
    label: str = 'an amount with a unit, such as `"500 GiB"`'

    def read(self, node: Node, reading: Reading) -> int:
        match = _AMOUNT.match(node.text) if node.is_scalar else None
        unit = None if match is None else {**_UNITS, **_DECIMAL_UNITS}.get(match[3])
        if match is None or unit is None:
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            known = ", ".join([*reversed(_UNITS), *reversed(_DECIMAL_UNITS)])
            reading.refuse(node, f"is {shown}, but must be {self.label}; the units are {known}")
        thousandths = int(match[1]) * 1000 + int((match[2] or "").ljust(3, "0"))
        octets = thousandths * unit // 1000
        if not self.least <= octets <= self.most:
            least = "above 0" if self.least == 1 else f"at least {self.write(self.least)}"
            reading.refuse(node, f"is `{node.text}`, but must be {least} and at most {self.write(self.most)}")
        return octets

    def write(self, value: int) -> str:
        name, unit = next((name, unit) for name, unit in _UNITS.items() if value % unit == 0)
        return f"{value // unit} {name}"


@frozen
class HoursOfDay(Kind[Hours]):
    """From when to when, in local time; past midnight where the end comes earlier than the beginning."""

    label: str = '`"HH:MM-HH:MM"`, in local time'

    def read(self, node: Node, reading: Reading) -> Hours:
        match = _HOURS.match(node.text) if node.is_scalar else None
        if match is None:
            shown = f"`{node.text}`" if node.is_scalar and node.text else node.name
            reading.refuse(node, f'is {shown}, but must be {self.label}, such as "20:00-06:00"')
        begins, ends = (60 * int(hour) + int(minute) for hour, minute in (match.groups()[:2], match.groups()[2:]))
        if begins >= _MINUTES_A_DAY or ends > _MINUTES_A_DAY:
            reading.refuse(node, f"is `{node.text}`, and a day ends at 24:00")
        ends %= _MINUTES_A_DAY
        if begins == ends:
            reading.refuse(node, "begins when it ends: leave the key out for the whole day")
        return time(*divmod(begins, 60)), time(*divmod(ends, 60))

    def write(self, value: Hours) -> object:
        return "-".join(each.strftime("%H:%M") for each in value)
