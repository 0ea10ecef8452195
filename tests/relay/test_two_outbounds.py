"""A PACS that is two outbounds, such as one for each of two departments: what it brings may be for either."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve
from twisted.trial.unittest import TestCase

from dimseproxy.config.settings import DimseOutbound, Route
from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.dimse.status import Status
from dimseproxy.errors import NO_REASON_GIVEN
from tests.association.playing import COMMITMENT, CT, MOVE, command, fragment, response
from tests.relay.data_sets import an_object, report
from tests.relay.fakes import PACS_HOST, FakeIncoming, House
from tests.relay.test_commitments import action
from tests.relay.test_deliveries import data, delivered, statuses
from tests.relay.test_moves import OWN_ID, move, moved


def two_outbounds(titles: Sequence[str] = ()) -> House:
    """Called as SHIELD, the proxy asks the one; called as SECOND, the other."""
    house = House()
    pacs = DimseOutbound(connect=f"tcp:{PACS_HOST}:104", ae_title="PACS", move_titles=tuple(titles))
    routes = (Route(called="SECOND", outbound="second"), Route(outbound="pacs"))
    return House(settings=evolve(house.settings, outbound={"pacs": pacs, "second": pacs}, routes=routes))


class RetrieveTestCase(TestCase):
    """CLIENT has asked the one for study 1.1, OTHER the other for 1.2."""

    titles: tuple[str, ...] = ()

    def setUp(self) -> None:
        self.house = two_outbounds(self.titles)
        self.callers = [self._ask("CLIENT", "SHIELD", "1.1"), self._ask("OTHER", "SECOND", "1.2")]

    def _ask(self, title: str, called: str, study: str) -> FakeIncoming:
        host = self.house.settings.applications[title].host
        caller = self.house.call(MOVE, calling=title, called=called, host=host)
        caller.hears(move(title, study=study))
        return caller

    def _got(self) -> list[bytes]:
        """What CLIENT and OTHER got over their associations."""
        return [
            b"".join(data(each.sent) for each in self.house.applications[title].associations)
            for title in ("CLIENT", "OTHER")
        ]


class RetrieveTests(RetrieveTestCase):
    def test_each_gets_its_own_by_move_originator(self) -> None:
        delivery = self.house.deliver(CT)
        delivery.hears(delivered(1, OWN_ID, "1.1"), delivered(2, OWN_ID + 1, "1.2"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])

    def test_each_gets_its_own_by_study(self) -> None:
        delivery = self.house.deliver(CT)
        delivery.hears(delivered(1, None, "1.1"), delivered(2, None, "1.2"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])

    def test_only_the_second_is_awaited(self) -> None:
        self.house.pacs.associations[0].hears(moved(OWN_ID))
        self.house.deliver(CT).hears(delivered(2, None, "1.2"))
        self.assertEqual(self._got(), [b"", an_object("1.2")])

    def test_what_both_asked_for_is_nobodys(self) -> None:
        self._ask("OTHER", "SECOND", "1.1")
        delivery = self.house.deliver(CT)
        delivery.hears(delivered(1, None, "1.1"))
        self.assertEqual((statuses(delivery), self._got()), ([Status.NOT_AUTHORIZED], [b"", b""]))

    def test_the_counters_are_those_of_each(self) -> None:
        delivery = self.house.deliver(CT)
        delivery.hears(delivered(1, OWN_ID, "1.1"), delivered(2, OWN_ID + 1, "1.2"))
        for title in "CLIENT", "OTHER":
            self.house.applications[title].associations[0].hears(
                response(CommandField.C_STORE_RSP, 1 if title == "CLIENT" else 2)
            )
        for number, pacs in enumerate(self.house.pacs.associations):
            pacs.hears(moved(OWN_ID + number, completed=1))
        self.assertEqual([statuses(each) for each in self.callers], [[0], [0]])

    def test_an_association_is_one_delivery_for_both(self) -> None:
        delivery = self.house.deliver(CT)
        self.house.reception.drain()
        for number, pacs in enumerate(self.house.pacs.associations):
            self.assertFalse(delivery.is_over)
            pacs.hears(moved(OWN_ID + number))
        self.house.waits(1)
        self.assertTrue(delivery.is_over)


class TitleTests(RetrieveTestCase):
    """The same with titles to lease."""

    titles = ("PROXY1",)

    def _titles(self) -> list[str]:
        return [
            part.command_set.text(Element.MOVE_DESTINATION)
            for pacs in self.house.pacs.associations
            for part in pacs.sent
            if isinstance(part, Command)
        ]

    def test_the_pacs_is_told_another_title_for_another_destination(self) -> None:
        self.assertEqual(self._titles(), ["DIMSEPROXY", "PROXY1"])

    def test_by_title(self) -> None:
        self.house.deliver(CT, called="PROXY1").hears(delivered(2, None, "1.2"))
        self.house.deliver(CT).hears(delivered(1, None, "1.1"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])

    def test_what_another_title_is_leased_for_is_nobodys(self) -> None:
        delivery = self.house.deliver(CT)
        delivery.hears(delivered(2, None, "1.2"))
        self.assertEqual(statuses(delivery), [Status.NOT_AUTHORIZED])

    def test_each_gets_its_own_by_move_originator(self) -> None:
        self.house.deliver(CT).hears(delivered(1, OWN_ID, "1.1"))
        self.house.deliver(CT, called="PROXY1").hears(delivered(2, OWN_ID + 1, "1.2"))
        self.assertEqual(self._got(), [an_object("1.1"), an_object("1.2")])

    def test_one_that_nobody_is_known_by_any_longer(self) -> None:
        self.house.pacs.associations[0].hears(moved(OWN_ID))
        self.assertEqual(self.house.deliver(CT).rejection, NO_REASON_GIVEN)


class CommitmentTests(TestCase):
    """CLIENT has asked the one under 1.2.3, OTHER the other under 1.2.4."""

    def setUp(self) -> None:
        self.house = two_outbounds()
        self.house.call(COMMITMENT).hears(action("1.2.3"))
        self.other = self.house.call(COMMITMENT, calling="OTHER", called="SECOND", host="192.0.2.8")
        self.other.hears(action("1.2.4"))

    def _event(self, transaction: str) -> list[Part]:
        request = command(CommandField.N_EVENT_REPORT_RQ, 5, has_data_set=True, sop_class=COMMITMENT)
        return [request, fragment(report(transaction))]

    def test_each_gets_its_own_report(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.4"))
        delivery.hears(self._event("1.2.3"))
        got = [self.house.applications[title].associations[0].sent for title in ("CLIENT", "OTHER")]
        self.assertEqual(got, [self._event("1.2.3"), self._event("1.2.4")])

    def test_a_transaction_is_one_applications_for_both(self) -> None:
        self.other.hears(action("1.2.3", 2))
        self.assertEqual(statuses(self.other), [Status.INVALID_ARGUMENT_VALUE])

    def test_a_report_is_made_once(self) -> None:
        delivery = self.house.deliver(COMMITMENT)
        delivery.hears(self._event("1.2.4"))
        self.house.applications["OTHER"].associations[0].hears(response(CommandField.N_EVENT_REPORT_RSP, 5))
        delivery.takes()
        delivery.hears(self._event("1.2.4"))
        self.assertEqual(statuses(delivery), [Status.NOT_AUTHORIZED])
