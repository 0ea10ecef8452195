"""
Files by their content.

A file is written beside the others, made durable, and only then gets its name, which is a digest of its content: no
peer has a say in it, the same content is there once, and a file that has a name is whole.  A content may have a head,
such as who sent it and how; the digest is one of the head and of the digest of the body, so that whoever wants to know
whether two bodies are the same need not hash them once more.  Where the same content comes again, the new file takes
the place of the one that is there.  The name is durable after another wait for the disk, which its writer may spend on
something else.  All of this blocks, and belongs in a thread.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from attrs import frozen

from dimseproxy.storage.encryption import (
    CHUNK,
    Damaged,
    EncryptedWriter,
    FileKeys,
    clear_length,
    decrypted,
    is_encrypted,
    write_all,
)

_NAME_LENGTH: Final = 64
_NAME: Final = re.compile(f"[0-9a-f]{{{_NAME_LENGTH}}}")
#: How much is read at a time of a file in the clear.
_PIECE: Final = 4 * CHUNK
_HEAD: Final = 16


@frozen
class Blob:
    """
    A file that is there to stay.

    @ivar name: by which it is found again.
    @ivar digest: SHA-256 of the content behind its head.
    @ivar size: of the content, in bytes.
    """

    name: str
    digest: bytes
    size: int


class BlobWriter:
    """
    A file that is being written.  Made by `Blobs.create`; ends with `finish`, `place` or `discard`.

    @param folder: where it is until it is whole.
    @param head: the first of its content, which is not in its digest.
    @raise OSError: the disk does not take it.
    """

    def __init__(self, blobs: Blobs, folder: str, keys: FileKeys | None, head: bytes = b"") -> None:
        self._blobs = blobs
        self._path, self._file = _begun(folder)
        self._encrypted: EncryptedWriter | None = None
        self._digest = hashlib.sha256()
        self._head = head
        self._size = 0
        try:
            if keys is not None:
                self._encrypted = EncryptedWriter(self._file, keys)
            self._write(head)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes | memoryview) -> None:
        """
        More of the content.

        @raise OSError: the disk does not take it.
        """
        self._digest.update(data)
        self._write(data)

    def _write(self, data: bytes | memoryview) -> None:
        self._size += len(data)
        if self._encrypted is not None:
            self._encrypted.write(data)
        else:
            write_all(self._file, data)

    def finish(self) -> Blob:
        """
        Make it durable under its name.

        @raise OSError: the disk does not take it; there is nothing left of it, unless it was the name.
        """
        blob = self.place()
        self._blobs.keep_name(blob.name)
        return blob

    def place(self) -> Blob:
        """
        Make it durable, and give it its name, which is durable after `Blobs.keep_name`.

        @raise OSError: the disk does not take it; there is nothing left of it.
        """
        try:
            if self._encrypted is not None:
                self._encrypted.finish()
            os.fsync(self._file.fileno())
            digest = self._digest.digest()
            name = self._blobs.adopt(self._path, _digest_of(self._head, digest))
            blob = Blob(name, digest, self._size)
            self._file.close()
            return blob
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Nothing of it is wanted."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)


class Blobs:
    """
    @param root: the folder that they are in; made where it is not there.
    @param keys: with which they are encrypted; None: new ones are in the clear.
    @param head_length: how much of a content that begins like this is its head, in bytes.
    """

    def __init__(
        self, root: Path, keys: FileKeys | None = None, head_length: Callable[[bytes], int] = lambda content: 0
    ) -> None:
        # Texts: to put paths together takes longer than to open a file.
        self._objects = str(root / "objects")
        self._incoming = str(root / "incoming")
        self._keys = keys
        self._head_length = head_length

    def open(self) -> None:
        """Make ready: what was not finished when another process ended is gone."""
        for folder in (self._objects, self._incoming):
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in os.listdir(self._incoming):
            _unlink_unless_locked(f"{self._incoming}/{left}")
        # All of them now: each would cost the first file in it a wait for the disk.
        folders = {f"{number:02x}" for number in range(256)}
        missing = folders.difference(os.listdir(self._objects))
        for name in missing:
            self._make_folder(f"{self._objects}/{name}")
        if missing:
            _sync_folder(self._objects)

    def create(self, head: bytes = b"") -> BlobWriter:
        """
        Begin a file.

        @param head: what its content begins with; `head_length` finds its end again.
        @raise OSError: the disk does not take it.
        """
        return BlobWriter(self, self._incoming, self._keys, head)

    def adopt(self, path: str, digest: bytes) -> str:
        """
        Give a durable file its name, also where the same content has it: that may be damaged, and this is whole.

        @param digest: of its head and its body.
        @return: the name.
        """
        name = digest.hex() if self._keys is None else self._keys.name(digest)
        place = self._place(name)
        try:
            os.rename(path, place)
        except FileNotFoundError:
            self._make_folder(os.path.dirname(place))
            _sync_folder(self._objects)
            os.rename(path, place)
        return name

    def keep_name(self, name: str) -> None:
        """
        Wait until the name of a file is durable.

        @raise OSError: the disk does not take it.
        """
        _sync_folder(os.path.dirname(self._place(name)))

    def read(self, name: str) -> Iterator[bytes]:
        """
        The content, piece by piece.

        @raise FileNotFoundError: there is no such file.
        @raise Damaged: it is not what was written.
        @raise KeyMissing: its key is not there.
        """
        with open(self._place(name), "rb", buffering=0) as file:
            if self._is_encrypted(file):
                yield from decrypted(file, self._keys)
                return
            while piece := file.read(_PIECE):
                yield piece

    def exists(self, name: str, size: int | None = None) -> bool:
        """
        Whether there is such a file; what is in it is not looked at.

        @param size: how long its content has to be, in bytes; None: as long as it is.
        @raise OSError: it cannot be opened, and may be there nevertheless.
        """
        try:
            if size is not None:
                return self.size(name) == size
            # Of a disk of another machine, other answers may be old: only to open a file asks that machine.
            os.close(os.open(self._place(name), os.O_RDONLY))
        except FileNotFoundError:
            return False
        return True

    def size(self, name: str) -> int:
        """
        How long the content is, in bytes.

        @raise FileNotFoundError: there is no such file.
        """
        with open(self._place(name), "rb", buffering=0) as file:
            length = os.fstat(file.fileno()).st_size
            return clear_length(length) if self._is_encrypted(file) else length

    def verify(self, name: str) -> bool:
        """Whether the content is what the name says; all of it is read."""
        try:
            pieces = self.read(name)
            first = next(pieces, b"")
            end = min(self._head_length(first), len(first))
            body = hashlib.sha256(first[end:])
            for piece in pieces:
                body.update(piece)
        except (Damaged, FileNotFoundError):
            return False
        digest = _digest_of(first[:end], body.digest())
        names = {digest.hex()} if self._keys is None else {digest.hex(), self._keys.name(digest)}
        return name in names

    def delete(self, name: str) -> None:
        """Take a file away, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._place(name))

    def names(self) -> Iterator[str]:
        """All of them, in no order."""
        for folder in os.listdir(self._objects):
            for name in os.listdir(f"{self._objects}/{folder}"):
                if len(name) == _NAME_LENGTH:
                    yield name

    def free_space(self) -> int:
        """How many bytes the disk still takes."""
        state = os.statvfs(self._objects)
        return state.f_bavail * state.f_frsize

    def _place(self, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise FileNotFoundError("no name of a file")
        return f"{self._objects}/{name[:2]}/{name}"

    @staticmethod
    def _make_folder(path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)

    @staticmethod
    def _is_encrypted(file: BinaryIO) -> bool:
        head = file.read(_HEAD)
        file.seek(0)
        return is_encrypted(head)


def _begun(folder: str) -> tuple[str, BinaryIO]:
    """
    A new file, locked, which says that it is being written: another process clears away what is not.

    @return: its path, and the file, open for as long as its writer is.
    """
    while True:
        path = f"{folder}/{secrets.token_hex(16)}"
        file: BinaryIO = open(path, "xb", buffering=0, opener=_private)  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        # It was cleared away before it was locked.
        file.close()


def _digest_of(head: bytes, body: bytes) -> bytes:
    """
    SHA-256 of a content.

    @param body: the SHA-256 of what is behind its head; always as long, so that no two contents come to the same.
    """
    return hashlib.sha256(head + body).digest()


def _unlink_unless_locked(path: str) -> None:
    """Take a file away that nobody writes."""
    try:
        # To write, or NFS would not give the lock.
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
    except (BlockingIOError, FileNotFoundError):
        return


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
