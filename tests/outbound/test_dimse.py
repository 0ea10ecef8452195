from __future__ import annotations

import gc
import weakref

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.requested import RequestedAssociation
from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    AssociationAborted,
    AssociationRejected,
    OutboundUnreachable,
)
from dimseproxy.outbound.dimse import DimseOutbound
from dimseproxy.ul.pdu import Abort, AssociateReject, AssociateRequest
from tests.association.playing import LIMITS, Wire, a_request, an_accept, wire


@implementer(IStreamClientEndpoint)
class Endpoint:
    """A peer that connects when the test says so."""

    def __init__(self) -> None:
        self.transport = Wire()
        self.association: RequestedAssociation
        self.cancelled = 0

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self._factory = protocolFactory
        self.connecting: Deferred[IProtocol] = Deferred(self._cancel)
        return self.connecting

    def _cancel(self, _: Deferred[IProtocol]) -> None:
        self.cancelled += 1

    def connects(self) -> None:
        association = self._factory.buildProtocol(None)  # type: ignore[arg-type]
        assert isinstance(association, RequestedAssociation)
        self.association = association
        association.makeConnection(self.transport)
        self.connecting.callback(association)

    def says(self, *pdus: object) -> None:
        self.association.dataReceived(b"".join(map(wire, pdus)))  # type: ignore[arg-type]


class DimseOutboundTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.endpoint = Endpoint()
        self.outbound = DimseOutbound(self.endpoint, self.deadlines, LIMITS, 10.0)

    def _asked(self, request: AssociateRequest) -> AssociateRequest:
        self.outbound.associate(request)
        self.endpoint.connects()
        [asked] = self.endpoint.transport.take()
        assert isinstance(asked, AssociateRequest)
        return asked

    def test_asks(self) -> None:
        request = a_request()
        asked = self._asked(request)
        self.assertEqual(asked.contexts, request.contexts)

    def test_asks_for_no_longer_pdus_than_it_reads(self) -> None:
        asked = self._asked(a_request(maximum=1 << 30))
        self.assertEqual(asked.user_information.maximum_length, LIMITS.max_pdu_length)

    def test_asks_for_no_longer_pdus_than_the_caller_takes(self) -> None:
        self.assertEqual(self._asked(a_request(maximum=16384)).user_information.maximum_length, 16384)

    def test_asks_for_no_unlimited_pdus(self) -> None:
        self.assertEqual(self._asked(a_request(maximum=0)).user_information.maximum_length, LIMITS.max_pdu_length)

    def test_an_association(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.endpoint.says(an_accept(a_request()))
        self.assertIs(self.successResultOf(associating), self.endpoint.association)

    def test_a_connection_is_no_association_yet(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.assertNoResult(associating)

    def test_a_rejection(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.endpoint.says(AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED))
        error = self.failureResultOf(associating, AssociationRejected).value
        self.assertEqual(error.rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_an_abort(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.endpoint.says(Abort(2, 0))
        self.failureResultOf(associating, AssociationAborted)

    def test_a_refused_connection(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connecting.errback(ConnectionRefusedError())
        self.failureResultOf(associating, OutboundUnreachable)

    def test_no_connection_in_time(self) -> None:
        associating = self.outbound.associate(a_request())
        self.clock.advance(10)
        self.failureResultOf(associating, OutboundUnreachable)

    def test_no_answer_in_time(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.clock.pump([0.5] * 61)
        self.failureResultOf(associating, AssociationAborted)

    def test_the_answer_has_more_time_than_the_connection(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.clock.pump([0.5] * 50)
        self.assertNoResult(associating)

    def test_giving_up_while_it_connects(self) -> None:
        associating = self.outbound.associate(a_request())
        associating.cancel()
        self.failureResultOf(associating, OutboundUnreachable)
        self.assertEqual(self.endpoint.cancelled, 1)

    def test_giving_up_while_it_waits_for_an_answer(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        self.endpoint.transport.take()
        associating.cancel()
        self.failureResultOf(associating, CancelledError)
        self.assertEqual(self.endpoint.transport.take(), [Abort(0, 0)])

    def test_an_answer_after_that_is_ignored(self) -> None:
        associating = self.outbound.associate(a_request())
        self.endpoint.connects()
        associating.cancel()
        self.failureResultOf(associating, CancelledError)
        self.endpoint.says(an_accept(a_request()))
        self.endpoint.association.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.deadlines._watched, set())

    def test_nothing_is_left_of_what_is_gone(self) -> None:
        gone = []
        for _ in range(50):
            self.endpoint.transport = Wire()
            self.outbound.associate(a_request())
            self.endpoint.connects()
            self.endpoint.says(an_accept(a_request()))
            self.endpoint.association.connectionLost(Failure(ConnectionDone()))
            gone.append(weakref.ref(self.endpoint.association))
        self.endpoint = Endpoint()
        self.outbound = DimseOutbound(self.endpoint, self.deadlines, LIMITS, 10.0)
        gc.collect()
        self.assertEqual([each() for each in gone if each() is not None], [])
