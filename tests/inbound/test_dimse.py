from __future__ import annotations

import gc
import weakref

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.deadlines import Deadlines
from dimseproxy.association.incoming import IncomingAssociation
from dimseproxy.association.interfaces import ICallers, IIncomingAssociation
from dimseproxy.errors import CALLING_AE_TITLE_NOT_RECOGNIZED, LOCAL_LIMIT_EXCEEDED
from dimseproxy.inbound.dimse import DimseInbound
from dimseproxy.ul.pdu import Abort, AssociateReject
from tests.association.playing import LIMITS, Wire, a_request, an_accept, wire


@implementer(ICallers)
class Callers:
    def __init__(self) -> None:
        self.came: list[IIncomingAssociation] = []
        self.refuses = False

    def incoming(self, association: IIncomingAssociation) -> None:
        self.came.append(association)
        if self.refuses:
            association.reject(CALLING_AE_TITLE_NOT_RECOGNIZED, "why")
            return
        association.accept(an_accept(association.request), 0)


class SharedPlaces:
    """One place, which another process may have."""

    def __init__(self) -> None:
        self.free = 1

    def take(self) -> bool:
        if not self.free:
            return False
        self.free -= 1
        return True

    def give(self) -> None:
        self.free += 1


class DimseInboundTests(TestCase):
    def setUp(self) -> None:
        self.callers = Callers()
        self.inbound = DimseInbound("clinic", self.callers, Deadlines(Clock()), LIMITS, 2)

    def _connect(self) -> tuple[IncomingAssociation, Wire]:
        association = self.inbound.buildProtocol(None)
        transport = Wire()
        association.makeConnection(transport)
        return association, transport

    def _call(self) -> tuple[IncomingAssociation, Wire]:
        association, transport = self._connect()
        association.dataReceived(wire(a_request()))
        return association, transport

    def _hang_up(self, association: IncomingAssociation) -> None:
        association.connectionLost(Failure(ConnectionDone()))

    def test_hands_callers_over(self) -> None:
        association, _ = self._call()
        self.assertEqual(self.callers.came, [association])

    def test_a_connection_without_a_request_costs_no_place(self) -> None:
        for _ in range(10):
            self._connect()
        self.assertEqual(self.inbound.count, 0)

    def test_one_over_the_limit_is_rejected_at_once(self) -> None:
        transports = [self._call()[1] for _ in range(3)]
        self.assertEqual(transports[2].take(), [AssociateReject(LOCAL_LIMIT_EXCEEDED)])

    def test_who_is_refused_takes_up_no_place(self) -> None:
        self.callers.refuses = True
        for _ in range(5):
            self._call()
        self.assertEqual(self.inbound.count, 0)
        self.callers.refuses = False
        self._call()
        self.assertEqual(self.inbound.count, 1)

    def test_nor_gives_one_back_twice(self) -> None:
        places = SharedPlaces()
        self.inbound = DimseInbound("clinic", self.callers, Deadlines(Clock()), LIMITS, 2, places)
        self.callers.refuses = True
        association, _ = self._call()
        self._hang_up(association)
        self.assertEqual(places.free, 1)

    def test_nobody_hears_of_it(self) -> None:
        for _ in range(3):
            self._call()
        self.assertEqual(len(self.callers.came), 2)

    def test_the_limit_recovers(self) -> None:
        associations = [self._call()[0] for _ in range(2)]
        self._hang_up(associations[0])
        self._call()
        self.assertEqual(len(self.callers.came), 3)

    def test_one_that_was_rejected_takes_no_place(self) -> None:
        associations = [self._call()[0] for _ in range(3)]
        self._hang_up(associations[2])
        self.assertEqual(self.inbound.count, 2)

    def test_an_association_that_ended_keeps_its_place_until_its_connection_is_gone(self) -> None:
        self._call()[0].abort()
        self.assertEqual(self.inbound.count, 1)

    def test_one_for_whom_another_process_has_left_no_place_is_rejected(self) -> None:
        places = SharedPlaces()
        self.inbound = DimseInbound("clinic", self.callers, Deadlines(Clock()), LIMITS, 2, places)
        places.take()
        self.assertEqual(self._call()[1].take(), [AssociateReject(LOCAL_LIMIT_EXCEEDED)])

    def test_a_place_is_given_back_to_all_processes(self) -> None:
        places = SharedPlaces()
        self.inbound = DimseInbound("clinic", self.callers, Deadlines(Clock()), LIMITS, 2, places)
        self._hang_up(self._call()[0])
        self.assertEqual(places.free, 1)

    def test_who_got_no_place_gives_none_back(self) -> None:
        places = SharedPlaces()
        self.inbound = DimseInbound("clinic", self.callers, Deadlines(Clock()), LIMITS, 2, places)
        self._call()
        self._hang_up(self._call()[0])
        self.assertEqual(places.free, 0)

    def test_without_associations_it_is_empty(self) -> None:
        self.assertIsNone(self.successResultOf(self.inbound.emptied()))

    def test_it_is_empty_when_the_last_is_gone(self) -> None:
        associations = [self._call()[0] for _ in range(2)]
        done = self.inbound.emptied()
        self._hang_up(associations[0])
        self.assertNoResult(done)
        self._hang_up(associations[1])
        self.assertIsNone(self.successResultOf(done))

    def test_cutting_all(self) -> None:
        transports = [self._call()[1] for _ in range(2)]
        self.inbound.cut_all()
        self.assertEqual([transport.disconnected for transport in transports], [True, True])

    def test_nothing_is_left_of_those_that_are_gone(self) -> None:
        gone = []
        for _ in range(100):
            association, _ = self._call()
            association.dataReceived(wire(Abort(0, 0)))
            self._hang_up(association)
            gone.append(weakref.ref(association))
        del association
        self.callers.came.clear()
        gc.collect()
        self.assertEqual([each() for each in gone if each() is not None], [])
