"""
What may change on the way.

A filter sees every command of its association, and of a data set only what it asks for: fragments that nobody asked
for cross without passing a filter at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dimseproxy.dimse.command_set import CommandSet, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import service_of_request
from dimseproxy.dimse.status import Status

#: Sends parts back to the caller, past what flows from the outbound.
Answer = Callable[[Sequence[Part]], None]


class Filter:
    """
    One rule of an association.  The methods return what goes on instead of the part, in order; nothing swallows it.

    @ivar wants_outward: after a command towards the outbound: whether its data set shall pass through here.
    @ivar wants_inward: the same towards the caller.
    """

    wants_outward = False
    wants_inward = False

    def outward(self, part: Part) -> Sequence[Part]:
        """A part from the caller to the outbound."""
        return (part,)

    def inward(self, part: Part) -> Sequence[Part]:
        """A part from the outbound to the caller."""
        return (part,)

    def over(self) -> None:
        """The association is over."""


class Refusing(Filter):
    """
    A filter that answers some requests itself, with a failure status.

    A request is answered when its data set is there, so that the caller's next message begins cleanly.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._refusal: Command | None = None

    def refuse(self, request: Command, status: int, comment: str) -> Sequence[Part]:
        """Answer this request; the result is for `outward` to return."""
        refusal = Command(request.context_id, response_to(request.command_set, status, comment))
        if request.command_set.has_data_set:
            self._refusal = refusal
            self.wants_outward = True
        else:
            self._answer([refusal])
        return ()

    def swallow(self, fragment: DataSetFragment) -> Sequence[Part]:
        """Take the data set of a refused request; the result is for `outward` to return."""
        if fragment.is_last and self._refusal is not None:
            refusal, self._refusal = self._refusal, None
            self.wants_outward = False
            self._answer([refusal])
        return ()

    @property
    def is_refusing(self) -> bool:
        """Whether the data set that is arriving belongs to a refused request."""
        return self._refusal is not None


class Permissions(Refusing):
    """
    Refuses what the application may not do (PS3.7 C.5.16, not authorized).

    Presentation contexts of services that it may not use were refused before; what is left is SOP classes that
    nobody has heard of: their requests tell the service.

    @param may: the services that the application may ask for.
    @param abstract_syntaxes: of the accepted contexts, by id.
    """

    def __init__(self, may: frozenset[str], abstract_syntaxes: dict[int, str], answer: Answer) -> None:
        super().__init__(answer)
        self._may = may
        self._abstract_syntaxes = abstract_syntaxes

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment):
            return self.swallow(part) if self.is_refusing else (part,)
        command = part.command_set
        if command.is_response or self._is_allowed(part.context_id, command):
            return (part,)
        return self.refuse(part, Status.NOT_AUTHORIZED, "Not authorized")

    def _is_allowed(self, context_id: int, command: CommandSet) -> bool:
        if command.name == "C-CANCEL-RQ":
            return True
        return service_of_request(self._abstract_syntaxes.get(context_id, ""), command.command_field) in self._may
