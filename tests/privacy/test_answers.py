"""Answers that are looked at again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.answers import AnswerFilter, TextIs
from dimseproxy.privacy.identifier_keys import read_keys
from tests.privacy.identifying import EXPLICIT, SHIFTED, Values, as_sent, identifier, resolve

STEPS = "ScheduledProcedureStepSequence"
START = "ScheduledProcedureStepStartDate"
PATIENT_ID = 0x00100020


class Tests(SynchronousTestCase):
    def filter_of(self, values: Values) -> AnswerFilter:
        answers = resolve(values, SHIFTED).answers
        if answers is None:
            self.fail("the answers are not looked at")
        return answers

    def is_admitted(self, values: Values, answer: Values) -> bool:
        return self.filter_of(values).admit(identifier(answer)) is not None

    def test_only_dates_that_were_asked_for(self) -> None:
        asked = {"StudyDate": "20200110-20200112"}
        days = ("20200109", "20200110", "20200112", "20200113")
        admitted = [self.is_admitted(asked, {"StudyDate": day, "PatientID": "PSN1"}) for day in days]
        self.assertEqual(admitted, [False, True, True, False])

    def test_an_answer_that_does_not_tell_its_date_has_not_shown_that_it_matches(self) -> None:
        for answer in ({"PatientID": "PSN1"}, {"StudyDate": "", "PatientID": "PSN1"}):
            with self.subTest(answer=answer):
                self.assertFalse(self.is_admitted({"StudyDate": "20200110-"}, answer))

    def test_every_answer_is_admitted_where_a_date_is_only_asked_for(self) -> None:
        self.assertTrue(self.is_admitted({"StudyDate": ""}, {"StudyDate": "", "PatientID": "PSN1"}))

    def test_all_conditions_are_to_be_met(self) -> None:
        asked = {"StudyDate": "20200110", "SeriesDate": "20200111"}
        for series, is_admitted in (("20200111", True), ("20200110", False)):
            with self.subTest(series=series):
                answer = {"StudyDate": "20200110", "SeriesDate": series}
                self.assertEqual(self.is_admitted(asked, answer), is_admitted)

    def test_a_date_in_a_sequence_may_be_in_any_item(self) -> None:
        asked = {STEPS: [{START: "20200110"}]}
        self.assertTrue(self.is_admitted(asked, {STEPS: [{START: "20200109"}, {START: "20200110"}]}))
        self.assertFalse(self.is_admitted(asked, {STEPS: [{START: "20200109"}]}))
        self.assertFalse(self.is_admitted(asked, {STEPS: []}))

    def test_a_date_elsewhere_does_not_count(self) -> None:
        self.assertFalse(self.is_admitted({STEPS: [{START: "20200110"}]}, {START: "20200110"}))

    def test_keys_that_only_we_needed_are_taken_out(self) -> None:
        answer = identifier({"StudyDate": "20200110", "PatientID": "PSN1", "StudyInstanceUID": "2.25.1"})
        admitted = self.filter_of({"StudyDate": "20200110"}).admit(answer)
        assert admitted is not None
        self.assertEqual(
            read_keys(admitted, EXPLICIT), as_sent({"StudyDate": "20200110", "StudyInstanceUID": "2.25.1"})
        )

    def test_an_answer_without_them_crosses_as_it_is(self) -> None:
        answer = identifier({"StudyDate": "20200110"})
        self.assertIs(self.filter_of({"StudyDate": "20200110"}).admit(answer), answer)

    def test_an_original_with_wildcards_finds_its_owner_only(self) -> None:
        asked = {"PatientID": "PSNWILD"}
        self.assertTrue(self.is_admitted(asked, {"PatientID": "PSNWILD"}))
        for pseudonym in ("PSN1", "", "psnwild"):
            with self.subTest(pseudonym=pseudonym):
                self.assertFalse(self.is_admitted(asked, {"PatientID": pseudonym}))

    def test_text_is_compared_in_its_character_set(self) -> None:
        answers = AnswerFilter(EXPLICIT, (TextIs((PATIENT_ID,), "\N{GREEK SMALL LETTER ALPHA}"),), frozenset())
        answer: Values = {"SpecificCharacterSet": "ISO_IR 192", "PatientID": b"\xce\xb1"}
        self.assertIsNotNone(answers.admit(identifier(answer)))

    def test_answers_come_in_the_encoding_of_the_query(self) -> None:
        for encoding in (Encoding(True), Encoding(False, False), Encoding(False, is_deflated=True)):
            with self.subTest(encoding=encoding):
                answers = resolve({"StudyDate": "20200110"}, SHIFTED, encoding=encoding).answers
                assert answers is not None
                self.assertIsNotNone(answers.admit(identifier({"StudyDate": "20200110"}, encoding)))

    def test_what_cannot_be_read_is_refused(self) -> None:
        answers = self.filter_of({"StudyDate": "20200110"})
        for answer in (b"\0", identifier({"StudyDate": b"2020011\xff"})):
            with self.subTest(answer=answer):
                refusal = self.assertRaises(OperationRefused, answers.admit, answer)
                self.assertEqual(refusal.status, Status.PROCESSING_FAILURE)

    def test_no_value_is_in_a_repr(self) -> None:
        for values in ({"StudyDate": "20200110"}, {"PatientID": "PSNWILD"}):
            with self.subTest(values=values):
                text = repr(self.filter_of(values))
                self.assertNotIn("2020", text)
                self.assertNotIn("PSN", text)
