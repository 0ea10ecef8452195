"""Bulk passes without being held, and what a data set may cost is limited."""

from __future__ import annotations

import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.rewriter import Element, Limits, Rewriter
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from tests.dataset.editing import (
    BIG_ENDIAN,
    DEFLATED,
    DROP,
    EDIT,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    SEQUENCE_DELIMITER,
    Driver,
    Scripted,
    deflated,
    element,
    inflated,
    item,
    rewritten,
)

NAME = 0x00100010
ROWS = 0x00280010
PIXELS = 0x7FE00010
PADDING = 0xFFFCFFFC
STUDIES = 0x00081110
HEAD = element(NAME, "PN", b"DOE^") + element(ROWS, "US", b"\2\0")
TAIL = element(PADDING, "OB", b"tail")


def native(length: int) -> bytes:
    """Pixel data that are not the same everywhere."""
    return element(PIXELS, "OW", bytes(range(256)) * (length // 256))


def encapsulated(*fragments: bytes) -> bytes:
    """An empty offset table, and fragments."""
    value = b"".join(item(fragment) for fragment in (b"", *fragments))
    return element(PIXELS, "OB", value, length=0xFFFFFFFF) + SEQUENCE_DELIMITER


class Unanswering(Scripted):
    """One that never says what becomes of an element."""

    def edit(self, element: Element) -> None:
        """See `Editor`."""


class FlowTests(SynchronousTestCase):
    def test_the_head_is_flushed_as_soon_as_the_pixels_begin(self) -> None:
        driver = Driver(EXPLICIT).feed((HEAD + native(100_096))[: len(HEAD) + 12])
        self.assertEqual(driver.flushes, [[HEAD + native(100_096)[:12]]])

    def test_nothing_leaves_before_that(self) -> None:
        driver = Driver(EXPLICIT).feed((HEAD + native(100_096))[: len(HEAD) + 11])
        self.assertEqual((driver.flushes, driver.rewriter.waits, driver.rewriter.opaque), ([], False, 0))

    def test_pixels_leave_as_the_very_bytes_that_came(self) -> None:
        driver = Driver(EXPLICIT).feed(HEAD + native(100_096)[:12])
        piece = bytes(5000)
        driver.feed(piece)
        (view,) = driver.flushes[-1]
        assert isinstance(view, memoryview)
        self.assertIs(view.obj, piece)

    def test_what_is_left_of_a_value_may_go_past(self) -> None:
        for data in (HEAD + native(100_096) + TAIL, HEAD + encapsulated(bytes(50_000), bytes(70_000)) + TAIL):
            driver = Driver(EXPLICIT)
            chunks = [data[at : at + 1000] for at in range(0, len(data), 1000)]
            self.assertEqual(driver.feed_all(chunks, uses_opaque=True), data)
            self.assertGreater(driver.passed, 90_000)

    def test_opaque_is_exactly_the_rest_of_the_value(self) -> None:
        driver = Driver(EXPLICIT).feed((HEAD + native(100_096))[: len(HEAD) + 12 + 96])
        self.assertEqual(driver.rewriter.opaque, 100_000)
        driver.rewriter.pass_opaque(99_999)
        self.assertEqual(driver.rewriter.opaque, 1)
        driver.feed(b"x" + TAIL, is_last=True)
        self.assertEqual((driver.flushes[-1], driver.rewriter.opaque), ([b"x", TAIL], 0))

    def test_a_value_of_four_gigabytes_is_announced_and_not_held(self) -> None:
        driver = Driver(EXPLICIT).feed(HEAD + element(PIXELS, "OW", b"", length=0xFFFFFFFE))
        self.assertEqual(driver.rewriter.opaque, 0xFFFFFFFE)

    def test_what_is_behind_the_pixels_is_edited(self) -> None:
        for encoding in ENCODINGS:
            data = element(PIXELS, "OW", bytes(300_000), encoding) + element(PADDING, "OB", b"tail", encoding)
            source = deflated(data) if encoding is DEFLATED else data
            for size in (0, 4096, 100):
                out = rewritten(source, encoding, Scripted({PADDING: EDIT}), size=size)
                expected = element(PIXELS, "OW", bytes(300_000), encoding)
                expected += element(PADDING, "OB", b"CHANGED\0", encoding)
                self.assertEqual(inflated(out) if encoding is DEFLATED else out, expected)

    def test_fragments_cross_as_they_are(self) -> None:
        data = HEAD + encapsulated(b"", b"ab", bytes(100_000), b"cd") + TAIL
        for size in (0, 1, 1000):
            self.assertEqual(rewritten(data, EXPLICIT, size=size), data)

    def test_dropped_pixels_do_not_cross(self) -> None:
        for pixels in (native(100_096), encapsulated(bytes(100_000), b"ab")):
            for size in (0, 1000):
                out = rewritten(HEAD + pixels + TAIL, EXPLICIT, Scripted({PIXELS: DROP}), size=size)
                self.assertEqual(out, HEAD + TAIL)

    def test_a_long_value_before_the_image_is_held_like_the_rest_of_the_head(self) -> None:
        data = element(0x00081030, "UT", bytes(100_000)) + HEAD
        driver = Driver(EXPLICIT).feed(data)
        self.assertEqual((driver.flushes, driver.rewriter.opaque), ([], 0))
        driver.feed(is_last=True)
        self.assertEqual(driver.flushes, [[data]])

    def test_so_is_one_before_it_is_known_what_the_pixels_show(self) -> None:
        for tag, length in ((0x00280009, 65_538), (0x00280009, 0xFFFFFFFF)):
            driver = Driver(EXPLICIT).feed(element(tag, "OB", b"", length=length))
            self.assertEqual((driver.flushes, driver.rewriter.opaque), ([], 0))

    def test_so_is_one_in_an_item(self) -> None:
        content = item(element(PIXELS, "OW", bytes(100_000)), is_defined=False)
        data = element(0x00880200, "SQ", content, length=0xFFFFFFFF) + SEQUENCE_DELIMITER + HEAD[:0]
        driver = Driver(EXPLICIT).feed(data, is_last=True)
        self.assertEqual(driver.flushes, [[data]])

    def test_and_fragments_in_an_item(self) -> None:
        content = item(encapsulated(b"abcd", bytes(90_000)), is_defined=False)
        data = element(0x00880200, "SQ", content, length=0xFFFFFFFF) + SEQUENCE_DELIMITER
        for size in (0, 1000):
            chunks = [data[at : at + (size or len(data))] for at in range(0, len(data), size or len(data))]
            driver = Driver(EXPLICIT)
            self.assertEqual(driver.feed_all(chunks), data)
            self.assertEqual(len(driver.flushes), 1)

    def test_any_long_value_of_the_image_groups_flows(self) -> None:
        for tag in (0x00281201, 0x54001010, 0x60003000):
            driver = Driver(EXPLICIT).feed(HEAD + element(tag, "OW", b"", length=65_538))
            self.assertEqual(driver.rewriter.opaque, 65_538)

    def test_the_last_bytes_may_end_the_value_too(self) -> None:
        driver = Driver(EXPLICIT).feed(HEAD + native(1024)[:12])
        driver.rewriter.pass_opaque(1024)
        driver.feed(is_last=True)
        self.assertTrue(driver.rewriter.is_complete)

    def test_what_bulk_is_reached_is_known_while_the_head_waits(self) -> None:
        for data, expected in ((native(1024), (PIXELS, 1024)), (encapsulated(b"ab"), (PIXELS, None))):
            rewriter = Driver(EXPLICIT).rewriter
            rewriter.feed([memoryview(HEAD + data)], True)
            self.assertIsNone(rewriter.bulk)
            rewriter.work()
            self.assertEqual((rewriter.waits, rewriter.bulk), (True, expected))


class OverlayTests(SynchronousTestCase):
    def test_it_sees_every_byte_of_native_pixels_once(self) -> None:
        data = HEAD + native(100_096) + TAIL
        for encoding, source in ((EXPLICIT, data), (DEFLATED, deflated(data))):
            for size in (1, 1000, len(source)):
                seen = bytearray()

                def overlay(offset: int, view: memoryview, seen: bytearray = seen) -> bytes:
                    self.assertEqual(offset, len(seen))
                    seen.extend(view)
                    return bytes(len(view))

                driver = Driver(encoding, overlay=overlay)
                chunks = [source[at : at + size] for at in range(0, len(source), size)]
                out = driver.feed_all(chunks, uses_opaque=True)
                self.assertEqual(seen, native(100_096)[12:])
                expected = HEAD + native(100_096)[:12] + bytes(100_096) + TAIL
                self.assertEqual(inflated(out) if encoding is DEFLATED else out, expected)

    def test_other_bulk_is_left_alone(self) -> None:
        data = HEAD + element(0x60003000, "OW", bytes(100_000)) + TAIL
        driver = Driver(EXPLICIT, overlay=lambda offset, view: b"\1" * len(view))
        self.assertEqual(driver.feed(data, is_last=True).written, data)

    def test_compressed_pixels_are_refused_before_anything_leaves(self) -> None:
        driver = Driver(EXPLICIT, overlay=lambda offset, view: view)
        self.assertRaises(OperationRefused, driver.feed, HEAD + encapsulated(b"abcd"), is_last=True)
        self.assertEqual(driver.flushes, [])

    def test_so_is_another_length(self) -> None:
        driver = Driver(EXPLICIT, overlay=lambda offset, view: b"")
        self.assertRaises(OperationRefused, driver.feed, HEAD + native(1024), is_last=True)


class InspectionTests(SynchronousTestCase):
    def test_it_sees_what_was_edited_in_one_piece_and_not_deflated(self) -> None:
        data = HEAD + native(1024) + TAIL
        for encoding, source in ((EXPLICIT, data), (DEFLATED, deflated(data))):
            driver = Driver(encoding, Scripted({NAME: DROP}))
            driver.feed_all(source[at : at + 1] for at in range(len(source)))
            self.assertEqual(driver.seen, [element(ROWS, "US", b"\2\0") + native(1024)[:12], TAIL])

    def test_a_look_at_it_lets_nothing_go(self) -> None:
        rewriter = Rewriter(EXPLICIT, Scripted({NAME: DROP}))
        rewriter.feed([memoryview(HEAD + native(1024))], False)
        while rewriter.work():
            pass
        self.assertEqual([rewriter.written(), rewriter.written()], [rewriter.flush()[0]] * 2)

    def test_what_has_no_answer_is_refused_there_too(self) -> None:
        rewriter = Rewriter(EXPLICIT, Unanswering({NAME: EDIT}))
        rewriter.feed([memoryview(HEAD + native(1024))], False)
        while rewriter.work():
            pass
        self.assertRaises(OperationRefused, rewriter.written)
        self.assertRaises(OperationRefused, rewriter.flush)


class LimitTests(SynchronousTestCase):
    def assert_out_of_resources(self, data: bytes, limits: Limits, editor: Scripted | None = None) -> None:
        for size in (0, 100):
            with self.assertRaises(OperationRefused) as caught:
                rewritten(data, EXPLICIT, editor, limits=limits, size=size)
            self.assertEqual(caught.exception.status, Status.OUT_OF_RESOURCES)

    def test_a_head_up_to_the_limit(self) -> None:
        data = b"".join(element(tag, "UT", bytes(1000)) for tag in range(0x00161000, 0x0016100A))
        self.assertEqual(rewritten(data, EXPLICIT, limits=Limits(head=len(data))), data)
        self.assert_out_of_resources(data, Limits(head=len(data) - 1))

    def test_bulk_and_what_is_dropped_do_not_count(self) -> None:
        data = element(0x00081030, "UT", bytes(10_000)) + HEAD + native(100_096) + TAIL
        for size in (0, 100):
            rewritten(data, EXPLICIT, Scripted({0x00081030: DROP}), limits=Limits(head=100), size=size)

    def test_edited_elements_count_more_than_their_bytes(self) -> None:
        data = b"".join(element(tag, "CS", b"") for tag in range(0x00161000, 0x00161064))
        editor = Scripted(dict.fromkeys(range(0x00161000, 0x00161064), EDIT), lambda each: b"")
        self.assert_out_of_resources(data, Limits(head=64 * 100 - 1), editor)

    def test_private_creators_count_even_where_they_do_not_cross(self) -> None:
        # They are remembered, up to 240 of them in each of 32,000 groups.
        for vr in ("LO", "UN"):
            data = b"".join(element(tag, vr, bytes(100)) for tag in range(0x00090010, 0x00090100))
            self.assert_out_of_resources(data, Limits(head=10_000), Scripted(private=DROP))
            self.assertEqual(rewritten(data, EXPLICIT, Scripted(drops_private=True), limits=Limits(head=0)), b"")

    def test_an_edited_value(self) -> None:
        data = element(0x00104000, "UT", bytes(1000))
        self.assertEqual(
            len(rewritten(data, EXPLICIT, Scripted({0x00104000: EDIT}), limits=Limits(edited_value=1000))), 20
        )
        self.assert_out_of_resources(data, Limits(edited_value=999), Scripted({0x00104000: EDIT}))

    def test_nesting(self) -> None:
        data = b""
        for _ in range(10):
            data = element(STUDIES, "SQ", item(data))
        rewritten(data, EXPLICIT, limits=Limits(nesting=10))
        self.assert_out_of_resources(data, Limits(nesting=9))

    def test_a_refused_comment_says_no_value(self) -> None:
        data = element(NAME, "UT", b"DOE" * 1000)
        with self.assertRaises(OperationRefused) as caught:
            rewritten(data, EXPLICIT, Scripted({NAME: EDIT}), limits=Limits(edited_value=10))
        self.assertNotIn("DOE", str(caught.exception))


class BombTests(SynchronousTestCase):
    """Little that would become much."""

    def peak(self, driver: Driver, *pieces: bytes) -> int:
        """The most memory that feeding takes until it is refused."""
        tracemalloc.start()
        try:
            with self.assertRaises(OperationRefused):
                for piece in pieces:
                    driver.feed(piece)
                driver.feed(is_last=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_a_thousand_to_one(self) -> None:
        # One value that is kept and one that is dropped: neither may be inflated beyond the limit.
        limits = Limits(inflated=1 << 20, inflation=16)
        bomb = deflated(HEAD + element(0x00420011, "OB", bytes(1 << 25)))
        for editor in (Scripted(), Scripted({0x00420011: DROP})):
            self.assertLess(self.peak(Driver(DEFLATED, editor, limits), bomb), 4 << 20)

    def test_what_inflates_within_the_limit_is_never_there_as_a_whole(self) -> None:
        data = HEAD + element(PIXELS, "OW", bytes(1 << 25))
        source = deflated(data)
        rewriter = Driver(DEFLATED).rewriter
        tracemalloc.start()
        try:
            rewriter.feed([memoryview(source)], True)
            length = 0
            while not rewriter.is_complete:
                rewriter.work()
                length += sum(map(len, rewriter.flush()))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 4 << 20)
        self.assertLess(length, 1 << 20)

    def test_a_hundred_thousand_levels(self) -> None:
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            opening = element(STUDIES, "SQ", b"", encoding, 0xFFFFFFFF)
            opening += element(0xFFFEE000, "", b"", IMPLICIT, 0xFFFFFFFF) if encoding is not BIG_ENDIAN else b""
            self.assertLess(self.peak(Driver(encoding), opening * 100_000), 8 << 20)

    def test_lengths_of_four_gigabytes(self) -> None:
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            for tag, vr in ((0x00420011, "OB"), (STUDIES, "SQ"), (0x00091001, "UN"), (0x00104000, "UT")):
                for editor in (Scripted(), Scripted({tag: EDIT}), Scripted({tag: DROP}, private=DROP)):
                    lie = element(tag, vr, bytes(10_000), encoding, 0xFFFFFFFE)
                    self.assertLess(self.peak(Driver(encoding, editor), lie), 1 << 20)

    def test_a_head_in_single_bytes_costs_no_more_than_its_bytes(self) -> None:
        data = element(0x00081030, "UT", bytes(100_000))
        pieces = [data[at : at + 1] for at in range(len(data) - 1)]
        self.assertLess(self.peak(Driver(EXPLICIT), *pieces), 1 << 20)

    def test_a_short_piece_of_a_long_one_does_not_hold_the_long_one(self) -> None:
        # Each fragment of 100 kB has one kept value, the rest is dropped.
        tags = range(0x00161000, 0x00161080)
        editor = Scripted({tag: DROP for tag in tags if tag % 2})
        pieces = (element(tag, "UT", bytes(100_000 if tag % 2 else 100)) for tag in tags)
        self.assertLess(self.peak(Driver(EXPLICIT, editor), *pieces, b"x"), 1 << 20)


class TurnTests(SynchronousTestCase):
    def test_a_long_head_is_scanned_in_slices(self) -> None:
        content = b"".join(element(tag, "DS", b"1.25") for tag in range(0x00161000, 0x00161014))
        data = element(0x52009230, "SQ", item(content) * 1000)
        rewriter = Driver(EXPLICIT).rewriter
        rewriter.feed([memoryview(data)], True)
        slices = 1
        while rewriter.work(500):
            slices += 1
        # 1,000 items of 20 elements, and the ends of the items.
        self.assertGreaterEqual(slices, 40)
        self.assertLess(slices, 60)
        self.assertTrue(rewriter.waits)

    def test_inflating_counts_too(self) -> None:
        rewriter = Driver(DEFLATED, Scripted({PIXELS: DROP})).rewriter
        rewriter.feed([memoryview(deflated(HEAD + native(1 << 22)))], True)
        slices = 1
        while rewriter.work():
            slices += 1
        self.assertGreaterEqual(slices, 16)

    def test_without_data_there_is_nothing_to_do(self) -> None:
        rewriter = Driver(EXPLICIT).rewriter
        self.assertEqual((rewriter.work(), rewriter.waits), (False, False))
