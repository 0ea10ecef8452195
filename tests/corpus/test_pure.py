"""The corpus over the pure core, and the crashes that the fuzzer found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.corpus.cases import Case
from tests.corpus.playing import corpus, play
from tests.fuzz import TARGETS, check

#: Byte by byte costs as many calls as bytes.
_SHORT = 2_000


class CorpusTests(SynchronousTestCase):
    def test_there_are_2000_inputs_in_12_classes(self) -> None:
        kinds = Counter(case.kind for case in corpus())
        self.assertGreaterEqual(len(kinds), 12)
        self.assertGreaterEqual(len({(case.stage, case.data) for case in corpus()}), 2_000)
        self.assertGreaterEqual(min(kinds.values()), 15, kinds)


class AnswerTests(SynchronousTestCase):
    """One test a class is made below: every input gets an answer that is defined for it."""

    def play_all(self, kind: str) -> None:
        wrong = []
        for case in corpus():
            if case.kind == kind:
                answer = play(case)
                if answer not in case.answers:
                    wrong.append(describe(case, answer.name))
                if len(case.data) <= _SHORT and play(case, by_bytes=True) is not answer:
                    wrong.append(describe(case, f"not {answer.name} byte by byte"))
        self.assertEqual(wrong, [])


def describe(case: Case, answer: str) -> str:
    """A case that went wrong, so that it can be found."""
    expected = "/".join(sorted(each.name for each in case.answers))
    return f"{case.kind}, {case.stage.value}: {answer} instead of {expected}: {case.data[:300].hex()}"


def _answer_tests() -> None:
    for kind in {case.kind for case in corpus()}:

        def play_all(self: AnswerTests, kind: str = kind) -> None:
            self.play_all(kind)

        setattr(AnswerTests, f"test_{kind.lower().replace(' ', '_')}", play_all)


_answer_tests()


class CrashTests(SynchronousTestCase):
    def test_what_once_crashed_does_not_any_more(self) -> None:
        for path in sorted((Path(__file__).parent / "crashes").glob("*.bin")):
            target = path.name.partition("-")[0]
            self.assertIn(target, TARGETS, path.name)
            check(target, path.read_bytes())
