"""An outbound that is a DICOM peer: a PACS, a worklist server, a printer."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.interfaces import IAssociation, IOutbound
from dimseproxy.association.limits import Limits
from dimseproxy.association.protocol import Association
from dimseproxy.association.requested import RequestedAssociation
from dimseproxy.errors import AssociationFailed, OutboundUnreachable
from dimseproxy.ul.negotiation import announcing
from dimseproxy.ul.pdu import AssociateRequest


class _RequestFactory(Factory):
    """Builds the one protocol of one connection attempt."""

    noisy = False

    def __init__(self, association: RequestedAssociation) -> None:
        self._association = association

    def buildProtocol(self, addr: IAddress | None) -> RequestedAssociation:
        return self._association


@implementer(IOutbound)
@frozen
class DimseOutbound:
    """
    @ivar endpoint: where the peer listens, with TLS or without.
    @ivar deadlines: who looks after the associations' deadlines.
    @ivar limits: what an association may cost; its `max_pdu_length` is what the peer is asked for at most.
    @ivar connect_seconds: by when transport connection and TLS handshake must be there.
    """

    endpoint: IStreamClientEndpoint
    deadlines: IDeadlines
    limits: Limits
    connect_seconds: float

    def associate(self, request: AssociateRequest) -> Deferred[IAssociation]:
        return self.open(request).addCallback(_as_the_joint_says)

    def open(self, request: AssociateRequest, when_gone: Callable[[], None] | None = None) -> Deferred[Association]:
        """
        `associate`, for those who look after associations themselves.

        @param when_gone: called when there is no transport connection, or it is gone; perhaps more than once.
        """
        own = self.limits.max_pdu_length
        if not 0 < request.user_information.maximum_length <= own:
            request = announcing(request, own)
        association = RequestedAssociation(self.deadlines, self.limits, request)
        association.when_gone = when_gone
        connecting = self.endpoint.connect(_RequestFactory(association))
        connecting.addTimeout(self.connect_seconds, self.deadlines.clock)
        connecting.addErrback(_unreachable, when_gone)
        return connecting.addCallback(lambda _: association.answered)


def _as_the_joint_says(association: Association) -> IAssociation:
    return association


def _unreachable(failure: Failure, when_gone: Callable[[], None] | None) -> Failure:
    """What a client endpoint fails with, as what it means."""
    if when_gone is not None:
        when_gone()
    if failure.check(AssociationFailed):
        return failure
    return Failure(OutboundUnreachable(f"the outbound cannot be reached: {failure.getErrorMessage()}"))
