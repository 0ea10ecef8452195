"""
Files encrypted in chunks, so that one of any size is read and written in constant memory.

Each file has a key of its own, derived from the newest of the configured keys and a random salt in its header.  Its
chunks are AES-256-GCM (NIST SP 800-38D) under that key; the nonce counts them and marks the last, so that none can be
left out, moved, or cut off unnoticed.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dimseproxy.errors import DimseProxyError

#: Bytes in the clear of each chunk but the last.
CHUNK: Final = 64 * 1024
_TAG: Final = 16
_MAGIC: Final = b"dimseprx"
#: Magic, id of the key, salt.
_HEADER: Final = Struct("8s8s16s")
_NONCE: Final = Struct(">3xQ?")


class Damaged(DimseProxyError):
    """A file is not what was written."""


class KeyMissing(DimseProxyError):
    """A file is encrypted, and its key is not among those given."""


class FileKeys:
    """
    @param materials: the keys, the newest first: new files are written with it, old ones read with theirs.
    """

    def __init__(self, materials: Sequence[bytes]) -> None:
        self._materials = {_derived(material, b"file key id", 8): material for material in materials}
        self._newest = next(iter(self._materials))
        # Of the oldest: a file keeps its name when a newer key comes.
        self._name_key = _derived(materials[-1], b"file name", 32)

    def name(self, digest: bytes) -> str:
        """What a file of this content is called: nobody without the key can tell what it is."""
        return hmac.digest(self._name_key, digest, "sha256").hex()

    @property
    def newest(self) -> bytes:
        """The id of the key of new files."""
        return self._newest

    def cipher(self, key_id: bytes, salt: bytes) -> AESGCM:
        """
        What a file's chunks are under.

        @raise KeyMissing: the key is none of these.
        """
        material = self._materials.get(key_id)
        if material is None:
            raise KeyMissing("a file is under a key that is not among those given: put it back, below the newest one")
        return AESGCM(_derived(material, b"file content" + salt, 32))


class EncryptedWriter:
    """Writes one file."""

    def __init__(self, out: BinaryIO, keys: FileKeys) -> None:
        salt = os.urandom(16)
        self._out = out
        self._cipher = keys.cipher(keys.newest, salt)
        self._held = bytearray()
        self._chunks = 0
        write_all(out, _HEADER.pack(_MAGIC, keys.newest, salt))

    def write(self, data: bytes | memoryview) -> None:
        """More of the content."""
        self._held += data
        offset = 0
        # The last chunk is marked, so a full one waits until it is known not to be the last.
        while len(self._held) - offset > CHUNK:
            self._write_chunk(memoryview(self._held)[offset : offset + CHUNK].tobytes(), False)
            offset += CHUNK
        if offset:
            del self._held[:offset]

    def finish(self) -> None:
        """That was all."""
        self._write_chunk(bytes(self._held), True)
        self._held.clear()

    def _write_chunk(self, clear: bytes, is_last: bool) -> None:
        write_all(self._out, self._cipher.encrypt(_NONCE.pack(self._chunks, is_last), clear, None))
        self._chunks += 1


def write_all(file: BinaryIO, data: bytes | memoryview) -> None:
    """
    Write to a file without a buffer.

    @raise OSError: the disk does not take it; of a full one the first call takes a part, and only the next one fails.
    """
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def is_encrypted(head: bytes) -> bool:
    """Whether a file that begins like this is encrypted; a DICOM file begins with 128 bytes that say nothing."""
    return head.startswith(_MAGIC)


def decrypted(file: BinaryIO, keys: FileKeys | None) -> Iterator[bytes]:
    """
    The content of an encrypted file, chunk by chunk.

    @param file: at its beginning.
    @raise Damaged: something was changed, or the end is missing; what came before is as it was written.
    @raise KeyMissing: the key is not there.
    """
    header = file.read(_HEADER.size)
    if len(header) != _HEADER.size or not is_encrypted(header):
        raise Damaged("a file is cut off")
    if keys is None:
        raise KeyMissing("a file is encrypted, and no key is given")
    _, key_id, salt = _HEADER.unpack(header)
    cipher = keys.cipher(key_id, salt)
    number = 0
    chunk = file.read(CHUNK + _TAG)
    while True:
        following = file.read(CHUNK + _TAG)
        try:
            yield cipher.decrypt(_NONCE.pack(number, not following), chunk, None)
        except (InvalidTag, ValueError):
            raise Damaged("a file was changed since it was written") from None
        if not following:
            return
        chunk = following
        number += 1


def clear_length(length: int) -> int:
    """How long the content of an encrypted file of this length is."""
    body = length - _HEADER.size
    chunks = -(-body // (CHUNK + _TAG))
    return body - chunks * _TAG


def _derived(material: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, None, b"dimseproxy " + purpose).derive(material)
