"""
What the other workers have asked for, and what became of it: `Elsewhere` of the relay, by the board.

A worker to which a PACS brings the objects of another's C-MOVE delivers them itself, as that worker would, and keeps an
account for it: so an application is called once for each association of the PACS, whoever asked.  What only the other
can carry further, such as the objects of a C-GET whose caller is there, is passed on; then the other keeps the account.

An account is written before the PACS is answered, and read when the PACS says that the C-MOVE is done.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Final, Protocol

from attrs import define, evolve, field, frozen
from zope.interface import implementer

from dimseproxy.association.deadlines import IWatched
from dimseproxy.dimse.status import is_done
from dimseproxy.relay.destinations import ApplicationDestination, Destination
from dimseproxy.relay.elsewhere import FIRST_MESSAGE_ID, LAST_MESSAGE_ID, Asked
from dimseproxy.relay.retrieves import Retrieve
from dimseproxy.workers.board import ACCOUNT_WORDS, LAST_LEASED, Board
from dimseproxy.workers.notices import MAX_STUDIES, NO_POLICY, CommitmentNotices, Notice, RetrieveNotices, fits

#: The words of an account: sub-operations that were done and that failed, and how often something came through.
_DONE: Final = 0
_FAILED: Final = 1
_PROGRESS: Final = 2


class Passing(Protocol):
    """How another worker is reached."""

    def to(self, number: int, outbound: str) -> Destination:
        """The worker as a destination of what this outbound brings."""

    def name_failed(self, number: int, message_id: int, sop_instance: str) -> None:
        """Tell a worker which object of its C-MOVE was not taken."""

    def failed(self) -> Sequence[tuple[int, str]]:
        """What we have been told in this way since we asked last."""


#: An application's destination: its title, what it knows the proxy as, and the policy that lies between or "".
FindDestination = Callable[[str, str, str], ApplicationDestination | None]


@define
class _Ours:
    """A C-MOVE of ours, and what was in its accounts when it was looked at last."""

    retrieve: Retrieve
    done: int
    failed: int
    progress: int


@implementer(IWatched)
class OtherWorkers:
    """
    @param policies: the names of the privacy policies, in an order that all workers know.
    @param passing: how they are reached.
    @param find_destination: where objects go.
    """

    def __init__(
        self, board: Board, number: int, policies: Sequence[str], passing: Passing, find_destination: FindDestination
    ) -> None:
        self.workers = board.of
        self._board = board
        self._number = number
        self._policies = list(policies)
        self._passing = passing
        self._find_destination = find_destination
        self._retrieves = RetrieveNotices(board, number)
        self._commitments = CommitmentNotices(board, number)
        self._ours: dict[int, _Ours] = {}
        self._first = FIRST_MESSAGE_ID + (number - FIRST_MESSAGE_ID) % board.of

    # Our own C-MOVEs

    def lease(self, taken: Container[int]) -> int:
        """Worker k of n leases the ids of which n leaves k: whose a Move Originator is can be computed."""
        message_id = self._board.mark(self._number, LAST_LEASED)
        while True:
            message_id += self.workers
            if not self._first <= message_id <= LAST_MESSAGE_ID:
                message_id = self._first
            if message_id not in taken:
                self._board.set_mark(LAST_LEASED, message_id)
                return message_id

    def opened(self, retrieve: Retrieve) -> None:
        if retrieve.message_id not in self._ours:
            self._ours[retrieve.message_id] = _Ours(retrieve, *self._account_of(retrieve.message_id))
        self._retrieves.put(self._place(retrieve.outbound, retrieve.title), self._notice(retrieve))

    def closed(self, retrieve: Retrieve) -> None:
        self._retrieves.remove(retrieve.message_id)
        self._ours.pop(retrieve.message_id, None)

    def settle(self, retrieve: Retrieve) -> None:
        self._take_names()
        ours = self._ours[retrieve.message_id]
        done, failed, _ = self._account_of(retrieve.message_id)
        retrieve.sent[True] += done - ours.done
        retrieve.sent[False] += failed - ours.failed
        ours.done, ours.failed = done, failed

    def check(self, now: float) -> None:
        """What comes through elsewhere is a sign of life for those who wait here."""
        self._take_names()
        for message_id, ours in self._ours.items():
            *_, progress = self._account_of(message_id)
            if progress != ours.progress:
                ours.progress = progress
                ours.retrieve.progress()

    def _take_names(self) -> None:
        for message_id, sop_instance in self._passing.failed():
            ours = self._ours.get(message_id)
            if ours is not None:
                ours.retrieve.name_failed(sop_instance)

    def _account_of(self, message_id: int) -> tuple[int, int, int]:
        """What all others together have in their accounts."""
        words = self._board.words
        begins = [self._account_at(number, message_id) for number in self._board.others]
        done, failed, progress = (
            sum(words[begin + which] for begin in begins) for which in (_DONE, _FAILED, _PROGRESS)
        )
        return done, failed, progress

    def _account_at(self, number: int, message_id: int) -> int:
        """Where a worker's account of a C-MOVE is on the board."""
        return self._board.accounts(number) + (message_id - FIRST_MESSAGE_ID) * ACCOUNT_WORDS

    def _notice(self, retrieve: Retrieve) -> Notice:
        digests = frozenset(self._board.digest(study) for study in retrieve.studies)
        studies = digests if len(digests) <= MAX_STUDIES else None
        said = Notice(retrieve.message_id, "", 0, studies=studies)
        destination = retrieve.destination
        if (
            studies is None
            or not isinstance(destination, ApplicationDestination)
            or not all(map(fits, (retrieve.originator, destination.title, destination.calling_ae_title)))
        ):
            return said
        return Notice(
            retrieve.message_id,
            retrieve.originator,
            retrieve.originator_message_id,
            destination.title,
            destination.calling_ae_title,
            self._policies.index(destination.policy) if destination.policy else NO_POLICY,
            studies,
        )

    # Those of the others

    def asked(self, outbound: str, title: str) -> list[Asked]:
        return [
            self._asked(number, notice, outbound)
            for number, notice in self._retrieves.of_others(self._place(outbound, title))
        ]

    def _asked(self, worker: int, notice: Notice, outbound: str) -> Asked:
        destination = None
        if notice.title:
            policy = "" if notice.policy == NO_POLICY else self._policies[notice.policy]
            destination = self._find_destination(notice.title, notice.known_as, policy)
        if destination is None:
            return _PassedOn(worker, notice, self._board, self._passing.to(worker, outbound))
        account = self._account_at(self._number, notice.message_id)
        return _CarriedOut(worker, notice, self._board, destination, account, self._passing)

    def _place(self, outbound: str, title: str) -> int:
        return self._board.digest(outbound, title)

    # Storage commitments

    def commitment_opened(self, outbound: str, transaction: str, destination: Destination) -> None:
        self._commitments.put(outbound, transaction, str(destination.key))

    def commitment_closed(self, outbound: str, transaction: str) -> None:
        self._commitments.remove(outbound, transaction)

    def commitment_is_anothers(self, outbound: str, transaction: str, destination: Destination) -> bool:
        return self._commitments.is_anothers(outbound, transaction, str(destination.key))

    def commitment(self, outbound: str, transaction: str) -> Destination | None:
        number = self._commitments.find(outbound, transaction)
        return None if number is None else self._passing.to(number, outbound)

    def awaits_reports(self, outbound: str) -> bool:
        return self._commitments.are_awaited_from(outbound)


@frozen
class _Noticed:
    """
    A C-MOVE of another worker.

    @ivar worker: that one.
    @ivar destination: where the objects go from here.
    """

    worker: int
    _notice: Notice
    _board: Board = field(repr=False)
    destination: Destination

    @property
    def message_id(self) -> int:
        return self._notice.message_id

    @property
    def names_studies(self) -> bool:
        return self._notice.studies is None or bool(self._notice.studies)

    def asked_for(self, study: str) -> bool:
        if self._notice.studies is None:
            # They did not fit.  The worker itself knows, and refuses what it did not ask for.
            return True
        return bool(study) and self._board.digest(study) in self._notice.studies


@frozen
class _PassedOn(_Noticed):
    """
    One whose objects go to the worker, which puts in who asked, and keeps its own account.

    @ivar is_certain: whether objects are known to be of this C-MOVE rather than of another one of that worker.
    """

    _is_certain: bool = True

    @property
    def originator(self) -> str:
        return ""

    @property
    def originator_message_id(self) -> int:
        # By its own id the worker finds it at once.  One whose studies are not known claims objects that may not be
        # its own: there the worker has to look itself.
        return self.message_id if self._is_certain and self._notice.studies is not None else 0

    def or_another(self) -> Asked:
        return evolve(self, is_certain=False)

    def progress(self) -> None:
        """It is seen there."""

    def account(self, status: int, sop_instance: str) -> None:
        """It is seen there."""


@frozen
class _CarriedOut(_Noticed):
    """
    One whose objects are delivered from here.

    @ivar account_at: where our account of it is on the board.
    """

    _account_at: int
    _passing: Passing = field(repr=False)

    @property
    def originator(self) -> str:
        return self._notice.originator

    @property
    def originator_message_id(self) -> int:
        return self._notice.originator_message_id

    def or_another(self) -> Asked:
        return self

    def progress(self) -> None:
        self._board.words[self._account_at + _PROGRESS] += 1

    def account(self, status: int, sop_instance: str) -> None:
        if is_done(status):
            self._board.words[self._account_at + _DONE] += 1
        else:
            # The number must be right, whatever becomes of the name.
            self._board.words[self._account_at + _FAILED] += 1
            self._passing.name_failed(self.worker, self.message_id, sop_instance)
