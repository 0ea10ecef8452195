"""UIDs as stems and tails, and their pseudonyms."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.pseudonyms.vault_uids import STEM_LENGTH, TAIL_DIGITS, UidCipher, split

CIPHER = UidCipher(bytes(range(32)))
OTHER = UidCipher(bytes(range(1, 33)))

_stems = st.binary(min_size=STEM_LENGTH, max_size=STEM_LENGTH).map(bytes.hex)
_tails = st.text("0123456789", max_size=TAIL_DIGITS)


class SplitTests(SynchronousTestCase):
    def test_where(self) -> None:
        for uid, stem, tail in (
            ("1.2.3", "1.2.", "3"),
            ("1.2.300", "1.2.", "300"),
            ("1.2.123456789012", "1.2.", "123456789012"),
            ("1.2.30000017091107244700000001234", "1.2.30000017091107244", "700000001234"),
            ("123", "", "123"),
            ("1.2.", "1.2.", ""),
            ("", "", ""),
            # Digits, but none of ASCII.
            ("1.\u0661", "1.\u0661", ""),
        ):
            self.assertEqual(split(uid), (stem, tail))

    @given(st.text())
    def test_together_they_are_the_uid(self, text: str) -> None:
        stem, tail = split(text)
        assert tail is not None
        self.assertEqual(stem + tail, text)

    def test_it_shows_nobody(self) -> None:
        self.assertNotIn("4711", repr(split("1.2.4711")))


class CipherTests(SynchronousTestCase):
    @given(_stems, _tails)
    def test_there_and_back(self, stem: str, tail: str) -> None:
        self.assertEqual(CIPHER.split(CIPHER.pseudonym(stem, tail)), (stem, tail))

    @given(_stems, _tails)
    def test_it_is_a_uid(self, stem: str, tail: str) -> None:
        self.assertRegex(CIPHER.pseudonym(stem, tail), r"\A2\.25\.(0|[1-9][0-9]{0,38})\Z")

    @given(_stems, _tails)
    def test_the_key_decides(self, stem: str, tail: str) -> None:
        self.assertNotEqual(CIPHER.pseudonym(stem, tail), OTHER.pseudonym(stem, tail))
        self.assertNotEqual(OTHER.split(CIPHER.pseudonym(stem, tail)).stem, stem)

    @given(st.text().filter(lambda text: not text.startswith("2.25.")))
    def test_any_text_may_be_asked_about(self, text: str) -> None:
        self.assertEqual(CIPHER.split(text), (text, None))

    @given(st.integers(0, 2**128 - 1))
    def test_any_number_is_the_pseudonym_of_one_thing_at_most(self, number: int) -> None:
        stem, tail = CIPHER.split(f"2.25.{number}")
        if tail is not None:
            self.assertEqual(CIPHER.pseudonym(stem, tail), f"2.25.{number}")

    def test_what_no_pseudonym_looks_like(self) -> None:
        for text in (f"2.25.{2**128}", "2.25.01", "2.25.", "2.25.1.1", "2.25.-1", " 2.25.1", "2.25.\u0661"):
            self.assertEqual(CIPHER.split(text), (text, None))
