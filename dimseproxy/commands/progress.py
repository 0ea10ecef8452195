"""A bar that shows how far a long command is, for those who watch it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final, TextIO

#: Seconds from one drawing to the next.
REDRAW: Final = 0.1
_WIDTH: Final = 30


class Progress:
    """
    Drawn where `out` is a terminal; anywhere else it would only fill a log.

    @param total: how much there is to do; 0 where nobody knows.
    @param now: seconds, from whenever.
    """

    def __init__(self, what: str, total: int, out: TextIO, now: Callable[[], float]) -> None:
        self._what = what
        self._total = total
        self._out = out
        self._now = now
        self._is_drawn = out.isatty()
        self._done = 0
        self._began = now()
        self._drawn: float | None = None
        self._length = 0

    def __enter__(self) -> Progress:
        self._draw()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._clear()

    def advance(self, by: int = 1) -> None:
        """So much more is done."""
        self._done += by
        if self._drawn is None or self._now() - self._drawn >= REDRAW:
            self._draw()

    def say(self, line: str, out: TextIO) -> None:
        """A line for good, above the bar."""
        self._clear()
        print(line, file=out, flush=True)
        self._draw()

    def text(self) -> str:
        """What the bar says."""
        seconds = max(self._now() - self._began, 0.0)
        rate = f"{self._done / seconds:.0f}/s" if seconds >= 1 else ""
        if not self._total:
            return f"{self._what} {self._done} {rate}".rstrip()
        share = min(self._done / self._total, 1.0)
        filled = int(share * _WIDTH)
        bar = "#" * filled + "." * (_WIDTH - filled)
        return f"{self._what} [{bar}] {self._done}/{self._total} {rate}".rstrip()

    def _draw(self) -> None:
        if not self._is_drawn:
            return
        text = self.text()
        self._out.write("\r" + text.ljust(self._length))
        self._out.flush()
        self._length = len(text)
        self._drawn = self._now()

    def _clear(self) -> None:
        if self._is_drawn and self._length:
            self._out.write("\r" + " " * self._length + "\r")
            self._out.flush()
            self._length = 0
            self._drawn = None
