"""Several sources as one: each kind of value has its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredList, FirstError, fail, gatherResults
from zope.interface import implementer

from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused

_T = TypeVar("_T")

_KIND: Final = attrgetter("kind")


@implementer(IPseudonyms)
class ByKind:
    """
    @param sources: by kind; a kind without one is refused.  The ones that are named are started and stopped with this.
    """

    def __init__(self, sources: Mapping[Kind, IPseudonyms]) -> None:
        self._sources = dict(sources)
        # Each once, in order.
        self._all = tuple({id(source): source for source in self._sources.values()}.values())

    def start(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        return _all_of([source.stop() for source in self._all]).addCallback(lambda _: None)

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        source = self._only(originals)
        if source is not None:
            return source.pseudonyms_of(originals)
        groups = self._groups(originals)
        if groups is None:
            return fail(SourceRefused("there is no source of pseudonyms for a kind of value"))
        return Deferred.fromCoroutine(_merged([source.pseudonyms_of(identities) for source, identities in groups]))

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        source = self._only(pseudonyms)
        if source is not None:
            return source.originals_of(pseudonyms)
        groups = self._groups(pseudonyms)
        if groups is None:
            return fail(SourceRefused("there is no source of originals for a kind of value"))
        answers = _all_of([source.originals_of(identities) for source, identities in groups])
        return answers.addCallback(lambda each: {identity: value for one in each for identity, value in one.items()})

    async def _start(self) -> None:
        started: list[IPseudonyms] = []
        try:
            for source in self._all:
                await source.start()
                started.append(source)
        except BaseException:
            await DeferredList([source.stop() for source in started], consumeErrors=True)
            raise

    def _only(self, identities: Collection[Identity]) -> IPseudonyms | None:
        """The source of all of these, if it is one."""
        sources = set(map(self._sources.get, map(_KIND, identities)))
        return sources.pop() if len(sources) == 1 else None

    def _groups(self, identities: Collection[Identity]) -> list[tuple[IPseudonyms, list[Identity]]] | None:
        """What each source is asked for; None where one has no source."""
        groups: dict[int, tuple[IPseudonyms, list[Identity]]] = {}
        for identity in identities:
            source = self._sources.get(identity.kind)
            if source is None:
                return None
            groups.setdefault(id(source), (source, []))[1].append(identity)
        return list(groups.values())


async def _merged(asked: list[Deferred[Pseudonyms]]) -> Pseudonyms:
    """One answer of all, kept when all are; or the first failure, when nobody waits any more for what others keep."""
    answers: list[tuple[bool, Any]] = await DeferredList(asked, consumeErrors=True)
    given: list[Pseudonyms] = [answer for is_given, answer in answers if is_given]
    kept = [answer.kept for answer in given if answer.kept is not None]
    for is_given, failure in answers:
        if not is_given:
            for each in kept:
                each.addErrback(lambda _: None)
            raise failure.value
    values = {identity: value for answer in given for identity, value in answer.values.items()}
    if not kept:
        return Pseudonyms(values)
    return Pseudonyms(values, kept[0] if len(kept) == 1 else _all_of(kept).addCallback(lambda _: None))


def _all_of(each: Sequence[Deferred[_T]]) -> Deferred[list[_T]]:
    """All results, or the failure of the first that fails, itself."""
    return Deferred.fromCoroutine(_gathered(each))


async def _gathered(each: Sequence[Deferred[_T]]) -> list[_T]:
    try:
        return await gatherResults(each, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
        raise
