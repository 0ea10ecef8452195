"""
Identifiers as trees of keys: read from a data set that is there as a whole, changed, and written again.

An identifier decides what a peer searches for and what it sends, so this reads strictly: what does not parse to its
last byte, what nests too deep and what contradicts the data dictionary is refused.  pydicom's own reader passes over
most of that, and names values in its warnings.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Final, Literal

from attrs import field, frozen
from pydicom.datadict import dictionary_VR

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.values import MAX_CHARACTER_SETS, TEXT

#: A list of some thousand UIDs has a tenth of it; so has an answer with every attribute of a study.
MAX_LENGTH: Final = 1024 * 1024
#: Keys and items. Ten times what a study, its series and a worklist have; the proxy reads them in one go.
MAX_KEYS: Final = 4000
#: Deeper than any information model of PS3.4; each level costs a Python frame or two.
MAX_NESTING: Final = 32

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_ITEM: Final = 0xFFFEE000
_ITEM_DELIMITATION: Final = 0xFFFEE00D
_SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
_FIRST_GROUP: Final = 0x0008
_DELIMITERS_GROUP: Final = 0xFFFE

_LONG_VRS: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_VRS: Final = _LONG_VRS | TEXT | frozenset(("AT", "FD", "FL", "SL", "SS", "UL", "US"))
_MAX_SHORT: Final = 0xFFFE
_IMPLICIT: Final = Encoding(is_implicit=True)


@frozen
class Key:
    """
    An element of an identifier, or of an answer.

    @ivar tag: group << 16 | element.
    @ivar vr: two letters; C{UN} for what neither the encoding nor the dictionary tells.
    @ivar value: as on the wire; with or without padding. Empty in a sequence.
    @ivar items: of a sequence, the keys of each item; None in any other element.
    """

    tag: int
    vr: str
    value: bytes = field(default=b"", repr=False)
    items: tuple[tuple[Key, ...], ...] | None = field(default=None, repr=False)

    @property
    def group(self) -> int:
        return self.tag >> 16

    @property
    def is_private(self) -> bool:
        """An odd group is nobody's but its creator's (PS3.5 7.8)."""
        return bool(self.group & 1)

    @property
    def block(self) -> int:
        """Of a private data element, group << 8 | the block that its creator has reserved; 0 of a private creator."""
        return self.group << 8 | (self.tag >> 8 & 0xFF) if self.tag & 0xFF00 else 0


def read_keys(data: bytes, encoding: Encoding) -> tuple[Key, ...]:
    """
    The keys of a whole identifier in the order of their tags, without group lengths.

    @raise OperationRefused: it does not parse, nests too deep or is too long; the comment tells no value.
    """
    if encoding.is_deflated:
        data = _inflated(data)
    if len(data) > MAX_LENGTH:
        raise _refusal("is too long")
    return _Reader(data, encoding).level(len(data), 0)


def write_keys(keys: Iterable[Key], encoding: Encoding) -> bytes:
    """
    The data set with these keys; sequences and items get defined lengths, values their padding.

    @raise OperationRefused: a value is too long for its VR.
    """
    data = _written(keys, encoding)
    if not encoding.is_deflated:
        return data
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(data) + deflate.flush()
    # PS3.5 A.5: a stream of odd length is followed by a zero byte.
    return deflated + bytes(len(deflated) & 1)


@lru_cache(maxsize=4096)
def single_vr_of(tag: int) -> str:
    """The VR of a tag by the data dictionary; C{UN} where it has none or several, or does not know the tag."""
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    return vr if len(vr) == 2 else "UN"


class _Reader:
    """A cursor over the whole data; every level checks that it ends where it should."""

    def __init__(self, data: bytes, encoding: Encoding) -> None:
        self._data = data
        self._at = 0
        self._encoding = encoding
        self._count = 0

    def level(self, limit: int, depth: int, is_open: bool = False) -> tuple[Key, ...]:
        """The keys up to the limit; of an open item up to its delimitation, which is taken too."""
        found: dict[int, Key] = {}
        while is_open or self._at < limit:
            tag = self._tag(limit)
            if tag == _ITEM_DELIMITATION and is_open:
                if self._number(4, limit):
                    raise _refusal("cannot be read")
                break
            key = self._key(tag, limit, depth)
            if tag in found:
                raise _refusal("has a key twice")
            if tag & 0xFFFF:
                # Group lengths are retired, and what is changed makes them wrong (PS3.5 7.2).
                found[tag] = key
        return tuple(found[tag] for tag in sorted(found))

    def _key(self, tag: int, limit: int, depth: int) -> Key:
        if not _FIRST_GROUP <= tag >> 16 < _DELIMITERS_GROUP:
            raise _refusal("cannot be read")
        self._count_one()
        known = single_vr_of(tag)
        is_implicit = self._encoding.is_implicit
        vr, length = (known, self._number(4, limit)) if is_implicit else self._vr_and_length(limit)
        outer = self._encoding
        if vr == "UN" and (known == "SQ" or length == _UNDEFINED):
            # What is in a sequence of VR UN is implicit VR little endian, whatever is around it (PS3.5 6.2.2).
            vr, self._encoding = "SQ", _IMPLICIT
            if not outer.is_little_endian:
                raise _refusal("cannot be read")
        elif vr == "UN" and known in TEXT:
            vr = known
        if (vr == "SQ") != (known == "SQ") and known != "UN":
            raise _refusal("has a key of a wrong VR")
        if tag == SPECIFIC_CHARACTER_SET and length > MAX_CHARACTER_SETS:
            raise _refusal("has too many character sets")
        if vr != "SQ":
            # An undefined length, which is more than any limit, is for sequences only.
            return Key(tag, vr, self._take(length, limit))
        if depth == MAX_NESTING:
            raise _refusal("nests too deep")
        items = self._items(length, limit, depth + 1)
        self._encoding = outer
        return Key(tag, vr, items=items)

    def _vr_and_length(self, limit: int) -> tuple[str, int]:
        vr = self._take(2, limit).decode("latin-1")
        if vr not in _VRS:
            raise _refusal("cannot be read")
        if vr not in _LONG_VRS:
            return vr, self._number(2, limit)
        self._take(2, limit)
        return vr, self._number(4, limit)

    def _items(self, length: int, limit: int, depth: int) -> tuple[tuple[Key, ...], ...]:
        is_open = length == _UNDEFINED
        end = limit if is_open else self._end(length, limit)
        items = []
        while is_open or self._at < end:
            tag, item_length = self._tag(end), self._number(4, end)
            if tag == _SEQUENCE_DELIMITATION and is_open and item_length == 0:
                break
            if tag != _ITEM:
                raise _refusal("cannot be read")
            self._count_one()
            if item_length == _UNDEFINED:
                items.append(self.level(end, depth, is_open=True))
            else:
                items.append(self.level(self._end(item_length, end), depth))
        return tuple(items)

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAX_KEYS:
            raise _refusal("has too many keys")

    def _tag(self, limit: int) -> int:
        return self._number(2, limit) << 16 | self._number(2, limit)

    def _number(self, size: int, limit: int) -> int:
        return int.from_bytes(self._take(size, limit), "little" if self._encoding.is_little_endian else "big")

    def _take(self, length: int, limit: int) -> bytes:
        start, self._at = self._at, self._end(length, limit)
        return self._data[start : self._at]

    def _end(self, length: int, limit: int) -> int:
        end = self._at + length
        if end > limit:
            raise _refusal("is cut short")
        return end


def _written(keys: Iterable[Key], encoding: Encoding) -> bytes:
    order: Literal["little", "big"] = "little" if encoding.is_little_endian else "big"
    out = bytearray()
    for key in sorted(keys, key=attrgetter("tag")):
        value = _value(key, encoding, order)
        out += key.group.to_bytes(2, order) + (key.tag & 0xFFFF).to_bytes(2, order)
        if encoding.is_implicit:
            out += len(value).to_bytes(4, order)
        elif key.vr in _LONG_VRS:
            out += key.vr.encode("ascii") + bytes(2) + len(value).to_bytes(4, order)
        elif len(value) <= _MAX_SHORT:
            out += key.vr.encode("ascii") + len(value).to_bytes(2, order)
        else:
            raise _refusal("has too many values")
        out += value
    return bytes(out)


def _value(key: Key, encoding: Encoding, order: Literal["little", "big"]) -> bytes:
    if key.items is None:
        padding = b" " if key.vr in TEXT and key.vr != "UI" else b"\0"
        return key.value + padding * (len(key.value) & 1)
    out = bytearray()
    for item in key.items:
        content = _written(item, encoding)
        out += (_ITEM >> 16).to_bytes(2, order) + (_ITEM & 0xFFFF).to_bytes(2, order)
        out += len(content).to_bytes(4, order) + content
    return bytes(out)


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflate.decompress(data, MAX_LENGTH + 1)
    except zlib.error:
        raise _refusal("cannot be inflated") from None
    if len(inflated) > MAX_LENGTH:
        raise _refusal("is too long")
    if not inflate.eof:
        raise _refusal("is cut short")
    return inflated


def _refusal(problem: str) -> OperationRefused:
    return OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, f"the identifier {problem}")
