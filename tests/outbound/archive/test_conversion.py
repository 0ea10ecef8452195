"""Data sets from one uncompressed transfer syntax to another; pydicom says what they mean."""

from __future__ import annotations

from io import BytesIO
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from twisted.trial.unittest import TestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.outbound.archive.conversion import Conversion, Converter, Unconvertible

IMPLICIT = Encoding(True)
EXPLICIT = Encoding(False)
BIG = Encoding(False, is_little_endian=False)
ALL = (IMPLICIT, EXPLICIT, BIG)


def an_image(pixels: bytes = bytes(range(64)), *, is_signed: bool = True) -> Dataset:
    """With numbers of all lengths, nested sequences, private elements, and VRs that depend on others."""
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3.4"
    inner.PixelPaddingValue = -7 if is_signed else 7
    item = Dataset()
    item.StudyInstanceUID = "1.2.3"
    item.ReferencedSOPSequence = [inner, Dataset()]
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    image.PatientName = "Süß^Anna"
    image.ContentSequence = [item]
    image.SliceThickness = "1.25"
    image.FrameIncrementPointer = 0x00181063
    image.ReferencePixelX0 = -12
    image.PhysicalDeltaX = 0.1
    image.Rows, image.Columns = 4, 8
    image.BitsAllocated = 16
    image.PixelRepresentation = int(is_signed)
    image.SmallestImagePixelValue = -3 if is_signed else 3
    block = image.private_block(0x0029, "DIMSEPROXY TEST", create=True)
    block.add_new(1, "LO", "a text")
    block.add_new(2, "UN", b"\x01\x02\x03\x04")
    image.add_new(0x7FE00010, "OW", pixels)
    return image


def encoded(data_set: Dataset, encoding: Encoding) -> bytes:
    out = DicomBytesIO()
    out.is_implicit_VR, out.is_little_endian = encoding.is_implicit, encoding.is_little_endian
    write_dataset(out, data_set)
    return out.getvalue()


def decoded(data: bytes, encoding: Encoding) -> Dataset:
    return read_dataset(BytesIO(data), encoding.is_implicit, encoding.is_little_endian)


def converted(data: bytes, source: Encoding, target: Encoding, step: int = 0) -> bytes:
    converter = Converter(source, target)
    pieces = [data[at : at + step] for at in range(0, len(data), step)] if step else [data]
    out = [part for piece in pieces for part in converter.feed(piece)]
    return b"".join([*out, *converter.finish()])


def meaning(data_set: Dataset, encoding: Encoding) -> list[tuple[object, ...]]:
    """Every value, with those that have a byte order made comparable, whatever the VR says."""
    found: list[tuple[object, ...]] = []
    for element in data_set:
        tag = int(element.tag)
        if element.VR == "SQ":
            found.append((tag, [meaning(item, encoding) for item in element.value]))
        elif tag in (0x00280106, 0x00280120):
            # In implicit VR, pydicom does not look at the data set around an item to tell US from SS.
            found.append((tag, element.value & 0xFFFF))
        elif tag == 0x7FE00010:
            found.append((tag, element.value if encoding.is_little_endian else _swapped(element.value)))
        elif isinstance(element.value, bytes):
            found.append((tag, element.value.rstrip(b" ")))
        elif element.tag.is_private:
            found.append((tag, str(element.value).encode()))
        else:
            found.append((tag, str(element.value)))
    return found


def _swapped(value: bytes) -> bytes:
    return b"".join(value[at : at + 2][::-1] for at in range(0, len(value), 2))


class ConverterTests(TestCase):
    def test_nothing_is_lost_between_any_two(self) -> None:
        for is_signed in (False, True):
            image = an_image(is_signed=is_signed)
            for source, target in permutations(ALL, 2):
                data = encoded(image, source)
                out = decoded(converted(data, source, target), target)
                self.assertEqual(meaning(out, target), meaning(decoded(data, source), source), (source, target))

    def test_there_and_back_again(self) -> None:
        data = encoded(an_image(), EXPLICIT)
        for between in (IMPLICIT, BIG):
            back = converted(converted(data, EXPLICIT, between), between, EXPLICIT)
            self.assertEqual(meaning(decoded(back, EXPLICIT), EXPLICIT), meaning(decoded(data, EXPLICIT), EXPLICIT))

    @settings(deadline=None, max_examples=40)
    @given(st.integers(1, 50), st.sampled_from(list(permutations(ALL, 2))))
    def test_however_it_comes(self, step: int, way: tuple[Encoding, Encoding]) -> None:
        data = encoded(an_image(), way[0])
        self.assertEqual(converted(data, *way, step=step), converted(data, *way))

    def test_pixel_representation_decides_between_us_and_ss(self) -> None:
        for is_signed, vr in ((False, "US"), (True, "SS")):
            image = an_image(is_signed=is_signed)
            out = decoded(converted(encoded(image, IMPLICIT), IMPLICIT, EXPLICIT), EXPLICIT)
            item = out.ContentSequence[0].ReferencedSOPSequence[0]
            self.assertEqual((out["SmallestImagePixelValue"].VR, out["PixelData"].VR), (vr, "OW"))
            self.assertEqual(item["PixelPaddingValue"].VR, vr)

    def test_what_the_dictionary_does_not_know_is_un(self) -> None:
        out = decoded(converted(encoded(an_image(), IMPLICIT), IMPLICIT, EXPLICIT), EXPLICIT)
        self.assertEqual([out[tag].VR for tag in (0x00290010, 0x00291001)], ["LO", "UN"])

    def test_a_value_too_long_for_its_vr_is_un(self) -> None:
        long = Dataset()
        long.PatientComments = "x" * 70000
        out = converted(encoded(long, IMPLICIT), IMPLICIT, EXPLICIT)
        self.assertEqual(out[:12], b"\x10\x00\x00\x40UN\0\0\x70\x11\x01\x00")

    def test_group_lengths_do_not_leave(self) -> None:
        data = b"\x08\x00\x00\x00\x04\0\0\0\x0a\0\0\0" + b"\x08\x00\x60\x00\x02\0\0\0CT"
        self.assertEqual(converted(data, IMPLICIT, EXPLICIT), b"\x08\x00\x60\x00CS\x02\0CT")

    def test_the_items_of_un_stay_as_they_are(self) -> None:
        inner = b"\xfe\xff\x00\xe0\xff\xff\xff\xff\x08\x00\x60\x00\x02\0\0\0CT\xfe\xff\x0d\xe0\0\0\0\0"
        data = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + inner + b"\xfe\xff\xdd\xe0\0\0\0\0"
        out = converted(data, EXPLICIT, BIG)
        self.assertEqual(out, b"\x00\x09\x10\x01UN\0\0\xff\xff\xff\xff" + data[12:])

    def test_what_is_broken_is_not_converted(self) -> None:
        data = encoded(an_image(), EXPLICIT)
        item = b"\xfe\xff\x00\xe0\0\0\0\0"
        for broken in (data[:-3], data[:40], item, data + item, b"\x08\x00\x60\x00??\x02\0CT"):
            self.assertRaises(Unconvertible, converted, broken, EXPLICIT, IMPLICIT)

    def test_nothing_longer_than_what_it_is_in(self) -> None:
        data = b"\x08\x00\x10\x11\x10\0\0\0\xfe\xff\x00\xe0\x20\0\0\0" + bytes(32)
        self.assertRaises(Unconvertible, converted, data, IMPLICIT, EXPLICIT)

    def test_compressed_pixels_are_not_converted(self) -> None:
        data = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\xdd\xe0\0\0\0\0"
        self.assertRaises(Unconvertible, converted, data, EXPLICIT, IMPLICIT)

    def test_no_end_of_nesting_costs_no_end_of_memory(self) -> None:
        data = (b"\x08\x00\x10\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff") * 1000
        self.assertRaises(Unconvertible, converted, data, IMPLICIT, EXPLICIT)


class Steps:
    """A data set that is read in steps, and how many were."""

    def __init__(self, data: bytes, step: int) -> None:
        self.total = len(data)
        self._pieces = [data[at : at + step] for at in range(0, len(data), step)]
        self.taken = 0

    @property
    def is_over(self) -> bool:
        return self.taken == len(self._pieces)

    def step(self) -> list[bytes]:
        self.taken += 1
        return [self._pieces[self.taken - 1]]


class ConversionTests(TestCase):
    def test_in_steps(self) -> None:
        data = encoded(an_image(), EXPLICIT)
        conversion = Conversion(Steps(data, 100), EXPLICIT, BIG)
        out = b""
        while not conversion.is_over:
            out += b"".join(conversion.step())
        self.assertEqual(out, converted(data, EXPLICIT, BIG))

    def test_a_check_stops_where_only_pixels_follow(self) -> None:
        reader = Steps(encoded(an_image(bytes(10_000)), EXPLICIT), 1000)
        Conversion(reader, EXPLICIT, BIG).check()
        self.assertEqual(reader.taken, 1)

    def test_a_check_finds_what_is_cut_short(self) -> None:
        for missing in (1, 5_000):
            reader = Steps(encoded(an_image(bytes(10_000)), EXPLICIT)[:-missing], 1000)
            self.assertRaises(Unconvertible, Conversion(reader, EXPLICIT, BIG).check)
