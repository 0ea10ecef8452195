"""Data sets that leave for the side of the pseudonyms: what is mapped, and what is refused."""

from __future__ import annotations

from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import pending
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.pending import MAX_VALUES
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from tests.privacy.editing import ENCODINGS, EXPLICIT, IMPLICIT, KEY, encoded, plain, pseudonym_of, through
from tests.privacy.objects import (
    BASIC,
    CT,
    INSTANCE,
    PATIENT_ID,
    SERIES,
    STUDY,
    Editing,
    ct,
    data_set,
    items,
    reference,
)


class Mapped(Editing):
    def test_the_four_levels_get_their_pseudonyms_in_every_encoding(self) -> None:
        for encoding in ENCODINGS:
            left = self.sent(ct(), BASIC, encoding)
            self.assertEqual(left.PatientID, pseudonym_of(Identity(Kind.PATIENT, "PAT-4711")))
            self.assertEqual(left.StudyInstanceUID, pseudonym_of(Identity(Kind.STUDY, STUDY)))
            self.assertEqual(left.SeriesInstanceUID, pseudonym_of(Identity(Kind.SERIES, SERIES)))
            self.assertEqual(left.SOPInstanceUID, pseudonym_of(Identity(Kind.INSTANCE, INSTANCE)))

    def test_byte_by_byte_the_same_leaves(self) -> None:
        original = ct(ReferencedImageSequence=items(reference("1.2.3.5")), PixelData=bytes(100))
        for encoding in ENCODINGS:
            self.sent(original, BASIC, encoding)
            whole = plain(self.left, encoding)
            self.sent(original, BASIC, encoding, step=1)
            self.assertEqual(plain(self.left, encoding), whole)

    def test_in_portions_the_same_leaves(self) -> None:
        original = ct(
            PatientAge="099Y", ReferencedImageSequence=items(reference("1.2.3.5"), reference("1.2.840.10008.1.4.1.1"))
        )
        policy = compile_policy(options=["retain-longitudinal-modified-dates"], age="derive")
        data = encoded(original, EXPLICIT)
        left = [
            through(
                Pseudonymisation(policy, EXPLICIT, Purpose.OBJECT, KEY),
                data,
                EXPLICIT,
                self.source.pseudonyms_of,
                budget=budget,
            )
            for budget in (None, 1, 3)
        ]
        self.assertEqual(left, [left[0]] * 3)

    def test_a_reference_is_mapped_at_every_depth(self) -> None:
        original = ct(ReferencedImageSequence=items(reference("1.2.3.5"), reference(INSTANCE)))
        original.ReferencedImageSequence[0].PurposeOfReferenceCodeSequence = items(
            data_set(SourceImageSequence=items(reference("1.2.3.6")))
        )
        left = self.sent(original, BASIC).ReferencedImageSequence
        self.assertEqual(left[0].ReferencedSOPInstanceUID, pseudonym_of(Identity(Kind.INSTANCE, "1.2.3.5")))
        self.assertEqual(left[1].ReferencedSOPInstanceUID, pseudonym_of(Identity(Kind.INSTANCE, INSTANCE)))
        deepest = left[0].PurposeOfReferenceCodeSequence[0].SourceImageSequence[0]
        self.assertEqual(deepest.ReferencedSOPInstanceUID, pseudonym_of(Identity(Kind.INSTANCE, "1.2.3.6")))

    def test_classes_and_uids_of_the_standard_stay(self) -> None:
        known = "1.2.840.10008.1.4.1.1"
        left = self.sent(ct(FrameOfReferenceUID=known, ReferencedImageSequence=items(reference(known))), BASIC)
        found = (left.SOPClassUID, left.FrameOfReferenceUID, left.ReferencedImageSequence[0].ReferencedSOPInstanceUID)
        self.assertEqual(found, (CT, known, known))

    def test_an_instance_below_the_root_of_the_standard_is_mapped(self) -> None:
        uid = f"{CT}.80017.20240115"
        original = ct(StudyInstanceUID=uid, SOPInstanceUID=f"{uid}.1", ReferencedImageSequence=items(reference(uid)))
        self.sent(original, BASIC)
        self.assertNotIn(uid.encode(), self.left)

    def test_a_patient_id_does_not_become_a_uid_of_the_standard_by_its_vr(self) -> None:
        data = encoded(ct(PatientID=CT), EXPLICIT)
        place = data.index(b"\x10\0\x20\0LO") + 4
        editor = Pseudonymisation(BASIC, EXPLICIT, Purpose.OBJECT, KEY)
        self.assertRaises(
            OperationRefused,
            through,
            editor,
            data[:place] + b"UI" + data[place + 2 :],
            EXPLICIT,
            self.source.pseudonyms_of,
        )

    def test_every_value_of_several_is_mapped(self) -> None:
        left = self.sent(
            data_set(FailedSOPInstanceUIDList=["1.2.3.5", "1.2.840.10008.1.4.1.1", "1.2.3.6"]),
            BASIC,
            purpose=Purpose.ANSWER,
        )
        expected = [pseudonym_of(Identity(Kind.INSTANCE, uid)) for uid in ("1.2.3.5", "1.2.3.6")]
        self.assertEqual(left.FailedSOPInstanceUIDList, [expected[0], "1.2.840.10008.1.4.1.1", expected[1]])

    def test_an_empty_value_stays_among_values_with_backslashes_in_their_characters(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00101000])
        left = self.sent(ct(SpecificCharacterSet="GBK", OtherPatientIDs=["誠", "誠", ""]), policy)
        self.assertEqual(left.OtherPatientIDs, [pseudonym_of(Identity(Kind.PATIENT, "誠"))] * 2 + [""])

    def test_a_referenced_study_is_a_study(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x0020000D])
        original = ct(
            ReferencedStudySequence=items(reference(STUDY)), ReferencedImageSequence=items(reference("1.2.3.5"))
        )
        left = self.sent(original, policy)
        found = [left.ReferencedStudySequence[0].ReferencedSOPInstanceUID, left.StudyInstanceUID]
        self.assertEqual(found, [pseudonym_of(Identity(Kind.STUDY, STUDY))] * 2)
        self.assertEqual(left.ReferencedImageSequence[0].ReferencedSOPInstanceUID, "1.2.3.5")

    def test_a_list_of_more_values_than_can_be_looked_up_is_refused(self) -> None:
        original = ct(FailedSOPInstanceUIDList=[f"1.{number}" for number in range(MAX_VALUES + 1)])
        comment = str(self.assertRaises(OperationRefused, self.sent, original, BASIC, IMPLICIT))
        self.assertIn("too many values", comment)

    def test_lists_of_more_values_than_can_be_looked_up_together_are_refused(self) -> None:
        self.patch(pending, "MAX_IDENTITIES", 5)
        original = ct(FailedSOPInstanceUIDList=["1.2.3.5", "1.2.3.6"])
        self.assertIn("too many values", self.refused(original, BASIC))

    def test_a_long_list_is_scanned_and_answered_in_portions(self) -> None:
        original = data_set(FailedSOPInstanceUIDList=[f"1.2.{number}" for number in range(4000)], Modality="CT")
        editor = Pseudonymisation(BASIC, IMPLICIT, Purpose.ANSWER, KEY)
        rewriter = Rewriter(IMPLICIT, editor)
        rewriter.feed([memoryview(encoded(original, IMPLICIT))], True)
        self.assertTrue(rewriter.work(100))
        while rewriter.work(100):
            pass
        answers = self.source.pseudonyms_of(editor.wanted())
        portions = 1
        while editor.resolve(answers, 1000):
            portions += 1
        self.assertGreaterEqual(portions, 4)

    def test_an_empty_value_stays_empty(self) -> None:
        left = self.sent(ct(PatientID="", FrameOfReferenceUID=""), BASIC)
        self.assertEqual((left.PatientID or "", left.FrameOfReferenceUID or ""), ("", ""))

    def test_a_text_is_mapped_as_it_reads_and_not_as_it_is_encoded(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        left = [
            self.sent(ct(SpecificCharacterSet=character_set, PatientID="MÜLLER"), policy).PatientID
            for character_set in ("ISO_IR 100", "ISO_IR 192")
        ]
        self.assertEqual(left, [pseudonym_of(Identity(Kind.PATIENT, "MÜLLER"))] * 2)

    def test_an_item_may_have_a_character_set_of_its_own(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        original = ct(SpecificCharacterSet="ISO_IR 100")
        original.OtherPatientIDsSequence = items(data_set(SpecificCharacterSet="ISO_IR 144", PatientID="Люкс"))
        left = self.sent(original, policy)
        pseudonym = pseudonym_of(Identity(Kind.PATIENT, "Люкс"))
        self.assertEqual(left.OtherPatientIDsSequence[0].PatientID, pseudonym)

    def test_the_original_patient_and_instance_are_told(self) -> None:
        self.sent(ct(), BASIC)
        self.assertEqual((self.editor.patient, self.editor.sop_instance), ("PAT-4711", INSTANCE))

    def test_the_source_is_asked_once_for_each_original(self) -> None:
        asked: list[set[Identity]] = []

        def answer(originals: set[Identity]) -> dict[Identity, str]:
            asked.append(originals)
            return {original: pseudonym_of(original) for original in originals}

        original = ct(ReferencedImageSequence=items(reference(INSTANCE)), PixelData=bytes(100_000))
        original.add_new(0xFFFCFFFC, "OB", bytes(2))
        through(Pseudonymisation(BASIC, EXPLICIT, Purpose.OBJECT, KEY), encoded(original, EXPLICIT), EXPLICIT, answer)
        levels = {(Kind.PATIENT, "PAT-4711"), (Kind.STUDY, STUDY), (Kind.SERIES, SERIES), (Kind.INSTANCE, INSTANCE)}
        self.assertEqual([set(map(tuple, originals)) for originals in asked if originals], [levels])


class FailsClosed(Editing):
    def test_a_missing_pseudonym_refuses(self) -> None:
        self.source.pseudonyms_of = lambda originals: {}  # type: ignore[method-assign]
        self.assertIn("missing", self.refused(ct(), BASIC))

    def test_a_pseudonym_that_is_no_uid_refuses(self) -> None:
        self.source.pseudonyms_of = lambda originals: dict.fromkeys(originals, "None")  # type: ignore[method-assign]
        self.assertIn("VR UI", self.refused(ct(), BASIC))

    def test_bytes_that_are_no_text_refuse(self) -> None:
        original = ct(SpecificCharacterSet="ISO_IR 192")
        original["PatientID"]._value = b"M\xfcller"
        comment = self.refused(original, compile_policy(pseudonymise=[PATIENT_ID]))
        self.assertIn("not readable", comment)

    def test_nothing_leaves_that_was_not_resolved(self) -> None:
        rewriter = Rewriter(EXPLICIT, Pseudonymisation(BASIC, EXPLICIT, Purpose.OBJECT, KEY))
        rewriter.feed([memoryview(encoded(ct(), EXPLICIT))], True)
        while rewriter.work():
            pass
        self.assertRaises(OperationRefused, rewriter.flush)

    def test_no_refusal_tells_a_value(self) -> None:
        self.source.pseudonyms_of = lambda originals: dict.fromkeys(originals, "secret")  # type: ignore[method-assign]
        comment = self.refused(ct(), BASIC)
        for value in ("secret", "PAT-4711", STUDY, "Meier"):
            self.assertNotIn(value, comment)
