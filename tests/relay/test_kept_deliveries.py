"""A delivery that its outbound keeps for the objects of C-MOVEs to come."""

from __future__ import annotations

from dimseproxy.errors import OutboundUnreachable
from tests.relay.data_sets import an_object
from tests.relay.test_deliveries import TwoDestinations, delivered, statuses
from tests.relay.test_moves import OWN_ID, move, moved


class KeptDeliveryTests(TwoDestinations):
    def test_one_that_was_named_since_is_called_when_its_object_comes(self) -> None:
        self.pacs.hears(moved(OWN_ID + 1))
        delivery = self._delivery()
        self.caller.hears(move("OTHER", 3, "1.2"))
        delivery.hears(delivered(1, OWN_ID + 2, "1.2"))
        self.assertEqual((statuses(delivery), self._got("OTHER")), ([], an_object("1.2")))

    def test_what_comes_while_it_is_called_follows(self) -> None:
        self.pacs.hears(moved(OWN_ID + 1))
        delivery = self._delivery()
        self.caller.hears(move("OTHER", 3, "1.2"))
        self.house.applications["OTHER"]._answers = False
        request, whole = delivered(1, OWN_ID + 2, "1.2")
        delivery.hears(request)
        self.assertTrue(delivery.is_paused)
        self.house.applications["OTHER"].accepts()
        delivery.hears(whole)
        self.assertEqual((delivery.is_paused, self._got("OTHER")), (False, an_object("1.2")))

    def test_where_it_cannot_be_called_that_is_a_failure(self) -> None:
        self.pacs.hears(moved(OWN_ID + 1))
        delivery = self._delivery()
        self.caller.hears(move("OTHER", 3, "1.2"))
        self.house.applications["OTHER"].error = OutboundUnreachable("down")
        delivery.hears(delivered(1, OWN_ID + 2, "1.2"))
        self.assertEqual((statuses(delivery), delivery.is_paused), ([0x0110], False))
