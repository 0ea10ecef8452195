from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from dimseproxy.dimse.command_set import CommandField, Element
from dimseproxy.dimse.parts import Command, Part
from dimseproxy.relay.turns import Source, Turns
from tests.association.playing import command, echo, fragment
from tests.ul.strategies import PROPERTY


def message(sender: int, number: int, fragments: int) -> list[Part]:
    """A message that says whose it is."""
    begin = command(
        CommandField.C_STORE_RQ,
        number,
        has_data_set=fragments > 0,
        more={Element.MOVE_ORIGINATOR_MESSAGE_ID: sender},
    )
    name = f"{sender}/{number}/".encode()
    return [begin, *(fragment(name + bytes([index]), is_last=index == fragments - 1) for index in range(fragments))]


class Receiver:
    """Keeps what it gets, and who was asked to wait."""

    def __init__(self) -> None:
        self.got: list[Part] = []
        self.turns = Turns(self.got.extend)
        self.paused: set[int] = set()

    def source(self, number: int) -> Source:
        return self.turns.source(lambda: self.paused.add(number), lambda: self.paused.discard(number))


class TurnsTests(TestCase):
    def setUp(self) -> None:
        self.receiver = Receiver()
        self.first, self.second, self.third = (self.receiver.source(number) for number in (1, 2, 3))
        self.long = message(1, 1, 2)
        self.other = message(2, 1, 1)

    def test_one_source_sends_at_once(self) -> None:
        self.first.send(self.long[:1])
        self.assertEqual(self.receiver.got, self.long[:1])

    def test_another_waits_within_a_message(self) -> None:
        self.first.send(self.long[:1])
        self.second.send(self.other)
        self.assertEqual(self.receiver.got, self.long[:1])

    def test_whoever_waits_is_paused(self) -> None:
        self.first.send(self.long[:1])
        self.second.send(self.other)
        self.assertEqual(self.receiver.paused, {2})

    def test_its_turn_comes_after_the_message(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.got, [*self.long, *self.other])

    def test_it_goes_on_then(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.paused, set())

    def test_its_turn_may_be_a_long_one(self) -> None:
        longer = message(2, 1, 3)
        self.first.send(self.long[:2])
        self.second.send(longer[:2])
        self.third.send([echo(9)])
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.got, [*self.long, *longer[:2]])

    def test_the_first_in_line_comes_first(self) -> None:
        self.first.send(self.long[:2])
        self.third.send([echo(3)])
        self.second.send([echo(2)])
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.got[3:], [echo(3), echo(2)])

    # A slow receiver

    def test_all_wait_for_a_slow_receiver(self) -> None:
        self.receiver.turns.pause()
        self.assertEqual(self.receiver.paused, {1, 2, 3})

    def test_all_go_on_when_it_does(self) -> None:
        self.receiver.turns.pause()
        self.receiver.turns.resume()
        self.assertEqual(self.receiver.paused, set())

    def test_a_source_that_comes_meanwhile_waits_too(self) -> None:
        self.receiver.turns.pause()
        self.receiver.source(4)
        self.assertIn(4, self.receiver.paused)

    def test_being_told_twice_is_being_told_once(self) -> None:
        self.receiver.turns.pause()
        self.receiver.turns.pause()
        self.receiver.turns.resume()
        self.assertEqual(self.receiver.paused, set())

    def test_its_turn_does_not_end_the_wait_for_a_slow_receiver(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.receiver.turns.pause()
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.paused, {1, 2, 3})

    def test_a_fast_receiver_does_not_end_the_wait_for_the_turn(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.receiver.turns.pause()
        self.receiver.turns.resume()
        self.assertEqual(self.receiver.paused, {2})

    # Leaving

    def test_leaving_between_messages_breaks_nothing(self) -> None:
        self.first.send(self.long)
        self.assertFalse(self.first.withdraw())

    def test_leaving_within_a_message_breaks_it(self) -> None:
        self.first.send(self.long[:2])
        self.assertTrue(self.first.withdraw())

    def test_leaving_the_line_breaks_nothing(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.assertFalse(self.second.withdraw())

    def test_whoever_left_the_line_has_no_turn(self) -> None:
        self.first.send(self.long[:2])
        self.second.send(self.other)
        self.second.withdraw()
        self.first.send(self.long[2:])
        self.assertEqual(self.receiver.got, self.long)

    def test_whoever_left_is_not_paused_any_more(self) -> None:
        self.first.withdraw()
        self.receiver.turns.pause()
        self.assertEqual(self.receiver.paused, {2, 3})


class InterleavingTests(TestCase):
    """Whatever the order in which sources send, messages stay whole and in order."""

    @PROPERTY
    @given(
        st.lists(st.lists(st.integers(0, 4), max_size=6), min_size=2, max_size=4),
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.booleans()), max_size=60),
    )
    def test_any_interleaving(self, lengths: list[list[int]], steps: list[tuple[int, int, bool]]) -> None:
        receiver = Receiver()
        left: list[list[Part]] = []
        sources = []
        wanted: list[list[list[Part]]] = []
        for sender, fragments in enumerate(lengths):
            messages = [message(sender, number, count) for number, count in enumerate(fragments)]
            wanted.append(messages)
            left.append([part for each in messages for part in each])
            sources.append(receiver.source(sender))
        for sender, count, is_slow in steps:
            sender %= len(lengths)
            (receiver.turns.pause if is_slow else receiver.turns.resume)()
            parts, left[sender] = left[sender][:count], left[sender][count:]
            if parts:
                sources[sender].send(parts)
        receiver.turns.resume()
        for sender, parts in enumerate(left):
            if parts:
                sources[sender].send(parts)
        self.assertEqual(by_sender(receiver.got, len(lengths)), wanted)
        self.assertEqual(receiver.paused, set())


def by_sender(parts: Sequence[Part], senders: int) -> list[list[list[Part]]]:
    """The messages of each sender; what is between two commands belongs to the first of them."""
    found: list[list[list[Part]]] = [[] for _ in range(senders)]
    current: list[Part] = []
    for part in parts:
        if isinstance(part, Command):
            current = [part]
            found[part.command_set.number(Element.MOVE_ORIGINATOR_MESSAGE_ID) or 0].append(current)
        else:
            current.append(part)
    return found
