"""The end of an association that requests."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.limits import Limits
from dimseproxy.association.protocol import Association
from dimseproxy.errors import AssociationAborted, AssociationRejected
from dimseproxy.ul.machine import Indication
from dimseproxy.ul.pdu import AssociateAccept, AssociateReject, AssociateRequest


class RequestedAssociation(Association):
    """
    An association that we ask for.

    @param request: what is proposed.
    """

    def __init__(self, deadlines: IDeadlines, limits: Limits, request: AssociateRequest) -> None:
        super().__init__(deadlines, limits, is_requestor=True)
        self.request = request
        #: Fires with the association when it is established.
        self.answered: Deferred[Association] = Deferred(lambda _: self.abort())

    def _connected(self, now: float) -> None:
        self._read_peer()
        self._layer.transport_connected(now, self.request)
        self._answer_due = now + self._limits.artim

    def _indicated(self, indication: Indication) -> None:
        if isinstance(indication, AssociateAccept):
            self._answer_due = None
            self._establish(self.request, indication, indication.user_information.maximum_length)
            self.answered.callback(self)
        elif isinstance(indication, AssociateReject):
            self._answer_due = None
            self._is_over = True
            self._fail(AssociationRejected(indication.rejection, "the outbound rejected the association"))
        else:
            super()._indicated(indication)

    def _end(self, reason: AssociationAborted) -> None:
        super()._end(reason)
        self._fail(reason)

    def _fail(self, error: Exception) -> None:
        if not self.answered.called:
            self.answered.errback(error)
