"""Identifiers on their way from callers who hold originals to an outbound that lives under pseudonyms."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifiers import Direction
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Policy, compile_policy
from tests.privacy.identifying import BASIC, LISTS, SHIFTED, Values, as_sent, identifier, query, resolve, sent, shift_of

TO_PSEUDONYMS = Direction.TO_PSEUDONYMS


class Tests(SynchronousTestCase):
    def assert_sent(self, values: Values, expected: Values, policy: Policy = BASIC) -> None:
        self.assertEqual(sent(resolve(values, policy, direction=TO_PSEUDONYMS)), as_sent(expected))

    def assert_nothing(self, values: Values, policy: Policy = BASIC) -> None:
        resolved = resolve(values, policy, direction=TO_PSEUDONYMS)
        self.assertEqual((resolved.matches_nothing, resolved.data), (True, b""))

    def test_originals_become_pseudonyms(self) -> None:
        self.assert_sent({"PatientID": "REAL^1", "StudyInstanceUID": "1.2.3.1\\1.2.3.2"},
                         {"PatientID": "PSN1", "StudyInstanceUID": "2.25.1\\2.25.2"})  # fmt: skip

    def test_originals_are_looked_up_in_their_own_character_set(self) -> None:
        asked = query({"SpecificCharacterSet": "ISO_IR 192", "PatientID": b"M\xc3\xbcLLER"}, direction=TO_PSEUDONYMS)
        self.assertEqual(asked.wanted(), {Identity(Kind.PATIENT, "M\N{LATIN SMALL LETTER U WITH DIAERESIS}LLER")})

    def test_nothing_that_the_outbound_must_not_know_leaves(self) -> None:
        for values in (
            {"PatientName": "Doe^John"},
            {"PatientName": "D*"},
            {"PatientID": "REAL*"},
            {"PatientBirthDate": "19700101-19701231"},
            {"ScheduledProcedureStepSequence": [{"ScheduledPerformingPhysicianName": "Dr"}]},
        ):
            with self.subTest(values=values):
                self.assert_nothing(values)

    def test_what_the_outbound_has_not_may_be_asked_for(self) -> None:
        self.assert_sent({"PatientName": "*", "PatientID": ""}, {"PatientName": "", "PatientID": ""})

    def test_the_text_of_a_replacement_matches_everything(self) -> None:
        self.assert_sent({"InstitutionName": "Hospital"}, {"InstitutionName": ""}, LISTS)

    def test_where_a_caller_is_stays_here(self) -> None:
        self.assert_sent({"RetrieveAETitle": "", "QueryRetrieveLevel": "STUDY"},
                         {"RetrieveAETitle": "", "QueryRetrieveLevel": "STUDY"})  # fmt: skip
        self.assert_nothing({"RetrieveAETitle": "CLINIC7"})
        self.assert_nothing({"TimezoneOffsetFromUTC": "+0530"})

    def test_dates_of_a_patient_move(self) -> None:
        self.assert_sent({"PatientID": "REAL^1", "StudyDate": "20200120-"},
                         {"PatientID": "PSN1", "StudyDate": "20200110-"}, SHIFTED)  # fmt: skip

    def test_without_a_patient_all_possible_days_are_asked_for(self) -> None:
        self.assert_sent({"StudyDate": "20200131"}, {"StudyDate": "20200101-20200130", "PatientID": ""}, SHIFTED)

    def test_answers_are_looked_at_by_the_callers_dates(self) -> None:
        resolved = resolve({"StudyDate": "20200131"}, SHIFTED, direction=TO_PSEUDONYMS)
        assert resolved.answers is not None
        self.assertEqual([resolved.answers.admit(an_answer(day)) is None for day in ("20200131", "20200130")],
                         [False, True])  # fmt: skip

    def test_ages_are_not_worked_out_on_the_way_back(self) -> None:
        self.assert_sent({"PatientAge": ""}, {"PatientAge": ""}, compile_policy(age="derive"))

    def test_a_pseudonym_that_is_no_value_of_its_vr_is_refused(self) -> None:
        asked = query({"StudyInstanceUID": "1.2.3.1"}, direction=TO_PSEUDONYMS)
        refusal = self.assertRaises(
            OperationRefused, asked.resolve, {Identity(Kind.STUDY, "1.2.3.1"): "psn_1"}, shift_of
        )
        self.assertEqual(refusal.status, Status.PROCESSING_FAILURE)


def an_answer(day: str) -> bytes:
    return identifier({"StudyDate": day, "PatientID": "REAL^1"})
