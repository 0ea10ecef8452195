"""
Private attributes that are known to carry no identity: what the Retain Safe Private Option keeps (PS3.15 E.3.10).

A choice from PS3.15 Table E.3.10-1: measured values and flags.  Texts that a person may have typed are left out, and so
are UIDs, although the table has some.
"""

from __future__ import annotations

from typing import Final

#: Private creator, group, and the low bytes of the elements in its block.
_SAFE: Final = (
    ("ELSCINT1", 0x00E1, (0x21,)),
    ("ELSCINT1", 0x01E1, (0x26, 0x50)),
    ("ELSCINT1", 0x01F1, (0x01, 0x07, 0x26, 0x27)),
    ("GEIIS PACS", 0x0903, (0x10, 0x11, 0x12)),
    ("GEMS_ACQU_01", 0x0019, (0x23, 0x24, 0x27, 0x9E)),
    ("GEMS_HELIOS_01", 0x0045, (0x01, 0x02)),
    ("GEMS_PARM_01", 0x0043, (0x27, 0x39, 0x6F)),
    ("GEMS_SERS_01", 0x0025, (0x07,)),
    ("NQHeader", 0x0099, (0x04, 0x10, 0x20, 0x21)),
    ("NQLeft", 0x0199, tuple(range(0x01, 0x3B))),
    ("NQRight", 0x0299, tuple(range(0x01, 0x3B))),
    ("Philips Imaging DD 001", 0x2001, (0x03, 0x04)),
    ("Philips PET Private Group", 0x7053, (0x00, 0x09)),
    ("SIEMENS MR HEADER", 0x0019, (0x0C, 0x0D, 0x0E, 0x27)),
)
_ELEMENTS: Final = frozenset((creator, group, element) for creator, group, elements in _SAFE for element in elements)

#: The private creators that have a safe attribute.
SAFE_CREATORS: Final = tuple(sorted({creator for creator, _, _ in _SAFE}))


def is_safe(creator: str, tag: int) -> bool:
    """Whether a private attribute of a creator (without padding) is among the safe ones."""
    return (creator, tag >> 16, tag & 0xFF) in _ELEMENTS
