"""The head of a data set taken apart: each element of the data set itself, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import field, frozen

from dimseproxy.dataset.element import Editor, Element, Limits
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.inflow import Inflow
from dimseproxy.dataset.outflow import Outflow
from dimseproxy.dataset.scanner import Scanner


@frozen
class Step:
    """
    An element of the data set itself, a sequence with all that is in it; or what is inserted before one.

    @ivar raw: as it came, header and all; nothing where it is inserted.  Of a bulk value only the header.
    @ivar pieces: what comes of it: bytes, and elements that the editor has seen.
    """

    raw: bytes = field(repr=False)
    pieces: tuple[bytes | bytearray | Element, ...] = field(repr=False)


class Steps(Scanner):
    """
    A scanner that goes through a head once more, and slowly: what it finds is kept for longer than one data set.

    @param head: from the beginning up to and with the header of the first bulk value, not deflated.
    @ivar bulk_length: of that value in bytes, once it is reached; None where it is encapsulated.
    """

    def __init__(self, encoding: Encoding, editor: Editor, head: bytes) -> None:
        inflow, limits = Inflow(), Limits()
        inflow.feed([memoryview(head)], False)
        super().__init__(encoding, editor, limits, inflow, Outflow(limits))
        self._head = head

    @property
    def bulk_length(self) -> int | None:
        return self._out.bulk_value_length

    def __iter__(self) -> Iterator[Step]:
        """
        @raise OperationRefused: where the head cannot be read; where it ends before its bulk value, nothing more comes.
        """
        pieces = self._out.pieces
        while not self.is_stopped:
            begin = self._base + self._at
            if not self._one():
                return
            self._cut()
            yield Step(self._head[begin : self._base + self._at], tuple(pieces))
            pieces.clear()

    def _one(self) -> bool:
        """One step; false where the head ends within it."""
        while True:
            has_more = self.work(1)
            if self.is_stopped:
                return True
            if self._frame is self._top and not self._rest:
                # An insertion takes a step of its own, and nothing of the head.
                return has_more
            if not has_more:
                return False
