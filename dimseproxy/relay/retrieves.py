"""
What an outbound answers on associations of its own: the objects of a C-MOVE, and the report of a storage commitment.

Each entry belongs to the association and the message that asked.  The C-MOVE goes out under a message id of ours, so
that the Move Originator fields of a sub-operation (PS3.7 9.1.1.1) name it exactly, whatever ids the callers chose.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import cycle
from typing import Final

from attrs import define, field, frozen

from dimseproxy.dimse.command_set import CommandSet, Element
from dimseproxy.dimse.status import Status, is_done, is_pending
from dimseproxy.errors import OperationRefused
from dimseproxy.relay.destinations import Destination

#: Our message ids are from the upper half: callers count from 1.
_FIRST_MESSAGE_ID: Final = 0x8000
_LAST_MESSAGE_ID: Final = 0xFFFF
#: How many failed objects of a retrieve are remembered by name.
MAX_FAILED_LIST: Final = 10_000
#: Far fewer than there are message ids, far more than any PACS works on.
MAX_RETRIEVES: Final = 16_384
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
    @ivar studies: the Study Instance UIDs of the identifier.
    @ivar progress: called whenever something of it comes through.
    @ivar sent: what became of the sub-operations that came through here, `failed` the objects that were not taken.
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

    def account(self, status: int, sop_instance: str) -> None:
        """A sub-operation was answered with this status."""
        self.sent[is_done(status)] += 1
        if not is_done(status) and len(self.failed) < MAX_FAILED_LIST:
            self.failed.append(sop_instance)

    def reconcile(self, response: CommandSet) -> CommandSet:
        """
        A C-MOVE-RSP with counters that are true: what the outbound counts as done without its having been delivered
        counts as failed, and a success with failures is none (PS3.4 C.4.2.1.6 to C.4.2.1.8).
        """
        if is_pending(response.status):
            return response
        reported = response.number(Element.FAILED_SUB_OPERATIONS) or 0
        completed = response.number(Element.COMPLETED_SUB_OPERATIONS) or 0
        warning = response.number(Element.WARNING_SUB_OPERATIONS) or 0
        missing = max(completed + warning - self.sent[True], 0)
        failed = max(reported + missing, self.sent[False])
        if failed == reported:
            return response
        status: int = response.status
        if is_done(status):
            status = Status.SUB_OPERATIONS_WITH_FAILURES if self.sent[True] else Status.UNABLE_TO_PERFORM_SUB_OPERATIONS
        return response.replace(
            {
                Element.COMPLETED_SUB_OPERATIONS: max(completed - missing, 0),
                Element.WARNING_SUB_OPERATIONS: max(warning - max(missing - completed, 0), 0),
                Element.FAILED_SUB_OPERATIONS: min(failed, 0xFFFF),
                Element.STATUS: status,
            }
        )


class Retrieves:
    """The C-MOVEs that are under way, of all associations."""

    def __init__(self) -> None:
        self._open: dict[int, Retrieve] = {}
        self._message_ids = cycle(range(_FIRST_MESSAGE_ID, _LAST_MESSAGE_ID + 1))

    def open(
        self,
        outbound: str,
        titles: tuple[str, ...],
        originator: str,
        originator_message_id: int,
        destination: Destination,
        progress: Callable[[], None] = lambda: None,
    ) -> Retrieve:
        """
        Lease a message id, and of the proxy's titles that the outbound knows the one that tells most: a free one, or
        else one of the same destination, or else the one with the fewest.

        @raise OperationRefused: where too many are open.
        """
        if len(self._open) >= MAX_RETRIEVES:
            raise OperationRefused(Status.OUT_OF_RESOURCES, "Too many retrieves")
        message_id = next(each for each in self._message_ids if each not in self._open)
        used: Counter[str] = Counter()
        shared: set[str] = set()
        for retrieve in self._open.values():
            if retrieve.outbound == outbound:
                used[retrieve.title] += 1
                if retrieve.destination.key != destination.key:
                    shared.add(retrieve.title)
        title = min(titles, key=lambda each: (each in shared, used[each]))
        retrieve = Retrieve(outbound, message_id, title, originator, originator_message_id, destination, progress)
        self._open[message_id] = retrieve
        return retrieve

    def close(self, retrieve: Retrieve) -> None:
        """It is answered, or nobody waits for it any longer."""
        self._open.pop(retrieve.message_id, None)

    def candidates(self, outbound: str, title: str) -> list[Retrieve]:
        """Those whose objects may come in an association from this outbound to this title of ours."""
        return [each for each in self._open.values() if each.outbound == outbound and each.title == title]

    def find(self, outbound: str, title: str, originator_message_id: int | None) -> Retrieve | None:
        """
        The retrieve that a C-STORE names as its Move Originator.

        The originator's AE title is not looked at: some peers repeat it wrong, and the number is unique.
        """
        retrieve = self._open.get(originator_message_id or 0)
        if retrieve is None or retrieve.outbound != outbound or retrieve.title != title:
            return None
        return retrieve

    def find_by_study(self, outbound: str, title: str, study: str) -> Retrieve | None:
        """
        The retrieve that an object of this study belongs to where its C-STORE does not say: one that asked for the
        study, or else one that asked for no study in particular, if that leaves one destination.

        An object that nobody asked for, such as one that the outbound forwards of its own accord, belongs to none.
        """
        candidates = self.candidates(outbound, title)
        named = [each for each in candidates if study and study in each.studies]
        found = named or [each for each in candidates if not each.studies]
        return found[0] if len({each.destination.key for each in found}) == 1 else None

    def __len__(self) -> int:
        return len(self._open)


@frozen
class Commitment:
    """A storage commitment that an outbound will report on (PS3.4 J.3)."""

    outbound: str
    destination: Destination


class Commitments:
    """The storage commitments that were asked for, of all associations, by transaction UID."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Commitment] = OrderedDict()

    def open(self, transaction: str, outbound: str, destination: Destination) -> None:
        """An application asked the outbound for this."""
        self._open[transaction] = Commitment(outbound, destination)
        if len(self._open) > MAX_COMMITMENTS:
            self._open.popitem(last=False)

    def close(self, transaction: str) -> None:
        """It was reported."""
        self._open.pop(transaction, None)

    def find(self, outbound: str, transaction: str) -> Commitment | None:
        """The commitment of this transaction, where the outbound was asked for it."""
        commitment = self._open.get(transaction)
        return commitment if commitment is not None and commitment.outbound == outbound else None

    def are_awaited_from(self, outbound: str) -> bool:
        """Whether anybody waits for a report of this outbound."""
        return any(each.outbound == outbound for each in self._open.values())
