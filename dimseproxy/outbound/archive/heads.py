"""
Reads what is wanted of the beginning of an object, and steps over the rest.

The object is kept whatever this finds, so it never fails: a head that is cut off, or cannot be read further, has told
all that it tells.  Cost is linear in the length of the head.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from contextlib import suppress
from struct import Struct
from typing import Final

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.vr import HEADER_LENGTHS, PIXELS, SPECIFIC_CHARACTER_SET, dictionary_vr
from dimseproxy.outbound.archive.levels import name_of
from dimseproxy.privacy.values import TEXT, Unreadable, texts_of

#: The values of attributes by their names: texts, or the items of a sequence.  As JSON has them.
Values = dict[str, "list[str] | list[Values]"]

#: No more of a deflated head is looked at: as much as a head has that is not deflated, and a bomb is none.
MAX_INFLATED: Final = 1024 * 1024
#: Characters of a value; LT has 10240 at most, and nobody searches by the end of a longer text.
MAX_TEXT: Final = 10_240
#: Bytes of a value field.
_MAX_FIELD: Final = 64 * 1024
#: Items of a sequence that are kept, and how deep sequences may be in one another.
_MAX_ITEMS: Final = 64
_MAX_NESTING: Final = 4
#: Sequences of undefined length are walked through, which is deeper than any object is.
_MAX_WALK: Final = 64

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_IMPLICIT: Final = Encoding(is_implicit=True)
_NUMBERS: Final = {"US": 2, "UL": 4}
_FORMS: Final = {is_little: tuple(Struct(order + form) for form in ("HHI", "H", "I", "HH2sH"))
                 for is_little, order in ((True, "<"), (False, ">"))}  # fmt: skip


class _Over(Exception):
    """The head ends here, or cannot be read further."""


def read_head(data: bytes, encoding: Encoding, wanted: Collection[int]) -> Values:
    """
    The values of attributes at the top level of an object.

    @param data: the beginning of its data set.
    @param wanted: their tags.
    @return: those that are there and can be read; a value that cannot be read is the empty text.
    """
    if encoding.is_deflated:
        data = _inflated(data)
    values: Values = {}
    reader = _Reader(data, encoding)
    with suppress(_Over):
        reader.read(0, len(data), frozenset(wanted), values)
    return values


class _Reader:
    def __init__(self, data: bytes, encoding: Encoding, character_sets: bytes = b"") -> None:
        self._data = data
        self._encoding = encoding
        self._tag_and_length, self._short, self._long, self._plain = _FORMS[encoding.is_little_endian]
        self._character_sets = character_sets

    def read(self, at: int, end: int, wanted: frozenset[int] | None, into: Values, depth: int = 0) -> int:
        """
        Read elements up to the end, or to the end of the item that they are in.

        @param wanted: None for all that is text.
        @return: where reading ended.
        """
        last = max(wanted) if wanted else _ITEM
        while at < end:
            if wanted is not None and not self._encoding.is_implicit:
                at = self._skip_plain(at, end, wanted, last)
            tag, vr, length, value_at = self._header(at, end)
            if tag == _ITEM_END:
                return value_at
            if tag > last or (depth == 0 and tag in PIXELS):
                raise _Over
            is_wanted = tag in wanted if wanted is not None else not tag >> 16 & 1
            vr_there = dictionary_vr(tag)
            known = vr_there or vr
            # A sequence that the standard does not know could not be answered as one.
            if vr_there == "SQ" and is_wanted and depth < _MAX_NESTING:
                items: list[Values] = []
                at = self._read_items(vr, length, value_at, end, items, depth + 1)
                into[name_of(tag)] = items
            elif length == _UNDEFINED:
                at = self._skip_items(value_at, end, vr, 0)
            else:
                at = value_at + length
                if at > end:
                    raise _Over
                if tag == SPECIFIC_CHARACTER_SET:
                    self._character_sets = self._data[value_at:at]
                elif is_wanted and known != "SQ" and (wanted is not None or known in TEXT):
                    into[name_of(tag)] = list(self._texts(known, value_at, at))
        return at

    def _skip_plain(self, at: int, end: int, wanted: frozenset[int], last: int) -> int:
        """Where the next element is that may be wanted, or that takes a closer look: most are neither."""
        data, unpack = self._data, self._plain.unpack_from
        while at + 8 <= end:
            group, element, code, length = unpack(data, at)
            tag = group << 16 | element
            if HEADER_LENGTHS.get(code) != 8 or tag in wanted or tag == SPECIFIC_CHARACTER_SET or tag > last:
                break
            at += 8 + length
        return at

    def _header(self, at: int, end: int) -> tuple[int, str, int, int]:
        """Tag, VR (empty where the encoding tells none), length, and where the value begins."""
        if at + 8 > end:
            raise _Over
        group, element, length = self._tag_and_length.unpack_from(self._data, at)
        tag = group << 16 | element
        if self._encoding.is_implicit or group == 0xFFFE:
            return tag, "", length, at + 8
        code = self._data[at + 4 : at + 6]
        header = HEADER_LENGTHS.get(code, 0)
        if header == 8:
            return tag, code.decode(), self._short.unpack_from(self._data, at + 6)[0], at + 8
        if header == 12 and at + 12 <= end:
            return tag, code.decode(), self._long.unpack_from(self._data, at + 8)[0], at + 12
        raise _Over

    def _texts(self, vr: str, start: int, end: int) -> list[str]:
        if end - start > _MAX_FIELD:
            return [""]
        raw = self._data[start:end]
        size = _NUMBERS.get(vr)
        if size is not None:
            form = self._short if size == 2 else self._long
            return [str(form.unpack_from(raw, place)[0]) for place in range(0, len(raw) - size + 1, size)]
        try:
            texts = texts_of(raw, vr, self._character_sets)
        except Unreadable:
            return [""]
        return [text[:MAX_TEXT] for text in texts] if texts != [""] else []

    def _read_items(self, vr: str, length: int, at: int, end: int, into: list[Values], depth: int) -> int:
        # What is in a sequence of VR UN is implicit VR little endian (PS3.5 6.2.2).
        encoding = _IMPLICIT if vr == "UN" else self._encoding
        stop = end if length == _UNDEFINED else at + length
        if stop > end:
            raise _Over
        while at < stop:
            tag, _, item_length, at = _Reader(self._data, encoding)._header(at, stop)
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise _Over
            item: Values = {}
            item_end = stop if item_length == _UNDEFINED else at + item_length
            if item_end > stop:
                raise _Over
            # An item may have a character set of its own, which ends with it.
            at = _Reader(self._data, encoding, self._character_sets).read(at, item_end, None, item, depth)
            if len(into) < _MAX_ITEMS:
                into.append(item)
        return at

    def _skip_items(self, at: int, end: int, vr: str, depth: int) -> int:
        """Step over the items, or the fragments, of a value of undefined length."""
        if depth > _MAX_WALK:
            raise _Over
        reader = _Reader(self._data, _IMPLICIT) if vr == "UN" else self
        while at < end:
            tag, _, length, at = reader._header(at, end)
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise _Over
            at = reader._skip_open_item(at, end, depth) if length == _UNDEFINED else at + length
        raise _Over

    def _skip_open_item(self, at: int, end: int, depth: int) -> int:
        while at < end:
            tag, vr, length, at = self._header(at, end)
            if tag == _ITEM_END:
                return at
            at = self._skip_items(at, end, vr, depth + 1) if length == _UNDEFINED else at + length
        raise _Over


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_INFLATED)
    except zlib.error:
        return b""
