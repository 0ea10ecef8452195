"""The bytes of a data set on their way in, inflated where they are deflated (PS3.5 A.5)."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable
from typing import Final

from dimseproxy.dataset.element import Limits
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused

#: What is inflated at once: a fraction of a millisecond's work.
INFLATION_STEP: Final = 64 * 1024
#: What is inflated from: zlib copies the rest of it at each step.
_DEFLATED_STEP: Final = 16 * 1024
#: Behind deflated data: a NUL for an even length (PS3.5 A.5), and from some peers the checksum and length of gzip.
_MAX_TRAILING: Final = 9


class Inflow:
    """Received bytes that are not scanned yet."""

    def __init__(self) -> None:
        self._fed: deque[memoryview] = deque()
        self._is_last_fed = False

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        """More of the data set; it costs nothing here."""
        self._fed.extend(view for view in views if len(view))
        self._is_last_fed = self._is_last_fed or is_last

    @property
    def is_empty(self) -> bool:
        """Whether all that was fed is taken."""
        return not self._fed

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be taken, now or later."""
        return self._is_last_fed and not self._fed

    @property
    def is_last_fed(self) -> bool:
        """Whether the end of the data set was fed."""
        return self._is_last_fed

    def take(self) -> bytes:
        """What there is, in one piece; empty where there is nothing."""
        taken = bytes(self._fed[0]) if len(self._fed) == 1 else b"".join(self._fed)
        self._fed.clear()
        return taken

    def take_views(self, most: int) -> list[memoryview]:
        """What there is of the next bytes, without a copy; empty where there is nothing."""
        return self.take_fed(most)

    def take_fed(self, most: int) -> list[memoryview]:
        """What was fed, as it was fed."""
        taken = []
        while most and self._fed:
            view = self._fed.popleft()
            if len(view) > most:
                self._fed.appendleft(view[most:])
                view = view[:most]
            most -= len(view)
            taken.append(view)
        return taken


class InflatingInflow(Inflow):
    """
    Inflates in steps, so that a small data set that becomes a big one is never in memory as a whole.

    @raise OperationRefused: from `take` and `take_views`, where the limits are passed or the data are broken.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._rest = b""
        #: Whether the last step filled its space: more may come without more input.
        self._was_full = False
        self._received = 0
        self._inflated = 0
        self._has_ended = False
        self._trailing = 0

    @property
    def is_empty(self) -> bool:
        return not self._fed and not self._rest and not self._was_full

    @property
    def is_over(self) -> bool:
        return self._is_last_fed and self.is_empty and self._inflate.eof

    def take(self) -> bytes:
        return self._step(INFLATION_STEP)

    def take_views(self, most: int) -> list[memoryview]:
        step = self._step(min(most, INFLATION_STEP))
        return [memoryview(step)] if step else []

    def _step(self, most: int) -> bytes:
        while not self._inflate.eof:
            if not self._rest and not self._was_full:
                if not self._fed:
                    if self._is_last_fed:
                        raise OperationRefused(Status.PROCESSING_FAILURE, "deflated data set is cut short")
                    return b""
                self._rest = b"".join(self.take_fed(_DEFLATED_STEP))
                self._received += len(self._rest)
            try:
                step = self._inflate.decompress(self._rest, most)
            except zlib.error:
                raise OperationRefused(Status.PROCESSING_FAILURE, "deflated data set cannot be inflated") from None
            self._rest = self._inflate.unconsumed_tail
            self._was_full = len(step) == most
            if step:
                self._inflated += len(step)
                if self._inflated > self._limits.inflated + self._limits.inflation * self._received:
                    raise OperationRefused(Status.OUT_OF_RESOURCES, "data set inflates to too much")
                return step
        self._end()
        return b""

    def _end(self) -> None:
        """What follows the deflated data is dropped, but there must not be a second data set."""
        self._rest, self._was_full = b"", False
        if not self._has_ended:
            self._has_ended = True
            self._trailing = len(self._inflate.unused_data)
        self._trailing += sum(map(len, self._fed))
        self._fed.clear()
        if self._trailing > _MAX_TRAILING:
            raise OperationRefused(Status.PROCESSING_FAILURE, "bytes after the end of a deflated data set")
