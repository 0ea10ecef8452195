"""
Many small questions asked as few large ones.

Services answer a hundred values in about the time of one.  What is asked within one turn of the reactor, or while all
calls are busy, by any association, goes out together; a value that is wanted twice is asked for once.  Values of
different groups never share a call.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from itertools import islice, takewhile
from typing import Any, Final, Generic, TypeVar

from twisted.internet.defer import Deferred, execute, fail, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from dimseproxy.pseudonyms.interfaces import SourceRefused, SourceUnavailable

G = TypeVar("G", bound=Hashable)
T = TypeVar("T")

#: What is known of a value: its counterpart, None where it has none, or why it could not be had.
Outcome = str | None | SourceRefused

#: What is known of values, by group and value.
Outcomes = Mapping[tuple[G, str], Outcome]

#: Who waits for values, by group and value, in the order of arrival.
_Waiting = dict[tuple[G, str], "list[_Question[G]]"]

#: Values that may wait.  A C-FIND answer has about ten; at a hundred a call and 5 ms each this is a second of work.
MOST_WAITING: Final = 50_000


class _Question(Generic[G]):
    """
    One caller's values, until all are there or one cannot be had.

    @param wanted: group and value, each once.
    @param made: what the caller makes of the outcomes, which is the answer; or it raises.
    @param until: when it is too late for an answer, as the clock has it.
    @param over: told when it has one, or needs none.
    """

    __slots__ = ("_made", "_over", "deferred", "is_over", "missing", "outcomes", "until", "wanted")

    def __init__(
        self,
        wanted: Collection[tuple[G, str]],
        made: Callable[[Outcomes[G]], Any],
        until: float,
        over: Callable[[_Question[G]], None],
    ) -> None:
        self.wanted = wanted
        self._made = made
        self.missing = len(wanted)
        self.until = until
        self.outcomes: dict[tuple[G, str], Outcome] = {}
        self.is_over = False
        self.deferred: Deferred[Any] = Deferred(self._cancelled)
        self._over = over

    def _cancelled(self, _: Deferred[Any]) -> None:
        self._end()

    def answer(self, key: tuple[G, str], outcome: Outcome) -> None:
        self.outcomes[key] = outcome
        self.missing -= 1
        if not self.missing and not self.is_over:
            self._end()
            try:
                answer = self._made(self.outcomes)
            except Exception:
                self.deferred.errback(Failure())
            else:
                self.deferred.callback(answer)

    def fail(self, error: BaseException) -> None:
        if not self.is_over:
            self._end()
            self.deferred.errback(Failure(error))

    def _end(self) -> None:
        self.is_over = True
        self._over(self)


class _Call(Generic[G]):
    """Who waits for the values of a call: since before it began, and since later."""

    __slots__ = ("later", "since_before")

    def __init__(self, since_before: _Waiting[G]) -> None:
        self.since_before = since_before
        self.later: _Waiting[G] = {}


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
        #: What no call was begun for yet; there is no group without a value.
        self._waiting: dict[G, _Waiting[G]] = {}
        self._waits = 0
        #: The call that a value is asked for in.
        self._asked: dict[tuple[G, str], _Call[G]] = {}
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

    def outcomes(self, wanted: Collection[tuple[G, str]], made: Callable[[Outcomes[G]], T]) -> Deferred[T]:
        """
        What is known of values.

        @param wanted: group and value, each once.
        @param made: makes the answer of the outcomes, those that are refusals among them; a callback of each question
            would cost as much as its answer.
        @return: fails with `SourceUnavailable`, or with what `made` raises.
        """
        if not wanted:
            return execute(made, {})
        if self._stopped is not None:
            return fail(SourceUnavailable("the proxy is stopping"))
        if self._waits + len(wanted) > self._most_waiting:
            return fail(SourceUnavailable("too much waits for the pseudonym service already"))
        question: _Question[G] = _Question(wanted, made, self._clock.seconds() + self._limit, self._close)
        self._open[question] = None
        if self._look is None:
            self._look_at_deadline()
        for key in wanted:
            call = self._asked.get(key)
            if call is not None:
                call.later.setdefault(key, []).append(question)
            else:
                self._wait(key, question)
        if self._window is None and self._calls < self._concurrency:
            self._window = self._clock.callLater(0, self._window_ends)
        return question.deferred

    def start(self) -> None:
        """Take questions, also after a stop that has ended."""
        if self._stopped is not None and self._stopped.called:
            self._stopped = None

    def stop(self) -> Deferred[None]:
        """Take no more questions; fires when the last call has ended."""
        if self._stopped is None:
            self._stopped = Deferred()
            self._stop_if_idle()
        return self._stopped

    def _wait(self, key: tuple[G, str], question: _Question[G]) -> None:
        waiting = self._waiting.get(key[0])
        if waiting is None:
            waiting = self._waiting[key[0]] = {}
        questions = waiting.get(key)
        if questions is None:
            waiting[key] = [question]
            self._waits += 1
        else:
            questions.append(question)

    def _close(self, question: _Question[G]) -> None:
        del self._open[question]
        if not self._open and self._look is not None:
            self._look.cancel()
            self._look = None
        if question.missing:
            self._leave(question)

    def _leave(self, question: _Question[G]) -> None:
        """What nobody waits for any more is not asked."""
        for key in question.wanted:
            waiting = self._waiting.get(key[0], {})
            questions = waiting.get(key, [])
            if question not in questions:
                continue
            questions.remove(question)
            if not questions:
                del waiting[key]
                self._waits -= 1
            if not waiting:
                del self._waiting[key[0]]

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
                self._calls, has_begun = self._calls + 1, True
                call = self._next_call(group)
                values = tuple(value for _, value in call.since_before)
                asking = maybeDeferred(self._ask, group, values)
                asking.addCallbacks(self._answered, self._failed, (call,), {}, (call,))
        finally:
            self._is_calling = False
        return has_begun

    def _stop_if_idle(self) -> None:
        is_idle = not (self._calls or self._waiting or self._passing_on)
        if is_idle and self._stopped is not None and not self._stopped.called:
            self._stopped.callback(None)

    def _next_call(self, group: G) -> _Call[G]:
        """Take values out of those that wait: who waits for another group has a turn before the rest of this one."""
        waiting = self._waiting.pop(group)
        if len(waiting) > self._size:
            taken = {key: waiting.pop(key) for key in tuple(islice(waiting, self._size))}
            self._waiting[group] = waiting
        else:
            taken = waiting
        self._waits -= len(taken)
        call = _Call(taken)
        self._asked.update(dict.fromkeys(taken, call))
        return call

    def _answered(self, outcomes: Mapping[str, Outcome], call: _Call[G]) -> None:
        self._end(call)
        self._passing_on += 1
        if self._call():
            # The service works on these calls while those who waited for the last one go on.  That may take them some
            # milliseconds, and what is written leaves in the reactor's next turn: they go on in the one after it.
            self._clock.callLater(0, self._clock.callLater, 0, self._passed_on, call, outcomes)
        else:
            self._passed_on(call, outcomes)

    def _passed_on(self, call: _Call[G], outcomes: Mapping[str, Outcome]) -> None:
        for waiting in (call.since_before, call.later):
            for key, questions in waiting.items():
                value = key[1]
                outcome = (
                    outcomes[value] if value in outcomes else SourceRefused("the pseudonym service left a value out")
                )
                for question in questions:
                    question.answer(key, outcome)
        self._passing_on -= 1
        self._stop_if_idle()

    def _failed(self, failure: Failure, call: _Call[G]) -> None:
        error = failure.value
        if isinstance(error, SourceRefused):
            self._answered({value: error for _, value in call.since_before}, call)
            return
        self._end(call)
        for key, questions in call.later.items():
            for question in questions:
                # A call that was to fail at its deadline must not take along who has just come.
                if not question.is_over:
                    self._wait(key, question)
        for questions in call.since_before.values():
            for question in questions:
                question.fail(error or SourceUnavailable("the call failed"))
        self._call()
        self._stop_if_idle()

    def _end(self, call: _Call[G]) -> None:
        """It is over: who asks for one of its values from now on starts a call of its own."""
        self._calls -= 1
        for key in call.since_before:
            del self._asked[key]
