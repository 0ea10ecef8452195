from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.outbound.archive import matching
from dimseproxy.outbound.archive.matching import condition_of, folded_groups


def meets(vr: str, asked: str, *texts: str) -> bool:
    condition = condition_of(vr, asked.split("\\"))
    assert condition is not None, "the key is universal"
    return condition.is_met(texts)


def fits_by_characters(pattern: str, characters: list[str], is_begun: bool = False) -> bool:
    """
    Wild card matching, with every way tried.

    @param characters: each without its case, by which it may have become several letters.
    @param is_begun: whether letters of the first one are gone.
    """
    if not pattern:
        return not characters
    mark, others = pattern[0], pattern[1:]
    if not characters:
        return mark == "*" and fits_by_characters(others, characters)
    if mark == "?":
        return not is_begun and fits_by_characters(others, characters[1:])
    letter, left = characters[0][0], characters[0][1:]
    rest = ([left, *characters[1:]], True) if left else (characters[1:], False)
    if mark == "*":
        return fits_by_characters(others, characters, is_begun) or fits_by_characters(pattern, *rest)
    return letter == mark and fits_by_characters(others, *rest)


class UniversalTests(SynchronousTestCase):
    """PS3.4 C.2.2.2.3, and C.2.2.2.4 for nothing but asterisks."""

    def test_an_empty_key_asks_for_nothing(self) -> None:
        self.assertIsNone(condition_of("LO", [""]))

    def test_no_value_asks_for_nothing(self) -> None:
        self.assertIsNone(condition_of("LO", []))

    def test_asterisks_alone_ask_for_nothing(self) -> None:
        for vr in ("LO", "PN", "DA", "UI", "IS"):
            self.assertIsNone(condition_of(vr, ["**"]), vr)


class SingleValueTests(SynchronousTestCase):
    """PS3.4 C.2.2.2.1."""

    def test_the_same_text(self) -> None:
        self.assertTrue(meets("LO", "Thorax", "Thorax"))

    def test_case_counts(self) -> None:
        self.assertFalse(meets("LO", "thorax", "Thorax"))

    def test_a_part_is_not_the_whole(self) -> None:
        self.assertFalse(meets("LO", "Tho", "Thorax"))

    def test_one_of_several_values_is_enough(self) -> None:
        self.assertTrue(meets("CS", "PRIMARY", "ORIGINAL", "PRIMARY"))

    def test_no_value_is_not_one(self) -> None:
        self.assertFalse(meets("LO", "Thorax"))

    def test_numbers_are_what_they_mean(self) -> None:
        self.assertTrue(meets("IS", "7", "+007"))

    def test_numbers_that_differ(self) -> None:
        self.assertFalse(meets("DS", "7", "70"))

    def test_what_is_no_number_is_not_found(self) -> None:
        self.assertFalse(meets("IS", "seven", "seven"))

    def test_a_long_number_is_not_remembered(self) -> None:
        before = matching._remembered_number.cache_info().currsize
        self.assertTrue(meets("DS", "7", "0" * 10_000 + "7"))
        self.assertEqual(matching._remembered_number.cache_info().currsize, before + 1)

    def test_any_uid_of_a_list(self) -> None:
        self.assertTrue(meets("UI", "1.2\\1.3", "1.3"))

    def test_no_uid_of_a_list(self) -> None:
        self.assertFalse(meets("UI", "1.2\\1.3", "1.4"))

    def test_uids_have_no_wildcards(self) -> None:
        self.assertFalse(meets("UI", "1.*", "1.2"))


class WildcardTests(SynchronousTestCase):
    """PS3.4 C.2.2.2.4."""

    def test_an_asterisk_is_any_text(self) -> None:
        self.assertTrue(meets("LO", "Th*x", "Thorax"))

    def test_an_asterisk_may_be_nothing(self) -> None:
        self.assertTrue(meets("LO", "Thorax*", "Thorax"))

    def test_a_question_mark_is_one_character(self) -> None:
        self.assertTrue(meets("LO", "Thor?x", "Thorax"))

    def test_a_question_mark_is_not_nothing(self) -> None:
        self.assertFalse(meets("LO", "Thorax?", "Thorax"))

    def test_an_empty_value_is_not_found(self) -> None:
        self.assertFalse(meets("LO", "*?*", ""))

    def test_other_signs_mean_themselves(self) -> None:
        self.assertFalse(meets("LO", "a.c*", "abc"))

    @given(st.text("ab*?", max_size=7).filter(lambda text: set(text) & {"a", "b", "?"}), st.text("ab", max_size=8))
    def test_patterns_are_what_the_standard_says(self, pattern: str, text: str) -> None:
        naive = "".join({"*": ".*", "?": "."}.get(mark, mark) for mark in pattern)
        self.assertEqual(meets("LO", pattern, text), bool(text) and re.fullmatch(naive, text) is not None)

    def test_a_hostile_pattern_costs_no_more_than_another(self) -> None:
        # Where each asterisk is tried anywhere, this does not end.
        self.assertFalse(meets("LO", "*a" * 40 + "b", "a" * 4000))


class NameTests(SynchronousTestCase):
    def test_case_does_not_count(self) -> None:
        self.assertTrue(meets("PN", "doe^jane", "DOE^Jane"))

    def test_case_does_not_count_beyond_ascii(self) -> None:
        self.assertTrue(meets("PN", "müller", "MÜLLER"))

    def test_a_composed_character_is_the_same_as_its_parts(self) -> None:
        self.assertTrue(meets("PN", "Mu\u0308ller", "M\u00fcller"))

    def test_a_family_name_alone_is_another_name(self) -> None:
        self.assertFalse(meets("PN", "DOE", "DOE^JANE"))

    def test_components_left_out_at_the_end_do_not_count(self) -> None:
        self.assertTrue(meets("PN", "DOE^JANE^^", "DOE^JANE"))

    def test_a_pattern_of_components_fits_a_name_without_them(self) -> None:
        self.assertTrue(meets("PN", "DOE^*", "DOE"))

    def test_a_pattern_of_a_component(self) -> None:
        self.assertTrue(meets("PN", "D*^J?NE", "DOE^JANE"))

    def test_a_question_mark_is_one_character_of_the_name_as_it_is_written(self) -> None:
        # A sharp s and a ligature are two letters each where case does not count.
        for asked, expected in (
            *(("STRA?E^*", True), ("stra??e^*", False), ("stra?*?e^*", False), ("*a?e^a?ra", True)),
            *(("strasse^*", True), ("?traSSe^*", True), ("stra\u00dfe^*a", True), ("stra?e^a????", False)),
        ):
            self.assertIs(meets("PN", asked, "Stra\u00dfe^A\ufb01ra"), expected, asked)

    @given(
        st.text("s\u00df*??", max_size=5).filter(lambda text: "?" in text),
        st.text("S\u00df\u0130", min_size=1, max_size=4),
    )
    def test_patterns_of_names_are_what_the_standard_says(self, pattern: str, name: str) -> None:
        expected = fits_by_characters(pattern.casefold(), [character.casefold() for character in name])
        self.assertEqual(meets("PN", pattern, name), expected)

    def test_one_group_may_be_any_of_those_of_a_name(self) -> None:
        for asked in ("Yamada^Tarou", "山田^太郎", "やまだ^たろう"):
            self.assertTrue(meets("PN", asked, "Yamada^Tarou=山田^太郎=やまだ^たろう"), asked)

    def test_several_groups_are_each_in_their_place(self) -> None:
        self.assertFalse(meets("PN", "Yamada^Tarou=やまだ^たろう", "Yamada^Tarou=山田^太郎=やまだ^たろう"))

    def test_an_empty_group_asks_for_any(self) -> None:
        self.assertTrue(meets("PN", "=山田*", "Yamada^Tarou=山田^太郎"))

    def test_a_name_has_three_groups_whatever_is_asked(self) -> None:
        self.assertTrue(meets("PN", "=" * 500 + "Yamada", "Yamada^Tarou"))

    def test_a_long_name_is_not_remembered(self) -> None:
        before = matching._folded.cache_info().currsize
        folded_groups("A" * 10_000)
        self.assertEqual(matching._folded.cache_info().currsize, before)

    def test_a_group_that_the_name_does_not_have(self) -> None:
        self.assertFalse(meets("PN", "Yamada^Tarou=山田^太郎", "Yamada^Tarou"))


class DateTests(SynchronousTestCase):
    """PS3.4 C.2.2.2.5."""

    def test_a_day(self) -> None:
        self.assertTrue(meets("DA", "20240229", "20240229"))

    def test_a_day_as_it_was_once_written(self) -> None:
        self.assertTrue(meets("DA", "20240229", "2024.02.29"))

    def test_the_ends_belong_to_a_range(self) -> None:
        for day in ("20240101", "20240115", "20240131"):
            self.assertTrue(meets("DA", "20240101-20240131", day), day)

    def test_before_and_after_a_range(self) -> None:
        for day in ("20231231", "20240201"):
            self.assertFalse(meets("DA", "20240101-20240131", day), day)

    def test_an_end_that_is_in_no_calendar(self) -> None:
        answers = [meets("DA", "20230201-20230231", day) for day in ("20230131", "20230201", "20230228", "20230301")]
        self.assertEqual([False, True, True, False], answers)

    def test_a_day_as_it_was_once_written_is_in_such_a_range(self) -> None:
        for asked in ("20230201-20230231", "2023.02.01-2023.02.31"):
            self.assertEqual([True, False], [meets("DA", asked, day) for day in ("2023.02.28", "2023.03.01")], asked)

    def test_an_open_range_from_a_day_that_is_in_no_calendar(self) -> None:
        self.assertEqual([False, True], [meets("DA", "20230231-", day) for day in ("20230228", "20230301")])

    def test_a_range_that_is_open_at_its_end(self) -> None:
        self.assertEqual([meets("DA", "20240101-", day) for day in ("20231231", "20240101")], [False, True])

    def test_a_range_that_is_open_at_its_beginning(self) -> None:
        self.assertEqual([meets("DA", "-20240101", day) for day in ("20240101", "20240102")], [True, False])

    def test_what_is_no_day_is_in_no_range(self) -> None:
        self.assertFalse(meets("DA", "20240101-", "soon"))

    def test_moments_are_compared_in_their_time_zones(self) -> None:
        self.assertTrue(meets("DT", "20240101120000+0000-20240101130000+0000", "20240101133000+0100"))


class TimeTests(SynchronousTestCase):
    def test_a_time_in_a_range(self) -> None:
        self.assertTrue(meets("TM", "1000-1100", "103000.5"))

    def test_the_end_of_a_range_lasts_its_minute(self) -> None:
        self.assertEqual([meets("TM", "1000-1100", time) for time in ("110059", "110100")], [True, False])

    def test_a_short_time_is_all_of_it(self) -> None:
        self.assertTrue(meets("TM", "10", "104530"))

    def test_a_time_as_it_was_once_written(self) -> None:
        self.assertTrue(meets("TM", "104530", "10:45:30"))

    def test_open_ranges(self) -> None:
        self.assertEqual([meets("TM", asked, "1200") for asked in ("1201-", "-1159", "1200-", "-1200")], [0, 0, 1, 1])

    def test_what_is_no_time_is_not_found(self) -> None:
        self.assertFalse(meets("TM", "0000-2359", "noon"))
