"""
Values of elements as text, and text as values of elements (PS3.5 6.1, 6.2).

Bytes are decoded before they are split into values: in GBK, GB18030 and Shift-JIS the second byte of a character may be
the code of a backslash.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Final

from pydicom.charset import decode_bytes, encode_string, python_encoding
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

#: The VRs whose repertoire (0008,0005) extends; all others are of the default repertoire (PS3.5 6.1.2.2).
EXTENDED: Final = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
#: Text of one value, in which a backslash is a backslash and leading spaces count.
SINGLE_TEXT: Final = frozenset(("LT", "ST", "UR", "UT"))
#: The VRs whose values are text at all.
TEXT: Final = EXTENDED | frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"))
#: What stands where a value is wanted and none may be told.
ANONYMIZED: Final = "ANONYMIZED"

#: Bytes of text beyond ASCII that are decoded, and of text whose words are looked at: 64 KiB take some 20 ms, in which
#: nobody else is served, and no text that people read is as long.
MAX_TEXT: Final = 64 * 1024
#: Bytes of (0008,0005): some dozen character sets, where the standard has thirty. What was read is remembered.
MAX_CHARACTER_SETS: Final = 1024

_ESCAPE: Final = 0x1B
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
#: Most characters of a value (PS3.5 Table 6.2-1); of a component group for PN.
LENGTHS: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "UI": 64, "ST": 1024, "LT": 10240}
_UNLIMITED: Final = frozenset(("UC", "UR", "UT"))
_UID: Final = r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+"
_CODE: Final = r"[A-Z0-9_](?:[A-Z0-9_ ]*[A-Z0-9_])?"
#: Printable ASCII without a space at either end, and without what delimits values or matches any (PS3.4 C.2.2.2.4).
_PLAIN: Final = r"(?! )[ -)+->@-\[\]-~]+(?<! )"
#: What a pseudonym must be like, by VR.
_PSEUDONYMS: Final = {
    vr: re.compile(rf"(?=.{{1,{LENGTHS.get(vr, '')}}}\Z)(?:{shape})", re.ASCII)
    for vr in (*LENGTHS, *_UNLIMITED)
    for shape in [{"UI": _UID, "CS": _CODE}.get(vr, _PLAIN)]
}
#: What brings back the first character set within a value field (PS3.5 6.1.2.5.3).
_RESETS: Final = {*TEXT_VR_DELIMS, ord("\\")}
_PN_RESETS: Final = {*PN_DELIMS, *b"\\="}
_PN_PARTS: Final = re.compile(r"([=^])")


class Unreadable(Exception):
    """Bytes are no text of their character set.  Carries neither."""


def is_words(vr: str) -> bool:
    """Whether values of a VR may be words that say something: text, but no names, dates or numbers."""
    return vr == "CS" or (vr in EXTENDED and vr != "PN")


def texts_of(raw: bytes, vr: str, character_sets: bytes) -> list[str]:
    """
    The values of an element, without padding; empty ones stay in their place.

    @param raw: the value as it was on the wire.
    @param character_sets: the value of (0008,0005) in effect, as it was on the wire.
    @raise Unreadable: the bytes are not of these character sets, or too many, or the character sets are unknown.
    """
    text = decode(raw, vr, character_sets)
    if vr in SINGLE_TEXT:
        return [text.rstrip(" \0")]
    if "\\" not in text:
        return [text.strip(" \0")]
    return [value.strip(" \0") for value in text.split("\\")]


def decode(raw: bytes, vr: str, character_sets: bytes) -> str:
    """The text of a whole value field, padding and backslashes in it; raises as `texts_of`."""
    if raw.isascii() and _ESCAPE not in raw:
        # All character sets of the standard have ASCII, or JIS X 0201's version of it, in their lower half.
        return raw.decode("ascii")
    if vr not in EXTENDED or len(raw) > MAX_TEXT:
        raise Unreadable
    encodings = _encodings_of(character_sets)
    try:
        if _ESCAPE not in raw:
            return raw.decode(encodings[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = decode_bytes(raw, list(encodings), _PN_RESETS if vr == "PN" else _RESETS)
    except (UnicodeError, LookupError):
        raise Unreadable from None
    if _REPLACEMENT in text or "\x1b" in text:
        raise Unreadable
    return text


def encode(text: str, vr: str, character_sets: bytes) -> bytes:
    """
    The bytes of a value, without padding.

    @raise Unreadable: the character sets cannot say it.
    """
    if text.isascii():
        return text.encode("ascii")
    if vr not in EXTENDED:
        raise Unreadable
    encodings = _encodings_of(character_sets)
    # Each component of a name begins in the first character set (PS3.5 6.1.2.5.3).
    pieces = _PN_PARTS.split(text) if vr == "PN" else [text]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoded = b"".join(
                piece.encode("ascii") if piece.isascii() else _encode(piece, encodings) for piece in pieces
            )
    except (UnicodeError, LookupError):
        raise Unreadable from None
    # The default repertoire has no more than ASCII, whatever readers make of other bytes.
    if not character_sets.strip(b" \0") or decode(encoded, vr, character_sets) != text:
        raise Unreadable
    return encoded


def is_pseudonym(vr: str, text: str) -> bool:
    """See `check_pseudonym`."""
    valid = _PSEUDONYMS.get(vr)
    return valid is not None and valid.fullmatch(text) is not None


def check_pseudonym(vr: str, text: str) -> None:
    """
    Whether a pseudonym may stand as a value of a VR.

    It is of the default repertoire, so that every data set can say it, and holds nothing that a query would take
    for a wildcard or for several values.

    @raise OperationRefused: it may not.
    """
    if not is_pseudonym(vr, text):
        raise OperationRefused(Status.PROCESSING_FAILURE, f"a pseudonym is no valid value of VR {vr[:2]}")


def _encode(text: str, encodings: tuple[str, ...]) -> bytes:
    return text.encode(encodings[0]) if len(encodings) == 1 else encode_string(text, list(encodings))


def _encodings_of(character_sets: bytes) -> tuple[str, ...]:
    """The Python encodings of (0008,0005); the default repertoire is read as Latin-1, as its writers mean it."""
    if len(character_sets) > MAX_CHARACTER_SETS:
        raise Unreadable
    return _remembered_encodings_of(character_sets)


@lru_cache(maxsize=256)
def _remembered_encodings_of(character_sets: bytes) -> tuple[str, ...]:
    try:
        names = [name.strip(" \0") for name in character_sets.decode("ascii").split("\\")]
        return tuple(python_encoding[name] for name in names)
    except (UnicodeError, KeyError):
        raise Unreadable from None
