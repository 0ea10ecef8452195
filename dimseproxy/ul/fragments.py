"""
Message fragments: what P-DATA-TF PDUs carry (PS3.8 9.3.5 and Annex E).

A fragment that came in PDUs of one PDV each, and is all that they carry, knows them: `data` are the received bytes, of
which the PDUs are those from `start` to `end`, and `longest` is the largest value in their length fields, to compare
with a peer's maximum length.  Where `longest` is 0 there are no such PDUs.  So a leg that may send PDUs that long sends
them as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final

#: PDU header, PDV length, presentation context id, message control header (PS3.8 9.3.5 and E.2).
SINGLE_PDV_PREFIX: Final = Struct(">BxIIBB")
_PREFIX_LENGTH: Final = SINGLE_PDV_PREFIX.size
#: What a PDU is longer by than its length field says.
PDU_HEADER_LENGTH: Final = 6


class CommandFragment:
    """
    Some of a command set, in order.

    @ivar value: its bytes, without any header.
    @ivar is_last: whether the command set ends here.
    """

    __slots__ = ("context_id", "data", "end", "is_last", "longest", "start", "value")

    def __init__(
        self,
        context_id: int,
        value: bytes,
        is_last: bool,
        data: bytes = b"",
        start: int = 0,
        end: int = 0,
        longest: int = 0,
    ) -> None:
        self.context_id = context_id
        self.value = value
        self.is_last = is_last
        self.data = data
        self.start = start
        self.end = end
        self.longest = longest


class DataSetFragment:
    """
    Some of a data set, in order: one PDV, or several that came one after the other.

    @ivar is_last: whether the data set, and with it the message, ends here.
    @ivar octets: how many bytes this takes, PDU headers included where it knows its PDUs.
    """

    __slots__ = ("_pdus", "_views", "context_id", "data", "end", "is_last", "longest", "octets", "start")

    def __init__(
        self,
        context_id: int,
        views: Sequence[memoryview],
        is_last: bool,
        data: bytes = b"",
        start: int = 0,
        end: int = 0,
        longest: int = 0,
        pdus: int = 0,
    ) -> None:
        self.context_id = context_id
        self._views = views
        self.is_last = is_last
        self.data = data
        self.start = start
        self.end = end
        self.longest = longest
        self._pdus = pdus
        self.octets = end - start if longest else sum(map(len, views))

    @property
    def views(self) -> Iterable[memoryview]:
        """The bytes of the data set, without any header."""
        return self._pdv_views() if self.longest else self._views

    def _pdv_views(self) -> Iterator[memoryview]:
        view = memoryview(self.data)
        offset = self.start
        while offset < self.end:
            _, length, _, _, _ = SINGLE_PDV_PREFIX.unpack_from(self.data, offset)
            end = offset + PDU_HEADER_LENGTH + length
            yield view[offset + _PREFIX_LENGTH : end]
            offset = end

    @property
    def data_length(self) -> int:
        """How many bytes of the data set this is, without any header."""
        return self.octets - self._pdus * _PREFIX_LENGTH

    def in_context(self, context_id: int) -> DataSetFragment:
        """The same bytes for another presentation context; they are framed anew if it is another one."""
        if context_id == self.context_id:
            return self
        return DataSetFragment(context_id, list(self.views), self.is_last)

    def __bytes__(self) -> bytes:
        return b"".join(self.views)

    def __repr__(self) -> str:
        return f"DataSetFragment({self.context_id}, {self.data_length} bytes, is_last={self.is_last})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DataSetFragment)
            and (self.context_id, self.is_last) == (other.context_id, other.is_last)
            and bytes(self) == bytes(other)
        )

    __hash__ = None  # type: ignore[assignment]
