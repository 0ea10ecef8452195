"""Reports on storage commitments, on the association that asked and on one of their own."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element, response_to
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.errors import NO_REASON_GIVEN, OutboundUnreachable
from tests.association.playing import (
    COMMITMENT,
    VERIFICATION,
    command,
    fragment,
    response,
)
from tests.relay.data_sets import report
from tests.relay.fakes import House
from tests.relay.test_deliveries import statuses


def action(transaction: str, message_id: int = 1) -> list[Part]:
    request = command(CommandField.N_ACTION_RQ, message_id, has_data_set=True, sop_class=COMMITMENT)
    return [request, fragment(report(transaction))]


class CommitmentTestCase(TestCase):
    def setUp(self) -> None:
        self.house = House()
        self.caller = self.house.call(COMMITMENT)
        self.caller.hears(action("1.2.3"))

    def _event(self, transaction: str) -> list[Part]:
        request = command(CommandField.N_EVENT_REPORT_RQ, 5, has_data_set=True, sop_class=COMMITMENT)
        return [request, fragment(report(transaction))]


class CommitmentTests(CommitmentTestCase):
    def test_the_request_crosses(self) -> None:
        self.assertEqual(self.house.pacs.associations[0].commands, ["N-ACTION-RQ"])

    def test_a_report_on_the_same_association_crosses(self) -> None:
        self.house.pacs.associations[0].hears(self._event("1.2.3"))
        self.assertEqual(self.caller.sent, self._event("1.2.3"))

    def test_a_report_on_a_new_association_goes_to_who_asked(self) -> None:
        self.house.deliver(COMMITMENT).hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].sent, self._event("1.2.3"))

    def test_even_when_its_association_is_gone(self) -> None:
        self.caller.ends()
        self.house.deliver(COMMITMENT).hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].sent, self._event("1.2.3"))

    def test_a_report_that_nobody_waits_for(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.4"))
        self.assertEqual(statuses(delivery), [0x0124])

    def test_a_report_is_made_once(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.house.applications["CLIENT"].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5))
        delivery.takes()
        delivery.hears(self._event("1.2.3"))
        self.assertEqual(statuses(delivery), [0x0124])

    def test_one_on_the_same_association_is_not_waited_for_on_another(self) -> None:
        self.house.pacs.associations[0].hears(self._event("1.2.3"))
        self.assertEqual(self.house.deliver(COMMITMENT).rejection, NO_REASON_GIVEN)

    def test_nobody_is_called_before_the_report_is_there(self) -> None:
        self.house.deliver(COMMITMENT)
        self.assertEqual(self.house.applications["CLIENT"].requests, [])

    def test_the_application_is_asked_for_what_was_agreed_on(self) -> None:
        delivery = self.house.deliver(VERIFICATION, COMMITMENT)
        delivery.hears(
            command(CommandField.N_EVENT_REPORT_RQ, 5, context_id=3, has_data_set=True, sop_class=COMMITMENT)
        )
        delivery.hears(fragment(report("1.2.3"), context_id=3))
        contexts = self.house.applications["CLIENT"].requests[0].contexts
        agreed = delivery.established.contexts[3].transfer_syntax
        self.assertEqual([(each.context_id, each.transfer_syntaxes) for each in contexts], [(3, (agreed,))])

    def test_the_outbound_waits_while_the_application_is_called(self) -> None:
        self.house.applications["CLIENT"]._answers = False
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.assertTrue(delivery.is_paused)
        self.house.applications["CLIENT"].accepts()
        self.assertFalse(delivery.is_paused)

    def test_an_application_that_cannot_be_called(self) -> None:
        self.house.applications["CLIENT"].error = OutboundUnreachable("down")
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.assertEqual((statuses(delivery), delivery.is_paused), ([0x0110], False))

    def test_it_may_be_reported_again(self) -> None:
        self.house.applications["CLIENT"].error = OutboundUnreachable("down")
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.house.applications["CLIENT"].error = None
        delivery.hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].sent, self._event("1.2.3"))

    def test_so_it_may_where_the_application_did_not_take_it(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.house.applications["CLIENT"].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5, 0x0110))
        delivery.hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].commands, ["N-EVENT-REPORT-RQ"] * 2)

    def test_reports_for_one_application_go_over_one_association(self) -> None:
        self.caller.hears(action("1.2.4", 2))
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        delivery.hears(self._event("1.2.4"))
        self.assertEqual(len(self.house.applications["CLIENT"].requests), 1)
        self.assertEqual(
            self.house.applications["CLIENT"].associations[0].sent, [*self._event("1.2.3"), *self._event("1.2.4")]
        )

    def test_one_that_was_not_accepted_is_not_waited_for(self) -> None:
        self.house.pacs.associations[0].hears(response(CommandField.N_ACTION_RSP, 1, 0x0110))
        self.assertEqual(self.house.deliver(COMMITMENT).rejection, NO_REASON_GIVEN)

    def test_one_that_was_is(self) -> None:
        self.house.pacs.associations[0].hears(response(CommandField.N_ACTION_RSP, 1))
        self.assertTrue(self.house.deliver(COMMITMENT).is_accepted)

    def test_an_outbound_that_is_gone_meanwhile(self) -> None:
        self.house.applications["CLIENT"]._answers = False
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        delivery.ends()
        self.assertTrue(self.house.applications["CLIENT"].accepts().is_over)

    def test_nobody_else_is_called(self) -> None:
        self.house.deliver(COMMITMENT).hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["OTHER"].requests, [])


class SameTransactionTests(CommitmentTestCase):
    """CLIENT waits for the report of 1.2.3, and OTHER asks under the same Transaction UID."""

    def setUp(self) -> None:
        super().setUp()
        self.other = self.house.call(COMMITMENT, calling="OTHER", host="192.0.2.8")
        self.to_pacs = self.house.pacs.associations[1]

    def test_it_is_refused(self) -> None:
        self.other.hears(action("1.2.3", 7))
        self.assertEqual(self.other.sent, [response(CommandField.N_ACTION_RSP, 7, 0x0115, more=self._of_class())])

    def test_the_outbound_is_not_asked(self) -> None:
        self.other.hears(action("1.2.3"))
        self.assertEqual(self.to_pacs.sent, [])

    def test_the_report_goes_to_the_first(self) -> None:
        self.other.hears(action("1.2.3"))
        self.house.deliver(COMMITMENT).hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].sent, self._event("1.2.3"))
        self.assertEqual(self.house.applications["OTHER"].requests, [])

    def test_it_is_answered_when_its_data_set_is_there(self) -> None:
        request, _ = action("1.2.3")
        content = report("1.2.3")
        self.other.hears(request, fragment(content[:9], is_last=False), fragment(content[9:], is_last=False))
        self.assertEqual(self.other.sent, [])
        self.other.hears(fragment(b"more"))
        self.assertEqual((statuses(self.other), self.to_pacs.sent), ([0x0115], []))

    def test_what_comes_after_it_crosses(self) -> None:
        self.other.hears(action("1.2.3"), action("1.2.4", 2))
        self.assertEqual(self.to_pacs.sent, action("1.2.4", 2))

    def test_one_in_pieces_crosses_in_order(self) -> None:
        request, _ = action("1.2.4")
        content = report("1.2.4")
        parts = [request, fragment(content[:9], is_last=False), fragment(content[9:])]
        for part in parts:
            self.other.hears(part)
        self.assertEqual(self.to_pacs.sent, parts)

    def test_one_without_a_transaction_crosses(self) -> None:
        request, _ = action("")
        self.other.hears(request, fragment(b""))
        self.assertEqual(self.to_pacs.sent, [request, fragment(b"")])

    def test_the_same_application_may_ask_again(self) -> None:
        self.caller.hears(action("1.2.3", 2))
        self.assertEqual(self.house.pacs.associations[0].commands, ["N-ACTION-RQ"] * 2)

    def test_the_same_application_by_another_title_of_the_proxy(self) -> None:
        """It would be called by the wrong title, or under the wrong policy."""
        again = self.house.call(COMMITMENT, called="OTHERWISE")
        again.hears(action("1.2.3"))
        self.assertEqual(statuses(again), [0x0115])

    def test_it_is_free_when_the_report_was_made(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.3"))
        self.house.applications["CLIENT"].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5))
        self.other.hears(action("1.2.3"))
        self.assertEqual(self.to_pacs.commands, ["N-ACTION-RQ"])

    def test_a_report_on_the_others_association_is_not_the_firsts(self) -> None:
        self.to_pacs.hears(self._event("1.2.3"))
        self.house.deliver(COMMITMENT).hears(self._event("1.2.3"))
        self.assertEqual(self.house.applications["CLIENT"].associations[0].sent, self._event("1.2.3"))

    def _of_class(self) -> dict[Element, int | str | None]:
        request, _ = action("1.2.3")
        assert isinstance(request, Command)
        answer = response_to(request.command_set, 0x0115, "Duplicate Transaction UID")
        return {each: answer.text(each) for each in (Element.AFFECTED_SOP_CLASS_UID, Element.ERROR_COMMENT)}
