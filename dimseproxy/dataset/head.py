"""
A few values from the beginning of a data set that is still arriving, and the few data sets that we write.

Elements come in ascending order (PS3.5 7.1), so a value near the top is known long before the pixel data arrive.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pydicom.tag import BaseTag, Tag

from dimseproxy.dataset.element import UNDEFINED_LENGTH
from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dataset.frames import (
    FIRST_DELIMITER,
    ITEM,
    ITEM_DELIMITER,
    SEQUENCE_DELIMITER,
    UNKNOWN_LAYOUT,
    Layout,
    layout_of,
)
from dimseproxy.dataset.vr import HEADER_LENGTHS, dictionary_vr, is_vr

#: How much of a data set is gone through while a value is looked for.
MAX_HEAD_LENGTH: Final = 256 * 1024

#: Of a transfer syntax that is not the standard's: most private ones differ in the pixel data only.
_LIKELY: Final = Encoding(is_implicit=False)

TRANSACTION_UID: Final = Tag(0x0008, 0x1195)
STUDY_INSTANCE_UID: Final = Tag(0x0020, 0x000D)
FAILED_SOP_INSTANCE_UID_LIST: Final = Tag(0x0008, 0x0058)


class Head:
    """
    Goes through the beginning of a data set until some top-level values are known.

    Of everything else the headers are read, each once, however small the pieces are that it comes in; a sequence of
    undefined length is gone through for its end.  So a byte costs the same wherever it is.

    @param transfer_syntax: the UID of the data set's transfer syntax.
    @param tags: the elements that are looked for.
    """

    def __init__(self, transfer_syntax: str, tags: Iterable[BaseTag]) -> None:
        encoding = encoding_of(transfer_syntax) or _LIKELY
        #: By number: pydicom compares its tags in Python.
        self._tags = {int(tag): tag for tag in tags}
        self._last = max(self._tags)
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS) if encoding.is_deflated else None
        #: What was not gone through, and how much of a value that nobody looks at is still to come.
        self._data = bytearray()
        self._rest = 0
        #: Where this is: the layout of the elements here, whether an item comes next, and the same of what this is in.
        self._layout = layout_of(encoding.is_implicit, encoding.is_little_endian)
        self._is_before_item = False
        self._outer: list[tuple[Layout, bool]] = []
        self._received = 0
        self._length = 0
        self._found: dict[BaseTag, tuple[str, ...]] = {}
        #: When it is complete, the values found by tag: text without padding, several values as a tuple.
        self.values: Mapping[BaseTag, tuple[str, ...]] = {}
        #: Whether no further value can be found: all seen, end of the data set, or the limit.
        self.is_complete = False

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        """More of the data set."""
        if self.is_complete:
            return
        try:
            for view in views:
                self._take(view)
            has_passed = self._go_through()
        except _Unreadable:
            # The same as not found.
            self._found.clear()
            has_passed = True
        if has_passed or is_last or max(self._received, self._length) >= MAX_HEAD_LENGTH:
            self.values = self._found
            self.is_complete = True
            self._data.clear()

    def first(self, tag: BaseTag) -> str:
        """The first value of an element, empty where there is none."""
        return next(iter(self.values.get(tag, ())), "")

    def _take(self, view: memoryview) -> None:
        self._received += len(view)
        if self._inflating is not None:
            view = memoryview(self._inflated(view))
        self._length += len(view)
        passed = min(self._rest, len(view))
        self._rest -= passed
        self._data += view[passed:]

    def _inflated(self, view: memoryview) -> bytes:
        room = MAX_HEAD_LENGTH - self._length
        if self._inflating is None or room <= 0:
            return b""
        try:
            return self._inflating.decompress(view, room)
        except zlib.error:
            raise _Unreadable from None

    def _go_through(self) -> bool:
        """
        As far as there are data.

        @return: whether all that is looked for was passed.
        @raise _Unreadable: this is no data set.
        """
        data, at, end, tags, last = self._data, 0, len(self._data), self._tags, self._last
        while end - at >= 8:
            layout = self._layout
            group, number, length = layout.item.unpack_from(data, at)
            tag = group << 16 | number
            if tag > last and not self._outer:
                return True
            if self._is_before_item or tag >= FIRST_DELIMITER:
                at += 8 + self._enter_or_leave(tag, length)
                continue
            code, header_length = b"", 8
            if not layout.encoding.is_implicit:
                _, _, code, length = layout.header.unpack_from(data, at)
                header_length = HEADER_LENGTHS.get(code) or _unknown_header_length(code)
                if header_length == 12:
                    if end - at < 12:
                        break
                    (length,) = layout.long_length.unpack_from(data, at + 8)
            start = at + header_length
            if length == UNDEFINED_LENGTH:
                self._outer.append((layout, False))
                self._is_before_item = True
                if code == b"UN":
                    self._layout = UNKNOWN_LAYOUT
                at = start
                continue
            if tag in tags and not self._outer:
                if start + length > end:
                    break
                self._found[tags[tag]] = _texts(data[start : start + length])
            at = start + length
        self._rest += max(at - end, 0)
        del data[:at]
        return False

    def _enter_or_leave(self, tag: int, length: int) -> int:
        """
        An item, or the end of one or of a sequence or encapsulated value.

        @return: how much of its value to pass.
        """
        if tag == ITEM and self._is_before_item:
            if length != UNDEFINED_LENGTH:
                return length
            self._outer.append((self._layout, True))
            self._is_before_item = False
        elif tag == (SEQUENCE_DELIMITER if self._is_before_item else ITEM_DELIMITER) and self._outer:
            self._layout, self._is_before_item = self._outer.pop()
        else:
            raise _Unreadable
        return 0


class _Unreadable(Exception):
    """What comes is no data set, or not encoded as it should be."""


def failed_list(transfer_syntax: str, sop_instances: Sequence[str]) -> bytes:
    """A data set with nothing but a Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2)."""
    return _encoded(transfer_syntax, {FAILED_SOP_INSTANCE_UID_LIST: "\\".join(sop_instances)})


def identifier(transfer_syntax: str, keys: Mapping[BaseTag, str]) -> bytes:
    """The identifier of a C-FIND (PS3.4 C.4.1.1.3) with these keys, of which those without a value are asked for."""
    return _encoded(transfer_syntax, keys)


def _encoded(transfer_syntax: str, values: Mapping[BaseTag, str]) -> bytes:
    encoding = encoding_of(transfer_syntax) or _LIKELY
    layout = layout_of(encoding.is_implicit, encoding.is_little_endian)
    # As wide as what a peer can have sent: a UID that is none goes back as it came.
    encoded = b"".join(
        layout.encoded(tag, dictionary_vr(tag) or "UN", values[tag].encode("latin-1", "replace"))
        for tag in sorted(values)
    )
    if not encoding.is_deflated:
        return encoded
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(encoded) + deflate.flush()
    return deflated + bytes(len(deflated) & 1)


def _unknown_header_length(code: bytes) -> int:
    if not is_vr(code):
        raise _Unreadable
    # A VR that nobody knows has a length of 32 bits (PS3.5 7.1.2).
    return 12


def _texts(value: bytearray) -> tuple[str, ...]:
    # What pads is behind; UIDs are padded with NUL.
    texts = [text.rstrip(" \0").lstrip(" ") for text in value.decode("latin-1").split("\\")]
    return tuple(filter(None, texts))
