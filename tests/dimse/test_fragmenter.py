"""Message parts to P-DATA-TF PDUs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.assembler import Assembler
from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.dimse.fragmenter import LONGEST_OWN_PDU, encode_parts
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.ul.framer import Framer
from tests.dimse.messages import echo_rq, parts_of, store_rq
from tests.dimse.test_assembler import COMMAND, LAST, command, joined, receive
from tests.ul.strategies import PROPERTY, chunkings
from tests.ul.wire import p_data, pdv

ECHO = Command(1, CommandSet.decode(echo_rq()))
STORE = Command(1, CommandSet.decode(store_rq()))

_limits = st.sampled_from((0, 16, 17, 18, 31, 64, 255, 16384)) | st.integers(16, 300)


def data_set(*views: bytes, is_last: bool = True) -> DataSetFragment:
    return DataSetFragment(1, [memoryview(view) for view in views], is_last)


def sent(parts: list[Part], maximum: int) -> bytes:
    return b"".join(encode_parts(parts, maximum))


def pdu_lengths(stream: bytes) -> list[int]:
    """The length field of each PDU."""
    lengths = []
    while stream:
        lengths.append(int.from_bytes(stream[2:6], "big"))
        stream = stream[6 + lengths[-1] :]
    return lengths


class OwnPartTests(SynchronousTestCase):
    def test_a_command_that_fits(self) -> None:
        self.assertEqual(sent([ECHO], 16384), p_data(pdv(1, COMMAND | LAST, echo_rq())))

    def test_a_command_is_cut_where_it_must_be(self) -> None:
        first, second, *_ = (echo_rq()[index : index + 10] for index in range(0, len(echo_rq()), 10))
        self.assertTrue(sent([ECHO], 16).startswith(p_data(pdv(1, COMMAND, first)) + p_data(pdv(1, COMMAND, second))))

    def test_only_the_last_pdv_says_so(self) -> None:
        self.assertEqual(
            sent([data_set(b"0123456789ab")], 16), p_data(pdv(1, 0, b"0123456789")) + p_data(pdv(1, LAST, b"ab"))
        )

    def test_a_fragment_that_is_not_the_last(self) -> None:
        self.assertEqual(sent([data_set(b"ab", is_last=False)], 16), p_data(pdv(1, 0, b"ab")))

    def test_several_views_are_several_pdus(self) -> None:
        self.assertEqual(sent([data_set(b"ab", b"cd")], 16), p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, LAST, b"cd")))

    def test_empty_views_leave_no_trace(self) -> None:
        self.assertEqual(sent([data_set(b"", b"ab", b"")], 16), p_data(pdv(1, LAST, b"ab")))

    def test_an_empty_last_fragment_is_one_pdv(self) -> None:
        self.assertEqual(sent([data_set()], 16), p_data(pdv(1, LAST)))

    def test_data_that_fit_exactly_are_one_pdu(self) -> None:
        self.assertEqual(pdu_lengths(sent([data_set(bytes(10))], 16)), [16])

    def test_an_odd_limit_gives_even_fragments(self) -> None:
        self.assertEqual(pdu_lengths(sent([data_set(bytes(25))], 17)), [16, 16, 11])

    def test_without_a_limit_our_own_applies(self) -> None:
        lengths = pdu_lengths(sent([data_set(bytes(LONGEST_OWN_PDU + 1))], 0))
        self.assertEqual(max(lengths), LONGEST_OWN_PDU)

    def test_no_parts_are_no_bytes(self) -> None:
        self.assertEqual(encode_parts([], 16), [])

    @PROPERTY
    @given(st.lists(st.binary(max_size=400), max_size=6), _limits)
    def test_what_is_sent_arrives(self, views: list[bytes], maximum: int) -> None:
        stream = sent([STORE, data_set(*views), ECHO], maximum)
        self.assertEqual(joined(receive(stream)), [(1, store_rq()), (1, b"".join(views)), (1, echo_rq())])

    @PROPERTY
    @given(st.lists(st.binary(max_size=400), max_size=6), _limits)
    def test_no_pdu_is_longer_than_the_limit_and_each_cut_is_even(self, views: list[bytes], maximum: int) -> None:
        stream = sent([STORE, data_set(*views)], maximum)
        for length in pdu_lengths(stream):
            self.assertLessEqual(length, maximum or LONGEST_OWN_PDU)
        whole = [data_set(view) for view in views if view]
        for part in whole:
            self.assertTrue(all(length % 2 == 0 for length in pdu_lengths(sent([part], maximum))[:-1]))


class CrossingTests(SynchronousTestCase):
    """What was received and fits is sent as it came."""

    def test_it_is_the_received_bytes_themselves(self) -> None:
        stream = command(store_rq()) + p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, LAST, b"cd"))
        (piece,) = encode_parts(receive(stream), 16384)
        self.assertEqual(bytes(piece), stream)

    def test_odd_and_empty_fragments_cross_as_they_are(self) -> None:
        stream = command(store_rq()) + p_data(pdv(1, 0, b"abc")) + p_data(pdv(1, 0)) + p_data(pdv(1, LAST))
        self.assertEqual(sent(receive(stream), 0), stream)

    def test_a_run_that_is_too_long_is_cut(self) -> None:
        stream = p_data(pdv(1, 0, bytes(range(20)))) + p_data(pdv(1, LAST, b"end"))
        crossed = sent(receive(command(store_rq()) + stream), 16)
        self.assertEqual(joined(receive(crossed)), [(1, store_rq()), (1, bytes(range(20)) + b"end")])
        self.assertLessEqual(max(pdu_lengths(crossed)), 16)

    def test_a_run_of_the_very_limit_is_not_cut(self) -> None:
        stream = p_data(pdv(1, LAST, bytes(10)))
        (_, part) = receive(command(store_rq()) + stream)
        self.assertEqual(sent([part], 16), stream)

    def test_parts_between_others_keep_their_order(self) -> None:
        first, fragment, second = receive(command(store_rq()) + p_data(pdv(1, LAST, b"ab")) + command(echo_rq()))
        assert isinstance(first, Command)
        changed = Command(1, first.command_set.replace({}))
        self.assertEqual(
            sent([changed, fragment, second], 0), command(store_rq()) + p_data(pdv(1, LAST, b"ab")) + command(echo_rq())
        )

    def test_part_of_what_was_received_is_only_that_part(self) -> None:
        first, fragment, second = receive(command(store_rq()) + p_data(pdv(1, LAST, b"ab")) + command(echo_rq()))
        self.assertEqual(sent([first, second], 0), command(store_rq()) + command(echo_rq()))
        self.assertEqual(sent([fragment], 0), p_data(pdv(1, LAST, b"ab")))

    @PROPERTY
    @given(st.lists(st.binary(max_size=120), min_size=1, max_size=8), _limits, st.data())
    def test_every_rechunked_relay_carries_the_same_messages(
        self, fragments: list[bytes], maximum: int, data: st.DataObject
    ) -> None:
        stream = command(store_rq())
        for index, piece in enumerate(fragments):
            control = LAST if index == len(fragments) - 1 else 0
            stream += p_data(pdv(1, control, piece))
        stream += command(echo_rq())
        framer, assembler, crossed = Framer(200_000), Assembler({1}), b""
        for chunk in data.draw(chunkings(stream)):
            crossed += sent(parts_of(assembler, *framer.receive_data(chunk)), maximum)
        self.assertEqual(joined(receive(crossed)), joined(receive(stream)))
        if not maximum or maximum >= max(pdu_lengths(stream)):
            self.assertEqual(crossed, stream)
        else:
            self.assertLessEqual(max(pdu_lengths(crossed)), maximum)
