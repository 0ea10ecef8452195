"""
UIDs that a caller on the side of the pseudonyms made up, as the side of the originals gets them.

Such a UID may be anything, also a real one that somebody guessed.  It never crosses as it is: an object would take the
place of the original that has it, or the answer would tell that there is one.  What crosses is a UID of our own, which
nobody can work out without the key, and which is the same for the same UID again, so that references among new objects
hold.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest
from typing import Final

#: 128 bits, as a UUID has (PS3.5 B.2).
_OCTETS: Final = 16


def new_uid(key: bytes, uid: str) -> str:
    """
    What stands for a UID that is nobody's pseudonym, whatever it identifies.

    @param key: the secret key of what is derived from originals.
    @param uid: as the caller wrote it, without padding.
    @return: `2.25.` and a number, of 44 characters at most.
    """
    number = digest(key, b"new\0" + uid.encode("utf-8"), sha256)[:_OCTETS]
    return f"2.25.{int.from_bytes(number, 'big')}"
