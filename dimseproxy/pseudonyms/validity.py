"""
What may stand in a data set as a pseudonym, and what as an original.

A source outside of this process is believed nothing: a text of its errors, a real identifier or a value that breaks
the data set must not pass as a pseudonym.  What is said about a value never repeats it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.values import LENGTHS, is_pseudonym


class Use(Enum):
    """Where values of a kind stand; kinds of one use and one domain share their pseudonyms."""

    UID = "UI"
    SHORT = "SH"
    LONG = "LO"


_SHORT_KINDS: Final = frozenset((Kind.ACCESSION, Kind.STUDY_ID))

#: An original may be any text that a data set can hold, also one that breaks the limits of its VR.
_LONGEST_ORIGINAL: Final = 10_240

#: All UIDs below it are for the standard to give (PS3.5 Annex A).
_STANDARD_ROOT: Final = "1.2.840.10008."
# Older interfaces of gPAS report misses in the place of the answer.
_REPORTED: Final = re.compile(r"\s*\*\*\*.*", re.DOTALL)
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")


def use_of(kind: Kind) -> Use:
    """Where values of this kind stand."""
    if kind.is_uid:
        return Use.UID
    return Use.SHORT if kind in _SHORT_KINDS else Use.LONG


def fault_of_pseudonym(use: Use, value: str) -> str | None:
    """
    Why a value cannot be a pseudonym.

    @return: to follow "the pseudonym"; None where nothing is wrong.
    """
    is_standard = use is Use.UID and value.startswith(_STANDARD_ROOT)
    if is_pseudonym(use.value, value) and not is_standard:
        return None
    if not value:
        return "is empty"
    if _REPORTED.match(value):
        return "is the text of an error"
    if len(value) > LENGTHS[use.value]:
        return f"is longer than the {LENGTHS[use.value]} characters of {use.value}"
    if use is Use.UID:
        return "is a UID of the DICOM standard" if is_standard else "is no valid UID"
    return "has characters that no pseudonym may have"


def fault_of_original(use: Use, value: str) -> str | None:
    """
    Why a value cannot be put back as an original.

    @return: to follow "the original"; None where nothing is wrong.
    """
    if not value:
        return "is empty"
    if _REPORTED.match(value):
        return "is the text of an error"
    if len(value) > _LONGEST_ORIGINAL:
        return f"is longer than {_LONGEST_ORIGINAL} characters"
    # Only texts of one value, which have the use of a long string here, may hold a backslash.
    if _CONTROLS.search(value) or (use is not Use.LONG and "\\" in value):
        return "has characters that no original may have"
    return None
