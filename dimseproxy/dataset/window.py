"""The part of a data set that is scanned now, between its inflow and its outflow."""

from __future__ import annotations

from typing import Final

from dimseproxy.dataset.inflow import InflatingInflow, Inflow
from dimseproxy.dataset.outflow import Outflow

#: Bytes of an edited value that cost as much as an element scanned: each value in it may be read and looked up.
EDITED_OCTETS: Final = 64
#: What inflating one step costs, in elements scanned.
_INFLATION_COST: Final = 500


class Window:
    """
    Bytes that were taken from the inflow, and how far they are scanned.

    Bytes are copied only where an element's header or an edited value lies across two pieces of the inflow: each of
    them once, however small the pieces are.
    """

    def __init__(self, inflow: Inflow, outflow: Outflow) -> None:
        self._inflow = inflow
        self._out = outflow
        #: What is scanned, what was scanned of it, from where on that is kept, and its offset in the data set.
        self._data = b""
        self._at = 0
        self._run = 0
        self._base = 0
        #: What must be joined with the data before the next element is whole.
        self._more = bytearray()
        #: How much of a value that nobody looks at is to come, and whether it is dropped.
        self._rest = 0
        self._drops_rest = False
        self._step_cost = _INFLATION_COST if isinstance(inflow, InflatingInflow) else 0
        #: What taking has cost since somebody last asked, in elements scanned.
        self._cost = 0

    def _have(self, count: int) -> bool:
        """Whether so many bytes from here on are there in one piece; they are put together if they can be."""
        held = len(self._data) - self._at
        if held >= count:
            return True
        self._cut()
        more = self._more
        while held + len(more) < count:
            taken = self._inflow.take()
            if not taken:
                return False
            self._cost += self._step_cost
            if not held and not more and len(taken) >= count:
                self._base += self._at
                self._data, self._at, self._run = taken, 0, 0
                return True
            more += taken
        self._base += self._at
        self._data, self._at, self._run = self._data[self._at :] + more, 0, 0
        self._more = bytearray()
        return True

    def _cut(self) -> None:
        """What was kept so far goes out."""
        if self._run < self._at:
            self._out.keep(memoryview(self._data)[self._run : self._at])
            self._run = self._at

    def _pass_value(self) -> bool:
        """More of a value that nobody looks at; False where data are missing."""
        count = min(self._rest, len(self._data) - self._at)
        if count:
            self._at += count
            self._rest -= count
            if self._drops_rest:
                self._run = self._at
        else:
            self._cut()
            self._base += self._at
            self._data, self._at, self._run = b"", 0, 0
            views = self._inflow.take_views(self._rest)
            if not views:
                return False
            self._cost += self._step_cost
            for view in views:
                self._base += len(view)
                self._rest -= len(view)
                if not self._drops_rest:
                    self._out.keep(view)
        return True
