"""What the log says in the end of an association on a route with a privacy policy."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import DataSetFragment
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.interfaces import SourceUnavailable
from tests.association.playing import CT, FIND, command, fragment, response
from tests.relay.data_sets import data_set
from tests.relay.test_border import INSTANCE, PATIENT, STUDY
from tests.relay.test_under_a_policy import UnderAPolicy, storing


class Tallied(UnderAPolicy):
    def summary(self, ended: Any) -> dict[str, Any]:
        """The last line of the association of a caller."""
        with capturedLogs() as events:
            ended.ends()
        [event] = [event for event in events if "requests" in event]
        return {name: event[name] for name in ("requests", "statuses", "sent", "received")}


class ExportTallyTests(Tallied):
    originals = "inbound"

    def test_an_object_that_crosses_counts_as_it_went(self) -> None:
        caller = self.house.call(CT)
        caller.hears(storing(1))
        went = sum(part.octets for part in self.pacs.sent if isinstance(part, DataSetFragment))
        more: dict[Element, int | str | None] = {
            Element.AFFECTED_SOP_INSTANCE_UID: self.pseudonym(Kind.INSTANCE, INSTANCE)
        }
        self.pacs.hears(response(CommandField.C_STORE_RSP, 1, more=more))
        self.assertEqual(
            self.summary(caller),
            {"requests": f"1 C-STORE-RQ ({CT})", "statuses": "0000 x1", "sent": went, "received": 0},
        )

    def test_one_that_is_refused_does_not(self) -> None:
        caller = self.house.call(CT)
        self.names.error = SourceUnavailable("down")
        caller.hears(storing(1))
        self.assertEqual(
            self.summary(caller),
            {"requests": f"1 C-STORE-RQ ({CT})", "statuses": "A700 x1", "sent": 0, "received": 0},
        )


class ShieldTallyTests(Tallied):
    def test_an_object_that_is_refused_was_asked_for(self) -> None:
        caller = self.house.call(CT)
        caller.hears(storing(1))
        self.assertEqual(
            self.summary(caller),
            {"requests": f"1 C-STORE-RQ ({CT})", "statuses": "0110 x1", "sent": 0, "received": 0},
        )

    def test_an_answer_that_is_refused_did_not_come_back(self) -> None:
        caller = self.house.call(FIND)
        keys = data_set({(0x0008, 0x0052): "STUDY ", (0x0010, 0x0020): ""})
        caller.hears(command(CommandField.C_FIND_RQ, 1, has_data_set=True, sop_class=FIND), fragment(keys))
        [asked] = [part for part in self.pacs.sent if isinstance(part, DataSetFragment)]
        self.names.error = SourceUnavailable("down")
        found = data_set({(0x0010, 0x0020): PATIENT, (0x0020, 0x000D): STUDY})
        self.pacs.hears(
            response(CommandField.C_FIND_RSP, 1, Status.PENDING, has_data_set=True),
            fragment(found),
            response(CommandField.C_FIND_RSP, 1),
        )
        self.assertEqual(
            self.summary(caller),
            {"requests": f"1 C-FIND-RQ ({FIND})", "statuses": "A700 x1", "sent": asked.octets, "received": 0},
        )

    def test_a_query_that_matches_nothing_did_not_go(self) -> None:
        caller = self.house.call(FIND)
        keys = data_set({(0x0008, 0x0052): "STUDY ", (0x0010, 0x0020): PATIENT})
        caller.hears(command(CommandField.C_FIND_RQ, 1, has_data_set=True, sop_class=FIND), fragment(keys))
        self.assertEqual(
            self.summary(caller),
            {"requests": f"1 C-FIND-RQ ({FIND})", "statuses": "0000 x1", "sent": 0, "received": 0},
        )
