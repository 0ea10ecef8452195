"""Who waits for a peer that has enough to do, and for how long."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.errors import (
    CALLED_AE_TITLE_NOT_RECOGNIZED,
    TEMPORARY_CONGESTION,
    AssociationRejected,
    OutboundUnreachable,
)
from dimseproxy.outbound.limits import LOOK_EVERY, Count, Operations, Rotation, SharedCount
from dimseproxy.ul.pdu import Abort, AssociateReject, AssociateRequest, ReleaseRequest
from tests.association.playing import LIMITS, echo, echoed
from tests.outbound.peers import REQUEST, House

OTHER = evolve(REQUEST, calling_ae_title="OTHER")


class CountTests(TestCase):
    def setUp(self) -> None:
        self.count = Count(2)
        self.told: list[str] = []

    def _take(self) -> list[bool]:
        return [self.count.take() for _ in range(3)]

    def test_as_many_as_there_are(self) -> None:
        self.assertEqual(self._take(), [True, True, False])

    def test_any_number(self) -> None:
        self.count = Count(None)
        self.assertEqual(self._take(), [True, True, True])

    def test_a_place_that_was_given_back(self) -> None:
        self._take()
        self.count.give()
        self.assertEqual(self._take(), [True, False, False])

    def test_who_waits_is_told_once(self) -> None:
        self._take()
        self.count.when_free(lambda: self.told.append("free"))
        self.count.give()
        self.count.give()
        self.assertEqual(self.told, ["free"])


class SharedCountTests(TestCase):
    """Places that another process may give back."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.free = 1
        self.count = SharedCount(self._take, self._give, self.clock)
        self.told: list[str] = []

    def _take(self) -> bool:
        if self.free:
            self.free -= 1
            return True
        return False

    def _give(self) -> None:
        self.free += 1

    def test_takes_and_gives(self) -> None:
        took = [self.count.take(), self.count.take()]
        self.count.give()
        self.assertEqual((took, self.free), ([True, False], 1))

    def test_who_waits_is_told_of_our_own_at_once(self) -> None:
        self.count.when_free(lambda: self.told.append("free"))
        self.count.give()
        self.assertEqual(self.told, ["free"])

    def test_who_waits_looks_for_those_of_others(self) -> None:
        self.count.when_free(lambda: self.told.append("look"))
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.told, ["look"])

    def test_looks_again_as_long_as_somebody_waits(self) -> None:
        def look() -> None:
            self.told.append("look")
            self.count.when_free(look)

        self.count.when_free(look)
        self.clock.pump([LOOK_EVERY] * 3)
        self.assertEqual(self.told, ["look"] * 3)

    def test_places_are_wanted_where_none_is_free(self) -> None:
        before = self.count.are_wanted_elsewhere()
        self.count.take()
        self.assertEqual((before, self.count.are_wanted_elsewhere(), self.free), (False, True, 0))

    def test_asking_whether_they_are_takes_none(self) -> None:
        self.count.are_wanted_elsewhere()
        self.assertEqual(self.free, 1)

    def test_does_not_look_for_nobody(self) -> None:
        self.count.when_free(lambda: None)
        self.clock.advance(LOOK_EVERY)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RotationTests(TestCase):
    def setUp(self) -> None:
        self.rotation: Rotation[str] = Rotation()

    def _order(self) -> str:
        return " ".join(self.rotation.take() for _ in range(len(self.rotation)))

    def _add(self, *waiters: str) -> None:
        for each in waiters:
            self.rotation.add(each[0], each)

    def test_of_one_caller_in_order(self) -> None:
        self._add("a1", "a2", "a3")
        self.assertEqual(self._order(), "a1 a2 a3")

    def test_each_caller_has_a_turn(self) -> None:
        self._add("a1", "a2", "a3", "b1", "c1", "b2")
        self.assertEqual(self._order(), "a1 b1 c1 a2 b2 a3")

    def test_who_had_a_turn_comes_after_who_had_none(self) -> None:
        self._add("a1", "a2", "a3")
        self.rotation.take()
        self._add("b1")
        self.assertEqual(self._order(), "a2 b1 a3")

    def test_who_gave_up_is_left_out(self) -> None:
        self._add("a1", "b1", "a2")
        self.rotation.discard("a", "a1")
        self.rotation.discard("b", "b1")
        self.assertEqual(self._order(), "a2")

    def test_who_never_waited_can_give_up(self) -> None:
        self._add("a1")
        self.rotation.discard("a", "a2")
        self.rotation.discard("b", "b1")
        self.assertEqual(self._order(), "a1")


class OperationsTests(TestCase):
    def setUp(self) -> None:
        self.operations = Operations(Count(1))
        self.told: list[str] = []

    def _ask(self, name: str) -> bool:
        return self.operations.take(name, lambda: self.told.append(name))

    def test_one_that_is_free(self) -> None:
        self.assertTrue(self._ask("a"))

    def test_who_waits_gets_the_next(self) -> None:
        self._ask("a")
        self.assertFalse(self._ask("b"))
        self.operations.give()
        self.assertEqual(self.told, ["b"])

    def test_nobody_is_overtaken(self) -> None:
        count = Count(1)
        self.operations = Operations(count)
        self._ask("a")
        self._ask("b")
        # As if another process had given one back, which is not known yet.
        count.taken = 0
        self.assertFalse(self._ask("c"))
        self.assertEqual(self.told, [])

    def test_who_gave_up_gets_none(self) -> None:
        def go_on() -> None:
            self.told.append("b")

        self._ask("a")
        self.operations.take("b", go_on)
        self._ask("c")
        self.operations.withdraw("b", go_on)
        self.operations.give()
        self.assertEqual(self.told, ["c"])


class AssociationsTests(TestCase):
    """`max_associations`."""

    def setUp(self) -> None:
        self.places = Count(2)
        self.house = House(size=0, associations=self.places)
        self.peer = self.house.peer
        self.first, self.second = self.house.call(), self.house.call()

    def test_one_more_waits(self) -> None:
        third = self.house.call()
        self.assertEqual((third.is_waiting, len(self.peer.lines)), (True, 2))

    def test_until_another_is_released(self) -> None:
        third = self.house.call()
        self.first.association.release()
        self.peer.lines[0].is_released()
        self.assertEqual((third.is_waiting, len(self.peer.lines)), (False, 3))

    def test_not_before_its_transport_is_gone(self) -> None:
        third = self.house.call()
        self.first.association.abort(0, 0)
        self.assertTrue(third.is_waiting)
        self.peer.lines[0].closes()
        self.assertFalse(third.is_waiting)

    def test_then_it_is_refused_for_now(self) -> None:
        third = self.house.call()
        self.house.waits(5)
        [error] = third.failures
        assert isinstance(error, AssociationRejected)
        self.assertEqual(error.rejection, TEMPORARY_CONGESTION)

    def test_not_before_its_time(self) -> None:
        third = self.house.call()
        self.house.waits(4.5)
        self.assertTrue(third.is_waiting)

    def test_who_was_refused_gets_none_afterwards(self) -> None:
        self.house.call()
        self.house.waits(5)
        self.peer.lines[0].closes()
        self.assertEqual(len(self.peer.lines), 2)

    def test_who_was_served_is_not_refused_afterwards(self) -> None:
        third = self.house.call()
        self.peer.lines[0].closes()
        self.house.waits(10)
        self.assertEqual(third.failures, [])

    def test_who_gave_up_gets_none(self) -> None:
        third = self.house.call()
        third.asking.cancel()
        self.peer.lines[0].closes()
        self.assertIsInstance(third.failures[0], CancelledError)
        self.assertEqual((len(self.peer.lines), self.house.clock.getDelayedCalls()[1:]), (2, []))

    def test_each_caller_has_a_turn(self) -> None:
        many = [self.house.call(caller="many") for _ in range(3)]
        one = self.house.call(caller="one")
        self.peer.lines[0].closes()
        self.peer.lines[1].closes()
        self.assertEqual(([each.is_waiting for each in many], one.is_waiting), ([False, True, True], False))

    def test_who_comes_does_not_overtake_who_waits(self) -> None:
        third = self.house.call()
        # As if another process had given a place back.
        self.places.taken -= 1
        fourth = self.house.call()
        self.assertEqual((third.is_waiting, fourth.is_waiting), (True, True))

    def test_a_failed_connection_takes_no_place(self) -> None:
        self.peer.lines[0].closes()
        self.peer.is_down = True
        failed = self.house.call()
        self.assertIsInstance(failed.failures[0], OutboundUnreachable)
        self.peer.is_down = False
        self.assertFalse(self.house.call().is_waiting)

    def test_a_rejected_one_takes_its_place_until_it_is_gone(self) -> None:
        self.peer.lines[0].closes()
        self.peer.rejects = AssociateReject(CALLED_AE_TITLE_NOT_RECOGNIZED)
        self.house.call()
        taken = self.places.taken
        self.peer.last.closes()
        self.assertEqual((taken, self.places.taken), (2, 1))

    def test_one_given_up_while_the_peer_is_asked_takes_no_place(self) -> None:
        self.peer.lines[0].closes()
        self.peer.accepts = False
        caller = self.house.call()
        caller.asking.cancel()
        self.peer.last.closes()
        self.assertEqual(self.places.taken, 1)

    def test_without_pool_it_is_the_association_itself(self) -> None:
        self.assertIs(self.first.association, self.peer.lines[0].association)


class AssociationsInThePoolTests(TestCase):
    """`max_associations` with a pool: idle ones count, too."""

    def setUp(self) -> None:
        self.places = Count(1)
        self.house = House(associations=self.places)
        self.peer = self.house.peer
        self.first = self.house.call()

    def test_an_idle_one_takes_a_place(self) -> None:
        self.first.association.release()
        self.assertEqual(self.places.taken, 1)

    def test_an_idle_one_leaves_for_another_request(self) -> None:
        self.first.association.release()
        other = self.house.call(OTHER)
        waited = other.is_waiting
        self.peer.lines[0].is_released()
        self.assertEqual((waited, other.is_waiting, self.peer.last.request), (True, False, self._asked(OTHER)))

    def test_one_that_does_not_answer_its_release_is_cut(self) -> None:
        self.first.association.release()
        other = self.house.call(OTHER)
        self.house.waits(1.5)
        cut = self.peer.lines[0].transport.disconnected
        self.peer.lines[0].closes()
        self.assertEqual((cut, other.is_waiting), (True, False))

    def test_it_has_a_while_to_answer(self) -> None:
        self.house.waits(20)
        self.first.association.release()
        self.house.call(OTHER)
        self.house.waits(0.5)
        self.assertFalse(self.peer.lines[0].transport.disconnected)

    def test_it_has_longer_where_nobody_waits(self) -> None:
        self.first.association.release()
        self.house.waits(15)
        self.assertFalse(self.peer.lines[0].transport.disconnected)

    def test_it_has_a_while_although_it_was_idle_for_long(self) -> None:
        self.first.association.release()
        self.house.waits(9)
        self.house.call(OTHER)
        self.house.waits(0.5)
        self.assertFalse(self.peer.lines[0].transport.disconnected)

    def test_one_that_is_released_is_not_kept_from_who_waits(self) -> None:
        other = self.house.call(OTHER)
        self.first.association.release()
        self.assertEqual(self.peer.lines[0].hears(), [ReleaseRequest()])
        self.peer.lines[0].says(Abort(0, 0))
        self.peer.lines[0].closes()
        self.assertFalse(other.is_waiting)

    def test_who_waits_for_the_same_gets_it_at_once(self) -> None:
        second = self.house.call()
        self.first.association.release()
        self.assertEqual((second.is_waiting, len(self.peer.lines), self.first.told), (False, 1, ["released"]))

    def test_its_answers_are_its_own(self) -> None:
        second = self.house.call()
        self.first.association.release()
        second.sends(echo())
        self.peer.last.says(echoed())
        self.assertEqual((self.first.told, second.told), (["released"], [echoed()]))

    def test_only_as_many_leave_as_somebody_waits_for(self) -> None:
        house = House(size=3, associations=3)
        for each in [house.call() for _ in range(3)]:
            each.association.release()
        house.call(OTHER)
        house.call(OTHER)
        leave = [ReleaseRequest()]
        self.assertEqual([line.hears() for line in house.peer.lines], [leave, leave, []])

    def test_one_in_the_place_of_another_takes_no_second_place(self) -> None:
        self.first.association.release()
        second = self.house.call()
        self.peer.last.says(Abort(2, 0))
        self.peer.lines[0].closes()
        self.assertEqual((len(self.peer.lines), self.places.taken, second.told), (2, 1, []))
        self.peer.last.closes()
        self.assertEqual(self.places.taken, 0)

    def test_one_that_cannot_be_replaced_leaves_its_place(self) -> None:
        self.first.association.release()
        second = self.house.call()
        self.peer.is_down = True
        self.peer.last.closes()
        self.assertEqual((self.places.taken, second.told), (0, [(2, 0)]))

    def test_one_leaves_when_another_process_may_wait(self) -> None:
        places = Count(2)
        shared = SharedCount(places.take, places.give, Clock())
        house = House(associations=shared)
        for each in [house.call(), house.call()]:
            each.association.release()
        house.waits(1)
        self.assertEqual([line.hears() for line in house.peer.lines], [[ReleaseRequest()], []])

    def test_it_is_cut_where_another_process_may_wait_still(self) -> None:
        places = Count(1)
        house = House(associations=SharedCount(places.take, places.give, Clock()))
        house.call().association.release()
        house.waits(2)
        self.assertTrue(house.peer.last.transport.disconnected)

    def test_none_leaves_as_long_as_there_is_room(self) -> None:
        places = Count(2)
        house = House(associations=SharedCount(places.take, places.give, Clock()))
        house.call().association.release()
        house.waits(1)
        self.assertEqual(house.peer.last.hears(), [])

    def _asked(self, request: AssociateRequest) -> AssociateRequest:
        """As the peer hears it: with a maximum length."""
        information = evolve(request.user_information, maximum_length=LIMITS.max_pdu_length)
        return evolve(request, user_information=information)
