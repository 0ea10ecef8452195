"""
Notices on the board: which C-MOVEs and storage commitments the workers have asked for.

A notice is in place before the PACS hears of what it is about, and whatever the PACS does because of it comes later.
So nobody needs a notice that is just being written, and one that does not add up may be passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from struct import Struct
from typing import Final
from zlib import crc32

from attrs import field, frozen

from dimseproxy.workers.board import (
    COMMITMENT_SLOTS,
    COMMITMENT_WORDS,
    COMMITMENTS_END,
    RETRIEVE_SLOTS,
    RETRIEVE_WORDS,
    RETRIEVES_END,
    Board,
    commitments_of_outbound,
)

#: How many studies of a C-MOVE a notice can name.
MAX_STUDIES: Final = 23
#: Instead of how many studies there are: more than that.
_TOO_MANY: Final = 0xFFFF
#: No privacy policy.
NO_POLICY: Final = 0xFFFF
#: An AE title has so many bytes at most (PS3.5 6.2).
_TITLE_LENGTH: Final = 16

#: The place; message id, originator's message id, policy, how many studies; three titles; the studies.
_NOTICE: Final = Struct(f"=QHHHH{_TITLE_LENGTH}s{_TITLE_LENGTH}s{_TITLE_LENGTH}s{MAX_STUDIES}Q")
#: The first word of a slot tells whether the rest adds up, the second is the place.  An empty slot has 0.
_PLACE: Final = 1
_IN_USE: Final = 1 << 32
#: The second word of a commitment's slot.
_DESTINATION: Final = 1


@frozen
class Notice:
    """
    A C-MOVE under way.

    @ivar message_id: ours.
    @ivar originator: who asked the proxy, and `originator_message_id`: with which message.
    @ivar title: the application where the objects go; empty where only the worker that asked can bring them there.
    @ivar known_as: what the proxy is called by it.
    @ivar policy: the number of the privacy policy that lies between, or `NO_POLICY`.
    @ivar studies: digests of the Study Instance UIDs asked for; None where they are too many.
    """

    message_id: int
    originator: str
    originator_message_id: int
    title: str = ""
    known_as: str = ""
    policy: int = NO_POLICY
    studies: frozenset[int] | None = field(default=frozenset(), repr=False)

    def encode(self, place: int) -> bytes:
        """As it is on the board, without its first word."""
        studies = sorted(self.studies or ())
        return _NOTICE.pack(
            place,
            self.message_id,
            self.originator_message_id,
            self.policy,
            _TOO_MANY if self.studies is None else len(studies),
            *(each.encode("latin-1") for each in (self.originator, self.title, self.known_as)),
            *studies,
            *[0] * (MAX_STUDIES - len(studies)),
        )

    @classmethod
    def decode(cls, content: bytes) -> Notice:
        """What `encode` gave."""
        _, message_id, originator_message_id, policy, count, *rest = _NOTICE.unpack(content)
        originator, title, known_as = (each.rstrip(b"\0").decode("latin-1") for each in rest[:3])
        studies = None if count == _TOO_MANY else frozenset(rest[3 : 3 + count])
        return cls(message_id, originator, originator_message_id, title, known_as, policy, studies)


def fits(title: str) -> bool:
    """Whether a notice can say this title."""
    try:
        return len(title.encode("latin-1")) <= _TITLE_LENGTH
    except UnicodeEncodeError:
        return False


class RetrieveNotices:
    """Those of C-MOVEs: our own are put up and taken down, those of the others are read."""

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._begin = board.retrieves(number)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0

    def put(self, place: int, notice: Notice) -> None:
        """
        Put it up, in the place of the one with this message id, if there is one.

        @param place: a digest of the outbound and of the title of ours that the outbound was told.
        """
        slot = self._slots.get(notice.message_id)
        if slot is None:
            slot = self._slots[notice.message_id] = heappop(self._free) if self._free else self._end
            if slot == self._end:
                self._end += 1
                self._board.set_mark(RETRIEVES_END, self._end)
        content = notice.encode(place)
        at = self._begin + slot * RETRIEVE_WORDS
        words = self._board.words
        words[at] = 0
        words[at + 1 : at + RETRIEVE_WORDS] = memoryview(content).cast("Q")
        words[at] = _check(content)

    def remove(self, message_id: int) -> None:
        """Take it down."""
        slot = self._slots.pop(message_id, None)
        if slot is None:
            return
        self._board.words[self._begin + slot * RETRIEVE_WORDS] = 0
        heappush(self._free, slot)
        if not self._slots:
            # Most of the time there is none: then the others have nothing to look through.
            self._free, self._end = [], 0
            self._board.set_mark(RETRIEVES_END, 0)

    def of_others(self, place: int) -> list[tuple[int, Notice]]:
        """The others' of this place, each with its worker."""
        board, words = self._board, self._board.words
        found = []
        for number in board.others:
            count = min(board.mark(number, RETRIEVES_END), RETRIEVE_SLOTS)
            begin = board.retrieves(number)
            places = words[begin + _PLACE : begin + count * RETRIEVE_WORDS : RETRIEVE_WORDS].tolist() if count else ()
            for slot, each in enumerate(places):
                if each != place:
                    continue
                at = begin + slot * RETRIEVE_WORDS
                check = words[at]
                content = words[at + 1 : at + RETRIEVE_WORDS].tobytes()
                # Since the places were read, the slot may have got a notice of another place.
                if check == _check(content) and _place(content) == place:
                    found.append((number, Notice.decode(content)))
        return found


class CommitmentNotices:
    """
    Those of storage commitments, in the same way: each a digest of an outbound and a Transaction UID, and one of these
    and of where the report goes.
    """

    def __init__(self, board: Board, number: int) -> None:
        self._board = board
        self._begin = board.commitments(number)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._end = 0

    def put(self, outbound: str, transaction: str, destination: str) -> None:
        """
        Put it up.

        @param destination: equal for equal destinations of the report.
        """
        digest = self._digest(outbound, transaction)
        if digest in self._slots or len(self._slots) >= COMMITMENT_SLOTS:
            return
        slot = heappop(self._free) if self._free else self._end
        self._slots[digest] = slot
        at = self._begin + slot * COMMITMENT_WORDS
        # Whoever finds the first word reads the second.
        self._board.words[at + _DESTINATION] = self._board.digest(outbound, transaction, destination)
        self._board.words[at] = digest
        self._board.add(commitments_of_outbound(outbound))
        if slot == self._end:
            self._end += 1
            self._board.set_mark(COMMITMENTS_END, self._end)

    def remove(self, outbound: str, transaction: str) -> None:
        """Take it down."""
        slot = self._slots.pop(self._digest(outbound, transaction), None)
        if slot is not None:
            self._board.words[self._begin + slot * COMMITMENT_WORDS] = 0
            self._board.give(commitments_of_outbound(outbound))
            heappush(self._free, slot)

    def find(self, outbound: str, transaction: str) -> int | None:
        """The other worker that asked for it."""
        return next((number for number, _ in self._of_others(outbound, transaction)), None)

    def is_anothers(self, outbound: str, transaction: str, destination: str) -> bool:
        """Whether another worker asked for it, and the report goes somewhere else."""
        digest = self._board.digest(outbound, transaction, destination)
        return any(each != digest for _, each in self._of_others(outbound, transaction))

    def _of_others(self, outbound: str, transaction: str) -> Iterator[tuple[int, int]]:
        """The other workers that asked for it, each with the second word of its notice."""
        board = self._board
        if not board.count(commitments_of_outbound(outbound)):
            return
        digest = self._digest(outbound, transaction)
        for number in board.others:
            begin = board.commitments(number)
            end = begin + min(board.mark(number, COMMITMENTS_END), COMMITMENT_SLOTS) * COMMITMENT_WORDS
            at = board.find(digest, begin, end, COMMITMENT_WORDS)
            if at is not None:
                yield number, board.words[at + _DESTINATION]

    def are_awaited_from(self, outbound: str) -> bool:
        """Whether any worker waits for a report of this outbound."""
        return self._board.count(commitments_of_outbound(outbound)) > 0

    def _digest(self, outbound: str, transaction: str) -> int:
        return self._board.digest(outbound, transaction)


def _check(content: bytes) -> int:
    return _IN_USE | crc32(content)


def _place(content: bytes) -> int:
    place: int = _NOTICE.unpack(content)[0]
    return place
