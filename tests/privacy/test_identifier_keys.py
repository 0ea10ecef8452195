"""Identifiers as trees of keys, with pydicom as the second opinion."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO
from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identifier_keys import MAX_KEYS, MAX_LENGTH, MAX_NESTING, Key, read_keys, write_keys
from tests.ul.strategies import PROPERTY

IMPLICIT = Encoding(True)
EXPLICIT = Encoding(False)
BIG_ENDIAN = Encoding(False, is_little_endian=False)
DEFLATED = Encoding(False, is_deflated=True)
ENCODINGS = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED)

TEXTS = st.text("ABC 123*?^\\", max_size=12)
#: Attributes of several VRs, one of them binary and one of VR UT.
TAGS = ("PatientID", "PatientName", "StudyDate", "StudyInstanceUID", "ModalitiesInStudy", "Rows", "TextValue")


def encoded(data_set: Dataset, encoding: Encoding, *, is_undefined: bool = False) -> bytes:
    """A data set as pydicom writes it; with sequences and items of undefined length where that is asked for."""
    if is_undefined:
        _undefine(data_set)
    out = DicomBytesIO()
    out.is_implicit_VR = encoding.is_implicit
    out.is_little_endian = encoding.is_little_endian
    write_dataset(out, data_set)
    data = out.getvalue()
    return zlib.compress(data, wbits=-15) if encoding.is_deflated else data


def decoded(data: bytes, encoding: Encoding) -> Dataset:
    if encoding.is_deflated:
        data = zlib.decompress(data, wbits=-15)
    return read_dataset(BytesIO(data), encoding.is_implicit, encoding.is_little_endian)


def _undefine(data_set: Dataset) -> None:
    for element in data_set:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _undefine(item)


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 2) -> Dataset:
    data_set = Dataset()
    for keyword in draw(st.sets(st.sampled_from(TAGS))):
        if keyword == "Rows":
            data_set.Rows = draw(st.integers(0, 65535))
        elif keyword == "StudyDate":
            data_set.StudyDate = draw(st.sampled_from(("", "20200101", "20200101-20200102")))
        elif keyword == "ModalitiesInStudy":
            data_set.ModalitiesInStudy = draw(st.sampled_from((None, "CT", ["CT", "MR"])))
        elif keyword == "StudyInstanceUID":
            data_set.StudyInstanceUID = draw(st.lists(st.sampled_from(("1.2.3", "2.25.99")), max_size=3))
        else:
            data_set.add_new(keyword, dictionary_VR(keyword), draw(TEXTS))
    if depth and draw(st.booleans()):
        data_set.RequestAttributesSequence = Sequence(draw(st.lists(data_sets(depth - 1), max_size=2)))
    return data_set


class RoundTripTests(SynchronousTestCase):
    @PROPERTY
    @given(data_sets(), st.sampled_from(ENCODINGS), st.booleans())
    def test_what_pydicom_wrote_is_what_pydicom_reads_again(
        self, data_set: Dataset, encoding: Encoding, is_undefined: bool
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = encoded(data_set, encoding, is_undefined=is_undefined)
            written = write_keys(read_keys(whole, encoding), encoding)
            self.assertEqual(decoded(written, encoding), decoded(whole, encoding))

    @PROPERTY
    @given(data_sets(), st.sampled_from((IMPLICIT, EXPLICIT, BIG_ENDIAN)), st.data())
    def test_what_is_cut_short_is_refused(self, data_set: Dataset, encoding: Encoding, data: st.DataObject) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = encoded(data_set, encoding)
        ends = {len(write_keys(read_keys(whole, encoding)[:count], encoding)) for count in range(len(data_set) + 1)}
        cut = data.draw(st.integers(0, len(whole)).filter(lambda length: length not in ends)) if len(whole) else None
        if cut is not None:
            self.assertRaises(OperationRefused, read_keys, whole[:cut], encoding)

    @PROPERTY
    @given(st.binary(max_size=200), st.sampled_from(ENCODINGS))
    def test_any_bytes_are_keys_or_refused(self, data: bytes, encoding: Encoding) -> None:
        try:
            keys = read_keys(data, encoding)
        except OperationRefused as refusal:
            self.assertEqual(refusal.status, Status.IDENTIFIER_DOES_NOT_MATCH)
        else:
            written = write_keys(keys, encoding)
            self.assertEqual(write_keys(read_keys(written, encoding), encoding), written)


def explicit(tag: int, vr: bytes, value: bytes) -> bytes:
    return pack("<HH", tag >> 16, tag & 0xFFFF) + vr + pack("<H", len(value)) + value


def explicit_long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    header = pack("<HH", tag >> 16, tag & 0xFFFF) + vr + bytes(2)
    return header + pack("<I", len(value) if length is None else length) + value


def item(content: bytes) -> bytes:
    return pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


PATIENT_ID = 0x00100020
REQUEST_ATTRIBUTES = 0x00400275
SEQUENCE_DELIMITATION = pack("<HHI", 0xFFFE, 0xE0DD, 0)


class ReadingTests(SynchronousTestCase):
    def assert_refused(self, data: bytes, encoding: Encoding = EXPLICIT, comment: str = "") -> None:
        refusal = self.assertRaises(OperationRefused, read_keys, data, encoding)
        self.assertEqual(refusal.status, Status.IDENTIFIER_DOES_NOT_MATCH)
        self.assertIn(comment, refusal.comment)

    def test_more_character_sets_than_there_are_are_refused(self) -> None:
        self.assert_refused(explicit(0x00080005, b"CS", b"ISO_IR 100\\" * 94), comment="character sets")

    def test_keys_come_in_the_order_of_their_tags(self) -> None:
        data = explicit(PATIENT_ID, b"LO", b"AB") + explicit(0x00080020, b"DA", b"")
        self.assertEqual([key.tag for key in read_keys(data, EXPLICIT)], [0x00080020, PATIENT_ID])

    def test_a_group_length_is_left_out(self) -> None:
        data = explicit(0x00100000, b"UL", b"\x0a\0\0\0") + explicit(PATIENT_ID, b"LO", b"AB")
        self.assertEqual(read_keys(data, EXPLICIT), (Key(PATIENT_ID, "LO", b"AB"),))

    def test_text_of_vr_un_is_what_the_dictionary_says(self) -> None:
        self.assertEqual(read_keys(explicit_long(PATIENT_ID, b"UN", b"AB"), EXPLICIT), (Key(PATIENT_ID, "LO", b"AB"),))

    def test_a_sequence_of_vr_un_is_read_as_implicit_vr(self) -> None:
        content = item(pack("<HHI", 0x0010, 0x0020, 2) + b"AB")
        expected = (Key(REQUEST_ATTRIBUTES, "SQ", items=((Key(PATIENT_ID, "LO", b"AB"),),)),)
        for length, data in ((None, content), (0xFFFFFFFF, content + SEQUENCE_DELIMITATION)):
            with self.subTest(length=length):
                self.assertEqual(read_keys(explicit_long(REQUEST_ATTRIBUTES, b"UN", data, length), EXPLICIT), expected)

    def test_so_is_a_private_one_of_undefined_length(self) -> None:
        content = item(pack("<HHI", 0x0010, 0x0020, 2) + b"AB") + SEQUENCE_DELIMITATION
        self.assertEqual(
            read_keys(explicit_long(0x00091001, b"UN", content, 0xFFFFFFFF), EXPLICIT),
            (Key(0x00091001, "SQ", items=((Key(PATIENT_ID, "LO", b"AB"),),)),),
        )

    def test_a_sequence_of_vr_un_has_no_place_among_big_endian_values(self) -> None:
        self.assert_refused(b"\x00\x40\x02\x75UN\0\0\0\0\0\0", BIG_ENDIAN, "cannot be read")

    def test_what_follows_a_sequence_of_vr_un_is_explicit_again(self) -> None:
        data = explicit_long(REQUEST_ATTRIBUTES, b"UN", b"") + explicit(0x00401001, b"SH", b"AB")
        self.assertEqual(read_keys(data, EXPLICIT)[1], Key(0x00401001, "SH", b"AB"))

    def test_a_private_creator_is_text_in_implicit_vr_too(self) -> None:
        data = pack("<HHI", 0x0009, 0x0010, 4) + b"ACME" + pack("<HHI", 0x0009, 0x1001, 2) + b"AB"
        self.assertEqual([key.vr for key in read_keys(data, IMPLICIT)], ["LO", "UN"])

    def test_the_block_of_a_private_attribute(self) -> None:
        self.assertEqual([Key(tag, "LO").block for tag in (0x00090010, 0x00091001)], [0, 0x0910])

    def test_refused(self) -> None:
        for name, data, comment in (
            ("twice", explicit(PATIENT_ID, b"LO", b"AB") * 2, "twice"),
            ("unknown VR", explicit(PATIENT_ID, b"ZZ", b"AB"), "cannot be read"),
            ("VR that is none", explicit(PATIENT_ID, b"\0\0", b"AB"), "cannot be read"),
            ("command set", explicit(0x00000100, b"US", b"\0\0"), "cannot be read"),
            ("file meta information", explicit(0x00020010, b"UI", b"1.2\0"), "cannot be read"),
            ("item on its own", item(b""), "cannot be read"),
            ("delimitation on its own", SEQUENCE_DELIMITATION, "cannot be read"),
            ("sequence as text", explicit(REQUEST_ATTRIBUTES, b"LO", b"AB"), "wrong VR"),
            ("text as sequence", explicit_long(PATIENT_ID, b"SQ", b""), "wrong VR"),
            ("undefined length of a text", explicit_long(0x0040A160, b"UT", b"AB", 0xFFFFFFFF), "cut short"),
            ("length beyond the end", explicit_long(0x0040A160, b"UT", b"AB", 0xFFFFFFFE), "cut short"),
            ("item beyond its sequence", explicit_long(REQUEST_ATTRIBUTES, b"SQ", item(b"")[:-4] + b"\x02\0\0\0AB", 8),
             "cut short"),
            ("no item in a sequence", explicit_long(REQUEST_ATTRIBUTES, b"SQ", explicit(PATIENT_ID, b"LO", b"")),
             "cannot be read"),
            ("sequence without an end", explicit_long(REQUEST_ATTRIBUTES, b"SQ", item(b""), 0xFFFFFFFF), "cut short"),
            ("delimitation with a length",
             explicit_long(REQUEST_ATTRIBUTES, b"SQ", SEQUENCE_DELIMITATION[:-4] + b"\x08\0\0\0", 0xFFFFFFFF),
             "cannot be read"),
            ("trailing bytes", explicit(PATIENT_ID, b"LO", b"AB") + b"\0\0", "cut short"),
        ):  # fmt: skip
            with self.subTest(name):
                self.assert_refused(data, comment=comment)

    def test_nesting_ends_at_the_limit(self) -> None:
        data = b""
        for _ in range(MAX_NESTING):
            data = explicit_long(REQUEST_ATTRIBUTES, b"SQ", item(data))
        self.assertEqual(len(read_keys(data, EXPLICIT)), 1)
        self.assert_refused(explicit_long(REQUEST_ATTRIBUTES, b"SQ", item(data)), comment="nests too deep")

    def test_a_hundred_thousand_sequences_in_one_another_are_refused(self) -> None:
        opening = pack("<HHII", 0x0040, 0x0275, 0xFFFFFFFF, 0xE000FFFE) + b"\xff\xff\xff\xff"
        self.assert_refused(opening * (MAX_LENGTH // len(opening)), IMPLICIT, "nests too deep")

    def test_length_ends_at_the_limit(self) -> None:
        fits = explicit_long(0x0040A160, b"UT", b"A" * (MAX_LENGTH - 12))
        self.assertEqual(len(read_keys(fits, EXPLICIT)), 1)
        self.assert_refused(fits + b"  ", comment="too long")

    def test_the_number_of_keys_ends_at_the_limit(self) -> None:
        keys = [explicit(0x00091000 + number, b"LO", b"") for number in range(MAX_KEYS + 1)]
        self.assertEqual(len(read_keys(b"".join(keys[:-1]), EXPLICIT)), MAX_KEYS)
        self.assert_refused(b"".join(keys), comment="too many keys")

    def test_items_and_their_keys_count_too(self) -> None:
        for content in (explicit(PATIENT_ID, b"LO", b""), b""):
            with self.subTest(content=content):
                items = item(content) * MAX_KEYS
                self.assert_refused(explicit_long(REQUEST_ATTRIBUTES, b"SQ", items), comment="too many keys")

    def test_inflation_ends_at_the_limit(self) -> None:
        bomb = zlib.compress(bytes(100 * MAX_LENGTH), wbits=-15)
        self.assert_refused(bomb, DEFLATED, "too long")

    def test_a_deflated_identifier_is_whole(self) -> None:
        data = zlib.compress(explicit(PATIENT_ID, b"LO", b"AB"), wbits=-15)
        self.assert_refused(data[:-2], DEFLATED, "cut short")
        self.assert_refused(b"\xff" + data, DEFLATED, "inflated")
        endless = zlib.compressobj(wbits=-15)
        self.assert_refused(
            endless.compress(explicit(PATIENT_ID, b"LO", b"AB")) + endless.flush(zlib.Z_SYNC_FLUSH), DEFLATED, "cut"
        )

    def test_no_value_is_in_a_repr(self) -> None:
        keys = (Key(PATIENT_ID, "LO", b"SECRET"), Key(1, "SQ", items=((Key(PATIENT_ID, "LO", b"SECRET"),),)))
        self.assertNotIn("SECRET", repr(keys))


class WritingTests(SynchronousTestCase):
    def test_values_get_the_padding_of_their_vr(self) -> None:
        keys = (Key(0x00080018, "UI", b"1.2"), Key(PATIENT_ID, "LO", b"ABC"), Key(0x00280010, "UN", b"1"))
        self.assertEqual([key.value for key in read_keys(write_keys(keys, EXPLICIT), EXPLICIT)], [
            b"1.2\0", b"ABC ", b"1\0",
        ])  # fmt: skip

    def test_a_value_too_long_for_a_short_vr_is_refused(self) -> None:
        uids = b"\\".join([b"1.2.840.99999"] * 10_000)
        refusal = self.assertRaises(OperationRefused, write_keys, (Key(0x0020000D, "UI", uids),), EXPLICIT)
        self.assertIn("too many values", refusal.comment)

    def test_the_same_value_fits_in_implicit_vr(self) -> None:
        uids = b"\\".join([b"1.2.840.9999"] * 10_000)
        written = write_keys((Key(0x0020000D, "UI", uids),), IMPLICIT)
        self.assertEqual(read_keys(written, IMPLICIT)[0].value.rstrip(b"\0"), uids)

    def test_a_deflated_identifier_has_an_even_length(self) -> None:
        lengths = {len(write_keys((Key(PATIENT_ID, "LO", b"A" * size),), DEFLATED)) % 2 for size in range(40)}
        self.assertEqual(lengths, {0})
