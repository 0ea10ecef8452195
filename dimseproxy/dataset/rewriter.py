"""
Edits a data set while it crosses: the head is held until its identities are known, bulk passes untouched.

The head is everything before the first bulk value of the data set itself: Pixel Data, or an encapsulated value or a
kept one of more than 64 KiB behind Burned In Annotation (0028,0301).  A long value before that is held as part of the
head, because until it is known who the patient is and what the pixels show, nothing may leave; a long value in an item
is held too, because the elements behind it in the item may decide about the whole.  What follows a bulk value is held
until the next one, or the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dimseproxy.dataset.element import UNDEFINED_LENGTH, Editor, Element, Level, Limits, Plan, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.inflow import InflatingInflow, Inflow
from dimseproxy.dataset.outflow import Deflater, Outflow, Overlay
from dimseproxy.dataset.scanner import Scanner
from dimseproxy.dimse.status import Status
from dimseproxy.errors import LocalProtocolError, OperationRefused

__all__ = ["UNDEFINED_LENGTH", "Editor", "Element", "Level", "Limits", "Overlay", "Plan", "Rewriter", "Treatment"]


_LIMITS: Final = Limits()


class Rewriter:
    """
    A data set on its way through an editor.

    Feed it, let it `work` until there is nothing more to do, and where it `waits` then, `flush` it and go on::

        rewriter.feed(views, is_last)
        while True:
            while rewriter.work():
                ...  # let others work too
            if not rewriter.waits:
                break
            ...  # answer the elements that were edited
            send(rewriter.flush())

    @param encoding: of the data set as it comes and as it leaves.
    @param editor: who decides; see `Editor`.
    @ivar overlay: changes the bytes of native Pixel Data on their way, as blanking does: their offset in the value,
        the bytes -> as many bytes.  To be set before the flush of the head, which refuses it for compressed pixels.
    """

    def __init__(self, encoding: Encoding, editor: Editor, limits: Limits = _LIMITS) -> None:
        self._inflow = InflatingInflow(limits) if encoding.is_deflated else Inflow()
        self._deflater = Deflater() if encoding.is_deflated else None
        self._out = Outflow(limits)
        self._scanner = Scanner(encoding, editor, limits, self._inflow, self._out)
        self._is_broken = False
        #: Whether all of the data set has left.
        self.is_complete = False

    @property
    def overlay(self) -> Overlay | None:
        return self._out.overlay

    @overlay.setter
    def overlay(self, overlay: Overlay | None) -> None:
        self._out.overlay = overlay

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        """
        More of the data set.  Nothing is done with it yet.

        @param views: of bytes that nobody changes.
        @param is_last: whether the data set ends with them; they may be empty then.
        """
        if self._inflow.is_last_fed:
            raise LocalProtocolError("a data set goes on after its end")
        self._inflow.feed(views, is_last)

    def work(self, budget: int = 2000) -> bool:
        """
        Scan what was fed.

        @param budget: how many elements at most, so that others get their turn.
        @return: whether there is more to scan without a flush.
        @raise OperationRefused: where the data set cannot or must not cross.  It never goes on after that.
        """
        if self.is_complete:
            return False
        self._check()
        try:
            return self._scanner.work(budget)
        except BaseException:
            self._is_broken = True
            raise

    @property
    def waits(self) -> bool:
        """
        Whether a flush is due: bulk, the end of the data set, or a part of bulk was reached.

        Whoever edits must have answered by then.
        """
        return not self.is_complete and not self._is_broken and (self._scanner.is_stopped or bool(self._out.bulk))

    def prepare(self, budget: int = 2000) -> bool:
        """
        Write elements that were answered, ahead of the flush, which then takes less time at once.

        @param budget: how many at most, so that others get their turn.
        @return: whether there are more.
        @raise OperationRefused: where an element that must be edited was not.
        """
        self._check()
        try:
            return self._out.prepare(budget)
        except BaseException:
            self._is_broken = True
            raise

    def written(self) -> bytes:
        """
        What the flush that is due lets go of, without bulk, in one piece and not deflated: a search in it misses
        nothing.

        @raise OperationRefused: where an element that must be edited was not.
        """
        self._check()
        if not self._scanner.is_stopped or self.is_complete:
            return b""
        try:
            return self._out.written()
        except BaseException:
            self._is_broken = True
            raise

    def flush(self) -> list[bytes | memoryview]:
        """
        What may leave now.

        @return: `bytes` for all that was scanned up to here, in one piece; `memoryview`s for bulk.  In a deflated
            data set just bytes, deflated.
        @raise OperationRefused: where an element that must be edited was not.
        """
        self._check()
        try:
            return self._flush()
        except BaseException:
            self._is_broken = True
            raise

    def _flush(self) -> list[bytes | memoryview]:
        scanner, out = self._scanner, self._out
        flushed: list[bytes | memoryview] = [*out.take_bulk()]
        if scanner.is_stopped and not self.is_complete:
            held = out.take_pieces()
            if held:
                flushed.append(held)
            out.check_overlay()
            scanner.is_stopped = False
            self.is_complete = scanner.is_over
        return flushed if self._deflater is None else self._deflater.deflate(flushed, self.is_complete)

    @property
    def bulk(self) -> tuple[int, int | None] | None:
        """The bulk value that is reached or passing: its tag, its length in bytes or None where it is encapsulated."""
        out = self._out
        return (out.bulk_tag, out.bulk_value_length) if out.is_flowing else None

    @property
    def scanned(self) -> int:
        """How many bytes of the data set are scanned: where a bulk value is reached, up to and with its header."""
        return self._scanner.scanned

    @property
    def opaque(self) -> int:
        """
        How many of the next bytes to be fed cross untouched, with nothing before them: they need not be fed.

        The last bytes of a data set are always fed.
        """
        return 0 if self._deflater is not None or self._is_broken else self._scanner.untouched

    def pass_opaque(self, count: int) -> None:
        """
        So many bytes went past the rewriter.

        @param count: at most `opaque`.
        """
        if not 0 <= count <= self.opaque:
            raise LocalProtocolError("more than opaque bytes went past")
        self._scanner.pass_untouched(count)

    def _check(self) -> None:
        if self._is_broken:
            raise OperationRefused(Status.PROCESSING_FAILURE, "data set was refused before")
