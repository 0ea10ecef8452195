"""
Where the sub-operations of a retrieve go, seen from the delivery that brings them.

A destination is an application, which is called, or the caller itself, whose C-GET was translated to a C-MOVE and who
takes the objects on the association that it asked on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from dimseproxy.association.interfaces import IAssociation, IAssociationUser, IOutbound
from dimseproxy.dimse.command_set import Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AbortSource, AssociationAborted, OperationRefused
from dimseproxy.relay.turns import Source, Turns
from dimseproxy.ul.negotiation import outward_request
from dimseproxy.ul.pdu import AssociateRequest
from dimseproxy.ul.user_information import RoleSelection


class DestinationLeg(Protocol):
    """
    One delivery's way to a destination.

    @ivar accepted: transfer syntaxes by the delivery's context ids.
    @ivar roles: the role selections that the destination agreed to.
    """

    @property
    def accepted(self) -> Mapping[int, str]: ...

    @property
    def roles(self) -> Sequence[RoleSelection]: ...

    def use(self, user: DeliveryUser) -> None:
        """Serve this user."""

    def send(self, parts: Sequence[Part]) -> None:
        """Send parts in the delivery's contexts."""

    def pause(self) -> None:
        """Receive nothing until `resume`."""

    def resume(self) -> None:
        """Receive again."""

    def finish(self) -> None:
        """Nothing more will be sent."""

    def cut(self) -> None:
        """Nothing more will be sent, and a message may have been left half sent."""


class DeliveryUser(Protocol):
    """What a leg tells its delivery."""

    def leg_received(self, leg: DestinationLeg, parts: Sequence[Part]) -> None:
        """The destination answered."""

    def leg_ended(self, leg: DestinationLeg) -> None:
        """The destination is gone."""

    def leg_pauses(self, leg: DestinationLeg) -> None:
        """The destination is slow, or busy with another's message."""

    def leg_resumes(self, leg: DestinationLeg) -> None:
        """The destination takes more."""


class Destination(Protocol):
    """
    Where objects go.

    @ivar key: equal for equal destinations.
    """

    @property
    def key(self) -> object: ...

    def open(self, request: AssociateRequest) -> Deferred[DestinationLeg]:
        """
        Open a way for a delivery.

        @param request: the delivery's.
        @return: fires with the leg, or fails with an `AssociationFailed`.
        """


#: How many answers a caller may owe to the sub-operations of its C-GETs.
MAX_SUB_OPERATIONS: Final = 1024


@frozen
class ApplicationDestination:
    """
    An application of the configuration.

    @ivar title: its AE title.
    @ivar calling_ae_title: how the proxy calls it: by the title that it knows the proxy by.
    @ivar outbound: how it is reached.
    @ivar policy: the name of the privacy policy that lies between, if any.
    """

    title: str
    calling_ae_title: str
    outbound: IOutbound = field(eq=False)
    policy: str = ""

    @property
    def key(self) -> object:
        return self.title, self.calling_ae_title, self.policy

    def open(self, request: AssociateRequest) -> Deferred[DestinationLeg]:
        outward = outward_request(
            request,
            called_ae_title=self.title,
            calling_ae_title=self.calling_ae_title,
            contexts=request.contexts,
            with_user_identity=False,
        )
        return self.outbound.associate(outward).addCallback(ApplicationLeg)


@implementer(IAssociationUser)
class ApplicationLeg:
    """An association of the proxy's own to an application, under the delivery's context ids."""

    def __init__(self, association: IAssociation) -> None:
        self.association = association
        self.accepted = {
            context_id: context.transfer_syntax for context_id, context in association.established.contexts.items()
        }
        self.roles = association.established.accept.user_information.roles
        self._user: DeliveryUser | None = None

    def use(self, user: DeliveryUser) -> None:
        self._user = user
        self.association.use(self)

    def send(self, parts: Sequence[Part]) -> None:
        self.association.send(parts)

    def pause(self) -> None:
        self.association.pause()

    def resume(self) -> None:
        self.association.resume()

    def finish(self) -> None:
        self.association.release()

    def cut(self) -> None:
        self.association.abort(AbortSource.SERVICE_USER, 0)

    def received(self, parts: Sequence[Part]) -> None:
        if self._user is not None:
            self._user.leg_received(self, parts)

    def release_requested(self) -> None:
        self.association.respond_release()
        self._gone()

    def released(self) -> None:
        """As asked for; the delivery does not wait for it."""

    def ended(self, reason: AssociationAborted) -> None:
        self._gone()

    def pause_sending(self) -> None:
        if self._user is not None:
            self._user.leg_pauses(self)

    def resume_sending(self) -> None:
        if self._user is not None:
            self._user.leg_resumes(self)

    def _gone(self) -> None:
        if self._user is not None:
            self._user.leg_ended(self)


class CallerDestination:
    """
    The caller of a C-GET that was translated.

    It gets one sub-operation at a time, however many deliveries bring some: a caller that negotiated no asynchronous
    operations window takes no second one before it has answered the first (PS3.7 D.3.3.3).

    @param association: the caller's.
    @param turns: where others than the relay may send to it.
    @param abort: ends its association and the relay, for this reason.
    """

    def __init__(self, association: IAssociation, turns: Turns, abort: Callable[[str], None]) -> None:
        self.association = association
        self.abort = abort
        self._sub_operations = Turns(lambda parts: self._to_caller.send(parts), until_told=True)
        self._to_caller = turns.source(self._sub_operations.pause, self._sub_operations.resume)
        self._legs: dict[int, CallerLeg] = {}
        self._last_message_id = 0

    @property
    def key(self) -> object:
        return id(self)

    def open(self, request: AssociateRequest) -> Deferred[DestinationLeg]:
        contexts: dict[int, tuple[int, str]] = {}
        for proposed in request.contexts:
            for own_id, own in self.association.established.contexts.items():
                if (
                    own.abstract_syntax == proposed.abstract_syntax
                    and own.transfer_syntax in proposed.transfer_syntaxes
                    and proposed.context_id not in contexts
                ):
                    contexts[proposed.context_id] = (own_id, own.transfer_syntax)
        return succeed(CallerLeg(self, self._sub_operations, contexts))

    def lease(self, leg: CallerLeg) -> int:
        """
        A message id for a sub-operation, unique on the caller's association.

        @raise OperationRefused: where too many wait for their turn.
        """
        if len(self._legs) >= MAX_SUB_OPERATIONS:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "Too many sub-operations")
        self._last_message_id = self._last_message_id % 0xFFFF + 1
        while self._last_message_id in self._legs:
            self._last_message_id = self._last_message_id % 0xFFFF + 1
        self._legs[self._last_message_id] = leg
        return self._last_message_id

    def answered(self, response: Command) -> bool:
        """
        The caller answered a C-STORE.

        @return: whether it was one of ours.
        """
        leg = self._legs.pop(response.command_set.responds_to, None)
        if leg is None:
            return False
        leg.answered(response)
        if not leg.owes:
            self._sub_operations.end_turn()
        return True

    def over(self) -> None:
        """The caller's association is over."""
        legs, self._legs = self._legs, {}
        for leg in set(legs.values()):
            leg.ended()


class CallerLeg:
    """One delivery's way to the caller, under the caller's context ids and message ids of its association."""

    def __init__(self, destination: CallerDestination, turns: Turns, contexts: Mapping[int, tuple[int, str]]) -> None:
        self._destination = destination
        self._contexts = contexts
        self.accepted = {context_id: syntax for context_id, (_, syntax) in contexts.items()}
        self.roles: Sequence[RoleSelection] = ()
        self._asked: dict[int, Command] = {}
        self._is_within_message = False
        self._user: DeliveryUser | None = None
        self._source: Source = turns.source(self._pause, self._resume)

    @property
    def owes(self) -> bool:
        """Whether it has begun a sub-operation that is not answered."""
        return self._is_within_message or bool(self._asked)

    def use(self, user: DeliveryUser) -> None:
        self._user = user
        if self._source.is_held:
            user.leg_pauses(self)

    def send(self, parts: Sequence[Part]) -> None:
        mapped = [self._mapped(part) for part in parts]
        self._is_within_message = not parts[-1].is_last
        self._source.send(mapped)

    def pause(self) -> None:
        """The responses are a few bytes each: the relay that reads them does not wait for a delivery."""

    def resume(self) -> None:
        """See `pause`."""

    def finish(self) -> None:
        """The association is the caller's."""
        if not self._asked:
            self._source.withdraw()

    def cut(self) -> None:
        self._user = None
        if self._is_within_message and self._source.has_turn:
            # Half a message cannot be taken back.
            self._destination.abort("a delivery ended within an object")
        elif self._is_within_message or not self._asked:
            self._source.withdraw()

    def answered(self, response: Command) -> None:
        """The caller answered one of this leg's sub-operations."""
        request = self._asked.pop(response.command_set.responds_to)
        command_set = response.command_set.replace(
            {Element.MESSAGE_ID_BEING_RESPONDED_TO: request.command_set.message_id}
        )
        if self._user is not None:
            self._user.leg_received(self, [Command(request.context_id, command_set)])

    def ended(self) -> None:
        """The caller is gone."""
        if self._user is not None:
            self._user.leg_ended(self)

    def _mapped(self, part: Part) -> Part:
        context_id = self._contexts[part.context_id][0]
        if not isinstance(part, Command):
            return part.in_context(context_id)
        message_id = self._destination.lease(self)
        self._asked[message_id] = part
        # A C-GET's sub-operations have no Move Originator (PS3.7 9.1.1.1).
        command_set = part.command_set.replace(
            {
                Element.MESSAGE_ID: message_id,
                Element.MOVE_ORIGINATOR_AE_TITLE: None,
                Element.MOVE_ORIGINATOR_MESSAGE_ID: None,
            }
        )
        return Command(context_id, command_set)

    def _pause(self) -> None:
        if self._user is not None:
            self._user.leg_pauses(self)

    def _resume(self) -> None:
        if self._user is not None:
            self._user.leg_resumes(self)


#: An application's destination by its AE title; None where there is no such application.
FindApplication = Callable[[str], Destination | None]


def restricted(request: AssociateRequest, leg: DestinationLeg) -> AssociateRequest:
    """
    The request, with each context that a leg accepted in the transfer syntax that it chose: what a further destination
    is asked for, so that one answer to the delivery fits both.
    """
    contexts = tuple(
        evolve(context, transfer_syntaxes=(leg.accepted[context.context_id],))
        if context.context_id in leg.accepted
        else context
        for context in request.contexts
    )
    return evolve(request, contexts=contexts)
