from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase
from zope.interface import implementer

from dimseproxy.association.deadlines import Deadlines, IWatched


@implementer(IWatched)
class Watched:
    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.looks: list[float] = []
        self._then = then

    def check(self, now: float) -> None:
        self.looks.append(now)
        self._then()


class Failing(Exception):
    """What a watcher fails with."""


def fail() -> None:
    raise Failing


class DeadlinesTests(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, 0.5)

    def test_looks_at_what_it_watches(self) -> None:
        watched = Watched()
        self.deadlines.start()
        self.deadlines.watch(watched)
        self.clock.pump([0.5, 0.5])
        self.assertEqual(watched.looks, [0.5, 1.0])

    def test_does_not_look_before_it_is_started(self) -> None:
        watched = Watched()
        self.deadlines.watch(watched)
        self.clock.pump([0.5, 0.5])
        self.assertEqual(watched.looks, [])

    def test_forgets(self) -> None:
        watched = Watched()
        self.deadlines.start()
        self.deadlines.watch(watched)
        self.deadlines.forget(watched)
        self.clock.advance(0.5)
        self.assertEqual(watched.looks, [])

    def test_forgetting_what_it_does_not_watch_is_no_mistake(self) -> None:
        self.deadlines.start()
        self.deadlines.forget(Watched())
        self.clock.advance(0.5)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        others = [Watched() for _ in range(10)]
        self.deadlines.start()
        for watched in (*others[:5], Watched(fail), *others[5:]):
            self.deadlines.watch(watched)
        self.clock.advance(0.5)
        self.flushLoggedErrors(Failing)
        self.assertEqual([each.looks for each in others], [[0.5]] * 10)

    def test_one_that_fails_is_logged(self) -> None:
        self.deadlines.start()
        self.deadlines.watch(Watched(fail))
        self.clock.advance(0.5)
        self.assertEqual(len(self.flushLoggedErrors(Failing)), 1)

    def test_goes_on_after_one_has_failed(self) -> None:
        watched = Watched(fail)
        self.deadlines.start()
        self.deadlines.watch(watched)
        self.clock.pump([0.5, 0.5])
        self.flushLoggedErrors(Failing)
        self.assertEqual(watched.looks, [0.5, 1.0])

    def test_a_watcher_may_forget_itself(self) -> None:
        watched = Watched(lambda: self.deadlines.forget(watched))
        self.deadlines.start()
        self.deadlines.watch(watched)
        self.clock.pump([0.5, 0.5])
        self.assertEqual(watched.looks, [0.5])

    def test_a_watcher_may_bring_another(self) -> None:
        other = Watched()
        self.deadlines.start()
        self.deadlines.watch(Watched(lambda: self.deadlines.watch(other)))
        self.clock.pump([0.5, 0.5])
        self.assertEqual(other.looks, [1.0])

    def test_stops(self) -> None:
        self.deadlines.start()
        self.deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_before_the_start_is_no_mistake(self) -> None:
        self.deadlines.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
