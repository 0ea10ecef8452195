"""
A pseudonym service somewhere else, as a source: cached, asked in batches, and believed nothing.

A value that the service answers badly is refused alone; an answer that is not to what was asked is refused whole.
Nothing of what is refused is remembered.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, TypeVar, cast

from attrs import define, field
from twisted.internet.defer import Deferred, execute, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer

from dimseproxy.errors import DimseProxyError
from dimseproxy.privacy.identity import Identity, Kind
from dimseproxy.pseudonyms.batches import Batches, Outcome, Outcomes
from dimseproxy.pseudonyms.cache import Cache
from dimseproxy.pseudonyms.fhir import FhirService, RequestRefused, Resource, UnknownDomain, operations
from dimseproxy.pseudonyms.http import Http
from dimseproxy.pseudonyms.interfaces import IPseudonyms, Pseudonyms, SourceRefused, SourceUnavailable
from dimseproxy.pseudonyms.validity import Use, fault_of_original, fault_of_pseudonym, use_of

log = Logger()

_Made = TypeVar("_Made")

#: Nobody's pseudonym: asked for at the start, to learn whether a domain exists.
PROBE: Final = "dimseproxy-start"
#: Statuses of a batch that a single one of its values may be to blame for: it must not cost the others.
_BLAMES_A_VALUE: Final = frozenset((400, 413, 422))


class Direction(Enum):
    """
    What a service is asked for.

    @ivar given: the name of what it is asked about.
    @ivar wanted: the name of what it answers.
    """

    PSEUDONYMS = ("original", "pseudonym")
    ORIGINALS = ("pseudonym", "original")

    def __init__(self, given: str, wanted: str) -> None:
        self.given = given
        self.wanted = wanted


class IDialect(Interface):
    """How a kind of service is asked."""

    operations: frozenset[str] = Attribute("Those that it must have, as its CapabilityStatement names them.")

    def ask(service: FhirService, direction: Direction, domain: str, values: Sequence[str]) -> Any:
        """
        Ask for values, each once.

        @return: a coroutine: `Mapping[str, Outcome]`; what the service left out is not in it.
        @raise SourceUnavailable: it does not answer.
        @raise SourceRefused: nothing of its answer can be used.
        """

    def ignores_case(service: FhirService, domain: str, original: str, pseudonym: str) -> Any:
        """
        Find out whether a domain may take originals for one that differ in case only, and create no pseudonym by that.

        @param original: one with letters.
        @param pseudonym: its own, as the service said just now.
        @return: a coroutine: `bool`; true where it cannot be told.
        @raise SourceUnavailable: it does not answer.
        """


@define(eq=False)
class Group:
    """
    Values that may be asked for together.  There is one of each: they are compared by identity, many times a data set.

    @ivar reverse: the group of the answers to this.
    @ivar beside: the groups of its direction whose values may be its own: UIDs are of one name space.
    """

    direction: Direction
    domain: str
    use: Use
    reverse: Group = field(init=False, repr=False)
    beside: tuple[Group, ...] = field(init=False, repr=False)
    _prefix: str = field(init=False, repr=False)

    @_prefix.default
    def _(self) -> str:
        return f"{self.direction.name}\0{self.domain}\0{self.use.name}\0"

    def key(self, value: str) -> str:
        """
        A value of the group as text, for the cache: what is kept by the hundred thousand must be nothing that Python's
        collector looks through.
        """
        return self._prefix + value

    def keys(self, values: Iterable[str]) -> list[str]:
        """See `key`."""
        prefix = self._prefix
        return [prefix + value for value in values]

    def value_of(self, key: str) -> str:
        """See `key`."""
        return key.removeprefix(self._prefix)


def _groups(domains: Mapping[Kind, str]) -> Mapping[Direction, Mapping[Kind, Group]]:
    """The groups of a service, by direction and kind; kinds of one domain and use share theirs."""
    pairs: dict[tuple[str, Use], dict[Direction, Group]] = {}
    found: dict[Direction, dict[Kind, Group]] = {direction: {} for direction in Direction}
    for kind, domain in domains.items():
        use = use_of(kind)
        pair = pairs.setdefault((domain, use), {each: Group(each, domain, use) for each in Direction})
        for direction, group in pair.items():
            found[direction][kind] = group
    for pair in pairs.values():
        there, back = pair.values()
        there.reverse, back.reverse = back, there
        for direction, group in pair.items():
            uids = tuple(each[direction] for (_, use), each in pairs.items() if use is Use.UID)
            group.beside = uids if group.use is Use.UID else (group,)
    return found


@implementer(IPseudonyms)
class RemotePseudonyms:
    """
    @param clock: the reactor, or a clock in memory.
    @param http: what the service uses, stopped with this.
    @param domains: of the service, by the kinds that it is asked for.
    @param batch: values a call at most.
    @param concurrency: calls at once at most.
    @param cache_entries: values remembered each way.
    @param cache_seconds: for how long.
    """

    def __init__(
        self,
        clock: IReactorTime,
        http: Http,
        service: FhirService,
        dialect: IDialect,
        domains: Mapping[Kind, str],
        *,
        batch: int = 100,
        concurrency: int = 4,
        cache_entries: int = 100_000,
        cache_seconds: float = 3600.0,
    ) -> None:
        self._http = http
        self._service = service
        self._dialect = dialect
        self._domains = tuple(dict.fromkeys(domains.values()))
        self._groups = _groups(domains)
        #: Of the domains that were looked at: whether they may take originals for one that differ in case only.
        self._ignores_case: dict[str, bool] = {}
        self._cache: Cache[str, str] = Cache(clock.seconds, 2 * cache_entries, cache_seconds)
        self._batches: Batches[Group] = Batches(
            clock, self._ask, size=batch, concurrency=concurrency, seconds=service.seconds
        )

    def start(self) -> Deferred[None]:
        # Another source of the policy may have had to wait, and this one been stopped for that.
        self._batches.start()
        return Deferred.fromCoroutine(self._start())

    def stop(self) -> Deferred[None]:
        return self._batches.stop().addCallback(lambda _: self._http.stop())

    def pseudonyms_of(self, originals: Collection[Identity]) -> Deferred[Pseudonyms]:
        return self._answers(Direction.PSEUDONYMS, originals, _complete)

    def originals_of(self, pseudonyms: Collection[Identity]) -> Deferred[Mapping[Identity, str]]:
        # What cannot be a pseudonym is nobody's, and a service may refuse a whole batch for it.
        possible = [each for each in pseudonyms if fault_of_pseudonym(use_of(each.kind), each.value) is None]
        return self._answers(Direction.ORIGINALS, possible, _known)

    async def _start(self) -> None:
        try:
            missing = self._dialect.operations - operations(await self._metadata())
            if missing:
                names = " and ".join(f"${name}" for name in sorted(missing))
                raise SourceRefused(f"the pseudonym service at {self._service.url} has no {names}")
            for domain in self._domains:
                await self._probe(domain)
        except SourceUnavailable as error:
            # Without it nothing passes a border; all else must.
            log.warn("{url}: {error}; starting without it", url=self._service.url, error=str(error))
            self._service.is_away()

    async def _metadata(self) -> Resource:
        """
        @raise SourceUnavailable: something else answers there, as gateways do while the service behind them starts.
        """
        try:
            return await self._service.get("metadata")
        except RequestRefused:
            raise
        except SourceRefused as error:
            raise SourceUnavailable(str(error)) from None

    async def _probe(self, domain: str) -> None:
        """
        Find out that a domain does not exist before a patient does.

        @raise SourceRefused: it does not.
        """
        try:
            outcomes = await self._dialect.ask(self._service, Direction.ORIGINALS, domain, (PROBE,))
        except RequestRefused as error:
            if error.status == 404 and error.outcome is not None:
                raise UnknownDomain(domain) from None
            if error.status in (401, 404):
                raise
            # Whoever only gives pseudonyms may not be allowed to ask for originals.
            log.warn("the pseudonym service gives no originals of {domain}: {error}", domain=domain, error=str(error))
            return
        refusal = outcomes.get(PROBE)
        if isinstance(refusal, UnknownDomain):
            raise refusal
        if isinstance(refusal, SourceRefused):
            log.warn("the pseudonym service gives no originals of {domain}: {error}", domain=domain, error=str(refusal))

    def _answers(
        self, direction: Direction, asked: Collection[Identity], made: Callable[[Mapping[Identity, str | None]], _Made]
    ) -> Deferred[_Made]:
        """What is made of what is known of identities; fails with the first refusal."""
        answers: dict[Identity, str | None] = {}
        wanted: dict[Identity, tuple[Group, str]] = {}
        groups, known_of = self._groups[direction], self._cache.get
        for identity in asked:
            kind, value = identity
            group = groups.get(kind)
            if group is None:
                return fail(SourceRefused(f"there is no domain for {kind.value}"))
            known = known_of(group.key(value))
            if known is None:
                wanted[identity] = (group, value)
            else:
                answers[identity] = known
        if not wanted:
            return execute(made, answers)

        def made_of(outcomes: Outcomes[Group]) -> _Made:
            for identity, key in wanted.items():
                outcome = outcomes[key]
                if isinstance(outcome, SourceRefused):
                    # A copy for each caller: an exception collects the tracebacks of those who raise it.
                    raise SourceRefused(str(outcome))
                answers[identity] = outcome
            return made(answers)

        # Kinds of one group may ask for the same value.
        return self._batches.outcomes(dict.fromkeys(wanted.values()), made_of)

    def _ask(self, group: Group, values: tuple[str, ...]) -> Deferred[Mapping[str, Outcome]]:
        return Deferred.fromCoroutine(self._outcomes(group, values))

    async def _outcomes(self, group: Group, values: tuple[str, ...]) -> Mapping[str, Outcome]:
        try:
            outcomes = await self._dialect.ask(self._service, group.direction, group.domain, values)
        except RequestRefused as error:
            if error.status in _BLAMES_A_VALUE:
                half = len(values) // 2
                if not half:
                    return {values[0]: error}
                return {**await self._outcomes(group, values[:half]), **await self._outcomes(group, values[half:])}
            if error.status == 404 and error.outcome is not None:
                raise UnknownDomain(group.domain) from None
            raise
        except DimseProxyError:
            raise
        except Exception as error:
            # Its message may hold a value.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("an answer could not be read: {kind}\n{where}", kind=type(error).__name__, where=where)
            raise SourceRefused("the answer of the pseudonym service could not be read") from None
        if group.direction is Direction.PSEUDONYMS:
            outcomes = await self._own(group, outcomes)
        return self._checked(group, outcomes)

    async def _own(self, group: Group, outcomes: Mapping[str, Outcome]) -> Mapping[str, Outcome]:
        """
        Pseudonyms, without those of somebody whose original differs in case only: the database behind a domain may take
        the two for one.

        @raise SourceUnavailable: the service does not answer.
        @raise SourceRefused: it does not say whose they are.
        """
        domain = group.domain
        if self._ignores_case.get(domain) is False:
            return outcomes
        lettered = _lettered(group.use, outcomes)
        if not lettered:
            return outcomes
        if domain not in self._ignores_case:
            pseudonym, original = next(iter(lettered.items()))
            self._ignores_case[domain] = await self._dialect.ignores_case(self._service, domain, original, pseudonym)
        if not self._ignores_case[domain]:
            return outcomes
        try:
            originals = await self._dialect.ask(self._service, Direction.ORIGINALS, domain, tuple(lettered))
        except RequestRefused as error:
            if error.status not in (401, 403):
                raise
            # Whoever only gives pseudonyms, as was said at the start.
            return outcomes
        refusal = SourceRefused(f"the pseudonym service gave a pseudonym for {domain} that is another original's")
        return {
            original: outcome if outcome not in lettered or originals.get(outcome) == original else refusal
            for original, outcome in outcomes.items()
        }

    def _checked(self, group: Group, outcomes: Mapping[str, Outcome]) -> Mapping[str, Outcome]:
        """What can be believed, which is remembered; the rest as refusals."""
        said = {value: outcome for value, outcome in outcomes.items() if isinstance(outcome, str)}
        faults = self._faults(group, said, frozenset(outcomes))
        refusals: dict[str, Outcome] = {}
        for value, fault in faults.items():
            del said[value]
            refusal = f"the pseudonym service gave a {group.direction.wanted} for {group.domain} that {fault}"
            refusals[value] = SourceRefused(refusal)
        if group.direction is Direction.PSEUDONYMS:
            self._remember_pseudonyms(group, said)
        else:
            for pseudonym, original in said.items():
                self._remember_original(group, pseudonym, original)
        return {**outcomes, **refusals} if refusals else outcomes

    def _faults(self, group: Group, said: Mapping[str, str], asked: Collection[str]) -> dict[str, str]:
        """What is wrong with what the service says of values, by the value, where something is."""
        if group.direction is Direction.ORIGINALS:
            faults = {
                value: "is the pseudonym itself" if original == value else fault_of_original(group.use, original)
                for value, original in said.items()
            }
        else:
            uses = Counter(said.values())
            owners = self._known(group.reverse, uses)
            originals = {*asked, *(each for beside in group.beside for each in self._known(beside, uses))}
            faults = {
                value: _fault(group.use, value, pseudonym, originals, uses[pseudonym], owners.get(pseudonym, value))
                for value, pseudonym in said.items()
            }
        return {value: fault for value, fault in faults.items() if fault is not None}

    def _known(self, group: Group, values: Iterable[str]) -> dict[str, str]:
        """What is remembered of values of a group, where anything is."""
        found = self._cache.among(group.keys(values))
        return {group.value_of(key): known for key, known in found.items()} if found else {}

    def _remember_pseudonyms(self, group: Group, said: Mapping[str, str]) -> None:
        """@param said: by their originals."""
        originals, pseudonyms = said.keys(), said.values()
        self._cache.put_all(zip(group.keys(originals), pseudonyms, strict=True))
        self._cache.put_all(zip(group.reverse.keys(pseudonyms), originals, strict=True))
        self._are_seen(group, said)

    def _remember_original(self, group: Group, pseudonym: str, original: str) -> None:
        reverse = group.reverse
        self._cache.put(group.key(pseudonym), original)
        self._are_seen(reverse, (original,))
        if self._ignores_case.get(group.domain) and pseudonym.swapcase() != pseudonym:
            # It may be the pseudonym as somebody typed it.
            return
        # An original may have several pseudonyms; the one that the service gives for it is the one to use.
        is_original = any(self._known(each, (pseudonym,)) for each in reverse.beside)
        if self._cache.get(reverse.key(original)) is None and not is_original:
            self._cache.put(reverse.key(original), pseudonym)

    def _are_seen(self, group: Group, originals: Collection[str]) -> None:
        """Use originals no more as the pseudonyms of somebody else."""
        for each in group.beside:
            for owner in self._known(each.reverse, originals).values():
                self._cache.forget(each.key(owner))


def _fault(use: Use, value: str, pseudonym: str, originals: Collection[str], uses: int, owner: str) -> str | None:
    """
    What is wrong with a pseudonym.

    @param value: whose it is said to be.
    @param originals: what is known as one.
    @param uses: how many values were given it.
    @param owner: whose it is known to be.
    """
    if pseudonym == value:
        return "is the original itself"
    fault = fault_of_pseudonym(use, pseudonym)
    if fault is not None:
        return fault
    if pseudonym in originals:
        return "is an original, too"
    return "is another original's, too" if uses > 1 or owner != value else None


def _lettered(use: Use, outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """The originals with letters, by their pseudonyms, where these could be one."""
    return {
        pseudonym: original
        for original, pseudonym in outcomes.items()
        if isinstance(pseudonym, str) and original.swapcase() != original and not fault_of_pseudonym(use, pseudonym)
    }


def _complete(answers: Mapping[Identity, str | None]) -> Pseudonyms:
    if None in answers.values():
        raise SourceRefused("the pseudonym service has no pseudonym for a value")
    return Pseudonyms(cast(Mapping[Identity, str], answers))


def _known(answers: Mapping[Identity, str | None]) -> Mapping[Identity, str]:
    return {identity: value for identity, value in answers.items() if value is not None}
