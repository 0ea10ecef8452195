"""
What may change on the way.

A filter sees every command of its association, and of a data set only what it asks for: fragments that nobody asked
for cross without passing a filter at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dimseproxy.dimse.command_set import CommandField, Element, response_to
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.sop_classes import fits, service_of_request
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
    Refuses what the application may not do (PS3.7 C.5.16, not authorized), and what a context is not for.

    Presentation contexts of services that it may not use were refused before.  That is not enough: some peers obey a
    command whatever the context it comes in, and a SOP class that nobody has heard of may be for anything.

    @param may: the services that the application may ask for; None for all.
    @param abstract_syntaxes: of the accepted contexts, by id.
    """

    def __init__(self, may: frozenset[str] | None, abstract_syntaxes: Mapping[int, str], answer: Answer) -> None:
        super().__init__(answer)
        self._may = may
        self._abstract_syntaxes = abstract_syntaxes
        self._allowed: set[tuple[int, int]] = set()

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment):
            return self.swallow(part) if self.is_refusing else (part,)
        command_set = part.command_set
        kind = (part.context_id, command_set.command_field)
        if kind in self._allowed or command_set.is_response:
            return (part,)
        abstract_syntax = self._abstract_syntaxes.get(part.context_id, "")
        if not fits(abstract_syntax, command_set.command_field):
            return self.refuse(part, Status.UNRECOGNIZED_OPERATION, "Not for this SOP class")
        if command_set.command_field != CommandField.C_CANCEL_RQ and not self._is_allowed(abstract_syntax, part):
            return self.refuse(part, Status.NOT_AUTHORIZED, "Not authorized")
        self._allowed.add(kind)
        return (part,)

    def _is_allowed(self, abstract_syntax: str, part: Command) -> bool:
        return self._may is None or service_of_request(abstract_syntax, part.command_set.command_field) in self._may


class KnownDestinations(Refusing):
    """
    Refuses a C-MOVE to an application that is not configured (PS3.4 C.4.2.1.5).

    @param is_known: by AE title.
    """

    def __init__(self, is_known: Callable[[str], bool], answer: Answer) -> None:
        super().__init__(answer)
        self._is_known = is_known

    def outward(self, part: Part) -> Sequence[Part]:
        if isinstance(part, DataSetFragment):
            return self.swallow(part) if self.is_refusing else (part,)
        command_set = part.command_set
        if command_set.command_field == CommandField.C_MOVE_RQ and not self._is_known(
            command_set.text(Element.MOVE_DESTINATION)
        ):
            return self.refuse(part, Status.MOVE_DESTINATION_UNKNOWN, "Move destination unknown")
        return (part,)
