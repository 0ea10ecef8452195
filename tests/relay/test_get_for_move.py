"""C-MOVE towards an outbound that only has C-GET."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.interfaces import IForesees
from dimseproxy.dataset.head import failed_list
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused, OutboundUnreachable
from dimseproxy.relay import get_for_move
from dimseproxy.ul.user_information import RoleSelection
from tests.association.playing import CT, EXPLICIT, FIND, GET, IMPLICIT, MOVE, MR, fragment, response, store
from tests.relay.data_sets import an_object, identifier
from tests.relay.fakes import FakeAssociation, FakeOutbound, House
from tests.relay.test_moves import cancel, move

JPEG = "1.2.840.10008.1.2.4.50"


def failures(message_id: int) -> Command:
    """A last response that a list of what failed follows."""
    return response(CommandField.C_GET_RSP, message_id, Status.SUB_OPERATIONS_WITH_FAILURES, has_data_set=True)


def counted(completed: int) -> dict[Element, int | str | None]:
    """The counters of an outbound that knows of no failure."""
    return {Element.COMPLETED_SUB_OPERATIONS: completed, Element.FAILED_SUB_OPERATIONS: 0}


class MovesByGetTests(TestCase):
    def setUp(self) -> None:
        self.house = House.with_pacs(retrieve="get")
        self.caller = self.house.call(MOVE, FIND)
        #: The caller's own association goes on to this one; the C-GET has another.
        self.relayed = self.house.pacs.associations[0]

    @property
    def pacs(self) -> FakeAssociation:
        return self.house.pacs.associations[1]

    @property
    def other(self) -> FakeAssociation:
        return self.house.applications["OTHER"].associations[0]

    def _status(self) -> int:
        part = self.caller.sent[-1]
        assert isinstance(part, Command)
        return part.command_set.status

    def _ct(self) -> int:
        """The context id of CT images on both new associations."""
        return next(
            each.context_id
            for each in self.house.applications["OTHER"].requests[0].contexts
            if each.abstract_syntax == CT
        )

    def _object(self, message_id: int) -> list[Part]:
        more: dict[Element, int | str | None] = {Element.AFFECTED_SOP_INSTANCE_UID: f"1.{message_id}"}
        return store(message_id, an_object("1.1"), context_id=self._ct(), more=more)

    def test_the_application_is_asked_first(self) -> None:
        self.house.applications["OTHER"]._answers = False
        self.caller.hears(move("OTHER"))
        self.assertEqual((len(self.house.applications["OTHER"].requests), len(self.house.pacs.requests)), (1, 1))

    def test_the_outbound_is_asked_for_c_get_and_what_the_application_takes(self) -> None:
        self.caller.hears(move("OTHER"))
        asked, taken = self.house.pacs.requests[1].contexts, self.house.applications["OTHER"].requests[0].contexts
        self.assertEqual(
            [(each.context_id, each.abstract_syntax) for each in asked],
            [(1, GET), *((each.context_id, each.abstract_syntax) for each in taken)],
        )

    def test_no_more_contexts_than_there_are_ids(self) -> None:
        self.caller.hears(move("OTHER"))
        self.assertEqual(self.house.pacs.requests[1].contexts[-1].context_id, 255)

    def test_a_c_get_with_the_identifier(self) -> None:
        self.caller.hears(move("OTHER", message_id=7))
        request = self.pacs.sent[0]
        assert isinstance(request, Command)
        self.assertEqual(
            (request.command_set.name, request.command_set.sop_class, request.command_set.message_id),
            ("C-GET-RQ", GET, 7),
        )
        self.assertEqual(self.pacs.sent[1], fragment(identifier("1.1")))

    def test_nothing_of_it_crosses_on_the_callers_own_association(self) -> None:
        self.caller.hears(move("OTHER"))
        self.assertEqual(self.relayed.sent, [])

    def test_objects_go_to_the_application(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_the_applications_answers_go_to_the_outbound(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1))
        self.pacs.takes()
        self.other.hears(response(CommandField.C_STORE_RSP, 1, context_id=self._ct()))
        self.assertEqual(self.pacs.commands, ["C-STORE-RSP"])

    def test_the_response_comes_back_as_c_move(self) -> None:
        self.caller.hears(move("OTHER", message_id=7))
        self.pacs.hears(response(CommandField.C_GET_RSP, 7))
        part = self.caller.sent[0]
        assert isinstance(part, Command)
        self.assertEqual((part.command_set.name, part.command_set.sop_class), ("C-MOVE-RSP", MOVE))

    def test_both_are_released_then(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(response(CommandField.C_GET_RSP, 1))
        self.assertEqual((self.pacs.told, self.other.told), (["release"], ["release"]))

    def test_a_pending_response_releases_nothing(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(response(CommandField.C_GET_RSP, 1, Status.PENDING))
        self.assertEqual((self.pacs.told, self.other.told), ([], []))

    def test_a_slow_application_pauses_the_outbound(self) -> None:
        self.caller.hears(move("OTHER"))
        self.other.user.pause_sending()
        self.assertTrue(self.pacs.is_paused)

    def test_a_running_one_is_not_idle(self) -> None:
        self.caller.hears(move("OTHER"))
        self.house.reception.drain()
        self.assertFalse(self.caller.is_over)

    def test_it_is_idle_when_it_is_answered(self) -> None:
        self.caller.hears(move("OTHER"))
        self.house.reception.drain()
        self.pacs.hears(response(CommandField.C_GET_RSP, 1))
        self.house.waits(1)
        self.assertTrue(self.caller.is_over)

    # What the outbound does not know of

    def _counters(self) -> tuple[int | None, int | None]:
        part = self.caller.sent[0]
        assert isinstance(part, Command)
        completed = part.command_set.number(Element.COMPLETED_SUB_OPERATIONS)
        return completed, part.command_set.number(Element.FAILED_SUB_OPERATIONS)

    def _answered(self, message_id: int, status: int) -> None:
        self.other.hears(response(CommandField.C_STORE_RSP, message_id, status, context_id=self._ct()))

    def test_what_was_not_taken_is_not_completed(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1), self._object(2))
        self._answered(1, 0)
        self._answered(2, Status.OUT_OF_RESOURCES)
        self.pacs.hears(response(CommandField.C_GET_RSP, 1, more=counted(2)))
        self.assertEqual(self._counters(), (1, 1))
        self.assertEqual(self.caller.sent[0].command_set.status, 0xB000)  # type: ignore[union-attr]

    def test_a_success_of_nothing_is_a_failure(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1))
        self._answered(1, Status.OUT_OF_RESOURCES)
        self.pacs.hears(response(CommandField.C_GET_RSP, 1, more=counted(1)))
        self.assertEqual(self._counters(), (0, 1))
        self.assertEqual(self.caller.sent[0].command_set.status, 0xA702)  # type: ignore[union-attr]

    def test_the_objects_that_were_not_taken_are_named(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(7))
        self._answered(7, Status.OUT_OF_RESOURCES)
        self.pacs.hears(response(CommandField.C_GET_RSP, 1, more=counted(1)))
        self.assertEqual(self.caller.sent[1:], [fragment(failed_list(IMPLICIT, ["1.7"]))])

    def test_a_list_of_the_outbound_stays_as_it_is(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1), fragment(b"1234"))
        self.assertEqual(self.caller.sent[1:], [fragment(b"1234")])

    def test_an_answer_to_nothing_counts_for_nothing(self) -> None:
        self.caller.hears(move("OTHER"))
        self._answered(1, Status.OUT_OF_RESOURCES)
        self.pacs.hears(response(CommandField.C_GET_RSP, 1, more=counted(0)))
        self.assertEqual(self._counters(), (0, 0))

    # A response with a Failed SOP Instance UID List

    def test_a_response_and_its_list_are_sent_together(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1), fragment(b"12", is_last=False))
        self.assertEqual((self.caller.sent, self.pacs.told), ([], []))
        self.pacs.hears(fragment(b"34"))
        self.assertEqual((self.caller.commands, self.caller.sent[1:]), (["C-MOVE-RSP"], [fragment(b"1234")]))
        self.assertEqual((self.pacs.told, self.other.told), (["release"], ["release"]))

    def test_no_response_to_another_comes_between(self) -> None:
        self.caller.hears(move("OTHER", 1), move("OTHER", 2))
        first, second = self.house.pacs.associations[1:]
        first.hears(failures(1))
        second.hears(response(CommandField.C_GET_RSP, 2, Status.PENDING))
        first.hears(fragment(b"1234"))
        self.assertEqual(
            [part.command_set.responds_to if isinstance(part, Command) else bytes(part) for part in self.caller.sent],
            [2, 1, b"1234"],
        )

    def test_an_outbound_that_dies_within_the_list_has_answered(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1), fragment(b"12", is_last=False))
        self.pacs.ends()
        self.assertEqual((self._status(), len(self.caller.sent)), (Status.SUB_OPERATIONS_WITH_FAILURES, 1))
        self.assertFalse(self.caller.sent[0].command_set.has_data_set)  # type: ignore[union-attr]

    def test_an_application_that_dies_within_the_list_has_taken_all(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1))
        self.other.ends()
        self.pacs.hears(fragment(b"1234"))
        self.assertEqual(self.caller.sent[1:], [fragment(b"1234")])

    def test_a_list_without_end_is_left_out(self) -> None:
        self.patch(get_for_move, "MAX_FAILED_LIST_LENGTH", 10)
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1), fragment(bytes(11), is_last=False), fragment(bytes(11)))
        self.assertEqual((self._status(), len(self.caller.sent)), (Status.SUB_OPERATIONS_WITH_FAILURES, 1))
        self.assertTrue(self.pacs.is_over)

    def test_what_comes_after_the_last_response_goes_nowhere(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(response(CommandField.C_GET_RSP, 1), response(CommandField.C_GET_RSP, 1), self._object(1))
        self.assertEqual((self.caller.commands, self.other.commands), (["C-MOVE-RSP"], []))

    # What goes wrong

    def test_an_unknown_destination(self) -> None:
        self.caller.hears(move("ELSEWHERE"))
        self.assertEqual(self._status(), Status.MOVE_DESTINATION_UNKNOWN)

    def test_a_destination_that_is_down(self) -> None:
        self.house.applications["OTHER"].error = OutboundUnreachable("down")
        self.caller.hears(move("OTHER"))
        self.assertEqual(self._status(), Status.UNABLE_TO_PERFORM_SUB_OPERATIONS)

    def test_an_outbound_that_is_down(self) -> None:
        self.house.pacs.error = OutboundUnreachable("down")
        self.caller.hears(move("OTHER"))
        self.assertEqual((self._status(), self.other.told), (Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, [(0, 0)]))

    def test_an_outbound_without_c_get(self) -> None:
        self.house.pacs.refused = (GET,)
        self.caller.hears(move("OTHER"))
        self.assertEqual((self._status(), self.pacs.is_over), (Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, True))

    def test_an_application_that_dies(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1))
        self.other.ends()
        self.assertEqual((self._status(), self.pacs.is_over), (Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, True))

    def test_what_was_under_way_counts_as_failed(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(self._object(1), self._object(2))
        self.other.hears(response(CommandField.C_STORE_RSP, 1, context_id=self._ct()))
        self.other.ends()
        part = self.caller.sent[-1]
        assert isinstance(part, Command)
        self.assertEqual(
            (
                part.command_set.number(Element.COMPLETED_SUB_OPERATIONS),
                part.command_set.number(Element.FAILED_SUB_OPERATIONS),
            ),
            (1, 1),
        )

    def test_an_outbound_that_dies(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.ends()
        self.assertEqual((self._status(), self.other.told), (Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, [(0, 0)]))

    def test_an_outbound_that_releases_too_early(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.user.release_requested()
        self.assertEqual(self._status(), Status.UNABLE_TO_PERFORM_SUB_OPERATIONS)

    def test_an_outbound_that_releases_within_the_list_has_answered(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(failures(1), fragment(b"12", is_last=False))
        self.pacs.user.release_requested()
        self.assertEqual((self._status(), self.pacs.is_over), (Status.SUB_OPERATIONS_WITH_FAILURES, True))

    def test_a_release_that_crosses_ours_is_answered(self) -> None:
        self.caller.hears(move("OTHER"))
        self.pacs.hears(response(CommandField.C_GET_RSP, 1))
        self.pacs.user.release_requested()
        self.assertEqual((self.pacs.told, self.caller.commands), (["release", "respond release"], ["C-MOVE-RSP"]))

    def test_a_caller_that_dies(self) -> None:
        self.caller.hears(move("OTHER"))
        self.caller.ends()
        self.assertEqual((self.pacs.told, self.other.told), ([(0, 0)], [(0, 0)]))

    def test_a_caller_that_dies_while_the_application_is_asked(self) -> None:
        self.house.applications["OTHER"]._answers = False
        self.caller.hears(move("OTHER"))
        self.caller.ends()
        self.house.applications["OTHER"].accepts()
        self.assertEqual((self.other.told, len(self.house.pacs.requests)), ([(0, 0)], 1))

    def test_a_caller_that_dies_while_the_outbound_is_asked(self) -> None:
        self.house.pacs._answers = False
        self.caller.hears(move("OTHER"))
        self.caller.ends()
        self.house.pacs.accepts()
        self.assertEqual((self.other.told, self.pacs.told), ([(0, 0)], [(0, 0)]))

    def test_a_cancel_reaches_the_outbound(self) -> None:
        self.caller.hears(move("OTHER", message_id=7))
        self.pacs.takes()
        self.caller.hears(cancel(7))
        part = self.pacs.sent[0]
        assert isinstance(part, Command)
        self.assertEqual((part.command_set.name, part.command_set.responds_to), ("C-CANCEL-RQ", 7))

    def test_a_cancel_while_the_outbound_is_asked(self) -> None:
        self.house.pacs._answers = False
        self.caller.hears(move("OTHER", message_id=7), cancel(7))
        self.house.pacs.accepts()
        self.assertEqual(self.pacs.commands, ["C-GET-RQ", "C-CANCEL-RQ"])

    def test_no_identifier(self) -> None:
        self.caller.hears(move("OTHER", has_data=False))
        self.assertEqual((self._status() >> 12, len(self.house.pacs.requests)), (0xA, 1))

    def test_what_follows_it_begins_cleanly(self) -> None:
        self.caller.hears(move("OTHER", has_data=False), move("OTHER", message_id=2))
        self.assertEqual(bytes(self.pacs.sent[1]), identifier("1.1"))  # type: ignore[arg-type]

    def test_a_message_id_in_use(self) -> None:
        self.caller.hears(move("OTHER"), move("OTHER"))
        self.assertEqual((self._status(), len(self.house.pacs.requests)), (Status.DUPLICATE_INVOCATION, 2))

    def test_too_many_at_once(self) -> None:
        self.patch(get_for_move, "MAX_RETRIEVES_OF_A_CALLER", 1)
        self.caller.hears(move("OTHER", 1), move("OTHER", 2))
        self.assertEqual((self._status(), len(self.house.pacs.requests)), (Status.OUT_OF_RESOURCES, 2))

    def test_an_identifier_that_is_too_long(self) -> None:
        self.patch(get_for_move, "MAX_IDENTIFIER_LENGTH", 10)
        self.caller.hears(move("OTHER"))
        self.assertEqual(
            (self._status(), self.house.applications["OTHER"].requests), (Status.UNABLE_TO_PERFORM_SUB_OPERATIONS, [])
        )


@implementer(IForesees)
class ForeseeingOutbound(FakeOutbound):
    """A PACS that knows what a retrieve brings."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, bytes]] = []
        self.foreseen: Deferred[Sequence[tuple[str, str]]] = Deferred()

    def foresee(self, sop_class: str, transfer_syntax: str, identifier: bytes) -> Deferred[Sequence[tuple[str, str]]]:
        self.asked.append((sop_class, transfer_syntax, identifier))
        return self.foreseen


class ForeseenTests(TestCase):
    def setUp(self) -> None:
        self.house = House.with_pacs(retrieve="get")
        self.pacs = self.house.pacs = ForeseeingOutbound()
        self.house.reception.reconfigure(self.house.settings, self.house.ways())
        self.caller = self.house.call(MOVE)
        self.caller.hears(move("OTHER"))

    def _asked(self, outbound: FakeOutbound) -> list[tuple[int, str, tuple[str, ...]]]:
        (request,) = outbound.requests[-1:]
        return [(each.context_id, each.abstract_syntax, each.transfer_syntaxes) for each in request.contexts]

    def test_the_outbound_is_asked_what_will_come(self) -> None:
        self.assertEqual(self.pacs.asked, [(GET, IMPLICIT, identifier("1.1"))])
        self.assertEqual(self.house.applications["OTHER"].requests, [])

    def test_the_application_is_asked_for_just_that(self) -> None:
        self.pacs.foreseen.callback([(CT, JPEG), (CT, IMPLICIT), (MR, JPEG)])
        self.assertEqual(
            self._asked(self.house.applications["OTHER"]),
            [
                (3, CT, (JPEG,)),
                (5, CT, (IMPLICIT,)),
                (7, MR, (JPEG,)),
                # In place of the uncompressed; what is compressed can be had in no other way.
                (9, CT, (EXPLICIT, "1.2.840.10008.1.2.2")),
            ],
        )

    def test_the_outbound_is_asked_for_what_was_accepted_with_one_role_each(self) -> None:
        self.house.applications["OTHER"].refused = (MR,)
        self.pacs.foreseen.callback([(CT, JPEG), (CT, IMPLICIT), (MR, JPEG)])
        self.assertEqual(
            self._asked(self.pacs),
            [(1, GET, (IMPLICIT,)), (3, CT, (JPEG,)), (5, CT, (IMPLICIT,)), (9, CT, (EXPLICIT,))],
        )
        self.assertEqual(self.pacs.requests[-1].user_information.roles, (RoleSelection(CT, False, True),))

    def test_where_nothing_will_come_nobody_is_called_to_take_it(self) -> None:
        self.pacs.foreseen.callback([])
        self.assertEqual(
            (self.house.applications["OTHER"].requests, self._asked(self.pacs)), ([], [(1, GET, (IMPLICIT,))])
        )
        self.pacs.associations[-1].hears(response(CommandField.C_GET_RSP, 1))
        self.assertEqual((self.caller.commands, self.pacs.associations[-1].told), (["C-MOVE-RSP"], ["release"]))

    def test_no_more_contexts_than_there_are_ids(self) -> None:
        self.pacs.foreseen.callback([(f"1.2.{number}", IMPLICIT) for number in range(200)])
        self.assertEqual(len(self._asked(self.house.applications["OTHER"])), 127)

    def test_what_cannot_be_retrieved_is_answered_so(self) -> None:
        self.pacs.foreseen.errback(OperationRefused(Status.IDENTIFIER_DOES_NOT_MATCH, "no level"))
        part = self.caller.sent[-1]
        assert isinstance(part, Command)
        self.assertEqual((part.command_set.name, part.command_set.status), ("C-MOVE-RSP", 0xA900))

    def test_a_caller_that_is_gone_meanwhile_needs_nobody(self) -> None:
        self.caller.ends()
        self.pacs.foreseen.callback([(CT, JPEG)])
        self.assertEqual(self.house.applications["OTHER"].requests, [])
