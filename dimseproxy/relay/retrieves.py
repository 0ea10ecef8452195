"""
What an outbound answers on associations of its own: the objects of a C-MOVE, and the report of a storage commitment.

Each entry belongs to the association and the message that asked.  The C-MOVE goes out under a message id of ours, so
that the Move Originator fields of a sub-operation (PS3.7 9.1.1.1) name it exactly, whatever ids the callers chose.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection
from itertools import chain
from typing import Final

from attrs import define, field

from dimseproxy.dimse.command_set import CommandSet, Element
from dimseproxy.dimse.status import Status, is_done, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.relay.destinations import Destination
from dimseproxy.relay.elsewhere import Asked, Elsewhere, Nowhere

#: How many failed objects of a retrieve are remembered by name.
MAX_FAILED_LIST: Final = 10_000
#: Far fewer than there are message ids, far more than any PACS works on; of all workers together.
MAX_RETRIEVES: Final = 16_384
#: The names of several: a PACS may be more than one, and what it brings then be for any of them.
Outbounds = tuple[str, ...]
#: Commitments may take days; the oldest are forgotten when there are more than this.
MAX_COMMITMENTS: Final = 100_000


@define(eq=False)
class Retrieve:
    """
    A C-MOVE that an outbound works on.

    @ivar outbound: its name.
    @ivar message_id: ours.
    @ivar title: the Move Destination that the outbound was told: one of the proxy's own titles.
    @ivar originator: who asked, and `originator_message_id`: with which message.
    @ivar destination: where the objects go.
    @ivar studies: the Study Instance UIDs of the identifier; see `Retrieves.asks_for`.
    @ivar progress: called whenever something of it comes through.
    @ivar sent: what became of the sub-operations that came through, `failed` the objects that were not taken.
    @ivar is_shared: whether `sent` is that of several which cannot be told apart; see `Retrieves.find_by_study`.
    """

    outbound: str
    message_id: int
    title: str
    originator: str
    originator_message_id: int
    destination: Destination
    progress: Callable[[], None]
    studies: frozenset[str] = field(default=frozenset(), repr=False)
    sent: Counter[bool] = field(factory=Counter)
    failed: list[str] = field(factory=list, repr=False)
    is_shared: bool = False

    @property
    def names_studies(self) -> bool:
        """Whether it asked for studies by name."""
        return bool(self.studies)

    def asked_for(self, study: str) -> bool:
        """Whether it asked for this study by name."""
        return bool(study) and study in self.studies

    def or_another(self) -> Retrieve:
        """It, where the objects may be of another C-MOVE with the same destination just as well."""
        return self

    def account(self, status: int, sop_instance: str) -> None:
        """A sub-operation was answered with this status."""
        self.sent[is_done(status)] += 1
        if not is_done(status):
            self.name_failed(sop_instance)
        elif sop_instance in self.failed:
            # The outbound has tried again.
            self.failed.remove(sop_instance)
            self.sent[False] -= 1

    def name_failed(self, sop_instance: str) -> None:
        """An object was not taken."""
        if len(self.failed) < MAX_FAILED_LIST:
            self.failed.append(sop_instance)

    def reconcile(self, response: CommandSet) -> CommandSet:
        """A C-MOVE-RSP with counters that are true."""
        return reconciled(response, self.sent, is_shared=self.is_shared)


def reconciled(response: CommandSet, sent: Counter[bool], *, is_shared: bool = False) -> CommandSet:
    """
    A response to a retrieve with counters that are true: what the outbound counts as done without its having been
    delivered counts as failed, and a success with failures is none (PS3.4 C.4.2.1.6 to C.4.2.1.8).

    @param sent: how many sub-operations were done, and how many were not.
    @param is_shared: whether they are those of other retrieves, too.
    """
    if is_pending(response.status):
        return response
    reported = response.number(Element.FAILED_SUB_OPERATIONS) or 0
    completed = response.number(Element.COMPLETED_SUB_OPERATIONS) or 0
    warning = response.number(Element.WARNING_SUB_OPERATIONS) or 0
    missing = max(completed + warning - sent[True], 0)
    failed = reported + missing
    is_partly_done = sent[True] > 0
    if is_shared:
        # What this one is told of is not there for the others any more; whose a failure was the outbound knows.
        sent[True] -= completed + warning - missing
    else:
        failed = max(failed, sent[False])
    if failed == reported:
        return response
    status: int = response.status
    if is_done(status):
        status = Status.SUB_OPERATIONS_WITH_FAILURES if is_partly_done else Status.UNABLE_TO_PERFORM_SUB_OPERATIONS
    return response.replace(
        {
            Element.COMPLETED_SUB_OPERATIONS: max(completed - missing, 0),
            Element.WARNING_SUB_OPERATIONS: max(warning - max(missing - completed, 0), 0),
            Element.FAILED_SUB_OPERATIONS: min(failed, 0xFFFF),
            Element.STATUS: status,
        }
    )


class Retrieves:
    """
    The C-MOVEs that are under way, of all associations.

    @param elsewhere: the other workers.  Where a method takes them as an argument, it is told how far to look: an
        association that another worker passes on is about our own.
    """

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = Nowhere() if elsewhere is None else elsewhere
        self._open: dict[int, Retrieve] = {}

    def open(
        self,
        outbound: str,
        titles: tuple[str, ...],
        originator: str,
        originator_message_id: int,
        destination: Destination,
        progress: Callable[[], None] = lambda: None,
        callers_own: Collection[int] = (),
        alike: Outbounds = (),
    ) -> Retrieve:
        """
        Lease a message id, and of the proxy's titles that the outbound knows the one that tells most: a free one, or
        else one of the same destination, or else the one with the fewest.

        @param alike: other outbounds that may be the same PACS, and are told the same titles.
        @param callers_own: the message ids under which requests of the caller are under way, on the same association.
        @raise OperationRefused: where too many are open.
        """
        if len(self._open) >= MAX_RETRIEVES // self._elsewhere.workers:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "Too many retrieves")
        message_id = self._lease(callers_own)
        title = titles[0] if len(titles) == 1 else self._title((outbound, *alike), titles, destination)
        retrieve = Retrieve(outbound, message_id, title, originator, originator_message_id, destination, progress)
        self._open[message_id] = retrieve
        self._elsewhere.opened(retrieve)
        return retrieve

    def _lease(self, callers_own: Collection[int]) -> int:
        # Those that are leased differ: one of so many is not the caller's, unless it has all that there are.
        for _ in range(len(callers_own) + 1):
            message_id = self._elsewhere.lease(self._open)
            if message_id not in callers_own:
                return message_id
        raise OperationRefused(Status.OUT_OF_RESOURCES, "No message id is free")

    def _title(self, outbounds: Outbounds, titles: tuple[str, ...], destination: Destination) -> str:
        def use_of(title: str) -> tuple[bool, int]:
            asked = self.candidates(outbounds, title, self._elsewhere)
            return any(each.destination.key != destination.key for each in asked), len(asked)

        return min(titles, key=use_of)

    def asks_for(self, retrieve: Retrieve, studies: frozenset[str]) -> None:
        """Its identifier names these studies."""
        retrieve.studies = studies
        self._elsewhere.opened(retrieve)

    def close(self, retrieve: Retrieve) -> None:
        """It is answered, or nobody waits for it any longer."""
        if self._open.pop(retrieve.message_id, None) is not None:
            self._elsewhere.closed(retrieve)

    def reconcile(self, retrieve: Retrieve, response: CommandSet) -> CommandSet:
        """A C-MOVE-RSP with counters that are true, wherever the objects came."""
        if not is_pending(response.status):
            self._elsewhere.settle(retrieve)
        return retrieve.reconcile(response)

    def candidates(self, outbounds: Outbounds, title: str, elsewhere: Elsewhere | None = None) -> list[Asked]:
        """Those whose objects may come in an association from these outbounds to this title of ours."""
        own = [each for each in self._open.values() if each.outbound in outbounds and each.title == title]
        return [*own, *_asked_elsewhere(outbounds, title, elsewhere)]

    def find(
        self, outbounds: Outbounds, title: str, originator_message_id: int | None, elsewhere: Elsewhere | None = None
    ) -> Asked | None:
        """
        The retrieve that a C-STORE names as its Move Originator.

        The originator's AE title is not looked at: some peers repeat it wrong, and the number is unique.
        """
        if originator_message_id is None:
            return None
        retrieve = self._open.get(originator_message_id)
        if retrieve is not None:
            return retrieve if retrieve.outbound in outbounds and retrieve.title == title else None
        others = _asked_elsewhere(outbounds, title, elsewhere)
        return next((each for each in others if each.message_id == originator_message_id), None)

    def find_by_study(
        self, outbounds: Outbounds, title: str, study: str, elsewhere: Elsewhere | None = None
    ) -> Asked | None:
        """
        The retrieve that an object of this study belongs to where its C-STORE does not say: one that asked for the
        study, or else one that asked for no study in particular, if that leaves one destination.

        Of several with one destination nothing says whose it is: they share their counts, so that what was delivered is
        enough for all that the outbound says of them, or is not.

        An object that nobody asked for, such as one that the outbound forwards of its own accord, belongs to none.

        @param elsewhere: None where another worker passes the object on.  It was looked for among those of all workers
            there, and only one that asked for its study gets it here: of those that asked for none, another worker's
            may be meant as well, which would not be noticed.
        """
        candidates = self.candidates(outbounds, title, elsewhere)
        found = [each for each in candidates if each.asked_for(study)]
        if not found and elsewhere is not None:
            found = [each for each in candidates if not each.names_studies]
        if len({each.destination.key for each in found}) != 1:
            return None
        if len(found) == 1:
            return found[0]
        _share([each for each in found if isinstance(each, Retrieve)])
        return found[0].or_another()

    def __len__(self) -> int:
        return len(self._open)


def _asked_elsewhere(outbounds: Outbounds, title: str, elsewhere: Elsewhere | None) -> list[Asked]:
    """Those of the other workers, as far as these are looked at."""
    return [] if elsewhere is None else [each for name in outbounds for each in elsewhere.asked(name, title)]


def _share(retrieves: list[Retrieve]) -> None:
    """Have these count together."""
    counts = {id(each.sent): each.sent for each in retrieves}
    if len(counts) > 1:
        together = Counter({done: sum(each[done] for each in counts.values()) for done in (True, False)})
        for each in retrieves:
            each.sent, each.is_shared = together, True


class Commitments:
    """
    The storage commitments that an outbound will report on (PS3.4 J.3), of all associations, by Transaction UID.

    A report says no more than that UID.  So one that an application waits for is no other application's, nor its own by
    another title of the proxy or under another privacy policy, as long as the same PACS may report on it.

    @param elsewhere: the other workers.
    """

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = Nowhere() if elsewhere is None else elsewhere
        #: The destinations of the reports, by outbound and Transaction UID.
        self._open: OrderedDict[tuple[str, str], Destination] = OrderedDict()

    def open(self, outbound: str, transaction: str, destination: Destination, alike: Outbounds = ()) -> None:
        """
        An application asks the outbound for this; it may ask again.

        @param alike: other outbounds that may be the same PACS.
        @raise OperationRefused: the Transaction UID is another's.
        """
        own = outbound, transaction
        is_new = own not in self._open
        if is_new:
            # Noticed first: of two workers that are asked at once none may overlook the other.
            self._elsewhere.commitment_opened(outbound, transaction, destination)
        if any(self._is_anothers(each, transaction, destination) for each in (outbound, *alike)):
            if is_new:
                self._elsewhere.commitment_closed(outbound, transaction)
            raise OperationRefused(Status.INVALID_ARGUMENT_VALUE, "Duplicate Transaction UID")
        if is_new and len(self._open) >= MAX_COMMITMENTS:
            oldest, of = next(iter(self._open))
            self.close((oldest,), of)
        self._open[own] = destination
        self._open.move_to_end(own)

    def _is_anothers(self, outbound: str, transaction: str, destination: Destination) -> bool:
        known = self._open.get((outbound, transaction))
        if known is not None and known.key != destination.key:
            return True
        return self._elsewhere.commitment_is_anothers(outbound, transaction, destination)

    def close(self, outbounds: Outbounds, transaction: str) -> None:
        """It was reported."""
        for outbound in outbounds:
            if self._open.pop((outbound, transaction), None) is not None:
                self._elsewhere.commitment_closed(outbound, transaction)

    def find(self, outbounds: Outbounds, transaction: str, elsewhere: Elsewhere | None = None) -> Destination | None:
        """
        Where the report of this transaction goes, where one of the outbounds was asked for it.

        @param elsewhere: where it may have been asked for, too.
        """
        own = (self._open.get((each, transaction)) for each in outbounds)
        others = (elsewhere.commitment(each, transaction) for each in outbounds) if elsewhere is not None else ()
        return next((each for each in chain(own, others) if each is not None), None)

    def are_awaited_from(self, outbounds: Outbounds, elsewhere: Elsewhere | None = None) -> bool:
        """Whether anybody waits for a report of these outbounds."""
        if any(each in outbounds for each, _ in self._open):
            return True
        return elsewhere is not None and any(map(elsewhere.awaits_reports, outbounds))
