"""The DICOM files of a folder (PS3.10): which there are, and what each says of itself before its data set begins."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import Final

from attrs import field, frozen

from dimseproxy.errors import DimseProxyError

#: How much is read of a file to find its data set: a private part of the file meta information could be anything.
MOST_META: Final = 64 * 1024
_PREAMBLE: Final = 128
_PREFIX: Final = b"DICM"
_META_GROUP: Final = 0x0002
_SOP_CLASS: Final = 0x0002
_SOP_INSTANCE: Final = 0x0003
_TRANSFER_SYNTAX: Final = 0x0010
_SOURCE_AE_TITLE: Final = 0x0016
_TAG: Final = Struct("<HH")
_SHORT: Final = Struct("<H")
_LONG: Final = Struct("<I")
#: The VRs whose length has four bytes after two that are reserved (PS3.5 7.1.2).
_LONG_VRS: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_TEXT_VRS: Final = frozenset((b"UI", b"AE"))
#: As loosely as devices make them (PS3.5 9.1), but short enough for a presentation context.
_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
#: The directory of a medium: it holds no object.
_MEDIA_DIRECTORY: Final = "1.2.840.10008.1.3.10"


class NoDicomFile(DimseProxyError):
    """This file has nothing to do with it: a text, or the directory of a medium."""


class BrokenFile(DimseProxyError):
    """This is a DICOM file, but there is no object in it that could be sent."""


@frozen
class Meta:
    """
    What comes before a data set in its file.

    @ivar source: the AE title that the object came from, where the file says it.
    @ivar offset: where the data set begins.
    """

    sop_class: str
    sop_instance: str = field(repr=False)
    transfer_syntax: str
    source: str
    offset: int


@frozen
class DicomFile:
    """
    An object in a file.

    @ivar offset: where its data set begins.
    @ivar length: of the data set, in bytes.
    """

    path: Path = field(repr=False)
    sop_class: str
    sop_instance: str = field(repr=False)
    transfer_syntax: str
    offset: int
    length: int


def files_in(folder: Path) -> Iterator[Path]:
    """
    The files of a folder and of those below it, in the order of their names.  A folder that a link leads to is not
    looked into: it could lead back.

    @raise OSError: a folder cannot be read.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_in(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)


def look_at(path: Path) -> DicomFile:
    """
    What a file says of its object.

    @raise NoDicomFile: it is none.
    @raise BrokenFile: there is no whole object in it.
    @raise OSError: it cannot be read.
    """
    with path.open("rb") as file:
        meta = meta_of(file.read(MOST_META))
        length = os.fstat(file.fileno()).st_size - meta.offset
    return DicomFile(path, meta.sop_class, meta.sop_instance, meta.transfer_syntax, meta.offset, length)


def meta_of(data: bytes) -> Meta:
    """
    The file meta information (PS3.10 7.1).

    @param data: the beginning of a file, `MOST_META` bytes where it has as many.
    @raise NoDicomFile: it is none.
    @raise BrokenFile: the file does not say what it holds, or ends before that begins.
    """
    begin = _PREAMBLE + len(_PREFIX)
    if data[_PREAMBLE:begin] != _PREFIX:
        raise NoDicomFile("is no DICOM file")
    values, offset = _values(data, begin)
    uids = [values.get(element, "") for element in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX)]
    if uids[0] == _MEDIA_DIRECTORY:
        raise NoDicomFile("is a DICOMDIR")
    if not all(_UID.fullmatch(uid) for uid in uids):
        raise BrokenFile("does not say which object it is, or how it is encoded")
    return Meta(uids[0], uids[1], uids[2], values.get(_SOURCE_AE_TITLE, ""), offset)


def _values(data: bytes, at: int) -> tuple[dict[int, str], int]:
    """The texts of the file meta information by element, and where it ends."""
    # Element by element: the group length is wrong in many a file.
    values: dict[int, str] = {}
    while len(data) - at >= 8:
        group, element = _TAG.unpack_from(data, at)
        if group != _META_GROUP:
            return values, at
        vr = data[at + 4 : at + 6]
        if vr in _LONG_VRS:
            if len(data) - at < 12:
                break
            (length,) = _LONG.unpack_from(data, at + 8)
            at += 12
        else:
            (length,) = _SHORT.unpack_from(data, at + 6)
            at += 8
        if length > len(data) - at:
            break
        if vr in _TEXT_VRS:
            values[element] = data[at : at + length].decode("latin-1").strip("\0 ")
        at += length
    # What is left is no element: a data set of less than that is none.
    raise BrokenFile("ends before its data set begins")
