"""
One file of a journal: records, appended in groups, each group durable before the next is written.

A file is a header and frames.  A frame is one group: a mark, the length and the CRC-32 of its content, and the records
in it, each after its length.  Only the last frame can be torn, since none is written before the one ahead of it is on
the disk: what is not a frame, and is followed by one, was damaged by something else.

A new file is filled with zeros up to the size that it is going to have.  A write into them is durable as soon as its
own bytes are; a file that grew by it would have its length and its blocks written down as well, which takes half as
long again.

Whoever has a file open holds a lock on it (`flock`), which ends with the process: a file that is not locked is one that
nobody will finish.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from struct import Struct
from typing import Final

from dimseproxy.storage.errors import DatabaseRefused, DatabaseUnavailable

_HEADER: Final = b"dimseproxy journal 1\n"
_MARK: Final = b"\xd1\x7ajf"
#: Mark, bytes of the content, CRC-32 of the content, which begins with its own place in the file.
_FRAME: Final = Struct(">4sII")
_LENGTH: Final = Struct(">I")


class JournalFile:
    """
    A file that this process holds the lock of.  All of it blocks: for a thread.

    @ivar path: where it is.
    @ivar size: bytes that are known to be on the disk, but for the zeros behind them.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.size = 0
        self._descriptor = descriptor
        self._is_torn = False

    def append(self, records: Sequence[bytes]) -> None:
        """
        Write a group; it is durable on return.

        @raise DatabaseUnavailable: it is not, and the file is as it was.
        """
        content = b"".join(part for record in records for part in (_LENGTH.pack(len(record)), record))
        self._write(_FRAME.pack(_MARK, len(content), zlib.crc32(content, self.size)) + content)

    def read(self) -> list[bytes]:
        """
        The records, but those of a torn last frame.

        @raise DatabaseRefused: it is no journal, or was damaged.
        @raise DatabaseUnavailable: it cannot be read.
        """
        try:
            with open(self._descriptor, "rb", closefd=False) as file:
                content = file.read()
        except OSError as error:
            raise _unavailable(error) from None
        return _parsed(content, self.path)

    def close(self) -> None:
        """Let go of it, for others to take over."""
        os.close(self._descriptor)

    def remove(self) -> None:
        """Let go of it for good.  Where it stays or comes back, its records are found again."""
        with suppress(OSError):
            os.unlink(self.path)
        self.close()

    def begin(self, room: int) -> None:
        """
        Write the header of a new file.

        @param room: how many bytes it shall have at least, most of which are zeros.
        """
        self._write(_HEADER.ljust(room, b"\0"))
        self.size = len(_HEADER)

    def hold(self) -> bool:
        """Take the lock: false where somebody else has it, or has removed the file meanwhile."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            here, there = os.fstat(self._descriptor), os.stat(self.path)
        except (BlockingIOError, FileNotFoundError):
            return False
        return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)

    def _write(self, content: bytes) -> None:
        try:
            self._mend()
            self._is_torn = True
            written = 0
            while written < len(content):
                # The file is open with O_DSYNC: each write ends as if fdatasync had followed.
                written += os.pwrite(self._descriptor, content[written:], self.size + written)
        except OSError as error:
            with suppress(OSError):
                self._mend()
            raise _unavailable(error) from None
        self._is_torn = False
        self.size += len(content)

    def _mend(self) -> None:
        """Cut off what a failure has left."""
        if self._is_torn:
            os.ftruncate(self._descriptor, self.size)
            self._is_torn = False


def create(path: Path, room: int = 0) -> JournalFile:
    """
    A new file, the owner's alone: a number is added to the path, above those of all that are there.

    @param room: bytes that will be written to it, about.
    @raise DatabaseUnavailable: it cannot be made.
    """
    others = files(path)
    try:
        for number in count(int(others[-1].suffix[1:]) + 1 if others else 1):
            numbered = path.with_name(f"{path.name}.{number}")
            with suppress(FileExistsError):
                file = JournalFile(numbered, _opened(numbered, os.O_CREAT | os.O_EXCL))
                # Who looks for what others left may be faster.
                if file.hold():
                    break
                file.close()
    except OSError as error:
        raise _unavailable(error) from None
    try:
        file.begin(room)
        sync_folder(path)
    except DatabaseUnavailable:
        file.remove()
        raise
    return file


def take_over(path: Path) -> Iterator[JournalFile]:
    """
    The files of a path that nobody holds.

    @raise DatabaseUnavailable: one cannot be opened.
    """
    for numbered in files(path):
        try:
            file = JournalFile(numbered, _opened(numbered, 0))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unavailable(error) from None
        if file.hold():
            yield file
        else:
            file.close()


def files(path: Path) -> list[Path]:
    """Every file of a path, whoever holds it."""
    numbered = re.compile(re.escape(path.name) + r"\.(\d+)")
    try:
        found = [(match, entry) for entry in path.parent.iterdir() if (match := numbered.fullmatch(entry.name))]
    except OSError as error:
        raise _unavailable(error) from None
    return [entry for _, entry in sorted(found, key=lambda each: int(each[0][1]))]


def peek(path: Path, hints: Collection[bytes]) -> list[bytes]:
    """
    The records of a file that somebody else may be writing to, as far as they are durable.

    @param hints: where none of these stands in the file, it is not read further, and has nothing.
    @raise DatabaseRefused: it is no journal, or was damaged.
    @raise DatabaseUnavailable: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unavailable(error) from None
    return _parsed(content, path) if any(hint in content for hint in hints) else []


def sync_folder(path: Path) -> None:
    """
    See that what was made and removed beside a path stays so.

    @raise DatabaseUnavailable: the folder cannot be used.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unavailable(error) from None


def _opened(path: Path, flags: int) -> int:
    return os.open(path, os.O_RDWR | os.O_DSYNC | os.O_NOFOLLOW | flags, 0o600)


def _parsed(content: bytes, path: Path) -> list[bytes]:
    if not content.startswith(_HEADER):
        # Made, and ended by a power cut or a kill before the header was there; nothing is written before it is.
        if _HEADER.startswith(content.rstrip(b"\0")):
            return []
        raise DatabaseRefused(f"the journal {path} is not one that this version can read")
    records: list[bytes] = []
    at = len(_HEADER)
    while (frame := _frame(content, at)) is not None:
        records += _records(frame)
        at += _FRAME.size + len(frame)
    later = at
    while (later := content.find(_MARK, later + 1)) >= 0:
        if _frame(content, later) is not None:
            raise DatabaseRefused(
                f"the journal {path} is damaged at byte {at}: restore it, or move it away and lose its rows"
            )
    return records


def _frame(content: bytes, at: int) -> bytes | None:
    """What is in the frame at a place, if a whole one is there."""
    if len(content) - at < _FRAME.size:
        return None
    mark, length, checksum = _FRAME.unpack_from(content, at)
    inside = content[at + _FRAME.size : at + _FRAME.size + length]
    is_whole = mark == _MARK and len(inside) == length and zlib.crc32(inside, at) == checksum
    return inside if is_whole else None


def _records(frame: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(frame):
        (length,) = _LENGTH.unpack_from(frame, at)
        at += _LENGTH.size
        yield frame[at : at + length]
        at += length


def _unavailable(error: OSError) -> DatabaseUnavailable:
    # Neither the path nor the text of the system: the code says what happened.
    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return DatabaseUnavailable(f"the journal of the database is unavailable: {name}")
