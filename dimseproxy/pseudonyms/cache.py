"""What a pseudonym service has said, remembered for a while."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """
    Forgets what has not been read for longest when it is full, and everything after its lifetime.

    @param seconds: tells the time.
    @param entries: how many it holds at most; 0 remembers nothing.
    @param lifetime: seconds after which an entry is asked for again: a service may withdraw a pseudonym.
    """

    def __init__(self, seconds: Callable[[], float], entries: int, lifetime: float) -> None:
        self._seconds = seconds
        self._entries = entries
        self._lifetime = lifetime
        self._known: OrderedDict[K, tuple[V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: K) -> V | None:
        """What is known, or None."""
        found = self._known.get(key)
        if found is None:
            return None
        value, until = found
        if self._seconds() >= until:
            del self._known[key]
            return None
        self._known.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Remember, from now on for a lifetime."""
        if not self._entries:
            return
        self._known[key] = (value, self._seconds() + self._lifetime)
        self._known.move_to_end(key)
        if len(self._known) > self._entries:
            self._known.popitem(last=False)

    def forget(self, key: K) -> None:
        """Ask for it again the next time."""
        self._known.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
