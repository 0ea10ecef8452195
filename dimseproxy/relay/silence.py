"""How long nothing has happened, measured by looking now and then."""

from __future__ import annotations


class Silence:
    """
    Counting what happens costs less than asking the clock each time.

    @param now: the time it begins.
    """

    def __init__(self, now: float) -> None:
        self._events = 0
        self._seen = 0
        self._since = now

    def broken(self) -> None:
        """Something happened."""
        self._events += 1

    def lasts(self, now: float) -> float:
        """For how many seconds nothing has happened, as far as the looks can tell."""
        if self._events != self._seen:
            self._seen = self._events
            self._since = now
        return now - self._since
