"""Identifiers of C-MOVE and C-GET: unique keys, and no answers to look at again."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.privacy.identifiers import Direction, Resolved
from dimseproxy.privacy.policy import Policy, compile_policy
from tests.privacy.identifying import BASIC, LISTS, SHIFTED, Values, as_sent, resolve, sent

UID = "StudyInstanceUID"


class Tests(SynchronousTestCase):
    def retrieve(self, values: Values, policy: Policy = BASIC) -> Resolved:
        return resolve({"QueryRetrieveLevel": "STUDY", **values}, policy, is_retrieve=True)

    def assert_sent(self, values: Values, expected: Values, policy: Policy = BASIC) -> None:
        resolved = self.retrieve(values, policy)
        self.assertEqual(sent(resolved), as_sent({"QueryRetrieveLevel": "STUDY", **expected}))
        self.assertIsNone(resolved.answers)

    def assert_nothing(self, values: Values, policy: Policy = BASIC) -> None:
        resolved = self.retrieve(values, policy)
        self.assertEqual((resolved.matches_nothing, resolved.data), (True, b""))

    def test_unique_keys_are_mapped(self) -> None:
        self.assert_sent(
            {"PatientID": "PSN1", UID: "2.25.1", "SeriesInstanceUID": "2.25.3", "SOPInstanceUID": "2.25.4"},
            {"PatientID": "REAL^1", UID: "1.2.3.1", "SeriesInstanceUID": "1.2.3.3", "SOPInstanceUID": "1.2.3.4"},
        )

    def test_the_known_ones_of_a_list_are_retrieved(self) -> None:
        self.assert_sent({UID: "2.25.99\\2.25.2"}, {UID: "1.2.3.2"})

    def test_unknown_pseudonyms_match_nothing(self) -> None:
        for values in ({UID: "2.25.99"}, {UID: "1.2.3.1"}, {"PatientID": "REAL^1", UID: "2.25.1"}, {UID: "2.25.*"}):
            with self.subTest(values=values):
                self.assert_nothing(values)

    def test_an_original_with_a_wildcard_would_retrieve_others(self) -> None:
        self.assert_nothing({"PatientID": "PSNWILD"})

    def test_a_protected_key_is_left_out(self) -> None:
        values = {UID: "2.25.1", "PatientName": "*", "AccessionNumber": "", "StudyDate": ""}
        for policy in (BASIC, SHIFTED):
            with self.subTest(options=policy.options):
                self.assert_sent(values, {UID: "1.2.3.1"}, policy)

    def test_a_protected_key_with_a_value_matches_nothing(self) -> None:
        for keyword in ("PatientName", "AccessionNumber", "StudyID"):
            with self.subTest(keyword):
                self.assert_nothing({UID: "2.25.1", keyword: "X"})

    def test_the_replacement_of_a_protected_key_is_left_out(self) -> None:
        self.assert_sent({UID: "2.25.1", "InstitutionName": "Hospital"}, {UID: "1.2.3.1"}, LISTS)

    def test_what_the_policy_keeps_limits_what_is_retrieved(self) -> None:
        # Frames of an instance (PS3.4 Annex Y).
        frames = {"SimpleFrameList": b"\1\0\0\0"}
        self.assert_sent({UID: "2.25.1", **frames}, {UID: "1.2.3.1", **frames})

    def test_private_keys_are_left_out(self) -> None:
        policy = compile_policy(private_attributes="keep")
        self.assert_sent({UID: "2.25.1", 0x00090010: "ACME", 0x00091001: "A"}, {UID: "1.2.3.1"}, policy)

    def test_a_date_of_a_known_patient_moves(self) -> None:
        self.assert_sent({"PatientID": "PSN1", "StudyDate": "20200110"},
                         {"PatientID": "REAL^1", "StudyDate": "20200120"}, SHIFTED)  # fmt: skip

    def test_a_date_of_nobody_matches_nothing(self) -> None:
        self.assert_nothing({UID: "2.25.1", "StudyDate": "20200110"}, SHIFTED)

    def test_the_other_way_originals_become_pseudonyms(self) -> None:
        resolved = resolve({UID: "1.2.3.1\\1.2.3.9"}, direction=Direction.TO_PSEUDONYMS, is_retrieve=True)
        self.assertEqual(sent(resolved), as_sent({UID: "2.25.1"}))
