"""A head taken apart, element by element."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.element import Element, Treatment
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.outflow import written_pieces
from dimseproxy.dataset.steps import Steps
from tests.dataset.editing import BIG_ENDIAN, EXPLICIT, IMPLICIT, Driver, Scripted, encoded

PIXELS = bytes(100)
PLAN = {0x00100020: Treatment.EDIT, 0x00080060: Treatment.DROP, 0x00100010: Treatment.SWAP}


def an_object(is_undefined: bool = False) -> Dataset:
    item = Dataset()
    item.PatientID = "within"
    made = Dataset()
    made.Modality, made.PatientName, made.PatientID, made.Rows = "CT", "Meier", "P-4711", 1
    made.OtherPatientIDsSequence = Sequence([item, item])
    made["OtherPatientIDsSequence"].is_undefined_length = is_undefined
    made.PixelData = PIXELS
    made["PixelData"].VR = "OW"
    return made


def answer(element: Element) -> bytes:
    return b"ANSWERED"


class StepsTests(SynchronousTestCase):
    def head(self, encoding: Encoding, is_undefined: bool = False) -> bytes:
        return encoded(an_object(is_undefined), encoding)[: -len(PIXELS)]

    def test_together_they_are_the_head(self) -> None:
        for encoding in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
            for is_undefined in (False, True):
                head = self.head(encoding, is_undefined)
                steps = list(Steps(encoding, Scripted(PLAN, answer), head))
                self.assertEqual(b"".join(step.raw for step in steps), head)

    def test_there_is_one_for_each_element_of_the_data_set_itself(self) -> None:
        self.assertEqual(len(list(Steps(EXPLICIT, Scripted(PLAN, answer), self.head(EXPLICIT)))), len(an_object()))

    def test_what_comes_of_them_is_what_leaves(self) -> None:
        for encoding in (EXPLICIT, IMPLICIT, BIG_ENDIAN):
            head = self.head(encoding)
            steps = list(Steps(encoding, Scripted(PLAN, answer), head))
            written = b"".join(b"".join(written_pieces(step.pieces)) for step in steps)
            self.assertEqual(written + PIXELS, Driver(encoding, Scripted(PLAN, answer)).feed_all([head + PIXELS]))

    def test_the_length_of_the_bulk_value_is_known_in_the_end(self) -> None:
        steps = Steps(EXPLICIT, Scripted(PLAN, answer), self.head(EXPLICIT))
        list(steps)
        self.assertEqual(steps.bulk_length, len(PIXELS))

    def test_a_head_that_is_cut_off_has_fewer(self) -> None:
        head = self.head(EXPLICIT)
        for length in range(len(head)):
            steps = list(Steps(EXPLICIT, Scripted(PLAN, answer), head[:length]))
            self.assertLess(len(b"".join(step.raw for step in steps)), len(head))
