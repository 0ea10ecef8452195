"""What a policy says of each attribute, and of itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.sr.codedict import codes
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.identity import Kind
from dimseproxy.privacy.options import BASIC_PROFILE, NOT_CLAIMED, OPTIONS
from dimseproxy.privacy.policy import Action, Policy, Rule, compile_policy
from dimseproxy.privacy.table import ROWS, public_tags, vr_of
from dimseproxy.privacy.vocabulary import VOCABULARY

MODIFIED = "retain-longitudinal-modified-dates"
FULL = "retain-longitudinal-full-dates"


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return found


def action(policy: Policy, keyword: str) -> Action:
    return policy.rule(tag(keyword)).action


class CaseOfPolicy(TestCase):
    """Compares the actions of a policy."""

    def assert_actions(self, policy: Policy, **expected: Action) -> None:
        self.assertEqual({keyword: action(policy, keyword) for keyword in expected}, expected)


class BasicProfileTests(CaseOfPolicy):
    """Without lists and options."""

    def setUp(self) -> None:
        self.policy = compile_policy()

    def test_the_letters_of_the_table(self) -> None:
        self.assert_actions(
            self.policy,
            PatientName=Action.EMPTY,
            PatientAddress=Action.REMOVE,
            ClinicalTrialSubjectID=Action.DUMMY,
            FrameOfReferenceUID=Action.UID,
            StudyDate=Action.EMPTY,
        )

    def test_of_alternatives_the_one_that_always_conforms(self) -> None:
        self.assert_actions(
            self.policy,
            AcquisitionDate=Action.EMPTY,  # X/Z
            SeriesDate=Action.DUMMY,  # X/D
            ContentDate=Action.DUMMY,  # Z/D
            AcquisitionDateTime=Action.DUMMY,  # X/Z/D
            ReferencedImageSequence=Action.KEEP,  # X/Z/U*: descended into
        )

    def test_every_row_is_protected(self) -> None:
        crossing = {name for number in ROWS if number >> 16 >= 8 and self.policy.rule(number).action is Action.KEEP
                    for name in [ROWS[number].name]}  # fmt: skip
        # The items of the two sequences are protected; the Transaction UID correlates the messages of two systems.
        self.assertEqual(crossing, {"Referenced Image Sequence", "Source Image Sequence", "Transaction UID"})

    def test_an_attribute_that_the_table_does_not_list_crosses(self) -> None:
        self.assert_actions(self.policy, Rows=Action.KEEP, Modality=Action.KEEP, SliceThickness=Action.KEEP)

    def test_an_attribute_that_nobody_knows_is_removed(self) -> None:
        self.assertIs(self.policy.rule(0x00189999).action, Action.REMOVE)

    def test_curves_and_overlays_are_removed_in_every_group(self) -> None:
        for number in (0x50000010, 0x50FE3000, 0x60003000, 0x60FE4000):
            self.assertIs(self.policy.rule(number).action, Action.REMOVE)

    def test_so_is_what_describes_them(self) -> None:
        for number in (0x50020005, 0x60020010, 0x60FE1500):
            self.assertIs(self.policy.rule(number).action, Action.REMOVE)

    def test_what_describes_them_stays_with_them(self) -> None:
        policy = compile_policy(keep=[0x60023000])
        kept = [policy.rule(number).action for number in (0x60020010, 0x60023000, 0x60040010)]
        self.assertEqual(kept, [Action.KEEP, Action.KEEP, Action.REMOVE])

    def test_a_presentation_state_stays_valid(self) -> None:
        dates = {"PresentationCreationDate": Action.DUMMY, "PresentationCreationTime": Action.DUMMY}
        self.assert_actions(self.policy, **dates)
        shifting = compile_policy(options=[MODIFIED])
        self.assertEqual(
            [(rule.action, rule.fallback) for rule in [shifting.rule(tag("PresentationCreationDate"))]],
            [(Action.SHIFT, Action.DUMMY)],
        )

    def test_group_lengths_are_removed(self) -> None:
        for number in (0x00080000, 0x00280000, 0x60000000):
            self.assertIs(self.policy.rule(number).action, Action.REMOVE)

    def test_what_is_no_part_of_a_data_set_is_removed(self) -> None:
        for number in (0x00000100, 0x00001000, 0x00020003, 0x00020016):
            self.assertIs(self.policy.rule(number).action, Action.REMOVE)

    def test_uids_of_classes_cross(self) -> None:
        self.assert_actions(
            self.policy, SOPClassUID=Action.KEEP, ReferencedSOPClassUID=Action.KEEP, CodingSchemeUID=Action.KEEP,
            ContextUID=Action.KEEP, MappingResourceUID=Action.KEEP, TransactionUID=Action.KEEP,
        )  # fmt: skip

    def test_a_uid_that_the_table_forgot_is_mapped(self) -> None:
        self.assert_actions(
            self.policy, VolumeFrameOfReferenceUID=Action.UID, MultiFrameSourceSOPInstanceUID=Action.UID
        )

    def test_a_dummy_uid_is_a_pseudonym(self) -> None:
        self.assert_actions(self.policy, AnnotationGroupUID=Action.UID)

    def test_names_and_dates_that_the_table_forgot_are_emptied(self) -> None:
        self.assert_actions(self.policy, SecondaryReviewerName=Action.EMPTY, StudyUpdateDateTime=Action.EMPTY)

    def test_no_name_and_no_date_crosses(self) -> None:
        identifying = [number for number in public_tags() if number >> 16 >= 8 and vr_of(number) in ("PN", "DA", "DT")]
        self.assertEqual([number for number in identifying if self.policy.rule(number).action is Action.KEEP], [])

    def test_each_rule_says_where_it_comes_from(self) -> None:
        self.assertEqual(self.policy.rule(tag("AcquisitionDate")).why, "Table E.1-1: X/Z")
        self.assertEqual([number for number in public_tags() if not self.policy.rule(number).why], [])

    def test_a_rule_is_the_same_each_time(self) -> None:
        self.assertIs(self.policy.rule(0x00100010), self.policy.rule(0x00100010))

    @given(st.integers(0, 0xFFFFFFFF))
    def test_every_tag_has_a_rule(self, number: int) -> None:
        self.assertIsInstance(compile_policy(options=OPTIONS.keys() - {FULL}).rule(number), Rule)

    def test_tags_that_nobody_knows_are_not_remembered(self) -> None:
        before = len(self.policy._rules)
        for number in range(0x00189000, 0x0018F000, 2):
            self.policy.rule(number)
        for number in range(0x50000010, 0x50FF0010, 0x10000):
            self.policy.rule(number)
        known = sum(vr_of(number) is not None for number in range(0x00189000, 0x0018F000, 2))
        self.assertEqual(len(self.policy._rules) - before, known)


class OptionTests(CaseOfPolicy):
    """PS3.15 E.3."""

    def test_what_identifies_though_the_table_lacks_it_is_protected(self) -> None:
        self.assert_actions(
            compile_policy(options=OPTIONS),
            PatientBirthDateInAlternativeCalendar=Action.REMOVE, PatientDeathDateInAlternativeCalendar=Action.REMOVE,
            PatientAlternativeCalendar=Action.REMOVE, ContactDisplayName=Action.REMOVE, ContactURI=Action.REMOVE,
            BreedRegistrationNumber=Action.DUMMY, PlacerOrderNumberProcedure=Action.REMOVE,
            FillerOrderNumberProcedure=Action.REMOVE, PlacerOrderNumberImagingServiceRequestRetired=Action.REMOVE,
            FillerOrderNumberImagingServiceRequestRetired=Action.REMOVE, OwnerID=Action.REMOVE,
            CommentsOnTheScheduledProcedureStep=Action.REMOVE, HL7InstanceIdentifier=Action.DUMMY,
        )  # fmt: skip

    def test_urls_are_removed_unless_they_are_of_codes(self) -> None:
        self.assert_actions(
            compile_policy(),
            RetrieveURL=Action.REMOVE, RetrieveURI=Action.REMOVE, StorageURL=Action.REMOVE,
            StoredInstanceBaseURI=Action.REMOVE, FolderAccessURI=Action.REMOVE, FileAccessURI=Action.REMOVE,
            FilenameInContainer=Action.REMOVE, UniformResourceLocatorTrial=Action.REMOVE,
            CodingSchemeURL=Action.KEEP, URNCodeValue=Action.KEEP,
        )  # fmt: skip

    def test_device_identity(self) -> None:
        self.assert_actions(
            compile_policy(options=["retain-device-identity"]),
            DeviceSerialNumber=Action.KEEP, StationName=Action.KEEP, DeviceUID=Action.KEEP,
            StationAETitle=Action.REMOVE, InstitutionName=Action.DUMMY,
        )  # fmt: skip

    def test_institution_identity(self) -> None:
        self.assert_actions(
            compile_policy(options=["retain-institution-identity"]),
            InstitutionName=Action.KEEP, InstitutionAddress=Action.KEEP, StationName=Action.DUMMY,
        )  # fmt: skip

    def test_patient_characteristics(self) -> None:
        self.assert_actions(
            compile_policy(options=["retain-patient-characteristics"]),
            PatientSex=Action.KEEP, PatientAge=Action.KEEP, PatientWeight=Action.KEEP, Allergies=Action.CLEAN,
            PatientBirthDate=Action.EMPTY,
        )  # fmt: skip

    def test_uids(self) -> None:
        policy = compile_policy(options=["retain-uids"])
        self.assert_actions(
            policy, SOPInstanceUID=Action.KEEP, StudyInstanceUID=Action.KEEP, ReferencedSOPInstanceUID=Action.KEEP,
            FrameOfReferenceUID=Action.KEEP, VolumeFrameOfReferenceUID=Action.KEEP, ReferencedStudySequence=Action.KEEP,
            PatientID=Action.PSEUDONYM,
        )  # fmt: skip
        self.assertEqual(policy.mapped_kinds, {Kind.PATIENT})

    def test_full_dates(self) -> None:
        self.assert_actions(
            compile_policy(options=[FULL]),
            StudyDate=Action.KEEP, StudyTime=Action.KEEP, AcquisitionDateTime=Action.KEEP,
            TimezoneOffsetFromUTC=Action.KEEP, PatientBirthDate=Action.EMPTY, StudyUpdateDateTime=Action.KEEP,
        )  # fmt: skip

    def test_modified_dates(self) -> None:
        self.assert_actions(
            compile_policy(options=[MODIFIED]),
            StudyDate=Action.SHIFT, AcquisitionDateTime=Action.SHIFT, StudyTime=Action.KEEP,
            TimezoneOffsetFromUTC=Action.KEEP, PatientBirthDate=Action.EMPTY, StudyUpdateDateTime=Action.SHIFT,
        )  # fmt: skip

    def test_a_date_that_cannot_be_shifted_is_protected_by_the_profile(self) -> None:
        policy = compile_policy(options=[MODIFIED])
        self.assertIs(policy.rule(tag("StudyDate")).fallback, Action.EMPTY)
        self.assertIs(policy.rule(tag("SeriesDate")).fallback, Action.DUMMY)
        self.assertIs(policy.rule(tag("FrameOriginTimestamp")).action, Action.DUMMY)
        self.assertIs(policy.rule(tag("CertifiedTimestamp")).action, Action.REMOVE)

    def test_the_uid_of_a_device_is_mapped_again_where_a_list_says_so(self) -> None:
        policy = compile_policy(options=["retain-device-identity"], pseudonymise=[tag("FrameOfReferenceUID")])
        self.assert_actions(policy, DeviceUID=Action.UID)

    def test_a_date_of_a_device_is_shifted_like_the_others(self) -> None:
        kept = compile_policy(options=["retain-device-identity"])
        self.assert_actions(kept, DateOfLastCalibration=Action.KEEP)
        shifted = compile_policy(options=["retain-device-identity", MODIFIED])
        self.assert_actions(shifted, DateOfLastCalibration=Action.SHIFT)

    def test_descriptors(self) -> None:
        policy = compile_policy(options=["clean-descriptors"])
        self.assert_actions(
            policy, StudyDescription=Action.CLEAN, ImageComments=Action.CLEAN, RequestAttributesSequence=Action.CLEAN,
            DeviceSettingDescription=Action.REMOVE, PatientName=Action.EMPTY,
        )  # fmt: skip
        self.assertIs(policy.rule(tag("StudyDescription")).fallback, Action.REMOVE)

    def test_structured_content(self) -> None:
        self.assert_actions(compile_policy(), ContentSequence=Action.DUMMY, AcquisitionContextSequence=Action.EMPTY)
        policy = compile_policy(options=["clean-structured-content"])
        self.assert_actions(policy, ContentSequence=Action.CLEAN, AcquisitionContextSequence=Action.CLEAN)

    def test_graphics(self) -> None:
        policy = compile_policy(options=["clean-graphics"])
        self.assert_actions(policy, GraphicAnnotationSequence=Action.CLEAN)
        actions = [policy.rule(number).action for number in (0x60003000, 0x60024000, 0x50003000, 0x50000022)]
        # A drawing has no words to look at; and without it nothing stays of its group.
        self.assertEqual(actions, [Action.REMOVE] * 4)
        drawn = compile_policy(options=["clean-graphics"], keep=[0x60023000])
        self.assertIs(drawn.rule(0x60024000).action, Action.CLEAN)

    def test_to_keep_goes_before_to_clean(self) -> None:
        for options in (["retain-patient-characteristics", "clean-descriptors"], ["clean-descriptors"]):
            self.assert_actions(compile_policy(options=options), Allergies=Action.CLEAN)
        self.assert_actions(
            compile_policy(options=["retain-device-identity", "clean-descriptors"]), SourceManufacturer=Action.KEEP
        )

    @given(st.sets(st.sampled_from(sorted(OPTIONS))), st.sampled_from(sorted(ROWS)))
    def test_an_option_touches_only_its_rows(self, options: set[str], number: int) -> None:
        if options.isdisjoint(ROWS[number].options):
            self.assertEqual(
                compile_policy(options=options, pseudonymise=[]).rule(number),
                compile_policy(pseudonymise=[]).rule(number),
            )


class ListTests(CaseOfPolicy):
    """The lists of a policy beat its profile."""

    def test_each_list(self) -> None:
        policy = compile_policy(
            pseudonymise=[tag("AccessionNumber"), tag("AdmissionID")],
            remove=[tag("Modality")],
            keep=[tag("PatientSex"), 0x00189999],
            replace={tag("PatientName"): "A^B"},
        )
        self.assert_actions(
            policy, AccessionNumber=Action.PSEUDONYM, AdmissionID=Action.PSEUDONYM, Modality=Action.REMOVE,
            PatientSex=Action.KEEP, PatientName=Action.REPLACE,
        )  # fmt: skip
        self.assertEqual(policy.rule(tag("PatientName")).text, "A^B")
        self.assertIs(policy.rule(0x00189999).action, Action.KEEP)

    def test_lists_beat_options(self) -> None:
        policy = compile_policy(options=[FULL], remove=[tag("StudyDate"), tag("SeriesTime")])
        self.assert_actions(policy, StudyDate=Action.EMPTY, SeriesTime=Action.REMOVE, SeriesDate=Action.KEEP)

    def test_what_is_mapped_where_nothing_is_said(self) -> None:
        policy = compile_policy()
        self.assert_actions(
            policy, PatientID=Action.PSEUDONYM, StudyInstanceUID=Action.UID, AccessionNumber=Action.EMPTY
        )
        self.assertEqual(policy.mapped_kinds, {Kind.PATIENT, Kind.STUDY, Kind.SERIES, Kind.INSTANCE, Kind.UID})

    def test_an_empty_list_is_followed(self) -> None:
        policy = compile_policy(pseudonymise=[])
        self.assert_actions(policy, PatientID=Action.DUMMY, StudyInstanceUID=Action.UID)
        self.assertFalse(policy.maps(Kind.PATIENT))

    def test_another_list_takes_an_attribute_out_of_the_default(self) -> None:
        policy = compile_policy(replace={tag("PatientID"): "ANON"})
        self.assert_actions(policy, PatientID=Action.REPLACE, SOPInstanceUID=Action.UID)
        self.assertFalse(policy.maps(Kind.PATIENT))

    def test_should_an_attribute_be_in_two_lists_it_is_removed(self) -> None:
        number = tag("PatientAddress")
        policy = compile_policy(keep=[number], pseudonymise=[number], replace={number: "x"}, remove=[number])
        self.assertIs(policy.rule(number).action, Action.REMOVE)

    def test_the_age_is_removed_or_derived(self) -> None:
        retained = ["retain-patient-characteristics"]
        self.assert_actions(compile_policy(options=retained, age="remove"), PatientAge=Action.REMOVE)
        self.assert_actions(compile_policy(age="derive"), PatientAge=Action.AGE)
        self.assert_actions(compile_policy(age="derive", keep=[tag("PatientAge")]), PatientAge=Action.KEEP)


class WithoutProfileTests(CaseOfPolicy):
    """`profile: none`: only what the lists say, and what follows from it."""

    def test_other_attributes_cross(self) -> None:
        policy = compile_policy(profile="none", remove=[tag("PatientAddress")])
        self.assert_actions(policy, PatientAddress=Action.REMOVE, PatientBirthDate=Action.KEEP, DeviceUID=Action.KEEP)
        self.assertIs(policy.rule(0x00189999).action, Action.KEEP)

    def test_what_every_object_must_have_is_emptied_instead_of_removed(self) -> None:
        keywords = ("PatientName", "PatientBirthDate", "AccessionNumber", "SeriesNumber", "Manufacturer", "PatientAge")
        for profile in ("none", "basic"):
            policy = compile_policy(profile=profile, remove=[tag(keyword) for keyword in keywords])
            found = [action(policy, keyword) for keyword in keywords]
            self.assertEqual(found, [Action.EMPTY] * 5 + [Action.REMOVE])

    def test_overlay_data_take_what_describes_them_along(self) -> None:
        policy = compile_policy(profile="none", remove=[0x60003000])
        actions = [policy.rule(number).action for number in (0x60000010, 0x60020010)]
        self.assertEqual(actions, [Action.REMOVE, Action.KEEP])

    def test_a_kind_is_mapped_wherever_it_is(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[tag("SOPInstanceUID"), tag("PatientID")])
        self.assert_actions(
            policy, ReferencedSOPInstanceUID=Action.UID, FailedSOPInstanceUIDList=Action.UID,
            OtherPatientIDs=Action.PSEUDONYM, SeriesInstanceUID=Action.KEEP, FrameOfReferenceUID=Action.KEEP,
        )  # fmt: skip

    def test_a_study_is_mapped_where_it_is_referenced_as_an_instance(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[tag("StudyInstanceUID")])
        self.assert_actions(policy, ReferencedSOPInstanceUID=Action.UID, SOPInstanceUID=Action.KEEP)
        self.assertEqual(policy.mapped_kinds, {Kind.STUDY})

    def test_other_uids_are_mapped_together(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[tag("FrameOfReferenceUID")])
        self.assert_actions(
            policy, ReferencedFrameOfReferenceUID=Action.UID, DeviceUID=Action.UID, SOPClassUID=Action.KEEP,
            CodingSchemeUID=Action.KEEP, TransactionUID=Action.KEEP, SOPInstanceUID=Action.KEEP,
        )  # fmt: skip

    def test_other_texts_are_mapped_alone(self) -> None:
        policy = compile_policy(profile="none", pseudonymise=[tag("AdmissionID")])
        self.assert_actions(policy, AdmissionID=Action.PSEUDONYM, PatientName=Action.KEEP, StudyID=Action.KEEP)
        self.assertTrue(policy.maps(Kind.OTHER))

    def test_a_kind_that_the_profile_removes_stays_removed(self) -> None:
        self.assert_actions(compile_policy(), OtherPatientIDs=Action.REMOVE)

    def test_a_retained_reference_to_a_mapped_study_is_mapped(self) -> None:
        policy = compile_policy(options=["retain-uids"], pseudonymise=[tag("StudyInstanceUID")])
        self.assert_actions(policy, ReferencedSOPInstanceUID=Action.UID, SOPInstanceUID=Action.KEEP)

    def test_private_attributes_are_removed_all_the_same(self) -> None:
        self.assertIs(compile_policy(profile="none").private_rule("ACME", 0x00091001).action, Action.REMOVE)

    def test_nothing_is_claimed(self) -> None:
        policy = compile_policy(profile="none")
        self.assertFalse(policy.writes_method)
        self.assertEqual(policy.method_codes, ())


class PrivateTests(TestCase):
    """Private attributes."""

    def actions(self, policy: Policy, *asked: tuple[str, int]) -> list[Action]:
        return [policy.private_rule(creator, number).action for creator, number in asked]

    SIEMENS = ("SIEMENS MR HEADER", 0x0019100C)
    SIEMENS_IN_ANOTHER_BLOCK = ("SIEMENS MR HEADER", 0x0019F10C)
    SIEMENS_OTHER = ("SIEMENS MR HEADER", 0x00191008)
    ACME = ("ACME 1.1", 0x00091001)
    NOBODY = ("", 0x0019100C)

    def test_none_crosses_unless_said(self) -> None:
        policy = compile_policy()
        self.assertFalse(policy.keeps_private)
        self.assertEqual(self.actions(policy, self.SIEMENS, self.ACME), [Action.REMOVE] * 2)
        self.assertIs(policy.rule(0x00091001).action, Action.REMOVE)

    def test_safe_ones_cross_in_any_block(self) -> None:
        policy = compile_policy(options=["retain-safe-private"])
        self.assertTrue(policy.keeps_private)
        actions = self.actions(policy, self.SIEMENS, self.SIEMENS_IN_ANOTHER_BLOCK)
        self.assertEqual(actions, [Action.KEEP] * 2)

    def test_others_do_not(self) -> None:
        policy = compile_policy(options=["retain-safe-private"])
        self.assertEqual(self.actions(policy, self.SIEMENS_OTHER, self.ACME, self.NOBODY), [Action.REMOVE] * 3)

    def test_all_of_a_declared_creator_cross(self) -> None:
        policy = compile_policy(private_attributes=["ACME 1.1"])
        self.assertEqual(self.actions(policy, self.ACME, self.NOBODY), [Action.KEEP, Action.REMOVE])
        self.assertIn("retain-safe-private", policy.options)

    def test_all_cross_where_that_is_said(self) -> None:
        policy = compile_policy(private_attributes="keep")
        self.assertEqual(self.actions(policy, self.ACME, self.NOBODY), [Action.KEEP] * 2)
        self.assertIs(policy.rule(0x00091001).action, Action.KEEP)


class ClaimTests(TestCase):
    """(0012,0062) to (0012,0064) and (0028,0303)."""

    def test_the_codes_are_those_of_the_standard(self) -> None:
        concepts = {concept.value: concept.meaning for concept in codes.cid7050.concepts.values()}
        ours = (BASIC_PROFILE, *OPTIONS.values(), *NOT_CLAIMED)
        self.assertEqual({code.value: code.meaning for code in ours}, concepts)

    def test_the_profile_and_its_options_are_claimed(self) -> None:
        policy = compile_policy(options=["clean-graphics", MODIFIED])
        self.assertEqual([code.value for code in policy.method_codes], ["113100", "113103", "113107"])
        self.assertEqual((policy.identity_removed, policy.longitudinal), ("YES", "MODIFIED"))

    def test_dates_are_removed_or_unmodified(self) -> None:
        self.assertEqual(compile_policy().longitudinal, "REMOVED")
        self.assertEqual(compile_policy(options=[FULL]).longitudinal, "UNMODIFIED")

    def test_an_exception_takes_the_claim_back(self) -> None:
        for policy in (compile_policy(keep=[tag("PatientName")]), compile_policy(private_attributes="keep")):
            self.assertEqual((policy.identity_removed, policy.method_codes), ("NO", ()))
            self.assertIn("exceptions", policy.method_text)

    def test_to_keep_what_crosses_anyway_is_no_exception(self) -> None:
        policy = compile_policy(keep=[tag("Modality"), tag("StudyDate")], options=[FULL])
        self.assertEqual(policy.identity_removed, "YES")

    def test_the_method_fits_its_attribute(self) -> None:
        for policy in (compile_policy(), compile_policy(keep=[tag("PatientName")])):
            self.assertTrue(policy.method_text.isascii())
            self.assertLessEqual(len(policy.method_text), 64)


class PlainValueTests(TestCase):
    """What is handed through."""

    def test_words_come_on_top_in_lower_case(self) -> None:
        policy = compile_policy(vocabulary=["Gelenkspalt"])
        self.assertEqual(policy.vocabulary - VOCABULARY, {"gelenkspalt"})

    def test_the_vocabulary_is_of_words_in_lower_case(self) -> None:
        self.assertEqual({word for word in VOCABULARY if word != word.lower() or not word.isalpha()}, set())

    def test_the_vocabulary_has_no_common_names(self) -> None:
        names = {
            "max",
            "moritz",
            "young",
            "klein",
            "lang",
            "schwarz",
            "black",
            "white",
            "rose",
            "mark",
            "grace",
            "will",
        }
        self.assertEqual(VOCABULARY & names, set())

    def test_a_policy_is_a_key_by_itself(self) -> None:
        one, two = compile_policy(), compile_policy()
        self.assertNotEqual(one, two)
        self.assertEqual({one: 1}[one], 1)

    def test_dates_move_only_by_option(self) -> None:
        self.assertFalse(compile_policy(shift_days=(1, 2)).shifts)
        self.assertTrue(compile_policy(options=[MODIFIED]).shifts)

    def test_new_instances_are_accepted_where_that_is_said(self) -> None:
        self.assertFalse(compile_policy().accepts_new_instances)
        self.assertTrue(compile_policy(new_instances="accept").accepts_new_instances)
