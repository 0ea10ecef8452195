from __future__ import annotations

from collections.abc import Collection, Mapping

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.by_kind import ByKind
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused, SourceUnavailable

PATIENT = Identity(Kind.PATIENT, "4711")
STUDY = Identity(Kind.STUDY, "1.2.3")
SERIES = Identity(Kind.SERIES, "1.2.4")


@implementer(IPseudonyms)
class Source:
    """Puts a letter before each value."""

    def __init__(self, letter: str, kept: Deferred[None] | None = None, error: Exception | None = None) -> None:
        self.letter = letter
        self.kept = kept
        self.error = error
        self.asked: list[list[Identity]] = []
        self.events: list[str] = []

    def start(self) -> Deferred[None]:
        self.events.append("start")
        return fail(self.error) if self.error is not None else succeed(None)

    def stop(self) -> Deferred[None]:
        self.events.append("stop")
        return succeed(None)

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        self.asked.append(list(originals))
        if self.error is not None:
            return fail(self.error)
        return succeed(Pseudonyms({each: self.letter + each.value for each in originals}, self.kept))

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        self.asked.append(list(pseudonyms))
        if self.error is not None:
            return fail(self.error)
        return succeed({each: self.letter + each.value for each in pseudonyms})


class ByKindTests(SynchronousTestCase):
    def _sources(self, first: Source, second: Source) -> ByKind:
        return ByKind({Kind.PATIENT: first, Kind.STUDY: second, Kind.SERIES: second})

    def test_is_a_source(self) -> None:
        verifyObject(IPseudonyms, ByKind({}))

    def test_asks_each_source_for_its_kinds(self) -> None:
        first, second = Source("a"), Source("b")
        asking = self._sources(first, second).pseudonyms_of([STUDY, PATIENT, SERIES])
        expected = {PATIENT: "a4711", STUDY: "b1.2.3", SERIES: "b1.2.4"}
        self.assertEqual(self.successResultOf(asking).values, expected)
        self.assertEqual((first.asked, second.asked), ([[PATIENT]], [[STUDY, SERIES]]))

    def test_asks_no_source_for_nothing(self) -> None:
        first, second = Source("a"), Source("b")
        self.successResultOf(self._sources(first, second).pseudonyms_of([STUDY]))
        self.assertEqual(first.asked, [])

    def test_gives_originals_of_all(self) -> None:
        asking = self._sources(Source("a"), Source("b")).originals_of([STUDY, PATIENT])
        self.assertEqual(self.successResultOf(asking), {PATIENT: "a4711", STUDY: "b1.2.3"})

    def test_refuses_a_kind_without_a_source(self) -> None:
        sources = self._sources(Source("a"), Source("b"))
        other = Identity(Kind.OTHER, "x")
        self.failureResultOf(sources.pseudonyms_of([PATIENT, other]), SourceRefused)
        self.failureResultOf(sources.originals_of([PATIENT, other]), SourceRefused)

    def test_fails_as_the_one_that_fails(self) -> None:
        sources = self._sources(Source("a"), Source("b", error=SourceUnavailable("away")))
        self.failureResultOf(sources.pseudonyms_of([PATIENT, STUDY]), SourceUnavailable)
        self.failureResultOf(sources.originals_of([PATIENT, STUDY]), SourceUnavailable)

    def test_is_kept_where_nothing_has_to_be(self) -> None:
        answer = self.successResultOf(self._sources(Source("a"), Source("b")).pseudonyms_of([PATIENT, STUDY]))
        self.assertIsNone(answer.kept)

    def test_is_kept_when_all_are(self) -> None:
        kept: list[Deferred[None]] = [Deferred(), Deferred()]
        sources = self._sources(Source("a", kept[0]), Source("b", kept[1]))
        answer = self.successResultOf(sources.pseudonyms_of([PATIENT, STUDY]))
        assert answer.kept is not None
        kept[0].callback(None)
        self.assertNoResult(answer.kept)
        kept[1].callback(None)
        self.assertIsNone(self.successResultOf(answer.kept))

    def test_is_not_kept_where_one_is_not(self) -> None:
        kept: list[Deferred[None]] = [Deferred(), Deferred()]
        sources = self._sources(Source("a", kept[0]), Source("b", kept[1]))
        answer = self.successResultOf(sources.pseudonyms_of([PATIENT, STUDY]))
        assert answer.kept is not None
        kept[0].callback(None)
        kept[1].errback(SourceUnavailable("disk full"))
        self.failureResultOf(answer.kept, SourceUnavailable)

    def test_what_could_not_be_kept_for_a_failed_answer_is_nobodys_error(self) -> None:
        kept: Deferred[None] = Deferred()
        sources = self._sources(Source("a", kept), Source("b", error=SourceUnavailable("away")))
        self.failureResultOf(sources.pseudonyms_of([PATIENT, STUDY]), SourceUnavailable)
        kept.errback(SourceUnavailable("disk full"))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_starts_and_stops_each_once(self) -> None:
        first, second = Source("a"), Source("b")
        sources = self._sources(first, second)
        self.successResultOf(sources.start())
        self.successResultOf(sources.stop())
        self.assertEqual((first.events, second.events), (["start", "stop"], ["start", "stop"]))

    def test_stops_what_it_has_started_where_another_does_not_start(self) -> None:
        first, second = Source("a"), Source("b", error=SourceRefused("wrong"))
        self.failureResultOf(self._sources(first, second).start(), SourceRefused)
        self.assertEqual(first.events, ["start", "stop"])
