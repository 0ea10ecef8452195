"""What a policy says of itself."""

from __future__ import annotations

import re

from pydicom.datadict import tag_for_keyword
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.actions import Action
from dimseproxy.privacy.policy import Blank, Policy, compile_policy
from dimseproxy.privacy.report import privacy_report
from dimseproxy.privacy.table import REPEATING, ROWS, public_tags

_ROW = re.compile(r"^\(([0-9A-F]{4}),([0-9A-F]{4})\)  (.*?)  +(\S.*?)  +(\S.*)$", re.MULTILINE)


def tag(keyword: str) -> int:
    found = tag_for_keyword(keyword)
    assert found is not None, keyword
    return found


def rows_of(policy: Policy) -> dict[int, tuple[str, str, str]]:
    """Name, action and reason of each attribute that the report lists."""
    found = _ROW.finditer(privacy_report(policy))
    return {int(row[1] + row[2], 16): (row[3], row[4], row[5]) for row in found}


class AttributeTests(TestCase):
    def test_every_row_of_the_table_is_there(self) -> None:
        listed = set(rows_of(compile_policy()))
        self.assertEqual({number for number in ROWS if number >> 16 >= 8} - listed, set())

    def test_everything_that_is_changed_is_there(self) -> None:
        for policy in (compile_policy(), compile_policy(profile="none", pseudonymise=[tag("FrameOfReferenceUID")])):
            changed = {number for number in public_tags() if policy.rule(number).action is not Action.KEEP}
            self.assertEqual({number for number in changed if number >> 16 >= 8} - set(rows_of(policy)), set())

    def test_a_row_has_name_action_and_reason(self) -> None:
        row = rows_of(compile_policy())[tag("AcquisitionDate")]
        self.assertEqual(row, ("Acquisition Date", "empty", "Table E.1-1: X/Z"))

    def test_what_identifies_though_the_table_lacks_it_is_there(self) -> None:
        rows = rows_of(compile_policy())
        self.assertIn("another calendar", rows[tag("PatientBirthDateInAlternativeCalendar")][2])
        self.assertIn("an address", rows[tag("RetrieveURL")][2])

    def test_lists_are_there(self) -> None:
        policy = compile_policy(remove=[tag("Rows"), 0x00189999], keep=[tag("Modality")], replace={0x00100010: "A^B"})
        rows = rows_of(policy)
        self.assertEqual(rows[tag("Rows")], ("Rows", "remove", "remove list"))
        self.assertEqual(rows[tag("Modality")], ("Modality", "keep", "keep list"))
        self.assertEqual(rows[0x00100010][1:], ('replace with "A^B"', "replace list"))
        self.assertIn("(0018,9999)", privacy_report(policy))

    def test_what_is_emptied_instead_of_removed_is_said(self) -> None:
        _, action, why = rows_of(compile_policy(profile="none", remove=[0x00100010]))[0x00100010]
        self.assertEqual(action, "empty")
        self.assertIn("of type 2", why)

    def test_what_is_a_dummy_instead_of_removed_is_said(self) -> None:
        _, action, why = rows_of(compile_policy())[0x00700082]
        self.assertEqual((action, why), ("dummy", "Table E.1-1: X, but of type 1"))

    def test_what_happens_otherwise_is_said(self) -> None:
        rows = rows_of(compile_policy(options=["retain-longitudinal-modified-dates"]))
        self.assertEqual(rows[tag("SeriesDate")][1], "shift, or dummy")

    def test_repeating_groups_are_there(self) -> None:
        text = privacy_report(compile_policy())
        for row in REPEATING:
            self.assertRegex(text, rf"(?m)^\({row.tag[:2]}xx,.*{row.name} +remove ")
        self.assertRegex(text, r"(?m)^\(60xx,xxxx\) +Description of an overlay +remove ")

    def test_the_columns_are_aligned(self) -> None:
        rows = list(_ROW.finditer(privacy_report(compile_policy())))
        self.assertEqual(len({tuple(row.start(column) - row.start() for column in (3, 4, 5)) for row in rows}), 1)


class TextTests(TestCase):
    def test_the_default_claims_the_profile_and_not_the_pixels(self) -> None:
        claimed, not_claimed = privacy_report(compile_policy(name="p")).split("\nNot claimed\n")
        self.assertIn("113100 Basic Application Confidentiality Profile", claimed)
        self.assertIn("113101 Clean Pixel Data Option", not_claimed)
        self.assertNotIn("113100", not_claimed)

    def test_exceptions_are_named(self) -> None:
        text = privacy_report(compile_policy(keep=[tag("PatientSex")], private_attributes="keep"))
        self.assertIn("the lists keep what it protects: Patient's Sex, private attributes", text)
        self.assertIn("113100", text.split("\nNot claimed\n")[1])

    def test_without_the_profile_nothing_is_claimed(self) -> None:
        self.assertIn("nothing is claimed", privacy_report(compile_policy(profile="none")))

    def test_what_is_dangerous_is_loud(self) -> None:
        text = privacy_report(compile_policy(burned_in="pass", guard="off"))
        self.assertIn("PASS, as they are", text)
        self.assertIn("is NOT searched", text)

    def test_regions_are_described(self) -> None:
        blank = Blank(regions=((0, 5, 1024, 60),), modality="US", rows=768)
        text = privacy_report(compile_policy(burned_in="blank", blanks=[blank]))
        self.assertIn("modality US, rows 768: 1024 x 60 pixels at 0, 5", text)

    def test_private_creators_are_named(self) -> None:
        text = privacy_report(compile_policy(private_attributes=["ACME 1.1"]))
        self.assertIn("all of ACME 1.1", text)
        self.assertIn("SIEMENS MR HEADER", text)

    def test_the_shift_is_described(self) -> None:
        policy = compile_policy(options=["retain-longitudinal-modified-dates"], shift_days=(-30, 30))
        self.assertIn("move by -30 to 30 days", privacy_report(policy))

    def test_no_line_ends_in_spaces(self) -> None:
        self.assertNotRegex(privacy_report(compile_policy()), r"(?m) $")
