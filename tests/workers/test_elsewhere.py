"""What a PACS brings to one worker, and another has asked for."""

from __future__ import annotations

from attrs import evolve

from dimseproxy.dataset.head import failed_list
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command
from dimseproxy.dimse.status import Status
from dimseproxy.errors import NO_REASON_GIVEN, OperationRefused
from dimseproxy.relay import retrieves as retrieves_module
from dimseproxy.relay.destinations import ApplicationDestination
from dimseproxy.relay.retrieves import Retrieve
from dimseproxy.ul.user_information import RoleSelection
from dimseproxy.workers.notices import MAX_STUDIES
from tests.association.playing import COMMITMENT, CT, GET, MOVE, VERIFICATION, a_request, command, fragment, response
from tests.relay.data_sets import an_object, identifier, report
from tests.relay.fakes import FakeAssociation, FakeIncoming, House
from tests.relay.test_commitments import action
from tests.relay.test_deliveries import data, delivered, statuses, stored
from tests.relay.test_moves import move, moved
from tests.relay.test_two_outbounds import two_outbounds
from tests.workers.house import FakePassing, WorkersTestCase

TITLES = ("DIMSEPROXY", "SECOND", "THIRD")


def own_id(part: object) -> int:
    assert isinstance(part, Command)
    return part.command_set.message_id


def originator(part: object) -> int | None:
    assert isinstance(part, Command)
    return part.command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID)


class MessageIdTests(WorkersTestCase):
    def _open(self, number: int, titles: tuple[str, ...] = TITLES[:1], to: str = "OTHER") -> Retrieve:
        reception = self.houses[number].reception
        destination = reception.destination_under(to, "SHIELD", "")
        assert destination is not None
        return reception.retrieves.open("pacs", titles, "CLIENT", 1, destination)

    def test_each_tells_its_worker(self) -> None:
        ids = [self._open(number).message_id % 3 for number in range(3) for _ in range(4)]
        self.assertEqual(ids, [number for number in range(3) for _ in range(4)])

    def test_no_two_are_equal(self) -> None:
        ids = [self._open(number).message_id for number in range(3) for _ in range(4)]
        self.assertEqual(len(set(ids)), 12)

    def test_they_are_from_the_upper_half_and_stay_there(self) -> None:
        leased = {self.elsewhere[1].lease(()) for _ in range(0x8000)}
        self.assertEqual((min(leased) >= 0x8000, max(leased) <= 0xFFFF, len(leased)), (True, True, 0x8000 // 3))

    def test_those_in_use_are_passed_over(self) -> None:
        first = self.elsewhere[1].lease(())
        for _ in range(0x8000 // 3 - 1):
            self.elsewhere[1].lease(())
        self.assertEqual(self.elsewhere[1].lease([first]), first + 3)

    def test_a_successor_goes_on_where_the_dead_one_stopped(self) -> None:
        last = self._open(1).message_id
        self.board.clear(1)
        self.houses[1] = self._house(1, self.boards[1])
        self.assertEqual(self._open(1).message_id, last + 3)

    def test_all_together_have_a_limit(self) -> None:
        self.patch(retrieves_module, "MAX_RETRIEVES", 3)
        for number in range(3):
            self._open(number)
        self.assertRaises(OperationRefused, self._open, 0)

    def test_a_title_that_no_worker_uses_is_leased_first(self) -> None:
        self.assertEqual([self._open(number, TITLES).title for number in range(3)], list(TITLES))

    def test_a_title_of_the_same_destination_is_better_than_another_ones(self) -> None:
        self._open(0, TITLES[:2], "OTHER")
        self._open(1, TITLES[:2], "CLIENT")
        self.assertEqual(self._open(2, TITLES[:2], "CLIENT").title, "SECOND")


class MoveTests(WorkersTestCase):
    """CLIENT has asked worker 0 for a C-MOVE to OTHER; the PACS delivers to worker 1."""

    def setUp(self) -> None:
        super().setUp()
        self.asking, self.receiving = self.houses[:2]
        self.caller = self.asking.call(MOVE)
        self.pacs = self.asking.pacs.associations[0]
        self.caller.hears(move("OTHER", message_id=7))
        self.own_id = own_id(self.pacs.sent[0])

    @property
    def other(self) -> FakeAssociation:
        return self.receiving.applications["OTHER"].associations[0]

    def _deliver(self, *messages: tuple[int, int | None, str]) -> FakeIncoming:
        delivery = self.receiving.deliver(CT, VERIFICATION)
        for message_id, originator, study in messages:
            delivery.hears(delivered(message_id, originator, study))
        return delivery

    def _answer(self, completed: int, status: int = 0) -> None:
        self.caller.takes()
        self.pacs.hears(moved(self.own_id, status, completed))

    def _counters(self) -> tuple[int, int, int]:
        answer = self.caller.sent[0]
        assert isinstance(answer, Command)
        said = answer.command_set
        completed, failed = (
            said.number(each) or 0 for each in (Element.COMPLETED_SUB_OPERATIONS, Element.FAILED_SUB_OPERATIONS)
        )
        return said.status, completed, failed

    # The objects

    def test_an_object_goes_to_the_application_from_where_it_came(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self.assertEqual((self.other.commands, data(self.other.sent)), (["C-STORE-RQ"], an_object("1.1")))

    def test_the_asking_worker_is_not_bothered(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self.assertEqual((self.asking.applications["OTHER"].requests, dict(self.passing[1].workers)), ([], {}))

    def test_the_application_is_told_who_asked_and_how(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        said = self.other.sent[0]
        assert isinstance(said, Command)
        self.assertEqual(
            (
                said.command_set.text(Element.MOVE_ORIGINATOR_AE_TITLE),
                said.command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID),
            ),
            ("CLIENT", 7),
        )

    def test_it_is_called_by_the_title_that_the_caller_used(self) -> None:
        self._deliver()
        asked = self.receiving.applications["OTHER"].requests[0]
        self.assertEqual((asked.called_ae_title, asked.calling_ae_title), ("OTHER", "SHIELD"))

    def test_without_a_move_originator_the_study_decides(self) -> None:
        self._deliver((3, None, "1.1"))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_a_study_that_nobody_asked_for_is_refused(self) -> None:
        self.assertEqual(statuses(self._deliver((3, None, "1.2"))), [Status.NOT_AUTHORIZED])

    def test_a_study_that_two_workers_have_asked_for_to_different_ends_is_refused(self) -> None:
        self.houses[2].call(MOVE).hears(move("CLIENT"))
        self.assertEqual(statuses(self._deliver((3, None, "1.1"))), [Status.NOT_AUTHORIZED])

    def test_a_study_that_two_workers_have_asked_for_to_the_same_end_is_not(self) -> None:
        self.houses[2].call(MOVE).hears(move("OTHER"))
        self._deliver((3, None, "1.1"))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_a_study_that_was_named_goes_before_one_that_was_not(self) -> None:
        self.houses[2].call(MOVE).hears(move("CLIENT", has_data=False))
        self._deliver((3, None, "1.1"))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_by_originator_whoever_else_has_asked_for_the_study(self) -> None:
        self.houses[2].call(MOVE).hears(move("CLIENT"))
        self._deliver((3, self.own_id, "1.1"))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_an_application_is_called_once_whoever_asked(self) -> None:
        for house in self.houses[1:]:
            house.call(MOVE).hears(move("OTHER", study="1.2"))
        self._deliver((3, self.own_id, "1.1"), (4, None, "1.2"))
        self.assertEqual(
            (len(self.receiving.applications["OTHER"].requests), self.other.commands), (1, ["C-STORE-RQ"] * 2)
        )

    def test_another_outbound_brings_nothing(self) -> None:
        self.assertEqual(self.elsewhere[1].asked("other", "DIMSEPROXY"), [])

    def test_a_move_that_is_over_is_nobodys(self) -> None:
        self._answer(0)
        self.assertEqual(self.receiving.deliver(CT).rejection, NO_REASON_GIVEN)

    def test_neither_is_one_whose_caller_is_gone(self) -> None:
        self.caller.ends()
        self.assertEqual(self.receiving.deliver(CT).rejection, NO_REASON_GIVEN)

    def test_neither_is_one_whose_worker_is_dead(self) -> None:
        self.board.clear(0)
        self.assertEqual(self.receiving.deliver(CT).rejection, NO_REASON_GIVEN)

    def test_a_drained_worker_waits_for_what_it_may_still_be_brought(self) -> None:
        delivery = self._deliver()
        self.receiving.reception.drain()
        self.assertFalse(delivery.is_over)
        self._answer(0)
        self.receiving.waits(0.5)
        self.assertTrue(delivery.is_over)

    # The account

    def test_what_was_delivered_counts(self) -> None:
        self._deliver((3, self.own_id, "1.1"), (4, self.own_id, "1.1"))
        self.other.hears(stored(3), stored(4))
        self._answer(2)
        self.assertEqual(self._counters(), (0, 2, 0))

    def test_from_several_workers(self) -> None:
        for house in self.houses:
            house.deliver(CT).hears(delivered(3, self.own_id))
            house.applications["OTHER"].associations[0].hears(stored(3))
        self._answer(3)
        self.assertEqual(self._counters(), (0, 3, 0))

    def test_what_was_not_taken_counts_as_failed(self) -> None:
        self._deliver((3, self.own_id, "1.1"), (4, self.own_id, "1.1"))
        self.other.hears(stored(3), stored(4, 0xA700))
        self._answer(2)
        self.assertEqual(self._counters(), (Status.SUB_OPERATIONS_WITH_FAILURES, 1, 1))

    def test_and_is_named(self) -> None:
        delivery = self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3, 0xA700))
        self._answer(1)
        request = delivered(3)[0]
        assert isinstance(request, Command)
        instance = request.command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)
        syntax = self.caller.established.contexts[1].transfer_syntax
        self.assertEqual((data(self.caller.sent), delivery.is_over), (failed_list(syntax, [instance]), False))

    def test_it_counts_before_it_is_named(self) -> None:
        counted = []

        def name_failed(*_: object) -> None:
            counted.append(self.elsewhere[0]._account_of(self.own_id)[1])

        self.patch(FakePassing, "name_failed", name_failed)
        self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3, 0xA700))
        self.assertEqual(counted, [1])

    def test_what_was_never_delivered_counts_as_failed(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self._answer(1)
        self.assertEqual(self._counters()[1:], (0, 1))

    def test_each_counts_its_own(self) -> None:
        self.caller.hears(move("OTHER", message_id=8))
        self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3))
        self.caller.takes()
        self.pacs.hears(moved(self.own_id + 3, completed=1))
        self.assertEqual(self._counters()[1:], (0, 1))

    def test_what_was_counted_is_not_counted_again(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3))
        (ours,) = self.asking.reception.retrieves.candidates(("pacs",), "DIMSEPROXY")
        assert isinstance(ours, Retrieve)
        for _ in range(2):
            self.elsewhere[0].settle(ours)
        self.assertEqual(ours.sent[True], 1)

    def test_a_later_one_begins_with_nothing(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3))
        self._answer(1)
        self.boards[0].set_mark(0, self.own_id - 3)
        self.caller.hears(move("OTHER", message_id=8))
        self._answer(1)
        self.assertEqual(self._counters()[1:], (0, 1))

    def test_a_worker_that_died_took_nothing_of_it_away(self) -> None:
        self._deliver((3, self.own_id, "1.1"))
        self.other.hears(stored(3))
        self.board.clear(1)
        self._answer(1)
        self.assertEqual(self._counters(), (0, 1, 0))

    def test_a_name_that_nobody_waits_for_is_forgotten(self) -> None:
        self.passing[1].name_failed(0, 0x9000, "1.2.3")
        self._answer(0)
        self.assertEqual(self._counters(), (0, 0, 0))

    def test_what_comes_through_elsewhere_is_a_sign_of_life(self) -> None:
        waits = self.asking.settings.timeouts.dimse
        self.asking.waits(waits - 10)
        self._deliver((3, self.own_id, "1.1"))
        self.asking.waits(20)
        self.assertFalse(self.caller.is_over)

    def test_nothing_is_none(self) -> None:
        self.asking.waits(self.asking.settings.timeouts.dimse + 10)
        self.assertTrue(self.caller.is_over)


class PassingOnTests(WorkersTestCase):
    """What only the asking worker can carry further."""

    settings = House.with_pacs(retrieve="move").settings

    def _passed_on(self) -> FakeAssociation:
        return self.passing[1].workers[0].associations[0]

    def _move(self, studies: str, to: str = "OTHER") -> int:
        request = command(
            CommandField.C_MOVE_RQ, 7, has_data_set=True, sop_class=MOVE, more={Element.MOVE_DESTINATION: to}
        )
        self.houses[0].call(MOVE).hears(request, fragment(identifier(studies)))
        return own_id(self.houses[0].pacs.associations[0].sent[0])

    def _get(self) -> int:
        request = a_request(GET, CT, calling="CLIENT", called="SHIELD")
        roles = (RoleSelection(CT, False, True),)
        request = evolve(request, user_information=evolve(request.user_information, roles=roles))
        caller = FakeIncoming(request)
        self.houses[0].reception.incoming(caller)
        caller.hears(command(CommandField.C_GET_RQ, 1, has_data_set=True, sop_class=GET), fragment(identifier("1.1")))
        return own_id(self.houses[0].pacs.associations[0].sent[0])

    def test_objects_of_a_get_are_passed_on_as_they_are(self) -> None:
        message = delivered(3, self._get())
        self.houses[1].deliver(CT).hears(message)
        self.assertEqual(self._passed_on().sent, message)

    def test_one_that_is_known_by_its_study_is_passed_on_by_its_number(self) -> None:
        own = self._get()
        self.houses[1].deliver(CT).hears(delivered(3, None, "1.1"))
        self.assertEqual(originator(self._passed_on().sent[0]), own)

    def test_one_that_may_be_of_two_is_passed_on_as_it_is(self) -> None:
        for _ in range(2):
            self._get()
        self.houses[1].deliver(CT).hears(delivered(3, None, "1.1"))
        self.assertIsNone(originator(self._passed_on().sent[0]))

    def _passed_on_to_one_that_asked_for_no_study(self, number: int | None) -> FakeIncoming:
        caller = FakeIncoming(a_request(CT, calling="PACS", called="DIMSEPROXY"))
        self.houses[0].reception.passed_on(caller, "pacs")
        caller.hears(delivered(3, number, "1.99"))
        return caller

    def test_passed_on_as_it_is_one_goes_to_nobody_that_asked_for_no_study(self) -> None:
        self.houses[0].call(MOVE).hears(move("OTHER", has_data=False))
        caller = self._passed_on_to_one_that_asked_for_no_study(None)
        self.assertEqual(
            (statuses(caller), self.houses[0].applications["OTHER"].associations[0].sent), ([Status.NOT_AUTHORIZED], [])
        )

    def test_by_its_number_it_does(self) -> None:
        self.houses[0].call(MOVE).hears(move("OTHER", has_data=False))
        self._passed_on_to_one_that_asked_for_no_study(own_id(self.houses[0].pacs.associations[0].sent[0]))
        self.assertEqual(self.houses[0].applications["OTHER"].associations[0].commands, ["C-STORE-RQ"])

    def test_they_are_passed_on_under_the_titles_of_the_delivery(self) -> None:
        self._get()
        self.houses[1].deliver(CT)
        self.assertEqual(len(self.passing[1].workers[0].requests), 1)

    def test_the_answer_goes_back(self) -> None:
        delivery = self.houses[1].deliver(CT)
        own = self._get()
        delivery = self.houses[1].deliver(CT)
        delivery.hears(delivered(3, own))
        self._passed_on().hears(stored(3))
        self.assertEqual(delivery.sent, [stored(3)])

    def test_what_is_passed_on_is_not_counted_here(self) -> None:
        own = self._get()
        self.houses[1].deliver(CT).hears(delivered(3, own))
        self._passed_on().hears(stored(3))
        (ours,) = self.houses[0].reception.retrieves.candidates(("pacs",), "DIMSEPROXY")
        assert isinstance(ours, Retrieve)
        self.elsewhere[0].settle(ours)
        self.assertEqual(ours.sent.total(), 0)

    def test_what_is_passed_on_to_us_concerns_what_we_have_asked_for(self) -> None:
        self._move("1.1")
        caller = FakeIncoming(a_request(CT, calling="PACS", called="DIMSEPROXY"))
        self.houses[0].reception.passed_on(caller, "pacs")
        self.assertTrue(caller.is_accepted)

    def test_it_is_not_passed_on_again(self) -> None:
        self._get()
        caller = FakeIncoming(a_request(CT, calling="PACS", called="DIMSEPROXY"))
        self.houses[1].reception.passed_on(caller, "pacs")
        self.assertEqual((caller.rejection, dict(self.passing[1].workers)), (NO_REASON_GIVEN, {}))

    def test_objects_of_a_move_that_names_too_many_studies(self) -> None:
        studies = "\\".join(f"1.{number}" for number in range(MAX_STUDIES + 1))
        self._move(studies)
        message = delivered(3, None, "1.99")
        self.houses[1].deliver(CT).hears(message)
        self.assertEqual(self._passed_on().sent, message)

    def test_objects_for_an_application_that_is_not_known_here(self) -> None:
        own = self._move("1.1")
        settings = evolve(self.settings, applications={"CLIENT": self.settings.applications["CLIENT"]})
        self.houses[1].applications.pop("OTHER")
        self.houses[1].reception.reconfigure(settings, self.houses[1].ways())
        message = delivered(3, own)
        self.houses[1].deliver(CT).hears(message)
        self.assertEqual(self._passed_on().sent, message)

    def test_objects_for_a_caller_with_a_title_that_no_notice_has_room_for(self) -> None:
        retrieves = self.houses[0].reception.retrieves
        destination = ApplicationDestination("OTHER", "\u0416", self.houses[0].applications["OTHER"])
        retrieve = retrieves.open("pacs", TITLES[:1], "CLIENT", 1, destination)
        message = delivered(3, retrieve.message_id)
        self.houses[1].deliver(CT).hears(message)
        self.assertEqual(self._passed_on().sent, message)


class TwoOutboundsTests(WorkersTestCase):
    """CLIENT has asked worker 0 by one outbound, OTHER worker 1 by another; the PACS of both delivers to worker 2."""

    settings = two_outbounds().settings

    def setUp(self) -> None:
        super().setUp()
        self.ids = []
        for number, title, called, study in ((0, "CLIENT", "SHIELD", "1.1"), (1, "OTHER", "SECOND", "1.2")):
            host = self.settings.applications[title].host
            self.houses[number].call(MOVE, calling=title, called=called, host=host).hears(move(title, study=study))
            self.ids.append(own_id(self.houses[number].pacs.associations[0].sent[0]))

    def _got(self) -> list[bytes]:
        return [data(self.houses[2].applications[title].associations[0].sent) for title in ("CLIENT", "OTHER")]

    def test_each_gets_its_own_by_move_originator(self) -> None:
        delivery = self.houses[2].deliver(CT)
        delivery.hears(delivered(3, self.ids[0], "1.1"), delivered(4, self.ids[1], "1.2"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])

    def test_each_gets_its_own_by_study(self) -> None:
        self.houses[2].deliver(CT).hears(delivered(3, None, "1.1"), delivered(4, None, "1.2"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])


class CommitmentTests(WorkersTestCase):
    """CLIENT has asked worker 0 for a storage commitment; the PACS reports to worker 1."""

    def setUp(self) -> None:
        super().setUp()
        self.caller = self.houses[0].call(COMMITMENT)
        request = command(CommandField.N_ACTION_RQ, 1, has_data_set=True, sop_class=COMMITMENT)
        self.caller.hears(request, fragment(report("1.2.3")))

    def _report(self, transaction: str) -> FakeIncoming:
        delivery = self.houses[1].deliver(COMMITMENT)
        request = command(CommandField.N_EVENT_REPORT_RQ, 5, has_data_set=True, sop_class=COMMITMENT)
        delivery.hears(request, fragment(report(transaction)))
        return delivery

    def test_the_report_is_passed_on(self) -> None:
        self._report("1.2.3")
        self.assertEqual(self.passing[1].workers[0].associations[0].commands, ["N-EVENT-REPORT-RQ"])

    def test_its_answer_goes_back(self) -> None:
        delivery = self._report("1.2.3")
        self.passing[1].workers[0].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5))
        self.assertEqual(statuses(delivery), [0])

    def test_one_that_nobody_waits_for(self) -> None:
        self.assertEqual(statuses(self._report("1.2.4")), [Status.NOT_AUTHORIZED])

    def test_one_that_was_made_is_not_awaited(self) -> None:
        passed_on = FakeIncoming(a_request(COMMITMENT, calling="PACS", called="DIMSEPROXY"))
        self.houses[0].reception.passed_on(passed_on, "pacs")
        request = command(CommandField.N_EVENT_REPORT_RQ, 5, has_data_set=True, sop_class=COMMITMENT)
        passed_on.hears(request, fragment(report("1.2.3")))
        self.houses[0].applications["CLIENT"].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5))
        self.assertEqual(self.houses[1].deliver(COMMITMENT).rejection, NO_REASON_GIVEN)

    def test_another_application_cannot_ask_another_worker_under_its_transaction(self) -> None:
        other = self.houses[1].call(COMMITMENT, calling="OTHER", host="192.0.2.8")
        other.hears(action("1.2.3"))
        self.assertEqual((statuses(other), self.houses[1].pacs.associations[0].sent), ([0x0115], []))
        self._report("1.2.3")
        self.assertEqual(self.passing[1].workers[0].associations[0].commands, ["N-EVENT-REPORT-RQ"])

    def test_it_may_itself(self) -> None:
        again = self.houses[1].call(COMMITMENT)
        again.hears(action("1.2.3"))
        self.assertEqual(self.houses[1].pacs.associations[0].commands, ["N-ACTION-RQ"])

    def test_one_whose_worker_is_dead_is_not_awaited(self) -> None:
        self.board.clear(0)
        self.assertEqual(self.houses[1].deliver(COMMITMENT).rejection, NO_REASON_GIVEN)
