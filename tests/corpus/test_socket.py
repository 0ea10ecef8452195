"""
The corpus against the relay itself, over loopback sockets.

Each input comes on a connection of its own, a healthy association beside it echoes all the time, and nothing that an
operator would have to look at is logged.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import wraps
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Cooperator
from twisted.trial.unittest import TestCase

from tests.corpus.cases import ABORTED, REQUEST, Answer, Case, Stage
from tests.corpus.loopback import Caller, Loopback
from tests.corpus.playing import corpus
from tests.corpus.test_pure import describe
from tests.ul.wire import associate_rq, proposed

#: How many connections at once.
_AT_ONCE = 8
#: How many inputs between two echoes.
_BATCH = 50
_ACCEPTED = frozenset((Answer.ACCEPTED, Answer.ABORTED))


def asynchronous(test: Callable[..., Coroutine[Deferred[Any], Any, None]]) -> Callable[..., Deferred[None]]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(*args: object) -> Deferred[None]:
        return ensureDeferred(test(*args))

    return run


class HostileTests(TestCase):
    """One test a class is made below."""

    timeout = 120

    async def play(self, cases: Sequence[Case]) -> None:
        loopback = Loopback()
        await loopback.start(self)
        neighbour = await loopback.neighbour(self)
        wrong: list[str] = []
        for start in range(0, len(cases), _BATCH):
            steps = (ensureDeferred(self._one(loopback, case, wrong)) for case in cases[start : start + _BATCH])
            await _side_by_side(steps)
            self.assertEqual(await neighbour.echo(), 0)
        self.assertEqual(await neighbour.release(), 6)
        self.assertEqual(wrong, [])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def _one(self, loopback: Loopback, case: Case, wrong: list[str]) -> None:
        caller, answers = _caller(loopback, case)
        answer = await loopback.answer(caller)
        if answer not in answers:
            wrong.append(describe(case, answer.name))


def _caller(loopback: Loopback, case: Case) -> tuple[Caller, frozenset[Answer]]:
    """Who plays this case, and the answers that it may get."""
    if case.stage in (Stage.CALLING, Stage.CALLED):
        first = REQUEST if case.stage is Stage.CALLED else b""
        hangs_up = Answer.SILENT in case.answers
        return Caller(first, case.data, hangs_up), case.answers
    # The outbound is the hostile one; its case goes by the caller's title.
    title = f"CASE{len(loopback.script)}"
    loopback.script[title] = (case.stage, case.data)
    request = associate_rq(proposed(1), proposed(3), calling=title.encode())
    if case.stage is Stage.ANSWERED:
        return Caller(request, b"", False), ABORTED
    answers = frozenset((Answer.REJECTED,))
    if Answer.ACCEPTED in case.answers:
        # The outbound closes right behind its answer, and the caller is told that, too.
        answers = frozenset((Answer.REJECTED, Answer.ACCEPTED, Answer.ABORTED)) if len(case.answers) > 1 else _ACCEPTED
    return Caller(b"", request, False), answers


async def _side_by_side(steps: Iterator[Deferred[None]]) -> None:
    """Some at a time, until all are done."""
    cooperator = Cooperator()
    for task in [cooperator.coiterate(steps) for _ in range(_AT_ONCE)]:
        await task


def _hostile_tests() -> None:
    for kind in {case.kind for case in corpus()}:

        @asynchronous
        async def play(self: HostileTests, kind: str = kind) -> None:
            await self.play([case for case in corpus() if case.kind == kind])

        setattr(HostileTests, f"test_{kind.lower().replace(' ', '_')}", play)


_hostile_tests()
