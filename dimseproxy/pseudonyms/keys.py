"""
The keys of pseudonyms: read from a file or the environment, and what is derived from each.

A key file has one key a line, the newest first, in hexadecimal or base64, 32 bytes or more; blank lines and lines that
begin with # are left out.  To rotate is to write a new key above the old one: new pseudonyms are made with the newest,
and the older ones are needed until everything that was made with them is encrypted anew.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
import secrets
import stat
import string
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import field, frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dimseproxy.pseudonyms.interfaces import SourceRefused

#: Bytes of a key at least: as many as come out of SHA-256.
LEAST_LENGTH: Final = 32

#: Different bytes that 32 random ones have at the very least: fewer are a placeholder that nobody replaced.
_LEAST_VARIETY: Final = 12

#: No key file is longer, in bytes.
_MOST_READ: Final = 64 * 1024

_SUBKEY_LENGTH: Final = 32
_NONCE_LENGTH: Final = 12
_WANTED: Final = "write one key a line, the newest first, each 32 random bytes or more in base64 or hexadecimal"


@frozen(eq=False)
class Key:
    """
    A key, by what is derived from it (HKDF, RFC 5869): what is done with one of these tells nothing of the others.

    @ivar key_id: tells which key something was made with, and nothing else of it; 8 bytes.
    @ivar date_shift: the key of the date shifts, should this be the first key of all.
    """

    material: bytes = field(repr=False)

    @functools.cached_property
    def key_id(self) -> bytes:
        return self._derived("key id")[:8]

    @functools.cached_property
    def date_shift(self) -> bytes:
        return self._derived("date shift")

    @functools.cached_property
    def _pseudonyms(self) -> hmac.HMAC:
        return hmac.new(self._derived("pseudonyms"), digestmod=hashlib.sha256)

    @functools.cached_property
    def _lookup(self) -> hmac.HMAC:
        return hmac.new(self._derived("lookup"), digestmod=hashlib.sha256)

    @functools.cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(self._derived("encryption"))

    def digest(self, message: bytes) -> bytes:
        """HMAC-SHA-256 under the subkey of pseudonyms."""
        # A copy spares to prepare the key again: a third of the time.
        mac = self._pseudonyms.copy()
        mac.update(message)
        return mac.digest()

    def lookup(self, message: bytes) -> bytes:
        """What a row is found by: the first half of HMAC-SHA-256 under the subkey of lookups, 16 bytes."""
        mac = self._lookup.copy()
        mac.update(message)
        return mac.digest()[:16]

    def encrypt(self, clear: bytes, place: bytes) -> bytes:
        """
        Encrypt (AES-256-GCM, NIST SP 800-38D) under a random nonce, which comes first in the result.

        @param place: where it belongs: at another place it cannot be decrypted.
        """
        nonce = os.urandom(_NONCE_LENGTH)
        return nonce + self._cipher.encrypt(nonce, clear, place)

    def decrypt(self, encrypted: bytes, place: bytes) -> bytes:
        """
        The reverse of `encrypt`.

        @raise SourceRefused: it was encrypted with another key or for another place, or was changed since.
        """
        try:
            return self._cipher.decrypt(encrypted[:_NONCE_LENGTH], encrypted[_NONCE_LENGTH:], place)
        except (InvalidTag, ValueError):
            raise SourceRefused("an entry of the vault was changed by something else than the proxy") from None

    def _derived(self, purpose: str) -> bytes:
        return HKDF(SHA256(), _SUBKEY_LENGTH, None, f"dimseproxy {purpose}".encode()).derive(self.material)


@frozen(eq=False)
class Keys:
    """
    What a key file holds.

    @ivar all: the newest first; one at least.
    """

    all: tuple[Key, ...]

    @property
    def newest(self) -> Key:
        """What new pseudonyms are made with."""
        return self.all[0]

    @property
    def oldest(self) -> Key:
        """What the date shifts of a new vault are made with: they must not change with the newest key."""
        return self.all[-1]

    @property
    def materials(self) -> tuple[bytes, ...]:
        """What they are made of, the newest first, for those who derive something else of them."""
        return tuple(key.material for key in self.all)

    def get(self, key_id: bytes) -> Key | None:
        """The key of an id, if it is one of these."""
        for key in self.all:
            if key.key_id == key_id:
                return key
        return None


def keys_from_text(text: str, place: str) -> Keys:
    """
    The keys of a text.

    @param place: where it is from, for the message.
    @raise SourceRefused: there is none, or one is not usable.
    """
    lines = [line.strip() for line in text.splitlines()]
    wanted = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not wanted:
        raise SourceRefused(f"{place} holds no key: {_WANTED}")
    materials = [_material(line, f"{place}, line {number}") for number, line in wanted]
    if len(set(materials)) < len(materials):
        raise SourceRefused(f"{place} holds the same key twice")
    return Keys(tuple(map(Key, materials)))


def keys_from_environment(name: str, environment: Mapping[str, str]) -> Keys:
    """
    The keys in a variable of the environment, which is written as a key file is.

    @raise SourceRefused: it is not set, or its keys are not usable.
    """
    text = environment.get(name)
    if text is None:
        raise SourceRefused(f"the environment variable {name} is not set: {_WANTED}")
    return keys_from_text(text, f"the environment variable {name}")


def keys_from_file(path: Path) -> Keys:
    """
    The keys in a file.

    @raise SourceRefused: it cannot be read, others than its owner may, or its keys are not usable.
    """
    place = f"the key file {path}"
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SourceRefused(f"{place} is open to others than its owner: chmod 600 it")
            content = file.read(_MOST_READ + 1)
    except OSError as error:
        raise SourceRefused(f"{place} cannot be read: {error.strerror}") from None
    if len(content) > _MOST_READ:
        raise SourceRefused(f"{place} is too long: {_WANTED}")
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise SourceRefused(f"{place} is not text: {_WANTED}") from None
    return keys_from_text(text, place)


def keys_from_own_file(path: Path) -> Keys:
    """
    The keys in the file that is the proxy's own, which is made with a random one where it is not there.

    Processes that start at the same time end up with the same key.

    @raise SourceRefused: it can be neither read nor made.
    """
    if not path.exists():
        try:
            _make(path)
        except OSError as error:
            raise SourceRefused(f"the key file {path} cannot be made: {error.strerror}") from None
    return keys_from_file(path)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Complete and on the disk before it has its name: no pseudonym may outlive the key that made it. mkstemp: 0600.
    descriptor, draft = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(LEAST_LENGTH)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        os.unlink(draft)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _material(line: str, place: str) -> bytes:
    """The bytes of a key.  What is all hexadecimal digits is not read as base64, though it could be."""
    try:
        if len(line) % 2 == 0 and all(character in string.hexdigits for character in line):
            material = bytes.fromhex(line)
        else:
            material = base64.b64decode(
                line.replace("-", "+").replace("_", "/") + "=" * (-len(line) % 4), validate=True
            )
    except (binascii.Error, ValueError):
        raise SourceRefused(f"{place} is neither base64 nor hexadecimal: {_WANTED}") from None
    if len(material) < LEAST_LENGTH:
        raise SourceRefused(f"{place} is too short, {len(material)} bytes: {_WANTED}")
    if len(set(material)) < _LEAST_VARIETY:
        raise SourceRefused(f"{place} is not random: {_WANTED}")
    return material
