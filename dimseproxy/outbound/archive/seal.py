"""
What keeps the index from being read without its key: values are encrypted, and found by digests that nobody else can
make.

As with the files, the newest key writes, every key given reads, and what a value is found by comes from the oldest, so
that it stays what it is when a newer key comes.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dimseproxy.storage.errors import DatabaseRefused

_KEY_ID: Final = 8
_NONCE: Final = 12


class Seal:
    """
    @param materials: the keys, the newest first.
    """

    def __init__(self, materials: Sequence[bytes]) -> None:
        self._ciphers = {
            _derived(material, "index key id", _KEY_ID): AESGCM(_derived(material, "index content", 32))
            for material in materials
        }
        self._newest = next(iter(self._ciphers))
        self._digest_key = _derived(materials[-1], "index lookup", 32)

    def exact(self, kind: str, text: str) -> str:
        """
        What a text is found by.

        @param kind: what it is of: the same text of another kind is found by something else.
        """
        message = f"{kind}:{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._digest_key, message, "sha256")[:20].hex()

    def seal(self, clear: bytes, place: str) -> bytes:
        """
        Encrypt (AES-256-GCM, NIST SP 800-38D), under a random nonce.

        @param place: where it belongs: at another place it cannot be opened.
        """
        nonce = os.urandom(_NONCE)
        return self._newest + nonce + self._ciphers[self._newest].encrypt(nonce, clear, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """
        The reverse of `seal`.

        @raise DatabaseRefused: the key is not there, or something else than the proxy changed it.
        """
        cipher = self._ciphers.get(sealed[:_KEY_ID])
        if cipher is None:
            raise DatabaseRefused("the index of the archive is under a key that is not among those given")
        try:
            return cipher.decrypt(sealed[_KEY_ID : _KEY_ID + _NONCE], sealed[_KEY_ID + _NONCE :], place.encode())
        except (InvalidTag, ValueError):
            raise DatabaseRefused("the index of the archive was changed by something else than the proxy") from None


def _derived(material: bytes, purpose: str, length: int) -> bytes:
    return HKDF(SHA256(), length, None, f"dimseproxy {purpose}".encode()).derive(material)
