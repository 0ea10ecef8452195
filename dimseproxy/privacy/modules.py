"""
What the modules of PS3.3 want of an object, where a rule that does not know of them would leave an invalid one.

PS3.15 E.1.1 asks that what leaves is still a valid instance of its SOP class.
"""

from __future__ import annotations

from typing import Final

#: Type 2 and 2C of the Patient, General Study, General Series and General Equipment modules (PS3.3 C.7.1.1, C.7.2.1,
#: C.7.3.1, C.7.5.1), which every composite object has: they may be empty, and may not be missing.
TYPE_2: Final = frozenset(
    (
        0x00080020,  # Study Date
        0x00080030,  # Study Time
        0x00080050,  # Accession Number
        0x00080070,  # Manufacturer
        0x00080090,  # Referring Physician's Name
        0x00100010,  # Patient's Name
        0x00100020,  # Patient ID
        0x00100030,  # Patient's Birth Date
        0x00100040,  # Patient's Sex
        0x00102292,  # Patient Breed Description
        0x00102293,  # Patient Breed Code Sequence
        0x00102294,  # Breed Registration Sequence
        0x00102297,  # Responsible Person
        0x00102299,  # Responsible Organization
        0x00185100,  # Patient Position
        0x00200010,  # Study ID
        0x00200011,  # Series Number
        0x00200060,  # Laterality
    )
)

#: Presentation Creation Date and Time: of type 1 in every presentation state (PS3.3 C.11.10), where Table E.1-1 has X.
TYPE_1: Final = frozenset((0x00700082, 0x00700083))

#: Referenced Study Sequence, X/Z of Table E.1-1. In an object itself it is of type 3 (PS3.3 C.7.2.1), and then has an
#: item; it is of type 2 in items, such as those of Referenced Request Sequence, and in answers of a worklist.
TYPE_3_AT_TOP: Final = frozenset((0x00081110,))


def described_by(tag: int) -> int | None:
    """
    The curve or overlay data whose repeating group an attribute is of: without them the others describe nothing, and
    those of type 1 would be there without them (PS3.3 C.9.2).

    @return: None for an attribute of another group, and for such data themselves.
    """
    if tag >> 24 not in (0x50, 0x60) or tag & 0xFFFF == 0x3000:
        return None
    return tag & 0xFFFF0000 | 0x3000
