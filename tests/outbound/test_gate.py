"""`max_operations`: requests that wait, each for its turn."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.association.stream import HIGH_WATER
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command
from dimseproxy.ul.pdu import Abort, ReleaseRequest
from tests.association.playing import CT, GET, command, echo, echoed, fragment, response, store
from tests.outbound.peers import House

PENDING = 0xFF00


def cancel(message_id: int) -> Command:
    return command(CommandField.C_CANCEL_RQ, None, more={Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id})


class OperationsOfAPeer(TestCase):
    def setUp(self) -> None:
        self.house = House(size=0, operations=1)
        self.peer = self.house.peer
        self.one = self.house.call(caller="one")
        self.other = self.house.call(caller="other")
        self.line, self.other_line = self.peer.lines

    @property
    def taken(self) -> int:
        assert self.house.operations is not None
        return self.house.operations.taken


class WhoWaits(OperationsOfAPeer):
    def setUp(self) -> None:
        super().setUp()
        self.one.sends(echo())
        self.other.sends(echo(5))

    def test_is_not_heard(self) -> None:
        self.assertEqual(self.other_line.hears(), [])

    def test_is_paused(self) -> None:
        self.assertEqual(self.other.told, ["pause sending"])

    def test_the_one_before_is_not(self) -> None:
        self.assertEqual(self.one.told, [])

    def test_is_heard_after_the_last_response(self) -> None:
        self.line.says(echoed())
        self.assertEqual((self.other_line.hears(), self.other.told), ([echo(5)], ["pause sending", "resume sending"]))

    def test_not_after_a_response_to_another_operation(self) -> None:
        self.line.says(response(CommandField.C_FIND_RSP))
        self.assertEqual(self.other_line.hears(), [])

    def test_not_after_a_response_to_something_else(self) -> None:
        self.line.says(echoed(9))
        self.assertEqual(self.other_line.hears(), [])

    def test_is_heard_when_the_other_caller_aborts(self) -> None:
        self.one.association.abort(0, 0)
        self.assertEqual(self.other_line.hears(), [echo(5)])

    def test_is_heard_when_the_peer_aborts_the_other(self) -> None:
        self.line.says(Abort(2, 0))
        self.assertEqual(self.other_line.hears(), [echo(5)])

    def test_may_give_up(self) -> None:
        self.other.association.abort(0, 0)
        self.line.says(echoed())
        self.assertEqual((self.taken, self.other_line.hears()), (0, [Abort(0, 0)]))

    def test_is_forgotten_when_its_association_ends(self) -> None:
        self.other_line.says(Abort(2, 0))
        self.line.says(echoed())
        self.assertEqual((self.taken, self.other_line.hears()), (0, []))

    def test_is_heard_before_its_release(self) -> None:
        self.other.association.release()
        self.assertEqual(self.other_line.hears(), [])
        self.line.says(echoed())
        self.assertEqual(self.other_line.hears(), [echo(5), ReleaseRequest()])

    def test_what_follows_waits_behind_it(self) -> None:
        self.other.sends(echo(6))
        self.line.says(echoed())
        before = self.other_line.hears()
        self.other_line.says(echoed(5))
        self.assertEqual((before, self.other_line.hears()), ([echo(5)], [echo(6)]))

    def test_all_that_follows_waits_one_by_one(self) -> None:
        self.other.sends(echo(6), echo(7))
        self.line.says(echoed())
        heard = []
        for message_id in (5, 6, 7):
            heard.append(self.other_line.hears())
            self.other_line.says(echoed(message_id))
        self.one.sends(echo(2))
        self.assertEqual((heard, self.line.hears()[-1]), ([[echo(5)], [echo(6)], [echo(7)]], echo(2)))

    def test_each_caller_has_a_turn(self) -> None:
        again = self.house.call(caller="other")
        again.sends(echo(6))
        third = self.house.call(caller="third")
        third.sends(echo(7))
        self.line.says(echoed())
        self.other_line.says(echoed(5))
        self.assertEqual([line.hears() for line in self.peer.lines[2:]], [[], [echo(7)]])


class WhoWaitsForAnswers(OperationsOfAPeer):
    def setUp(self) -> None:
        super().setUp()
        self.one.sends(command(CommandField.C_FIND_RQ))
        self.other.sends(echo(5))

    def test_is_not_heard_after_a_pending_response(self) -> None:
        self.line.says(response(CommandField.C_FIND_RSP, status=PENDING))
        self.assertEqual(self.other_line.hears(), [])

    def test_is_heard_after_the_last_one(self) -> None:
        self.line.says(response(CommandField.C_FIND_RSP, status=PENDING), response(CommandField.C_FIND_RSP))
        self.assertEqual(self.other_line.hears(), [echo(5)])


class WhatWaits(OperationsOfAPeer):
    """Whole messages wait, and pass in one piece."""

    def setUp(self) -> None:
        super().setUp()
        self.one.sends(echo())
        self.line.hears()

    def test_a_data_set_waits_with_its_command(self) -> None:
        message = store(1, context_id=3)
        self.other.sends(message)
        self.assertEqual(self.other_line.hears(), [])
        self.line.says(echoed())
        self.assertEqual(self.other_line.hears(), message)

    def test_the_rest_of_a_data_set_follows_at_once(self) -> None:
        request, _ = store(1, context_id=3)
        self.other.sends(request, fragment(b"first", context_id=3, is_last=False))
        self.line.says(echoed())
        self.other.sends(fragment(b"last", context_id=3))
        self.assertEqual(self.other_line.hears(), [request, fragment(b"firstlast", context_id=3)])

    def test_what_is_under_way_is_not_interrupted(self) -> None:
        self.line.says(echoed())
        request, _ = store(1, context_id=3)
        self.other.sends(request, fragment(b"first", context_id=3, is_last=False))
        self.one.sends(echo(2))
        self.other.sends(fragment(b"last", context_id=3))
        self.assertEqual(self.other_line.hears(), [request, fragment(b"firstlast", context_id=3)])

    def test_as_many_at_once_as_there_may_be(self) -> None:
        house = House(size=0, operations=2)
        callers = [house.call(caller=number) for number in range(3)]
        for each in callers:
            each.sends(echo())
        self.assertEqual([len(line.hears()) for line in house.peer.lines], [1, 1, 0])

    def test_a_cancel_waits_behind_its_request(self) -> None:
        self.other.sends(command(CommandField.C_FIND_RQ, 5), cancel(5))
        self.assertEqual(self.other_line.hears(), [])
        self.line.says(echoed())
        self.assertEqual(self.other_line.hears(), [command(CommandField.C_FIND_RQ, 5), cancel(5)])


class WithinAResponse(OperationsOfAPeer):
    """A request waits, a response overtakes it, and its data set is still to come."""

    def setUp(self) -> None:
        super().setUp()
        self.one.sends(echo())
        self.other.sends(echo(5))
        self.response = response(CommandField.N_EVENT_REPORT_RSP, has_data_set=True)
        self.other.sends(self.response)

    def test_the_request_does_not_begin(self) -> None:
        self.line.says(echoed())
        self.other.sends(fragment(b"reply"))
        self.assertEqual(self.other_line.hears(), [self.response, fragment(b"reply"), echo(5)])

    def test_nor_between_two_fragments(self) -> None:
        self.other.sends(fragment(b"re", is_last=False))
        self.line.says(echoed())
        self.other.sends(fragment(b"ply"))
        self.assertEqual(self.other_line.hears(), [self.response, fragment(b"reply"), echo(5)])

    def test_its_user_is_asked_for_the_rest(self) -> None:
        self.assertEqual(self.other.told, ["pause sending", "resume sending"])

    def test_and_for_no_more(self) -> None:
        self.other.sends(fragment(b"reply"))
        self.assertEqual(self.other.told[2:], ["pause sending"])

    def test_its_turn_is_not_lost_with_it(self) -> None:
        self.line.says(echoed())
        taken = self.taken
        self.other.association.abort(0, 0)
        self.assertEqual((taken, self.taken), (1, 0))

    def test_it_has_one_turn(self) -> None:
        self.line.says(echoed())
        self.other.sends(fragment(b"reply"))
        self.other_line.says(echoed(5))
        self.assertEqual(self.taken, 0)


class OneWithSeveralRequests(OperationsOfAPeer):
    """A caller with an asynchronous operations window."""

    def setUp(self) -> None:
        super().setUp()
        self.get = command(CommandField.C_GET_RQ, 1, context_id=5, sop_class=GET)
        self.one.sends(self.get)
        self.one.sends(echo(2))

    def test_its_second_request_waits(self) -> None:
        self.assertEqual(self.line.hears(), [self.get])

    def test_it_is_read_on(self) -> None:
        # The peer may wait for its answers.
        self.assertEqual(self.one.told, [])

    def test_its_answers_overtake(self) -> None:
        self.line.hears()
        stored = response(CommandField.C_STORE_RSP, context_id=3)
        self.line.says(store(1, context_id=3))
        self.one.sends(stored)
        self.assertEqual(self.line.hears(), [stored])

    def test_a_cancel_of_what_is_under_way_overtakes(self) -> None:
        self.line.hears()
        self.one.sends(cancel(1))
        self.assertEqual(self.line.hears(), [cancel(1)])

    def test_it_is_paused_when_much_waits(self) -> None:
        self.one.sends(
            command(CommandField.C_STORE_RQ, 3, has_data_set=True, context_id=3, sop_class=CT),
            fragment(bytes(HIGH_WATER), context_id=3),
        )
        self.assertEqual(self.one.told, ["pause sending"])

    def test_it_is_not_when_that_has_gone(self) -> None:
        large = command(CommandField.C_STORE_RQ, 3, has_data_set=True, context_id=3, sop_class=CT)
        self.one.sends(large, fragment(bytes(HIGH_WATER), context_id=3))
        self.line.says(response(CommandField.C_GET_RSP, context_id=5))
        self.line.says(echoed(2))
        self.one.told.clear()
        self.one.sends(echo(4))
        self.assertEqual((self.one.told, self.line.hears()[-1]), ([], fragment(bytes(HIGH_WATER), context_id=3)))

    def test_the_second_follows_the_first(self) -> None:
        self.line.hears()
        self.line.says(response(CommandField.C_GET_RSP, context_id=5))
        self.assertEqual(self.line.hears(), [echo(2)])

    def test_it_leaves_nothing_taken(self) -> None:
        self.line.says(response(CommandField.C_GET_RSP, context_id=5))
        self.line.says(echoed(2))
        self.assertEqual(self.taken, 0)


class InThePool(TestCase):
    def test_who_releases_within_the_last_response_leaves_nothing_taken(self) -> None:
        house = House(operations=1)
        caller = house.call()
        caller.does(lambda: caller.association.release(), on=echoed())
        caller.sends(echo())
        house.peer.last.says(echoed())
        assert house.operations is not None
        self.assertEqual((house.operations.taken, house.outbound.idle), (0, 1))
