"""
A caller that is let in, from its request to its relay.

The outbound is asked for what the caller may have, in the words that the outbound knows; the caller is answered with
what came back.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.interfaces import (
    IAssociation,
    IAssociationUser,
    IIncomingAssociation,
    IOutbound,
    ISharedOutbound,
)
from dimseproxy.config.settings import SAME_AS_CALLER, DimseOutbound, Settings
from dimseproxy.dimse.parts import Part
from dimseproxy.dimse.sop_classes import GET_OF_MOVE, MOVE_OF_GET, STORAGE_COMMITMENT_PUSH, service_of
from dimseproxy.errors import (
    NO_REASON_GIVEN,
    TEMPORARY_CONGESTION,
    AbortSource,
    AssociationAborted,
    AssociationRejected,
)
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.relay.border import Border, across
from dimseproxy.relay.destinations import ApplicationDestination, CallerDestination
from dimseproxy.relay.filters import Filter, KnownDestinations, Permissions
from dimseproxy.relay.get_for_move import MovesByGet, Originator
from dimseproxy.relay.looking_ahead import LooksAhead
from dimseproxy.relay.privacy import Privacy
from dimseproxy.relay.relay import Relay
from dimseproxy.relay.retrieving import CommitmentsThrough, GetsByMove, MovesThrough
from dimseproxy.ul.negotiation import inward_accept, outward_request
from dimseproxy.ul.pdu import AnsweredContext, AssociateRequest, ContextResult, ProposedContext
from dimseproxy.ul.user_information import RoleSelection

if TYPE_CHECKING:
    from dimseproxy.relay.reception import Reception

log = Logger()

_UNCOMPRESSED: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


@frozen
class Manner:
    """
    How an outbound is spoken to; see the keys of these names.

    @ivar calling_ae_title: `SAME_AS_CALLER` keeps the caller's.
    """

    ae_title: str
    calling_ae_title: str
    retrieve: Literal["as-asked", "get", "move"]
    deliver: Literal["through", "direct"]
    move_titles: tuple[str, ...]


def manner_towards(settings: Settings, name: str) -> Manner:
    """How the outbound of this name is spoken to."""
    outbound = settings.outbound[name]
    if isinstance(outbound, DimseOutbound):
        calling = outbound.calling_ae_title or settings.ae_title
        return Manner(outbound.ae_title, calling, outbound.retrieve, outbound.deliver, outbound.move_titles)
    # The archive knows objects by who sent them, and calls nobody: it is asked for what is to be moved.
    return Manner(settings.ae_title, SAME_AS_CALLER, "get", "through", ())


@implementer(IAssociationUser)
class Call:
    """
    One caller that is let in, until its relay takes over.

    @param name: the outbound's.
    @param may: the services it may ask for; None for all.
    @param privacy: the policy of its route; None where identities cross as they are.
    """

    def __init__(
        self,
        reception: Reception,
        association: IIncomingAssociation,
        name: str,
        may: frozenset[str] | None,
        privacy: Privacy | None,
    ) -> None:
        self._reception = reception
        self._association = association
        self._name = name
        self._may = may
        self._privacy = privacy
        self._outbound = manner_towards(reception.settings, name)
        calling = self._outbound.calling_ae_title
        self._calling_ae_title = association.request.calling_ae_title if calling == SAME_AS_CALLER else calling
        self._own_answers: list[AnsweredContext] = []
        self._own_roles: list[RoleSelection] = []
        self._asking: Deferred[IAssociation] | None = None

    def begin(self) -> None:
        """Ask the outbound."""
        request = self._association.request
        contexts = self._outward_contexts(request)
        if not contexts:
            raise AssociationRejected(NO_REASON_GIVEN, "the application may not ask for any of these services")
        inbound = self._reception.settings.inbound.get(self._association.inbound)
        outward = outward_request(
            request,
            called_ae_title=self._outbound.ae_title,
            calling_ae_title=self._calling_ae_title,
            contexts=contexts,
            with_user_identity=(inbound is None or inbound.user_identity) and not self._sends_pseudonyms_outward,
        )
        self._association.use(self)
        self._asking = self._reached().associate(outward)
        self._asking.addCallbacks(self._joined, self._refused)

    def _outward_contexts(self, request: AssociateRequest) -> list[ProposedContext]:
        """What the outbound is asked for: what the caller may have, in the words that the outbound knows."""
        contexts = []
        takes_objects = {role.abstract_syntax for role in request.user_information.roles if role.scp}
        translates_get = self._outbound.retrieve == "move" and any(
            context.abstract_syntax in MOVE_OF_GET for context in request.contexts
        )
        for context in request.contexts:
            syntax = context.abstract_syntax
            if not self._is_allowed(syntax, syntax in takes_objects):
                continue
            if translates_get and syntax in takes_objects and service_of(syntax) == "store":
                self._own_answers.append(_take(context))
                self._own_roles.append(RoleSelection(syntax, False, True))
                continue
            if self._outbound.retrieve == "get":
                syntax = GET_OF_MOVE.get(syntax, syntax)
            elif self._outbound.retrieve == "move":
                syntax = MOVE_OF_GET.get(syntax, syntax)
            contexts.append(context if syntax == context.abstract_syntax else evolve(context, abstract_syntax=syntax))
        return contexts

    @property
    def _sends_pseudonyms_outward(self) -> bool:
        return self._privacy is not None and not self._privacy.outbound_holds_originals

    def _is_allowed(self, abstract_syntax: str, takes_objects: bool) -> bool:
        """Whether the caller may ask for this; what nobody has heard of is looked at message by message."""
        if self._sends_pseudonyms_outward and service_of(abstract_syntax) == "print":
            # A film shows a name in its pixels, and these are not looked at.
            return False
        if self._may is None or service_of(abstract_syntax) in self._may | {"other"}:
            return True
        # The objects of a permitted C-GET come in contexts of their own.
        return takes_objects and "get" in self._may

    def _joined(self, outbound: IAssociation) -> None:
        try:
            self._answered(outbound)
        except Exception:
            # A mistake of ours must leave neither of them waiting.
            log.failure("association {number}: broken", number=self._association.number)
            self._association.abort(AbortSource.SERVICE_PROVIDER, 0)
            outbound.abort(AbortSource.SERVICE_PROVIDER, 0)

    def _answered(self, outbound: IAssociation) -> None:
        accept = outbound.established.accept
        if self._own_roles:
            roles = (*accept.user_information.roles, *self._own_roles)
            accept = evolve(accept, user_information=evolve(accept.user_information, roles=roles))
        association = self._association
        if not association.accept(
            inward_accept(association.request, accept, self._own_answers), accept.user_information.maximum_length
        ):
            # It was aborted in the very piece that asked for it.
            outbound.release()
            return
        log.info(
            "association {number} from {calling!r} at {host} to {called!r}: relayed to {outbound} in association "
            "{other}, {accepted} of {proposed} contexts",
            number=association.number,
            calling=association.request.calling_ae_title,
            host=association.peer.host,
            called=association.request.called_ae_title,
            outbound=self._name,
            other=outbound.number,
            accepted=len(association.established.contexts),
            proposed=len(association.request.contexts),
        )
        caller: IAssociation = association
        if self._privacy is not None:
            # Where the originals are, everything between the two borders speaks of originals.
            if self._privacy.outbound_holds_originals:
                caller = self._bordered(caller, self._privacy)
            else:
                outbound = self._bordered(outbound, self._privacy)
        self._reception.join(caller, outbound, partial(self._filters, caller))

    def _bordered(self, association: IAssociation, privacy: Privacy) -> IAssociation:
        return Border(association, privacy, Direction.TO_PSEUDONYMS, self._reception.clock)

    def _reached(self) -> IOutbound:
        """The outbound, where callers who share it have turns."""
        outbound = self._reception.outbound(self._name)
        shared = ISharedOutbound(outbound, None)
        if shared is None:
            return outbound
        return shared.on_behalf_of((self._association.request.calling_ae_title, self._association.peer.host))

    def _outbound_inside(self) -> IOutbound:
        """The outbound, for associations of our own: with the border that the relayed one has."""
        outbound = self._reached()
        if self._privacy is None or self._privacy.outbound_holds_originals:
            return outbound
        return across(outbound, self._privacy, Direction.TO_PSEUDONYMS, self._reception.clock)

    def _refused(self, failure: Failure) -> None:
        error = failure.value
        rejection = error.rejection if isinstance(error, AssociationRejected) else TEMPORARY_CONGESTION
        self._association.reject(rejection, f"{self._name}: {error}")

    def _filters(self, association: IAssociation, relay: Relay) -> list[Filter]:
        """The filters of the caller's association, from the caller to the outbound."""
        reception, outbound = self._reception, self._outbound
        request = self._association.request
        contexts = association.established.contexts
        services = {service_of(context.abstract_syntax) for context in contexts.values()}
        syntaxes = {context_id: context.transfer_syntax for context_id, context in contexts.items()}
        abstract = {context_id: context.abstract_syntax for context_id, context in contexts.items()}
        answer = relay.answer_caller
        originator = request.calling_ae_title
        titles = (reception.settings.ae_title, *outbound.move_titles)
        opens = reception.open_retrieve(self._name, titles, originator, relay)
        known_as = request.called_ae_title

        def find(title: str) -> ApplicationDestination | None:
            return reception.destination(title, known_as, self._privacy)

        def find_inside(title: str) -> ApplicationDestination | None:
            return reception.destination(title, known_as, None if self._sends_pseudonyms_outward else self._privacy)

        filters: list[Filter] = [Permissions(self._may, abstract, answer)]
        if (
            self._privacy is not None
            and self._privacy.looks_ahead
            and not services.isdisjoint(("move", "get", "other"))
        ):
            filters.append(
                LooksAhead(syntaxes, self._reached(), outbound.ae_title, self._calling_ae_title, self._privacy.source)
            )
        if not services.isdisjoint(("move", "other")):
            if outbound.retrieve == "get":
                filters.append(
                    MovesByGet(
                        Originator(association, originator, answer, relay.silence.broken),
                        find_inside,
                        self._outbound_inside(),
                        outbound.ae_title,
                        self._calling_ae_title,
                    )
                )
            elif outbound.deliver == "through" or self._privacy is not None:
                filters.append(MovesThrough(opens, reception.retrieves, syntaxes, find, answer))
            elif not reception.settings.unknown_applications:
                filters.append(KnownDestinations(lambda title: find(title) is not None, answer))
        if "get" in services and outbound.retrieve == "move":
            caller = CallerDestination(association, relay.to_caller, relay.abort)
            own = {each.context_id for each in self._own_answers}
            filters.append(GetsByMove(opens, reception.retrieves, syntaxes, caller, own, answer))
        destination = find(originator)
        if STORAGE_COMMITMENT_PUSH in abstract.values() and destination is not None:
            alike = reception.outbounds_alike(self._name)
            filters.append(CommitmentsThrough(syntaxes, self._name, alike, destination, reception.commitments, answer))
        return filters

    # The caller, while the outbound is asked

    def received(self, parts: Sequence[Part]) -> None:
        """Nothing but its end can come meanwhile."""

    def release_requested(self) -> None:
        """See `received`."""

    def released(self) -> None:
        """Never asked for."""

    def ended(self, reason: AssociationAborted) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def pause_sending(self) -> None:
        """Nothing is sent meanwhile."""

    def resume_sending(self) -> None:
        """Nothing is sent meanwhile."""


def _take(context: ProposedContext) -> AnsweredContext:
    """
    Accept a context in which the caller takes objects, without knowing yet what the outbound has: uncompressed where
    the caller can, because every archive can send that.
    """
    for syntax in (*_UNCOMPRESSED, *context.transfer_syntaxes):
        if syntax in context.transfer_syntaxes:
            break
    return AnsweredContext(context.context_id, ContextResult.ACCEPTANCE, syntax)
