"""
Values that say nothing, and with which a data set is still a valid one (PS3.15 E.1.1, D).

A dummy is valid for its VR, has as many values as its attribute must have at least, and is one of the values that
PS3.3 enumerates where it does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydicom._dicom_dict import DicomDictionary

from dimseproxy.privacy.values import ANONYMIZED, EXTENDED, TEXT

#: By VR; a sequence without items.
BY_VR: Final = {
    "AE": b"ANONYMIZED",
    "AS": b"000D",
    "CS": b"ANONYMIZED",
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "IS": b"0",
    "TM": b"000000",
    "SQ": b"",
    "UR": b"about:blank",
    **dict.fromkeys(EXTENDED, ANONYMIZED.encode("ascii")),
    **dict.fromkeys(("OB", "OW", "SS", "UN", "US"), bytes(2)),
    **dict.fromkeys(("AT", "FL", "OF", "OL", "SL", "UL"), bytes(4)),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), bytes(8)),
}

#: Of a drawing: enough for every type of graphic, and a whole number of points in the plane (six) and in space (four).
_COORDINATES: Final = 12
#: Where a dummy of the VR would be none of the values that PS3.3 allows.
_BY_TAG: Final = {
    0x00081160: b"1",  # Referenced Frame Number: counted from 1
    0x0040A130: b"POINT",  # Temporal Range Type
    0x00480301: b"FRAME",  # Pixel Origin Interpretation
    # PS3.3 C.10.5, Graphic Annotation
    0x00700012: b"LEFT",  # Bounding Box Text Horizontal Justification
    0x00700015: b"N",  # Anchor Point Visibility
    0x00700021: b"\x06\0",  # Number of Graphic Points
    0x00700022: bytes(4 * _COORDINATES),  # Graphic Data
    0x00700023: b"POLYLINE",  # Graphic Type
    0x00700228: b"ISO_32000",  # Font Name Type
    0x00700242: b"LEFT",  # Horizontal Alignment
    0x00700243: b"TOP",  # Vertical Alignment
    0x00700244: b"NORMAL",  # Shadow Style
    0x00700248: b"N",  # Underlined
    0x00700249: b"N",  # Bold
    0x00700250: b"N",  # Italic
    0x00700254: b"SOLID",  # Line Dashing Style
    0x00700257: b"SOLID",  # Fill Mode
    0x00700274: b"CENTER",  # Tick Alignment
    0x00700278: b"N",  # Show Tick Label
    0x00700279: b"TOP",  # Tick Label Alignment
    0x00700282: b"PIXEL",  # Compound Graphic Units
    0x00700294: b"MULTILINE",  # Compound Graphic Type
}
_LEAST: Final = re.compile(r"\d+")


@lru_cache(maxsize=8192)
def dummy(tag: int, vr: str, is_little_endian: bool = True) -> bytes:
    """
    A value that says nothing, unpadded; for an unknown VR two zero bytes, as for UN, and for a sequence no items.

    @param tag: group << 16 | element.
    @param vr: that of the element, which is not always that of the dictionary.
    """
    stated, least = _known(tag)
    value = BY_VR.get(vr, bytes(2))
    if vr != stated:
        return value
    if tag in _BY_TAG:
        value = _BY_TAG[tag]
        # Among those that are not text, all but one are zeros.
        return value if is_little_endian or vr in TEXT else value[::-1]
    return (b"\\" if vr in TEXT else b"").join([value] * least)


def _known(tag: int) -> tuple[str, int]:
    """The VR of an attribute, and how many values it must have at least."""
    entry = DicomDictionary.get(tag)
    if entry is None:
        return "", 1
    least = _LEAST.match(entry[1])
    return entry[0], int(least[0]) if least is not None else 1
