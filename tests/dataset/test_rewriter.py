"""A data set through an editor, in every encoding, however it arrives."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Element, Level, Plan, Rewriter
from dimseproxy.errors import LocalProtocolError, OperationRefused
from tests.dataset.editing import (
    BIG_ENDIAN,
    DEFLATED,
    DROP,
    EDIT,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    KEEP,
    SEQUENCE_DELIMITER,
    SWAP,
    Driver,
    Scripted,
    decoded,
    element,
    encoded,
    inflated,
    item,
    rewritten,
)

NAME = 0x00100010
PATIENT_ID = 0x00100020
COMMENTS = 0x00104000
INSTANCE = 0x00081155
STUDIES = 0x00081110
SERIES = 0x00081115
PIXELS = 0x7FE00010


def image(pixels: int = 200_000, *, undefined: bool = True) -> Dataset:
    """A nested reference, a name, pixels, and something behind them."""
    data_set = Dataset()
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.SOPInstanceUID = "1.2.3"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.3.4"
    middle = Dataset()
    middle.ReferencedSeriesSequence = Sequence([inner, inner])
    middle.PatientID = "NESTED"
    outer = Sequence([middle, Dataset()])
    data_set.ReferencedStudySequence = outer
    for sequence in (data_set["ReferencedStudySequence"], middle["ReferencedSeriesSequence"]):
        sequence.is_undefined_length = undefined
    for each in (inner, *outer):
        each.is_undefined_length_sequence_item = undefined
    data_set.PatientName = "DOE^JOHN"
    data_set.PatientID = "4711"
    data_set.PatientComments = "x"
    data_set.Rows = 100
    data_set.add_new(PIXELS, "OW", bytes(range(256)) * (pixels // 256))
    data_set.add_new(0xFFFCFFFC, "OB", bytes(6))
    return data_set


class CrossingTests(SynchronousTestCase):
    def test_what_is_kept_crosses_byte_for_byte(self) -> None:
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            data = encoded(image(), encoding)
            for size in (0, 1000, 7):
                self.assertEqual(rewritten(data, encoding, size=size), data, (encoding, size))

    def test_a_deflated_data_set_is_deflated_again(self) -> None:
        data = encoded(image(), DEFLATED)
        for size in (0, 7, 1):
            out = rewritten(data, DEFLATED, size=size)
            self.assertEqual((inflated(out), len(out) % 2), (inflated(data), 0), size)

    def test_sequences_of_defined_length_lose_their_lengths_and_nothing_else(self) -> None:
        for encoding in ENCODINGS:
            data = encoded(image(undefined=False), encoding)
            for size in (0, 999, 3):
                out = rewritten(data, encoding, size=size)
                self.assertEqual(decoded(out, encoding), decoded(data, encoding), (encoding, size))

    def test_an_empty_sequence_and_an_empty_item_cross_as_they_are(self) -> None:
        for encoding in (EXPLICIT, BIG_ENDIAN):
            little = encoding.is_little_endian
            data = element(STUDIES, "SQ", b"", encoding)
            data += element(SERIES, "SQ", item(b"", is_little_endian=little), encoding, 0xFFFFFFFF)
            data += element(0xFFFEE0DD, "", b"", Encoding(True, little))
            self.assertEqual(rewritten(data, encoding), data)

    def test_an_empty_data_set(self) -> None:
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN):
            driver = Driver(encoding).feed(is_last=True)
            self.assertEqual((driver.written, driver.rewriter.is_complete), (b"", True))

    def test_values_of_odd_length_cross_as_they_are(self) -> None:
        data = element(NAME, "PN", b"DOE") + element(PATIENT_ID, "LO", b"4711")
        self.assertEqual(rewritten(data, EXPLICIT), data)

    def test_one_nul_behind_the_last_element_is_dropped(self) -> None:
        data = element(NAME, "PN", b"DOE")
        self.assertEqual(rewritten(data + b"\0", EXPLICIT, size=1), data)

    def test_group_lengths_are_dropped_at_every_depth(self) -> None:
        length = element(0x00080000, "UL", bytes(4))
        inner = element(INSTANCE, "UI", b"1.2\0")
        sequence = element(STUDIES, "SQ", item(length + inner, is_defined=False), length=0xFFFFFFFF)
        out = rewritten(length + sequence + SEQUENCE_DELIMITER, EXPLICIT)
        expected = element(STUDIES, "SQ", item(inner, is_defined=False), length=0xFFFFFFFF)
        self.assertEqual(out, expected + SEQUENCE_DELIMITER)

    def test_file_meta_information_is_dropped(self) -> None:
        data = element(NAME, "PN", b"DOE^")
        meta = element(0x00020003, "UI", b"1.2\0")
        self.assertEqual(rewritten(meta + data, EXPLICIT), data)


class EditingTests(SynchronousTestCase):
    def test_at_every_depth(self) -> None:
        for encoding in ENCODINGS:
            for undefined in (True, False):
                editor = Scripted({NAME: EDIT, INSTANCE: EDIT, PATIENT_ID: DROP}, lambda element: b"9.8.7")
                out = rewritten(encoded(image(undefined=undefined), encoding), encoding, editor, size=5000)
                expected = image(undefined=undefined)
                expected.PatientName = "9.8.7"
                del expected.PatientID
                middle = expected.ReferencedStudySequence[0]
                del middle.PatientID
                for each in middle.ReferencedSeriesSequence:
                    each.ReferencedSOPInstanceUID = "9.8.7"
                self.assertEqual(decoded(out, encoding), decoded(encoded(expected, encoding), encoding))

    def test_the_editor_sees_the_whole_value_and_where_it_is(self) -> None:
        for encoding in ENCODINGS:
            for size in (0, 1):
                editor = Scripted({INSTANCE: EDIT, NAME: EDIT})
                rewritten(encoded(image(256), encoding), encoding, editor, size=size)
                first, second, name = editor.edited
                self.assertEqual((first.vr, first.value, name.vr, name.value), ("UI", b"1.2.3.4\0", "PN", b"DOE^JOHN"))
                levels = [(each.level.sequence, each.level.item) for each in (first, second, name)]
                self.assertEqual(levels, [(SERIES, 0), (SERIES, 1), (0, 0)])
                assert first.level.parent is not None
                self.assertEqual((first.level.parent.sequence, first.level.parent.item), (STUDIES, 0))
                self.assertEqual(first.level.character_sets.rstrip(), b"ISO_IR 100")
                self.assertIs(first.level.parent.parent, name.level)

    def test_an_answer_is_padded_by_its_vr(self) -> None:
        tags = {0x00080018: EDIT, NAME: EDIT, 0x00420011: EDIT}
        data = element(0x00080018, "UI", b"1.22") + element(NAME, "PN", b"") + element(0x00420011, "OB", b"ab")
        out = rewritten(data, EXPLICIT, Scripted(tags, lambda element: b"9"))
        expected = element(0x00080018, "UI", b"9\0") + element(NAME, "PN", b"9 ") + element(0x00420011, "OB", b"9\0")
        self.assertEqual(out, expected)

    def test_an_answer_of_nothing_drops_the_element(self) -> None:
        data = element(NAME, "PN", b"DOE^") + element(PATIENT_ID, "LO", b"4711")
        out = rewritten(data, EXPLICIT, Scripted({NAME: EDIT}, lambda element: None))
        self.assertEqual(out, element(PATIENT_ID, "LO", b"4711"))

    def test_the_answer_may_come_until_the_flush(self) -> None:
        editor = Scripted({NAME: EDIT})
        editor.edit = editor.edited.append  # type: ignore[method-assign, assignment]
        rewriter = Rewriter(EXPLICIT, editor)
        rewriter.feed([memoryview(element(NAME, "PN", b"DOE^"))], True)
        rewriter.work()
        self.assertTrue(rewriter.waits)
        editor.edited[0].replace(b"LATE")
        self.assertEqual(rewriter.flush(), [element(NAME, "PN", b"LATE")])

    def test_without_an_answer_nothing_leaves(self) -> None:
        editor = Scripted({NAME: EDIT})
        editor.edit = editor.edited.append  # type: ignore[method-assign, assignment]
        rewriter = Rewriter(EXPLICIT, editor)
        rewriter.feed([memoryview(element(NAME, "PN", b"DOE^"))], True)
        rewriter.work()
        for _ in range(2):
            self.assertRaises(OperationRefused, rewriter.flush)
        self.assertFalse(rewriter.waits)

    def test_a_vr_may_be_changed(self) -> None:
        def answer(each: Element) -> bytes:
            self.assertEqual((each.vr, each.vr_out), ("PN", "UN"))
            each.vr_out = each.vr
            return b"DOE"

        out = rewritten(element(NAME, "UN", b"ROE^"), EXPLICIT, Scripted({NAME: EDIT}, answer))
        self.assertEqual(out, element(NAME, "PN", b"DOE "))

    def test_a_value_too_long_for_its_vr_is_written_as_unknown(self) -> None:
        out = rewritten(element(NAME, "PN", b""), EXPLICIT, Scripted({NAME: EDIT}, lambda element: bytes(70_000)))
        self.assertEqual(out, element(NAME, "UN", bytes(70_000)))

    def test_a_swapped_value_is_not_looked_at_however_long_it_is(self) -> None:
        for encoding in (EXPLICIT, DEFLATED):
            for size in (0, 10_000):
                source = image(3_000_000)
                editor = Scripted({PIXELS: SWAP, STUDIES: SWAP}, lambda element: b"")
                out = decoded(rewritten(encoded(source, encoding), encoding, editor, size=size), encoding)
                self.assertEqual([each.value for each in editor.edited], [b"", b""])
                self.assertEqual([each.vr for each in editor.edited], ["SQ", "OW"])
                source.ReferencedStudySequence = Sequence([])
                source[PIXELS].value = b""
                self.assertEqual(out, decoded(encoded(source, encoding), encoding))

    def test_where_the_plan_says_what_is_written_the_editor_is_not_asked(self) -> None:
        class Saying(Plan):
            def instead(self, tag: int, vr: str, level: Level) -> bytes | None:
                return element(tag, vr, b"NOBODY") if tag == NAME else None

        editor = Scripted({}, lambda element: b"")
        editor.plan = Saying({NAME: SWAP, PATIENT_ID: SWAP})
        source = element(NAME, "PN", b"DOE^JANE") + element(PATIENT_ID, "LO", b"4711")
        out = rewritten(source, EXPLICIT, editor)
        self.assertEqual(out, element(NAME, "PN", b"NOBODY") + element(PATIENT_ID, "LO", b""))
        self.assertEqual([each.tag for each in editor.edited], [PATIENT_ID])

    def test_a_repr_says_no_value(self) -> None:
        editor = Scripted({NAME: EDIT})
        rewritten(element(NAME, "PN", b"DOE^"), EXPLICIT, editor)
        self.assertEqual(repr(editor.edited[0]), "<Element (0010,0010) PN>")


class SequenceTests(SynchronousTestCase):
    def test_a_dropped_sequence_goes_with_all_that_it_holds(self) -> None:
        for encoding in ENCODINGS:
            for undefined in (True, False):
                for size in (0, 1):
                    source = image(256, undefined=undefined)
                    editor = Scripted({STUDIES: DROP, INSTANCE: EDIT})
                    out = rewritten(encoded(source, encoding), encoding, editor, size=size)
                    del source.ReferencedStudySequence
                    self.assertEqual(decoded(out, encoding), decoded(encoded(source, encoding), encoding))
                    self.assertEqual(editor.edited, [])

    def test_an_edited_sequence_has_the_plan_that_the_editor_says(self) -> None:
        inner = Plan({PATIENT_ID: DROP})
        editor = Scripted({STUDIES: EDIT, PATIENT_ID: KEEP}, within=lambda tag: inner)
        out = decoded(rewritten(encoded(image(256), EXPLICIT), EXPLICIT, editor), EXPLICIT)
        self.assertEqual((out.PatientID, "PatientID" in out.ReferencedStudySequence[0]), ("4711", False))
        self.assertEqual([tag for tag, level in editor.entered], [STUDIES])

    def test_no_plan_drops_it(self) -> None:
        for undefined in (True, False):
            data = encoded(image(256, undefined=undefined), IMPLICIT)
            out = decoded(rewritten(data, IMPLICIT, Scripted({STUDIES: EDIT}, within=lambda tag: None)), IMPLICIT)
            self.assertNotIn("ReferencedStudySequence", out)

    def test_unknown_vr_of_undefined_length_is_an_implicit_sequence(self) -> None:
        for encoding in (EXPLICIT, BIG_ENDIAN):
            content = element(INSTANCE, "", b"1.2.3.4\0", IMPLICIT)
            value = item(content, is_defined=False) + SEQUENCE_DELIMITER
            data = element(STUDIES, "UN", value, encoding, 0xFFFFFFFF)
            self.assertEqual(rewritten(data, encoding), data)
            editor = Scripted({INSTANCE: EDIT}, lambda each: b"9")
            out = rewritten(data, encoding, editor)
            changed = item(element(INSTANCE, "", b"9\0", IMPLICIT), is_defined=False) + SEQUENCE_DELIMITER
            self.assertEqual(out, element(STUDIES, "UN", changed, encoding, 0xFFFFFFFF))
            self.assertEqual((editor.edited[0].vr, editor.edited[0].encoding), ("UI", IMPLICIT))

    def test_unknown_vr_of_a_known_sequence_too_where_its_length_is_defined(self) -> None:
        for encoding in (EXPLICIT, BIG_ENDIAN):
            data = element(STUDIES, "UN", item(element(INSTANCE, "", b"1.2.3.4\0", IMPLICIT)), encoding)
            out = rewritten(data, encoding, Scripted({INSTANCE: EDIT}, lambda each: b"9"))
            changed = item(element(INSTANCE, "", b"9\0", IMPLICIT), is_defined=False) + SEQUENCE_DELIMITER
            self.assertEqual(out, element(STUDIES, "UN", changed, encoding, 0xFFFFFFFF))

    def test_a_character_set_holds_in_its_item_and_below_only(self) -> None:
        inner = element(SERIES, "SQ", item(element(NAME, "PN", b"a")))
        first = item(element(0x00080005, "CS", b"ISO_IR 192") + inner)
        second = item(element(NAME, "PN", b"b"))
        data = element(0x00080005, "CS", b"ISO_IR 100") + element(STUDIES, "SQ", first + second)
        data += element(NAME, "PN", b"c")
        for size in (0, 1):
            editor = Scripted({NAME: EDIT})
            rewritten(data, EXPLICIT, editor, size=size)
            sets = [each.level.character_sets for each in editor.edited]
            self.assertEqual(sets, [b"ISO_IR 192", b"ISO_IR 100", b"ISO_IR 100"])


class PrivateTests(SynchronousTestCase):
    DATA = element(0x00090010, "LO", b"ACME 1.0 ") + element(0x00091001, "UN", b"secret") + element(NAME, "PN", b"")

    def test_the_editor_is_asked_with_the_creator_known(self) -> None:
        for size in (0, 1):
            editor = Scripted()
            rewritten(self.DATA, EXPLICIT, editor, size=size)
            asked = {tag: (vr, length) for tag, vr, length, level in editor.asked}
            self.assertEqual(asked, {0x00090010: ("LO", 9), 0x00091001: ("UN", 6)})
            self.assertEqual(editor.asked[0][3].creators, {0x000910: "ACME 1.0"})

    def test_what_it_drops_does_not_cross(self) -> None:
        self.assertEqual(rewritten(self.DATA, EXPLICIT, Scripted(private=DROP)), element(NAME, "PN", b""))

    def test_it_need_not_be_asked(self) -> None:
        sequence = item(element(NAME, "", b"DOE^", IMPLICIT), is_defined=False)
        for content in (sequence + SEQUENCE_DELIMITER, item(b"ab")):
            length = 0xFFFFFFFF if content.endswith(SEQUENCE_DELIMITER) else None
            for vr in ("SQ", "UN") if length is None else ("UN",):
                data = self.DATA[:-8] + element(0x00091002, vr, content, length=length) + self.DATA[-8:]
                for size in (0, 1):
                    editor = Scripted(drops_private=True)
                    out = rewritten(data, EXPLICIT, editor, size=size)
                    self.assertEqual((out, editor.asked), (element(NAME, "PN", b""), []))

    def test_a_creator_that_nobody_needs_may_be_anything(self) -> None:
        data = element(0x00090010, "OB", bytes(100_000)) + element(NAME, "PN", b"")
        for size in (0, 1000):
            self.assertEqual(rewritten(data, EXPLICIT, Scripted(drops_private=True), size=size), data[-8:])

    def test_what_it_edits_is_edited(self) -> None:
        editor = Scripted({0x00091001: EDIT}, lambda each: b"XY")
        self.assertIn(element(0x00091001, "UN", b"XY"), rewritten(self.DATA, EXPLICIT, editor, size=1))

    def test_a_private_sequence_is_descended_into(self) -> None:
        for undefined in (True, False):
            inside = item(element(NAME, "PN", b"DOE^"), is_defined=not undefined)
            value = inside + SEQUENCE_DELIMITER if undefined else inside
            data = element(0x00091001, "SQ", value, length=0xFFFFFFFF if undefined else None)
            out = rewritten(data, EXPLICIT, Scripted({NAME: DROP}))
            empty = item(b"", is_defined=False) + SEQUENCE_DELIMITER
            self.assertEqual(out, element(0x00091001, "SQ", empty, length=0xFFFFFFFF))

    def test_a_private_sequence_that_pydicom_knows_is_found_without_a_vr(self) -> None:
        creator = element(0x20010010, "", b"Philips Imaging DD 001", IMPLICIT)
        data = creator + element(0x2001105F, "", item(element(NAME, "", b"DOE^", IMPLICIT)), IMPLICIT)
        editor = Scripted({NAME: EDIT}, lambda each: None)
        self.assertNotIn(b"DOE", rewritten(data, IMPLICIT, editor))
        self.assertEqual(editor.asked[-1][1], "SQ")

    def test_a_creator_holds_in_its_own_item_only(self) -> None:
        inside = item(element(0x00091001, "UN", b"ab"))
        data = element(
            STUDIES, "SQ", item(element(0x00090010, "LO", b"ACME") + element(0x00091001, "UN", b"")) + inside
        )
        editor = Scripted()
        rewritten(data, EXPLICIT, editor)
        self.assertEqual([level.creators for *_, level in editor.asked], [{0x000910: "ACME"}] * 2 + [{}])

    def test_groups_that_no_private_element_may_have_are_refused(self) -> None:
        for tag in (0x00010010, 0x00030010, 0x00051010, 0x00071010, 0xFFFF1010):
            self.assertRaises(OperationRefused, rewritten, element(tag, "LO", b"ab"), EXPLICIT)


class InsertionTests(SynchronousTestCase):
    REMOVED = (0x00120062, element(0x00120062, "CS", b"YES "))
    METHOD = (0x00120063, element(0x00120063, "LO", b"dimseproxy"))

    def insert(self, data: bytes, *insertions: tuple[int, bytes], size: int = 0) -> bytes:
        return rewritten(data, EXPLICIT, Scripted(insertions=insertions), size=size)

    def test_where_they_belong(self) -> None:
        before, behind = element(NAME, "PN", b"DOE^"), element(0x00180050, "DS", b"1 ")
        nested = element(SERIES, "SQ", item(behind, is_defined=False), length=0xFFFFFFFF) + SEQUENCE_DELIMITER
        for size in (0, 1):
            out = self.insert(nested + before + behind, self.REMOVED, self.METHOD, size=size)
            self.assertEqual(out, nested + before + self.REMOVED[1] + self.METHOD[1] + behind)

    def test_at_the_end(self) -> None:
        data = element(NAME, "PN", b"DOE^")
        self.assertEqual(self.insert(data, self.REMOVED), data + self.REMOVED[1])

    def test_into_nothing(self) -> None:
        self.assertEqual(self.insert(b"", self.REMOVED), self.REMOVED[1])

    def test_in_place_of_what_is_there(self) -> None:
        behind = element(0x00180050, "DS", b"1 ")
        for size in (0, 1):
            out = self.insert(element(0x00120062, "CS", b"NO") + behind, self.REMOVED, size=size)
            self.assertEqual(out, self.REMOVED[1] + behind)

    def test_before_the_pixels(self) -> None:
        driver = Driver(EXPLICIT, Scripted(insertions=[self.REMOVED]))
        pixels = element(PIXELS, "OW", bytes(100_000))
        driver.feed(pixels[:1000])
        self.assertEqual(driver.flushes[0], [self.REMOVED[1] + pixels[:12]])


class MisuseTests(SynchronousTestCase):
    def test_a_data_set_does_not_go_on_after_its_end(self) -> None:
        driver = Driver(EXPLICIT).feed(is_last=True)
        self.assertRaises(LocalProtocolError, driver.feed, b"x")

    def test_no_more_goes_past_than_is_opaque(self) -> None:
        driver = Driver(EXPLICIT).feed(element(PIXELS, "OW", bytes(100_000))[:1000])
        self.assertRaises(LocalProtocolError, driver.rewriter.pass_opaque, 100_012 - 1000 + 1)

    def test_an_editor_that_fails_ends_it(self) -> None:
        def fail(each: Element) -> bytes:
            raise ZeroDivisionError

        driver = Driver(EXPLICIT, Scripted({NAME: EDIT}, fail))
        self.assertRaises(ZeroDivisionError, driver.feed, element(NAME, "PN", b""), is_last=True)
        self.assertRaises(OperationRefused, driver.rewriter.flush)
        self.assertRaises(OperationRefused, driver.rewriter.work)
