from __future__ import annotations

from collections.abc import Collection, Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.pseudonyms.batches import Batches, Outcome
from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

Key = tuple[str, str]


class Service:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self._open: list[Deferred[Mapping[str, Outcome]]] = []

    def ask(self, group: str, values: tuple[str, ...]) -> Deferred[Mapping[str, Outcome]]:
        self.calls.append((group, values))
        self._open.append(Deferred())
        return self._open[-1]

    def answers(self, call: int = 0, without: Collection[str] = ()) -> None:
        """Answer one of the calls that are open, oldest first."""
        _, values = self.calls[len(self.calls) - len(self._open) + call]
        self._open.pop(call).callback({value: value.upper() for value in values if value not in without})

    def fails(self, error: Exception) -> None:
        self._open.pop(0).errback(error)

    @property
    def open(self) -> int:
        return len(self._open)


class BatchesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.service = Service()
        self.batches: Batches[str] = self._batches()

    def _batches(self, size: int = 3, concurrency: int = 2, most_waiting: int = 100) -> Batches[str]:
        return Batches(
            self.clock,
            self.service.ask,
            size=size,
            concurrency=concurrency,
            seconds=10.0,
            most_waiting=most_waiting,
        )

    def _ask(self, values: str, group: str = "g") -> Deferred[Mapping[Key, Outcome]]:
        return self.batches.outcomes([(group, value) for value in values], dict)

    def _turn(self) -> None:
        self.clock.advance(0)

    def test_asks_nothing_before_the_turn_is_over(self) -> None:
        self._ask("a")
        self.assertEqual(self.service.calls, [])

    def test_asks_together_what_one_turn_brings(self) -> None:
        self._ask("a")
        self._ask("bc")
        self._turn()
        self.assertEqual(self.service.calls, [("g", ("a", "b", "c"))])

    def test_an_answer_of_which_nothing_can_be_made_is_a_failure_of_its_own(self) -> None:
        def made(_: object) -> None:
            raise SourceRefused("cannot be used")

        first, second = self.batches.outcomes([("g", "a")], made), self._ask("a")
        self._turn()
        self.service.answers()
        self.failureResultOf(first, SourceRefused)
        self.assertEqual(self.successResultOf(second), {("g", "a"): "A"})

    def test_answers_each_with_its_own(self) -> None:
        first, second = self._ask("a"), self._ask("b")
        self._turn()
        self.service.answers()
        self.assertEqual(self.successResultOf(first), {("g", "a"): "A"})
        self.assertEqual(self.successResultOf(second), {("g", "b"): "B"})

    def test_a_call_has_no_more_values_than_it_may(self) -> None:
        self._ask("abcde")
        self._turn()
        self.assertEqual([values for _, values in self.service.calls], [("a", "b", "c"), ("d", "e")])

    def test_a_question_of_several_calls_waits_for_all(self) -> None:
        asking = self._ask("abcde")
        self._turn()
        self.service.answers(1)
        self.assertNoResult(asking)
        self.service.answers(0)
        self.assertEqual(len(self.successResultOf(asking)), 5)

    def test_the_next_call_begins_before_those_who_waited_go_on(self) -> None:
        first = self._ask("abc")
        self._ask("defghi")
        self._turn()
        self.service.answers()
        self.assertEqual(len(self.service.calls), 3)
        self.assertNoResult(first)
        self._turn()
        self.successResultOf(first)

    def test_a_stop_waits_for_those_who_go_on_after_the_next_call(self) -> None:
        first = self._ask("abc")
        rest = self._ask("defghi")
        self._turn()
        stopping = self.batches.stop()
        for _ in range(3):
            self.service.answers()
        self.assertNoResult(stopping)
        self._turn()
        for asking in (first, rest):
            self.successResultOf(asking)
        self.successResultOf(stopping)

    def test_makes_no_more_calls_at_once_than_it_may(self) -> None:
        self._ask("abcdefghijkl")
        self._turn()
        self.assertEqual(self.service.open, 2)

    def test_collects_while_all_calls_are_busy(self) -> None:
        self._ask("abcdef")
        self._turn()
        self._ask("g")
        self._turn()
        self._ask("h")
        self._turn()
        self.service.answers()
        self.assertEqual(self.service.calls[2:], [("g", ("g", "h"))])

    def test_a_value_that_waits_is_asked_for_once(self) -> None:
        first, second = self._ask("a"), self._ask("a")
        self._turn()
        self.service.answers()
        self.assertEqual(self.service.calls, [("g", ("a",))])
        self.assertEqual(self.successResultOf(first), self.successResultOf(second))

    def test_a_value_that_is_asked_for_is_not_asked_for_again(self) -> None:
        self._ask("a")
        self._turn()
        second = self._ask("a")
        self._turn()
        self.service.answers()
        self.assertEqual(len(self.service.calls), 1)
        self.assertEqual(self.successResultOf(second), {("g", "a"): "A"})

    def test_groups_do_not_share_a_call(self) -> None:
        self._ask("a", "g")
        self._ask("a", "h")
        self._turn()
        self.assertEqual(self.service.calls, [("g", ("a",)), ("h", ("a",))])

    def test_a_large_group_does_not_keep_another_waiting(self) -> None:
        self._ask("abcdefghijkl", "g")
        self._ask("a", "h")
        self._turn()
        self.assertEqual([group for group, _ in self.service.calls], ["g", "h"])

    def test_what_is_left_out_is_refused(self) -> None:
        asking = self._ask("ab")
        self._turn()
        self.service.answers(without="b")
        outcomes = self.successResultOf(asking)
        self.assertEqual(outcomes["g", "a"], "A")
        self.assertIsInstance(outcomes["g", "b"], SourceRefused)

    def test_a_refused_call_refuses_its_values(self) -> None:
        asking = self._ask("a")
        self._turn()
        self.service.fails(SourceRefused("no"))
        self.assertIsInstance(self.successResultOf(asking)["g", "a"], SourceRefused)

    def test_a_failed_call_fails_who_asked(self) -> None:
        first, second = self._ask("a"), self._ask("b")
        self._turn()
        self.service.fails(SourceUnavailable("away"))
        self.failureResultOf(first, SourceUnavailable)
        self.failureResultOf(second, SourceUnavailable)

    def test_a_failed_call_does_not_fail_others(self) -> None:
        self._ask("abc").addErrback(lambda _: None)
        other = self._ask("d")
        self._turn()
        self.service.fails(SourceUnavailable("away"))
        self.service.answers()
        self.assertEqual(self.successResultOf(other), {("g", "d"): "D"})

    def test_a_failed_call_makes_room_for_the_next(self) -> None:
        self._ask("abcdefghi").addErrback(lambda _: None)
        waiting = self._ask("x")
        self._turn()
        self.service.fails(SourceUnavailable("away"))
        for _ in range(self.service.open):
            self.service.answers()
        while self.service.open:
            self.service.answers()
        self.assertEqual(self.successResultOf(waiting), {("g", "x"): "X"})

    def test_who_asks_again_when_a_call_fails_does_not_share_its_failure(self) -> None:
        again: list[Deferred[Mapping[Key, Outcome]]] = []
        self._ask("ab").addErrback(lambda _: again.append(self._ask("ab")))
        self._turn()
        self.service.fails(SourceUnavailable("away"))
        self._turn()
        self.service.answers()
        self.assertEqual(self.successResultOf(again[0]), {("g", "a"): "A", ("g", "b"): "B"})

    def test_who_comes_while_a_call_is_under_way_does_not_share_its_failure(self) -> None:
        self._ask("a").addErrback(lambda _: None)
        self._turn()
        later = self._ask("ab")
        self.service.fails(SourceUnavailable("too late"))
        self.assertNoResult(later)
        self._turn()
        while self.service.open:
            self.service.answers()
        self.assertEqual(self.successResultOf(later), {("g", "a"): "A", ("g", "b"): "B"})

    def test_who_comes_while_a_call_is_under_way_shares_its_refusal(self) -> None:
        self._ask("a")
        self._turn()
        later = self._ask("a")
        self.service.fails(SourceRefused("no"))
        self.assertIsInstance(self.successResultOf(later)["g", "a"], SourceRefused)

    def test_a_question_fails_at_its_deadline(self) -> None:
        asking = self._ask("a")
        self._turn()
        self.clock.advance(10.0)
        self.failureResultOf(asking, SourceUnavailable)

    def test_who_asks_again_when_it_is_too_late_delays_nobody_elses_deadline(self) -> None:
        again: list[Deferred[Mapping[Key, Outcome]]] = []
        self._ask("a").addErrback(lambda _: again.append(self._ask("b")))
        self.clock.advance(1.0)
        asking = self._ask("c")
        self.clock.pump((9.0, 1.0))
        self.failureResultOf(asking, SourceUnavailable)
        self.assertNoResult(again[0])
        self.clock.advance(9.0)
        self.failureResultOf(again[0], SourceUnavailable)

    def test_no_timer_is_left_when_all_have_their_answers(self) -> None:
        asking = self._ask("a")
        self._turn()
        self.service.answers()
        self.successResultOf(asking)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_very_many_calls_may_end_at_once(self) -> None:
        for ask in (self._refused_at_once, self._answered_at_once):
            batches: Batches[str] = Batches(self.clock, ask, size=1, concurrency=1, seconds=10.0, most_waiting=10_000)
            asked = [batches.outcomes([("g", str(number))], dict) for number in range(3000)]
            stopping = batches.stop()
            self._turn()
            self.assertTrue(all(asking.called for asking in asked))
            self.successResultOf(stopping)
            for asking in asked:
                asking.addErrback(lambda _: None)

    def _refused_at_once(self, group: str, values: tuple[str, ...]) -> Deferred[Mapping[str, Outcome]]:
        return fail(SourceUnavailable("away"))

    def _answered_at_once(self, group: str, values: tuple[str, ...]) -> Deferred[Mapping[str, Outcome]]:
        return succeed({value: value.upper() for value in values})

    def test_what_nobody_waits_for_is_not_asked(self) -> None:
        self._ask("abcdef")
        self._turn()
        self._ask("x").addErrback(lambda _: None).cancel()
        self.service.answers()
        self.service.answers()
        self.assertEqual(len(self.service.calls), 2)

    def test_refuses_more_than_may_wait(self) -> None:
        self.batches = self._batches(most_waiting=4)
        self._ask("abc")
        self.failureResultOf(self._ask("de"), SourceUnavailable)

    def test_takes_more_when_there_is_room_again(self) -> None:
        self.batches = self._batches(most_waiting=4)
        self._ask("abcd")
        self._turn()
        self.assertNoResult(self._ask("efgh"))

    def test_nothing_is_known_at_once(self) -> None:
        self.assertEqual(self.successResultOf(self.batches.outcomes([], dict)), {})

    def test_stops_when_the_last_call_has_ended(self) -> None:
        asking = self._ask("a")
        self._turn()
        stopping = self.batches.stop()
        self.assertNoResult(stopping)
        self.service.answers()
        self.successResultOf(stopping)
        self.successResultOf(asking)

    def test_stops_when_those_who_waited_have_their_answers(self) -> None:
        asking = self._ask("a")
        self._turn()
        stopping = self.batches.stop()
        asking.addCallback(lambda _: self.assertNoResult(stopping))
        self.service.answers()
        self.successResultOf(asking)
        self.successResultOf(stopping)

    def test_starts_again(self) -> None:
        self.batches.stop()
        self.batches.start()
        asking = self._ask("a")
        self._turn()
        self.service.answers()
        self.successResultOf(asking)

    def test_stops_at_once_where_nothing_is_under_way(self) -> None:
        self.successResultOf(self.batches.stop())

    def test_what_waits_is_asked_before_the_stop(self) -> None:
        asking = self._ask("a")
        stopping = self.batches.stop()
        self._turn()
        self.service.answers()
        self.successResultOf(asking)
        self.successResultOf(stopping)

    def test_takes_nothing_when_stopped(self) -> None:
        self.batches.stop()
        self.failureResultOf(self._ask("a"), SourceUnavailable)

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("gh"), st.sets(st.sampled_from("abcdefgh"), min_size=1)), max_size=12))
    def test_everybody_gets_what_was_asked_for(self, questions: list[tuple[str, set[str]]]) -> None:
        self.setUp()
        asked = [(group, values, self._ask("".join(values), group)) for group, values in questions]
        self._turn()
        while self.service.open:
            self.service.answers()
        self._turn()
        for group, values, asking in asked:
            expected = {(group, value): value.upper() for value in values}
            self.assertEqual(self.successResultOf(asking), expected)
        values_asked = [(group, value) for group, values in self.service.calls for value in values]
        self.assertEqual(len(values_asked), len(set(values_asked)))
