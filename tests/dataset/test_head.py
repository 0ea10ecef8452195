"""A few values from the beginning of a data set that is still arriving."""

from __future__ import annotations

import warnings
import zlib
from io import BytesIO
from struct import pack
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset import head as module
from dimseproxy.dataset.frames import layout_of
from dimseproxy.dataset.head import (
    FAILED_SOP_INSTANCE_UID_LIST,
    MAX_HEAD_LENGTH,
    STUDY_INSTANCE_UID,
    TRANSACTION_UID,
    Head,
    failed_list,
)
from tests.ul.strategies import PROPERTY, chunkings

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG = "1.2.840.10008.1.2.4.90"
SYNTAXES = (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG)

STUDY = "1.2.826.0.1.3680043.9.7133"

#: A sequence of unknown VR, an item, and the ends of both, all of undefined length.
UN = pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
ITEM = pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
ENDS = pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)


def encoded(data_set: Dataset, syntax: str) -> bytes:
    """A data set as it crosses the network, sequences of undefined length included."""
    stream = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = DicomIO(stream)
        out.is_implicit_VR = syntax == IMPLICIT
        out.is_little_endian = syntax != BIG_ENDIAN
        write_dataset(out, data_set)
    data = stream.getvalue()
    if syntax == DEFLATED:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = compressor.compress(data) + compressor.flush()
    return data


def image(*, before: int = 0, pixels: int = 2000) -> Dataset:
    """An object with sequences before its study UID, both of undefined length, and something behind it."""
    data_set = Dataset()
    data_set.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data_set.PatientName = "DOE^JOHN"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3"
    # A study UID in an item is not the object's.
    inner.StudyInstanceUID = "1.2.3.999"
    outer = Dataset()
    outer.ReferencedSeriesSequence = Sequence([inner])
    outer["ReferencedSeriesSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    data_set.ReferencedStudySequence = Sequence([outer, inner])
    data_set["ReferencedStudySequence"].is_undefined_length = True
    if before:
        data_set.add_new(Tag(0x0009, 0x0010), "LO", "TEST")
        data_set.add_new(Tag(0x0009, 0x1000), "OB", bytes(before))
    data_set.StudyInstanceUID = STUDY
    data_set.PatientComments = "x"
    data_set.add_new(Tag(0x7FE0, 0x0010), "OB", bytes(pixels))
    return data_set


def fed(head: Head, *chunks: bytes, ends: bool = False) -> Head:
    for index, chunk in enumerate(chunks):
        head.feed([memoryview(chunk)], ends and index == len(chunks) - 1)
    return head


class FindingTests(SynchronousTestCase):
    def test_in_every_encoding(self) -> None:
        for syntax in SYNTAXES:
            head = fed(Head(syntax, [STUDY_INSTANCE_UID]), encoded(image(), syntax), ends=True)
            self.assertEqual(head.first(STUDY_INSTANCE_UID), STUDY, syntax)

    def test_long_before_the_end(self) -> None:
        for syntax in (IMPLICIT, EXPLICIT, BIG_ENDIAN, JPEG):
            data = encoded(image(pixels=100_000), syntax)
            head = fed(Head(syntax, [STUDY_INSTANCE_UID]), data[:3000])
            self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), (STUDY, True), syntax)

    @PROPERTY
    @given(st.sampled_from(SYNTAXES), st.data())
    def test_however_it_is_cut(self, syntax: str, data: st.DataObject) -> None:
        chunks = data.draw(chunkings(encoded(image(pixels=300), syntax)))
        head = fed(Head(syntax, [STUDY_INSTANCE_UID]), *chunks, ends=True)
        self.assertEqual(head.first(STUDY_INSTANCE_UID), STUDY)

    def test_a_value_that_is_cut_is_not_taken_for_whole(self) -> None:
        for syntax in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            data = encoded(image(), syntax)
            start = data.index(STUDY.encode())
            for size in range(start, start + len(STUDY) + 2):
                head = fed(Head(syntax, [STUDY_INSTANCE_UID]), data[:size])
                self.assertEqual(head.first(STUDY_INSTANCE_UID), "", (syntax, size))

    def test_the_last_element_counts_when_the_data_set_ends(self) -> None:
        data_set = Dataset()
        data_set.StudyInstanceUID = STUDY
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), encoded(data_set, IMPLICIT), ends=True)
        self.assertEqual(head.first(STUDY_INSTANCE_UID), STUDY)

    def test_several_values(self) -> None:
        data_set = Dataset()
        data_set.FailedSOPInstanceUIDList = ["1.2.3", "1.2.4", "1.2.5"]
        data_set.TransactionUID = "1.9"
        tags = [TRANSACTION_UID, FAILED_SOP_INSTANCE_UID_LIST]
        head = fed(Head(EXPLICIT, tags), encoded(data_set, EXPLICIT), ends=True)
        self.assertEqual(head.values[FAILED_SOP_INSTANCE_UID_LIST], ("1.2.3", "1.2.4", "1.2.5"))
        self.assertEqual(head.first(TRANSACTION_UID), "1.9")

    def test_an_empty_value_is_none(self) -> None:
        data_set = Dataset()
        data_set.StudyInstanceUID = ""
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), encoded(data_set, IMPLICIT), ends=True)
        self.assertEqual(head.first(STUDY_INSTANCE_UID), "")

    def test_absent_is_known_as_soon_as_it_is_passed(self) -> None:
        data_set = image()
        del data_set.StudyInstanceUID
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), encoded(data_set, IMPLICIT)[:1000])
        self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), ("", True))

    def _behind(self, before: bytes) -> str:
        """The study that comes after an element, in explicit VR little endian."""
        after = pack("<HH2sH", 0x0020, 0x000D, b"UI", 4) + b"1.2\0"
        return fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), before + after, ends=True).first(STUDY_INSTANCE_UID)

    def test_behind_a_sequence_of_unknown_vr(self) -> None:
        # Its items are in implicit VR (PS3.5 6.2.2), also those of a sequence within.
        inner = pack("<HHI", 0x0008, 0x1115, 0xFFFFFFFF) + ITEM + pack("<HHI", 0x0020, 0x000D, 2) + b"1\0" + ENDS
        self.assertEqual(self._behind(UN + ITEM + inner + ENDS), "1.2")

    def test_behind_an_encapsulated_value(self) -> None:
        fragments = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, 4) + b"1234" + ENDS[8:]
        self.assertEqual(self._behind(pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFFF) + fragments), "1.2")

    def test_behind_a_vr_that_nobody_knows(self) -> None:
        self.assertEqual(self._behind(pack("<HH2sHI", 0x0009, 0x1001, b"ZZ", 0, 4) + b"1234"), "1.2")

    def test_not_behind_what_is_no_vr(self) -> None:
        self.assertEqual(self._behind(pack("<HH2sHI", 0x0009, 0x1001, b"\0\0", 0, 4) + b"1234"), "")

    def test_not_behind_a_delimiter_of_nothing(self) -> None:
        self.assertEqual(self._behind(ENDS), "")

    def test_nothing_more_is_looked_for_when_it_is_complete(self) -> None:
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), encoded(image(), IMPLICIT), ends=True)
        head.feed([memoryview(b"whatever")], True)
        self.assertEqual(head.first(STUDY_INSTANCE_UID), STUDY)


class LimitTests(SynchronousTestCase):
    def test_what_lies_before_the_limit_is_found_wherever_the_looks_fall(self) -> None:
        # The first look is at a size just below, so that the next by growth would be beyond the limit.
        for first in (1, 100, MAX_HEAD_LENGTH // 2 + 1, MAX_HEAD_LENGTH - 10_000):
            data = encoded(image(before=MAX_HEAD_LENGTH - 5000, pixels=50_000), EXPLICIT)
            head = fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), data[:first], data[first:])
            self.assertEqual(head.first(STUDY_INSTANCE_UID), STUDY, first)

    def test_beyond_the_limit_it_gives_up(self) -> None:
        data = encoded(image(before=2 * MAX_HEAD_LENGTH), EXPLICIT)
        head = fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), *(data[i : i + 8192] for i in range(0, len(data), 8192)))
        self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), ("", True))

    def test_nothing_is_kept_after_that(self) -> None:
        head = fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), bytes(MAX_HEAD_LENGTH))
        fed(head, bytes(100_000))
        self.assertEqual(len(head._data), 0)

    def test_nothing_is_kept_after_an_early_find_either(self) -> None:
        data = encoded(image(pixels=100_000), EXPLICIT)
        head = fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), data[:3000])
        self.assertEqual((head.is_complete, len(head._data)), (True, 0))

    def test_a_deflated_bomb_is_inflated_to_the_limit_only(self) -> None:
        compressor = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        bomb = compressor.compress(bytes(64 * 1024 * 1024)) + compressor.flush()
        self.assertLess(len(bomb), MAX_HEAD_LENGTH)
        head = fed(Head(DEFLATED, [STUDY_INSTANCE_UID]), bomb)
        self.assertEqual((head._length, head.is_complete), (MAX_HEAD_LENGTH, True))

    def test_what_deflates_to_nothing_has_a_limit_too(self) -> None:
        # Stored blocks of no bytes (RFC 1951, 3.2.4).
        head = fed(Head(DEFLATED, [STUDY_INSTANCE_UID]), bytes.fromhex("000000ffff") * (MAX_HEAD_LENGTH // 5 + 1))
        self.assertTrue(head.is_complete)

    def test_what_was_passed_is_not_kept(self) -> None:
        data = encoded(image(before=200_000), EXPLICIT)
        head = fed(Head(EXPLICIT, [STUDY_INSTANCE_UID]), data[:100_000])
        self.assertEqual((head.is_complete, len(head._data)), (False, 0))


class CostTests(SynchronousTestCase):
    """What nobody looks for costs its headers, once."""

    def _read(self, data: bytes, piece: int) -> int:
        """How many headers are read."""
        count = 0
        layout = layout_of(True, True)

        class Counting:
            encoding = layout.encoding
            item = SimpleNamespace(unpack_from=lambda *args: counted(*args))

        def counted(data: bytearray, at: int) -> tuple[int, int, int]:
            nonlocal count
            count += 1
            return layout.item.unpack_from(data, at)

        self.patch(module, "layout_of", lambda *_: Counting)
        fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), *(data[i : i + piece] for i in range(0, len(data), piece)), ends=True)
        return count

    def test_of_many_elements(self) -> None:
        data = b"".join(pack("<HHI", 0x0009, number, 0) for number in range(1000))
        self.assertEqual(self._read(data, 4096), 1000)

    def test_however_small_the_pieces_are(self) -> None:
        data = b"".join(pack("<HHI", 0x0009, number, 0) for number in range(1000))
        self.assertEqual(self._read(data, 1), 1000)

    def test_an_element_in_pieces_is_one(self) -> None:
        self.assertEqual(self._read(pack("<HHI", 0x0009, 0x1000, 10_000) + bytes(10_000), 100), 1)

    def test_of_the_items_of_a_sequence_of_undefined_length(self) -> None:
        data = pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0) * 1000
        self.assertEqual(self._read(data, 4096), 1001)

    def test_a_sequence_of_defined_length_is_one(self) -> None:
        items = pack("<HHI", 0xFFFE, 0xE000, 0) * 1000
        self.assertEqual(self._read(pack("<HHI", 0x0008, 0x1140, len(items)) + items, 4096), 1)


class GarbageTests(SynchronousTestCase):
    @PROPERTY
    @given(st.sampled_from(SYNTAXES), st.binary(max_size=500), st.booleans())
    def test_garbage_is_not_found(self, syntax: str, garbage: bytes, ends: bool) -> None:
        head = fed(Head(syntax, [STUDY_INSTANCE_UID]), garbage, ends=ends)
        self.assertIsInstance(head.first(STUDY_INSTANCE_UID), str)
        self.assertTrue(head.is_complete or not ends)

    @PROPERTY
    @given(st.sampled_from(SYNTAXES), st.data())
    def test_a_mutated_data_set_never_raises(self, syntax: str, data: st.DataObject) -> None:
        mutated = bytearray(encoded(image(pixels=100), syntax))
        for _ in range(data.draw(st.integers(1, 6))):
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
        head = fed(Head(syntax, [STUDY_INSTANCE_UID]), bytes(mutated), ends=True)
        self.assertTrue(head.is_complete)

    def test_deep_nesting_is_not_found(self) -> None:
        # 20,000 sequences of undefined length, one in the other.
        opening = bytes.fromhex("08001011ffffffff feff00e0ffffffff".replace(" ", ""))
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), opening * 10_000, ends=True)
        self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), ("", True))

    def test_a_length_of_four_gigabytes_is_not_found(self) -> None:
        lie = bytes.fromhex("08001800feffffff")
        head = fed(Head(IMPLICIT, [STUDY_INSTANCE_UID]), lie + bytes(100), ends=True)
        self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), ("", True))

    def test_an_empty_data_set(self) -> None:
        for syntax in SYNTAXES:
            head = fed(Head(syntax, [STUDY_INSTANCE_UID]), b"", ends=True)
            self.assertEqual((head.first(STUDY_INSTANCE_UID), head.is_complete), ("", True))


class FailedListTests(SynchronousTestCase):
    """A Failed SOP Instance UID List reads in every encoding as it was written."""

    def _read(self, transfer_syntax: str) -> tuple[str, ...]:
        written = failed_list(transfer_syntax, ["1.2.3", "1.2.33"])
        head = Head(transfer_syntax, [FAILED_SOP_INSTANCE_UID_LIST])
        head.feed([memoryview(written)], True)
        return head.values[FAILED_SOP_INSTANCE_UID_LIST]

    def test_implicit(self) -> None:
        self.assertEqual(self._read("1.2.840.10008.1.2"), ("1.2.3", "1.2.33"))

    def test_explicit(self) -> None:
        self.assertEqual(self._read("1.2.840.10008.1.2.1"), ("1.2.3", "1.2.33"))

    def test_big_endian(self) -> None:
        self.assertEqual(self._read("1.2.840.10008.1.2.2"), ("1.2.3", "1.2.33"))

    def test_deflated(self) -> None:
        self.assertEqual(self._read("1.2.840.10008.1.2.1.99"), ("1.2.3", "1.2.33"))

    def test_deflated_it_has_an_even_length(self) -> None:
        for count in range(1, 8):
            written = failed_list("1.2.840.10008.1.2.1.99", [f"1.2.{count}"] * count)
            self.assertEqual(len(written) % 2, 0, count)

    def test_one_of_one(self) -> None:
        self.assertEqual(failed_list("1.2.840.10008.1.2", ["1.2"]), b"\x08\x00\x58\x00\x04\x00\x00\x001.2\x00")
