"""The end of an association that accepts."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from dimseproxy.association.deadlines import IDeadlines
from dimseproxy.association.interfaces import IIncomingAssociation
from dimseproxy.association.limits import Limits
from dimseproxy.association.protocol import Association
from dimseproxy.errors import Rejection
from dimseproxy.ul.machine import Indication
from dimseproxy.ul.negotiation import announcing
from dimseproxy.ul.pdu import AssociateAccept, AssociateRequest
from dimseproxy.ul.state_table import State


@implementer(IIncomingAssociation)
class IncomingAssociation(Association):
    """
    An association that a caller asks for.

    @param inbound: the name of the inbound it comes in by.
    @param requested: is given the association when its A-ASSOCIATE-RQ is there.
    """

    def __init__(
        self,
        deadlines: IDeadlines,
        limits: Limits,
        inbound: str,
        requested: Callable[[IncomingAssociation], None],
    ) -> None:
        super().__init__(deadlines, limits, is_requestor=False)
        self.inbound = inbound
        self._requested = requested

    @property
    def _may_answer(self) -> bool:
        return not self._is_over and self._layer.state is State.AWAITING_LOCAL_ASSOCIATE_RESPONSE

    def accept(self, accept: AssociateAccept, max_pdu_length: int) -> bool:
        if not self._may_answer:
            return False
        own = self._limits.max_pdu_length
        maximum_length = min(own, max_pdu_length) if max_pdu_length else own
        accept = announcing(accept, maximum_length)
        self._layer.accept(accept, self._clock.seconds())
        self._establish(self.request, accept, self.request.user_information.maximum_length)
        self._carry_out()
        return True

    def reject(self, rejection: Rejection, why: str) -> None:
        if not self._may_answer:
            return
        self._rejected(self.request, why)
        self._layer.reject(rejection, self._clock.seconds())
        self._carry_out()
        if self.when_gone is not None:
            # Who is refused takes up no place, however long it keeps its connection.
            gone, self.when_gone = self.when_gone, None
            gone()

    def _rejected(self, request: AssociateRequest, why: str) -> None:
        self._is_over = True
        self.log.info(
            "association {number} from {calling!r} at {host} to {called!r}: rejected: {why}",
            number=self.number,
            calling=request.calling_ae_title,
            called=request.called_ae_title,
            host=self.peer.host,
            why=why,
        )

    def _connected(self, now: float) -> None:
        self._layer.transport_connected(now)

    def _answered_itself(self) -> None:
        if self._is_over:
            return
        if self._layer.rejected is not None:
            self._read_peer()
            self._rejected(*self._layer.rejected)
        elif self._layer.violation is not None:
            # There is no association yet that could end.
            self._is_over = True
            self._read_peer()
            self._log_end(f"from {self.peer.host}: {self._layer.violation}")

    def _indicated(self, indication: Indication) -> None:
        if isinstance(indication, AssociateRequest):
            self.request = indication
            self._read_peer()
            # It is read on while the other side is asked: a caller that gives up is let go at once, and one that says
            # anything else has broken the protocol (PS3.8 Sta3).
            self._requested(self)
        else:
            super()._indicated(indication)
