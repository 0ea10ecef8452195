"""Identifiers on their way from callers who live under pseudonyms: what may be asked, and what is asked of the PACS."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import identifier_rules
from dimseproxy.privacy.identifiers import Direction, read_identifier
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Policy, compile_policy
from tests.privacy.identifying import (
    BASIC,
    EXPLICIT,
    IMPLICIT,
    LISTS,
    ORIGINALS,
    SHIFTED,
    Values,
    as_sent,
    query,
    resolve,
    sent,
    shift_of,
)

UID = "StudyInstanceUID"


class Case(SynchronousTestCase):
    def assert_sent(self, values: Values, expected: Values, policy: Policy = BASIC) -> None:
        self.assertEqual(sent(resolve(values, policy)), as_sent(expected))

    def assert_nothing(self, values: Values, policy: Policy = BASIC) -> None:
        resolved = resolve(values, policy)
        self.assertEqual((resolved.matches_nothing, resolved.data), (True, b""))


class MappedTests(Case):
    def test_a_pseudonym_becomes_its_original(self) -> None:
        self.assert_sent({"PatientID": "PSN1"}, {"PatientID": "REAL^1"})

    def test_padding_is_no_part_of_a_pseudonym(self) -> None:
        self.assert_sent({"PatientID": " PSN1   "}, {"PatientID": "REAL^1"})

    def test_each_kind_is_looked_up_by_itself(self) -> None:
        asked = query({"PatientID": "A", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.2", "SOPInstanceUID": "1.3",
                       "FrameOfReferenceUID": "1.4"})  # fmt: skip
        self.assertEqual(asked.wanted(), {
            Identity(Kind.PATIENT, "A"), Identity(Kind.STUDY, "1.1"), Identity(Kind.SERIES, "1.2"),
            Identity(Kind.INSTANCE, "1.3"), Identity(Kind.UID, "1.4"),
        })  # fmt: skip

    def test_all_known_uids_of_a_list_are_asked_for(self) -> None:
        self.assert_sent({UID: "2.25.1\\2.25.99\\2.25.2"}, {UID: "1.2.3.1\\1.2.3.2"})

    def test_a_list_of_unknown_uids_matches_nothing(self) -> None:
        self.assert_nothing({UID: "2.25.98\\2.25.99"})

    def test_a_real_identifier_is_an_unknown_pseudonym(self) -> None:
        for keyword, original in (("PatientID", "REAL^1"), (UID, "1.2.3.1")):
            with self.subTest(keyword):
                unknown = resolve({keyword: "9.9"})
                self.assertEqual(resolve({keyword: original}), unknown)

    def test_a_universal_key_asks_for_the_attribute(self) -> None:
        for value in ("", "*", "**", " "):
            with self.subTest(value=value):
                self.assert_sent({"PatientID": value, UID: value}, {"PatientID": "", UID: ""})

    def test_any_other_matching_matches_nothing(self) -> None:
        for value in ("PSN*", "*1", "PSN?", "?", "*PSN1*", "PSN1\\PSNWILD", '""', "\\"):
            with self.subTest(value=value):
                self.assert_nothing({"PatientID": value})
        for value in ("2.25.*", "2.25.?", "*\\2.25.1"):
            with self.subTest(value=value):
                self.assert_nothing({UID: value})

    def test_what_can_match_nothing_is_not_looked_up(self) -> None:
        self.assertEqual(query({"PatientID": "PSN1", UID: "2.*"}).wanted(), frozenset())

    def test_a_well_known_uid_names_nobody(self) -> None:
        uid = "1.2.840.10008.1.4.1.1"
        self.assert_sent({"FrameOfReferenceUID": uid}, {"FrameOfReferenceUID": uid})
        self.assertEqual(query({"FrameOfReferenceUID": uid}).wanted(), frozenset())

    def test_a_real_uid_below_the_root_of_the_standard_matches_nothing(self) -> None:
        self.assert_nothing({UID: "1.2.840.10008.5.1.4.1.1.2.80017"})

    def test_what_identifies_though_the_table_lacks_it_is_asked_for_and_not_matched(self) -> None:
        for keyword, value in (("PatientBirthDateInAlternativeCalendar", "5711-*"), ("RetrieveURL", "*1.2.3*")):
            with self.subTest(keyword=keyword):
                self.assert_nothing({keyword: value})
                self.assert_sent({keyword: ""}, {keyword: ""})

    def test_a_transaction_uid_is_the_same_on_both_sides(self) -> None:
        self.assert_sent({"TransactionUID": "1.2.3"}, {"TransactionUID": "1.2.3"})

    def test_what_is_too_long_for_a_pseudonym_is_not_looked_up(self) -> None:
        self.assert_nothing({"PatientID": "A" * 2000})
        self.assertEqual(query({"PatientID": "A" * 2000}).wanted(), frozenset())

    def test_too_many_values_are_refused(self) -> None:
        uids = "\\".join(str(number) for number in range(identifier_rules.MAX_IDENTITIES + 1))
        refusal = self.assertRaises(OperationRefused, query, {UID: uids}, encoding=IMPLICIT)
        self.assertEqual(refusal.status, Status.OUT_OF_RESOURCES)

    def test_a_name_can_be_a_pseudonym(self) -> None:
        policy = compile_policy(pseudonymise=[0x00100010])
        self.assert_sent({"PatientName": "PSNNAME"}, {"PatientName": "Doe^John"}, policy)
        self.assert_nothing({"PatientName": "Doe*"}, policy)

    def test_a_kind_that_is_not_mapped_crosses(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        self.assert_sent({UID: "1.2.3.1"}, {UID: "1.2.3.1"}, policy)

    def test_the_kind_decides_and_not_the_attribute(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00080018])
        reference = [{"ReferencedSOPInstanceUID": "2.25.4"}]
        self.assert_sent({"ReferencedStudySequence": reference, "ReferencedImageSequence": reference},
                         {"ReferencedStudySequence": reference,
                          "ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "1.2.3.4"}]}, policy)  # fmt: skip

    def test_an_original_of_several_values_would_match_others(self) -> None:
        self.assert_nothing({"PatientID": "PSNTWO"})

    def test_no_value_is_in_a_repr(self) -> None:
        asked = query({"PatientID": "PSN1"})
        self.assertNotIn("REAL", repr(asked.resolve(ORIGINALS, shift_of)) + repr(asked))
        self.assertNotIn("PSN1", repr(asked) + repr(vars(asked)))


class KeptTests(Case):
    def test_what_the_policy_keeps_is_matched_as_asked(self) -> None:
        values = {"QueryRetrieveLevel": "STUDY", "ModalitiesInStudy": "CT\\MR", "NumberOfStudyRelatedInstances": ""}
        self.assert_sent(values, values)
        self.assert_sent({"StudyDescription": "*thorax?"}, {"StudyDescription": "*thorax?"}, LISTS)

    def test_what_says_how_to_search_stays(self) -> None:
        values = {"SpecificCharacterSet": "ISO_IR 100", "QueryRetrieveLevel": "IMAGE", "QueryRetrieveView": "CLASSIC",
                  "RetrieveAETitle": "PACS", "TimezoneOffsetFromUTC": "+0100"}  # fmt: skip
        self.assert_sent(values, values)

    def test_a_sequence_is_searched_by_the_same_rules(self) -> None:
        inside = {"Modality": "CT", "ScheduledProcedureStepDescription": "", "StudyInstanceUID": "2.25.1"}
        expected = {**inside, "StudyInstanceUID": "1.2.3.1"}
        self.assert_sent({"ScheduledProcedureStepSequence": [inside]}, {"ScheduledProcedureStepSequence": [expected]})

    def test_nothing_protected_is_matched_in_a_sequence(self) -> None:
        self.assert_nothing({"ScheduledProcedureStepSequence": [{"ScheduledPerformingPhysicianName": "Dr*"}]})
        self.assert_nothing({"ScheduledProcedureStepSequence": [{"StudyInstanceUID": "1.2.3.1"}]})

    def test_a_reference_is_of_the_kind_that_its_sequence_says(self) -> None:
        asked = query({"ReferencedStudySequence": [{"ReferencedSOPInstanceUID": "2.25.1"}],
                       "ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "2.25.4"}]},
                      LISTS)  # fmt: skip
        self.assertEqual(asked.wanted(), {Identity(Kind.STUDY, "2.25.1"), Identity(Kind.INSTANCE, "2.25.4")})

    def test_a_cleaned_sequence_is_searched_by_pseudonyms_only(self) -> None:
        policy = compile_policy(options=["clean-descriptors"])
        inside = {"StudyInstanceUID": "2.25.1", "RequestedProcedureDescription": ""}
        self.assert_sent(
            {"RequestAttributesSequence": [inside]},
            {"RequestAttributesSequence": [{**inside, "StudyInstanceUID": "1.2.3.1"}]},
            policy,
        )
        self.assert_nothing({"RequestAttributesSequence": [{"Modality": "CT"}]}, policy)
        deeper = {"ReferencedSeriesSequence": [{"Modality": "CT"}]}
        self.assert_nothing({"RequestAttributesSequence": [deeper]}, policy)


class ProtectedTests(Case):
    def test_the_attribute_may_be_asked_for(self) -> None:
        for keyword in ("PatientName", "PatientBirthDate", "AccessionNumber", "InstitutionName", "StudyDescription"):
            for value in ("", "*"):
                with self.subTest(keyword=keyword, value=value):
                    self.assert_sent({keyword: value}, {keyword: ""})

    def test_anything_else_matches_nothing(self) -> None:
        for keyword, value in (
            ("PatientName", "Doe^John"),
            ("PatientName", "D*"),
            ("PatientName", "?*"),
            ("PatientBirthDate", "19700101"),
            ("PatientBirthDate", "19700101-"),
            ("PatientSex", "M"),
            ("PatientAge", "042Y"),
            ("AccessionNumber", "4711"),
            ("StudyDate", "20200101"),
            ("StudyDate", "-20200101"),
            ("StudyTime", "10-12"),
            ("InstitutionName", "ANONYMIZED"),
            ("ReferringPhysicianName", '""'),
        ):
            with self.subTest(keyword=keyword, value=value):
                self.assert_nothing({keyword: value})

    def test_one_key_that_matches_nothing_is_enough(self) -> None:
        self.assert_nothing({"PatientID": "PSN1", "PatientName": "D*"})

    def test_a_sequence_that_goes_may_be_asked_for(self) -> None:
        values = {"RequestAttributesSequence": [{"AccessionNumber": "*", "StudyInstanceUID": ""}]}
        self.assert_sent(values, {"RequestAttributesSequence": [{"AccessionNumber": "", "StudyInstanceUID": ""}]})
        self.assert_sent({"RequestAttributesSequence": []}, {"RequestAttributesSequence": []})

    def test_what_is_private_or_unknown_in_it_is_not_asked_for(self) -> None:
        values = {"RequestAttributesSequence": [{0x00090010: "", 0x00101234: "", "AccessionNumber": ""}]}
        self.assert_sent(values, {"RequestAttributesSequence": [{"AccessionNumber": ""}]})

    def test_a_sequence_that_goes_is_not_searched_not_even_by_pseudonyms(self) -> None:
        for inside in ({"StudyInstanceUID": "2.25.1"}, {"Modality": "CT"}):
            with self.subTest(inside=inside):
                self.assert_nothing({"RequestAttributesSequence": [inside]})

    def test_the_text_of_a_replacement_matches_everything(self) -> None:
        self.assert_sent({"InstitutionName": "Hospital"}, {"InstitutionName": ""}, LISTS)

    def test_any_other_text_than_the_replacement_matches_nothing(self) -> None:
        for value in ("Charite", "Hosp*", "HOSPITAL", "Hospital\\Hospital"):
            with self.subTest(value=value):
                self.assert_nothing({"InstitutionName": value}, LISTS)

    def test_a_key_that_nobody_knows_is_left_out(self) -> None:
        self.assert_sent({"PatientID": "PSN1", 0x00101234: "X"}, {"PatientID": "REAL^1"})

    def test_one_that_the_policy_keeps_stays(self) -> None:
        self.assert_sent({0x00101234: "X"}, {0x00101234: "X"}, LISTS)

    def test_an_age_that_is_worked_out_needs_its_dates(self) -> None:
        policy = compile_policy(age="derive")
        resolved = resolve({"PatientAge": ""}, policy)
        self.assertEqual([key.tag for key in sent(resolved)], [0x00080020, 0x00100030, 0x00101010])
        assert resolved.answers is not None
        self.assertEqual(resolved.answers.added, {0x00080020, 0x00100030})


PRIVATE: Values = {0x00090010: "ACME", 0x00091001: "A*", 0x00110010: "OTHER", 0x00111001: "B", "PatientID": ""}


class PrivateTests(Case):
    def test_private_keys_are_left_out(self) -> None:
        self.assert_sent(PRIVATE, {"PatientID": ""})

    def test_safe_ones_stay_with_their_creator(self) -> None:
        policy = compile_policy(private_attributes=["ACME"])
        self.assert_sent(PRIVATE, {0x00090010: "ACME", 0x00091001: "A*", "PatientID": ""}, policy)

    def test_one_without_a_creator_is_left_out(self) -> None:
        policy = compile_policy(private_attributes="keep")
        self.assert_sent({0x00091001: "A", "PatientID": ""}, {"PatientID": ""}, policy)

    def test_one_whose_creator_is_two_values_is_left_out(self) -> None:
        policy = compile_policy(private_attributes=["ACME"])
        self.assert_sent({**PRIVATE, 0x00090010: "ACME\\Meier"}, {"PatientID": ""}, policy)

    def test_one_that_may_be_a_sequence_is_left_out(self) -> None:
        policy = compile_policy(private_attributes="keep")
        resolved = resolve(PRIVATE, policy, encoding=IMPLICIT)
        self.assertEqual([key.tag for key in sent(resolved, IMPLICIT)], [0x00100020])


class DateTests(Case):
    def test_dates_of_a_patient_move_back(self) -> None:
        for value, expected in (
            ("20200110", "20200120"),
            ("20200110-20200112", "20200120-20200122"),
            ("-20200112", "-20200122"),
            ("20200110-", "20200120-"),
        ):
            with self.subTest(value=value):
                self.assert_sent(
                    {"PatientID": "PSN1", "StudyDate": value}, {"PatientID": "REAL^1", "StudyDate": expected}, SHIFTED
                )

    def test_the_answers_for_a_patient_are_the_callers(self) -> None:
        self.assertIsNone(resolve({"PatientID": "PSN1", "StudyDate": "20200110"}, SHIFTED).answers)

    def test_without_a_patient_all_possible_days_are_asked_for(self) -> None:
        for value, expected in (
            ("20200110", "20200111-20200209"),
            ("20200110-20200112", "20200111-20200211"),
            ("20200110-", "20200111-"),
        ):
            with self.subTest(value=value):
                self.assert_sent({"StudyDate": value}, {"StudyDate": expected, "PatientID": ""}, SHIFTED)

    def test_a_date_that_is_asked_for_needs_the_patient(self) -> None:
        for values in (
            {"StudyDate": ""},
            {"StudyDate": "*"},
            {"ScheduledProcedureStepSequence": [{"ScheduledProcedureStepStartDate": ""}]},
        ):
            with self.subTest(values=values):
                resolved = resolve(values, SHIFTED)
                assert resolved.answers is not None
                self.assertEqual(resolved.answers.added, {0x00100020})
                self.assertIn(0x00100020, [key.tag for key in sent(resolved)])

    def test_a_time_of_day_is_matched_as_asked(self) -> None:
        self.assert_sent({"StudyTime": "1000-1200"}, {"StudyTime": "1000-1200"}, SHIFTED)

    def test_what_is_no_date_matches_nothing(self) -> None:
        for value in ("2020*", "202001??", "2020", "20200101\\20200102", '""', "today"):
            with self.subTest(value=value):
                self.assert_nothing({"PatientID": "PSN1", "StudyDate": value}, SHIFTED)

    def test_a_date_under_another_vr_matches_nothing(self) -> None:
        data = b"\x08\x00\x20\x00TM\x08\x0020200101"
        asked = read_identifier(data, EXPLICIT, SHIFTED, Direction.TO_ORIGINALS)
        self.assertTrue(asked.resolve({}, shift_of).matches_nothing)

    def test_an_unknown_patient_has_no_dates(self) -> None:
        self.assert_nothing({"PatientID": "REAL^1", "StudyDate": "20200110"}, SHIFTED)

    def test_a_patient_whose_id_is_kept_is_known(self) -> None:
        kept = compile_policy(options=["retain-longitudinal-modified-dates"], keep=[0x00100020], pseudonymise=[])
        self.assert_sent({"PatientID": "X*", "StudyDate": "20200110"},
                         {"PatientID": "X*", "StudyDate": "20200111-20210109"}, kept)  # fmt: skip
        self.assert_sent({"PatientID": "REAL^1", "StudyDate": "20200110"},
                         {"PatientID": "REAL^1", "StudyDate": "20200120"}, kept)  # fmt: skip


class CharacterSetTests(Case):
    def test_an_original_of_another_character_set_brings_it_along(self) -> None:
        for pseudonym, character_set, original in (
            ("PSNLATIN", "ISO_IR 100", b"M\xfcLLER"),
            ("PSNGREEK", "ISO_IR 192", b"\xce\xb11"),
        ):
            with self.subTest(character_set):
                self.assert_sent(
                    {"PatientID": pseudonym}, {"SpecificCharacterSet": character_set, "PatientID": original}
                )

    def test_an_original_that_the_identifier_can_say_changes_nothing(self) -> None:
        values = {"SpecificCharacterSet": "ISO_IR 192", "PatientID": "PSNLATIN"}
        self.assert_sent(values, {**values, "PatientID": b"M\xc3\xbcLLER"})

    def test_all_other_text_changes_with_it(self) -> None:
        greek = {"SpecificCharacterSet": "ISO_IR 126", "ScheduledProcedureStepID": b"\xe1"}
        self.assert_sent(
            {"SpecificCharacterSet": "ISO_IR 100", "PatientID": "PSNGREEK", "StudyDescription": b"\xfc",
             "ScheduledProcedureStepSequence": [greek]},
            {"SpecificCharacterSet": "ISO_IR 192", "PatientID": b"\xce\xb11", "StudyDescription": b"\xc3\xbc",
             "ScheduledProcedureStepSequence": [{"ScheduledProcedureStepID": b"\xce\xb1"}]},
            LISTS,
        )  # fmt: skip

    def test_text_that_is_not_of_its_character_set_is_refused(self) -> None:
        for values in (
            {"SpecificCharacterSet": "ISO_IR 192", "PatientID": b"\xff"},
            {"SpecificCharacterSet": "NONSENSE", "PatientID": b"\xff"},
        ):
            with self.subTest(values=values):
                refusal = self.assertRaises(OperationRefused, query, values)
                self.assertEqual(refusal.status, Status.IDENTIFIER_DOES_NOT_MATCH)

    def test_kept_text_that_cannot_change_is_refused(self) -> None:
        values = {"SpecificCharacterSet": "NONSENSE", "PatientID": "PSNLATIN", "StudyDescription": b"\xff"}
        self.assertRaises(OperationRefused, resolve, values, LISTS)


class EncodingTests(Case):
    def test_an_identifier_leaves_in_its_own_encoding(self) -> None:
        for encoding in (IMPLICIT, EXPLICIT, Encoding(False, False), Encoding(False, is_deflated=True)):
            with self.subTest(encoding=encoding):
                keys = sent(resolve({"PatientID": "PSN1", UID: "2.25.1"}, encoding=encoding), encoding)
                self.assertEqual([key.value.rstrip(b"\0 ") for key in keys], [b"REAL^1", b"1.2.3.1"])

    def test_what_cannot_be_read_is_refused(self) -> None:
        refusal = self.assertRaises(OperationRefused, read_identifier, b"\0", EXPLICIT, BASIC, Direction.TO_ORIGINALS)
        self.assertEqual(refusal.status, Status.IDENTIFIER_DOES_NOT_MATCH)
