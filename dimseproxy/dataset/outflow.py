"""What leaves: edited elements between runs of kept bytes, held until a flush, and bulk that need not be held."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Final

from dimseproxy.dataset.element import Element, Limits
from dimseproxy.dataset.frames import layout_of
from dimseproxy.dataset.vr import PIXEL_DATA
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

#: Changes bytes of a bulk value on their way: their offset in the value, the bytes -> as many bytes.
Overlay = Callable[[int, memoryview], bytes | memoryview]
#: What an edited element is counted for besides its value: the objects around it cost memory too.
ELEMENT_COST: Final = 64
#: The least effort: a relay has no time, and what is big is often deflated once more by nobody.
_DEFLATE_LEVEL: Final = 1


class Outflow:
    """
    Bytes on their way out.

    @ivar pieces: held: bytes, and elements that wait for their answers.
    @ivar held: how many bytes they count for.
    @ivar bulk: not held, for the next flush.
    @ivar bulk_length: how many bytes of bulk there are.
    @ivar is_flowing: whether what is kept is bulk now.
    @ivar bulk_tag: of the bulk value at hand; 0 where there is none.
    @ivar bulk_value_length: its length in bytes; None where it is encapsulated.
    @ivar overlay: what changes the native Pixel Data, if anything.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pieces: list[bytes | bytearray | Element] = []
        self._prepared: list[bytes] = []
        self._next = 0
        self.held = 0
        self.bulk: list[memoryview] = []
        self.bulk_length = 0
        self.is_flowing = False
        self.overlay: Overlay | None = None
        self.bulk_tag = 0
        self.bulk_value_length: int | None = None
        self._bulk_offset = 0

    def begin_bulk(self, tag: int, length: int | None) -> None:
        """
        From here on what is kept need not be held.

        @param length: of the value in bytes; None where it is encapsulated.
        """
        self.is_flowing = True
        self.bulk_tag, self.bulk_value_length = tag, length
        self._bulk_offset = 0

    def end_bulk(self) -> None:
        """From here on what is kept is held again."""
        self.is_flowing = False
        self.bulk_tag = 0

    @property
    def is_overlaid(self) -> bool:
        """Whether the bulk at hand must not leave as it is."""
        return self.overlay is not None and self.bulk_tag == PIXEL_DATA

    def check_overlay(self) -> None:
        """
        Before bulk flows.

        @raise OperationRefused: where it would have to be changed and is encapsulated.
        """
        if self.is_overlaid and self.bulk_value_length is None:
            raise OperationRefused(Status.PROCESSING_FAILURE, "compressed pixel data cannot be changed")

    def passed(self, count: int) -> None:
        """So many bytes of bulk have left on another way."""
        self._bulk_offset += count

    def keep(self, view: memoryview) -> None:
        """
        Bytes that cross as they are.

        @raise OperationRefused: where too much would be held.
        """
        if not self.is_flowing:
            pieces = self.pieces
            # A copy: a view would hold all that was received with it, and pieces of single bytes cost more than bytes.
            if pieces and type(pieces[-1]) is bytearray:
                pieces[-1] += view
            else:
                pieces.append(bytearray(view))
            self.hold(len(view))
            return
        length = len(view)
        if self.overlay is not None and self.is_overlaid:
            changed = memoryview(self.overlay(self._bulk_offset, view))
            if len(changed) != length:
                raise OperationRefused(Status.PROCESSING_FAILURE, "a bulk value would change its length")
            view = changed
        self.bulk.append(view)
        self.bulk_length += length
        self._bulk_offset += length

    def write(self, written: bytes) -> None:
        """Bytes of our own."""
        self.pieces.append(written)
        self.hold(len(written))

    def edit(self, element: Element) -> None:
        """An element whose answer is due at the flush."""
        self.pieces.append(element)
        self.hold(len(element.value) + ELEMENT_COST)

    def hold(self, count: int) -> None:
        """
        So much more is held.

        @raise OperationRefused: where that is too much.
        """
        self.held += count
        if self.held > self._limits.head:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "data set is too big without its bulk data")

    def prepare(self, budget: int) -> bool:
        """
        Write the next elements that were answered, so that less is left to do for `take_pieces`.

        @param budget: how many pieces at most.
        @return: whether there are more.
        @raise OperationRefused: where an element has no answer.
        """
        start, end = self._next, min(self._next + budget, len(self.pieces))
        self._prepared.append(b"".join(written_pieces(self.pieces[start:end])))
        # Let go of now, and not of a hundred thousand at once.
        self.pieces[start:end] = [b""] * (end - start)
        self._next = end
        return end < len(self.pieces)

    def written(self) -> bytes:
        """
        What is held, in one piece, so that a search in it finds what lies across the pieces it came in.

        @raise OperationRefused: where an element has no answer.
        """
        pieces = self.pieces[self._next :] if self._next else self.pieces
        joined = b"".join([*self._prepared, *written_pieces(pieces)])
        self.pieces.clear()
        self._prepared = [joined]
        self._next = 0
        return joined

    def take_pieces(self) -> bytes:
        """As `written`, and hold it no longer."""
        written = self.written()
        self._prepared.clear()
        self.held = 0
        return written

    def take_bulk(self) -> list[memoryview]:
        """The bulk so far."""
        bulk, self.bulk, self.bulk_length = self.bulk, [], 0
        return bulk


class Deflater:
    """Deflates what leaves (PS3.5 A.5)."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
        self._length = 0

    def deflate(self, pieces: list[bytes | memoryview], is_last: bool) -> list[bytes | memoryview]:
        """As much as comes out now; of even length in the end."""
        out = [self._deflate.compress(piece) for piece in pieces]
        if is_last:
            out.append(self._deflate.flush())
        self._length += sum(map(len, out))
        if is_last and self._length & 1:
            out.append(b"\0")
        return [piece for piece in out if piece]


def written_pieces(pieces: Iterable[bytes | bytearray | Element]) -> list[bytes | bytearray]:
    """
    Pieces as they leave.

    @raise OperationRefused: where an element has no answer.
    """
    leaving: list[bytes | bytearray] = []
    encoding = None
    for piece in pieces:
        if not isinstance(piece, Element):
            leaving.append(piece)
        elif piece.answer is not None or not piece.is_answered:
            if piece.level.encoding is not encoding:
                encoding = piece.level.encoding
                written = layout_of(encoding.is_implicit, encoding.is_little_endian).written
            leaving.append(written(piece))
    return leaving
