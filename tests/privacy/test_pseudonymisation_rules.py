"""Data sets that leave for the side of the pseudonyms: what is protected in other ways."""

from __future__ import annotations

from pydicom.dataset import Dataset

from dimseproxy.privacy.dates import shift, shift_days
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.method import method_attributes
from dimseproxy.privacy.policy import compile_policy
from dimseproxy.privacy.pseudonymisation import Purpose
from dimseproxy.privacy.values import MAX_TEXT
from tests.privacy.editing import ENCODINGS, IMPLICIT, KEY, plain, pseudonym_of
from tests.privacy.objects import (
    ANY_DATES,
    BASIC,
    CT,
    PATIENT_ID,
    STUDY,
    Editing,
    ct,
    data_set,
    items,
    reference,
)


class Protected(Editing):
    def test_what_the_profile_removes_or_empties_is_gone(self) -> None:
        original = ct(
            OtherPatientIDs=["A-1", "A-2"],
            PatientAddress="Am Markt 1",
            RequestAttributesSequence=items(data_set(RequestedProcedureID="RP-1")),
            OriginalAttributesSequence=items(data_set(ModifiedAttributesSequence=items(ct()))),
            ReferencedPatientSequence=items(reference("1.2.3.9")),
        )
        left = self.sent(original, BASIC)
        for keyword in ("OtherPatientIDs", "PatientAddress", "RequestAttributesSequence", "OriginalAttributesSequence"):
            self.assertNotIn(keyword, left)
        self.assertNotIn("ReferencedPatientSequence", left)
        self.assertEqual((str(left.PatientName), left.PatientBirthDate), ("", ""))

    def test_an_emptied_sequence_has_no_items(self) -> None:
        original = ct(AcquisitionContextSequence=items(reference(STUDY)))
        for encoding in ENCODINGS:
            left = self.sent(original, BASIC, encoding)
            self.assertEqual(len(left.AcquisitionContextSequence), 0)

    def test_the_study_of_an_object_is_not_referenced_by_nobody(self) -> None:
        for encoding in ENCODINGS:
            left = self.sent(ct(ReferencedStudySequence=items(reference(STUDY))), BASIC, encoding)
            self.assertNotIn("ReferencedStudySequence", left)

    def test_where_it_must_be_there_it_is_empty(self) -> None:
        request = data_set(ReferencedStudySequence=items(reference(STUDY)))
        left = self.sent(ct(ReferencedRequestSequence=items(request)), BASIC)
        self.assertEqual(len(left.ReferencedRequestSequence[0].ReferencedStudySequence), 0)
        answer = self.sent(ct(ReferencedStudySequence=items(reference(STUDY))), BASIC, purpose=Purpose.ANSWER)
        self.assertEqual(len(answer.ReferencedStudySequence), 0)

    def test_an_overlay_goes_with_all_that_describes_it(self) -> None:
        original = ct()
        for number, vr, value in ((0x10, "US", 2), (0x40, "CS", "G"), (0x3000, "OW", b"\1\1"), (0x4000, "LT", "x")):
            original.add_new(0x60020000 | number, vr, value)
        for policy in (BASIC, compile_policy(profile="none", remove=[0x60023000])):
            self.assertEqual(self.sent(original, policy).group_dataset(0x6002), Dataset())

    def test_a_drawing_is_one_of_dummies(self) -> None:
        drawn = data_set(
            GraphicDimensions=2, NumberOfGraphicPoints=3, GraphicData=[1.5] * 6, GraphicType="ELLIPSE",
            GraphicAnnotationUnits="PIXEL", CompoundGraphicType="ARROW",
        )  # fmt: skip
        text = data_set(AnchorPoint=[1.5, 2.5], AnchorPointVisibility="Y", UnformattedTextValue="Meier")
        annotation = data_set(GraphicLayer="LAYER", GraphicObjectSequence=items(drawn), TextObjectSequence=items(text))
        for encoding in ENCODINGS:
            left = self.sent(ct(GraphicAnnotationSequence=items(annotation)), BASIC, encoding)
            (annotated,) = left.GraphicAnnotationSequence
            (figure,), (words,) = annotated.GraphicObjectSequence, annotated.TextObjectSequence
            self.assertEqual((figure.GraphicType, figure.NumberOfGraphicPoints), ("POLYLINE", 6))
            self.assertEqual((figure.GraphicData, figure.CompoundGraphicType), ([0.0] * 12, "MULTILINE"))
            self.assertEqual((words.AnchorPoint, words.AnchorPointVisibility), ([0.0, 0.0], "N"))
            self.assertEqual((annotated.GraphicLayer, figure.GraphicDimensions), ("LAYER", 2))

    def test_a_dummy_is_valid_and_says_nothing(self) -> None:
        left = self.sent(ct(VerifyingOrganization="Clinic", AcquisitionDateTime="20240115120000"), BASIC)
        self.assertEqual((left.VerifyingOrganization, left.AcquisitionDateTime), ("ANONYMIZED", "19000101000000"))

    def test_a_dummy_of_one_encoding_is_none_of_another(self) -> None:
        # In any order: what is written is the same for all data sets of an encoding, and for no other.
        for encoding in (*ENCODINGS, *reversed(ENCODINGS)):
            for purpose in Purpose:
                left = self.sent(ct(VerifyingOrganization="Clinic", PatientSex="F"), BASIC, encoding, purpose=purpose)
                self.assertEqual((left.VerifyingOrganization, left.PatientSex), ("ANONYMIZED", ""))

    def test_thousands_of_dates_are_emptied(self) -> None:
        original = ct()
        original.add_new(0x00080022, "DA", ["20240115"] * 7500)
        self.assertEqual(self.sent(original, ANY_DATES, IMPLICIT).AcquisitionDate, "")

    def test_a_text_that_is_too_long_to_be_cleaned_goes(self) -> None:
        policy = compile_policy(options=["clean-descriptors"])
        for length, stays in ((MAX_TEXT, True), (MAX_TEXT + 2, False)):
            original = ct(ImageComments="CT" + " " * (length - 4) + "CT")
            self.assertEqual("ImageComments" in self.sent(original, policy, IMPLICIT), stays)

    def test_a_date_under_a_vr_that_is_none_of_a_date_does_not_leave(self) -> None:
        for vr in ("TM", "LO"):
            original = ct()
            original["StudyDate"].VR = vr
            self.assertEqual(self.sent(original, ANY_DATES)["StudyDate"].value, "", vr)
            self.assertNotIn(b"20240115", self.left)

    def test_a_date_under_the_vr_of_another_date_moves_as_the_dictionary_says(self) -> None:
        moved = shift("DA", "20240115", shift_days(KEY, "PAT-4711", -365, -1))
        original = ct()
        original["StudyDate"].VR = "DT"
        self.assertEqual(self.sent(original, ANY_DATES)["StudyDate"].value, moved)

    def test_an_object_whose_pixel_data_are_elsewhere_is_refused(self) -> None:
        original = ct(PixelDataProviderURL=f"https://pacs.example.org/{STUDY}")
        self.assertIn("elsewhere", self.refused(original, BASIC))

    def test_it_passes_where_the_policy_keeps_the_address(self) -> None:
        policy = compile_policy(keep=[0x00287FE0])
        self.assertIn("PixelDataProviderURL", self.sent(ct(PixelDataProviderURL="https://pacs.example.org"), policy))

    def test_a_replacement_is_written(self) -> None:
        policy = compile_policy(replace={0x00080080: "Klinik Süd"}, guard="off")
        left = self.sent(ct(SpecificCharacterSet="ISO_IR 192", InstitutionName="Charité"), policy)
        self.assertEqual(left.InstitutionName, "Klinik Süd")

    def test_a_replacement_that_the_character_set_cannot_say_refuses(self) -> None:
        policy = compile_policy(replace={0x00080080: "Klinik Süd"})
        self.assertIn("replacement", self.refused(ct(InstitutionName="Clinic"), policy))

    def test_an_encapsulated_document_of_any_length_is_a_dummy(self) -> None:
        policy = compile_policy(burned_in="pass")
        for length in (10, 3_000_000):
            original = ct(
                SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", EncapsulatedDocument=b"%PDF Meier" * (length // 10)
            )
            self.assertEqual(self.sent(original, policy).EncapsulatedDocument, b"\0\0")

    def test_what_follows_the_pixel_data_is_edited_too(self) -> None:
        original = ct(PixelData=bytes(200_000), DigitalSignaturesSequence=items(data_set(MACIDNumber=1)))
        original.add_new(0xFFFCFFFC, "OB", b"PAT-4711")
        for encoding in ENCODINGS:
            left = self.sent(original, BASIC, encoding)
            self.assertEqual(left.PixelData, bytes(200_000))
            self.assertNotIn("DigitalSignaturesSequence", left)
            self.assertNotIn(0xFFFCFFFC, left)
            self.assertNotIn(b"PAT-4711", plain(self.left, encoding))

    def test_profile_none_keeps_what_no_list_names(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[PATIENT_ID], remove=[0x00101040])
        left = self.sent(ct(PatientAddress="Am Markt 1"), policy)
        self.assertEqual(
            (left.PatientBirthDate, left.StudyInstanceUID, "PatientAddress" in left), ("19700131", STUDY, False)
        )

    def test_what_an_object_must_have_stays_without_a_value(self) -> None:
        left = self.sent(ct(), compile_policy(profile="none", remove=[0x00100010]))
        self.assertEqual(left["PatientName"].value, "")


class Method(Editing):
    def test_an_object_says_how_it_was_deidentified_in_every_encoding(self) -> None:
        policy = compile_policy(options=["retain-longitudinal-modified-dates", "clean-descriptors"])
        for encoding in ENCODINGS:
            left = self.sent(ct(PatientIdentityRemoved="NO", DeidentificationMethod="other"), policy, encoding)
            self.assertEqual(left.PatientIdentityRemoved, "YES")
            self.assertEqual(left.DeidentificationMethod, policy.method_text)
            self.assertEqual(left.LongitudinalTemporalInformationModified, "MODIFIED")
            codes = [
                (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
                for item in left.DeidentificationMethodCodeSequence
            ]
            self.assertEqual(codes, [(code.value, "DCM", code.meaning) for code in policy.method_codes])

    def test_every_value_of_it_has_an_even_length(self) -> None:
        for encoding in ENCODINGS:
            for _, element in method_attributes(BASIC, encoding):
                self.assertEqual(len(element) % 2, 0)

    def test_an_answer_does_not(self) -> None:
        self.assertNotIn("PatientIdentityRemoved", self.sent(ct(), BASIC, purpose=Purpose.ANSWER))

    def test_nor_does_an_object_that_follows_no_profile(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[PATIENT_ID])
        self.assertNotIn("PatientIdentityRemoved", self.sent(ct(), policy))


class Dates(Editing):
    def test_dates_before_and_behind_the_patient_move_alike(self) -> None:
        days = shift_days(KEY, "PAT-4711", -365, -1)
        original = ct(
            StudyDate="20240115", PerformedProcedureStepStartDate="20240116", AcquisitionDateTime="202401171200"
        )
        left = self.sent(original, ANY_DATES)
        found = (left.StudyDate, left.PerformedProcedureStepStartDate, left.AcquisitionDateTime)
        self.assertEqual(
            found, (shift("DA", "20240115", days), shift("DA", "20240116", days), shift("DT", "202401171200", days))
        )

    def test_a_date_that_cannot_be_read_is_taken_out(self) -> None:
        original = ct()
        original["StudyDate"]._value = "Jan 15th"
        self.assertEqual(self.sent(original, ANY_DATES).StudyDate, "")

    def test_without_a_patient_they_are_taken_out(self) -> None:
        original = ct()
        del original.PatientID
        self.assertEqual(self.sent(original, ANY_DATES).StudyDate, "")

    def test_the_patient_of_an_item_is_another(self) -> None:
        original = data_set(
            StudyDate="20240115", ReferencedImageSequence=items(data_set(PatientID="PAT-4711")), StudyInstanceUID=STUDY
        )
        self.assertEqual(self.sent(original, ANY_DATES).StudyDate, "")

    def test_an_age_is_worked_out_from_the_dates_that_go(self) -> None:
        policy = compile_policy(age="derive")
        left = self.sent(ct(PatientAge="099Y"), policy)
        self.assertEqual((left.PatientAge, left.PatientBirthDate), ("053Y", ""))

    def test_without_dates_the_stated_age_is_capped(self) -> None:
        policy = compile_policy(age="derive")
        self.assertEqual(self.sent(ct(PatientAge="099Y", PatientBirthDate=""), policy).PatientAge, "090Y")


class Content(Editing):
    def report(self) -> Dataset:
        code = data_set(CodeValue="121070", CodingSchemeDesignator="DCM", CodeMeaning="Findings")
        text = data_set(
            RelationshipType="CONTAINS",
            ValueType="TEXT",
            ConceptNameCodeSequence=items(code),
            TextValue="CT Thorax Meier",
        )
        person = data_set(RelationshipType="HAS OBS CONTEXT", ValueType="PNAME", PersonName="Meier^Erika")
        image = data_set(
            RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=items(reference("1.2.3.5"))
        )
        container = data_set(
            RelationshipType="CONTAINS", ValueType="CONTAINER", ContentSequence=items(text, person, image)
        )
        return ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.22", ValueType="CONTAINER", ContentSequence=items(container))

    def test_under_the_profile_alone_every_value_is_a_dummy(self) -> None:
        for encoding in ENCODINGS:
            found = self.sent(self.report(), BASIC, encoding).ContentSequence[0].ContentSequence
            code = found[0].ConceptNameCodeSequence[0]
            self.assertEqual((found[0].TextValue, code.CodeMeaning), ("ANONYMIZED", "ANONYMIZED"))
            self.assertNotIn(b"Meier", plain(self.left, encoding))

    def test_the_form_of_a_report_stays(self) -> None:
        found = self.sent(self.report(), BASIC).ContentSequence[0].ContentSequence
        self.assertEqual([item.ValueType for item in found], ["TEXT", "PNAME", "IMAGE"])

    def test_references_in_it_are_mapped(self) -> None:
        for options in ([], ["clean-structured-content"]):
            found = self.sent(self.report(), compile_policy(options=options)).ContentSequence[0].ContentSequence
            image = found[2].ReferencedSOPSequence[0]
            self.assertEqual(image.ReferencedSOPClassUID, CT)
            self.assertEqual(image.ReferencedSOPInstanceUID, pseudonym_of(Identity(Kind.INSTANCE, "1.2.3.5")))

    def test_cleaned_content_keeps_codes_and_known_words(self) -> None:
        left = self.sent(self.report(), compile_policy(options=["clean-structured-content"]))
        found = left.ContentSequence[0].ContentSequence
        self.assertEqual(found[0].ConceptNameCodeSequence[0].CodeMeaning, "Findings")
        self.assertEqual(found[0].TextValue, "CT Thorax")
        self.assertNotIn(b"Meier", self.left)

    def test_what_a_code_means_is_cleaned_and_never_empty(self) -> None:
        original = self.report()
        for item, meaning in zip(
            original.ContentSequence[0].ContentSequence, ("Meier Findings", "Meier"), strict=False
        ):
            code = data_set(CodeValue="T-1", CodingSchemeDesignator="99MEIER", CodeMeaning=meaning)
            item.ConceptNameCodeSequence = items(code)
        left = self.sent(original, compile_policy(options=["clean-structured-content"]))
        codes = [item.ConceptNameCodeSequence[0] for item in left.ContentSequence[0].ContentSequence[:2]]
        self.assertEqual([code.CodeMeaning for code in codes], ["Findings", "ANONYMIZED"])
        self.assertEqual([(code.CodeValue, code.CodingSchemeDesignator) for code in codes], [("T-1", "99MEIER")] * 2)

    def test_nothing_that_cannot_be_cleaned_stays_in_cleaned_content(self) -> None:
        original = self.report()
        original.ContentSequence[0].add_new(0x0008010E, "UR", "https://example.org/Meier")
        original.ContentSequence[0].add_new(0x00420011, "OB", b"%PDF Meier")
        left = self.sent(original, compile_policy(options=["clean-structured-content"]))
        self.assertNotIn(b"%PDF", self.left)
        self.assertNotIn("https", str(left))

    def test_a_list_beats_the_profile_there_too(self) -> None:
        for options in ([], ["clean-structured-content"]):
            left = self.sent(self.report(), compile_policy(options=options, keep=[0x0040A160]))
            self.assertEqual(left.ContentSequence[0].ContentSequence[0].TextValue, "CT Thorax Meier")

    def test_a_description_is_cleaned(self) -> None:
        policy = compile_policy(options=["clean-descriptors"])
        left = self.sent(ct(StudyDescription="CT Thorax Meier", SeriesDescription="Meier"), policy)
        self.assertEqual(left.StudyDescription, "CT Thorax")
        self.assertNotIn("Meier", str(left.get("SeriesDescription")))
