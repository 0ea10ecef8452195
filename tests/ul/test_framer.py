"""A byte stream cut into PDUs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.errors import AbortReason
from dimseproxy.ul import framer as framer_module
from dimseproxy.ul.fragments import CommandFragment, DataSetFragment
from dimseproxy.ul.framer import (
    MAX_ASSOCIATE_LENGTH,
    ControlPdu,
    Frame,
    Framer,
    InvalidPdu,
)
from tests.ul.strategies import PROPERTY, chunkings
from tests.ul.wire import RELEASE_RP, RELEASE_RQ, abort, p_data, pdu, pdv

CAP = 1000
COMMAND, LAST = 1, 2


def frames_of(*chunks: bytes, cap: int = CAP) -> list[Frame]:
    framer = Framer(cap)
    return [frame for chunk in chunks for frame in framer.receive_data(chunk)]


def shape(frame: Frame) -> tuple[int, bool, bool, bytes]:
    if isinstance(frame, CommandFragment):
        return frame.context_id, True, frame.is_last, frame.value
    assert isinstance(frame, DataSetFragment), frame
    return frame.context_id, False, frame.is_last, bytes(frame)


def pdus_of(frame: CommandFragment | DataSetFragment) -> bytes:
    """The PDUs that it knows; nothing where there are none."""
    return frame.data[frame.start : frame.end] if frame.longest else b""


def reason_of(frames: list[Frame]) -> AbortReason:
    (frame,) = frames
    assert isinstance(frame, InvalidPdu), frame
    return frame.error.reason


def meaning(frames: Iterable[Frame]) -> list[tuple[Any, ...]]:
    """
    What frames say, however the stream was cut: control PDUs, command fragments, whole data sets, the error.
    """
    out: list[tuple[Any, ...]] = []
    for frame in frames:
        match frame:
            case ControlPdu(pdu_type, body):
                out.append((pdu_type, body))
            case CommandFragment():
                out.append(("command", frame.context_id, frame.is_last, frame.value))
            case DataSetFragment():
                _add_data(out, frame.context_id, frame.is_last, bytes(frame))
            case InvalidPdu(error):
                out.append(("invalid", error.reason, str(error)))
    return out


def _add_data(out: list[tuple[Any, ...]], context_id: int, is_last: bool, data: bytes) -> None:
    """Fragments of a data set count together; its end, and a change of the context, do not."""
    if out and out[-1][:3] == ("data", context_id, False):
        _, _, _, before = out.pop()
        data = before + data
    out.append(("data", context_id, is_last, data))


_pdvs = st.builds(
    pdv,
    st.sampled_from((1, 3, 255)),
    # The six upper bits are reserved.
    st.sampled_from((0, 0, 0, LAST, COMMAND, COMMAND | LAST, 0xF0, 0xF2)),
    st.binary(max_size=60),
)
_pdus = st.one_of(
    st.lists(_pdvs, min_size=1, max_size=4).map(lambda pdvs: p_data(*pdvs)),
    st.builds(lambda data, control: p_data(pdv(1, control, data)), st.binary(max_size=300), st.sampled_from((0, LAST))),
    st.sampled_from((RELEASE_RQ, RELEASE_RP, abort(0, 0), abort(2, 6), pdu(1, b"any body"), pdu(2, bytes(70)))),
)
_streams = st.lists(_pdus, max_size=12).map(b"".join)
#: Context, control header and value of PDVs whose PDUs differ in one byte of their headers, or in none.
_alike = st.tuples(
    st.sampled_from((1, 3)),
    st.sampled_from((0, 0, 0, LAST, COMMAND)),
    st.sampled_from((bytes(20), b"\x04" * 20, b"x" * 22)),
)


class RechunkingTests(SynchronousTestCase):
    """A7: however TCP cuts a stream, the same comes out."""

    @PROPERTY
    @given(_streams, st.data())
    def test_any_chunking_of_valid_pdus_means_the_same(self, stream: bytes, data: st.DataObject) -> None:
        chunks = data.draw(chunkings(stream))
        self.assertEqual(meaning(frames_of(*chunks)), meaning(frames_of(stream)))

    @PROPERTY
    @given(_streams, st.binary(max_size=30), st.data())
    def test_any_chunking_of_garbage_behind_valid_pdus_means_the_same(
        self, stream: bytes, garbage: bytes, data: st.DataObject
    ) -> None:
        chunks = data.draw(chunkings(stream + garbage))
        self.assertEqual(meaning(frames_of(*chunks)), meaning(frames_of(stream + garbage)))

    @PROPERTY
    @given(st.lists(_pdus, max_size=8))
    def test_whole_pdus_one_by_one_mean_the_same_as_coalesced(self, pdus: list[bytes]) -> None:
        self.assertEqual(meaning(frames_of(*pdus)), meaning(frames_of(b"".join(pdus))))

    @PROPERTY
    @given(st.lists(st.binary(max_size=100), min_size=1, max_size=20), st.data())
    def test_runs_carry_the_very_bytes(self, fragments: list[bytes], data: st.DataObject) -> None:
        stream = b"".join(p_data(pdv(1, 0, fragment)) for fragment in fragments[:-1]) + p_data(
            pdv(1, LAST, fragments[-1])
        )
        frames = frames_of(*data.draw(chunkings(stream)))
        self.assertEqual(b"".join(pdus_of(frame) for frame in frames if isinstance(frame, DataSetFragment)), stream)
        self.assertEqual(meaning(frames), [("data", 1, True, b"".join(fragments))])

    @PROPERTY
    @given(st.lists(st.tuples(_alike, st.integers(1, 6)), max_size=8), st.data())
    def test_pdus_that_look_alike_are_told_apart(
        self, stretches: list[tuple[tuple[int, int, bytes], int]], data: st.DataObject
    ) -> None:
        pdvs = [each for each, times in stretches for _ in range(times)]
        expected: list[tuple[Any, ...]] = []
        for context_id, control, value in pdvs:
            if control & COMMAND:
                expected.append(("command", context_id, bool(control & LAST), value))
            else:
                _add_data(expected, context_id, bool(control & LAST), value)
        stream = b"".join(p_data(pdv(*each)) for each in pdvs)
        self.assertEqual(meaning(frames_of(*data.draw(chunkings(stream)))), expected)

    @PROPERTY
    @given(st.binary(max_size=400))
    def test_garbage_ends_in_nothing_or_in_one_invalid_pdu(self, garbage: bytes) -> None:
        frames = frames_of(garbage)
        self.assertFalse(any(isinstance(frame, InvalidPdu) for frame in frames[:-1]))


class LongPduTests(SynchronousTestCase):
    """What is there of a long PDU of a data set goes on without the rest."""

    def setUp(self) -> None:
        self.patch(framer_module, "_WORTH_SENDING", 16)

    @PROPERTY
    @given(_streams, st.binary(max_size=30), st.data())
    def test_any_chunking_means_the_same(self, stream: bytes, garbage: bytes, data: st.DataObject) -> None:
        chunks = data.draw(chunkings(stream + garbage))
        self.patch(framer_module, "_WORTH_SENDING", 10_000)
        expected = meaning(frames_of(stream + garbage))
        self.patch(framer_module, "_WORTH_SENDING", 16)
        self.assertEqual(meaning(frames_of(*chunks)), expected)

    @PROPERTY
    @given(st.binary(min_size=40, max_size=300), st.data())
    def test_fragments_are_even_but_the_last(self, value: bytes, data: st.DataObject) -> None:
        frames = frames_of(*data.draw(chunkings(p_data(pdv(1, LAST, value)))))
        lengths = [frame.data_length for frame in frames if isinstance(frame, DataSetFragment)]
        self.assertEqual([length for length in lengths[:-1] if length % 2], [])

    def test_its_beginning_and_its_end(self) -> None:
        framer = Framer(CAP)
        stream = p_data(pdv(3, LAST, bytes(range(100))))
        (first,) = framer.receive_data(stream[:53])
        self.assertEqual(shape(first), (3, False, False, bytes(range(40))))
        self.assertTrue(framer.has_partial_pdu)
        self.assertEqual(framer.receive_data(stream[53:60]), [])
        second, command = framer.receive_data(stream[60:] + p_data(pdv(1, COMMAND | LAST, b"ab")))
        self.assertEqual(shape(second), (3, False, True, bytes(range(40, 100))))
        self.assertEqual(shape(command), (1, True, True, b"ab"))
        self.assertFalse(framer.has_partial_pdu)

    def test_a_short_beginning_is_held_until_more_is_there(self) -> None:
        framer = Framer(CAP)
        stream = p_data(pdv(3, 0, bytes(range(100))))
        self.assertEqual(framer.receive_data(stream[:14]), [])
        first, second = framer.receive_data(stream[14:60])
        self.assertEqual((shape(first)[3] + shape(second)[3]), bytes(range(48)))

    def test_a_run_goes_before_it(self) -> None:
        framer = Framer(CAP)
        whole, begun = p_data(pdv(1, 0, bytes(60))), p_data(pdv(1, LAST, bytes(80)))
        run, part = framer.receive_data(whole + begun[:52])
        assert isinstance(run, DataSetFragment)
        self.assertEqual((pdus_of(run), len(shape(part)[3])), (whole, 40))

    def test_a_command_is_whole(self) -> None:
        framer = Framer(CAP)
        stream = p_data(pdv(1, COMMAND | LAST, bytes(100)))
        self.assertEqual(framer.receive_data(stream[:80]), [])
        (command,) = framer.receive_data(stream[80:])
        self.assertEqual(shape(command), (1, True, True, bytes(100)))

    def test_the_serial_stays_while_it_comes(self) -> None:
        framer = Framer(CAP)
        stream = p_data(pdv(1, 0, bytes(300)))
        framer.receive_data(stream[:60])
        before = framer.partial_serial
        for at in range(60, 300, 20):
            framer.receive_data(stream[at : at + 20])
            self.assertEqual(framer.partial_serial, before)


class RunTests(SynchronousTestCase):
    def test_pdus_of_one_data_set_are_one_run(self) -> None:
        stream = p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, 0, b"cde")) + p_data(pdv(1, LAST, b"f"))
        (frame,) = frames_of(stream)
        assert isinstance(frame, DataSetFragment)
        self.assertEqual((frame.context_id, frame.is_last, pdus_of(frame)), (1, True, stream))

    def test_the_longest_is_counted_as_a_maximum_length(self) -> None:
        (frame,) = frames_of(p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, 0, b"cdefg")))
        assert isinstance(frame, DataSetFragment)
        self.assertEqual(frame.longest, 5 + 6)

    def test_a_run_ends_with_its_data_set(self) -> None:
        frames = frames_of(p_data(pdv(1, LAST, b"a")) + p_data(pdv(1, LAST, b"b")))
        self.assertEqual([shape(frame)[2:] for frame in frames], [(True, b"a"), (True, b"b")])

    def test_a_run_is_of_one_context(self) -> None:
        frames = frames_of(p_data(pdv(1, 0, b"a")) + p_data(pdv(3, 0, b"b")))
        self.assertEqual([frame.context_id for frame in frames if isinstance(frame, DataSetFragment)], [1, 3])

    def test_a_command_is_never_in_a_run(self) -> None:
        frames = frames_of(p_data(pdv(1, 0, b"a")) + p_data(pdv(1, COMMAND, b"b")))
        self.assertEqual([type(frame) for frame in frames], [DataSetFragment, CommandFragment])

    def test_several_pdvs_in_a_pdu(self) -> None:
        frames = frames_of(p_data(pdv(1, COMMAND | LAST, b"c"), pdv(1, 0, b"d"), pdv(1, LAST, b"")))
        self.assertEqual(
            [shape(frame) for frame in frames],
            [(1, True, True, b"c"), (1, False, False, b"d"), (1, False, True, b"")],
        )

    def test_only_a_pdv_alone_in_its_pdu_can_be_sent_as_it_came(self) -> None:
        alone, first, second = frames_of(p_data(pdv(1, COMMAND, b"a")) + p_data(pdv(1, COMMAND, b"b"), pdv(1, 0, b"c")))
        assert isinstance(alone, CommandFragment) and isinstance(first, CommandFragment)
        assert isinstance(second, DataSetFragment)
        self.assertEqual(pdus_of(alone), p_data(pdv(1, COMMAND, b"a")))
        self.assertEqual((first.longest, second.longest), (0, 0))

    def test_a_pdv_without_data_is_one(self) -> None:
        self.assertEqual(meaning(frames_of(p_data(pdv(1, LAST)))), [("data", 1, True, b"")])

    def test_odd_lengths_pass(self) -> None:
        self.assertEqual(meaning(frames_of(p_data(pdv(1, LAST, b"odd")))), [("data", 1, True, b"odd")])

    def test_the_upper_bits_of_the_control_header_are_not_tested(self) -> None:
        (frame,) = frames_of(p_data(pdv(1, 0xFD, b"c")))
        self.assertEqual(shape(frame), (1, True, False, b"c"))


class PduTypeTests(SynchronousTestCase):
    """The type is checked first: a length read from a text protocol would be a gigabyte."""

    def test_text_and_tls_end_at_their_first_byte(self) -> None:
        for greeting in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"SSH-2.0-x\r\n", b"\x00", b"\x08", b"\xff"):
            self.assertEqual(reason_of(frames_of(greeting[:1])), AbortReason.UNRECOGNIZED_PDU)

    def test_control_pdus_are_handed_on_whole(self) -> None:
        self.assertEqual(frames_of(RELEASE_RQ + abort(2, 1)), [ControlPdu(5, bytes(4)), ControlPdu(7, b"\0\0\2\1")])

    def test_a_pdu_behind_good_ones_ends_the_stream_after_them(self) -> None:
        frames = frames_of(RELEASE_RQ + b"GET")
        self.assertEqual([type(frame) for frame in frames], [ControlPdu, InvalidPdu])

    def test_nothing_comes_after_the_invalid_pdu(self) -> None:
        self.assertEqual(len(frames_of(b"G", RELEASE_RQ, b"\x01")), 1)


class CapTests(SynchronousTestCase):
    """A3: the header alone tells that a PDU is too long, before anything is kept for it."""

    def test_a_data_pdu_of_the_cap_passes(self) -> None:
        self.assertEqual(len(frames_of(p_data(pdv(1, 0, bytes(CAP - 6))))), 1)

    def test_six_bytes_end_a_data_pdu_over_the_cap(self) -> None:
        header = pdu(4, b"", CAP + 1)
        self.assertEqual(frames_of(header[:5]), [])
        self.assertEqual(reason_of(frames_of(header)), AbortReason.INVALID_PARAMETER_VALUE)

    def test_the_largest_length_of_all(self) -> None:
        for pdu_type in range(1, 8):
            for length in (0xFFFFFFFE, 0xFFFFFFFF, 0x80000000):
                self.assertEqual(reason_of(frames_of(pdu(pdu_type, b"", length))), AbortReason.INVALID_PARAMETER_VALUE)

    def test_an_associate_pdu_has_a_cap_of_its_own(self) -> None:
        self.assertEqual(frames_of(pdu(1, b"", MAX_ASSOCIATE_LENGTH)), [])
        self.assertEqual(
            reason_of(frames_of(pdu(1, b"", MAX_ASSOCIATE_LENGTH + 1))), AbortReason.INVALID_PARAMETER_VALUE
        )

    def test_a_fixed_pdu_is_four_bytes_at_most(self) -> None:
        for pdu_type in (3, 5, 6, 7):
            self.assertEqual(reason_of(frames_of(pdu(pdu_type, b"", 5))), AbortReason.INVALID_PARAMETER_VALUE)

    def test_nothing_is_kept_of_what_is_refused(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(pdu(4, b"", CAP + 1) + bytes(10_000))
        self.assertFalse(framer.has_partial_pdu)

    def test_good_pdus_before_it_are_delivered(self) -> None:
        good = p_data(pdv(1, 0, b"a")) + p_data(pdv(1, LAST, b"b"))
        frames = frames_of(good + pdu(4, b"", CAP + 1))
        self.assertEqual(meaning(frames)[0], ("data", 1, True, b"ab"))
        self.assertIsInstance(frames[-1], InvalidPdu)

    def test_a_run_never_carries_a_pdu_over_the_cap(self) -> None:
        frames = frames_of(p_data(pdv(1, 0, b"a")) + p_data(pdv(1, 0, bytes(CAP))))
        self.assertEqual([type(frame) for frame in frames], [DataSetFragment, InvalidPdu])


class PdvLengthTests(SynchronousTestCase):
    def test_a_pdu_without_pdv(self) -> None:
        self.assertEqual(reason_of(frames_of(p_data())), AbortReason.INVALID_PARAMETER_VALUE)

    def test_a_pdv_shorter_than_its_header(self) -> None:
        for length in (0, 1):
            self.assertEqual(reason_of(frames_of(p_data(pdv(1, 0, b"", length)))), AbortReason.INVALID_PARAMETER_VALUE)

    def test_a_pdv_longer_than_its_pdu(self) -> None:
        for length in (4, 0x7FFFFFFF, 0xFFFFFFFF):
            self.assertEqual(reason_of(frames_of(p_data(pdv(1, 0, b"a", length)))), AbortReason.INVALID_PARAMETER_VALUE)

    def test_a_pdu_that_ends_within_a_pdv_header(self) -> None:
        for size in range(1, 6):
            self.assertEqual(reason_of(frames_of(p_data(bytes(size)))), AbortReason.INVALID_PARAMETER_VALUE)

    def test_bytes_behind_the_last_pdv(self) -> None:
        frames = frames_of(p_data(pdv(1, COMMAND, b"a"), b"xyz"))
        self.assertIsInstance(frames[-1], InvalidPdu)


class PartialPduTests(SynchronousTestCase):
    def test_a_begun_pdu_is_known(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(RELEASE_RQ[:3])
        self.assertTrue(framer.has_partial_pdu)

    def test_a_complete_pdu_leaves_nothing(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(RELEASE_RQ[:3])
        framer.receive_data(RELEASE_RQ[3:])
        self.assertFalse(framer.has_partial_pdu)

    def test_the_serial_stays_while_the_same_pdu_trickles_in(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(pdu(4, b"", 500))
        before = framer.partial_serial
        for _ in range(20):
            framer.receive_data(b"x")
        self.assertEqual(framer.partial_serial, before)

    def test_the_serial_changes_with_the_next_pdu(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(p_data(pdv(1, 0, b"abc"))[:8])
        before = framer.partial_serial
        framer.receive_data(p_data(pdv(1, 0, b"abc"))[8:] + b"\x04")
        self.assertNotEqual(framer.partial_serial, before)


class AlignedTests(SynchronousTestCase):
    """How much to read so that it ends with a PDU."""

    one = p_data(pdv(1, 0, bytes(88)))

    def test_anything_before_a_data_set(self) -> None:
        self.assertEqual(Framer(CAP).aligned(1000), 1000)

    def test_whole_pdus_of_the_length_of_the_last_one(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(self.one)
        self.assertEqual((len(self.one), framer.aligned(250), framer.aligned(100)), (100, 200, 100))

    def test_what_is_missing_first(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(self.one + self.one[:30])
        self.assertEqual((framer.aligned(300), framer.aligned(100)), (270, 100))

    def test_a_header_that_is_cut_is_taken_for_that_of_the_same_length(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(self.one + self.one[:3])
        self.assertEqual(framer.aligned(300), 297)

    def test_a_pdu_longer_than_a_read(self) -> None:
        framer = Framer(CAP)
        framer.receive_data(self.one)
        self.assertEqual(framer.aligned(99), 99)
        framer.receive_data(self.one[:40])
        self.assertEqual((framer.aligned(50), framer.aligned(99)), (50, 99))

    @PROPERTY
    @given(_streams, st.integers(1, 500))
    def test_it_is_a_length_to_read(self, stream: bytes, limit: int) -> None:
        framer = Framer(CAP)
        offset = 0
        while offset < len(stream):
            wanted = framer.aligned(limit)
            self.assertTrue(0 < wanted <= limit)
            framer.receive_data(stream[offset : offset + wanted])
            offset += wanted
