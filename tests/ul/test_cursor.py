"""Reading within bounds."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.cursor import Cursor
from tests.ul.strategies import PROPERTY

_READS: list[Callable[[Cursor], object]] = [
    Cursor.u8,
    Cursor.u16,
    Cursor.u32,
    lambda cursor: cursor.skip(3),
    lambda cursor: cursor.take(5),
    lambda cursor: cursor.item("item"),
]


class CursorTests(SynchronousTestCase):
    def test_numbers_are_big_endian(self) -> None:
        cursor = Cursor(b"\x01\x02\x03\x04\x05\x06\x07", "test")
        self.assertEqual((cursor.u8(), cursor.u16(), cursor.u32()), (0x01, 0x0203, 0x04050607))

    def test_take_advances(self) -> None:
        cursor = Cursor(b"abcd", "test")
        self.assertEqual((cursor.take(3), cursor.rest()), (b"abc", b"d"))

    def test_take_of_nothing(self) -> None:
        self.assertEqual(Cursor(b"", "test").take(0), b"")

    def test_skip_passes_over(self) -> None:
        cursor = Cursor(b"abcd", "test")
        cursor.skip(2)
        self.assertEqual(cursor.remaining, 2)

    def test_a_window_hides_what_is_around_it(self) -> None:
        cursor = Cursor(b"abcdef", "test", 2, 4)
        self.assertEqual(cursor.rest(), b"cd")

    def test_reading_past_a_window_is_refused_although_there_are_bytes(self) -> None:
        self.assertRaises(RemoteProtocolError, Cursor(b"abcdef", "test", 2, 4).take, 3)

    def test_an_item_is_its_type_and_its_value(self) -> None:
        item_type, value = Cursor(b"\x30\xff\x00\x02hi!", "test").item("item")
        self.assertEqual((item_type, value.rest()), (0x30, b"hi"))

    def test_an_item_longer_than_what_is_left_is_refused(self) -> None:
        self.assertRaises(RemoteProtocolError, Cursor(b"\x30\x00\x00\x03hi", "test").item, "item")

    def test_the_next_item_begins_after_the_value(self) -> None:
        cursor = Cursor(b"\x30\x00\x00\x02hi\x40\x00\x00\x00", "test")
        cursor.item("first")
        self.assertEqual(cursor.item("second")[0], 0x40)

    def test_the_error_names_the_structure_and_has_a_reason(self) -> None:
        error = self.assertRaises(RemoteProtocolError, Cursor(b"", "A-THING").u8)
        self.assertIn("A-THING", str(error))
        self.assertEqual(error.reason, AbortReason.INVALID_PARAMETER_VALUE)

    def test_a_refused_read_consumes_nothing(self) -> None:
        cursor = Cursor(b"abc", "test")
        self.assertRaises(RemoteProtocolError, cursor.u32)
        self.assertEqual(cursor.rest(), b"abc")

    @PROPERTY
    @given(st.binary(max_size=40), st.lists(st.sampled_from(_READS), max_size=20))
    def test_any_sequence_of_reads_stays_within_bounds(
        self, data: bytes, reads: list[Callable[[Cursor], object]]
    ) -> None:
        cursor = Cursor(b"before" + data + b"after", "test", 6, 6 + len(data))
        for read in reads:
            try:
                read(cursor)
            except RemoteProtocolError:
                break
        self.assertTrue(0 <= cursor.remaining <= len(data))
        self.assertTrue((b"before" + data).endswith(cursor.rest()))
