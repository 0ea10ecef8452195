"""
PS3.15 Table E.1-1, as data: the action of the Basic Profile and of each of its options, attribute by attribute.

The rows stand in `table_e_1_1.csv`, one attribute each, with the columns of the standard.  They are those of January
2025, and the attributes that edition 2026c added.  Of these, only the action of the Basic Profile is given, which
protects more than any option does.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from attrs import field, frozen
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import dictionary_description

_FILE: Final = "table_e_1_1.csv"


@frozen
class Row:
    """
    What the table says of an attribute.

    @ivar basic: the action of the Basic Profile, such as C{X/Z}.
    @ivar options: the action of each option that has one: C{K} (keep) or C{C} (clean).
    """

    tag: str
    name: str
    basic: str
    options: Mapping[str, str] = field(hash=False)

    @property
    def strictest(self) -> str:
        """
        The last alternative of the Basic Profile, which suits an attribute of any type (PS3.15 Table E.1-1a):
        C{X/Z} is for attributes that are of type 3 in some places and of type 2 in others.
        """
        return self.basic.rsplit("/", 1)[-1]


def row_of(tag: int) -> Row | None:
    """The row of a public attribute; None where the table does not list it."""
    row = ROWS.get(tag)
    if row is not None or tag >> 24 not in (0x50, 0x60):
        return row
    if tag >> 24 == 0x50:
        return _CURVES
    return _OVERLAYS.get(tag & 0xFFFF)


def vr_of(tag: int) -> str | None:
    """
    The VR of a public attribute, with C{US or SS} and the like for those that have several; None for one that the
    dictionary does not know.
    """
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return str(entry[0])
    # As pydicom's own look-up does, which takes tens of microseconds for each tag that nobody knows.
    for mask, repeating in _REPEATING_VRS.items():
        if tag & mask in repeating:
            return repeating[tag & mask]
    return None


def name_of(tag: int) -> str:
    """What the standard calls a public attribute; empty where neither the table nor the dictionary knows it."""
    row = row_of(tag)
    if row is not None:
        return row.name
    try:
        return dictionary_description(tag)
    except KeyError:
        return ""


def public_tags() -> list[int]:
    """Every public attribute that the dictionary or the table names, in order."""
    return sorted({tag for tag in DicomDictionary if not tag >> 16 & 1} | set(ROWS))


def _read() -> Iterator[Row]:
    text = (files(__package__) / _FILE).read_text("utf-8")
    for line in csv.DictReader(text.splitlines()):
        tag, basic, name = line.pop("tag"), line.pop("basic"), line.pop("name")
        yield Row(tag, name, basic, MappingProxyType({option: action for option, action in line.items() if action}))


def _repeating_vrs() -> dict[int, dict[int, str]]:
    """The VRs of repeating groups and elements: by what of a tag must match, and what it must be."""
    found: dict[int, dict[int, str]] = {}
    for pattern, entry in RepeatersDictionary.items():
        mask = int("".join("0" if digit == "x" else "F" for digit in pattern), 16)
        found.setdefault(mask, {})[int(pattern.replace("x", "0"), 16)] = str(entry[0])
    return found


_REPEATING_VRS: Final = _repeating_vrs()
_ALL: Final = {row.tag: row for row in _read()}

#: The row of private attributes.
PRIVATE: Final = _ALL.pop("private")
_CURVES: Final = _ALL.pop("50XXXXXX")
_OVERLAYS: Final = {element: _ALL.pop(f"60XX{element:04X}") for element in (0x3000, 0x4000)}

#: The rows of curves and overlays, whose groups repeat.
REPEATING: Final = (_CURVES, *_OVERLAYS.values())
#: The rows of single attributes, by tag (group << 16 | element).
ROWS: Final[Mapping[int, Row]] = MappingProxyType({int(tag, 16): row for tag, row in _ALL.items()})
