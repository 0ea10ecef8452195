"""Value representations: the headers they have, what they are padded with, and which a tag has (PS3.5 6.2, PS3.6)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import private_dictionary_VR

SPECIFIC_CHARACTER_SET: Final = 0x00080005
PIXEL_DATA: Final = 0x7FE00010
#: The values that make an object big, with (7FE0,0008) and (7FE0,0009) for floating point pixels.
PIXELS: Final = frozenset((0x7FE00008, 0x7FE00009, PIXEL_DATA))

#: VRs whose header in explicit VR has two reserved bytes and a length of 32 bits (PS3.5 7.1.2).
_LONG: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
_SHORT: Final = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
    *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
)
#: VRs whose value may be a series of fragments in place of one of defined length (PS3.5 A.4).
FRAGMENTED: Final = frozenset(("OB", "OW"))

#: Bytes of the header in explicit VR, by the VR on the wire.
HEADER_LENGTHS: Final = {vr.encode(): 12 for vr in _LONG} | {vr.encode(): 8 for vr in _SHORT}
#: The same, of those whose value is no data set in any case.
PLAIN_HEADER_LENGTHS: Final = {vr: length for vr, length in HEADER_LENGTHS.items() if vr not in (b"SQ", b"UN")}
NAMES: Final = {vr: vr.decode() for vr in HEADER_LENGTHS}

_PADDED_WITH_SPACE: Final = frozenset(
    (*("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM"), "UC", "UR", "UT")
)
#: Where the dictionary leaves a choice: what implicit VR means without looking at other elements (PS3.5 A.1).
_CHOICES: Final = {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}


#: How a VR is written: its code, the bytes of its header, what makes a value of odd length even (PS3.5 6.2).
FORMS: Final = {
    NAMES[code]: (code, length, b" " if NAMES[code] in _PADDED_WITH_SPACE else b"\0")
    for code, length in HEADER_LENGTHS.items()
}


def is_vr(code: bytes) -> bool:
    """Whether this may be the VR of an element, known or not."""
    return len(code) == 2 and code.isalpha() and code.isupper()


def dictionary_vr(tag: int) -> str | None:
    """The VR of a tag of the standard; None where it knows none."""
    return _KNOWN.get(tag) or _repeater_vr(tag)


@lru_cache(maxsize=4096)
def private_vr(tag: int, creator: str) -> str | None:
    """The VR of an element of a private creator that is commonly known; None for any other."""
    try:
        return _decided(private_dictionary_VR(tag, creator))
    except KeyError:
        return None


@lru_cache(maxsize=4096)
def _repeater_vr(tag: int) -> str | None:
    digits = f"{tag:08x}"
    for mask, entry in RepeatersDictionary.items():
        if all(theirs in ("x", ours) for theirs, ours in zip(mask, digits, strict=True)):
            return _decided(entry[0])
    return None


def _decided(vr: str) -> str | None:
    vr = _CHOICES.get(vr, vr)
    return vr if vr.encode() in HEADER_LENGTHS else None


def _known() -> dict[int, str]:
    known = {tag: _decided(entry[0]) for tag, entry in DicomDictionary.items()}
    return {tag: vr for tag, vr in known.items() if vr is not None}


_KNOWN: Final = _known()
#: Curve Referenced Overlay Sequence (50xx,2600) is the only repeating one.
SEQUENCES: Final = frozenset(
    (
        *(tag for tag, vr in _KNOWN.items() if vr == "SQ"),
        *((0x5000 + repeat) << 16 | 0x2600 for repeat in range(0, 0x100, 2)),
    )
)
#: Tags that are more than a value to a scanner.
NOTABLE: Final = SEQUENCES | PIXELS | {SPECIFIC_CHARACTER_SET}
