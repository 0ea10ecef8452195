"""Which heads are recognised, and which are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.errors import OperationRefused
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.privacy.policy import Policy, compile_policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from dimseproxy.privacy.remembering import MAX_ELEMENTS
from dimseproxy.privacy.replay import MAX_HEAD, HeadMemory, Replay
from tests.privacy.editing import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    KEY,
    Source,
    encoded,
    plain,
    pseudonym_of,
    through,
)
from tests.privacy.objects import BASIC, ct, data_set, items, reference
from tests.privacy.searching import finds

PIXELS = bytes(range(200))
#: Of a mapping that changes between two objects.
Pseudonyms = Callable[[set[Identity]], Mapping[Identity, str]]


def an_object(number: int = 1, **attributes: object) -> Dataset:
    """One of a series."""
    series = {
        "SOPInstanceUID": f"1.2.3.100003.{number}",
        "InstanceNumber": number,
        "SliceLocation": f"{number * 1.5:.2f}",
        "RequestAttributesSequence": items(data_set(RequestedProcedureID="R-0815")),
        "ReferencedImageSequence": items(reference("1.2.3.200001"), reference("1.2.3.200002")),
        "InstitutionName": "St. Elsewhere",
        "PixelData": PIXELS,
    }
    return ct(**{**series, **attributes})


class Remembering(SynchronousTestCase):
    policy: Policy = BASIC
    encoding: Encoding = EXPLICIT

    def setUp(self) -> None:
        self.source = Source()
        self.memory = HeadMemory(self.policy, self.encoding, KEY)
        self.inspected: list[bytes] = []
        self.was_replaced = False

    def data(self, original: Dataset) -> bytes:
        if "PixelData" in original:
            original["PixelData"].VR = "OW"
        return encoded(original, self.encoding)

    def learn(self, *originals: Dataset) -> None:
        """Send these through, as often as it takes for the last of them to be remembered."""
        for original in (*originals, originals[-1]):
            data = memoryview(self.data(original))
            self.assertIsNone(self.memory.recognise([data]))
            length = len(data) - len(PIXELS)
            editor = Pseudonymisation(self.policy, self.encoding, Purpose.OBJECT, KEY)
            through(editor, bytes(data), self.encoding, self.pseudonyms_of)
            self.memory.consider([data], length, self.asked)

    def pseudonyms_of(self, wanted: set[Identity]) -> Mapping[Identity, str]:
        found = self.source.pseudonyms_of(wanted)
        if found:
            self.asked = found
        return found

    def recognised(self, original: Dataset) -> Replay | None:
        return self.memory.recognise([memoryview(self.data(original))])

    def usual(self, original: Dataset, pseudonyms_of: Pseudonyms | None = None) -> bytes:
        """What leaves of an object that nothing is remembered of."""
        editor = Pseudonymisation(self.policy, self.encoding, Purpose.OBJECT, KEY)
        return through(editor, self.data(original), self.encoding, pseudonyms_of or self.source.pseudonyms_of)

    def replayed(self, original: Dataset, pseudonyms_of: Pseudonyms | None = None) -> bytes:
        """What leaves of one that is recognised."""
        replay = self.recognised(original)
        assert replay is not None
        replay.feed([memoryview(self.data(original))], True)
        return self.rest(replay, pseudonyms_of)

    def rest(self, replay: Replay, pseudonyms_of: Pseudonyms | None = None) -> bytes:
        """What leaves of what was fed, by whatever edits it by now."""
        left: list[bytes] = []
        while True:
            rewriter, editor = replay.instead or (replay, replay)
            while rewriter.work():
                pass
            if not rewriter.waits:
                break
            editor.resolve((pseudonyms_of or self.source.pseudonyms_of)(editor.wanted()))
            rewriter, _ = replay.instead or (replay, replay)
            self.was_replaced = rewriter is not replay
            left += [bytes(piece) for piece in rewriter.flush()]
        self.assertTrue(rewriter.is_complete)
        return b"".join(left)


class RecognitionTests(Remembering):
    def setUp(self) -> None:
        super().setUp()
        self.learn(an_object())

    def test_the_next_of_the_series_is_recognised(self) -> None:
        self.assertIsNotNone(self.recognised(an_object(2)))

    def test_it_leaves_as_it_would_have(self) -> None:
        for number in (2, 3, 100_000):
            self.assertEqual(self.replayed(an_object(number)), self.usual(an_object(number)))
            self.assertFalse(self.was_replaced)

    def test_another_patient_is_not(self) -> None:
        for other in ({"PatientID": "PAT-4712"}, {"PatientName": "Meier^Erica"}, {"PatientBirthDate": "19700130"}):
            self.assertIsNone(self.recognised(an_object(2, **other)))

    def test_a_tag_more_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, ImageComments="for Meier")))

    def test_a_tag_less_is_not(self) -> None:
        other = an_object(2)
        del other.SliceLocation
        self.assertIsNone(self.recognised(other))

    def test_another_vr_is_not(self) -> None:
        other = an_object(2)
        other.add_new(0x00201041, "SH", "1.50")
        self.assertIsNone(self.recognised(other))

    def test_another_character_set_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, SpecificCharacterSet="ISO_IR 100")))

    def test_another_sequence_is_not(self) -> None:
        other = an_object(2, ReferencedImageSequence=items(reference("1.2.3.200001"), reference("1.2.3.200009")))
        self.assertIsNone(self.recognised(other))

    def test_pixel_data_of_another_size_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, PixelData=bytes(202))))

    def test_several_values_where_there_was_one_are_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, SOPInstanceUID=["1.2.3.1", "1.2.3.2"])))

    def test_a_uid_of_the_standard_in_place_of_one_that_is_mapped_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, FrameOfReferenceUID="1.2.840.10008.1.4.1.1")))

    def test_a_head_that_is_cut_off_is_not(self) -> None:
        data = self.data(an_object(2))
        for length in range(len(data) - len(PIXELS)):
            self.assertIsNone(self.memory.recognise([memoryview(data)[:length]]))

    def test_one_in_pieces_is(self) -> None:
        data = memoryview(self.data(an_object(2)))
        views = [data[at : at + 7] for at in range(0, len(data), 7)]
        self.assertIsNotNone(self.memory.recognise(views))

    def test_all_its_originals_are_asked_for_each_time(self) -> None:
        replay = self.recognised(an_object(2))
        assert replay is not None
        editor = Pseudonymisation(self.policy, self.encoding, Purpose.OBJECT, KEY)
        self.usual_wanted: set[Identity] = set()

        def noted(wanted: set[Identity]) -> Mapping[Identity, str]:
            self.usual_wanted |= wanted
            return self.source.pseudonyms_of(wanted)

        through(editor, self.data(an_object(2)), self.encoding, noted)
        self.assertEqual(replay.wanted(), self.usual_wanted)


class ReplayTests(Remembering):
    def setUp(self) -> None:
        super().setUp()
        self.learn(an_object())

    def test_pseudonyms_that_changed_meanwhile_are_used(self) -> None:
        def changed(wanted: set[Identity]) -> Mapping[Identity, str]:
            return {each: f"{found}9" for each, found in self.source.pseudonyms_of(wanted).items()}

        self.assertEqual(self.replayed(an_object(2), changed), self.usual(an_object(2), changed))

    def test_so_are_those_of_a_uid_that_is_the_same_again(self) -> None:
        def changed(wanted: set[Identity]) -> Mapping[Identity, str]:
            found = self.source.pseudonyms_of(wanted)
            return {each: f"{other}9" if each.kind is Kind.SERIES else other for each, other in found.items()}

        for number, pseudonyms_of in ((2, None), (3, changed), (4, None)):
            an_other = an_object(number)
            self.assertEqual(self.replayed(an_other, pseudonyms_of), self.usual(an_other, pseudonyms_of))
            self.assertFalse(self.was_replaced)

    def test_two_at_the_same_time_have_each_their_own(self) -> None:
        first, second = an_object(2), an_object(3)
        replays = [self.recognised(each) for each in (first, second)]
        for replay, each in zip(replays, (first, second), strict=True):
            assert replay is not None
            replay.feed([memoryview(self.data(each))], True)
            self.assertEqual(self.rest(replay), self.usual(each))

    def test_they_make_it_forget(self) -> None:
        self.replayed(an_object(2), lambda wanted: {each: f"{pseudonym_of(each)}9" for each in wanted})
        self.assertIsNone(self.recognised(an_object(3)))

    def test_a_pseudonym_that_is_missing_lets_nothing_leave(self) -> None:
        def lacking(missing: Identity) -> Pseudonyms:
            def found(wanted: set[Identity]) -> Mapping[Identity, str]:
                return {each: name for each, name in self.source.pseudonyms_of(wanted).items() if each != missing}

            return found

        for missing in sorted(self.asked, key=lambda each: each.value):
            self.setUp()
            with self.assertRaises(OperationRefused):
                self.replayed(an_object(), lacking(missing))

    def test_nothing_leaves_before_it_is_resolved(self) -> None:
        replay = self.recognised(an_object(2))
        assert replay is not None
        replay.feed([memoryview(self.data(an_object(2)))], True)
        with self.assertRaises(OperationRefused):
            replay.flush()

    def test_what_follows_the_pixel_data_is_edited(self) -> None:
        original = an_object(2)
        original.add_new(0xFFFCFFFC, "OB", b"trailing")
        self.assertEqual(self.replayed(original), self.usual(original))

    def test_what_follows_it_later_is_edited(self) -> None:
        original = an_object(2)
        original.add_new(0xFFFCFFFC, "OB", b"trailing")
        data = memoryview(self.data(original))
        replay = self.recognised(original)
        assert replay is not None
        at = len(data) - 30
        replay.feed([data[:at]], False)
        replay.resolve(self.source.pseudonyms_of(replay.wanted()))
        left = [bytes(piece) for piece in replay.flush()]
        replay.feed([data[at:]], True)
        self.assertEqual(b"".join(left) + self.rest(replay), self.usual(original))

    def test_an_object_that_ends_early_is_refused(self) -> None:
        replay = self.recognised(an_object(2))
        assert replay is not None
        replay.feed([memoryview(self.data(an_object(2)))[:-2]], True)
        with self.assertRaises(OperationRefused):
            self.rest(replay)

    def test_pixel_data_may_go_past_it(self) -> None:
        data = memoryview(self.data(an_object(2)))
        head = len(data) - len(PIXELS)
        replay = self.recognised(an_object(2))
        assert replay is not None
        replay.feed([data[:head]], False)
        replay.resolve(self.source.pseudonyms_of(replay.wanted()))
        left = b"".join(bytes(piece) for piece in replay.flush())
        self.assertEqual(replay.opaque, len(PIXELS))
        replay.pass_opaque(len(PIXELS))
        replay.feed((), True)
        self.assertEqual(replay.flush(), [])
        self.assertTrue(replay.is_complete)
        self.assertEqual(left + PIXELS, self.usual(an_object(2)))


class GuardTests(Remembering):
    policy = compile_policy(keep=[0x00204000])

    def setUp(self) -> None:
        super().setUp()
        self.learn(an_object(ImageComments="nothing"))

    def shows(self, comment: str) -> bool:
        original = an_object(2, ImageComments=comment)
        replay = self.recognised(original)
        assert replay is not None
        replay.feed([memoryview(self.data(original))], True)
        replay.resolve(self.source.pseudonyms_of(replay.wanted()))
        return finds(replay.search((replay.written(),)))

    def test_what_is_kept_is_looked_through_each_time(self) -> None:
        for comment in ("for Meier", "see PAT-4711", "born 19700131", "1.2.3.100003.2"):
            self.assertTrue(self.shows(comment), comment)

    def test_a_harmless_one_leaves(self) -> None:
        self.assertFalse(self.shows("as before"))

    def test_the_originals_of_the_last_object_are_not_those_of_this_one(self) -> None:
        self.assertFalse(self.shows("1.2.3.100003.1"))


class MemoryTests(Remembering):
    def test_a_first_object_is_not_remembered(self) -> None:
        data = memoryview(self.data(an_object()))
        self.memory.recognise([data])
        self.memory.consider([data], len(data) - len(PIXELS), {})
        self.assertEqual(self.memory.length, 0)

    def test_a_long_head_is_not_remembered(self) -> None:
        contours = [data_set(ContourData=["1.5"] * (MAX_HEAD // 8)) for _ in range(2)]
        self.learn(an_object(ROIContourSequence=items(*contours)))
        self.assertEqual(self.memory.length, 0)

    def test_nor_is_one_of_very_many_elements(self) -> None:
        strange = an_object()
        for number in range(MAX_ELEMENTS):
            strange.add_new(0x00210000 + 0x1000 + number, "US", 1)
        self.learn(strange)
        self.assertEqual(self.memory.length, 0)

    def test_objects_that_differ_each_time_cost_less_and_less(self) -> None:
        remembered = []
        for number in range(200):
            data = memoryview(self.data(an_object(PatientID=f"PAT-{number}")))
            self.memory.recognise([data])
            before = self.memory._head
            asked = Pseudonymisation(self.policy, self.encoding, Purpose.OBJECT, KEY)
            through(asked, bytes(data), self.encoding, self.pseudonyms_of)
            self.memory.consider([data], len(data) - len(PIXELS), self.asked)
            if self.memory._head is not before:
                remembered.append(number)
        self.assertLess(len(remembered), 10)

    def test_one_whose_command_set_names_another_class_is_not_recognised(self) -> None:
        self.learn(an_object(1))
        self.assertIsNone(self.memory.recognise([memoryview(self.data(an_object(2)))], "1.2.3"))

    def test_a_deflated_head_is_not_remembered(self) -> None:
        memory = HeadMemory(BASIC, DEFLATED, KEY)
        for _ in range(3):
            memory.recognise([memoryview(b"abc")])
            memory.consider([memoryview(b"abc")], 3, {})
        self.assertEqual(memory.length, 0)


class ImplicitTests(RecognitionTests):
    encoding = IMPLICIT

    def test_another_vr_is_not(self) -> None:
        """There is none."""
        self.assertIsNotNone(self.recognised(an_object(2)))


class BigEndianTests(RecognitionTests):
    encoding = BIG_ENDIAN


class ShiftedTests(RecognitionTests):
    policy = compile_policy(
        options=["retain-longitudinal-modified-dates", "clean-descriptors", "clean-structured-content"]
    )

    def test_the_dates_of_another_patient_move_by_other_days(self) -> None:
        other = an_object(2, PatientID="PAT-4712")
        self.assertIsNone(self.recognised(other))
        self.assertNotEqual(plain(self.usual(other), EXPLICIT), plain(self.usual(an_object(2)), EXPLICIT))


class PrivateTests(RecognitionTests):
    policy = compile_policy(private_attributes="keep")

    def test_private_elements_are_compared(self) -> None:
        def private(value: str) -> Dataset:
            original = an_object(2)
            original.private_block(0x0019, "ACME", create=True).add_new(1, "LO", value)
            return original

        self.memory = HeadMemory(self.policy, self.encoding, KEY)
        self.learn(private("one"))
        self.assertIsNotNone(self.recognised(private("one")))
        self.assertIsNone(self.recognised(private("two")))


class WithoutProfileTests(RecognitionTests):
    policy = compile_policy(
        profile="none", pseudonymise=[0x00100020, 0x0020000D, 0x0020000E, 0x00080018], remove=[0x00100010, 0x00100030]
    )

    def test_another_patient_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, PatientID="PAT-4712")))

    def test_a_uid_of_the_standard_in_place_of_one_that_is_mapped_is_not(self) -> None:
        self.assertIsNone(self.recognised(an_object(2, SOPInstanceUID="1.2.840.10008.1.4.1.1")))
