"""What becomes of a caller's request."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    CALLING_AE_TITLE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    NO_REASON_GIVEN,
    TEMPORARY_CONGESTION,
    AssociationAborted,
    AssociationRejected,
    OutboundUnreachable,
)
from dimseproxy.relay.reception import Reception
from dimseproxy.ul.pdu import Abort
from dimseproxy.ul.user_information import RoleSelection, UserIdentity
from tests.association.playing import (
    CT,
    FIND,
    GET,
    MOVE,
    PRIVATE,
    VERIFICATION,
    Acceptor,
    a_request,
    echo,
    echoed,
    response,
    store,
)
from tests.relay.fakes import PACS_HOST, FakeIncoming, House
from tests.relay.test_moves import move

MAY_GET: frozenset[str] = frozenset(("echo", "get"))


class CallTests(TestCase):
    def setUp(self) -> None:
        self.house = House()

    def test_the_outbound_is_asked_for_the_same_contexts(self) -> None:
        self.house.call(VERIFICATION, CT)
        self.assertEqual(self.house.pacs.requests[0].contexts, a_request(VERIFICATION, CT).contexts)

    def test_under_its_own_title_by_ours(self) -> None:
        self.house.call()
        asked = self.house.pacs.requests[0]
        self.assertEqual((asked.called_ae_title, asked.calling_ae_title), ("PACS", "DIMSEPROXY"))

    def test_or_by_the_callers(self) -> None:
        house = House.with_pacs(calling_ae_title="same")
        house.call()
        self.assertEqual(house.pacs.requests[0].calling_ae_title, "CLIENT")

    def test_the_caller_waits_for_the_outbound(self) -> None:
        self.house.pacs._answers = False
        caller = self.house.call()
        self.assertEqual((caller.is_accepted, caller.rejection), (False, None))

    def test_the_caller_is_answered_with_what_came_back(self) -> None:
        self.house.pacs.refused = (CT,)
        caller = self.house.call(VERIFICATION, CT)
        self.assertEqual(list(caller.established.contexts), [1])

    def test_and_under_the_titles_that_it_used(self) -> None:
        accept = self.house.call(called="SHIELD").established.accept
        self.assertEqual((accept.called_ae_title, accept.calling_ae_title), ("SHIELD", "CLIENT"))

    def test_parts_flow_then(self) -> None:
        caller = self.house.call()
        caller.hears(echo(1))
        self.house.pacs.associations[0].hears(echoed(1))
        self.assertEqual((self.house.pacs.associations[0].sent, caller.sent), ([echo(1)], [echoed(1)]))

    def test_a_rejection_of_the_outbound_crosses(self) -> None:
        self.house.pacs.error = AssociationRejected(CALLED_AE_TITLE_NOT_RECOGNIZED)
        self.assertEqual(self.house.call().rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_an_unreachable_outbound(self) -> None:
        self.house.pacs.error = OutboundUnreachable("down")
        self.assertEqual(self.house.call().rejection, TEMPORARY_CONGESTION)

    def test_an_outbound_that_aborts(self) -> None:
        self.house.pacs.error = AssociationAborted(2, 0)
        self.assertEqual(self.house.call().rejection, TEMPORARY_CONGESTION)

    def test_an_outbound_that_fails_in_a_way_of_its_own(self) -> None:
        self.house.pacs.error = CancelledError()
        self.assertEqual(self.house.call().rejection, TEMPORARY_CONGESTION)

    def test_a_caller_that_is_gone_meanwhile(self) -> None:
        self.house.pacs._answers = False
        self.house.call().ends()
        self.assertEqual(self.house.pacs.given_up, 1)

    def test_one_that_aborts_in_the_piece_that_asks(self) -> None:
        # The outbound answers at once, and the abort is still to be told.
        caller = FakeIncoming(a_request(calling="CLIENT"))
        caller.is_over = True
        self.house.reception.incoming(caller)
        self.assertEqual(self.house.pacs.associations[0].told, ["release"])

    def test_user_identity_is_relayed(self) -> None:
        self.house.reception.incoming(self._identified())
        self.assertIsNotNone(self.house.pacs.requests[0].user_information.user_identity)

    def test_user_identity_is_dropped_where_the_inbound_says_so(self) -> None:
        inbound = {"clinic": evolve(self.house.settings.inbound["clinic"], user_identity=False)}
        house = House(settings=evolve(self.house.settings, inbound=inbound))
        house.reception.incoming(self._identified())
        self.assertIsNone(house.pacs.requests[0].user_information.user_identity)

    def _identified(self) -> FakeIncoming:
        request = a_request(calling="CLIENT")
        information = evolve(request.user_information, user_identity=UserIdentity(2, False, b"somebody", b"secret"))
        return FakeIncoming(evolve(request, user_information=information))


class RefusalTests(TestCase):
    def setUp(self) -> None:
        house = House()
        applications = {
            **house.settings.applications,
            "CLIENT": evolve(house.settings.applications["CLIENT"], may=MAY_GET),  # type: ignore[arg-type]
        }
        self.house = House(settings=evolve(house.settings, applications=applications))

    def test_an_unknown_caller(self) -> None:
        self.assertEqual(self.house.call(calling="STRANGER").rejection, CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_the_title_of_another_address(self) -> None:
        self.assertEqual(self.house.call(calling="OTHER").rejection, CALLING_AE_TITLE_NOT_RECOGNIZED)

    def test_the_outbound_does_not_notice(self) -> None:
        self.house.call(calling="STRANGER")
        self.assertEqual(self.house.pacs.requests, [])

    def test_a_service_that_it_may_not_use_is_not_asked_for(self) -> None:
        self.house.call(VERIFICATION, CT, FIND)
        self.assertEqual([context.abstract_syntax for context in self.house.pacs.requests[0].contexts], [VERIFICATION])

    def test_it_is_refused_to_the_caller(self) -> None:
        caller = self.house.call(VERIFICATION, CT)
        self.assertEqual([each.result for each in caller.established.accept.contexts], [0, 1])

    def test_nothing_that_it_may_use(self) -> None:
        self.assertEqual(self.house.call(CT, FIND).rejection, NO_REASON_GIVEN)

    def test_the_objects_of_a_c_get_may_come(self) -> None:
        caller = self._getting()
        self.house.pacs.associations[0].hears(store(1, context_id=3))
        self.assertEqual(caller.commands, ["C-STORE-RQ"])

    def test_but_none_may_go(self) -> None:
        self._getting().hears(store(1, context_id=3))
        self.assertEqual(self.house.pacs.associations[0].sent, [])

    def test_its_answers_to_them_cross(self) -> None:
        caller = self._getting()
        answer = response(0x8001, 1, context_id=3)  # type: ignore[arg-type]
        caller.hears(answer)
        self.assertEqual(self.house.pacs.associations[0].sent, [answer])

    def test_an_unknown_sop_class_is_asked_for(self) -> None:
        self.house.call(PRIVATE)
        self.assertEqual(len(self.house.pacs.requests), 1)

    def _getting(self) -> FakeIncoming:
        caller = FakeIncoming(a_request(GET, CT, calling="CLIENT", roles=[RoleSelection(CT, True, True)]))
        self.house.reception.incoming(caller)
        return caller


class OperationTests(TestCase):
    def setUp(self) -> None:
        self.house = House()

    def test_a_new_configuration_is_for_the_associations_to_come(self) -> None:
        caller = self.house.call()
        self.house.reception.reconfigure(evolve(self.house.settings, routes=()), self.house.ways())
        caller.hears(echo(1))
        self.assertEqual(self.house.pacs.associations[0].sent, [echo(1)])

    def test_they_follow_it(self) -> None:
        self.house.reception.reconfigure(evolve(self.house.settings, routes=()), self.house.ways())
        self.assertEqual(self.house.call().rejection, CALLED_AE_TITLE_NOT_RECOGNIZED)

    def test_a_call_that_comes_while_draining_is_rejected(self) -> None:
        self.house.reception.drain()
        self.assertEqual(self.house.call().rejection, LOCAL_LIMIT_EXCEEDED)

    def test_an_association_that_comes_about_while_draining_ends(self) -> None:
        self.house.pacs._answers = False
        caller = self.house.call()
        self.house.reception.drain()
        self.house.pacs.accepts()
        self.assertEqual((caller.is_over, self.house.pacs.associations[0].is_over), (True, True))

    def test_the_hard_stop_ends_both_sides(self) -> None:
        caller = self.house.call(CT)
        caller.hears(store(1)[0])
        self.house.reception.abort_all("stop")
        self.assertEqual((caller.told, self.house.pacs.associations[0].told), ([(2, 0)], [(2, 0)]))

    def test_nothing_is_left_of_what_is_over(self) -> None:
        gone: list[weakref.ref[Any]] = []
        for index in range(100):
            caller = self.house.call(CT)
            caller.hears(store(1))
            pacs = self.house.pacs.associations.pop()
            if index % 2:
                caller.ends()
            else:
                caller.user.release_requested()
                pacs.user.released()
            gone += [weakref.ref(caller), weakref.ref(pacs), weakref.ref(caller.user)]
        del caller, pacs
        self.house.pacs.requests.clear()
        gc.collect()
        self.assertEqual([each() for each in gone if each() is not None], [])

    def test_nothing_is_left_of_what_was_refused(self) -> None:
        self.house.pacs.error = OutboundUnreachable("down")
        gone = [weakref.ref(self.house.call(CT)) for _ in range(20)]
        self.house.pacs.error = None
        gc.collect()
        self.assertEqual([each() for each in gone if each() is not None], [])

    def test_nothing_is_left_of_deliveries(self) -> None:
        gone = []
        for _ in range(20):
            delivery = self.house.deliver(VERIFICATION)
            gone.append(weakref.ref(delivery))
            delivery.user.release_requested()
        del delivery
        gc.collect()
        self.assertEqual([each() for each in gone if each() is not None], [])

    def test_nothing_is_left_of_a_delivery_that_gave_up_before_it_was_open(self) -> None:
        house, pacs = House(), Acceptor()
        pacs.transport.peerAddr = IPv4Address("TCP", PACS_HOST, 104)
        reception = Reception(house.settings, house.ways(), house.deadlines)
        pacs.then = reception.incoming
        pacs.hears(a_request(CT, calling="PACS", called="DIMSEPROXY"))
        pacs.hears(Abort(0, 0))
        reception.open()
        with capturedLogs() as logs:
            house.waits(1000)
        self.assertEqual([entry for entry in logs if "silent" in str(entry.get("why", entry))], [])

    def test_a_mistake_of_ours_leaves_nobody_waiting(self) -> None:
        self.patch(self.house.reception, "join", None)
        caller = self.house.call()
        self.assertEqual((caller.is_over, self.house.pacs.associations[0].is_over), (True, True))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_a_pacs_that_is_two_outbounds_delivers_what_was_asked_of_the_second(self) -> None:
        house = House()
        outbounds = {name: house.settings.outbound["pacs"] for name in ("first", "pacs")}
        settings = evolve(house.settings, outbound=outbounds)
        ways = evolve(house.ways(), outbound_hosts=dict.fromkeys(outbounds, PACS_HOST))
        house.reception = Reception(settings, ways, house.deadlines)
        house.reception.open()
        house.call(MOVE).hears(move("OTHER"))
        self.assertTrue(house.deliver(CT).is_accepted)

    def test_outbounds_are_asked_once(self) -> None:
        self.house.call()
        self.assertEqual(len(self.house.pacs.requests), 1)
