"""The Basic Profile of PS3.15 Annex E and its options: the rule of a public attribute where no list names it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dimseproxy.privacy.actions import Action, Rule
from dimseproxy.privacy.kinds import TRANSACTION_UID
from dimseproxy.privacy.modules import TYPE_1
from dimseproxy.privacy.options import CLEAN_GRAPHICS, FULL_DATES, MODIFIED_DATES, RETAIN_UIDS
from dimseproxy.privacy.table import Row, row_of, vr_of

_ACTIONS: Final = {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}
#: The VRs of what an option may move.
DATE_VRS: Final = frozenset(("DA", "DT"))
_TIMEZONE_OFFSET_FROM_UTC: Final = 0x00080201
#: What words can be cleaned from: texts that people write, and sequences that hold such texts.
_CLEANABLE: Final = frozenset(("CS", "LO", "LT", "SH", "ST", "UC", "UT", "SQ"))

#: UIDs outside of the table that name no instance: classes, syntaxes, schemes of codes, what software created them.
CLASS_UIDS: Final = frozenset(
    (
        0x00020002, 0x00020010, 0x00020012, 0x00020100, 0x00041432, 0x00041510, 0x00041512, 0x0004151A,
        0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x0008010D, 0x00080117, 0x00080118,
        0x0008040E, 0x00081150, 0x0008115A, 0x00083002, 0x00089123, 0x00280304, 0x00340003, 0x04000010,
        0x04000510, 0x3010001F, 0x30100052, 0x30100053,
    )
)  # fmt: skip

#: Attributes that Table E.1-1 lacks and that say who somebody is. Those of type 1 where they stand get a dummy, for
#: without them their item would not be valid.
_BIRTH: Final = Rule(Action.REMOVE, "not in Table E.1-1, but a date of the patient in another calendar")
_CONTACT: Final = Rule(Action.REMOVE, "not in Table E.1-1, but it names a person or how to reach one")
_NUMBER: Final = Rule(Action.REMOVE, "not in Table E.1-1, but a number that somebody is known by")
_NUMBER_OF_TYPE_1: Final = Rule(Action.DUMMY, "not in Table E.1-1, but a number that somebody is known by; of type 1")
_WORDS: Final = Rule(Action.REMOVE, "not in Table E.1-1, but words about the procedure of one patient")
_ADDRESS: Final = Rule(Action.REMOVE, "not in Table E.1-1, but an address, which may hold UIDs and numbers")
_PIXELS_ELSEWHERE: Final = Rule(Action.REMOVE, "not in Table E.1-1, but an address: an object with it is refused")
_IDENTIFYING: Final = {
    0x0008040B: _ADDRESS,  # Filename in Container
    0x00100033: _BIRTH,  # Patient's Birth Date in Alternative Calendar
    0x00100034: _BIRTH,  # Patient's Death Date in Alternative Calendar
    0x00100035: _BIRTH,  # Patient's Alternative Calendar: it is there with one of the two only
    0x00102295: _NUMBER_OF_TYPE_1,  # Breed Registration Number, of Breed Registration Sequence
    0x00287FE0: _PIXELS_ELSEWHERE,  # Pixel Data Provider URL
    0x00400400: _WORDS,  # Comments on the Scheduled Procedure Step
    0x00401006: _NUMBER,  # Placer Order Number / Procedure, retired
    0x00401007: _NUMBER,  # Filler Order Number / Procedure, retired
    0x00402006: _NUMBER,  # Placer Order Number / Imaging Service Request, retired
    0x00402007: _NUMBER,  # Filler Order Number / Imaging Service Request, retired
    0x0040A992: _ADDRESS,  # Uniform Resource Locator (Trial), retired, of VR ST
    0x0040E001: _NUMBER_OF_TYPE_1,  # HL7 Instance Identifier, of HL7 Structured Document Reference Sequence
    0x0074100A: _CONTACT,  # Contact URI
    0x0074100C: _CONTACT,  # Contact Display Name
    0x21000160: _CONTACT,  # Owner ID
}
#: Attributes of VR UR that hold no address of anything of a patient: Coding Scheme URL, URN Code Value.
_URLS_OF_CODES: Final = frozenset((0x0008010E, 0x00080120))

_KNOWN: Final = Rule(Action.KEEP, "not in Table E.1-1: it identifies nobody")
_UNKNOWN: Final = Rule(Action.REMOVE, "in neither the standard's dictionary nor a list")
_GROUP_LENGTH: Final = Rule(Action.REMOVE, "a group length, retired, which would be wrong after the edit")
_NO_PART: Final = Rule(Action.REMOVE, "of the command set or the file meta information: no part of a data set")
_TRANSACTION: Final = Rule(Action.KEEP, "it correlates messages of two systems, and identifies nobody")
_CLASS_UID: Final = Rule(Action.KEEP, "it names a class or a scheme, not an instance")


def structural_rule(tag: int) -> Rule | None:
    """The rule of what no policy decides: parts that do not belong into a data set, and correlations."""
    if tag < 0x0008_0000:
        return _NO_PART
    if tag & 0xFFFF == 0:
        return _GROUP_LENGTH
    return _TRANSACTION if tag == TRANSACTION_UID else None


def profile_rule(tag: int, options: Collection[str]) -> Rule:
    """
    What the Basic Profile with some of its options says of a public attribute (PS3.15 E.2, E.3).

    Attributes that the table does not list are kept (PS3.15 E.1.1), with exceptions on the safe side: those that the
    dictionary does not know, UIDs of instances, names and dates that came into the standard after the table, URLs, and
    single ones that say who somebody is.
    """
    vr, row = vr_of(tag), row_of(tag)
    if row is not None:
        return _table_rule(tag, vr, row, options)
    if vr is None:
        return _UNKNOWN
    if tag in _IDENTIFYING:
        return _IDENTIFYING[tag]
    if vr == "UR" and tag not in _URLS_OF_CODES:
        return _ADDRESS
    if vr == "UI":
        return _unlisted_uid(tag, options)
    if vr == "PN":
        return Rule(Action.EMPTY, "a person's name that Table E.1-1 does not list")
    if vr in DATE_VRS:
        return _unlisted_date(options)
    return _KNOWN


def _table_rule(tag: int, vr: str | None, row: Row, options: Collection[str]) -> Rule:
    basic = _ACTIONS.get(row.strictest, Action.KEEP)
    if basic is Action.DUMMY and vr == "UI":
        # A pseudonym is a dummy, and keeps references together.
        basic = Action.UID
    if tag in TYPE_1:
        # To remove it would leave an invalid object, and a dummy tells no more.
        basic = Action.DUMMY
    named = [option for option in row.options if option in options]
    if MODIFIED_DATES in named and vr in DATE_VRS:
        # Before any option that would keep it: among shifted dates, one that is not gives the shift away.
        return Rule(Action.SHIFT, _why(row, MODIFIED_DATES), fallback=basic)
    for option in named:
        if row.options[option] == "K":
            return Rule(Action.KEEP, _why(row, option))
    for option in named:
        cleaned = _cleaned(tag, vr, row, option, basic)
        if cleaned is not None:
            return cleaned
    if row.strictest == "U*":
        return Rule(Action.KEEP, f"Table E.1-1: {row.basic}, the UIDs in its items are mapped")
    return Rule(basic, f"Table E.1-1: {row.basic}{', but of type 1' if tag in TYPE_1 else ''}")


def _cleaned(tag: int, vr: str | None, row: Row, option: str, basic: Action) -> Rule | None:
    """The rule of an attribute that an option cleans (C); None where it cannot be cleaned: the profile stays."""
    if option == MODIFIED_DATES:
        if vr == "TM" or tag == _TIMEZONE_OFFSET_FROM_UTC:
            return Rule(Action.KEEP, f"{_why(row, option)}; dates move by whole days, so times stay")
        return None
    if option == CLEAN_GRAPHICS and row.tag.endswith(("XXXX", "3000")):
        # The drawing of a curve or an overlay has no words to look at.
        return None
    if vr not in _CLEANABLE:
        return None
    return Rule(Action.CLEAN, _why(row, option), fallback=basic)


def _unlisted_uid(tag: int, options: Collection[str]) -> Rule:
    if tag in CLASS_UIDS:
        return _CLASS_UID
    if RETAIN_UIDS in options:
        return Rule(Action.KEEP, f"option {RETAIN_UIDS}")
    return Rule(Action.UID, "a UID that Table E.1-1 does not list, mapped like the others")


def _unlisted_date(options: Collection[str]) -> Rule:
    if FULL_DATES in options:
        return Rule(Action.KEEP, f"option {FULL_DATES}")
    if MODIFIED_DATES in options:
        return Rule(Action.SHIFT, f"option {MODIFIED_DATES}")
    return Rule(Action.EMPTY, "a date that Table E.1-1 does not list")


def _why(row: Row, option: str) -> str:
    return f"option {option}: {row.options[option]} (Table E.1-1: {row.basic})"
