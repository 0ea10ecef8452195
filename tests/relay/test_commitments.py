"""Reports on storage commitments, on the association that asked and on one of their own."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.parts import Part
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


class CommitmentTests(TestCase):
    def setUp(self) -> None:
        self.house = House()
        self.caller = self.house.call(COMMITMENT)
        request = command(CommandField.N_ACTION_RQ, 1, has_data_set=True, sop_class=COMMITMENT)
        self.caller.hears(request, fragment(report("1.2.3")))

    def _event(self, transaction: str) -> list[Part]:
        request = command(CommandField.N_EVENT_REPORT_RQ, 5, has_data_set=True, sop_class=COMMITMENT)
        return [request, fragment(report(transaction))]

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
        request = command(CommandField.N_ACTION_RQ, 2, has_data_set=True, sop_class=COMMITMENT)
        self.caller.hears(request, fragment(report("1.2.4")))
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
