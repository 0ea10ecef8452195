"""Attributes of the DICOM dictionary, as lists of a policy name them, and what may be done with each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from attrs import frozen
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_keyword, dictionary_VR, tag_for_keyword

from dimseproxy.config.document import Node
from dimseproxy.config.frozen_mapping import FrozenMapping
from dimseproxy.config.kinds import Kind, Text
from dimseproxy.config.mistakes import did_you_mean
from dimseproxy.config.reading import Reading, Refused
from dimseproxy.config.shapes import entries

_TAG: Final = re.compile(r"\(([0-9A-Fa-f]{4}), ?([0-9A-Fa-f]{4})\)\Z")

#: The longest value of each VR that a text can be written into, in characters (PS3.5 6.2).
TEXT_LENGTHS: Final = {
    "AE": 16, "AS": 4, "CS": 16, "DA": 8, "DS": 16, "DT": 26, "IS": 12, "LO": 64, "LT": 10240, "PN": 64, "SH": 16,
    "ST": 1024, "TM": 16, "UC": 4096, "UI": 64, "UR": 4096, "UT": 65536,
}  # fmt: skip
#: The VRs whose values a pseudonym can take the place of.
PSEUDONYM_VRS: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UT"))
#: What each VR of a fixed form looks like.
_FORMS: Final = {
    "AS": (re.compile(r"\d{3}[DWMY]\Z"), "`nnnD`, `nnnW`, `nnnM` or `nnnY`"),
    "CS": (re.compile(r"[A-Z0-9 _]+\Z"), "capital letters, digits, spaces and `_`"),
    "DA": (re.compile(r"\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])\Z"), "a date, YYYYMMDD"),
    "DS": (re.compile(r" *[+-]?(\d+(\.\d*)?|\.\d+)([Ee][+-]?\d+)? *\Z"), "a number"),
    "DT": (re.compile(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?\Z"), "a date and time, YYYYMMDDHHMMSS.FFFFFF&ZZXX"),
    "IS": (re.compile(r" *[+-]?\d+ *\Z"), "a whole number"),
    "TM": (re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?\Z"), "a time, HHMMSS.FFFFFF"),
    "UI": (re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*\Z"), "a UID"),
}  # fmt: skip
#: VRs in which a backslash is a character like any other (PS3.5 6.2).
_ONE_VALUE: Final = frozenset(("LT", "ST", "UR", "UT"))

#: Without these, or with a text in their place, an object cannot be decoded, or cannot be told from another.
STRUCTURE: Final = frozenset(
    (
        0x00080005, 0x00080016, 0x00080018, 0x00080052, 0x00081150, 0x00081155, 0x0020000D, 0x0020000E,
        0x00280002, 0x00280004, 0x00280006, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
        0x00280103, 0x7FE00001, 0x7FE00002, 0x7FE00003, 0x7FE00008, 0x7FE00009, 0x7FE00010,
    )
)  # fmt: skip
#: What the proxy writes itself to say how an object was de-identified (PS3.15 E.1.1).
METHOD: Final = frozenset((0x00120062, 0x00120063, 0x00120064, 0x00280303))
#: UIDs of classes and syntaxes, and the UID that correlates messages: mapped, nothing would work any more.
NEVER_MAPPED: Final = frozenset((0x00080016, 0x0008001A, 0x00080062, 0x00081150, 0x0008115A, 0x00081195, 0x00083002))
PATIENT_ID: Final = 0x00100020
STUDY_INSTANCE_UID: Final = 0x0020000D
SERIES_INSTANCE_UID: Final = 0x0020000E
SOP_INSTANCE_UID: Final = 0x00080018
#: The UIDs of an object and of what refers to it: of each kind, those in a line are mapped together or not at all.
UIDS_TOGETHER: Final = (
    frozenset((STUDY_INSTANCE_UID,)),
    frozenset((SERIES_INSTANCE_UID,)),
    frozenset((SOP_INSTANCE_UID, 0x00080058, 0x00081155)),
)
#: Patient ID and Other Patient IDs, likewise.
PATIENTS_TOGETHER: Final = frozenset((PATIENT_ID, 0x00101000))


def name_of(tag: int) -> str:
    """How an attribute is written: its keyword, or `(gggg,eeee)` where it has none."""
    try:
        return dictionary_keyword(tag) or _numbers(tag)
    except KeyError:
        return _numbers(tag)


def vr_of(tag: int) -> str | None:
    """The VR of an attribute; None for one that the dictionary does not know."""
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _numbers(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


@cache
def _keywords() -> tuple[str, ...]:
    return tuple(entry[4] for entry in DicomDictionary.values() if entry[4])


@frozen
class Attribute(Text):
    """An attribute of a data set, by its keyword or its numbers; read as a tag by `AttributeTag`."""

    label: str = "an attribute: its keyword, or `(gggg,eeee)`"

    def tag(self, node: Node, reading: Reading) -> int:
        """The tag (group << 16 | element) of what is written, or `Refused`."""
        text = Text.read(self, node, reading)
        numbers = _TAG.match(text)
        if numbers is None:
            tag = tag_for_keyword(text)
            if tag is None:
                reading.refuse(node, f"`{text}` is no attribute: {_nearest(text)}")
        else:
            tag = int(numbers[1] + numbers[2], 16)
        self._check_place(tag, node, reading)
        return tag

    def _check_place(self, tag: int, node: Node, reading: Reading) -> None:
        group = tag >> 16
        if group & 1:
            reading.refuse(node, "is a private attribute: `private_attributes` says what happens to these")
        if group < 8 or group == 0xFFFE or tag & 0xFFFF == 0:
            reading.refuse(node, "is no part of a data set: name an attribute of group 0008 or above")
        if tag in METHOD:
            reading.refuse(node, "says how an object was de-identified, which the proxy writes itself: leave it out")


def _nearest(word: str) -> str:
    # Of five thousand keywords, a list is no help where none is near.
    hint = did_you_mean(word, _keywords())
    return hint if hint.startswith("did") else "write its keyword, such as `PatientID`, or `(0010,0020)`"


@frozen(eq=False)
class AttributeList(Kind[tuple[int, ...]]):
    """Attributes, each once, for one of the lists of a policy. `use` is the name of the list."""

    use: str
    _attribute: Attribute = Attribute()

    @property
    def label(self) -> str:
        return f"a list, each {self._attribute.label}"

    def read(self, node: Node, reading: Reading) -> tuple[int, ...]:
        if not node.is_list:
            hint = f": write [{node.text}]" if node.is_scalar and node.text else ""
            reading.refuse(node, f"is {node.name}, but must be a list{hint}")
        tags: list[int] = []
        for item in node.items():
            try:
                tag = self._attribute.tag(item, reading)
            except Refused:
                continue
            fault = _misuse(self.use, tag)
            if fault is None and tag in tags:
                fault = "is in the list already: once is enough"
            if fault is not None:
                reading.note(item, f"`{name_of(tag)}` {fault}")
            tags.append(tag)
        return tuple(tags)

    def write(self, value: tuple[int, ...]) -> object:
        return [name_of(tag) for tag in value]


def _misuse(use: str, tag: int) -> str | None:
    vr = vr_of(tag)
    if use == "remove" and tag in STRUCTURE:
        return "is needed to read an object or to tell it from others: it cannot be removed"
    if use != "pseudonymise":
        return None
    if tag in NEVER_MAPPED:
        return "identifies nobody: it cannot be pseudonymised"
    if tag in STRUCTURE and vr != "UI":
        return "is needed to read an object: it cannot be pseudonymised"
    if vr is None:
        return "is not in the dictionary, so no pseudonym can be fitted to it: name it under `remove`"
    if vr not in PSEUDONYM_VRS:
        return f"is of VR {vr}, which can hold no pseudonym: name it under `remove`, or give it a text under `replace`"
    return None


@frozen(eq=False)
class Replacements(Kind[Mapping[int, str]]):
    """A mapping from attributes to the texts that take the place of their values."""

    label: str = "a mapping from attributes to texts"
    _attribute: Attribute = Attribute()

    def read(self, node: Node, reading: Reading) -> Mapping[int, str]:
        texts: dict[int, str] = {}
        for name, value in entries(node, reading, self.label):
            try:
                tag = self._attribute.tag(name, reading)
                text = Text("a text").read(value, reading)
            except Refused:
                continue
            fault = _misfit(tag, text)
            if fault is None and tag in texts:
                fault = "is replaced above already: keep one of the two"
            if fault is not None:
                reading.note(value, f"`{name_of(tag)}` {fault}")
            texts[tag] = text
        return FrozenMapping(texts)

    def write(self, value: Mapping[int, str]) -> object:
        return {name_of(tag): text for tag, text in value.items()}


def _misfit(tag: int, text: str) -> str | None:
    """Why a text cannot be the value of an attribute, or None."""
    vr = vr_of(tag)
    if tag in STRUCTURE:
        return "is needed to read an object or to tell it from others: it cannot be replaced"
    if vr is None:
        return "is not in the dictionary, so no text can be fitted to it: name it under `remove`"
    if vr not in TEXT_LENGTHS:
        return f"is of VR {vr}, which no text can be written into: name it under `remove`"
    if not text.isascii():
        return "gets a text that is not ASCII, which not every character set can hold: write it in ASCII"
    if vr not in _ONE_VALUE and "\\" in text:
        return "gets a text with a backslash, which would make two values of it: write another"
    if len(text) > TEXT_LENGTHS[vr]:
        return f"gets {len(text)} characters, but VR {vr} has {TEXT_LENGTHS[vr]} at most (PS3.5 6.2)"
    form = _FORMS.get(vr)
    if form is not None and not form[0].match(text):
        return f"gets a text that is no value of VR {vr}: write {form[1]} (PS3.5 6.2)"
    return None
