"""
A data set, while it is read, from one uncompressed transfer syntax to another (PS3.5 10, Annex A).

Values are never held: whatever is in them passes as it comes, swapped where the byte order changes.  What is known
about an element is what its header says, so:

- Sequences and items leave with undefined length, group lengths (gggg,0000) do not leave: both would be wrong.
- From implicit VR, the dictionary says the VR; where it leaves a choice, Pixel Representation (0028,0103) decides
  between US and SS, and OW stands for all that may be OB or OW (PS3.5 A.1).  What it does not know is UN.
- A value that is too long for the 16 bits of its length is UN, too (PS3.5 6.2.2).
- The value of UN is never swapped, and the items of a UN of undefined length stay in implicit VR little endian.
"""

from __future__ import annotations

from enum import Enum, auto
from struct import Struct
from typing import Final, Protocol

from attrs import define
from pydicom._dicom_dict import DicomDictionary

from dimseproxy.dataset.element import UNDEFINED_LENGTH
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.frames import (
    FIRST_DELIMITER,
    ITEM,
    ITEM_DELIMITER,
    SEQUENCE_DELIMITER,
    UNKNOWN_LAYOUT,
    Layout,
    layout_of,
)
from dimseproxy.dataset.vr import FORMS, HEADER_LENGTHS, NAMES, dictionary_vr, is_vr
from dimseproxy.errors import DimseProxyError

#: How deep sequences may lie in each other.
_MAX_NESTING: Final = 64
_LONGEST_SHORT: Final = 0xFFFE
_PIXEL_REPRESENTATION: Final = 0x00280103
_US_OR_SS: Final = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "US or SS")
#: Bytes of a number in a value of this VR; others have no byte order (PS3.5 7.3).
_NUMBER_LENGTHS: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_US: Final = {True: Struct("<H"), False: Struct(">H")}


class Unconvertible(DimseProxyError):
    """A data set that is broken, or not uncompressed."""


class Reads(Protocol):
    """A data set that is read in steps; `DataSetReader` is one."""

    @property
    def total(self) -> int: ...

    @property
    def is_over(self) -> bool: ...

    def step(self) -> list[bytes]: ...


class _Mode(Enum):
    ELEMENTS = auto()
    ITEMS = auto()


@define(eq=False)
class _Frame:
    """
    The data set, a sequence of it, an item of that.

    @ivar end: where it ends as an offset in what comes in; None where a delimiter ends it.
    @ivar is_signed: whether pixel values here are (0028,0103).
    """

    mode: _Mode
    source: Layout
    target: Layout
    end: int | None
    is_signed: bool = False


class Converter:
    """
    Feed it the data set from the beginning; it gives what has to be sent::

        for piece in pieces:
            send(converter.feed(piece))
        send(converter.finish())

    @param source: how the data set is encoded; not deflated.
    @param target: how it has to be.
    """

    def __init__(self, source: Encoding, target: Encoding) -> None:
        first = layout_of(source.is_implicit, source.is_little_endian)
        second = layout_of(target.is_implicit, target.is_little_endian)
        self._frames = [_Frame(_Mode.ELEMENTS, first, second, None)]
        self._held = b""
        #: The offset, in what came in, of what is held.
        self._offset = 0
        #: How much of a value is to come, the numbers it is made of where they are swapped, and whether it leaves.
        self._rest = 0
        self._number_length = 1
        self._drops = False
        self._out: list[bytes | memoryview] = []

    def feed(self, piece: bytes) -> list[bytes | memoryview]:
        """
        More of the data set.

        @return: what can be sent of it.
        @raise Unconvertible: it cannot be converted, and what was sent of it is no data set.
        """
        data = self._held + piece if self._held else piece
        at = 0
        while True:
            if self._rest:
                taken = self._value(memoryview(data)[at:])
                at += taken
                if self._rest:
                    break
                continue
            went_to = self._header(data, at)
            if went_to is None:
                break
            at = went_to
        self._held = data[at:]
        self._offset += at
        out, self._out = self._out, []
        return out

    def finish(self) -> list[bytes | memoryview]:
        """
        The end of the data set.

        @raise Unconvertible: it was not the end.
        """
        while len(self._frames) > 1 and self._frames[-1].end == self._offset:
            self._close()
        # One NUL too many is a habit of old software.
        if self._rest or len(self._frames) > 1 or self._held not in (b"", b"\0"):
            raise Unconvertible("the data set is cut short")
        out, self._out = self._out, []
        return out

    def is_certain(self, total: int) -> bool:
        """
        Whether nothing can go wrong any longer: what comes is the rest of a value of the data set itself, and nothing
        after it.

        @param total: how long the data set is, in bytes.
        """
        if len(self._frames) > 1 or not self._rest:
            return False
        # What is held by now is the beginning of a number in that value.
        return self._offset + self._rest == total

    # Values

    def _value(self, data: memoryview) -> int:
        count = min(self._rest, len(data))
        length = self._number_length
        if length > 1:
            # An odd end of a value that is none of numbers passes as it is.
            if count == self._rest:
                whole = count - count % length
                self._out.append(_swapped(data[:whole], length))
                self._out.append(data[whole:count])
            else:
                count -= count % length
                self._out.append(_swapped(data[:count], length))
        elif not self._drops and count:
            self._out.append(data[:count])
        self._rest -= count
        return count

    # Headers

    def _header(self, data: bytes, at: int) -> int | None:
        """What begins here; where it goes on, or None where more must come first."""
        frame = self._frames[-1]
        here = self._offset + at
        if frame.end is not None and here >= frame.end:
            if here > frame.end:
                raise Unconvertible("an element is longer than what it is in")
            self._close()
            return at
        if len(data) - at < 8:
            return None
        if frame.mode is _Mode.ITEMS:
            return self._item(frame, data, at)
        group, number, length = frame.source.item.unpack_from(data, at)
        tag = group << 16 | number
        if group == FIRST_DELIMITER >> 16:
            if tag != ITEM_DELIMITER or frame.end is not None or len(self._frames) == 1:
                raise Unconvertible("an unexpected item or delimiter")
            self._close()
            return at + 8
        if frame.source.encoding.is_implicit:
            vr, code = self._implied(frame, tag), b""
            after = at + 8
        else:
            _, _, code, length = frame.source.header.unpack_from(data, at)
            vr = NAMES.get(code, "UN")
            after = at + HEADER_LENGTHS.get(code, 12)
            if after - at == 12:
                if not is_vr(code):
                    raise Unconvertible("an element without a value representation")
                if len(data) < after:
                    return None
                (length,) = frame.source.long_length.unpack_from(data, at + 8)
        return self._element(frame, data, after, tag, vr, code, length)

    def _element(
        self, frame: _Frame, data: bytes, after: int, tag: int, vr: str, code: bytes, length: int
    ) -> int | None:
        is_undefined = length == UNDEFINED_LENGTH
        end = None if is_undefined else self._offset + after + length
        if end is not None and frame.end is not None and end > frame.end:
            raise Unconvertible("an element is longer than what it is in")
        if vr == "SQ" or is_undefined:
            if vr not in ("SQ", "UN"):
                raise Unconvertible("a compressed value")
            self._descend(frame, tag, vr, end)
            return after
        if tag == _PIXEL_REPRESENTATION and length == 2:
            if len(data) < after + 2:
                return None
            order = _US[frame.source.encoding.is_little_endian]
            frame.is_signed = order.unpack_from(data, after)[0] == 1
        self._rest = length
        self._drops = not tag & 0xFFFF
        swaps = frame.source.encoding.is_little_endian != frame.target.encoding.is_little_endian
        self._number_length = _NUMBER_LENGTHS.get(vr, 1) if swaps and not self._drops else 1
        if not self._drops:
            self._out.append(_written_header(frame.target, tag, vr, code, length))
        return after

    def _implied(self, frame: _Frame, tag: int) -> str:
        """The VR in implicit VR."""
        if tag >> 16 & 1:
            return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
        if not tag & 0xFFFF:
            return "UL"
        if tag in _US_OR_SS:
            return "SS" if frame.is_signed else "US"
        return dictionary_vr(tag) or "UN"

    # Sequences

    def _descend(self, frame: _Frame, tag: int, vr: str, end: int | None) -> None:
        if len(self._frames) > 2 * _MAX_NESTING:
            raise Unconvertible("sequences are nested too deep")
        target = frame.target
        self._out.append(target.sequence_header(tag, vr.encode()))
        if vr == "UN":
            # Whatever is around it.
            inner = _Frame(_Mode.ITEMS, UNKNOWN_LAYOUT, UNKNOWN_LAYOUT, end, frame.is_signed)
        else:
            inner = _Frame(_Mode.ITEMS, frame.source, target, end, frame.is_signed)
        self._frames.append(inner)

    def _item(self, frame: _Frame, data: bytes, at: int) -> int:
        group, number, length = frame.source.item.unpack_from(data, at)
        tag = group << 16 | number
        if tag == SEQUENCE_DELIMITER and frame.end is None:
            self._close()
            return at + 8
        if tag != ITEM:
            raise Unconvertible("neither an item nor the end of a sequence")
        self._out.append(frame.target.item_header)
        end = None if length == UNDEFINED_LENGTH else self._offset + at + 8 + length
        if end is not None and frame.end is not None and end > frame.end:
            raise Unconvertible("an item is longer than what it is in")
        self._frames.append(_Frame(_Mode.ELEMENTS, frame.source, frame.target, end, frame.is_signed))
        return at + 8

    def _close(self) -> None:
        frame = self._frames.pop()
        # A delimiter is written as what it is in is.
        target = frame.target
        self._out.append(target.item_delimiter if frame.mode is _Mode.ELEMENTS else target.sequence_delimiter)


def _written_header(layout: Layout, tag: int, vr: str, code: bytes, length: int) -> bytes:
    if layout.encoding.is_implicit:
        return layout.item.pack(tag >> 16, tag & 0xFFFF, length)
    known, header_length, _ = FORMS[vr]
    if header_length == 8:
        if length <= _LONGEST_SHORT:
            return layout.header.pack(tag >> 16, tag & 0xFFFF, known, length)
        known = b"UN"
    # A VR that nobody knows stays what it is.
    return layout.header.pack(tag >> 16, tag & 0xFFFF, code if vr == "UN" and code else known, 0) + (
        layout.long_length.pack(length)
    )


def _swapped(data: memoryview, number_length: int) -> bytes:
    """Numbers of this length with their bytes in the reverse order."""
    swapped = bytearray(len(data))
    for index in range(number_length):
        swapped[index::number_length] = data[number_length - 1 - index :: number_length]
    return bytes(swapped)


class Conversion:
    """
    A data set that is read in another encoding.  Its methods block, as those of what it reads from do.

    @param reader: at the beginning of the data set.
    """

    def __init__(self, reader: Reads, source: Encoding, target: Encoding) -> None:
        self._reader = reader
        self._converter = Converter(source, target)

    @property
    def is_over(self) -> bool:
        """Whether all of it was given."""
        return self._reader.is_over

    def step(self) -> list[bytes]:
        """
        The next of it.

        @raise Unconvertible: it cannot be converted.
        """
        out: list[bytes | memoryview] = []
        for piece in self._reader.step():
            out += self._converter.feed(piece)
        if self._reader.is_over:
            out += self._converter.finish()
        # There are as many of them as there are headers.
        return [b"".join(out)]

    def check(self) -> None:
        """
        See whether all of it can be converted; it is of no use after that.

        @raise Unconvertible: it cannot.
        """
        while not self._reader.is_over:
            self.step()
            if self._converter.is_certain(self._reader.total):
                return
