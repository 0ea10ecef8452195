"""Searches of the guard, to their end."""

from __future__ import annotations

from dimseproxy.privacy.guard import Search


def finds(searching: Search | None) -> bool:
    """What a search returns, whoever would have had a turn meanwhile."""
    if searching is None:
        return False
    while True:
        try:
            next(searching)
        except StopIteration as end:
            return bool(end.value)


def slices(searching: Search | None) -> int:
    """How often a search gives way to others."""
    return 0 if searching is None else sum(1 for _ in searching)
