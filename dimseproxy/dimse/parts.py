"""The parts of a message: what crosses the joint (PS3.7 6.3)."""

from __future__ import annotations

from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment

__all__ = ["Command", "DataSetFragment", "Part"]


class Command:
    """
    A command set in a presentation context.  A data set follows where the command set says so.

    It knows the PDU that it came in alone as fragments do, see `dimseproxy.ul.fragments`.

    @ivar is_last: whether the message ends here.
    @param fragment: which was all of it.
    """

    __slots__ = ("command_set", "context_id", "data", "end", "is_last", "longest", "start")

    def __init__(self, context_id: int, command_set: CommandSet, fragment: CommandFragment | None = None) -> None:
        self.context_id = context_id
        self.command_set = command_set
        self.is_last = not command_set.has_data_set
        if fragment is None:
            self.data, self.start, self.end, self.longest = b"", 0, 0, 0
        else:
            self.data = fragment.data
            self.start = fragment.start
            self.end = fragment.end
            self.longest = fragment.longest

    def __repr__(self) -> str:
        return f"Command({self.context_id}, {self.command_set!r})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Command) and self.context_id == other.context_id and self.command_set == other.command_set
        )

    __hash__ = None  # type: ignore[assignment]


Part = Command | DataSetFragment
