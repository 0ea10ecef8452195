"""Our Table E.1-1 against a second source: the tables of dicom-anonymizer, which were taken from the standard apart."""

from __future__ import annotations

import importlib

from hypothesis import given
from hypothesis import strategies as st
from pydicom._dicom_dict import RepeatersDictionary
from pydicom.datadict import dictionary_description, dictionary_has_tag, dictionary_VR
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.options import OPTIONS
from dimseproxy.privacy.table import PRIVATE, REPEATING, ROWS, name_of, public_tags, row_of, vr_of

_LISTS = {
    "D": "D_TAGS", "X": "X_TAGS", "Z": "Z_TAGS", "U": "U_TAGS", "Z/D": "Z_D_TAGS", "X/Z": "X_Z_TAGS", "X/D": "X_D_TAGS",
    "X/Z/D": "X_Z_D_TAGS", "X/Z/U*": "X_Z_U_STAR_TAGS",
}  # fmt: skip


def second_source(edition: str) -> dict[int, str]:
    """The action of the Basic Profile by tag, of one edition. Entries with a mask are those of repeating groups."""
    module = importlib.import_module(f"dicomanonymizer.dicom_anonymization_databases.dicomfields_{edition}")
    return {
        entry[0] << 16 | entry[1]: action
        for action, name in _LISTS.items()
        for entry in getattr(module, name)
        if len(entry) == 2
    }


def ours() -> dict[int, str]:
    return {tag: row.basic for tag, row in ROWS.items()}


class SecondSourceTests(TestCase):
    """
    Attribute by attribute.  What edition 2026c added was taken from there; for all else the two sources are apart.
    """

    def test_edition_2026c_agrees(self) -> None:
        self.assertEqual(ours(), second_source("2026c"))

    def test_edition_2024b_differs_by_what_came_later(self) -> None:
        theirs = second_source("2024b")
        self.assertEqual({tag: action for tag, action in ours().items() if tag in theirs}, theirs)
        later = {tag for tag in ours() if tag not in theirs}
        self.assertEqual(len(later), 35)
        # None of these is without protection in the meantime: each is taken out, or made up, or mapped.
        self.assertEqual({ours()[tag] for tag in later}, {"X", "X/D", "D", "U"})

    def test_edition_2023_differs_by_what_was_corrected(self) -> None:
        theirs = second_source("2023")
        differing = {tag: (theirs[tag], ours().get(tag)) for tag in theirs if theirs[tag] != ours().get(tag)}
        # Patient ID: a type 2 attribute may be empty, but an application that needs one may make it up (since 2024).
        self.assertEqual(differing, {0x00100020: ("Z", "Z/D")})

    def test_edition_2023_lacks_issuers_and_dates_of_regions(self) -> None:
        lacking = set(second_source("2024b")) - set(second_source("2023"))
        names = {name_of(tag).split()[0] for tag in lacking}
        self.assertEqual(names, {"Issuer", "Other", "ROI"})

    def test_the_repeating_groups_agree(self) -> None:
        module = importlib.import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
        masked = {entry[0] << 16 | entry[1] for entry in module.X_TAGS if len(entry) == 4}
        self.assertEqual({int(row.tag.replace("X", "0"), 16) for row in REPEATING}, masked)


class ShapeTests(TestCase):
    """The file of our own."""

    def test_every_action_is_one_of_the_standard(self) -> None:
        self.assertEqual({row.basic for row in (*ROWS.values(), *REPEATING, PRIVATE)}, set(_LISTS))

    def test_every_column_is_an_option(self) -> None:
        self.assertEqual(
            {option for row in (*ROWS.values(), *REPEATING, PRIVATE) for option in row.options}, set(OPTIONS)
        )

    def test_an_option_keeps_or_cleans(self) -> None:
        self.assertEqual({action for row in ROWS.values() for action in row.options.values()}, {"K", "C"})

    def test_dates_that_one_option_keeps_the_other_cleans(self) -> None:
        for row in ROWS.values():
            full = row.options.get("retain-longitudinal-full-dates")
            modified = row.options.get("retain-longitudinal-modified-dates")
            self.assertIn((full, modified), ((None, None), ("K", "C")), row.name)

    def test_names_are_those_of_the_dictionary(self) -> None:
        known = [tag for tag in ROWS if dictionary_has_tag(tag)]
        different = {name_of(tag) for tag in known if _plain(name_of(tag)) != _plain(dictionary_description(tag))}
        self.assertEqual(different, set())

    def test_no_name_carries_the_notes_of_the_standard(self) -> None:
        self.assertEqual([row.name for row in ROWS.values() if "Note" in row.name and "(" in row.name], [])


class LookUpTests(TestCase):
    def test_any_curve_is_in_a_row(self) -> None:
        for tag in (0x50000010, 0x50FE3000, 0x501E0005):
            self.assertIs(row_of(tag), REPEATING[0])

    def test_an_overlay_is_in_a_row_by_its_element(self) -> None:
        self.assertEqual([getattr(row_of(tag), "name", None) for tag in (0x60003000, 0x601E4000, 0x60000010)],
                         ["Overlay Data", "Overlay Comments", None])  # fmt: skip

    def test_an_attribute_that_identifies_nobody_is_in_none(self) -> None:
        self.assertIsNone(row_of(0x00280010))

    def test_the_strictest_action_is_the_last(self) -> None:
        self.assertEqual([ROWS[tag].strictest for tag in (0x00080022, 0x00100020, 0x0008002A, 0x00081140)],
                         ["Z", "D", "D", "U*"])  # fmt: skip

    def test_a_name_comes_from_the_table_or_the_dictionary(self) -> None:
        self.assertEqual([name_of(tag) for tag in (0x00100011, 0x00280010, 0x00189999)],
                         ["Person Names to Use Sequence", "Rows", ""])  # fmt: skip

    def test_a_vr_is_known_or_not(self) -> None:
        self.assertEqual([vr_of(0x00100010), vr_of(0x60003000), vr_of(0x00189999)], ["PN", "OB or OW", None])

    @given(st.integers(0, 0xFFFFFFFF) | st.integers(0x5000, 0x60FF).map(lambda group: group << 16 | 0x3000))
    def test_a_vr_is_that_of_the_dictionary(self, number: int) -> None:
        number &= ~0x00010000  # of an even group: the others are private
        try:
            expected: str | None = dictionary_VR(number)
        except KeyError:
            expected = None
        self.assertEqual(vr_of(number), expected)

    def test_a_vr_is_that_of_the_dictionary_in_each_repeating_group(self) -> None:
        for pattern, entry in RepeatersDictionary.items():
            for digit in "02":
                number = int(pattern.replace("x", digit), 16)
                if not dictionary_has_tag(number):
                    self.assertEqual(vr_of(number), entry[0], pattern)

    def test_public_tags_are_even_and_in_order(self) -> None:
        tags = public_tags()
        self.assertEqual(tags, sorted(set(tags)))
        self.assertEqual([tag for tag in tags if tag >> 16 & 1], [])
        self.assertTrue(set(ROWS) <= set(tags))


def _plain(name: str) -> str:
    """A name without the marks that two editions set differently."""
    return name.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace(" ", "").replace("-", "").lower()
