from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import UID
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.identity import Kind
from dimseproxy.pseudonyms.validity import Use, fault_of_original, fault_of_pseudonym, use_of

_ERRORS = ("*** VALUE NOT FOUND ***", "*** PSEUDONYM NOT FOUND ***", "*** VALUE IS ANONYMISED ***", "*** INVALID VALUE")


class UseTests(TestCase):
    def test_is_that_of_a_uid_for_every_kind_of_uid(self) -> None:
        uids = {kind for kind in Kind if use_of(kind) is Use.UID}
        self.assertEqual(uids, {Kind.STUDY, Kind.SERIES, Kind.INSTANCE, Kind.UID})

    def test_is_short_where_the_attribute_is(self) -> None:
        short = {kind for kind in Kind if use_of(kind) is Use.SHORT}
        self.assertEqual(short, {Kind.ACCESSION, Kind.STUDY_ID})


class PseudonymTests(TestCase):
    def _refuses(self, use: Use, *values: str) -> None:
        for value in values:
            with self.subTest(value=value):
                self.assertIsNotNone(fault_of_pseudonym(use, value))

    def _takes(self, use: Use, *values: str) -> None:
        for value in values:
            with self.subTest(value=value):
                self.assertIsNone(fault_of_pseudonym(use, value))

    def test_uids(self) -> None:
        self._takes(Use.UID, "2.25.0", "1.2.3", "2.25." + "9" * 59)

    def test_no_uids(self) -> None:
        self._refuses(Use.UID, "2.25.01", "2..25", ".2.25", "2.25.", "2.25.a", "4711", "2.25." + "9" * 60, "2.25.1\0")

    def test_digits_of_other_scripts_make_no_uid(self) -> None:
        self._refuses(Use.UID, "2.25.\u0661", "2.25.\uff11")

    def test_a_uid_of_the_standard_is_no_pseudonym(self) -> None:
        self._refuses(Use.UID, "1.2.840.10008.1.1")

    def test_texts(self) -> None:
        self._takes(Use.LONG, "psn_T0TYNV21", "a b", "x", "A" * 64, "a-b.c/d+e=f^g~")

    def test_no_texts(self) -> None:
        self._refuses(Use.LONG, "", " ", " a", "a ", "a\\b", "a\nb", "a\0", "\u00e4", "A" * 65, "\ud800")

    def test_a_wildcard_is_no_pseudonym(self) -> None:
        self._refuses(Use.LONG, "a*", "?", "psn_*_1")

    def test_a_short_text_has_sixteen_characters(self) -> None:
        self._takes(Use.SHORT, "A" * 16)
        self._refuses(Use.SHORT, "A" * 17)

    def test_the_text_of_an_error_is_none(self) -> None:
        for use in Use:
            self._refuses(use, *_ERRORS, *(f" {each} " for each in _ERRORS))

    @settings(deadline=None)
    @given(st.text(st.characters(codec="utf-8"), max_size=80))
    def test_nothing_passes_that_ascii_cannot_say(self, value: str) -> None:
        if fault_of_pseudonym(Use.LONG, value) is None:
            self.assertTrue(value.isascii() and value.isprintable() and value == value.strip())

    @settings(deadline=None)
    @given(st.from_regex(r"[0-9.]{1,70}", fullmatch=True))
    def test_what_passes_as_a_uid_is_one(self, value: str) -> None:
        if fault_of_pseudonym(Use.UID, value) is None:
            self.assertTrue(UID(value).is_valid)

    def test_the_fault_does_not_repeat_the_value(self) -> None:
        for use in Use:
            self.assertNotIn("M\u00fcller", str(fault_of_pseudonym(use, "M\u00fcller\\")))


class OriginalTests(TestCase):
    def test_may_be_any_text(self) -> None:
        for use in Use:
            self.assertIsNone(fault_of_original(use, "M\u00fcller^J\u00f6rg"))

    def test_may_break_the_rules_of_its_vr(self) -> None:
        self.assertIsNone(fault_of_original(Use.UID, "1.02.A"))

    def test_may_have_lines_where_a_text_stands(self) -> None:
        self.assertIsNone(fault_of_original(Use.LONG, "a\r\nb\\c"))

    def test_is_one_value(self) -> None:
        for use in (Use.UID, Use.SHORT):
            self.assertIsNotNone(fault_of_original(use, "1\\2"))

    def test_is_not_the_text_of_an_error(self) -> None:
        for each in _ERRORS:
            self.assertIsNotNone(fault_of_original(Use.LONG, each))

    def test_is_something_that_can_be_written(self) -> None:
        for each in ("", "a\0", "\ud800", "a\x1bb", "a" * 20_000):
            self.assertIsNotNone(fault_of_original(Use.LONG, each))
