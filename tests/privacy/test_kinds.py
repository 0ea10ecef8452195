"""What attributes identify."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.kinds import kind_of


class KindOf(TestCase):
    def test_the_levels_of_the_information_model_are_kinds_of_their_own(self) -> None:
        tags = (0x00100020, 0x0020000D, 0x0020000E, 0x00080018, 0x00080050, 0x00200010)
        kinds = [Kind.PATIENT, Kind.STUDY, Kind.SERIES, Kind.INSTANCE, Kind.ACCESSION, Kind.STUDY_ID]
        self.assertEqual([kind_of(tag) for tag in tags], kinds)

    def test_other_patient_ids_are_patients(self) -> None:
        self.assertEqual([kind_of(0x00101000), kind_of(0x00100020, 0x00101002)], [Kind.PATIENT, Kind.PATIENT])

    def test_a_reference_is_to_an_instance(self) -> None:
        for tag, sequence in ((0x00081155, 0x00081140), (0x00080058, 0), (0x00041511, 0x00041220)):
            self.assertIs(kind_of(tag, sequence), Kind.INSTANCE)

    def test_a_reference_in_referenced_study_sequence_is_to_a_study(self) -> None:
        self.assertIs(kind_of(0x00081155, 0x00081110), Kind.STUDY)

    def test_any_other_uid_is_a_uid(self) -> None:
        self.assertIs(kind_of(0x00200052), Kind.UID)

    def test_any_other_text_is_of_no_kind_of_its_own(self) -> None:
        self.assertIs(kind_of(0x00081030), Kind.OTHER)

    def test_a_tag_that_nobody_knows_is_of_no_kind_of_its_own(self) -> None:
        self.assertIs(kind_of(0x00080FFE), Kind.OTHER)
