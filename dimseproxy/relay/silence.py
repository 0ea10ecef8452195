"""How long nothing has happened, measured by looking now and then."""

from __future__ import annotations


class Silence:
    """
    Noting that something happens costs less than asking the clock each time.

    @param now: the time it begins.
    """

    def __init__(self, now: float) -> None:
        self._is_broken = False
        self._since = now

    def broken(self) -> None:
        """Something happened."""
        self._is_broken = True

    def lasts(self, now: float) -> float:
        """For how many seconds nothing has happened, as far as the looks can tell."""
        if self._is_broken:
            self._is_broken = False
            self._since = now
        return now - self._since
