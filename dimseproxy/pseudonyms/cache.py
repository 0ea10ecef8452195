"""What a pseudonym service has said, remembered for a while."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from dimseproxy.pseudonyms.recent import Recent

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """
    Forgets what has not been read for long when it is full, and everything after its lifetime.

    @param seconds: tells the time.
    @param entries: how many it holds at most; 0 remembers nothing.
    @param lifetime: seconds after which an entry is asked for again: a service may withdraw a pseudonym.
    """

    def __init__(self, seconds: Callable[[], float], entries: int, lifetime: float) -> None:
        self._seconds = seconds
        self._lifetime = lifetime
        self._known: Recent[K, tuple[V, float]] | None = Recent(entries) if entries else None

    def get(self, key: K) -> V | None:
        """What is known, or None."""
        if self._known is None:
            return None
        found = self._known.get(key)
        if found is None:
            return None
        value, until = found
        if self._seconds() >= until:
            self._known.forget(key)
            return None
        return value

    def among(self, keys: Iterable[K]) -> dict[K, V]:
        """What is known of many keys."""
        if self._known is None:
            return {}
        return {key: value for key in self._known.among(keys) if (value := self.get(key)) is not None}

    def put(self, key: K, value: V) -> None:
        """Remember, from now on for a lifetime."""
        self.put_all(((key, value),))

    def put_all(self, entries: Iterable[tuple[K, V]]) -> None:
        """Remember many."""
        if self._known is not None:
            until = self._seconds() + self._lifetime
            self._known.put_all([(key, (value, until)) for key, value in entries])

    def forget(self, key: K) -> None:
        """Ask for it again the next time."""
        if self._known is not None:
            self._known.forget(key)
