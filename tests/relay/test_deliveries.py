"""What an outbound brings on associations of its own."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import Application
from dimseproxy.dataset.head import failed_list
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import NO_REASON_GIVEN, TEMPORARY_CONGESTION, OutboundUnreachable
from tests.association.playing import (
    CT,
    MOVE,
    MR,
    VERIFICATION,
    command,
    echo,
    echoed,
    fragment,
    response,
    store,
)
from tests.relay.data_sets import an_object
from tests.relay.fakes import FakeAssociation, FakeIncoming, House
from tests.relay.test_moves import OWN_ID, move, moved


def delivered(message_id: int, originator: int | None = OWN_ID, study: str = "1.1") -> list[Part]:
    """A C-STORE of the PACS."""
    return store(message_id, an_object(study), more={Element.MOVE_ORIGINATOR_MESSAGE_ID: originator})


def stored(message_id: int, status: int = 0) -> Command:
    return response(CommandField.C_STORE_RSP, message_id, status)


def statuses(association: FakeAssociation) -> list[int]:
    return [part.command_set.status for part in association.sent if isinstance(part, Command)]


def data(parts: Sequence[Part]) -> bytes:
    return b"".join(bytes(part) for part in parts if isinstance(part, DataSetFragment))


class OneDestinationTests(TestCase):
    """A C-MOVE of CLIENT to OTHER is under way."""

    def setUp(self) -> None:
        self.house = House()
        self.caller = self.house.call(MOVE)
        self.pacs = self.house.pacs.associations[0]
        self.caller.hears(move("OTHER", message_id=7))
        self.caller.takes()

    def _delivery(self, *syntaxes: str) -> FakeIncoming:
        return self.house.deliver(*syntaxes or (CT, VERIFICATION))

    @property
    def other(self) -> FakeAssociation:
        return self.house.applications["OTHER"].associations[0]

    def _requests(self, title: str) -> int:
        return len(self.house.applications[title].requests)

    # Negotiation

    def test_the_application_is_asked_for_the_same_contexts(self) -> None:
        self._delivery()
        asked = self.house.applications["OTHER"].requests[0]
        self.assertEqual(
            [(each.context_id, each.abstract_syntax) for each in asked.contexts], [(1, CT), (3, VERIFICATION)]
        )

    def test_nobody_else_is_asked(self) -> None:
        self._delivery()
        self.assertEqual(self._requests("CLIENT"), 0)

    def test_it_is_called_by_the_title_that_the_caller_used(self) -> None:
        self._delivery()
        asked = self.house.applications["OTHER"].requests[0]
        self.assertEqual((asked.called_ae_title, asked.calling_ae_title), ("OTHER", "SHIELD"))

    def test_the_outbound_is_answered_with_what_the_application_takes(self) -> None:
        self.house.applications["OTHER"].refused = (MR,)
        delivery = self._delivery(CT, MR)
        self.assertEqual(list(delivery.established.contexts), [1])

    def test_the_outbound_waits_for_the_application(self) -> None:
        self.house.applications["OTHER"]._answers = False
        self.assertFalse(self._delivery().is_accepted)

    def test_a_destination_that_is_down(self) -> None:
        self.house.applications["OTHER"].error = OutboundUnreachable("down")
        self.assertEqual(self._delivery(CT).rejection, TEMPORARY_CONGESTION)

    def test_a_destination_that_is_down_does_not_stop_a_verification(self) -> None:
        self.house.applications["OTHER"].error = OutboundUnreachable("down")
        self.assertEqual(list(self._delivery().established.contexts), [3])

    def test_one_that_takes_none_of_it_is_let_go(self) -> None:
        self.house.applications["OTHER"].refused = (CT,)
        self.assertEqual((self._delivery(CT).rejection, self.other.told), (TEMPORARY_CONGESTION, ["release"]))

    def test_nobody_is_asked_for_what_brings_no_object(self) -> None:
        self._delivery(VERIFICATION)
        self.assertEqual(self._requests("OTHER"), 0)

    def test_while_the_proxy_shuts_down_it_ends_as_soon_as_nothing_is_under_way(self) -> None:
        self.house.reception.drain()
        delivery = self._delivery()
        self.pacs.hears(moved())
        self.house.waits(1)
        self.assertTrue(delivery.is_over)

    def test_an_outbound_that_does_not_read_is_not_read(self) -> None:
        delivery = self._delivery()
        delivery.user.pause_sending()
        self.assertTrue(delivery.is_paused)
        delivery.user.resume_sending()
        self.assertFalse(delivery.is_paused)

    def test_nobody_asked(self) -> None:
        self.pacs.hears(moved())
        self.assertEqual(self._delivery(CT).rejection, NO_REASON_GIVEN)

    def test_a_verification_that_nobody_asked_for_is_answered_here(self) -> None:
        self.pacs.hears(moved())
        delivery = self._delivery(VERIFICATION)
        delivery.hears(echo(4))
        self.assertEqual(delivery.commands, ["C-ECHO-RSP"])

    def test_a_verification_is_answered_here_anyway(self) -> None:
        delivery = self._delivery()
        delivery.hears(echo(4, context_id=3))
        self.assertEqual((statuses(delivery), self.other.sent), ([0], []))

    def test_a_peer_that_is_gone_meanwhile(self) -> None:
        self.house.applications["OTHER"]._answers = False
        delivery = self._delivery()
        delivery.ends()
        self.house.applications["OTHER"].accepts()
        self.assertEqual(self.other.told, ["release"])

    def test_only_from_its_address(self) -> None:
        from tests.association.playing import a_request
        from tests.relay.fakes import FakeIncoming as Incoming

        stranger = Incoming(a_request(CT, calling="PACS", called="DIMSEPROXY"), "192.0.2.99")
        self.house.reception.incoming(stranger)
        self.assertIsNotNone(stranger.rejection)

    # Objects

    def test_an_object_goes_to_the_application(self) -> None:
        self._delivery().hears(delivered(3))
        self.assertEqual((self.other.commands, data(self.other.sent)), (["C-STORE-RQ"], an_object("1.1")))

    def test_it_says_who_asked(self) -> None:
        self._delivery().hears(delivered(3))
        request = self.other.sent[0]
        assert isinstance(request, Command)
        self.assertEqual(
            (
                request.command_set.text(Element.MOVE_ORIGINATOR_AE_TITLE),
                request.command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID),
            ),
            ("CLIENT", 7),
        )

    def test_without_originator_the_study_tells(self) -> None:
        self._delivery().hears(delivered(3, None))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_an_object_of_another_study_that_the_outbound_forwards_goes_to_nobody(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3, None, "9.9"))
        self.assertEqual((self.other.commands, statuses(delivery)), ([], [0x0124]))

    def test_the_applications_answer_goes_back(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3))
        self.other.hears(stored(3, 0xA700))
        self.assertEqual(delivery.sent, [stored(3, 0xA700)])

    def test_what_was_delivered_counts(self) -> None:
        self._delivery().hears(delivered(3))
        self.other.hears(stored(3))
        self.pacs.hears(moved(completed=1))
        self.assertEqual(statuses(self.caller), [0])

    def test_a_false_success_names_the_objects_that_failed(self) -> None:
        self._delivery().hears(delivered(3))
        self.other.hears(stored(3, 0xA700))
        self.pacs.hears(moved(completed=1))
        instance = delivered(3)[0].command_set.text(Element.AFFECTED_SOP_INSTANCE_UID)  # type: ignore[union-attr]
        self.assertEqual(data(self.caller.sent), failed_list("1.2.840.10008.1.2", [instance]))

    def test_what_was_not_does_not(self) -> None:
        self._delivery().hears(delivered(3))
        self.other.hears(stored(3, 0xA700))
        self.pacs.hears(moved(completed=1))
        self.assertEqual(statuses(self.caller), [Status.UNABLE_TO_PERFORM_SUB_OPERATIONS])

    def test_an_object_in_a_context_that_the_application_refused(self) -> None:
        self.house.applications["OTHER"].refused = (CT,)
        delivery = self._delivery()
        self.assertEqual(list(delivery.established.contexts), [3])

    def test_after_its_c_move_nothing_is_delivered(self) -> None:
        delivery = self._delivery()
        self.pacs.hears(moved())
        delivery.hears(delivered(3))
        self.assertEqual((self.other.sent, statuses(delivery)), ([], [Status.NOT_AUTHORIZED]))

    def test_an_object_under_way_is_finished_though_the_caller_dies(self) -> None:
        delivery = self._delivery()
        parts = delivered(3)
        delivery.hears(parts[0])
        self.caller.ends()
        delivery.hears(parts[1])
        self.assertEqual(data(self.other.sent), an_object("1.1"))

    def test_the_next_one_is_refused_then(self) -> None:
        delivery = self._delivery()
        self.caller.ends()
        delivery.hears(delivered(4))
        self.assertEqual(statuses(delivery), [Status.NOT_AUTHORIZED])

    def test_another_operation_is_refused(self) -> None:
        delivery = self._delivery()
        delivery.hears(command(CommandField.C_FIND_RQ, 5, has_data_set=True), fragment(b"query"), echo(6, 3))
        self.assertEqual(statuses(delivery), [Status.UNRECOGNIZED_OPERATION, 0])

    def test_a_response_to_nothing_is_ignored(self) -> None:
        delivery = self._delivery()
        delivery.hears(stored(3), echoed(1))
        self.assertEqual((delivery.sent, self.other.sent), ([], []))

    # Slow ones

    def test_a_slow_application_pauses_the_outbound(self) -> None:
        delivery = self._delivery()
        self.other.user.pause_sending()
        self.assertTrue(delivery.is_paused)

    def test_one_that_goes_on_resumes_it(self) -> None:
        delivery = self._delivery()
        self.other.user.pause_sending()
        self.other.user.resume_sending()
        self.assertFalse(delivery.is_paused)

    def test_a_slow_outbound_pauses_the_application(self) -> None:
        delivery = self._delivery()
        delivery.user.pause_sending()
        self.assertTrue(self.other.is_paused)

    # The end

    def test_an_application_that_dies_within_an_object(self) -> None:
        delivery = self._delivery()
        parts = delivered(3)
        delivery.hears(parts[0], fragment(b"some", is_last=False))
        self.other.ends()
        delivery.hears(parts[1])
        self.assertEqual(statuses(delivery), [Status.PROCESSING_FAILURE])

    def test_it_is_not_answered_before_the_object_is_there(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3)[0])
        self.other.ends()
        self.assertEqual(delivery.sent, [])

    def test_an_application_that_dies_before_it_answers(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3))
        self.other.ends()
        self.assertEqual(statuses(delivery), [Status.PROCESSING_FAILURE])

    def test_a_dead_application_gets_nothing_more(self) -> None:
        delivery = self._delivery()
        self.other.ends()
        delivery.hears(delivered(3))
        self.assertEqual((self.other.sent, statuses(delivery)), ([], [Status.PROCESSING_FAILURE]))

    def test_a_dead_slow_application_lets_the_outbound_go_on(self) -> None:
        delivery = self._delivery()
        self.other.user.pause_sending()
        self.other.ends()
        self.assertFalse(delivery.is_paused)

    def test_an_application_that_releases_is_gone(self) -> None:
        delivery = self._delivery()
        self.other.user.release_requested()
        delivery.hears(delivered(3))
        self.assertEqual(statuses(delivery), [Status.PROCESSING_FAILURE])

    def test_a_failure_of_ours_counts(self) -> None:
        delivery = self._delivery()
        self.other.ends()
        delivery.hears(delivered(3))
        self.pacs.hears(moved(completed=1))
        self.assertEqual(statuses(self.caller), [Status.UNABLE_TO_PERFORM_SUB_OPERATIONS])

    def test_a_release_releases_the_application(self) -> None:
        delivery = self._delivery()
        delivery.user.release_requested()
        self.assertEqual((delivery.told, self.other.told), (["respond release"], ["release"]))

    def test_a_release_within_an_object_aborts_the_application(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3)[0])
        delivery.user.release_requested()
        self.assertEqual(self.other.told, [(0, 0)])

    def test_an_abort_aborts_the_application(self) -> None:
        self._delivery().ends()
        self.assertEqual(self.other.told, [(0, 0)])

    def test_an_answer_after_the_end_vanishes(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3))
        delivery.user.release_requested()
        self.other.hears(stored(3))
        self.assertEqual(delivery.sent, [])

    # Deadlines and draining

    def test_an_idle_delivery_ends(self) -> None:
        delivery = self._delivery()
        self.house.waits(901)
        self.assertEqual((delivery.is_over, self.other.is_over), (True, True))

    def test_a_busy_one_does_not(self) -> None:
        delivery = self._delivery()
        for _ in range(3):
            self.house.waits(500)
            delivery.hears(echo(1, 3))
        self.assertFalse(delivery.is_over)

    def test_an_idle_one_is_drained_at_once(self) -> None:
        delivery = self._delivery()
        self.pacs.hears(moved(completed=0))
        self.house.reception.drain()
        self.assertTrue(delivery.is_over)

    def test_one_that_a_move_waits_for_is_not_idle(self) -> None:
        delivery = self._delivery()
        self.house.reception.drain()
        delivery.hears(delivered(3))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_a_delivery_that_begins_while_draining(self) -> None:
        self.house.reception.drain()
        self._delivery().hears(delivered(3))
        self.assertEqual(self.other.commands, ["C-STORE-RQ"])

    def test_a_move_without_responses_is_not_silent_while_its_objects_come(self) -> None:
        delivery = self._delivery()
        for message_id in (1, 2, 3):
            self.house.waits(400)
            delivery.hears(delivered(message_id))
            self.other.hears(stored(message_id))
        self.assertFalse(self.caller.is_over)

    def test_an_object_under_way_is_drained_when_it_is_answered(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(3))
        self.house.reception.drain()
        self.other.hears(stored(3))
        self.pacs.hears(moved(completed=1))
        self.house.waits(1)
        self.assertEqual((delivery.sent, delivery.is_over), ([stored(3)], True))


class TwoDestinations(TestCase):
    """CLIENT moves study 1.1 to itself and study 1.2 to OTHER; the PACS knows one title of ours."""

    def setUp(self) -> None:
        self.house = House()
        self.caller = self.house.call(MOVE)
        self.pacs = self.house.pacs.associations[0]
        self.caller.hears(move("CLIENT", 1, "1.1"), move("OTHER", 2, "1.2"))

    def _delivery(self, *syntaxes: str) -> FakeIncoming:
        return self.house.deliver(*syntaxes or (CT,))

    def _got(self, title: str) -> bytes:
        return data(self.house.applications[title].associations[0].sent)


class TwoDestinationsTests(TwoDestinations):
    def test_by_originator(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID + 1, "1.9"), delivered(2, OWN_ID, "1.8"))
        self.assertEqual((self._got("CLIENT"), self._got("OTHER")), (an_object("1.8"), an_object("1.9")))

    def test_by_study_without_originator(self) -> None:
        self._delivery().hears(delivered(1, None, "1.2"))
        self.assertEqual((self._got("CLIENT"), self._got("OTHER")), (b"", an_object("1.2")))

    def test_by_study_with_a_wrong_originator(self) -> None:
        self._delivery().hears(delivered(1, 99, "1.1"))
        self.assertEqual((self._got("CLIENT"), self._got("OTHER")), (an_object("1.1"), b""))

    def test_what_names_a_retrieve_that_is_over_goes_to_nobody(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID + 2, "1.1"))
        self.assertEqual((self._got("CLIENT"), self._got("OTHER"), statuses(delivery)), (b"", b"", [0x0124]))

    def test_an_object_in_pieces_arrives_whole(self) -> None:
        delivery = self._delivery()
        whole = an_object("1.2")
        delivery.hears(delivered(1, None)[0])
        for offset in range(0, len(whole), 7):
            delivery.hears(fragment(whole[offset : offset + 7], is_last=offset + 7 >= len(whole)))
        self.assertEqual(self._got("OTHER"), whole)

    def test_a_study_that_nobody_asked_for(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, None, "1.3"))
        self.assertEqual((statuses(delivery), self._got("CLIENT"), self._got("OTHER")), ([0x0124], b"", b""))

    def test_an_object_that_cannot_be_read(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, None)[0], fragment(b"\xff" * 3000))
        self.assertEqual(statuses(delivery), [0x0124])

    def test_an_object_without_a_data_set(self) -> None:
        delivery = self._delivery()
        delivery.hears(command(CommandField.C_STORE_RQ, 1, sop_class=CT))
        self.assertEqual(statuses(delivery), [0x0124])

    def test_one_that_is_down_does_not_stop_the_other(self) -> None:
        self.house.applications["CLIENT"].error = OutboundUnreachable("down")
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID), delivered(2, OWN_ID + 1, "1.2"))
        self.assertEqual((statuses(delivery), self._got("OTHER")), ([0x0110], an_object("1.2")))

    def test_one_that_refuses_a_context_does_not_keep_it_from_the_other(self) -> None:
        self.house.applications["CLIENT"].refused = (CT,)
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID), delivered(2, OWN_ID + 1, "1.2"))
        self.assertEqual((statuses(delivery), self._got("OTHER")), ([0x0122], an_object("1.2")))

    def test_one_that_is_slow_keeps_the_outbound_paused(self) -> None:
        delivery = self._delivery()
        legs = [self.house.applications[title].associations[0] for title in ("CLIENT", "OTHER")]
        for leg in legs:
            leg.user.pause_sending()
        legs[0].user.resume_sending()
        self.assertTrue(delivery.is_paused)

    def test_none_answers_for_the_other(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID))
        self.house.applications["OTHER"].associations[0].hears(stored(1))
        self.house.applications["CLIENT"].associations[0].hears(stored(1, 0xA700))
        self.assertEqual(statuses(delivery), [0xA700])

    def test_the_data_set_of_an_answer_to_nothing_goes_nowhere_either(self) -> None:
        delivery = self._delivery()
        delivery.hears(delivered(1, OWN_ID))
        answer = response(CommandField.C_STORE_RSP, 1, has_data_set=True)
        self.house.applications["OTHER"].associations[0].hears(answer, fragment(b"nothing"))
        self.assertEqual(delivery.sent, [])

    def test_one_that_dies_does_not_end_the_other(self) -> None:
        delivery = self._delivery()
        self.house.applications["CLIENT"].associations[0].ends()
        delivery.hears(delivered(2, OWN_ID + 1, "1.2"))
        self.assertEqual((delivery.is_over, self._got("OTHER")), (False, an_object("1.2")))


class SharedAddressTests(TestCase):
    def test_an_outbound_may_be_an_application_too(self) -> None:
        house = House()
        applications = {**house.settings.applications, "PACS": Application(host="192.0.2.1", port=104)}
        house = House(settings=evolve(house.settings, applications=applications))
        caller = house.call(CT, calling="PACS", called="SHIELD")
        self.assertIsNotNone(caller.rejection)
