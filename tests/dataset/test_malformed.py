"""What is no data set is refused, wherever it is cut."""

from __future__ import annotations

import zlib

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dimse.status import Status
from dimseproxy.errors import OperationRefused
from tests.dataset.editing import (
    BIG_ENDIAN,
    DEFLATED,
    DROP,
    EDIT,
    EXPLICIT,
    IMPLICIT,
    KEEP,
    SEQUENCE_DELIMITER,
    SWAP,
    Scripted,
    deflated,
    element,
    inflated,
    item,
    rewritten,
)

NAME = 0x00100010
PATIENT_ID = 0x00100020
STUDIES = 0x00081110
PIXELS = 0x7FE00010
WHOLE = element(NAME, "PN", b"DOE^") + element(PATIENT_ID, "LO", b"4711")
ITEM_DELIMITER = element(0xFFFEE00D, "", b"", IMPLICIT)
UNDEFINED = 0xFFFFFFFF


class RefusalTests(SynchronousTestCase):
    def assert_refused(self, data: bytes, encoding: Encoding = EXPLICIT, editor: Scripted | None = None) -> None:
        for size in (0, 1):
            with self.assertRaises(OperationRefused) as caught:
                rewritten(data, encoding, editor, size=size)
            self.assertEqual(caught.exception.status, Status.PROCESSING_FAILURE)

    def test_cut_anywhere(self) -> None:
        data = element(STUDIES, "SQ", item(WHOLE, is_defined=False), length=UNDEFINED) + SEQUENCE_DELIMITER + WHOLE
        ends = {0, len(data), len(data) - len(WHOLE), len(data) - len(WHOLE) // 2}
        for size in range(len(data)):
            if size not in ends:
                for editor in (Scripted(), Scripted({STUDIES: DROP}), Scripted({NAME: EDIT, PATIENT_ID: EDIT})):
                    self.assert_refused(data[:size], EXPLICIT, editor)

    def test_cut_within_pixels(self) -> None:
        for pixels in (
            element(PIXELS, "OW", bytes(100), length=102),
            element(PIXELS, "OB", item(b"ab"), length=UNDEFINED),
        ):
            self.assert_refused(WHOLE + pixels)

    def test_elements_that_do_not_ascend(self) -> None:
        first, second = element(NAME, "PN", b"DOE^"), element(PATIENT_ID, "LO", b"4711")
        for encoding in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
            first, second = element(NAME, "PN", b"DOE^", encoding), element(PATIENT_ID, "LO", b"4711", encoding)
            for data in (second + first, first + first, second + second + first):
                self.assert_refused(data, encoding)

    def test_nor_in_an_item(self) -> None:
        self.assert_refused(element(STUDIES, "SQ", item(WHOLE + WHOLE)))

    def test_an_element_is_not_twice_around_an_insertion(self) -> None:
        data = element(0x00120062, "CS", b"NO")
        self.assert_refused(data + data, EXPLICIT, Scripted(insertions=[(0x00120062, data)]))

    def test_command_elements(self) -> None:
        self.assert_refused(element(0x00001000, "UI", b"1.2\0") + WHOLE)

    def test_delimiters_where_nothing_ends(self) -> None:
        for stray in (ITEM_DELIMITER, SEQUENCE_DELIMITER, item(b""), item(WHOLE)):
            self.assert_refused(WHOLE + stray)
            self.assert_refused(element(STUDIES, "SQ", item(WHOLE + stray)))

    def test_the_wrong_delimiter(self) -> None:
        content = item(b"", is_defined=False)[:8] + WHOLE + SEQUENCE_DELIMITER
        self.assert_refused(element(STUDIES, "SQ", content, length=UNDEFINED))

    def test_a_delimiter_with_a_length(self) -> None:
        content = item(WHOLE) + element(0xFFFEE0DD, "", b"ab", IMPLICIT)
        self.assert_refused(element(STUDIES, "SQ", content, length=UNDEFINED))

    def test_something_else_than_an_item_in_a_sequence(self) -> None:
        self.assert_refused(element(STUDIES, "SQ", WHOLE))
        self.assert_refused(element(STUDIES, "SQ", WHOLE, length=UNDEFINED) + SEQUENCE_DELIMITER)
        self.assert_refused(element(STUDIES, "", element(NAME, "", b"DOE^", IMPLICIT), IMPLICIT), IMPLICIT)

    def test_longer_than_what_it_is_in(self) -> None:
        for value in (
            item(element(NAME, "PN", b"DOE^", length=6)),
            item(element(0x00104000, "UT", b"DOE^", length=100_000)),
            item(element(STUDIES, "SQ", item(b"")[:6])),
            item(WHOLE)[:4] + b"\xff\0\0\0" + WHOLE,
            item(element(STUDIES, "SQ", b"", length=UNDEFINED)),
            item(WHOLE, is_defined=False)[:-8],
            item(b"abcdef"),
        ):
            for treatment in (KEEP, EDIT, SWAP):
                tags = {NAME: treatment, 0x00104000: treatment}
                self.assert_refused(element(STUDIES, "SQ", value) + WHOLE, EXPLICIT, Scripted(tags))

    def test_something_else_than_fragments(self) -> None:
        for value in (
            WHOLE,
            item(b"ab", is_defined=False),
            item(b"ab") + ITEM_DELIMITER,
            SEQUENCE_DELIMITER[:4] + b"\1\0\0\0",
        ):
            self.assert_refused(element(PIXELS, "OB", value, length=UNDEFINED) + SEQUENCE_DELIMITER)

    def test_an_undefined_length_where_there_can_be_none(self) -> None:
        self.assert_refused(element(0x00104000, "UT", b"", length=UNDEFINED) + SEQUENCE_DELIMITER)
        self.assert_refused(element(0x00104000, "", b"", IMPLICIT, UNDEFINED) + SEQUENCE_DELIMITER, IMPLICIT)

    def test_what_is_not_a_vr(self) -> None:
        for code in ("pn", "??", "\0\0", "P1"):
            self.assert_refused(WHOLE + element(0x00104000, code, b"ab"))

    def test_a_sequence_that_says_it_is_something_else(self) -> None:
        # Its items would cross unseen.
        value = item(element(NAME, "PN", b"DOE^"))
        for vr in ("OB", "UT", "LO", "ZZ"):
            self.assert_refused(element(STUDIES, vr, value))
        self.assert_refused(element(STUDIES, "OB", value, length=UNDEFINED) + SEQUENCE_DELIMITER)

    def test_it_may_be_dropped(self) -> None:
        value = item(element(NAME, "PN", b"DOE^"))
        data = element(STUDIES, "OB", value, length=UNDEFINED) + SEQUENCE_DELIMITER + element(STUDIES + 1, "UT", value)
        self.assertEqual(rewritten(data + WHOLE, EXPLICIT, Scripted({STUDIES: DROP, STUDIES + 1: DROP})), WHOLE)

    def test_encapsulated_pixels_are_not_edited(self) -> None:
        data = element(PIXELS, "OB", item(b"ab"), length=UNDEFINED) + SEQUENCE_DELIMITER
        self.assertRaises(OperationRefused, rewritten, data, EXPLICIT, Scripted({PIXELS: EDIT}))

    def test_a_private_creator_or_character_set_without_end(self) -> None:
        self.assert_refused(element(0x00080005, "CS", bytes(1026)))
        self.assert_refused(element(0x00090010, "LO", bytes(1026)))

    def test_another_encoding_than_was_said(self) -> None:
        self.assert_refused(WHOLE, IMPLICIT)
        self.assert_refused(element(NAME, "", b"DOE^", IMPLICIT) + element(PATIENT_ID, "", b"4711", IMPLICIT), EXPLICIT)
        self.assert_refused(WHOLE, DEFLATED)

    def test_a_file(self) -> None:
        self.assert_refused(bytes(128) + b"DICM" + WHOLE)

    def test_more_behind_the_end_than_one_nul(self) -> None:
        for rest in (b"\0\0", b"x", b"\0" * 7):
            self.assert_refused(WHOLE + rest)


class DeflatedTests(SynchronousTestCase):
    def test_a_nul_and_the_trailer_of_gzip_may_follow(self) -> None:
        compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = compressor.compress(WHOLE) + compressor.flush()
        trailer = zlib.crc32(WHOLE).to_bytes(4, "little") + len(WHOLE).to_bytes(4, "little")
        for follows in (b"", b"\0", trailer, trailer + b"\0"):
            for size in (0, 1):
                self.assertEqual(inflated(rewritten(data + follows, DEFLATED, size=size)), WHOLE)

    def test_nothing_else_may(self) -> None:
        for size in (0, 1, 5):
            for follows in (bytes(10), WHOLE, deflated(WHOLE)):
                self.assertRaises(OperationRefused, rewritten, deflated(WHOLE) + follows, DEFLATED, size=size)

    def test_cut(self) -> None:
        data = deflated(WHOLE)
        for size in range(len(data.rstrip(b"\0")) - 1):
            self.assertRaises(OperationRefused, rewritten, data[:size], DEFLATED)

    def test_broken(self) -> None:
        self.assertRaises(OperationRefused, rewritten, b"\xff" * 100, DEFLATED)


class ToleratedTests(SynchronousTestCase):
    def test_a_vr_that_nobody_knows_has_a_long_length(self) -> None:
        data = WHOLE + element(0x00104000, "ZZ", b"abcd")
        for size in (0, 1):
            editor = Scripted({0x00104000: EDIT}, lambda each: b"x")
            self.assertEqual(rewritten(data, EXPLICIT, size=size), data)
            out = rewritten(data, EXPLICIT, editor, size=size)
            self.assertEqual((out, editor.edited[0].vr), (WHOLE + element(0x00104000, "ZZ", b"x\0"), "LT"))

    def test_strange_elements_in_what_is_dropped(self) -> None:
        content = item(WHOLE + WHOLE + element(0x00011001, "LO", b"ab"), is_defined=False)
        data = element(STUDIES, "SQ", content, length=UNDEFINED) + SEQUENCE_DELIMITER + WHOLE
        self.assertEqual(rewritten(data, EXPLICIT, Scripted({STUDIES: DROP})), WHOLE)
