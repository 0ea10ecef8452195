from __future__ import annotations

import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding, encoding_of
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from dimseproxy.outbound.archive.attributes import Attributes, read_attributes
from dimseproxy.outbound.archive.heads import read_head
from dimseproxy.outbound.archive.levels import LEVELS, Level, name_of, tag_of, vr_of
from tests.outbound.archive.indexing import BIG, DEFLATED, EXPLICIT, IMPLICIT, an_object, data_set, encoded
from tests.support.objects import samples_for_dcmtk


def read(content: Dataset, encoding: Encoding = EXPLICIT) -> Attributes:
    return read_attributes(encoded(content, encoding), encoding)


def value(attributes: Attributes, keyword: str) -> Any:
    tag = tag_of(keyword)
    return attributes.values[LEVELS[tag]].get(name_of(tag))


class ReadingTests(SynchronousTestCase):
    def test_every_encoding_tells_the_same(self) -> None:
        content = an_object(Rows=512, NumberOfFrames="3", ImageType=["ORIGINAL", "PRIMARY"])
        expected = read(content)
        self.assertEqual([read(content, encoding) for encoding in (IMPLICIT, BIG)], [expected] * 2)

    def test_what_is_deflated_tells_the_same(self) -> None:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        deflated = deflate.compress(encoded(an_object())) + deflate.flush()
        self.assertEqual(read_attributes(deflated, DEFLATED), read(an_object()))

    def test_attributes_are_sorted_by_level(self) -> None:
        attributes = read(an_object(StudyDescription="Thorax", Rows=2))
        found = {level: set(values) for level, values in attributes.values.items()}
        self.assertEqual(
            found,
            {
                Level.PATIENT: {"00100010", "00100020"},
                Level.STUDY: {"0020000D", "00081030"},
                Level.SERIES: {"0020000E", "00080060"},
                Level.IMAGE: {"00080016", "00080018", "00280010"},
            },
        )

    def test_text_is_of_the_character_set_of_the_object(self) -> None:
        attributes = read(an_object(SpecificCharacterSet="ISO_IR 144", PatientName="Ющенко^Виктор"))
        self.assertEqual(value(attributes, "PatientName"), ["Ющенко^Виктор"])

    def test_binary_numbers_are_numbers_in_any_byte_order(self) -> None:
        self.assertEqual([value(read(an_object(Rows=513), one), "Rows") for one in (EXPLICIT, BIG)], [["513"]] * 2)

    def test_sequences_are_read_with_what_is_in_them(self) -> None:
        item = data_set(RequestedProcedureID="R1", ScheduledProcedureStepID="S1")
        attributes = read(an_object(RequestAttributesSequence=Sequence([item])))
        self.assertEqual(value(attributes, "RequestAttributesSequence"), [{"00400009": ["S1"], "00401001": ["R1"]}])

    def test_a_sequence_that_the_standard_does_not_know_is_passed_over(self) -> None:
        item = data_set(RequestedProcedureID="R")
        item.add_new(0x00401FF0, "SQ", Sequence([data_set(PatientID="x")]))
        attributes = read(an_object(RequestAttributesSequence=Sequence([item])))
        self.assertEqual(value(attributes, "RequestAttributesSequence"), [{"00401001": ["R"]}])

    def test_sequences_of_undefined_length_are_read_and_passed_over(self) -> None:
        item = data_set(CodeValue="T-1", CodingSchemeDesignator="SRT", CodeMeaning="Chest")
        content = an_object(ProcedureCodeSequence=Sequence([item]), AnatomicRegionSequence=Sequence([item]), Rows=7)
        for name in ("ProcedureCodeSequence", "AnatomicRegionSequence"):
            content[name].is_undefined_length = True
            content[name].value[0].is_undefined_length_sequence_item = True
        attributes = read(content)
        self.assertEqual([value(attributes, "ProcedureCodeSequence")[0]["00080100"], value(attributes, "Rows")],
                         [["T-1"], ["7"]])  # fmt: skip

    def test_private_elements_are_passed_over(self) -> None:
        content = an_object(Rows=7)
        content.private_block(0x0019, "ACME", create=True).add_new(1, "SQ", Sequence([data_set(PatientID="X")]))
        self.assertEqual(value(read(content), "Rows"), ["7"])

    def test_what_pydicom_reads_of_its_samples_is_read(self) -> None:
        for sample in samples_for_dcmtk():
            encoding = encoding_of(sample.transfer_syntax)
            if encoding is None or encoding.is_deflated:
                continue
            there = dcmread(sample.path, stop_before_pixels=True, force=True)
            found = read_head(sample.data_set, encoding, LEVELS)
            for keyword in ("StudyInstanceUID", "Modality", "PatientID", "StudyDate", "SeriesNumber", "Rows"):
                expected = [str(there[keyword].value)] if there.get(keyword) not in (None, "") else []
                self.assertEqual(found.get(name_of(tag_of(keyword)), []), expected, f"{sample.path.name} {keyword}")

    def test_no_attribute_is_of_a_vr_that_is_not_read(self) -> None:
        odd = {vr_of(tag) for tag in LEVELS} - {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH"}
        self.assertEqual(odd, {"SQ", "ST", "TM", "UI", "US"})


class OddTests(SynchronousTestCase):
    """An object is kept, however strange its values are."""

    def test_text_that_is_not_of_its_character_set_is_empty(self) -> None:
        head = encoded(an_object(SpecificCharacterSet="ISO_IR 192", PatientName="AB"))
        self.assertEqual(value(read_attributes(head.replace(b"AB", b"\xff\xfe"), EXPLICIT), "PatientName"), [""])

    def test_a_head_that_is_cut_off_tells_what_it_has(self) -> None:
        head = encoded(an_object(ContentLabel="LABEL", Rows=7))
        self.assertEqual(value(read_attributes(head[:-4], EXPLICIT), "Rows"), ["7"])

    @given(st.binary(max_size=200), st.sampled_from([EXPLICIT, IMPLICIT, BIG, DEFLATED]))
    def test_reading_never_fails(self, noise: bytes, encoding: Encoding) -> None:
        self.assertIsInstance(read_head(noise, encoding, LEVELS), dict)

    @given(st.data())
    def test_what_is_changed_anywhere_never_fails(self, data: st.DataObject) -> None:
        item = data_set(CodeValue="T-1", ReferencedSOPSequence=Sequence([data_set(ReferencedSOPInstanceUID="1.2")]))
        head = bytearray(encoded(an_object(ProcedureCodeSequence=Sequence([item]), Rows=7)))
        for _ in range(data.draw(st.integers(1, 4))):
            head[data.draw(st.integers(0, len(head) - 1))] = data.draw(st.integers(0, 255))
        self.assertIsInstance(read_head(bytes(head), EXPLICIT, LEVELS), dict)

    def test_sequences_without_end_are_no_way_to_end_us(self) -> None:
        deep = (b"\x08\x00\x32\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 20_000
        self.assertIsInstance(read_head(deep, EXPLICIT, LEVELS), dict)

    def test_what_is_too_much_is_not_kept_sequences_first(self) -> None:
        items = [data_set(CodeMeaning="X" * 10_240) for _ in range(20)]
        content = an_object(ConceptNameCodeSequence=Sequence(items), ImageComments="C" * 5_000, Rows=7)
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        attributes = read_attributes(deflate.compress(encoded(content)) + deflate.flush(), DEFLATED)
        kept = [value(attributes, keyword) for keyword in ("ConceptNameCodeSequence", "ImageComments", "Rows")]
        self.assertEqual(kept, [None, ["C" * 5_000], ["7"]])

    def test_nor_is_text_that_is_too_much(self) -> None:
        content = an_object(ImageType=["X" * 9_000] * 7, ImageComments="Y" * 5_000, ContentLabel="L")
        attributes = read(content)
        self.assertEqual([value(attributes, keyword) for keyword in ("ImageType", "ContentLabel")], [None, ["L"]])

    def test_a_bomb_is_not_inflated(self) -> None:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        head = encoded(an_object()) + b"\x20\x00\x00\x40LT" + (0xFFFE).to_bytes(2, "little") + b"x" * 0xFFFE
        bomb = deflate.compress(head + b"\0" * 50_000_000) + deflate.flush()
        self.assertEqual(read_attributes(bomb, DEFLATED).study, "1.3.1")


class IdentityTests(SynchronousTestCase):
    def refusal(self, **values: Any) -> OperationRefused:
        with self.assertRaises(OperationRefused) as refused:
            read(an_object(**values))
        error: OperationRefused = refused.exception
        return error

    def test_who_it_is(self) -> None:
        attributes = read(an_object())
        self.assertEqual(
            [attributes.sop_instance, attributes.study, attributes.series, attributes.patient_id],
            ["1.5.1", "1.3.1", "1.4.1", "P1"],
        )

    def test_an_object_without_a_uid_is_refused(self) -> None:
        for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            self.assertEqual(self.refusal(**{keyword: ""}).status, Status.CANNOT_UNDERSTAND, keyword)

    def test_what_is_no_uid_is_refused(self) -> None:
        head = encoded(an_object(StudyInstanceUID="1.3.12"))
        for wrong in (b"../../", b"1.3..2", b"1.3\\.2", b"1.3 12"):
            with self.assertRaises(OperationRefused):
                read_attributes(head.replace(b"1.3.12", wrong), EXPLICIT)

    def test_a_uid_that_is_too_long_is_refused(self) -> None:
        head = encoded(an_object(StudyInstanceUID="1.3.12"))
        longer = head.replace(b"\x06\x001.3.12", b"\x42\x00" + b"1." + b"2" * 64)
        with self.assertRaises(OperationRefused):
            read_attributes(longer, EXPLICIT)

    def test_nobody_is_named_by_how_it_is_shown(self) -> None:
        self.assertNotIn("DOE", repr(read(an_object())))
