"""
The pseudonyms that a vault gives to UIDs: one row of its table stands for all instances of a series.

Whoever makes UIDs counts: those of the instances of a series, and often of much more, differ in their last digits only.
So a UID is taken as a stem and a tail of digits, and only the stem has a row, with an identifier of 80 bits as its
pseudonym.  The pseudonym of the UID is `2.25.` and a number of 128 bits (PS3.5 B.2): identifier and tail, encrypted as
one block of AES.  Nobody without the key can tell which of them are of one stem, or make one up; two UIDs never share
one, unless their stems do.

The key is that of the vault for its whole life, as the key of the date shifts is: another key file does not change it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

#: Bytes of the identifier of a stem.
STEM_LENGTH: Final = 10
#: Digits of a tail at most.
TAIL_DIGITS: Final = 12

_BLOCK_LENGTH: Final = 16
_PSEUDONYM: Final = re.compile(r"2\.25\.(0|[1-9][0-9]{0,38})", re.ASCII)


class SplitUid(NamedTuple):
    """
    @ivar stem: all before the tail; of a pseudonym, the identifier of the stem in hexadecimal.
    @ivar tail: the last digits, no more than `TAIL_DIGITS` and perhaps none; None where there cannot be an original.
    """

    stem: str
    tail: str | None

    def __repr__(self) -> str:
        return "SplitUid()"


def split(uid: str) -> SplitUid:
    """The stem and the tail of an original, which may be any text."""
    stem = uid.rstrip("0123456789")
    if len(uid) - len(stem) > TAIL_DIGITS:
        stem = uid[:-TAIL_DIGITS]
    return SplitUid(stem, uid[len(stem) :])


class UidCipher:
    """
    @param secret: the key of the date shifts of the vault, of which another is derived.
    """

    def __init__(self, secret: bytes) -> None:
        key = HKDFExpand(SHA256(), 32, b"dimseproxy uids").derive(secret)
        # One block each: what comes before it does not matter in this mode.
        cipher = Cipher(AES256(key), ECB())
        self._encrypt = cipher.encryptor().update
        self._decrypt = cipher.decryptor().update

    def pseudonym(self, stem: str, tail: str) -> str:
        """
        The pseudonym of a UID.

        @param stem: the identifier of its stem, `STEM_LENGTH` bytes in hexadecimal.
        """
        # The one in front keeps zeros.
        number = int(f"1{tail}").to_bytes(_BLOCK_LENGTH - STEM_LENGTH, "big")
        return f"2.25.{int.from_bytes(self._encrypt(bytes.fromhex(stem) + number), 'big')}"

    def split(self, pseudonym: str) -> SplitUid:
        """
        What `pseudonym` was made of.

        Any text at all has a stem, so that looking for it takes as long.
        """
        found = _PSEUDONYM.fullmatch(pseudonym)
        value = int(found[1]) if found else 0
        if not found or value >> 8 * _BLOCK_LENGTH:
            return SplitUid(pseudonym, None)
        block = self._decrypt(value.to_bytes(_BLOCK_LENGTH, "big"))
        digits = str(int.from_bytes(block[STEM_LENGTH:], "big"))
        is_tail = digits[0] == "1" and len(digits) <= TAIL_DIGITS + 1
        return SplitUid(block[:STEM_LENGTH].hex(), digits[1:] if is_tail else None)
