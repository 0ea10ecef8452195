"""What an object says of its de-identification (PS3.15 E.1.1, PS3.3 C.7.1.1 and C.12.1)."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Final

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.privacy.policy import Policy

PATIENT_IDENTITY_REMOVED: Final = 0x00120062
DEIDENTIFICATION_METHOD: Final = 0x00120063
DEIDENTIFICATION_METHOD_CODE_SEQUENCE: Final = 0x00120064
LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: Final = 0x00280303
#: All that `method_attributes` writes, and that is true no more of an object whose originals were restored.
METHOD: Final = (
    PATIENT_IDENTITY_REMOVED,
    DEIDENTIFICATION_METHOD,
    DEIDENTIFICATION_METHOD_CODE_SEQUENCE,
    LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED,
)

_ITEM: Final = 0xFFFEE000


@lru_cache(maxsize=64)
def method_attributes(policy: Policy, encoding: Encoding) -> tuple[tuple[int, bytes], ...]:
    """
    The attributes that say which profile and options an object was de-identified by.

    @return: tag and encoded element, in ascending order; nothing where the policy follows no profile.
    """
    if not policy.writes_method:
        return ()
    items = b"".join(
        _element(
            encoding,
            _ITEM,
            "",
            _element(encoding, 0x00080100, "SH", code.value.encode("ascii"))
            + _element(encoding, 0x00080102, "SH", b"DCM")
            + _element(encoding, 0x00080104, "LO", code.meaning.encode("ascii")),
        )
        for code in policy.method_codes
    )
    written = {
        PATIENT_IDENTITY_REMOVED: ("CS", policy.identity_removed.encode("ascii")),
        DEIDENTIFICATION_METHOD: ("LO", policy.method_text.encode("ascii")),
        LONGITUDINAL_TEMPORAL_INFORMATION_MODIFIED: ("CS", policy.longitudinal.encode("ascii")),
    }
    if items:
        written[DEIDENTIFICATION_METHOD_CODE_SEQUENCE] = ("SQ", items)
    return tuple((tag, _element(encoding, tag, *written[tag])) for tag in sorted(written))


def _element(encoding: Encoding, tag: int, vr: str, value: bytes) -> bytes:
    """An element, or an item where it has no VR; text is padded."""
    order = "<" if encoding.is_little_endian else ">"
    value += b" " * (len(value) % 2)
    start = Struct(order + "HH").pack(tag >> 16, tag & 0xFFFF)
    if encoding.is_implicit or not vr:
        return start + Struct(order + "I").pack(len(value)) + value
    if vr == "SQ":
        return start + b"SQ\0\0" + Struct(order + "I").pack(len(value)) + value
    return start + vr.encode("ascii") + Struct(order + "H").pack(len(value)) + value
