"""Where a scanner is: the data set, its sequences and their items, as a stack of frames."""

from __future__ import annotations

import sys
from enum import Enum, auto
from functools import cache
from struct import Struct
from typing import Final

from attrs import define, frozen

from dimseproxy.dataset.element import UNDEFINED_LENGTH, Element, Level, Plan
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.vr import FORMS, is_vr
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

ITEM: Final = 0xFFFEE000
ITEM_DELIMITER: Final = 0xFFFEE00D
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
#: The first tag that no element of a data set has.
FIRST_DELIMITER: Final = 0xFFFE0000
#: The end of a data set, before it is known.
ENDLESS: Final = sys.maxsize
#: Group 0002 is file meta information (PS3.10 7.1); the last tag before those of data sets.
BEFORE_DATA_SETS: Final = 0x0003FFFF
#: Longest value with a length of 16 bits; a longer one is written as UN (PS3.5 6.2.2).
_LONGEST_SHORT: Final = 0xFFFE


class Mode(Enum):
    """What comes next in a frame."""

    ELEMENTS = auto()
    ITEMS = auto()
    FRAGMENTS = auto()


@define(eq=False)
class Frame:
    """
    A data set or an item (`ELEMENTS`), a sequence (`ITEMS`) or an encapsulated value (`FRAGMENTS`).

    @ivar level: that of the elements, or that which the sequence is in.
    @ivar layout: how headers are written here.
    @ivar end: where it ends at the latest, as an offset in the data set.
    @ivar is_defined: whether it ends exactly there; otherwise a delimiter ends it.
    @ivar drops: whether nothing of it crosses.
    @ivar tag: of the sequence.
    @ivar plan: for the items of a sequence.
    @ivar last: the last element's tag.
    @ivar items: how many began.
    """

    mode: Mode
    level: Level
    layout: Layout
    end: int
    is_defined: bool = False
    drops: bool = False
    tag: int = 0
    plan: Plan | None = None
    last: int = BEFORE_DATA_SETS
    items: int = 0


@frozen
class Layout:
    """Headers of an encoding: how they are read, and those that we write ourselves."""

    encoding: Encoding
    #: Group, element, VR, 16 bits of length; in implicit VR group, element, 32 bits of length.
    header: Struct
    #: 32 bits of length after a VR and two reserved bytes.
    long_length: Struct
    #: Group, element, length of items and delimiters.
    item: Struct
    item_header: bytes
    item_delimiter: bytes
    sequence_delimiter: bytes

    def sequence_header(self, tag: int, code: bytes) -> bytes:
        """
        The header of a sequence of undefined length.

        @param code: SQ or UN; no matter in implicit VR.
        """
        if self.encoding.is_implicit:
            return self.item.pack(tag >> 16, tag & 0xFFFF, UNDEFINED_LENGTH)
        return self.header.pack(tag >> 16, tag & 0xFFFF, code, 0) + self.long_length.pack(UNDEFINED_LENGTH)

    def written(self, element: Element) -> bytes:
        """
        An element as its editor wants it; nothing where it is dropped.

        @raise OperationRefused: where the editor did not answer.
        """
        value = element.answer
        if value is None:
            if element.is_answered:
                return b""
            raise OperationRefused(Status.PROCESSING_FAILURE, "an element that must be edited was not")
        return self.encoded(element.tag, element.vr_out, value)

    def encoded(self, tag: int, vr: str, value: bytes) -> bytes:
        """
        An element.

        @param value: without padding.
        @raise OperationRefused: for what is no VR.
        """
        code, header_length, padding = FORMS.get(vr) or _unknown_form(vr)
        if len(value) & 1:
            value += padding
        if self.encoding.is_implicit:
            return self.item.pack(tag >> 16, tag & 0xFFFF, len(value)) + value
        if header_length == 8:
            if len(value) <= _LONGEST_SHORT:
                return self.header.pack(tag >> 16, tag & 0xFFFF, code, len(value)) + value
            code = b"UN"
        return self.header.pack(tag >> 16, tag & 0xFFFF, code, 0) + self.long_length.pack(len(value)) + value


def _unknown_form(vr: str) -> tuple[bytes, int, bytes]:
    """A VR that nobody knows has a length of 32 bits (PS3.5 7.1.2), and may be no text."""
    code = vr.encode()
    if not is_vr(code):
        raise OperationRefused(Status.PROCESSING_FAILURE, "element without a value representation")
    return code, 12, b"\0"


@cache
def layout_of(is_implicit: bool, is_little_endian: bool) -> Layout:
    """The layout of an encoding, deflated or not."""
    order = "<" if is_little_endian else ">"
    item = Struct(f"{order}HHL")

    def delimiter(tag: int, length: int = 0) -> bytes:
        return item.pack(tag >> 16, tag & 0xFFFF, length)

    return Layout(
        encoding=Encoding(is_implicit, is_little_endian),
        header=item if is_implicit else Struct(f"{order}HH2sH"),
        long_length=Struct(f"{order}L"),
        item=item,
        item_header=delimiter(ITEM, UNDEFINED_LENGTH),
        item_delimiter=delimiter(ITEM_DELIMITER),
        sequence_delimiter=delimiter(SEQUENCE_DELIMITER),
    )


#: What a sequence of unknown VR holds, whatever the data set's own encoding (PS3.5 6.2.2).
UNKNOWN_LAYOUT: Final = layout_of(True, True)
