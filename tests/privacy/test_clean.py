"""Words that stay and words that go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.privacy.clean import clean
from dimseproxy.privacy.vocabulary import VOCABULARY

WORDS = frozenset(("ct", "abdomen", "schädel", "axial", "mm"))


class Clean(TestCase):
    def test_words_of_the_vocabulary_stay_as_they_are_written(self) -> None:
        self.assertEqual(clean("CT Schädel, axial", WORDS), "CT Schädel, axial")

    def test_a_name_between_words_goes(self) -> None:
        self.assertEqual(clean("CT Abdomen (Herr Meier) axial", WORDS), "CT Abdomen axial")

    def test_nothing_is_left_of_unknown_words(self) -> None:
        self.assertEqual(clean("Meier, Erika: dringend!", WORDS), "")

    def test_a_word_is_not_known_for_a_part_of_it(self) -> None:
        self.assertEqual(clean("Abdomenschmidt", WORDS), "")

    def test_short_numbers_and_single_letters_stay(self) -> None:
        self.assertEqual(clean("CT 1.5 mm T2 L5/S1 R", WORDS), "CT 1.5 mm T2 L5/S1 R")

    def test_long_numbers_go(self) -> None:
        self.assertEqual(clean("CT 4711 axial 19700101", WORDS), "CT axial")

    def test_numbers_side_by_side_go(self) -> None:
        for text in ("01.02.70", "12/05", "030 123 456", "1-2", "01.02.1970"):
            self.assertEqual(clean(text, WORDS), "", text)

    def test_a_superscript_makes_no_number_of_a_name(self) -> None:
        self.assertEqual(clean("²Meier axial", WORDS), "axial")

    @given(st.text(max_size=60))
    def test_every_word_that_stays_is_known(self, text: str) -> None:
        for word in clean(text, VOCABULARY).replace("_", " ").split():
            letters = "".join(character if character.isalpha() else " " for character in word).split()
            self.assertTrue(all(part.lower() in VOCABULARY or len(part) == 1 for part in letters), letters)
