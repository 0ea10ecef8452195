"""
Many small questions asked as few large ones.

Services answer a hundred values in about the time of one.  What is asked within one turn of the reactor, or while all
calls are busy, by any association, goes out together; a value that is wanted twice is asked for once.  Values of
different groups never share a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from itertools import islice, takewhile
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

G = TypeVar("G", bound=Hashable)

#: What is known of a value: its counterpart, None where it has none, or why it could not be had.
Outcome = str | None | SourceRefused

#: Values that may wait.  A C-FIND answer has about ten; at a hundred a call and 5 ms each this is a second of work.
MOST_WAITING: Final = 50_000


class _Question(Generic[G]):
    """
    One caller's values, until all are there or one cannot be had.

    @param until: when it is too late for an answer, as the clock has it.
    @param over: told when it has one.
    """

    __slots__ = ("_over", "deferred", "is_over", "missing", "outcomes", "until")

    def __init__(self, missing: int, until: float, over: Callable[[_Question[G]], None]) -> None:
        self.missing = missing
        self.until = until
        self.outcomes: dict[tuple[G, str], Outcome] = {}
        self.is_over = False
        self.deferred: Deferred[Mapping[tuple[G, str], Outcome]] = Deferred(self._cancelled)
        self._over = over

    def _cancelled(self, _: Deferred[Mapping[tuple[G, str], Outcome]]) -> None:
        self._end()

    def answer(self, key: tuple[G, str], outcome: Outcome) -> None:
        self.outcomes[key] = outcome
        self.missing -= 1
        if not self.missing and not self.is_over:
            self._end()
            self.deferred.callback(self.outcomes)

    def fail(self, error: BaseException) -> None:
        if not self.is_over:
            self._end()
            self.deferred.errback(Failure(error))

    def _end(self) -> None:
        self.is_over = True
        self._over(self)


class _Asked(Generic[G]):
    """Who waits for a value that is asked for: since before the call began, and since later."""

    __slots__ = ("later", "since_before")

    def __init__(self, since_before: list[_Question[G]]) -> None:
        self.since_before = since_before
        self.later: list[_Question[G]] = []


class Batches(Generic[G]):
    """
    @param clock: the reactor, or a clock in memory.
    @param ask: asks a service for values of one group; what it leaves out counts as refused.
    @param size: values a call at most.
    @param concurrency: calls at once at most.
    @param seconds: within which every question has an answer or has failed with `SourceUnavailable`.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[G, tuple[str, ...]], Deferred[Mapping[str, Outcome]]],
        *,
        size: int,
        concurrency: int,
        seconds: float,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._size = size
        self._concurrency = concurrency
        self._limit = seconds
        self._most_waiting = most_waiting
        # Dictionaries keep the order of arrival, and find a value that waits already.
        self._waiting: dict[G, dict[str, list[_Question[G]]]] = {}
        self._waits = 0
        self._asked: dict[tuple[G, str], _Asked[G]] = {}
        self._calls = 0
        #: Calls whose answers are about to be passed on.
        self._passing_on = 0
        self._is_calling = False
        self._window: IDelayedCall | None = None
        #: What waits for an answer, in the order of the deadlines, and the call at the first of them: a timer for each
        #: question would cost as much as its answer.
        self._open: dict[_Question[G], None] = {}
        self._look: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None

    def outcomes(self, wanted: Collection[tuple[G, str]]) -> Deferred[Mapping[tuple[G, str], Outcome]]:
        """
        What is known of values.

        @param wanted: group and value, each once.
        @return: fails with `SourceUnavailable`; a value that was refused is in the answer.
        """
        if not wanted:
            return succeed({})
        if self._stopped is not None:
            return fail(SourceUnavailable("the proxy is stopping"))
        if self._waits + len(wanted) > self._most_waiting:
            return fail(SourceUnavailable("too much waits for the pseudonym service already"))
        question: _Question[G] = _Question(len(wanted), self._clock.seconds() + self._limit, self._close)
        self._open[question] = None
        self._look_at_deadline()
        for key in wanted:
            asked = self._asked.get(key)
            if asked is not None:
                asked.later.append(question)
            else:
                self._wait(key, question)
        if self._window is None and self._calls < self._concurrency:
            self._window = self._clock.callLater(0, self._window_ends)
        return question.deferred

    def stop(self) -> Deferred[None]:
        """Take no more questions; fires when the last call has ended."""
        if self._stopped is None:
            self._stopped = Deferred()
            self._stop_if_idle()
        return self._stopped

    def _wait(self, key: tuple[G, str], question: _Question[G]) -> None:
        group, value = key
        questions = self._waiting.setdefault(group, {}).setdefault(value, [])
        if not questions:
            self._waits += 1
        questions.append(question)

    def _close(self, question: _Question[G]) -> None:
        del self._open[question]
        if not self._open and self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_at_deadline(self) -> None:
        if self._open and self._look is None:
            left = next(iter(self._open)).until - self._clock.seconds()
            self._look = self._clock.callLater(max(left, 0.0), self._look_for_late)

    def _look_for_late(self) -> None:
        self._look = None
        now = self._clock.seconds()
        for question in list(takewhile(lambda each: each.until <= now, self._open)):
            question.fail(SourceUnavailable(f"the pseudonym service did not answer within {self._limit:g} s"))
        self._look_at_deadline()

    def _window_ends(self) -> None:
        self._window = None
        self._call()
        self._stop_if_idle()

    def _call(self) -> bool:
        """Begin as many calls as there may be, and say whether any began."""
        if self._is_calling:
            # A call that ended at once: whoever began it goes on.
            return False
        self._is_calling, has_begun = True, False
        try:
            while self._waiting and self._calls < self._concurrency:
                group = next(iter(self._waiting))
                # Those who wait for another group have their turn before the rest of this one.
                waiting = self._waiting.pop(group)
                values = tuple(islice(self._wanted(group, waiting), self._size))
                if waiting:
                    self._waiting[group] = waiting
                if values:
                    self._calls, has_begun = self._calls + 1, True
                    asking = maybeDeferred(self._ask, group, values)
                    asking.addCallbacks(self._answered, self._failed, (group, values), {}, (group, values))
        finally:
            self._is_calling = False
        return has_begun

    def _stop_if_idle(self) -> None:
        is_idle = not (self._calls or self._waiting or self._passing_on)
        if is_idle and self._stopped is not None and not self._stopped.called:
            self._stopped.callback(None)

    def _wanted(self, group: G, waiting: dict[str, list[_Question[G]]]) -> Iterator[str]:
        """Take values out of those that wait; what nobody waits for any more is not asked."""
        while waiting:
            value = next(iter(waiting))
            questions = [question for question in waiting.pop(value) if not question.is_over]
            self._waits -= 1
            if questions:
                self._asked[group, value] = _Asked(questions)
                yield value

    def _answered(self, outcomes: Mapping[str, Outcome], group: G, values: tuple[str, ...]) -> None:
        ended = self._ended(group, values)
        self._passing_on += 1
        if self._call():
            # The service works on these calls while those who waited for the last one go on.  That may take them some
            # milliseconds, and what is written leaves in the reactor's next turn: they go on in the one after it.
            self._clock.callLater(0, self._clock.callLater, 0, self._passed_on, group, ended, outcomes)
        else:
            self._passed_on(group, ended, outcomes)

    def _passed_on(self, group: G, ended: list[tuple[str, _Asked[G]]], outcomes: Mapping[str, Outcome]) -> None:
        for value, asked in ended:
            outcome = outcomes[value] if value in outcomes else SourceRefused("the pseudonym service left a value out")
            for question in (*asked.since_before, *asked.later):
                question.answer((group, value), outcome)
        self._passing_on -= 1
        self._stop_if_idle()

    def _failed(self, failure: Failure, group: G, values: tuple[str, ...]) -> None:
        error = failure.value
        if isinstance(error, SourceRefused):
            self._answered(dict.fromkeys(values, error), group, values)
            return
        ended = self._ended(group, values)
        for value, asked in ended:
            for question in asked.later:
                # A call that was to fail at its deadline must not take along who has just come.
                self._wait((group, value), question)
        for _, asked in ended:
            for question in asked.since_before:
                question.fail(error or SourceUnavailable("the call failed"))
        self._call()
        self._stop_if_idle()

    def _ended(self, group: G, values: tuple[str, ...]) -> list[tuple[str, _Asked[G]]]:
        """A call is over: who waits for its values.  Who asks for one from now on starts a call of its own."""
        self._calls -= 1
        return [(value, self._asked.pop((group, value))) for value in values]
