"""The parts of a message."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.dimse.command_set import CommandSet
from dimseproxy.dimse.parts import Command, DataSetFragment
from tests.dimse.messages import echo_rq, store_rq
from tests.dimse.test_assembler import LAST, command, receive
from tests.ul.wire import p_data, pdv


def received() -> DataSetFragment:
    """A fragment of two PDUs that came off the wire in context 1."""
    _, fragment = receive(command(store_rq()) + p_data(pdv(1, 0, b"DOE^")) + p_data(pdv(1, LAST, b"JOHN")))
    assert isinstance(fragment, DataSetFragment)
    return fragment


class DataSetFragmentTests(SynchronousTestCase):
    def test_views_are_the_data_without_headers(self) -> None:
        self.assertEqual([bytes(view) for view in received().views], [b"DOE^", b"JOHN"])

    def test_views_can_be_read_again(self) -> None:
        fragment = received()
        self.assertEqual(list(fragment.views), list(fragment.views))

    def test_bytes_are_all_views(self) -> None:
        self.assertEqual(bytes(received()), b"DOE^JOHN")

    def test_in_the_same_context_it_is_itself(self) -> None:
        fragment = received()
        self.assertIs(fragment.in_context(1), fragment)

    def test_in_another_context_the_pdus_are_of_no_use(self) -> None:
        moved = received().in_context(7)
        self.assertEqual((moved.context_id, moved.longest, bytes(moved), moved.is_last), (7, 0, b"DOE^JOHN", True))

    def test_equal_data_are_equal_however_they_came(self) -> None:
        self.assertEqual(received(), DataSetFragment(1, [memoryview(b"DOE^JOHN")], True))

    def test_the_end_makes_a_difference(self) -> None:
        self.assertNotEqual(received(), DataSetFragment(1, [memoryview(b"DOE^JOHN")], False))

    def test_its_data_do_not_show(self) -> None:
        self.assertEqual(repr(received()), "DataSetFragment(1, 8 bytes, is_last=True)")


class CommandTests(SynchronousTestCase):
    def test_equality_is_context_and_command_set(self) -> None:
        self.assertEqual(Command(1, CommandSet.decode(echo_rq())), Command(1, CommandSet.decode(echo_rq())))
        self.assertNotEqual(Command(1, CommandSet.decode(echo_rq())), Command(3, CommandSet.decode(echo_rq())))

    def test_its_values_do_not_show(self) -> None:
        self.assertEqual(repr(Command(1, CommandSet.decode(store_rq()))), "Command(1, <C-STORE-RQ>)")
