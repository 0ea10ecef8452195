"""How a data set is encoded, as its transfer syntax says (PS3.5 10 and Annex A)."""

from __future__ import annotations

from typing import Final

from attrs import frozen

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Deflated explicit VR little endian, and JPIP referenced deflate.
DEFLATED: Final = frozenset(("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))


@frozen
class Encoding:
    """The encoding of a data set.  Pixel data is encapsulated or not; that shows in the data set itself."""

    is_implicit: bool
    is_little_endian: bool = True
    is_deflated: bool = False


def encoding_of(transfer_syntax: str) -> Encoding | None:
    """
    The encoding of a transfer syntax of the standard; None for any other: its data sets cannot be read safely.
    """
    return _ENCODINGS.get(transfer_syntax)


def _encodings() -> dict[str, Encoding]:
    found = {
        IMPLICIT_VR_LITTLE_ENDIAN: Encoding(True),
        EXPLICIT_VR_LITTLE_ENDIAN: Encoding(False),
        EXPLICIT_VR_BIG_ENDIAN: Encoding(False, is_little_endian=False),
    }
    # All others of PS3.5 Annex A are explicit VR little endian with encapsulated or referenced pixel data.
    suffixes = (
        *(50, 51, *range(52, 67), 57, 70, 80, 81, 90, 91, 92, 93, 94, 100, "100.1", 101, "101.1", 102, "102.1"),
        *(103, "103.1", 104, "104.1", 105, "105.1", 106, "106.1", 107, 108, 110, 111, 112, 201, 202, 203, 204),
    )
    found.update({f"1.2.840.10008.1.2.4.{suffix}": Encoding(False) for suffix in suffixes})
    # Encapsulated uncompressed, and RLE.
    found.update({syntax: Encoding(False) for syntax in ("1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.5")})
    found.update({syntax: Encoding(False, is_deflated=True) for syntax in DEFLATED})
    # Deflated image frame compression deflates the frames, not the data set.
    found["1.2.840.10008.1.2.8.1"] = Encoding(False)
    return found


_ENCODINGS: Final = _encodings()
