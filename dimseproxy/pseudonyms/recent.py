"""What was used last, up to a number of entries."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Final, Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")

#: From this many entries on they are kept in sections.
_MANY: Final = 4096
_SECTIONS: Final = 64


class Recent(Generic[_Key, _Value]):
    """
    A mapping that forgets what was not asked for the longest.

    Python builds a table that is full anew, beside the old one: with a hundred thousand entries that takes 40 ms and
    some megabytes, again and again.  So there are sections, each of which forgets for itself.

    @param most: entries; one at least.
    """

    def __init__(self, most: int) -> None:
        self._count = _SECTIONS if most >= _MANY else 1
        self._most = most // self._count
        self._sections: list[OrderedDict[_Key, _Value]] = [OrderedDict() for _ in range(self._count)]

    def __len__(self) -> int:
        return sum(map(len, self._sections))

    def __contains__(self, key: _Key) -> bool:
        return key in self._sections[hash(key) % self._count]

    def get(self, key: _Key) -> _Value | None:
        """The value of a key, which counts as used."""
        section = self._sections[hash(key) % self._count]
        value = section.get(key)
        if value is not None:
            section.move_to_end(key)
        return value

    def put(self, key: _Key, value: _Value) -> None:
        """Take an entry in, at the expense of one that was not used for long."""
        self.put_all(((key, value),))

    def among(self, keys: Iterable[_Key]) -> list[_Key]:
        """Those of many keys that have an entry; none of them counts as used."""
        sections, count = self._sections, self._count
        return [key for key in keys if key in sections[hash(key) % count]]

    def put_all(self, entries: Iterable[tuple[_Key, _Value]]) -> None:
        """Take many entries in; see `put`."""
        sections, count, most = self._sections, self._count, self._most
        for key, value in entries:
            section = sections[hash(key) % count]
            section[key] = value
            section.move_to_end(key)
            if len(section) > most:
                section.popitem(last=False)

    def forget(self, key: _Key) -> None:
        """Take an entry out, if it is there."""
        self._sections[hash(key) % self._count].pop(key, None)
