"""
The joint: what inbound, outbound and relay know of one another.

An inbound produces `IAssociation`s, an outbound answers `associate`, and the relay carries parts between the two.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType

from attrs import field, frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from dimseproxy.dimse.parts import Part
from dimseproxy.errors import AssociationAborted, Rejection
from dimseproxy.ul.pdu import AnsweredContext, AssociateAccept, AssociateRequest, ProposedContext


@frozen
class Peer:
    """
    Who is at the other end of the transport.

    @ivar host: the IP address, the caller's own where a load balancer says it in a PROXY header; words where it should
        and does not.
    @ivar port: the TCP port.
    @ivar names: what its TLS certificate says (see `peer_names`), empty without one.
    """

    host: str
    port: int
    names: frozenset[str] = frozenset()


@frozen
class AcceptedContext:
    """A presentation context in which messages may flow."""

    abstract_syntax: str
    transfer_syntax: str


@frozen
class Established:
    """What the two ends agreed on: the proposal, the answer, and the contexts that were accepted, by id."""

    request: AssociateRequest
    accept: AssociateAccept
    contexts: Mapping[int, AcceptedContext] = field(init=False)

    @contexts.default
    def _contexts(self) -> Mapping[int, AcceptedContext]:
        are_small = self.request.is_small and self.accept.is_small
        return (_accepted_again if are_small else _accepted)(self.request.contexts, self.accept.contexts)


def _accepted(
    proposed: tuple[ProposedContext, ...], answered: tuple[AnsweredContext, ...]
) -> Mapping[int, AcceptedContext]:
    abstract_syntaxes = {context.context_id: context.abstract_syntax for context in proposed}
    return MappingProxyType(
        {
            context.context_id: AcceptedContext(abstract_syntaxes[context.context_id], context.transfer_syntax)
            for context in answered
            if context.accepted and context.context_id in abstract_syntaxes
        }
    )


_accepted_again = lru_cache(64)(_accepted)


class IAssociationUser(Interface):
    """
    Who an association serves (the DICOM service user).  After `released` or `ended` comes nothing more.
    """

    def received(parts: Sequence[Part]) -> None:
        """Parts from the peer, in order.  Never called while the association is paused."""

    def release_requested() -> None:
        """The peer asks for release: answer with `respond_release`, when all that is owed to it was sent."""

    def released() -> None:
        """The release that we asked for is confirmed."""

    def ended(reason: AssociationAborted) -> None:
        """The peer aborted, broke the protocol, missed a deadline, or the transport is gone."""

    def pause_sending() -> None:
        """The peer is slow: send no more until `resume_sending`, or what is sent piles up."""

    def resume_sending() -> None:
        """What was sent is on its way."""


class IAssociation(Interface):
    """One side's view of an association."""

    number: int = Attribute("Identifies the association in the log.")
    peer: Peer = Attribute("The other end.")
    established: Established = Attribute("What was agreed on.")

    def use(user: IAssociationUser) -> None:
        """Serve this user from now on; what came before waited."""

    def send(parts: Sequence[Part]) -> None:
        """Send parts, in order.  After the end of the association they vanish."""

    def pause() -> None:
        """Receive nothing until `resume`; the peer feels it through TCP."""

    def resume() -> None:
        """Receive again."""

    def release() -> None:
        """Ask the peer for release; `released` or `ended` answers."""

    def respond_release() -> None:
        """Agree to the release that the peer asked for."""

    def abort(source: int, reason: int) -> None:
        """End it now; the user is not told."""


class IIncomingAssociation(IAssociation):
    """An association that a caller asks for: `request` is known, nothing is established until it is answered."""

    request: AssociateRequest = Attribute("What the caller proposes.")
    inbound: str = Attribute("The name of the inbound it came in by.")

    def accept(accept: AssociateAccept, max_pdu_length: int) -> bool:
        """
        Establish it.

        @param max_pdu_length: the longest PDU the other leg takes, 0 for any: the caller is asked for no longer ones.
        @return: whether it is established: it may be over already.
        """

    def reject(rejection: Rejection, why: str) -> None:
        """Refuse it; `why` is for the log."""


class IOutbound(Interface):
    """What answers associations."""

    def associate(request: AssociateRequest) -> Deferred[IAssociation]:
        """
        Ask for an association.

        @return: fires with it, or fails with an `AssociationFailed` within a deadline; cancelling gives it up.
        """


class ISharedOutbound(IOutbound):
    """An outbound for which its callers may have to wait: they have turns."""

    def on_behalf_of(caller: Hashable) -> IOutbound:
        """The same outbound for one of its callers, equal to itself; who asks without one is a caller, too."""


class IForesees(Interface):
    """An outbound that knows beforehand what a retrieve will bring."""

    def foresee(sop_class: str, transfer_syntax: str, identifier: bytes) -> Deferred[Sequence[tuple[str, str]]]:
        """
        What a C-GET would send.

        @param sop_class: of the C-GET.
        @param transfer_syntax: of the identifier.
        @return: fires with the SOP classes and the transfer syntaxes of the objects, each pair once, the commonest
            first; or fails as the C-GET would.
        """


class ICallers(Interface):
    """What an inbound hands its callers to."""

    def incoming(association: IIncomingAssociation) -> None:
        """Answer a request: at once or later, with `accept` or `reject`."""
