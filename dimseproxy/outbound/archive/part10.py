"""The file that an object is kept in (PS3.10 7): a preamble, file meta information, and the data set as it came."""

from __future__ import annotations

from struct import Struct
from typing import Final

from dimseproxy.errors import DimseProxyError
from dimseproxy.ul.negotiation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREAMBLE: Final = bytes(128) + b"DICM"
_SHORT: Final = Struct("<HH2sH")
_LONG: Final = Struct("<HH2sHI")
_GROUP_LENGTH: Final = Struct("<HH2sHI")
#: Up to and with the group length.
_PREFIX_LENGTH: Final = len(_PREAMBLE) + _GROUP_LENGTH.size


class NoFile(DimseProxyError):
    """This is no DICOM file."""


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str, source_ae_title: str) -> bytes:
    """
    All that comes before the data set.  There is no time in it: the same object from the same sender is the same file.

    @param transfer_syntax: that of the data set, as it came.
    """
    meta = b"".join(
        (
            _LONG.pack(2, 0x0001, b"OB", 0, 2) + b"\0\x01",
            _element(0x0002, b"UI", sop_class),
            _element(0x0003, b"UI", sop_instance),
            _element(0x0010, b"UI", transfer_syntax),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _element(0x0016, b"AE", source_ae_title) if source_ae_title else b"",
        )
    )
    return _PREAMBLE + _GROUP_LENGTH.pack(2, 0, b"UL", 4, len(meta)) + meta


def data_set_offset(head: bytes) -> int:
    """
    Where the data set of a file of ours begins.

    @param head: the beginning of the file, at least up to its group length.
    @raise NoFile: it does not begin as such a file does.
    """
    if len(head) < _PREFIX_LENGTH or head[128:132] != b"DICM":
        raise NoFile("no preamble of a DICOM file")
    group, number, vr, size, length = _GROUP_LENGTH.unpack_from(head, len(_PREAMBLE))
    if (group, number, vr, size) != (2, 0, b"UL", 4):
        raise NoFile("no length of the file meta information")
    return _PREFIX_LENGTH + int(length)


def head_length(content: bytes) -> int:
    """How much of a file that begins like this comes before its data set; nothing where it is none of ours."""
    try:
        return data_set_offset(content)
    except NoFile:
        return 0


def _element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("latin-1")
    if len(value) & 1:
        value += b"\0" if vr == b"UI" else b" "
    return _SHORT.pack(2, number, vr, len(value)) + value
