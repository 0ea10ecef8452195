"""PDVs to message parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.assembler import MAX_COMMAND_SET_LENGTH, Assembler
from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.dimse.parts import Command, DataSetFragment, Part
from dimseproxy.errors import AbortReason, RemoteProtocolError
from dimseproxy.ul.framer import Framer
from tests.dimse.messages import command_bytes, echo_rq, element, parts_of, store_rq, us
from tests.ul.strategies import PROPERTY, chunkings
from tests.ul.wire import p_data, pdv

COMMAND, LAST = 1, 2


def receive(stream: bytes, assembler: Assembler | None = None) -> list[Part]:
    """The parts in some P-DATA-TF PDUs; contexts 1 and 3 are accepted."""
    return parts_of(assembler or Assembler({1, 3}), *Framer(200_000).receive_data(stream))


def command(data: bytes, context_id: int = 1) -> bytes:
    return p_data(pdv(context_id, COMMAND | LAST, data))


def joined(parts: list[Part]) -> list[tuple[object, ...]]:
    """Commands and whole data sets, however they were fragmented."""
    out: list[tuple[object, ...]] = []
    data = b""
    for part in parts:
        if isinstance(part, Command):
            out.append((part.context_id, part.command_set.encode()))
        else:
            data += bytes(part)
            if part.is_last:
                out.append((part.context_id, data))
                data = b""
    return out


class MessageTests(SynchronousTestCase):
    def test_a_command_in_one_pdv(self) -> None:
        self.assertEqual(receive(command(echo_rq())), [Command(1, CommandSet.decode(echo_rq()))])

    def test_a_command_in_many_pdvs(self) -> None:
        data = echo_rq()
        stream = b"".join(p_data(pdv(1, COMMAND, data[index : index + 1])) for index in range(len(data)))
        self.assertEqual(receive(stream + p_data(pdv(1, COMMAND | LAST))), [Command(1, CommandSet.decode(data))])

    def test_a_command_in_many_pdvs_of_one_pdu(self) -> None:
        data = echo_rq()
        stream = p_data(pdv(1, COMMAND, data[:5]), pdv(1, COMMAND), pdv(1, COMMAND | LAST, data[5:]))
        self.assertEqual(receive(stream), [Command(1, CommandSet.decode(data))])

    def test_a_data_set_streams(self) -> None:
        assembler = Assembler({1})
        receive(command(store_rq()), assembler)
        self.assertEqual(receive(p_data(pdv(1, 0, b"ab")), assembler), [DataSetFragment(1, [memoryview(b"ab")], False)])

    def test_command_and_data_set_in_one_pdu(self) -> None:
        stream = p_data(pdv(1, COMMAND | LAST, store_rq()), pdv(1, 0, b"ab"), pdv(1, LAST, b"c"))
        self.assertEqual(joined(receive(stream)), [(1, store_rq()), (1, b"abc")])

    def test_an_empty_last_fragment_ends_the_data_set(self) -> None:
        parts = receive(command(store_rq()) + p_data(pdv(1, 0, b"ab")) + p_data(pdv(1, LAST)) + command(echo_rq()))
        self.assertEqual(joined(parts), [(1, store_rq()), (1, b"ab"), (1, echo_rq())])

    def test_messages_in_different_contexts_follow_one_another(self) -> None:
        stream = command(store_rq(), 3) + p_data(pdv(3, LAST, b"x")) + command(echo_rq(), 1)
        self.assertEqual(joined(receive(stream)), [(3, store_rq()), (3, b"x"), (1, echo_rq())])

    def test_a_command_knows_the_pdu_it_came_in(self) -> None:
        (part,) = receive(command(echo_rq()))
        self.assertEqual(part.data[part.start : part.end], command(echo_rq()))
        self.assertEqual(part.longest, len(command(echo_rq())) - 6)

    def test_a_command_in_fragments_came_in_no_pdu_of_its_own(self) -> None:
        (part,) = receive(p_data(pdv(1, COMMAND, echo_rq())) + p_data(pdv(1, COMMAND | LAST)))
        self.assertEqual(part.longest, 0)

    @PROPERTY
    @given(st.lists(st.binary(max_size=50), min_size=1, max_size=10), st.data())
    def test_fragments_cut_anywhere_are_the_same_message(self, payloads: list[bytes], data: st.DataObject) -> None:
        stream = b""
        expected: list[tuple[object, ...]] = []
        for number, payload in enumerate(payloads):
            context_id = data.draw(st.sampled_from((1, 3)))
            pieces = [
                pdv(context_id, control | (LAST if index == len(chunks) - 1 else 0), chunk)
                for control, whole in ((COMMAND, store_rq(number)), (0, payload))
                for chunks in (data.draw(chunkings(whole)) or [b""],)
                for index, chunk in enumerate(chunks)
            ]
            while pieces:
                size = data.draw(st.integers(1, 5))
                stream += p_data(*pieces[:size])
                del pieces[:size]
            expected += [(context_id, store_rq(number)), (context_id, payload)]
        self.assertEqual(joined(receive(stream)), expected)


class WithinMessageTests(SynchronousTestCase):
    def within(self, stream: bytes) -> bool:
        assembler = Assembler({1})
        receive(stream, assembler)
        return assembler.is_within_message

    def test_not_at_the_beginning(self) -> None:
        self.assertFalse(Assembler({1}).is_within_message)

    def test_within_a_command(self) -> None:
        self.assertTrue(self.within(p_data(pdv(1, COMMAND, echo_rq()[:8]))))

    def test_within_a_command_that_began_without_data(self) -> None:
        self.assertTrue(self.within(p_data(pdv(1, COMMAND))))

    def test_between_command_and_data_set(self) -> None:
        self.assertTrue(self.within(command(store_rq())))

    def test_within_a_data_set(self) -> None:
        self.assertTrue(self.within(command(store_rq()) + p_data(pdv(1, 0, b"a"))))

    def test_not_after_a_message(self) -> None:
        self.assertFalse(self.within(command(store_rq()) + p_data(pdv(1, LAST, b"a"))))
        self.assertFalse(self.within(p_data(pdv(1, COMMAND, echo_rq())) + p_data(pdv(1, COMMAND | LAST))))
        self.assertFalse(self.within(command(echo_rq())))


class ViolationTests(SynchronousTestCase):
    def assert_refused(self, stream: bytes, reason: AbortReason = AbortReason.UNEXPECTED_PARAMETER) -> None:
        error = self.assertRaises(RemoteProtocolError, receive, stream)
        self.assertEqual(error.reason, reason)

    def test_a_command_in_a_context_that_was_not_accepted(self) -> None:
        self.assert_refused(command(echo_rq(), 5))

    def test_a_data_set_without_a_command(self) -> None:
        for control in (0, LAST):
            self.assert_refused(p_data(pdv(1, control, b"data")))
            self.assert_refused(p_data(pdv(1, control, b"data"), pdv(1, control, b"data")))

    def test_a_data_set_in_context_0_without_a_command(self) -> None:
        for control in (0, LAST):
            self.assert_refused(p_data(pdv(0, control, b"data")))
            self.assert_refused(p_data(pdv(0, control, b"data"), pdv(0, control, b"data")))

    def test_a_data_set_after_a_command_that_has_none(self) -> None:
        self.assert_refused(command(echo_rq()) + p_data(pdv(1, LAST, b"data")))

    def test_a_data_set_in_another_context(self) -> None:
        self.assert_refused(command(store_rq(), 1) + p_data(pdv(3, LAST, b"data")))

    def test_a_data_set_within_a_command(self) -> None:
        for context_id in (0, 1, 3):
            self.assert_refused(p_data(pdv(1, COMMAND, store_rq())) + p_data(pdv(context_id, 0, b"data")))

    def test_a_command_before_the_data_set_that_is_due(self) -> None:
        self.assert_refused(command(store_rq()) + command(echo_rq()))

    def test_a_command_within_a_data_set(self) -> None:
        self.assert_refused(command(store_rq()) + p_data(pdv(1, 0, b"data")) + command(echo_rq(), 3))

    def test_a_command_within_a_command_of_another_context(self) -> None:
        self.assert_refused(p_data(pdv(1, COMMAND, echo_rq()[:8])) + command(echo_rq(), 3))

    def test_a_command_within_a_command_that_began_without_data(self) -> None:
        self.assert_refused(p_data(pdv(1, COMMAND)) + command(echo_rq(), 3))

    def test_a_second_data_set(self) -> None:
        self.assert_refused(command(store_rq()) + p_data(pdv(1, LAST, b"a")) + p_data(pdv(1, LAST, b"b")))

    def test_a_command_that_is_none(self) -> None:
        self.assert_refused(command(b"garbage!"), AbortReason.INVALID_PARAMETER_VALUE)

    def test_an_empty_command(self) -> None:
        self.assert_refused(command(b""), AbortReason.INVALID_PARAMETER_VALUE)


class LimitTests(SynchronousTestCase):
    def long_command(self, size: int) -> bytes:
        fixed = command_bytes(us(0x100, 0x30), us(0x800, 0x0101), element(0x5110, b""))
        return command_bytes(us(0x100, 0x30), us(0x800, 0x0101), element(0x5110, bytes(size - len(fixed))))

    def test_a_command_of_the_limit_passes(self) -> None:
        data = self.long_command(MAX_COMMAND_SET_LENGTH)
        self.assertEqual(len(data), MAX_COMMAND_SET_LENGTH)
        self.assertEqual(len(receive(command(data))), 1)

    def test_a_longer_command_is_refused(self) -> None:
        data = self.long_command(MAX_COMMAND_SET_LENGTH + 2)
        self.assertRaises(RemoteProtocolError, receive, command(data))

    def test_a_longer_command_in_fragments_is_refused_before_its_end(self) -> None:
        stream = p_data(pdv(1, COMMAND, bytes(1024))) * (MAX_COMMAND_SET_LENGTH // 1024)
        self.assertEqual(receive(stream), [])
        self.assertRaises(RemoteProtocolError, receive, stream + p_data(pdv(1, COMMAND, b"x")))

    def test_command_fragments_without_data_are_not_kept(self) -> None:
        assembler = Assembler({1})
        receive(p_data(*[pdv(1, COMMAND)] * 10_000), assembler)
        self.assertEqual(assembler._command, [])

    def test_each_command_has_the_whole_limit(self) -> None:
        half = p_data(pdv(1, COMMAND, self.long_command(40_000))) + p_data(pdv(1, COMMAND | LAST))
        self.assertEqual(len(receive(half * 3)), 3)
