"""Data sets that come back from the side of the pseudonyms."""

from __future__ import annotations

from pydicom.dataset import Dataset

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.new_uids import new_uid
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Purpose
from dimseproxy.privacy.reidentification import Reidentification, UnknownPseudonym
from tests.privacy.editing import ENCODINGS, EXPLICIT, KEY, decoded, encoded, through
from tests.privacy.objects import (
    ANY_DATES,
    BASIC,
    FRAME_OF_REFERENCE,
    INSTANCE,
    SERIES,
    STUDY,
    Editing,
    ct,
    data_set,
    items,
    reference,
)

REFUSE, NEW, PASS = UnknownPseudonym.REFUSE, UnknownPseudonym.NEW_INSTANCES, UnknownPseudonym.PASS


class Returning(Editing):
    def returned(
        self,
        stored: Dataset,
        policy: Policy,
        encoding: Encoding = EXPLICIT,
        unknown: UnknownPseudonym = REFUSE,
    ) -> Dataset:
        """What comes back of a data set."""
        self.back = Reidentification(policy, encoding, KEY, unknown)
        raw = through(self.back, encoded(stored, encoding), encoding, self.source.originals_of)
        return decoded(raw, encoding)

    def not_returned(self, stored: Dataset, policy: Policy = BASIC, unknown: UnknownPseudonym = REFUSE) -> str:
        return str(self.assertRaises(OperationRefused, self.returned, stored, policy, EXPLICIT, unknown))


class Restored(Returning):
    def test_what_was_given_out_comes_back_as_it_was(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020, 0x0020000D, 0x0020000E, 0x00080018])
        original = ct(ReferencedImageSequence=items(reference("1.2.3.5")), OtherPatientIDs=["A-1", "A-2"])
        for encoding in ENCODINGS:
            self.assertEqual(self.returned(self.sent(original, policy, encoding), policy, encoding), original)

    def test_under_the_profile_the_four_levels_come_back(self) -> None:
        for encoding in ENCODINGS:
            back = self.returned(self.sent(ct(), BASIC, encoding), BASIC, encoding)
            found = (back.PatientID, back.StudyInstanceUID, back.SeriesInstanceUID, back.SOPInstanceUID)
            self.assertEqual(found, ("PAT-4711", STUDY, SERIES, INSTANCE))

    def test_dates_move_back(self) -> None:
        sent = self.sent(ct(AcquisitionDateTime="20240115120000"), ANY_DATES)
        self.assertNotEqual(sent.StudyDate, "20240115")
        back = self.returned(sent, ANY_DATES)
        self.assertEqual((back.StudyDate, back.AcquisitionDateTime), ("20240115", "20240115120000"))

    def test_references_in_dummied_and_cleaned_content_come_back(self) -> None:
        item = data_set(ValueType="IMAGE", ReferencedSOPSequence=items(reference("1.2.3.5")))
        original = ct(ContentSequence=items(data_set(ValueType="CONTAINER", ContentSequence=items(item))))
        for options in ([], ["clean-structured-content"]):
            policy = compile_policy(options=options)
            back = self.returned(self.sent(original, policy), policy).ContentSequence[0].ContentSequence[0]
            self.assertEqual(back.ReferencedSOPSequence[0].ReferencedSOPInstanceUID, "1.2.3.5")

    def test_private_uids_come_back(self) -> None:
        policy = compile_policy(private_attributes=["ACME 1.0"])
        original = ct()
        original.private_block(0x0019, "ACME 1.0", create=True).add_new(0x02, "UI", FRAME_OF_REFERENCE)
        back = self.returned(self.sent(original, policy), policy)
        self.assertEqual(back.private_block(0x0019, "ACME 1.0")[0x02].value, FRAME_OF_REFERENCE)

    def test_an_original_is_written_in_the_character_set_of_the_object(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        sent = self.sent(ct(SpecificCharacterSet="ISO_IR 100", PatientID="MÜLLER"), policy)
        sent.SpecificCharacterSet = "ISO_IR 192"
        self.assertEqual(self.returned(sent, policy).PatientID, "MÜLLER")

    def test_it_is_written_in_the_character_set_of_each_place(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        original = ct(SpecificCharacterSet="ISO_IR 100", PatientID="MÜLLER")
        other = data_set(SpecificCharacterSet="ISO_IR 192", PatientID="MÜLLER")
        original.OtherPatientIDsSequence = items(other)
        self.assertEqual(self.returned(self.sent(original, policy), policy), original)

    def test_an_original_that_the_character_set_cannot_say_refuses(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        sent = self.sent(ct(SpecificCharacterSet="ISO_IR 100", PatientID="MÜLLER"), policy)
        sent.SpecificCharacterSet = "ISO_IR 144"
        comment = self.not_returned(sent, policy)
        self.assertIn("character set", comment)
        self.assertNotIn("MÜLLER", comment)

    def test_it_says_no_more_that_it_was_deidentified(self) -> None:
        back = self.returned(self.sent(ct(), BASIC), BASIC)
        for keyword in (
            "PatientIdentityRemoved",
            "DeidentificationMethod",
            "DeidentificationMethodCodeSequence",
            "LongitudinalTemporalInformationModified",
        ):
            self.assertNotIn(keyword, back)

    def test_whose_study_it_is_nobody_here_knows(self) -> None:
        # A source maps values: that of a patient and that of a study have nothing to do with one another there.
        one = self.sent(ct(), BASIC)
        other = self.sent(ct(PatientID="PAT-0815", StudyInstanceUID="1.2.3.9"), BASIC)
        one.StudyInstanceUID = other.StudyInstanceUID
        back = self.returned(one, BASIC)
        self.assertEqual((back.PatientID, back.StudyInstanceUID), ("PAT-4711", "1.2.3.9"))

    def test_the_original_patient_and_instance_are_told(self) -> None:
        self.returned(self.sent(ct(), BASIC), BASIC)
        self.assertEqual((self.back.patient, self.back.sop_instance), ("PAT-4711", INSTANCE))

    def test_what_is_new_in_it_crosses(self) -> None:
        sent = self.sent(ct(), BASIC)
        sent.ImageComments = "measured"
        self.assertEqual(self.returned(sent, BASIC).ImageComments, "measured")

    def test_nothing_of_it_is_guarded(self) -> None:
        self.returned(self.sent(ct(), BASIC), BASIC)
        self.assertIsNone(self.back.search([b"PAT-4711"]))


class Unknown(Returning):
    def test_an_object_of_an_unknown_patient_is_refused(self) -> None:
        for unknown in (REFUSE, NEW):
            sent = self.sent(ct(), BASIC)
            sent.PatientID = "SOMEBODY"
            comment = self.not_returned(sent, unknown=unknown)
            self.assertIn("patient", comment)
            self.assertNotIn("SOMEBODY", comment)

    def test_an_original_is_as_unknown_as_any_other(self) -> None:
        sent = self.sent(ct(), BASIC)
        sent.PatientID = "PAT-4711"
        self.assertIn("patient", self.not_returned(sent))

    def test_an_unknown_study_is_refused(self) -> None:
        for unknown in (REFUSE, NEW):
            sent = self.sent(ct(), BASIC)
            sent.StudyInstanceUID = "1.2.99"
            self.assertIn("study", self.not_returned(sent, unknown=unknown))

    def test_a_new_instance_is_refused_unless_the_policy_accepts_it(self) -> None:
        sent = self.made_anew("1.2.97")
        self.not_returned(sent)
        self.assertEqual(self.returned(sent, BASIC, unknown=NEW).StudyInstanceUID, STUDY)

    def test_a_new_instance_of_no_patient_or_no_study_is_refused(self) -> None:
        for keyword in ("PatientID", "StudyInstanceUID"):
            for value in (None, "", "1.2.840.10008.1.1"):
                sent = self.made_anew("1.2.97")
                if value is None:
                    delattr(sent, keyword)
                else:
                    setattr(sent, keyword, value)
                self.not_returned(sent, unknown=NEW)

    def test_one_of_two_studies_is_refused(self) -> None:
        sent = self.made_anew("1.2.97")
        sent.StudyInstanceUID = [sent.StudyInstanceUID, "1.2.840.10008.1.1"]
        self.assertIn("no known study", self.not_returned(sent, unknown=NEW))

    def test_an_instance_of_the_standard_is_none_that_was_given_out(self) -> None:
        sent = self.sent(ct(), BASIC)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(sent, keyword, "1.2.840.10008.1.1")
        self.assertIn("no known study", self.not_returned(sent))

    def test_an_instance_that_was_given_out_comes_back_without_a_patient_id(self) -> None:
        back = self.returned(self.sent(ct(PatientID=""), BASIC), BASIC)
        self.assertEqual(back.SOPInstanceUID, INSTANCE)

    def test_what_is_no_object_may_name_nobody(self) -> None:
        editor = Reidentification(BASIC, EXPLICIT, KEY, NEW, Purpose.ANSWER)
        answer = encoded(data_set(Modality="CT"), EXPLICIT)
        self.assertEqual(through(editor, answer, EXPLICIT, self.source.originals_of), answer)

    def test_its_uids_become_uids_of_our_own(self) -> None:
        back = self.returned(self.made_anew("1.2.97"), BASIC, unknown=NEW)
        found = (back.SOPInstanceUID, back.SeriesInstanceUID, back.FrameOfReferenceUID)
        self.assertEqual(found, (new_uid(KEY, "1.2.97"), new_uid(KEY, "1.2.98"), new_uid(KEY, "1.2.99")))
        self.assertEqual(self.back.sop_instance, new_uid(KEY, "1.2.97"))

    def test_with_the_instance_of_an_original_it_becomes_another_one(self) -> None:
        back = self.returned(self.made_anew(INSTANCE, SERIES), BASIC, unknown=NEW)
        self.assertEqual((back.SOPInstanceUID, back.SeriesInstanceUID), (new_uid(KEY, INSTANCE), new_uid(KEY, SERIES)))

    def test_references_among_new_instances_hold(self) -> None:
        sent = self.made_anew("1.2.97")
        sent.SourceImageSequence = items(reference("1.2.96"))
        back = self.returned(sent, BASIC, unknown=NEW).SourceImageSequence[0].ReferencedSOPInstanceUID
        self.assertEqual(back, self.returned(self.made_anew("1.2.96"), BASIC, unknown=NEW).SOPInstanceUID)

    def test_a_reference_to_what_was_given_out_is_to_its_original(self) -> None:
        sent = self.made_anew("1.2.97")
        sent.SourceImageSequence = items(reference(self.sent(ct(), BASIC).SOPInstanceUID))
        back = self.returned(sent, BASIC, unknown=NEW)
        self.assertEqual(back.SourceImageSequence[0].ReferencedSOPInstanceUID, INSTANCE)

    def test_one_among_several_is_new(self) -> None:
        sent = self.made_anew("1.2.97")
        sent.FailedSOPInstanceUIDList = [self.sent(ct(), BASIC).SOPInstanceUID, "1.2.840.10008.1.1", "1.2.96"]
        back = self.returned(sent, BASIC, unknown=NEW)
        self.assertEqual(back.FailedSOPInstanceUIDList, [INSTANCE, "1.2.840.10008.1.1", new_uid(KEY, "1.2.96")])

    def test_new_private_uids_become_uids_of_our_own(self) -> None:
        policy = compile_policy(private_attributes=["ACME 1.0"])
        sent = self.sent(ct(), policy)
        sent.private_block(0x0019, "ACME 1.0", create=True).add_new(0x02, "UI", INSTANCE)
        back = self.returned(sent, policy, unknown=NEW)
        self.assertEqual(back.private_block(0x0019, "ACME 1.0")[0x02].value, new_uid(KEY, INSTANCE))

    def test_what_is_no_text_is_no_new_uid(self) -> None:
        sent = encoded(self.made_anew("1.2.97"), EXPLICIT).replace(b"1.2.97", b"1.2.9\xff")
        editor = Reidentification(BASIC, EXPLICIT, KEY, NEW)
        self.assertRaises(OperationRefused, through, editor, sent, EXPLICIT, self.source.originals_of)

    def made_anew(self, instance: str, series: str = "1.2.98") -> Dataset:
        """An object that somebody made of what was given out."""
        sent = self.sent(ct(), BASIC)
        sent.SOPInstanceUID, sent.SeriesInstanceUID, sent.FrameOfReferenceUID = instance, series, "1.2.99"
        return sent

    def test_a_new_accession_number_is_refused(self) -> None:
        policy = compile_policy(pseudonymise=[0x00100020, 0x00080050])
        sent = self.sent(ct(AccessionNumber="ACC-1"), policy)
        sent.AccessionNumber = "ACC-2"
        self.assertIn("accession", self.not_returned(sent, policy, NEW))

    def test_text_beyond_ascii_is_no_pseudonym(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[0x00100020])
        stored = ct(SpecificCharacterSet="ISO_IR 192")
        stored["PatientID"]._value = b"\xfc\xfc"
        self.assertIn("patient", self.not_returned(stored, policy))

    def test_it_passes_towards_those_who_may_see_originals(self) -> None:
        stored = ct()
        back = self.returned(stored, ANY_DATES, unknown=PASS)
        self.assertEqual((back.PatientID, back.StudyInstanceUID, back.StudyDate), ("PAT-4711", STUDY, "20240115"))

    def test_a_value_that_was_never_looked_up_is_not_taken_for_unknown(self) -> None:
        editor = Reidentification(BASIC, EXPLICIT, KEY, PASS)
        rewriter = Rewriter(EXPLICIT, editor)
        rewriter.feed([memoryview(encoded(ct(), EXPLICIT))], True)
        while rewriter.work():
            pass
        self.assertIn("not looked up", str(self.assertRaises(OperationRefused, editor.resolve, {})))

    def test_dates_of_no_patient_are_emptied(self) -> None:
        sent = self.sent(ct(), ANY_DATES)
        del sent.PatientID
        self.assertEqual(self.returned(sent, ANY_DATES).StudyDate, "")

    def test_dates_do_not_move_by_a_dummy_of_the_patient(self) -> None:
        policy = compile_policy(pseudonymise=[], options=["retain-longitudinal-modified-dates"])
        sent = self.sent(ct(), policy)
        self.assertNotEqual(sent.PatientID, "PAT-4711")
        self.assertEqual(self.returned(sent, policy, unknown=NEW).StudyDate, "")


class Kept(Returning):
    def test_a_patient_id_that_is_kept_moves_the_dates_back(self) -> None:
        policy = compile_policy(
            pseudonymise=[], keep=[0x00100020], options=["retain-longitudinal-modified-dates"], guard="off"
        )
        sent = self.sent(ct(), policy, purpose=Purpose.ANSWER)
        self.assertEqual(sent.PatientID, "PAT-4711")
        self.assertEqual(self.returned(sent, policy).StudyDate, "20240115")
