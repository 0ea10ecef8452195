"""An immutable, hashable mapping, so that settings which hold mappings are values like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class FrozenMapping(Mapping[K, V]):
    """A mapping that keeps its order and cannot change. Equal to any mapping with the same entries."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[K, V] | None = None) -> None:
        self._entries = MappingProxyType(dict(entries or {}))

    def __getitem__(self, key: K) -> V:
        return self._entries[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __hash__(self) -> int:
        return hash(frozenset(self._entries.items()))

    def __repr__(self) -> str:
        return f"FrozenMapping({dict(self._entries)!r})"


def freeze(entries: Mapping[K, V]) -> Mapping[K, V]:
    """The entries as a `FrozenMapping`; one that is frozen already is returned as it is."""
    return entries if isinstance(entries, FrozenMapping) else FrozenMapping(entries)
