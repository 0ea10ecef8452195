"""The parts of a message: what crosses the joint (PS3.7 6.3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.ul.framer import Framed


class Command:
    """
    A command set in a presentation context.  A data set follows where the command set says so.

    @ivar framed: the PDU that it came in, all of it and nothing else.
    """

    __slots__ = ("command_set", "context_id", "framed")

    def __init__(self, context_id: int, command_set: CommandSet, framed: Framed | None = None) -> None:
        self.context_id = context_id
        self.command_set = command_set
        self.framed = framed

    def __repr__(self) -> str:
        return f"Command({self.context_id}, {self.command_set!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Command) and self.context_id == other.context_id and self.command_set == other.command_set
        )

    __hash__ = None  # type: ignore[assignment]


class DataSetFragment:
    """
    Some of a data set, in order.

    A fragment that came off the wire knows the PDUs it came in, so that a leg which may send PDUs that long sends them
    as they are.  Everybody else reads `views`.

    @ivar is_last: whether the data set ends here.
    @ivar framed: P-DATA-TF PDUs, all of this context; None where there are only views.
    """

    __slots__ = ("_views", "context_id", "framed", "is_last")

    def __init__(
        self,
        context_id: int,
        views: Sequence[memoryview],
        is_last: bool,
        framed: Framed | None = None,
    ) -> None:
        self.context_id = context_id
        self.is_last = is_last
        self.framed = framed
        self._views = views

    @property
    def views(self) -> Iterable[memoryview]:
        """The bytes of the data set, without any header."""
        return self._views if self.framed is None else self.framed.pdv_views()

    @property
    def octets(self) -> int:
        """How many bytes this takes, PDU headers included where it has some."""
        return len(self.framed) if self.framed is not None else sum(map(len, self._views))

    @property
    def data_length(self) -> int:
        """How many bytes of the data set this is, without any header."""
        return self.framed.data_length if self.framed is not None else sum(map(len, self._views))

    def in_context(self, context_id: int) -> DataSetFragment:
        """The same bytes for another presentation context; they are framed anew if it is another one."""
        if context_id == self.context_id:
            return self
        return DataSetFragment(context_id, list(self.views), self.is_last)

    def __bytes__(self) -> bytes:
        return b"".join(self.views)

    def __repr__(self) -> str:
        return f"DataSetFragment({self.context_id}, {sum(map(len, self.views))} bytes, is_last={self.is_last})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, DataSetFragment)
            and (self.context_id, self.is_last) == (other.context_id, other.is_last)
            and bytes(self) == bytes(other)
        )

    __hash__ = None  # type: ignore[assignment]


Part = Command | DataSetFragment
