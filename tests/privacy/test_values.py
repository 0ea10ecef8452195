"""Text in the character sets of the standard."""

from __future__ import annotations

import warnings
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.trial.unittest import TestCase

from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.values import MAX_TEXT, Unreadable, check_pseudonym, encode, texts_of

#: Specific Character Set, and a text of it.
TEXTS = {
    b"ISO_IR 100": "Müller^Jürgen",
    b"ISO_IR 101": "Wałęsa^Ó",
    b"ISO_IR 126": "Διονυσιος",
    b"ISO_IR 127": "قباني^لنزار",
    b"ISO_IR 138": "שרון^דבורה",
    b"ISO_IR 144": "Люксембург",
    b"ISO_IR 148": "Çavuşoğlu",
    b"ISO_IR 166": "สมชาย",
    b"ISO_IR 192": "Wang^XiaoDong=王^小东",
    b"GB18030": "Wang^XiaoDong=王^小东",
    b"GBK": "Wang^XiaoDong=王^小东",
    b"ISO_IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    b"\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    b"\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
}


def pydicom_bytes(text: str | list[str], character_set: bytes, keyword: str = "PatientName") -> bytes:
    """The value field that pydicom writes."""
    data_set = Dataset()
    data_set.SpecificCharacterSet = character_set.decode().split("\\")
    setattr(data_set, keyword, text)
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, True
    write_dataset(out, data_set)
    encoded = out.getvalue()
    return encoded[encoded.index(bytes((0x10, 0, 0x10, 0) if keyword == "PatientName" else (0x10, 0, 0, 0x10))) + 8 :]


def pydicom_text(raw: bytes, character_set: bytes) -> str:
    """What pydicom reads in a value field of VR PN."""
    padded_set = character_set + b" " * (len(character_set) % 2)
    padded = raw + b" " * (len(raw) % 2)
    encoded = b"\x08\0\x05\0" + len(padded_set).to_bytes(4, "little") + padded_set
    encoded += b"\x10\0\x10\0" + len(padded).to_bytes(4, "little") + padded
    return str(read_dataset(BytesIO(encoded), is_implicit_VR=True, is_little_endian=True).PatientName)


class TextsOf(TestCase):
    def test_padding_is_no_part_of_a_value(self) -> None:
        self.assertEqual(texts_of(b"1.2.3\0", "UI", b""), ["1.2.3"])
        self.assertEqual(texts_of(b" A \\B ", "LO", b""), ["A", "B"])

    def test_an_empty_value_keeps_its_place(self) -> None:
        self.assertEqual(texts_of(b"A\\\\C", "LO", b""), ["A", "", "C"])

    def test_one_text_may_have_backslashes_and_leading_spaces(self) -> None:
        self.assertEqual(texts_of(b"  C:\\path ", "ST", b""), ["  C:\\path"])

    def test_every_character_set_is_read_as_pydicom_writes_it(self) -> None:
        for character_set, text in TEXTS.items():
            self.assertEqual(texts_of(pydicom_bytes(text, character_set), "PN", character_set), [text], character_set)

    def test_the_second_byte_of_a_character_is_no_backslash(self) -> None:
        for character_set, text in ((b"GBK", "誠"), (b"GB18030", "誠")):
            raw = text.encode("gbk")
            self.assertIn(0x5C, raw)
            self.assertEqual(texts_of(raw + b"\\" + raw, "LO", character_set), [text, text])

    def test_escape_sequences_may_hide_backslashes_too(self) -> None:
        # HIRAGANA LETTER ZO is 24 3E, KATAKANA LETTER MI 25 5F; FULLWIDTH TILDE-like signs are 21 5C.
        raw = b"\x1b$B!\\\x1b(B"
        self.assertEqual(texts_of(raw, "LO", b"\\ISO 2022 IR 87"), [raw.decode("iso2022_jp")])

    def test_the_first_character_set_is_back_after_a_backslash(self) -> None:
        raw = "Люк".encode("iso8859_5")
        found = texts_of(b"\x1b-L" + raw + b"\\\xdcbel", "LO", b"ISO_IR 100\\ISO 2022 IR 144")
        self.assertEqual(found, ["Люк", "Übel"])
        for delimiter in ("^", "=", "\\"):
            name = b"\x1b-L" + raw + delimiter.encode() + b"\xdcbel"
            found = texts_of(name, "PN", b"ISO_IR 100\\ISO 2022 IR 144")
            self.assertEqual(found, f"Люк{delimiter}Übel".split("\\"))

    def test_the_default_repertoire_is_read_as_its_writers_mean_it(self) -> None:
        self.assertEqual(texts_of(b"M\xfcller", "PN", b""), ["Müller"])

    def test_bytes_of_another_character_set_are_not_readable(self) -> None:
        for raw, character_set in (
            (b"M\xfcller", b"ISO_IR 192"),
            (b"\xff\xff", b"GB18030"),
            (b"\x1b$B\xff", b"\\ISO 2022 IR 87"),
            (b"\xff\x1b$B!!\x1b(J", b"ISO_IR 13\\ISO 2022 IR 87"),
            (b"\x1b$)C\xff\xff", b"\\ISO 2022 IR 149"),
        ):
            self.assertRaises(Unreadable, texts_of, raw, "LO", character_set)

    def test_an_unknown_character_set_is_not_readable_beyond_ascii(self) -> None:
        self.assertEqual(texts_of(b"Abc", "LO", b"ISO_IR 999"), ["Abc"])
        self.assertRaises(Unreadable, texts_of, b"\xe4bc", "LO", b"ISO_IR 999")

    def test_character_sets_do_not_extend_other_vrs(self) -> None:
        self.assertRaises(Unreadable, texts_of, b"\xe4", "CS", b"ISO_IR 100")

    def test_no_error_and_no_warning_tells_a_value(self) -> None:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            error = self.assertRaises(Unreadable, texts_of, b"\x1b$(Qsecret", "LO", b"\\ISO 2022 IR 87")
        self.assertEqual((str(error), told), ("", []))

    @given(st.binary(max_size=40), st.sampled_from(["LO", "PN", "UT", "CS"]), st.sampled_from(sorted(TEXTS)))
    def test_it_reads_or_says_that_it_cannot(self, raw: bytes, vr: str, character_set: bytes) -> None:
        try:
            found = texts_of(raw, vr, character_set)
        except Unreadable:
            return
        self.assertTrue(found)


class CharacterSets(TestCase):
    def test_a_text_beyond_ascii_is_read_up_to_a_limit(self) -> None:
        self.assertEqual(len(texts_of(b"\xfc" * MAX_TEXT, "UT", b"ISO_IR 100")[0]), MAX_TEXT)
        self.assertRaises(Unreadable, texts_of, b"\xfc" * (MAX_TEXT + 1), "UT", b"ISO_IR 100")

    def test_more_than_there_are_are_not_read(self) -> None:
        self.assertRaises(Unreadable, texts_of, b"\xfc", "LO", b"ISO_IR 100\\" * 94)


class Encode(TestCase):
    def test_what_is_written_is_read_again(self) -> None:
        for character_set, text in TEXTS.items():
            self.assertEqual(texts_of(encode(text, "PN", character_set), "PN", character_set), [text], character_set)

    def test_pydicom_reads_what_is_written(self) -> None:
        for character_set, text in TEXTS.items():
            read = pydicom_text(encode(text, "PN", character_set), character_set)
            self.assertEqual(read.rstrip("="), text.rstrip("="), character_set)

    def test_what_a_character_set_cannot_say_is_not_written(self) -> None:
        for character_set in (b"", b"ISO_IR 100", b"ISO_IR 13\\ISO 2022 IR 87", b"ISO_IR 999"):
            self.assertRaises(
                Unreadable,
                encode,
                "Люк",
                "LO" if character_set != b"ISO_IR 13\\ISO 2022 IR 87" else "CS",
                character_set,
            )

    def test_the_default_repertoire_says_ascii_only(self) -> None:
        self.assertRaises(Unreadable, encode, "Müller", "PN", b"")

    @given(st.text(max_size=20), st.sampled_from(sorted(TEXTS)))
    def test_it_writes_what_can_be_read_or_nothing(self, text: str, character_set: bytes) -> None:
        text = text.replace("\\", "").strip(" \0")
        try:
            raw = encode(text, "LO", character_set)
        except Unreadable:
            return
        if "\x1b" not in text:
            self.assertEqual(texts_of(raw, "LO", character_set), [text])


class CheckPseudonym(TestCase):
    def test_a_uid(self) -> None:
        check_pseudonym("UI", "2.25.329800735698586629295641978511506172918")
        for text in ("", "1", "1.02", "1..2", "1.2.", ".1.2", "1.2a", "1.2 ", "1." + "2" * 63, "None"):
            self.assertRaises(OperationRefused, check_pseudonym, "UI", text)

    def test_the_longest_of_each_vr(self) -> None:
        for vr, length in (("SH", 16), ("LO", 64), ("PN", 64), ("AE", 16), ("CS", 16)):
            check_pseudonym(vr, "A" * length)
            self.assertRaises(OperationRefused, check_pseudonym, vr, "A" * (length + 1))

    def test_nothing_that_delimits_or_matches_or_is_trimmed(self) -> None:
        for text in ("", " A", "A ", "A\\B", "A*", "A?", "A\n", "Ä", "A\0"):
            self.assertRaises(OperationRefused, check_pseudonym, "LO", text)

    def test_a_code_string_has_its_own_repertoire(self) -> None:
        check_pseudonym("CS", "PSN_1 A")
        self.assertRaises(OperationRefused, check_pseudonym, "CS", "psn")

    def test_no_pseudonym_stands_in_any_other_vr(self) -> None:
        for vr in ("DA", "SQ", "OB", "UN", "US"):
            self.assertRaises(OperationRefused, check_pseudonym, vr, "1")

    def test_the_refusal_does_not_tell_it(self) -> None:
        error = self.assertRaises(OperationRefused, check_pseudonym, "UI", "secret")
        self.assertNotIn("secret", str(error))
