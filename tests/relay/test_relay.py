from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from dimseproxy.association.deadlines import LOOK_EVERY, Deadlines
from dimseproxy.config.settings import Timeouts
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import AssociationAborted
from dimseproxy.relay.filters import Filter, KnownDestinations, Permissions
from dimseproxy.relay.relay import Relay
from tests.association.playing import (
    CT,
    FIND,
    MOVE,
    PRIVATE,
    VERIFICATION,
    command,
    echo,
    echoed,
    fragment,
    response,
    store,
)
from tests.relay.fakes import FakeAssociation


class Joined(TestCase):
    """A caller and an outbound, joined."""

    filters: Sequence[Filter] = ()

    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.deadlines.start()
        self.caller, self.outbound = FakeAssociation(), FakeAssociation()
        self.ends = 0
        self.relay = Relay(self.caller, self.outbound, self.deadlines, Timeouts(), self._over)
        self.relay.join(self.filters)

    def _over(self) -> None:
        self.ends += 1

    def waits(self, seconds: float) -> None:
        for _ in range(int(seconds / LOOK_EVERY) + 1):
            self.clock.advance(LOOK_EVERY)


class PartsTests(Joined):
    def test_outward_in_order(self) -> None:
        self.caller.hears(echo(1), store(2))
        self.caller.hears(echo(3))
        self.assertEqual(self.outbound.sent, [echo(1), *store(2), echo(3)])

    def test_inward_in_order(self) -> None:
        self.outbound.hears(echoed(1), store(2))
        self.assertEqual(self.caller.sent, [echoed(1), *store(2)])

    def test_nothing_comes_back_by_itself(self) -> None:
        self.caller.hears(store(1))
        self.assertEqual(self.caller.sent, [])

    def test_a_slow_outbound_pauses_the_caller(self) -> None:
        self.outbound.user.pause_sending()
        self.assertEqual((self.caller.is_paused, self.outbound.is_paused), (True, False))

    def test_a_slow_caller_pauses_the_outbound(self) -> None:
        self.caller.user.pause_sending()
        self.assertEqual((self.caller.is_paused, self.outbound.is_paused), (False, True))

    def test_an_outbound_that_goes_on_resumes_the_caller(self) -> None:
        self.outbound.user.pause_sending()
        self.outbound.user.resume_sending()
        self.assertFalse(self.caller.is_paused)

    def test_what_the_relay_answers_waits_for_a_message_to_end(self) -> None:
        sub_operation = store(7)
        self.outbound.hears(sub_operation[0])
        self.relay.answer_caller([echoed(1)])
        self.outbound.hears(sub_operation[1])
        self.assertEqual(self.caller.sent, [*sub_operation, echoed(1)])

    def test_a_caller_that_does_not_read_our_answers_may_ask_no_more(self) -> None:
        self.relay.answer_caller([echoed(1)])
        self.caller.user.pause_sending()
        self.assertTrue(self.caller.is_paused)
        self.caller.user.resume_sending()
        self.assertFalse(self.caller.is_paused)

    def test_it_waits_for_the_outbound_all_the_same(self) -> None:
        self.relay.answer_caller([echoed(1)])
        self.caller.user.pause_sending()
        self.outbound.user.pause_sending()
        self.caller.user.resume_sending()
        self.assertTrue(self.caller.is_paused)

    def test_commands_that_nobody_knows_are_counted_together(self) -> None:
        for number in range(100):
            self.caller.hears(command(CommandField.C_ECHO_RQ, number, more={Element.COMMAND_FIELD: 0x0F00 + number}))
        with capturedLogs() as events:
            self.caller.ends()
        [counted] = [event["requests"] for event in events if "requests" in event]
        self.assertEqual(counted.count("("), 1, counted)

    def test_another_source_waits_for_a_slow_caller(self) -> None:
        waits: list[str] = []
        self.relay.to_caller.source(lambda: waits.append("pause"), lambda: waits.append("resume"))
        self.caller.user.pause_sending()
        self.caller.user.resume_sending()
        self.assertEqual(waits, ["pause", "resume"])


class EndTests(Joined):
    def test_the_callers_release_crosses(self) -> None:
        self.caller.user.release_requested()
        self.assertEqual(self.outbound.told, ["release"])

    def test_the_caller_is_answered_when_the_outbound_has_answered(self) -> None:
        self.caller.user.release_requested()
        self.assertEqual(self.caller.told, [])
        self.outbound.user.released()
        self.assertEqual(self.caller.told, ["respond release"])

    def test_the_outbounds_release_crosses(self) -> None:
        self.outbound.user.release_requested()
        self.assertEqual(self.caller.told, ["release"])

    def test_the_outbound_is_answered_when_the_caller_has_answered(self) -> None:
        self.outbound.user.release_requested()
        self.caller.user.released()
        self.assertEqual(self.outbound.told, ["respond release"])

    def test_what_the_outbound_still_says_reaches_the_caller(self) -> None:
        self.caller.user.release_requested()
        self.outbound.hears(echoed(1))
        self.assertEqual(self.caller.sent, [echoed(1)])

    def test_a_collision_on_the_outbounds_side(self) -> None:
        self.caller.user.release_requested()
        self.outbound.user.release_requested()
        self.assertEqual((self.caller.told, self.outbound.told), ([], ["release", "respond release"]))

    def test_a_collision_on_the_callers_side(self) -> None:
        self.outbound.user.release_requested()
        self.caller.user.release_requested()
        self.assertEqual((self.caller.told, self.outbound.told), (["release", "respond release"], []))

    def test_a_release_is_the_end(self) -> None:
        self.caller.user.release_requested()
        self.outbound.user.released()
        self.assertEqual(self.ends, 1)

    def test_the_callers_abort_crosses_as_it_is(self) -> None:
        self.caller.ends(0, 3)
        self.assertEqual(self.outbound.told, [(0, 3)])

    def test_the_outbounds_abort_crosses_as_it_is(self) -> None:
        self.outbound.ends(2, 1)
        self.assertEqual(self.caller.told, [(2, 1)])

    def test_an_abort_is_the_end(self) -> None:
        self.caller.ends()
        self.assertEqual(self.ends, 1)

    def test_there_is_one_end(self) -> None:
        self.caller.ends()
        self.outbound.user.ended(AssociationAborted(0, 0))
        self.relay.abort("again")
        self.assertEqual(self.ends, 1)

    def test_nothing_is_watched_after_the_end(self) -> None:
        self.caller.ends()
        self.waits(2000)
        self.assertEqual(self.outbound.told, [(0, 0)])

    def test_what_was_half_sent_is_aborted_with_its_sender(self) -> None:
        self.caller.hears(store(1)[0])
        self.caller.ends(2, 0)
        self.assertEqual(self.outbound.told, [(2, 0)])


class DeadlineTests(Joined):
    def test_an_idle_association_ends(self) -> None:
        self.waits(900)
        self.assertEqual((self.caller.told, self.outbound.told), ([(2, 0)], [(2, 0)]))

    def test_not_early(self) -> None:
        self.waits(898)
        self.assertEqual(self.caller.told, [])

    def test_activity_begins_the_time_anew(self) -> None:
        for _ in range(3):
            self.waits(500)
            self.caller.hears(echo(1))
            self.outbound.hears(echoed(1))
        self.assertEqual(self.caller.told, [])

    def test_a_request_without_a_response_ends_sooner(self) -> None:
        self.caller.hears(echo(1))
        self.waits(601)
        self.assertEqual(self.caller.told, [(2, 0)])

    def test_pending_responses_are_activity(self) -> None:
        self.caller.hears(command(CommandField.C_FIND_RQ, 1))
        for _ in range(5):
            self.waits(500)
            self.outbound.hears(response(CommandField.C_FIND_RSP, 1, Status.PENDING))
        self.assertEqual(self.caller.told, [])

    def test_a_pending_response_is_not_the_last(self) -> None:
        self.caller.hears(command(CommandField.C_FIND_RQ, 1))
        self.outbound.hears(response(CommandField.C_FIND_RSP, 1, Status.PENDING))
        self.assertFalse(self.relay.is_idle)

    def test_the_last_response_is(self) -> None:
        self.caller.hears(command(CommandField.C_FIND_RQ, 1))
        self.outbound.hears(response(CommandField.C_FIND_RSP, 1))
        self.assertTrue(self.relay.is_idle)

    def test_a_request_of_the_outbound_is_under_way_too(self) -> None:
        self.outbound.hears(command(CommandField.N_EVENT_REPORT_RQ, 1))
        self.assertFalse(self.relay.is_idle)

    def test_both_may_use_the_same_message_id(self) -> None:
        self.caller.hears(command(CommandField.C_GET_RQ, 1))
        self.outbound.hears(store(1))
        self.caller.hears(response(CommandField.C_STORE_RSP, 1))
        self.assertFalse(self.relay.is_idle)

    def test_a_cancel_is_not_answered(self) -> None:
        self.caller.hears(command(CommandField.C_CANCEL_RQ, 1))
        self.assertTrue(self.relay.is_idle)


class DrainTests(Joined):
    def test_an_idle_association_ends_at_once(self) -> None:
        self.relay.drain()
        self.assertEqual((self.caller.told, self.outbound.told), ([(2, 0)], [(2, 0)]))

    def test_a_running_operation_goes_on(self) -> None:
        self.caller.hears(store(1))
        self.relay.drain()
        self.waits(10)
        self.assertEqual(self.caller.told, [])

    def test_it_ends_when_it_is_answered(self) -> None:
        self.caller.hears(store(1))
        self.relay.drain()
        self.outbound.hears(response(CommandField.C_STORE_RSP, 1))
        self.waits(1)
        self.assertEqual(self.caller.told, [(2, 0)])

    def test_the_answer_reaches_the_caller(self) -> None:
        self.caller.hears(store(1))
        self.relay.drain()
        self.outbound.hears(response(CommandField.C_STORE_RSP, 1))
        self.waits(1)
        self.assertEqual(self.caller.sent, [response(CommandField.C_STORE_RSP, 1)])


class Numbering(Filter):
    """Notes what passes and keeps it, or doubles it."""

    def __init__(self, name: str, passed: list[tuple[str, str, Part]], wants_data: bool = False) -> None:
        self._name = name
        self._passed = passed
        self.wants_outward = self.wants_inward = wants_data
        self.overs = 0

    def outward(self, part: Part) -> Sequence[Part]:
        self._passed.append((self._name, "outward", part))
        return (part,)

    def inward(self, part: Part) -> Sequence[Part]:
        self._passed.append((self._name, "inward", part))
        return (part,)

    def over(self) -> None:
        self.overs += 1


class FilterTests(Joined):
    def setUp(self) -> None:
        self.passed: list[tuple[str, str, Part]] = []
        self.filters = [Numbering("a", self.passed), Numbering("b", self.passed, wants_data=True)]
        super().setUp()

    def test_outward_in_order(self) -> None:
        self.caller.hears(echo(1))
        self.assertEqual(self.passed, [("a", "outward", echo(1)), ("b", "outward", echo(1))])

    def test_inward_in_reverse(self) -> None:
        self.outbound.hears(echoed(1))
        self.assertEqual(self.passed, [("b", "inward", echoed(1)), ("a", "inward", echoed(1))])

    def test_data_sets_pass_who_wants_them(self) -> None:
        self.caller.hears(store(1))
        self.assertEqual([name for name, _, part in self.passed if not isinstance(part, Command)], ["b"])

    def test_what_goes_on_is_counted(self) -> None:
        with capturedLogs() as events:
            self.caller.hears(store(1))
            self.caller.ends()
        octets = sum(part.octets for part in store(1) if isinstance(part, DataSetFragment))
        self.assertEqual([event["sent"] for event in events if "sent" in event], [octets])

    def test_all_parts_go_on(self) -> None:
        self.caller.hears(store(1), echo(2))
        self.assertEqual(self.outbound.sent, [*store(1), echo(2)])

    def test_all_are_told_the_end_once(self) -> None:
        self.caller.ends()
        self.relay.abort("again")
        self.assertEqual([each.overs for each in self.filters if isinstance(each, Numbering)], [1, 1])


class RefusingTests(Joined):
    """A caller that may echo and find, with contexts for more than that."""

    SYNTAXES: Final = {1: VERIFICATION, 3: CT, 5: FIND, 7: PRIVATE, 9: MOVE}

    def setUp(self) -> None:
        may = frozenset({"echo", "find"})
        self.filters = [Permissions(may, self.SYNTAXES, lambda parts: self.relay.answer_caller(parts))]
        super().setUp()

    def _refusals(self) -> list[tuple[str, int]]:
        return [
            (part.command_set.name, part.command_set.status) for part in self.caller.sent if isinstance(part, Command)
        ]

    def test_what_it_may_do_crosses(self) -> None:
        find = command(CommandField.C_FIND_RQ, 1, context_id=5)
        self.caller.hears(echo(1), find)
        self.assertEqual(self.outbound.sent, [echo(1), find])

    def test_what_it_may_not_do_does_not(self) -> None:
        self.caller.hears(store(1, context_id=3))
        self.assertEqual(self.outbound.sent, [])

    def test_what_does_not_cross_is_no_byte_to_the_outbound(self) -> None:
        with capturedLogs() as events:
            self.caller.hears(store(1, context_id=3))
            self.caller.ends()
        self.assertEqual([event["sent"] for event in events if "sent" in event], [0])

    def test_it_is_told_so(self) -> None:
        self.caller.hears(store(1, context_id=3))
        self.assertEqual(self._refusals(), [("C-STORE-RSP", Status.NOT_AUTHORIZED)])

    def test_not_before_its_data_set_is_there(self) -> None:
        self.caller.hears(store(1, context_id=3)[0], fragment(b"some", context_id=3, is_last=False))
        self.assertEqual(self.caller.sent, [])

    def test_the_next_request_begins_cleanly(self) -> None:
        self.caller.hears(store(1, context_id=3), echo(2))
        self.assertEqual(self.outbound.sent, [echo(2)])

    def test_a_request_without_a_data_set_is_refused_at_once(self) -> None:
        self.caller.hears(command(CommandField.N_GET_RQ, 1, context_id=7))
        self.assertEqual(self._refusals(), [("N-GET-RSP", Status.NOT_AUTHORIZED)])

    def test_in_an_unknown_sop_class_the_command_counts(self) -> None:
        self.caller.hears(command(CommandField.C_FIND_RQ, 1, context_id=7), store(2, context_id=7))
        self.assertEqual(self.outbound.commands, ["C-FIND-RQ"])

    def test_a_command_in_a_context_that_is_not_for_it(self) -> None:
        self.caller.hears(command(CommandField.C_MOVE_RQ, 1, context_id=1), command(CommandField.C_FIND_RQ, 2))
        self.assertEqual((self.outbound.sent, len(self._refusals())), ([], 2))

    def test_a_refused_request_is_not_under_way(self) -> None:
        self.caller.hears(store(1, context_id=3))
        self.assertTrue(self.relay.is_idle)

    def test_responses_cross(self) -> None:
        stored = response(CommandField.C_STORE_RSP, 1, context_id=3)
        self.caller.hears(stored)
        self.assertEqual(self.outbound.sent, [stored])

    def test_a_cancel_crosses(self) -> None:
        cancel = command(CommandField.C_CANCEL_RQ, None, context_id=5)
        self.caller.hears(cancel)
        self.assertEqual(self.outbound.sent, [cancel])

    def test_a_refusal_waits_for_a_message_to_the_caller(self) -> None:
        self.outbound.hears(store(9, context_id=3)[0])
        self.caller.hears(command(CommandField.N_GET_RQ, 1, context_id=7))
        self.assertEqual(self.caller.commands, ["C-STORE-RQ"])


class AnybodyTests(Joined):
    def setUp(self) -> None:
        self.filters = [Permissions(None, {1: VERIFICATION, 3: CT}, lambda parts: self.relay.answer_caller(parts))]
        super().setUp()

    def test_may_do_anything(self) -> None:
        self.caller.hears(echo(1), store(2, context_id=3))
        self.assertEqual(self.outbound.sent, [echo(1), *store(2, context_id=3)])

    def test_but_where_it_belongs(self) -> None:
        self.caller.hears(store(1))
        self.assertEqual(self.caller.commands, ["C-STORE-RSP"])


class KnownDestinationsTests(Joined):
    def setUp(self) -> None:
        self.filters = [KnownDestinations({"KNOWN"}.__contains__, lambda parts: self.relay.answer_caller(parts))]
        super().setUp()

    def _move(self, destination: str) -> list[Part]:
        request = command(CommandField.C_MOVE_RQ, 1, has_data_set=True, more={Element.MOVE_DESTINATION: destination})
        return [request, fragment(b"identifier")]

    def test_a_known_one(self) -> None:
        self.caller.hears(self._move("KNOWN"))
        self.assertEqual(self.outbound.sent, self._move("KNOWN"))

    def test_an_unknown_one(self) -> None:
        self.caller.hears(self._move("known"))
        self.assertEqual([part.command_set.status for part in self.caller.sent if isinstance(part, Command)], [0xA801])

    def test_what_is_refused_does_not_cross(self) -> None:
        self.caller.hears(self._move("known"))
        self.assertEqual(self.outbound.sent, [])
