"""Any data set, any plan, any way of arriving: what comes out is what a model says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Element, Treatment
from dimseproxy.errors import OperationRefused
from tests.dataset.editing import (
    BIG_ENDIAN,
    DEFLATED,
    ENCODINGS,
    EXPLICIT,
    IMPLICIT,
    Driver,
    Scripted,
    decoded,
    encoded,
    inflated,
)
from tests.dataset.strategies import data_sets, edited, treatments
from tests.ul.strategies import PROPERTY, chunkings

encodings = st.sampled_from(ENCODINGS)
#: Two bytes, so that they are a number too.
ANSWER = "42"


def answer(element: Element) -> bytes:
    """The same for all, in the byte order of the place; nothing for a sequence that is swapped."""
    if element.vr == "SQ":
        return b""
    if element.vr == "US" and not element.encoding.is_little_endian:
        return ANSWER.encode()[::-1]
    return ANSWER.encode()


def plain(data: bytes, encoding: Encoding) -> bytes:
    return inflated(data) if encoding.is_deflated else data


class ModelTests(SynchronousTestCase):
    @PROPERTY
    @given(encodings, data_sets(), treatments, st.data())
    def test_it_differs_only_where_the_plan_says(
        self, encoding: Encoding, source: Dataset, plan: dict[int, Treatment], data: st.DataObject
    ) -> None:
        editor = Scripted(plan, answer)
        out = Driver(encoding, editor).feed_all(data.draw(chunkings(encoded(source, encoding))) or [b""])
        expected = encoded(edited(source, plan, ANSWER), encoding)
        # Sequences may have lost their lengths: both are read before they are compared.
        self.assertEqual(decoded(out, encoding), decoded(expected, encoding))

    @PROPERTY
    @given(encodings, data_sets(), treatments)
    def test_byte_by_byte_and_past_it_mean_the_same(
        self, encoding: Encoding, source: Dataset, plan: dict[int, Treatment]
    ) -> None:
        data = encoded(source, encoding)
        whole = Driver(encoding, Scripted(plan, answer)).feed_all([data])
        size = 1 if len(data) < 5_000 else 997
        chunks = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for uses_opaque in (False, True):
            out = Driver(encoding, Scripted(plan, answer)).feed_all(chunks, uses_opaque=uses_opaque)
            self.assertEqual(plain(out, encoding), plain(whole, encoding))

    @PROPERTY
    @given(data_sets(), treatments)
    def test_all_encodings_mean_the_same(self, source: Dataset, plan: dict[int, Treatment]) -> None:
        seen = []
        for encoding in (IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED):
            editor = Scripted(plan, answer)
            Driver(encoding, editor).feed_all([encoded(source, encoding)])
            seen.append([(each.tag, each.level.sequence, each.level.item, len(each.value)) for each in editor.edited])
        self.assertEqual(seen, seen[:1] * len(seen))

    @PROPERTY
    @given(encodings, data_sets(), treatments)
    def test_what_left_crosses_again_as_it_is(
        self, encoding: Encoding, source: Dataset, plan: dict[int, Treatment]
    ) -> None:
        once = Driver(encoding, Scripted(plan, answer)).feed_all([encoded(source, encoding)])
        again = Driver(encoding).feed_all([once])
        self.assertEqual(plain(again, encoding), plain(once, encoding))


class GarbageTests(SynchronousTestCase):
    @PROPERTY
    @given(encodings, data_sets(), treatments, st.data())
    def test_a_mutated_data_set_crosses_or_is_refused(
        self, encoding: Encoding, source: Dataset, plan: dict[int, Treatment], data: st.DataObject
    ) -> None:
        mutated = bytearray(encoded(source, encoding)[:2_000] or b"\0")
        for _ in range(data.draw(st.integers(1, 6))):
            mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
        outcomes = []
        for size in (len(mutated), 1):
            chunks = [bytes(mutated[at : at + size]) for at in range(0, len(mutated), size)]
            try:
                outcomes.append(plain(Driver(encoding, Scripted(plan, answer)).feed_all(chunks), encoding))
            except OperationRefused:
                # Not always for the same reason: deflated data are inflated further before they are scanned.
                outcomes.append(b"refused")
        self.assertEqual(outcomes[0], outcomes[1])

    @PROPERTY
    @given(encodings, st.binary(max_size=300))
    def test_garbage_too(self, encoding: Encoding, garbage: bytes) -> None:
        try:
            Driver(encoding).feed_all([garbage])
        except OperationRefused as refused:
            self.assertTrue(refused.comment)
