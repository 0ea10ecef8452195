"""Which objects show text, and blanking of native pixel data."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.burned_in import Blanking, Image, regions_of, says_burned_in
from dimseproxy.privacy.policy import Blank

CT = "1.2.840.10008.5.1.4.1.1.2"
US = "1.2.840.10008.5.1.4.1.1.6.1"
SC = "1.2.840.10008.5.1.4.1.1.7"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
IMAGE = Image(sop_class=US, modality="US", manufacturer="ACME", rows=4, columns=5, bits_allocated=8)


class SaysBurnedIn(TestCase):
    def test_the_attribute_says_so(self) -> None:
        self.assertEqual([says_burned_in(CT, value) for value in ("YES", "yes", "NO", "")], [True, True, False, False])

    def test_some_classes_usually_do(self) -> None:
        for sop_class in (US, SC, f"{SC}.4", "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.5.1.4.1.1.3.1"):
            self.assertTrue(says_burned_in(sop_class, ""), sop_class)

    def test_the_attribute_may_deny_it(self) -> None:
        self.assertFalse(says_burned_in(SC, "NO"))

    def test_a_document_is_text_whatever_it_says(self) -> None:
        self.assertTrue(says_burned_in(PDF, "NO"))

    def test_a_class_is_not_known_for_the_beginning_of_its_uid(self) -> None:
        self.assertFalse(says_burned_in("1.2.840.10008.5.1.4.1.1.77.1.5.1", ""))
        self.assertFalse(says_burned_in("1.2.840.10008.5.1.4.1.1.66", ""))


class RegionsOf(TestCase):
    def test_every_matching_rule_counts(self) -> None:
        blanks = (Blank(((0, 0, 1, 1),)), Blank(((1, 1, 1, 1),), modality="us", manufacturer="Acme", rows=4))
        self.assertEqual(regions_of(blanks, IMAGE), ((0, 0, 1, 1), (1, 1, 1, 1)))

    def test_a_rule_with_one_mismatch_does_not(self) -> None:
        region = ((0, 0, 1, 1),)
        for blank in (
            Blank(region, sop_class=SC),
            Blank(region, modality="US", model="X1"),
            Blank(region, rows=3),
            Blank(region, columns=4),
        ):
            self.assertEqual(regions_of((blank,), IMAGE), ())


def painted(image: Image, regions: list[tuple[int, int, int, int]], value: bytes) -> bytes:
    """The value, blanked pixel by pixel."""
    size = image.bits_allocated // 8
    pixels = bytearray(value)
    for frame in range(image.frames):
        for sample in range(image.samples):
            for x, y, width, height in regions:
                for row in range(y, min(y + height, image.rows)):
                    for column in range(x, min(x + width, image.columns)):
                        if image.is_planar:
                            place = ((frame * image.samples + sample) * image.rows + row) * image.columns + column
                        else:
                            place = ((frame * image.rows + row) * image.columns + column) * image.samples + sample
                        pixels[place * size : (place + 1) * size] = bytes(size)
    return bytes(pixels)


class Blanked(TestCase):
    def test_the_ranges_of_a_region(self) -> None:
        blanking = Blanking(IMAGE, [(1, 2, 3, 2)])
        self.assertEqual(list(blanking.ranges()), [(11, 14), (16, 19)])

    def test_a_region_beyond_the_edge_ends_there(self) -> None:
        self.assertEqual(list(Blanking(IMAGE, [(3, 3, 100, 100)]).ranges()), [(18, 20)])

    def test_regions_that_are_all_beyond_it_are_a_mistake(self) -> None:
        self.assertRaises(OperationRefused, Blanking, IMAGE, [(5, 0, 2, 2), (0, 4, 2, 2)])

    def test_untouched_bytes_are_not_copied(self) -> None:
        view = memoryview(b"\xff" * 10)
        self.assertIs(Blanking(IMAGE, [(1, 2, 3, 2)]).apply(0, view), view)

    def test_padding_stays(self) -> None:
        image = evolve(IMAGE, rows=1, columns=3)
        self.assertEqual(bytes(Blanking(image, [(0, 0, 9, 9)]).apply(0, memoryview(b"\1\2\3\4"))), b"\0\0\0\4")

    def test_a_value_of_another_length_is_refused(self) -> None:
        blanking = Blanking(IMAGE, [(0, 0, 1, 1)])
        self.assertRaises(OperationRefused, blanking.apply, 16, memoryview(bytes(6)))

    @given(
        st.builds(
            Image,
            rows=st.integers(1, 5),
            columns=st.integers(1, 5),
            samples=st.sampled_from([1, 3]),
            is_planar=st.booleans(),
            bits_allocated=st.sampled_from([8, 16, 32]),
            frames=st.integers(1, 3),
        ),
        st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=3),
        st.integers(1, 50),
    )
    def test_it_blanks_the_pixels_of_the_regions_and_no_others(
        self, image: Image, regions: list[tuple[int, int, int, int]], step: int
    ) -> None:
        length = image.rows * image.columns * image.samples * image.frames * image.bits_allocated // 8
        value = b"\xff" * length
        regions = [*regions, (0, 0, 1, 1)]
        blanking = Blanking(image, regions)
        pieces = [bytes(blanking.apply(at, memoryview(value)[at : at + step])) for at in range(0, length, step)]
        self.assertEqual(b"".join(pieces), painted(image, regions, value))

    def test_pixels_that_it_cannot_tell_apart_are_refused(self) -> None:
        for image in (
            evolve(IMAGE, bits_allocated=1),
            evolve(IMAGE, bits_allocated=12),
            evolve(IMAGE, bits_allocated=0),
            evolve(IMAGE, rows=0),
            evolve(IMAGE, frames=0),
            evolve(IMAGE, samples=0),
            evolve(IMAGE, samples=3, photometric_interpretation="YBR_FULL_422"),
        ):
            self.assertRaises(OperationRefused, Blanking, image, [(0, 0, 1, 1)])
