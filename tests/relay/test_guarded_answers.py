"""The guard and the answers of a C-FIND that are looked at again before the caller gets them."""

from __future__ import annotations

import zlib

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField
from dimseproxy.dimse.status import Status
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.relay.border import Border
from dimseproxy.relay.privacy import Privacy
from tests.association.playing import FIND, a_request, an_accept, command, fragment, response
from tests.privacy import editing
from tests.privacy.objects import data_set
from tests.relay.fakes import FakeAssociation
from tests.relay.sources import Names
from tests.relay.test_border import PATIENT, STUDY, User, commands

DEFLATED = "1.2.840.10008.1.2.1.99"
POLICY = compile_policy(name="research", options=["retain-longitudinal-modified-dates"], keep=[0x00321060])


class DeflatedAnswersTests(TestCase):
    def setUp(self) -> None:
        request = a_request(FIND, syntaxes=(DEFLATED,))
        self.peer = FakeAssociation(request, an_accept(request))
        border = Border(self.peer, Privacy(POLICY, Names(), lambda: b"k" * 32), Direction.TO_PSEUDONYMS, Clock())
        border.use(User())
        # A range of dates: which of the answers are within, only the mapped ones tell.
        keys = data_set(StudyDate="20000101-", QueryRetrieveLevel="STUDY", RequestedProcedureDescription="")
        self.peer.hears(
            [
                command(CommandField.C_FIND_RQ, 1, has_data_set=True, sop_class=FIND),
                fragment(editing.encoded(keys, editing.DEFLATED)),
            ]
        )
        self.border = border

    def answered(self, description: str) -> list[str]:
        found = data_set(
            StudyDate="20240115",
            PatientName="Meier^Anna",
            PatientID=PATIENT,
            StudyInstanceUID=STUDY,
            RequestedProcedureDescription=description,
        )
        encoded = editing.encoded(found, editing.DEFLATED)
        self.assertIn(description.encode(), zlib.decompress(encoded, -zlib.MAX_WBITS))
        self.border.send(
            [
                response(CommandField.C_FIND_RSP, 1, Status.PENDING, has_data_set=True),
                fragment(encoded),
            ]
        )
        return commands(self.peer.sent)

    def test_one_that_shows_an_original_is_none(self) -> None:
        self.assertEqual(self.answered("for Meier"), [])

    def test_a_harmless_one_is_one(self) -> None:
        self.assertEqual(self.answered("as before"), ["C-FIND-RSP"])
