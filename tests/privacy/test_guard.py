"""What the last look finds, and what it does not take for a find."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.errors import OperationRefused
from dimseproxy.privacy import guard as module
from dimseproxy.privacy.guard import Guard, Known
from dimseproxy.privacy.plans import GUARDED, PATIENT_BIRTH_DATE, PATIENT_ID, PATIENT_NAME
from tests.privacy.searching import finds, slices


def guard(*values: str, own: tuple[str, ...] = ()) -> Guard:
    made = Guard(own)
    for value in values:
        made.add(value)
    return made


def name_guard(name: str, character_sets: bytes = b"") -> Guard:
    made = Guard()
    made.add_name(name, character_sets)
    return made


class Identifiers(TestCase):
    def test_an_identifier_is_found(self) -> None:
        self.assertTrue(finds(guard("PAT-4711").search([b"see PAT-4711."])))

    def test_without_values_nothing_is_found(self) -> None:
        self.assertFalse(finds(Guard().search([b"PAT-4711"])))

    def test_one_that_is_told_more_does_not_look_for_what_was_forgotten(self) -> None:
        made = Guard()
        made.forget("20240115")
        self.assertFalse(finds(made.told([made.needles_of("20240115")]).search([b"on 20240115"])))

    def test_one_that_is_told_more_finds_both_and_the_first_one_does_not(self) -> None:
        first = guard("PAT-4711", own=("OUR WORDS",))
        told = first.told(map(first.needles_of, ["1.2.3.4", "our words"]))
        self.assertTrue(finds(told.search([b"see PAT-4711"])) and finds(told.search([b"1.2.3.4"])))
        self.assertFalse(finds(told.search([b"our words"])) or finds(first.search([b"1.2.3.4"])))

    def test_case_does_not_matter(self) -> None:
        self.assertTrue(finds(guard("Pat-4711").search([b"pAT-4711"])))

    def test_it_is_found_across_two_pieces(self) -> None:
        self.assertTrue(finds(guard("PAT-4711").search([b"x PAT", memoryview(b"-4711 x")])))

    def test_a_search_that_would_take_too_long_is_refused(self) -> None:
        self.patch(module, "MAX_SEARCHED", 40)
        self.patch(module, "MIN_SEARCHED", 1)
        self.assertFalse(finds(guard("PAT-4711", "PAT-4712").search([b"x" * 20])))
        self.assertRaises(OperationRefused, guard("PAT-4711", "PAT-4712").search, [b"x" * 21])

    def test_a_search_in_much_text_gives_way_in_between(self) -> None:
        self.patch(module, "SLICE", 1000)
        self.assertGreaterEqual(slices(guard("PAT-4711", "PAT-4712").search([b"x" * 10_000])), 20)

    def test_it_finds_what_lies_across_two_slices(self) -> None:
        self.patch(module, "SLICE", 100)
        for at in range(80, 230):
            self.assertTrue(finds(guard("Pat-4711").search([b"x" * at + b"PAT-4711" + b"x" * (300 - at)])), at)
            self.assertFalse(finds(guard("47110").search([b"x" * at + b"747110" + b"x" * (300 - at)])), at)
            self.assertTrue(finds(guard("47110").search([b"x" * at + b"47110" + b"x" * (300 - at)])), at)

    def test_so_does_one_in_text_that_is_full_of_what_is_none(self) -> None:
        searching = guard("11111").search([b"1" * 100_000])
        self.assertGreaterEqual(slices(searching), 10)

    def test_a_few_values_are_looked_for_in_text_of_any_length(self) -> None:
        self.patch(module, "MAX_SEARCHED", 40)
        self.assertTrue(finds(guard("PAT-4711", "PAT-4712").search([b"x" * 1_000_000 + b"PAT-4712"])))

    def test_it_ends_where_that_takes_too_long(self) -> None:
        self.patch(module, "MAX_SEARCHED", 10_000_000)
        self.assertRaises(OperationRefused, finds, guard("11111").search([b"1" * 100_000]))

    def test_many_values_in_a_short_text_are_looked_for(self) -> None:
        needles = guard(*(f"PAT-{number:06}" for number in range(4000)))
        self.assertFalse(finds(needles.search([b"x" * 100_000])))
        self.assertTrue(finds(needles.search([b"x" * 100_000 + b"PAT-003999"])))

    def test_short_values_are_not_looked_for(self) -> None:
        self.assertFalse(finds(guard("A71").search([b"A71"])))

    def test_short_numbers_are_not_looked_for(self) -> None:
        self.assertFalse(finds(guard("1024", "2000").search([b"-1024 ", b"2000"])))

    def test_a_name_within_a_pseudonym_of_ours_is_none(self) -> None:
        needles = Guard()
        needles.add_name("Lee^Kim")
        self.assertTrue(finds(needles.search([b"AB2LEE7XAB2CDE7X"])))
        self.assertFalse(finds(needles.search([b"AB2LEE7XAB2CDE7X"], ["AB2LEE7XAB2CDE7X"])))

    def test_one_that_was_made_of_it_is_one(self) -> None:
        needles = guard("PAT4711-0815", "Meier")
        for pseudonym in ("MEIER01", "psn-Meier-00000001", "PAT4711-0815"):
            self.assertTrue(finds(needles.search([pseudonym.encode()], [pseudonym])), pseudonym)

    def test_beside_it_it_is_one(self) -> None:
        needles = Guard()
        needles.add_name("Lee^Kim")
        self.assertTrue(finds(needles.search([b"AB2LEE7XAB2CDE7X, Lee"], ["AB2LEE7XAB2CDE7X", "EE"])))

    def test_a_number_within_a_longer_number_is_another(self) -> None:
        self.assertFalse(finds(guard("471147").search([b"2.25.947114723", b" 1471147", b"4711470"])))

    def test_it_looks_beyond_a_number_that_is_another(self) -> None:
        self.assertTrue(finds(guard("471147").search([b"4711472 471147"])))

    def test_a_number_beside_letters_is_found(self) -> None:
        self.assertTrue(finds(guard("471147").search([b"PAT471147X"])))

    def test_a_long_number_is_found_anywhere(self) -> None:
        self.assertTrue(finds(guard("123456789012").search([b"91234567890129"])))

    def test_lengths_and_tags_are_no_neighbours(self) -> None:
        # Implicit and explicit little endian: the next group is 0038; big endian: the length is 48.
        self.assertTrue(finds(guard("471147").search([b"\x06\0\0\0" + b"471147" + b"\x38\0\x10\0"])))
        self.assertTrue(finds(guard("471147").search([b"LO\x00\x30" + b"471147 and so on"])))

    def test_what_we_write_ourselves_is_no_find(self) -> None:
        self.assertFalse(finds(guard("ANONYM", own=("ANONYMIZED",)).search([b"ANONYMIZED"])))

    def test_what_is_forgotten_is_not_found(self) -> None:
        made = guard("PAT-4711")
        made.forget("PAT-4711")
        self.assertFalse(finds(made.search([b"PAT-4711"])))


class Names(TestCase):
    def test_each_component_is_found(self) -> None:
        for text in (b"for Mr. MEIER", b"erika's scan"):
            self.assertTrue(finds(name_guard("Meier^Erika").search([text])), text)

    def test_short_names_are_words(self) -> None:
        self.assertFalse(finds(name_guard("Ann^Lee").search([b"SCANNER SLEEPS"])))
        self.assertTrue(finds(name_guard("Ann^Lee").search([b"CT of Ann"])))

    def test_initials_are_not_looked_for(self) -> None:
        self.assertFalse(finds(name_guard("X^Y^Z^Dr").search([b"X Y Z DR"])))

    def test_two_bytes_are_too_common_to_be_a_name(self) -> None:
        self.assertFalse(finds(name_guard("Öz", b"ISO_IR 100").search([b"\0\xd6z\0"])))

    def test_every_group_of_a_name_counts(self) -> None:
        name, character_sets = "Yamada^Tarou=山田^太郎=やまだ^たろう", b"\\ISO 2022 IR 87"
        for word in ("山田", "たろう"):
            for encoded in (word.encode("iso2022_jp"), word.encode("utf-8")):
                self.assertTrue(finds(name_guard(name, character_sets).search([b"x" + encoded + b"x"])), word)

    def test_umlauts_are_found_in_utf_8_and_latin_1(self) -> None:
        for encoding in ("utf-8", "latin-1"):
            self.assertTrue(
                finds(name_guard("Müller", b"ISO_IR 192").search(["bei Müller".encode(encoding)])), encoding
            )

    def test_cyrillic_is_found_as_it_stood(self) -> None:
        self.assertTrue(finds(name_guard("Люкс", b"ISO_IR 144").search(["Люкс".encode("iso8859_5")])))


class Dates(TestCase):
    def setUp(self) -> None:
        self.guard = Guard()
        self.guard.add_date("19700131")

    def test_a_birth_date_is_found(self) -> None:
        self.assertTrue(finds(self.guard.search([b"born 19700131"])))

    def test_it_is_found_at_the_beginning_of_a_date_time(self) -> None:
        self.assertTrue(finds(self.guard.search([b"19700131120000"])))

    def test_it_is_found_as_iso_8601_has_it(self) -> None:
        self.assertTrue(finds(self.guard.search([b"*1970-01-31"])))

    def test_digits_of_a_longer_number_are_no_date(self) -> None:
        self.assertFalse(finds(self.guard.search([b"2.25.3197001319"])))

    def test_what_is_no_date_is_not_looked_for(self) -> None:
        made = Guard()
        made.add_date("1970")
        self.assertFalse(finds(made.search([b"1970"])))


#: What names, numbers and dates are made of, and what may be wrong with them.
_TEXTS = st.lists(
    st.sampled_from(
        ["ANN", "Lee", "ab", "1", "4711", "19700131", "1970.01.31", "^", "=", "\\", " ", "\0", "\t", "Ö", "\x1b$B"]
    ),
    max_size=5,
).map("".join)


class FirstLooks(TestCase):
    """What is said not to be there, before anything is looked for, the guard does not find."""

    def known(self, values: list[tuple[int, str]], mapped: list[str]) -> Known:
        known = Known(())
        for tag, text in values:
            known.add(tag, text.encode("latin-1"), b"ISO_IR 100")
        known.add_mapped(mapped)
        return known

    @settings(max_examples=300)
    @given(
        st.lists(st.tuples(st.sampled_from(sorted(GUARDED)), _TEXTS), max_size=4),
        st.lists(_TEXTS, max_size=2),
        st.data(),
    )
    def test_the_guard_finds_nothing_then(
        self, values: list[tuple[int, str]], mapped: list[str], data: st.DataObject
    ) -> None:
        texts = [*mapped, *(text for _, text in values)]
        words = [word for text in texts for word in re.split(r"[\\^=]", text)]
        days = [word.replace(".", "").strip() for word in words]
        days += [f"{day[:4]}-{day[4:6]}-{day[6:]}" for day in days]
        written = st.sampled_from(["", "x", " ", "9", "\0", *texts, *words, *(word.strip() for word in words), *days])
        leaving = "".join(data.draw(st.lists(written, max_size=4))).lower().encode("latin-1")
        is_there = self.known(values, mapped).may_stand_in(leaving)
        is_found = finds(self.known(values, mapped).guard().search([leaving]))
        self.assertTrue(is_there or not is_found)

    def test_what_is_not_there_is_seen(self) -> None:
        known = self.known(
            [(PATIENT_NAME, "Meier^Erika"), (PATIENT_ID, "4711-08"), (PATIENT_BIRTH_DATE, "19700131")], ["1.2.3"]
        )
        self.assertFalse(known.may_stand_in(b"CT of the ABDOMEN, 20240115"))
        for text in (b"erika", b"4711-08", b"1970-01-31", b"19700131", b"1.2.3"):
            self.assertTrue(known.may_stand_in(b"x" + text + b"x"), text)
        self.assertTrue(self.known([(PATIENT_BIRTH_DATE, "1970.01.31")], []).may_stand_in(b"19700131"))

    def test_so_is_each_of_several_names(self) -> None:
        known = self.known([(0x00101001, "Huber^Anna\\Meier^Bert")], [])
        for text in (b"anna", b"MEIER"):
            self.assertTrue(known.may_stand_in(text), text)

    def test_spaces_of_a_value_that_is_short_without_them_count(self) -> None:
        self.assertTrue(self.known([], ["   A"]).may_stand_in(b"x   A x"))

    def test_of_very_many_the_guard_says_it(self) -> None:
        self.assertTrue(self.known([(0x00101000, "\\".join(map(str, range(5000, 5100))))], []).may_stand_in(b"x"))

    def test_a_guard_that_was_told_already_looks(self) -> None:
        known = self.known([(PATIENT_ID, "4711-08")], [])
        known.guard()
        self.assertTrue(known.may_stand_in(b"4711-08"))
