"""Reading a peer's bytes within bounds."""

from __future__ import annotations

from struct import Struct

from dimseproxy.errors import RemoteProtocolError

_U16 = Struct(">H")
_U32 = Struct(">I")


class Cursor:
    """
    Reads big-endian fields one after the other and refuses to read past the end.

    @param data: what is read.
    @param what: names the structure in the error, for example "A-ASSOCIATE-RQ".
    """

    __slots__ = ("_data", "_end", "_offset", "_what")

    def __init__(self, data: bytes, what: str, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._offset = start
        self._end = len(data) if end is None else end
        self._what = what

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self._offset

    def _advance(self, size: int) -> int:
        start = self._offset
        if size > self._end - start:
            raise RemoteProtocolError(f"{self._what} ends within a field")
        self._offset = start + size
        return start

    def skip(self, size: int) -> None:
        """Pass over reserved bytes, which PS3.8 9.3.1 forbids to test."""
        self._advance(size)

    def u8(self) -> int:
        """The next byte."""
        return self._data[self._advance(1)]

    def u16(self) -> int:
        """The next two bytes as an unsigned number."""
        value: int = _U16.unpack_from(self._data, self._advance(2))[0]
        return value

    def u32(self) -> int:
        """The next four bytes as an unsigned number."""
        value: int = _U32.unpack_from(self._data, self._advance(4))[0]
        return value

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self._advance(size)
        return self._data[start : start + size]

    def item(self, what: str) -> tuple[int, Cursor]:
        """The next item or sub-item (type, a reserved byte, 16-bit length): its type, and a cursor over its value."""
        item_type = self.u8()
        self.skip(1)
        length = self.u16()
        start = self._advance(length)
        return item_type, Cursor(self._data, what, start, start + length)

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(self.remaining)
