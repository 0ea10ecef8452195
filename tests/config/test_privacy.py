"""Privacy policies: what can be said, and what is a mistake."""

from __future__ import annotations

from pathlib import Path

from pydicom.datadict import tag_for_keyword
from twisted.trial.unittest import TestCase

from dimseproxy.config import PrivacySettings, VaultSettings, diff_reload, dump
from dimseproxy.dataset.element import Limits
from tests.config.support import NOWHERE, PACS, mistakes_of, settings_of


def file_of(policy: str) -> str:
    """A file with one policy, called p, in use."""
    return PACS + f"routes: [{{outbound: pacs, privacy: p}}]\nprivacy: {{p: {{{policy}}}}}\n"


def policy_of(policy: str, folder: Path = NOWHERE) -> PrivacySettings:
    """A policy without mistakes; its originals are behind the outbound."""
    return settings_of(file_of(f"originals: outbound, {policy}"), folder).privacy["p"]


def faults_of(policy: str, folder: Path = NOWHERE) -> dict[str, str]:
    """The mistakes of a policy, by path below it."""
    found = mistakes_of(file_of(f"originals: outbound, {policy}"), folder)
    return {path.removeprefix("privacy.p").removeprefix("."): text for path, text in found.items()}


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return found


class PolicyTests(TestCase):
    """What is written is what is read."""

    def test_the_shortest_policy_protects_most(self) -> None:
        policy = policy_of("")
        self.assertEqual(policy, PrivacySettings(originals="outbound"))
        self.assertEqual(policy.pseudonyms, VaultSettings())
        self.assertEqual((policy.profile, policy.burned_in, policy.guard), ("basic", "refuse", "refuse"))
        self.assertEqual(policy.new_instances, "refuse")

    def test_a_head_has_a_limit(self) -> None:
        self.assertEqual(policy_of("").max_head, Limits().head)
        self.assertEqual(policy_of("max_head: 200 MiB").max_head, 200 << 20)
        for written in ("1 KiB", "2 GiB"):
            found = faults_of(f"max_head: {written}")["max_head"]
            self.assertIn("at least 1 MiB and at most 1 GiB", found)

    def test_who_holds_originals_must_be_said(self) -> None:
        found = mistakes_of(file_of("guard: warn"))
        self.assertEqual(found, {"privacy.p": "lacks `originals`, for example `originals: outbound`"})

    def test_an_attribute_is_read_by_keyword_and_by_number(self) -> None:
        policy = policy_of("remove: [PatientName, '(0010,0030)', '(0010, 10a0)']")
        self.assertEqual(policy.remove, (0x00100010, 0x00100030, 0x001010A0))

    def test_attributes_are_printed_by_keyword(self) -> None:
        text = dump(settings_of(file_of("originals: outbound, remove: ['(0010,0010)', '(0018,9999)']")))
        self.assertIn("- PatientName\n", text)
        self.assertIn("- (0018,9999)\n", text)

    def test_no_list_is_not_an_empty_list(self) -> None:
        self.assertIsNone(policy_of("").pseudonymise)
        self.assertEqual(policy_of("pseudonymise: []").pseudonymise, ())

    def test_safe_private_creators_are_a_tuple(self) -> None:
        self.assertEqual(policy_of("private_attributes: {safe: [ACME 1.1, B]}").private_attributes, ("ACME 1.1", "B"))

    def test_words_come_from_a_file(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "words.txt").write_text("Gelenk")
        policy = policy_of("options: [clean-descriptors], vocabulary: words.txt", folder)
        self.assertEqual(policy.vocabulary, folder / "words.txt")

    def test_regions_are_read(self) -> None:
        policy = policy_of("burned_in: blank, blank: [{modality: US, rows: 768, regions: [[0, 1, 1024, 60]]}]")
        self.assertEqual(policy.blank[0].regions, ((0, 1, 1024, 60),))


class AttributeTests(TestCase):
    """Attributes in lists."""

    def assert_refused(self, policy: str, path: str, reason: str) -> None:
        found = faults_of(policy)
        self.assertEqual(list(found), [path])
        self.assertIn(reason, found[path])

    def test_a_keyword_that_is_not_there_gets_the_nearest(self) -> None:
        self.assert_refused("remove: [PatientNam]", "remove[0]", "did you mean `PatientName`?")

    def test_a_keyword_unlike_any_gets_no_list_of_five_thousand(self) -> None:
        self.assert_refused("remove: [qqqqqq]", "remove[0]", "such as `PatientID`")

    def test_each_wrong_attribute_is_named(self) -> None:
        self.assertEqual(set(faults_of("remove: [Nix, PatientName, 5]")), {"remove[0]", "remove[2]"})

    def test_an_attribute_twice_in_a_list_is_refused(self) -> None:
        self.assert_refused("remove: [PatientName, '(0010,0010)']", "remove[1]", "`PatientName` is in the list already")

    def test_an_attribute_in_two_lists_is_refused(self) -> None:
        for one, two in (("pseudonymise", "remove"), ("remove", "keep"), ("pseudonymise", "keep")):
            found = faults_of(f"{one}: [PatientID], {two}: [PatientID]")
            self.assertEqual(found, {two: f"names `PatientID`, which `{one}` names too: keep one of the two"})

    def test_an_attribute_kept_and_replaced_is_refused(self) -> None:
        self.assert_refused("keep: [PatientName], replace: {PatientName: X}", "replace", "`keep` names too")

    def test_a_private_attribute_is_refused(self) -> None:
        self.assert_refused("keep: ['(0009,1001)']", "keep[0]", "`private_attributes` says")

    def test_what_is_no_part_of_a_data_set_is_refused(self) -> None:
        for number in ("(0000,0100)", "(0002,0016)", "(0010,0000)", "(FFFE,E000)"):
            self.assert_refused(f"remove: ['{number}']", "remove[0]", "no part of a data set")

    def test_what_holds_an_object_together_is_not_removed(self) -> None:
        for keyword in (
            "SOPInstanceUID",
            "StudyInstanceUID",
            "SOPClassUID",
            "SpecificCharacterSet",
            "PixelData",
            "Rows",
        ):
            self.assert_refused(f"pseudonymise: [], remove: [{keyword}]", "remove[0]", "cannot be removed")

    def test_what_the_proxy_writes_is_in_no_list(self) -> None:
        for keyword in ("PatientIdentityRemoved", "DeidentificationMethodCodeSequence"):
            self.assert_refused(f"keep: [{keyword}]", "keep[0]", "which the proxy writes itself")

    def test_what_can_hold_no_pseudonym_gets_none(self) -> None:
        for keyword, vr in (("PatientBirthDate", "DA"), ("PatientWeight", "DS"), ("OtherPatientIDsSequence", "SQ")):
            self.assert_refused(
                f"pseudonymise: [{keyword}]", "pseudonymise[0]", f"VR {vr}, which can hold no pseudonym"
            )

    def test_what_can_hold_one_gets_one(self) -> None:
        keywords = ("PatientID", "AccessionNumber", "PatientName", "StudyID", "SOPInstanceUID", "StationName")
        policy = policy_of(f"pseudonymise: [{', '.join(keywords)}]")
        self.assertEqual(policy.pseudonymise, tuple(tag(keyword) for keyword in keywords))

    def test_what_the_dictionary_does_not_know_gets_no_pseudonym(self) -> None:
        self.assert_refused("pseudonymise: ['(0018,9999)']", "pseudonymise[0]", "not in the dictionary")

    def test_classes_and_transactions_are_not_mapped(self) -> None:
        for keyword in ("SOPClassUID", "TransactionUID"):
            self.assert_refused(f"pseudonymise: [{keyword}]", "pseudonymise[0]", "identifies nobody")

    def test_a_reference_is_not_kept_where_instances_are_mapped(self) -> None:
        reason = "whose values are pseudonymised everywhere"
        self.assert_refused("keep: [ReferencedSOPInstanceUID]", "keep", reason)
        self.assert_refused("pseudonymise: [PatientID], keep: [SOPInstanceUID]", "keep", "option `retain-uids`")
        self.assert_refused(
            "options: [retain-uids], pseudonymise: [SOPInstanceUID], keep: [ReferencedSOPInstanceUID]", "keep", reason
        )

    def test_a_patient_is_not_kept_where_another_is_mapped(self) -> None:
        reason = "a `pseudonymise` list without them"
        self.assert_refused("keep: [OtherPatientIDs]", "keep", reason)
        self.assert_refused("profile: none, pseudonymise: [PatientID], keep: [OtherPatientIDs]", "keep", reason)

    def test_what_nothing_maps_is_kept(self) -> None:
        self.assertEqual(faults_of("options: [retain-uids], keep: [ReferencedSOPInstanceUID]"), {})
        self.assertEqual(faults_of("profile: none, pseudonymise: [PatientID], keep: [SOPInstanceUID]"), {})
        self.assertEqual(faults_of("pseudonymise: [AccessionNumber], keep: [PatientID, OtherPatientIDs]"), {})
        self.assertEqual(faults_of("replace: {PatientID: ANON}, keep: [OtherPatientIDs]"), {})


class ReplacementTests(TestCase):
    """Texts in the place of values."""

    def assert_refused(self, keyword: str, text: str, reason: str) -> None:
        found = faults_of(f"pseudonymise: [], replace: {{{keyword}: '{text}'}}")
        self.assertEqual(list(found), [f"replace.{keyword}"])
        self.assertIn(reason, found[f"replace.{keyword}"])

    def test_a_text_that_fits_is_taken(self) -> None:
        written = "PatientName: A^B, PatientSex: O, PatientAge: 030Y, StudyDate: '20200101', PatientWeight: '70.5'"
        texts = policy_of(f"replace: {{{written}}}").replace
        self.assertEqual(texts[0x00100010], "A^B")
        self.assertEqual(len(texts), 5)

    def test_a_text_that_is_too_long_is_refused(self) -> None:
        self.assert_refused("StudyID", "x" * 17, "gets 17 characters, but VR SH has 16 at most")

    def test_a_text_of_the_greatest_length_is_taken(self) -> None:
        self.assertEqual(faults_of(f"replace: {{StudyID: {'x' * 16}}}"), {})

    def test_a_text_that_is_no_value_is_refused(self) -> None:
        for keyword, text in (
            ("StudyDate", "20201301"), ("PatientAge", "30"), ("PatientSex", "m"), ("PatientWeight", "heavy"),
            ("FrameOfReferenceUID", "1.02"), ("StudyTime", "2500"), ("SeriesNumber", "1.5"),
        ):  # fmt: skip
            self.assert_refused(keyword, text, "is no value of VR")

    def test_a_second_value_is_refused(self) -> None:
        self.assert_refused("PatientName", "A\\B", "a backslash")

    def test_a_text_that_needs_a_character_set_is_refused(self) -> None:
        self.assert_refused("PatientName", "Müller", "not ASCII")

    def test_what_is_no_text_is_refused(self) -> None:
        self.assert_refused("OtherPatientIDsSequence", "x", "VR SQ, which no text can be written into")

    def test_what_tells_objects_apart_is_not_replaced(self) -> None:
        self.assert_refused("StudyInstanceUID", "1.2", "cannot be replaced")


class TogetherTests(TestCase):
    """Keys that are right each, and wrong together."""

    def test_dates_stay_or_move(self) -> None:
        found = faults_of("options: [retain-longitudinal-full-dates, retain-longitudinal-modified-dates]")
        self.assertIn("dates stay or move", found["options"])

    def test_a_shift_needs_its_option(self) -> None:
        self.assertIn("without effect", faults_of("shift_days: [-10, 10]")["shift_days"])
        self.assertEqual(faults_of("options: [retain-longitudinal-modified-dates], shift_days: [-10, 10]"), {})

    def test_a_shift_has_a_range(self) -> None:
        option = "options: [retain-longitudinal-modified-dates]"
        for days, reason in (
            ("[10, -10]", "starts after its end: write `[-10, 10]`"),
            ("[0, 0]", "moves no date"),
            ("[1]", "has 1 numbers"),
            ("5", "must be a list"),
        ):
            self.assertIn(reason, faults_of(f"{option}, shift_days: {days}")["shift_days"], days)

    def test_without_the_profile_there_are_no_options(self) -> None:
        self.assertIn("the profile is `none`", faults_of("profile: none, options: [clean-graphics]")["options"])

    def test_a_policy_that_changes_nothing_is_refused(self) -> None:
        self.assertIn("changes nothing", faults_of("profile: none, pseudonymise: []")[""])

    def test_safe_private_attributes_are_kept_or_not(self) -> None:
        for word in ("keep", "remove"):
            found = faults_of(f"options: [retain-safe-private], private_attributes: {word}")
            self.assertIn(f"`private_attributes` is `{word}`", found["options"])

    def test_blanking_needs_regions(self) -> None:
        self.assertIn("no `blank`", faults_of("burned_in: blank")[""])

    def test_regions_need_blanking(self) -> None:
        self.assertIn("without effect", faults_of("blank: [{regions: [[0, 0, 1, 1]]}]")["blank"])

    def test_a_region_is_four_numbers(self) -> None:
        for region, reason in (
            ("[0, 0, 5]", "has 3 numbers"),
            ("[0, 0, 0, 5]", "is empty"),
            ("[0, 0, -1, 5]", "out of range"),
            ("7", "must be a list"),
        ):
            found = faults_of(f"burned_in: blank, blank: [{{regions: [{region}]}}]")
            self.assertIn(reason, "".join(found.values()), region)

    def test_each_wrong_region_is_named(self) -> None:
        found = faults_of("burned_in: blank, blank: [{regions: [[0, 0, 5], [0, 0, 1, 1], [0, 0, 0, 5]]}]")
        self.assertEqual(set(found), {"blank[0].regions[0]", "blank[0].regions[2]"})

    def test_a_region_is_within_the_image(self) -> None:
        blank = "rows: 768, columns: 1024, regions: [[0, 0, 1024, 768], [0, 760, 1, 9], [1024, 0, 1, 1]]"
        found = faults_of(f"burned_in: blank, blank: [{{{blank}}}]")
        self.assertEqual(set(found), {"blank[0].regions[1]", "blank[0].regions[2]"})

    def test_a_region_of_an_image_of_any_size_may_be_anywhere(self) -> None:
        self.assertEqual(faults_of("burned_in: blank, blank: [{regions: [[60000, 60000, 5000, 5000]]}]"), {})

    def test_a_sop_class_of_regions_is_one(self) -> None:
        for written, is_right in (
            ("1.2.840.10008.5.1.4.1.1.6.1", True),
            ("UltrasoundImageStorage", True),
            ("1.2.3", True),
            ("Ultrasound", False),
            ("1.2.3.", False),
        ):
            found = faults_of(f"burned_in: blank, blank: [{{sop_class: {written}, regions: [[0, 0, 1, 1]]}}]")
            self.assertEqual("blank[0].sop_class" not in found, is_right, written)

    def test_no_region_is_refused(self) -> None:
        found = faults_of("burned_in: blank, blank: [{modality: US, regions: []}]")
        self.assertIn("at least one region", found["blank[0].regions"])

    def test_words_need_an_option_that_uses_them(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "w").write_text("x")
        self.assertIn("without effect", faults_of("vocabulary: w", folder)["vocabulary"])

    def test_words_are_utf_8(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "w").write_bytes(b"H\xfcfte")
        found = faults_of("options: [clean-descriptors], vocabulary: w", folder)
        self.assertIn("is not UTF-8", found["vocabulary"])

    def test_an_unknown_option_gets_the_nearest(self) -> None:
        self.assertIn("did you mean `retain-uids`?", faults_of("options: [retain-uid]")["options[0]"])


class UseTests(TestCase):
    """Policies and the routes that name them."""

    def test_a_route_names_a_policy_that_is_there(self) -> None:
        routes = "routes: [{called: A, outbound: pacs, privacy: research}, {outbound: pacs, privacy: reserch}]\n"
        found = mistakes_of(PACS + routes + "privacy: {research: {originals: outbound}}\n")
        reason = "no policy under `privacy` is called `reserch`: did you mean `research`?"
        self.assertEqual(found, {"routes[1].privacy": reason})

    def test_a_policy_with_a_mistake_is_there_all_the_same(self) -> None:
        self.assertEqual(list(mistakes_of(file_of("originals: nowhere"))), ["privacy.p.originals"])

    def test_a_policy_and_direct_delivery_exclude_each_other(self) -> None:
        pacs = 'outbound: {pacs: {dimse: {connect: "tcp:127.0.0.1:104", ae_title: PACS, deliver: direct}}}\n'
        found = mistakes_of(pacs + "routes: [{outbound: pacs, privacy: p}]\nprivacy: {p: {originals: outbound}}\n")
        self.assertIn("would deliver past the privacy", found["outbound.pacs.dimse.deliver"])

    def test_a_policy_that_no_route_uses_is_refused(self) -> None:
        found = mistakes_of(PACS + "privacy: {p: {originals: outbound}}\n")
        self.assertIn("is used by no route: write `privacy: p`", found["privacy.p"])

    def test_a_plain_route_beside_a_policy_is_right(self) -> None:
        text = PACS + "routes: [{called: S, outbound: pacs, privacy: p}, {outbound: pacs}]\n"
        settings = settings_of(text + "privacy: {p: {originals: inbound}}\n")
        self.assertEqual([route.privacy for route in settings.routes], ["p", None])

    def test_a_changed_policy_waits_for_a_restart(self) -> None:
        old, new = settings_of(file_of("originals: outbound")), settings_of(file_of("originals: outbound, guard: off"))
        self.assertEqual(diff_reload(old, new), ("privacy.p.guard",))
