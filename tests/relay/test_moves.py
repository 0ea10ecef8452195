"""C-MOVE through the proxy, and C-GET by C-MOVE: the callers' side."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import Status
from dimseproxy.relay import elsewhere, retrieving
from dimseproxy.ul.user_information import RoleSelection
from tests.association.playing import (
    CT,
    FIND,
    GET,
    MOVE,
    VERIFICATION,
    a_request,
    command,
    echo,
    fragment,
    response,
    store,
)
from tests.relay.data_sets import an_object, identifier
from tests.relay.fakes import FakeAssociation, FakeIncoming, House

OWN_ID = 0x8000


def move(
    destination: str = "CLIENT", message_id: int = 1, study: str = "1.1", *, context_id: int = 1, has_data: bool = True
) -> list[Part]:
    request = command(
        CommandField.C_MOVE_RQ,
        message_id,
        context_id=context_id,
        has_data_set=has_data,
        sop_class=MOVE,
        more={Element.MOVE_DESTINATION: destination},
    )
    return [request, fragment(identifier(study), context_id=context_id)] if has_data else [request]


def cancel(message_id: int, context_id: int = 1) -> Command:
    return command(
        CommandField.C_CANCEL_RQ, None, context_id=context_id, more={Element.MESSAGE_ID_BEING_RESPONDED_TO: message_id}
    )


def moved(message_id: int = OWN_ID, status: int = 0, completed: int = 0) -> Command:
    return response(CommandField.C_MOVE_RSP, message_id, status, more={Element.COMPLETED_SUB_OPERATIONS: completed})


def first(parts: list[Part]) -> Command:
    command = parts[0]
    assert isinstance(command, Command)
    return command


class MovesThroughTests(TestCase):
    def setUp(self) -> None:
        self.house = House.with_pacs(move_titles=("PROXY1",))
        self.caller = self.house.call(MOVE, VERIFICATION)
        self.pacs = self.house.pacs.associations[0]

    def _status(self) -> int:
        return first(self.caller.sent).command_set.status

    def test_goes_out_under_an_id_of_ours(self) -> None:
        self.caller.hears(move())
        self.assertEqual(first(self.pacs.sent).command_set.message_id, OWN_ID)

    def test_goes_out_with_ourselves_as_destination(self) -> None:
        self.caller.hears(move())
        self.assertEqual(first(self.pacs.sent).command_set.text(Element.MOVE_DESTINATION), "DIMSEPROXY")

    def test_the_identifier_crosses_unchanged(self) -> None:
        self.caller.hears(move())
        self.assertEqual(self.pacs.sent[1], fragment(identifier("1.1")))

    def test_the_identifier_may_come_in_pieces(self) -> None:
        whole = identifier("1.1")
        self.caller.hears(move()[0])
        for index, byte in enumerate(whole):
            self.caller.hears(fragment(bytes([byte]), is_last=index == len(whole) - 1))
        self.assertEqual(b"".join(map(bytes, self.pacs.sent[1:])), whole)  # type: ignore[arg-type]

    def test_another_destination_gets_another_title(self) -> None:
        self.caller.hears(move("CLIENT", 1), move("OTHER", 2))
        self.assertEqual(
            [part.command_set.text(Element.MOVE_DESTINATION) for part in self.pacs.sent if isinstance(part, Command)],
            ["DIMSEPROXY", "PROXY1"],
        )

    def test_the_caller_is_answered_under_its_own_id(self) -> None:
        self.caller.hears(move(message_id=7))
        self.pacs.hears(moved())
        self.assertEqual(first(self.caller.sent).command_set.responds_to, 7)

    def test_pending_responses_too(self) -> None:
        self.caller.hears(move(message_id=7))
        self.pacs.hears(moved(status=Status.PENDING))
        self.assertEqual(first(self.caller.sent).command_set.responds_to, 7)

    def test_several_at_once(self) -> None:
        self.caller.hears(move(message_id=7), move(message_id=8))
        self.pacs.hears(moved(OWN_ID + 1), moved(OWN_ID))
        self.assertEqual(
            [part.command_set.responds_to for part in self.caller.sent if isinstance(part, Command)], [8, 7]
        )

    def test_the_relay_is_idle_then(self) -> None:
        self.caller.hears(move())
        self.pacs.hears(moved())
        self.house.reception.drain()
        self.assertTrue(self.caller.is_over)

    def test_a_running_one_is_drained(self) -> None:
        self.caller.hears(move())
        self.house.reception.drain()
        self.assertFalse(self.caller.is_over)

    def test_a_false_success_is_none(self) -> None:
        self.caller.hears(move())
        self.pacs.hears(moved(completed=3))
        self.assertEqual(self._status(), Status.UNABLE_TO_PERFORM_SUB_OPERATIONS)

    def test_a_cancel_goes_out_under_our_id(self) -> None:
        self.caller.hears(move(message_id=7), cancel(7))
        last = self.pacs.sent[-1]
        assert isinstance(last, Command)
        self.assertEqual(last.command_set.responds_to, OWN_ID)

    def test_a_cancel_of_something_else_is_left_alone(self) -> None:
        self.caller.hears(cancel(9))
        self.assertEqual(self.pacs.sent, [cancel(9)])

    def test_an_unknown_destination(self) -> None:
        self.caller.hears(move("client"))
        self.assertEqual(self._status(), Status.MOVE_DESTINATION_UNKNOWN)

    def test_an_unknown_destination_without_an_identifier(self) -> None:
        self.caller.hears(move("client", has_data=False))
        self.assertEqual(self._status(), Status.MOVE_DESTINATION_UNKNOWN)

    def test_an_unknown_destination_does_not_reach_the_outbound(self) -> None:
        self.caller.hears(move("client"), move("OTHER", has_data=False))
        self.assertEqual(len(self.pacs.sent), 1)

    def test_the_proxy_itself_is_no_destination(self) -> None:
        self.caller.hears(move("DIMSEPROXY"))
        self.assertEqual(self._status(), Status.MOVE_DESTINATION_UNKNOWN)

    def test_what_follows_a_refusal_crosses(self) -> None:
        self.caller.hears(move("client"), echo(2, context_id=3))
        self.assertEqual(self.pacs.sent, [echo(2, context_id=3)])

    def test_other_contexts_are_no_way_around_it(self) -> None:
        self.caller.hears(move("ELSEWHERE", context_id=3))
        self.assertEqual(self.pacs.sent, [])

    def test_too_many_at_once(self) -> None:
        self.patch(retrieving, "MAX_RETRIEVES_OF_A_CALLER", 1)
        self.caller.hears(move(message_id=1), move(message_id=2))
        self.assertEqual(self._status(), Status.OUT_OF_RESOURCES)

    def test_nothing_of_a_caller_that_is_gone_is_left(self) -> None:
        self.caller.hears(move())
        self.caller.ends()
        self.assertEqual(self.house.reception.retrieves.candidates(("pacs",), "DIMSEPROXY"), [])

    def test_nothing_is_left_when_it_is_answered(self) -> None:
        self.caller.hears(move())
        self.pacs.hears(moved())
        self.assertEqual(self.house.reception.retrieves.candidates(("pacs",), "DIMSEPROXY"), [])


class CallersOwnIdsTests(TestCase):
    """A caller with an asynchronous operations window, whose message ids are as high as ours."""

    def setUp(self) -> None:
        self.house = House()
        self.caller = self.house.call(MOVE, VERIFICATION, CT)
        self.pacs = self.house.pacs.associations[0]

    def _ids(self) -> list[int]:
        """Those of the requests that the PACS got."""
        return [part.command_set.message_id for part in self.pacs.sent if isinstance(part, Command)]

    def test_one_that_the_caller_uses_is_not_leased(self) -> None:
        self.caller.hears(echo(OWN_ID, context_id=3), move())
        self.assertEqual(self._ids(), [OWN_ID, OWN_ID + 1])

    def test_one_that_it_used_is(self) -> None:
        self.caller.hears(echo(OWN_ID, context_id=3))
        self.pacs.hears(response(CommandField.C_ECHO_RSP, OWN_ID, context_id=3))
        self.caller.hears(move())
        self.assertEqual(self._ids(), [OWN_ID, OWN_ID])

    def test_nor_do_two_go_out_under_one_that_come_together(self) -> None:
        self.caller.hears(move(), echo(OWN_ID, context_id=3))
        self.assertEqual(len(set(self._ids())), len(self._ids()))

    def test_each_is_answered(self) -> None:
        self.caller.hears(echo(OWN_ID, context_id=3), move())
        self.pacs.hears(moved(OWN_ID + 1), response(CommandField.C_ECHO_RSP, OWN_ID, context_id=3))
        self.assertEqual(
            [(part.command_set.name, part.command_set.responds_to) for part in self.caller.sent],  # type: ignore[union-attr]
            [("C-MOVE-RSP", 1), ("C-ECHO-RSP", OWN_ID)],
        )

    def test_one_that_is_leased_cannot_be_used(self) -> None:
        self.caller.hears(move())
        self.caller.hears(echo(OWN_ID, context_id=3))
        self.assertEqual(self._ids(), [OWN_ID])
        refused = first(self.caller.sent).command_set
        self.assertEqual((refused.name, refused.status), ("C-ECHO-RSP", Status.DUPLICATE_INVOCATION))

    def test_nor_can_its_data_set_cross(self) -> None:
        self.caller.hears(move())
        self.caller.hears(store(OWN_ID, context_id=5))
        self.assertEqual(self.pacs.sent[2:], [])

    def test_what_is_leased_to_another_caller_can(self) -> None:
        self.house.call(MOVE).hears(move())
        self.caller.hears(echo(OWN_ID, context_id=3))
        self.assertEqual(self._ids(), [OWN_ID])

    def test_another_retrieve_may_have_the_id_of_one_of_ours(self) -> None:
        """It gets another one anyway."""
        self.caller.hears(move())
        self.caller.hears(move(message_id=OWN_ID))
        self.assertEqual(self._ids(), [OWN_ID, OWN_ID + 1])

    def test_a_cancel_that_comes_late_cancels_no_retrieve(self) -> None:
        self.caller.hears(echo(OWN_ID, context_id=3))
        self.pacs.hears(response(CommandField.C_ECHO_RSP, OWN_ID, context_id=3))
        self.caller.hears(move())
        self.caller.hears(cancel(OWN_ID))
        self.assertEqual(self.pacs.commands, ["C-ECHO-RQ", "C-MOVE-RQ"])

    def test_a_caller_that_uses_all_of_them(self) -> None:
        self.patch(elsewhere, "LAST_MESSAGE_ID", OWN_ID + 1)
        self.setUp()
        self.caller.hears(echo(OWN_ID, context_id=3), echo(OWN_ID + 1, context_id=3), move())
        self.assertEqual(first(self.caller.sent).command_set.status, Status.OUT_OF_RESOURCES)


class DirectTests(TestCase):
    def setUp(self) -> None:
        self.house = House.with_pacs(deliver="direct")
        self.caller = self.house.call(MOVE)
        self.pacs = self.house.pacs.associations[0]

    def test_crosses_as_it_is(self) -> None:
        self.caller.hears(move("OTHER"))
        self.assertEqual(self.pacs.sent, move("OTHER"))

    def test_but_not_to_an_unlisted_destination(self) -> None:
        self.caller.hears(move("ELSEWHERE"))
        self.assertEqual(self.pacs.sent, [])


def get(message_id: int = 1) -> list[Part]:
    return [
        command(CommandField.C_GET_RQ, message_id, has_data_set=True, sop_class=GET),
        fragment(identifier("1.1")),
    ]


class GetsByMoveTests(TestCase):
    """A C-GET towards an outbound that has C-MOVE only: contexts 1 for C-GET, 3 for CT images, 5 to find."""

    def setUp(self) -> None:
        self.house = House.with_pacs(retrieve="move")
        request = a_request(GET, CT, FIND, calling="CLIENT", roles=[RoleSelection(CT, False, True)])
        self.caller = FakeIncoming(request)
        self.house.reception.incoming(self.caller)
        self.pacs = self.house.pacs.associations[0]

    def _delivery(self) -> FakeIncoming:
        delivery = self.house.deliver(CT, VERIFICATION)
        self.assertTrue(delivery.is_accepted)
        return delivery

    def test_the_outbound_is_asked_for_c_move(self) -> None:
        self.assertEqual(
            [context.abstract_syntax for context in self.house.pacs.requests[0].contexts],
            [MOVE, FIND],
        )

    def test_the_caller_gets_its_context_for_objects(self) -> None:
        self.assertEqual(sorted(self.caller.established.contexts), [1, 3, 5])

    def test_goes_out_as_c_move_to_ourselves(self) -> None:
        self.caller.hears(get())
        command_set = first(self.pacs.sent).command_set
        self.assertEqual(
            (command_set.name, command_set.sop_class, command_set.text(Element.MOVE_DESTINATION)),
            ("C-MOVE-RQ", MOVE, "DIMSEPROXY"),
        )

    def test_the_response_comes_back_as_c_get(self) -> None:
        self.caller.hears(get(9))
        self.pacs.hears(response(CommandField.C_MOVE_RSP, OWN_ID, more={Element.AFFECTED_SOP_CLASS_UID: MOVE}))
        command_set = first(self.caller.sent).command_set
        self.assertEqual((command_set.name, command_set.sop_class, command_set.responds_to), ("C-GET-RSP", GET, 9))

    def test_objects_go_to_the_caller(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.assertEqual(self.caller.commands, ["C-STORE-RQ"])
        self.assertEqual(self.caller.sent[1], fragment(an_object("1.1"), context_id=3))

    def test_in_the_callers_context(self) -> None:
        self.caller.hears(get())
        self._delivery().hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.assertEqual([part.context_id for part in self.caller.sent], [3, 3])

    def test_without_a_move_originator(self) -> None:
        self.caller.hears(get())
        self._delivery().hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.assertIsNone(first(self.caller.sent).command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID))

    def test_an_object_of_the_callers_own_in_that_context_is_refused(self) -> None:
        self.caller.hears(store(5, context_id=3))
        self.assertEqual((self.pacs.sent, first(self.caller.sent).command_set.status), ([], 0x0122))

    def test_a_delivery_that_begins_while_the_caller_is_slow_waits(self) -> None:
        self.caller.hears(get())
        self.caller.user.pause_sending()
        delivery = self._delivery()
        self.assertTrue(delivery.is_paused)
        self.caller.user.resume_sending()
        self.assertFalse(delivery.is_paused)

    def test_the_callers_answer_goes_to_the_delivery_only(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.pacs.takes()
        own = first(self.caller.sent).command_set.message_id
        self.caller.hears(response(CommandField.C_STORE_RSP, own, context_id=3))
        self.assertEqual((first(delivery.sent).command_set.responds_to, self.pacs.sent), (5, []))

    def test_two_deliveries_do_not_disturb_one_another(self) -> None:
        self.caller.hears(get())
        deliveries = [self._delivery(), self._delivery()]
        messages = [
            store(5, an_object("1.1", size), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}) for size in (100, 200)
        ]
        deliveries[0].hears(messages[0][0])
        deliveries[1].hears(messages[1])
        self.assertTrue(deliveries[1].is_paused)
        deliveries[0].hears(messages[0][1])
        self.assertEqual(self.caller.commands, ["C-STORE-RQ"])
        own = first(self.caller.sent).command_set.message_id
        self.caller.hears(response(CommandField.C_STORE_RSP, own, context_id=3))
        data = [len(bytes(part)) for part in self.caller.sent if not isinstance(part, Command)]
        self.assertEqual(data, [len(an_object("1.1", 100)), len(an_object("1.1", 200))])

    def test_a_slow_caller_pauses_the_delivery(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        self.caller.user.pause_sending()
        self.assertTrue(delivery.is_paused)

    def test_a_caller_that_goes_on_resumes_it(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        self.caller.user.pause_sending()
        self.caller.user.resume_sending()
        self.assertFalse(delivery.is_paused)

    def test_a_response_waits_for_an_object_to_end(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        parts = store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID})
        delivery.hears(parts[0])
        self.pacs.hears(moved(status=Status.PENDING))
        delivery.hears(parts[1])
        self.assertEqual(self.caller.commands, ["C-STORE-RQ", "C-GET-RSP"])

    def test_a_delivery_that_dies_within_an_object_ends_the_association(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID})[0])
        delivery.ends()
        self.assertTrue(self.caller.is_over)

    def test_the_outbound_is_told_so(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID})[0])
        delivery.ends()
        self.assertTrue(self.pacs.is_over)

    def test_nothing_follows_half_an_object(self) -> None:
        self.caller.hears(get())
        deliveries = [self._delivery(), self._delivery()]
        messages = [store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}) for _ in range(2)]
        deliveries[0].hears(messages[0][0])
        deliveries[1].hears(messages[1])
        deliveries[0].ends()
        self.assertEqual(self.caller.commands, ["C-STORE-RQ"])

    def test_a_delivery_that_dies_before_its_turn_disturbs_nobody(self) -> None:
        self.caller.hears(get())
        deliveries = [self._delivery(), self._delivery()]
        messages = [store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}) for _ in range(2)]
        deliveries[0].hears(messages[0][0])
        deliveries[1].hears(messages[1][0])
        deliveries[1].ends()
        deliveries[0].hears(messages[0][1])
        own = first(self.caller.sent).command_set.message_id
        self.caller.hears(response(CommandField.C_STORE_RSP, own, context_id=3))
        self.assertEqual((self.caller.commands, self.caller.is_over), (["C-STORE-RQ"], False))

    def test_a_delivery_that_is_released_within_an_object_does_too(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID})[0])
        delivery.user.release_requested()
        self.assertTrue(self.caller.is_over)

    def test_a_delivery_that_ends_between_objects_does_not(self) -> None:
        self.caller.hears(get())
        self._delivery().ends()
        self.assertFalse(self.caller.is_over)

    def test_a_delivery_that_is_over_leaves_nothing_behind(self) -> None:
        self.caller.hears(get())
        for _ in range(3):
            self._delivery().user.release_requested()
        delivery = self._delivery()
        waits: list[str] = []
        delivery.pause = lambda: waits.append("pause")  # type: ignore[method-assign]
        self.caller.user.pause_sending()
        [relay] = [each for each in self.house.reception._running if hasattr(each, "to_caller")]
        self.assertEqual((waits, len(relay.to_caller._sources)), (["pause"], 2))

    def test_objects_after_the_caller_is_gone_are_refused(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        self.caller.ends()
        delivery.hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.assertEqual(first(delivery.sent).command_set.status, Status.NOT_AUTHORIZED)

    def test_an_object_that_waits_for_the_callers_answer_fails_with_the_caller(self) -> None:
        self.caller.hears(get())
        delivery = self._delivery()
        delivery.hears(store(5, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.caller.ends()
        self.assertEqual(first(delivery.sent).command_set.status, Status.PROCESSING_FAILURE)

    def test_a_context_that_the_caller_does_not_take(self) -> None:
        self.caller.hears(get())
        delivery = self.house.deliver("1.2.840.10008.5.1.4.1.1.4", CT)
        self.assertEqual(sorted(delivery.established.contexts), [3])


class CallersOfOthersTests(TestCase):
    def test_no_object_reaches_a_caller_that_did_not_ask(self) -> None:
        house = House()
        caller = house.call(MOVE)
        other = FakeAssociation()
        caller.hears(move("OTHER"))
        delivery = house.deliver(CT)
        delivery.hears(store(1, an_object("1.1"), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: OWN_ID}))
        self.assertEqual(([*caller.sent], other.sent, house.applications["CLIENT"].requests), ([], [], []))
