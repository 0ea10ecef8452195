from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, CommandSet, Element
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.relay import retrieves as module
from dimseproxy.relay.destinations import ApplicationDestination
from dimseproxy.relay.elsewhere import Nowhere
from dimseproxy.relay.retrieves import Commitments, Retrieve, Retrieves
from tests.association.playing import response
from tests.relay.fakes import FakeOutbound

OUTBOUND = FakeOutbound()
ONE, TWO = (ApplicationDestination(title, "PROXY", OUTBOUND) for title in ("ONE", "TWO"))
TITLES = ("PROXY", "PROXY1", "PROXY2")


class OpeningTests(TestCase):
    def setUp(self) -> None:
        self.retrieves = Retrieves()

    def _open(self, destination: ApplicationDestination, titles: tuple[str, ...] = TITLES) -> Retrieve:
        return self.retrieves.open("pacs", titles, "CLIENT", 1, destination)

    def test_message_ids_are_from_the_upper_half(self) -> None:
        self.assertEqual([self._open(ONE).message_id for _ in range(3)], [0x8000, 0x8001, 0x8002])

    def test_message_ids_in_use_are_passed_over(self) -> None:
        kept = self._open(ONE)
        for _ in range(0x8000):
            self.retrieves.close(self._open(ONE))
        self.assertNotEqual(self._open(ONE).message_id, kept.message_id)

    def test_there_is_a_limit(self) -> None:
        self.patch(module, "MAX_RETRIEVES", 2)
        self._open(ONE)
        self._open(ONE)
        self.assertRaises(OperationRefused, self._open, ONE)

    def test_the_limit_recovers(self) -> None:
        self.patch(module, "MAX_RETRIEVES", 1)
        self.retrieves.close(self._open(ONE))
        self.assertEqual(self._open(ONE).title, "PROXY")

    def test_a_free_title_is_leased(self) -> None:
        self.assertEqual([self._open(each).title for each in (ONE, TWO, ONE)], list(TITLES))

    def test_a_title_of_the_same_destination_is_better_than_another_ones(self) -> None:
        self._open(ONE, TITLES[:2])
        self._open(TWO, TITLES[:2])
        self.assertEqual(self._open(TWO, TITLES[:2]).title, "PROXY1")

    def test_a_title_is_free_again(self) -> None:
        self.retrieves.close(self._open(ONE))
        self.assertEqual(self._open(TWO).title, "PROXY")

    def test_titles_are_leased_for_each_outbound(self) -> None:
        self._open(ONE)
        self.assertEqual(self.retrieves.open("other", TITLES, "CLIENT", 1, TWO).title, "PROXY")

    def test_its_repr_tells_no_study(self) -> None:
        retrieve = self._open(ONE)
        retrieve.studies = frozenset(("1.2.840.99",))
        self.assertNotIn("1.2.840.99", repr(retrieve))


class FindingTests(TestCase):
    def setUp(self) -> None:
        self.retrieves = Retrieves()
        self.first = self.retrieves.open("pacs", ("PROXY",), "CLIENT", 1, ONE)
        self.second = self.retrieves.open("pacs", ("PROXY",), "CLIENT", 1, TWO)
        self.first.studies, self.second.studies = frozenset(("1.1",)), frozenset(("1.2",))

    def test_by_originator(self) -> None:
        self.assertIs(self.retrieves.find(("pacs",), "PROXY", self.second.message_id), self.second)

    def test_not_by_the_originator_of_another_outbound(self) -> None:
        self.assertIsNone(self.retrieves.find(("other",), "PROXY", self.second.message_id))

    def test_not_by_the_originator_of_another_title(self) -> None:
        self.assertIsNone(self.retrieves.find(("pacs",), "PROXY1", self.second.message_id))

    def test_without_originator_the_command_says_nothing(self) -> None:
        self.retrieves.close(self.first)
        self.assertIsNone(self.retrieves.find(("pacs",), "PROXY", None))

    def test_one_that_asked_for_no_study_takes_any(self) -> None:
        self.retrieves.close(self.first)
        self.second.studies = frozenset()
        self.assertIs(self.retrieves.find_by_study(("pacs",), "PROXY", "1.3", Nowhere()), self.second)

    def test_but_none_that_another_worker_passes_on(self) -> None:
        self.retrieves.close(self.first)
        self.second.studies = frozenset()
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", "1.3"))

    def test_one_that_asked_for_another_study_takes_none(self) -> None:
        self.retrieves.close(self.first)
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", "1.3", Nowhere()))

    def test_two_destinations_that_asked_for_no_study_are_too_many(self) -> None:
        self.first.studies = self.second.studies = frozenset()
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", "1.3", Nowhere()))

    def test_nothing_is_found_when_all_are_closed(self) -> None:
        for each in (self.first, self.second):
            self.retrieves.close(each)
        self.assertIsNone(self.retrieves.find(("pacs",), "PROXY", self.first.message_id))

    def test_by_study(self) -> None:
        self.assertIs(self.retrieves.find_by_study(("pacs",), "PROXY", "1.2"), self.second)

    def test_a_study_that_nobody_asked_for(self) -> None:
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", "1.3", Nowhere()))

    def test_a_study_that_both_asked_for(self) -> None:
        self.second.studies = frozenset(("1.1",))
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", "1.1"))

    def test_no_study_at_all(self) -> None:
        self.first.studies = frozenset(("",))
        self.assertIsNone(self.retrieves.find_by_study(("pacs",), "PROXY", ""))


def counters(
    status: int, completed: int | None = None, failed: int | None = None, warning: int | None = None
) -> CommandSet:
    return response(
        CommandField.C_MOVE_RSP,
        1,
        status,
        more={
            Element.COMPLETED_SUB_OPERATIONS: completed,
            Element.FAILED_SUB_OPERATIONS: failed,
            Element.WARNING_SUB_OPERATIONS: warning,
        },
    ).command_set


class ReconcilingTests(TestCase):
    def setUp(self) -> None:
        self.retrieve = Retrieves().open("pacs", TITLES, "CLIENT", 1, ONE)

    def _sent(self, *statuses: int) -> None:
        for status in statuses:
            self.retrieve.account(status, "1.2.3")

    def _reconciled(self, said: CommandSet) -> tuple[int, ...]:
        response = self.retrieve.reconcile(said)
        return (
            response.status,
            response.number(Element.COMPLETED_SUB_OPERATIONS) or 0,
            response.number(Element.FAILED_SUB_OPERATIONS) or 0,
            response.number(Element.WARNING_SUB_OPERATIONS) or 0,
        )

    def test_a_true_success(self) -> None:
        self._sent(0, 0)
        said = counters(0, 2, 0, 0)
        self.assertIs(self.retrieve.reconcile(said), said)

    def test_a_success_with_nothing_to_do(self) -> None:
        self.assertEqual(self._reconciled(counters(0, 0, 0, 0)), (0, 0, 0, 0))

    def test_an_object_that_was_taken_in_the_end(self) -> None:
        self._sent(0xA700, 0)
        self.assertEqual((self._reconciled(counters(0, 1, 0, 0)), self.retrieve.failed), ((0, 1, 0, 0), []))

    def test_a_false_success_of_all(self) -> None:
        self.assertEqual(self._reconciled(counters(0, 3, 0, 0)), (0xA702, 0, 3, 0))

    def test_a_false_success_of_some(self) -> None:
        self._sent(0, 0)
        self.assertEqual(self._reconciled(counters(0, 3, 0, 0)), (0xB000, 2, 1, 0))

    def test_a_success_without_counters_after_failures(self) -> None:
        self._sent(0, 0x0110)
        self.assertEqual(self._reconciled(counters(0))[0], 0xB000)

    def test_a_success_without_counters(self) -> None:
        self._sent(0)
        self.assertEqual(self._reconciled(counters(0))[0], 0)

    def test_warnings_are_done(self) -> None:
        self._sent(0xB000, 0)
        self.assertEqual(self._reconciled(counters(0xB000, 1, 0, 1)), (0xB000, 1, 0, 1))

    def test_missing_warnings(self) -> None:
        self._sent(0)
        self.assertEqual(self._reconciled(counters(0xB000, 1, 0, 2)), (0xB000, 0, 2, 1))

    def test_a_failure_stays_a_failure(self) -> None:
        self.assertEqual(self._reconciled(counters(0xA701, 1, 1, 0)), (0xA701, 0, 2, 0))

    def test_a_cancel_stays_a_cancel(self) -> None:
        self.assertEqual(self._reconciled(counters(0xFE00, 1, 0, 0)), (0xFE00, 0, 1, 0))

    def test_a_pending_response_is_left_alone(self) -> None:
        said = counters(0xFF00, 3, 0, 0)
        self.assertIs(self.retrieve.reconcile(said), said)

    def test_more_failures_than_there_are_numbers(self) -> None:
        self.assertEqual(self._reconciled(counters(0, 65535, 65535, 65535))[2], 65535)


class AlikeTests(TestCase):
    """Two C-MOVEs of one study to one destination, and a PACS that says no Move Originator."""

    def setUp(self) -> None:
        retrieves = Retrieves()
        self.both = [retrieves.open("pacs", ("PROXY",), "CLIENT", number, ONE) for number in (1, 2)]
        for each in self.both:
            retrieves.asks_for(each, frozenset(("1.1",)))
        self.retrieves = retrieves

    def _delivered(self, objects: int) -> None:
        for number in range(objects):
            found = self.retrieves.find_by_study(("pacs",), "PROXY", "1.1")
            assert found is not None
            found.account(0, f"1.2.{number}")

    def _statuses(self, completed: int) -> list[int]:
        return [each.reconcile(counters(0, completed, 0, 0)).status for each in self.both]

    def test_all_that_was_delivered_is_enough_for_both(self) -> None:
        self._delivered(6)
        self.assertEqual(self._statuses(3), [0, 0])

    def test_a_lost_one_is_a_failure_of_one(self) -> None:
        self._delivered(5)
        self.assertEqual(self._statuses(3), [0, 0xB000])

    def test_one_that_both_are_told_of_and_nobody_got(self) -> None:
        self._delivered(3)
        self.assertEqual(self._statuses(3), [0, 0xA702])


class CommitmentsTests(TestCase):
    def setUp(self) -> None:
        self.commitments = Commitments()
        self.commitments.open("pacs", "1.1", ONE)

    def test_is_found(self) -> None:
        self.assertIs(self.commitments.find(("pacs",), "1.1"), ONE)

    def test_is_found_for_its_outbound_only(self) -> None:
        self.assertIsNone(self.commitments.find(("other",), "1.1"))

    def test_is_closed(self) -> None:
        self.commitments.close(("pacs",), "1.1")
        self.assertIsNone(self.commitments.find(("pacs",), "1.1"))

    def test_closing_twice_is_no_mistake(self) -> None:
        self.commitments.close(("pacs",), "1.1")
        self.commitments.close(("pacs",), "1.1")
        self.assertFalse(self.commitments.are_awaited_from(("pacs",)))

    def test_the_oldest_are_forgotten(self) -> None:
        self.patch(module, "MAX_COMMITMENTS", 1)
        self.commitments.open("pacs", "1.2", TWO)
        self.assertIsNone(self.commitments.find(("pacs",), "1.1"))

    def test_one_of_another_outbound_is_kept_apart(self) -> None:
        self.commitments.open("other", "1.1", TWO)
        self.assertIs(self.commitments.find(("pacs",), "1.1"), ONE)
        self.assertIs(self.commitments.find(("other",), "1.1"), TWO)

    def test_one_that_another_waits_for_is_refused(self) -> None:
        with self.assertRaises(OperationRefused) as raised:
            self.commitments.open("pacs", "1.1", TWO)
        self.assertEqual(raised.exception.status, Status.INVALID_ARGUMENT_VALUE)
        self.assertIs(self.commitments.find(("pacs",), "1.1"), ONE)

    def test_one_that_is_asked_for_again_is_the_newest(self) -> None:
        self.patch(module, "MAX_COMMITMENTS", 2)
        self.commitments.open("pacs", "1.2", TWO)
        self.commitments.open("pacs", "1.1", ONE)
        self.commitments.open("pacs", "1.3", TWO)
        self.assertIsNone(self.commitments.find(("pacs",), "1.2"))
        self.assertIs(self.commitments.find(("pacs",), "1.1"), ONE)
