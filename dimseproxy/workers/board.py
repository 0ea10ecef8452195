"""
The board: memory that the workers share, on which each says what the others have to know.

It is a file without a name, made by the parent and inherited.  Each worker writes in a region of its own and reads
those of the others.  It shows no identity of a patient or an object: of a UID there is a digest, under a key that the
parent drew.  Three AE titles of a C-MOVE are in clear: who asked, where the objects go, and as whom the proxy calls
there.

    first page            what it is, and the secret of the digests
    region of worker 0    marks and tallies; notices of C-MOVEs and of storage commitments (see `notices`); accounts of
                          what it delivered for the others (see `elsewhere`)
    region of worker 1    ...

What is written by one worker before it sends a message is there for another that is told something because of the
message: nobody waits for the board.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from mmap import MADV_REMOVE, PAGESIZE, mmap
from secrets import token_bytes
from struct import Struct
from sys import byteorder
from time import sleep
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

if TYPE_CHECKING:
    from dimseproxy.config.settings import Settings

#: In bytes.
WORD: Final = 8
#: The first words of a region are marks; tallies follow.
_MARKS: Final = 8
#: The message id that was leased last: the only mark that outlives its worker, so that its successor goes on from
#: there.  What a PACS still sends for a C-MOVE of the dead is then nobody's, and not the next caller's.
LAST_LEASED: Final = 0
#: How many slots, from the first on, have notices of C-MOVEs, or had some; and of commitments.
RETRIEVES_END: Final = 1
COMMITMENTS_END: Final = 2
#: How often it has beaten: whether its reactor turns.
BEATS: Final = 3

#: As many as one of two workers may have under way.
RETRIEVE_SLOTS: Final = 8_192
RETRIEVE_WORDS: Final = 32
#: More than one worker remembers.
COMMITMENT_SLOTS: Final = 102_400
COMMITMENT_WORDS: Final = 2
#: One account for each message id of ours.
ACCOUNTS: Final = 0x8000
ACCOUNT_WORDS: Final = 4
_NOTICES: Final = (RETRIEVE_SLOTS * RETRIEVE_WORDS + COMMITMENT_SLOTS * COMMITMENT_WORDS) * WORD
_ACCOUNTS: Final = ACCOUNTS * ACCOUNT_WORDS * WORD

#: The layout, how many workers, a digest of the keys, the secret of the digests.
_HEADER: Final = Struct("=8sQ8s32s")
_LAYOUT: Final = b"dimse-01"
_SECRET_LENGTH: Final = 32

#: Who counts waits for another who counts: a microsecond, unless that one was taken from its core meanwhile.  One that
#: was stopped with the lock in its hands must not stop the others: they wait this long for it, 10 ms.
_LOCK_TRIES: Final = 50
_LOCK_PAUSE: Final = 0.0002


class NotThisBoard(Exception):
    """What was inherited is not the board of a parent with this configuration."""


def associations_of_inbound(name: str) -> str:
    """The key of an inbound's associations."""
    return f"inbound {name}: associations"


def associations_with_outbound(name: str) -> str:
    """The key of the associations that are open with an outbound."""
    return f"outbound {name}: associations"


def operations_with_outbound(name: str) -> str:
    """The key of the requests that an outbound works on."""
    return f"outbound {name}: operations"


def commitments_of_outbound(name: str) -> str:
    """The key of the storage commitments that an outbound has yet to report on."""
    return f"outbound {name}: commitments"


def keys_of(settings: Settings) -> tuple[str, ...]:
    """What is counted: the same for equal inbounds and outbounds, in the same order."""
    keys = [associations_of_inbound(name) for name in settings.inbound]
    for name in settings.outbound:
        keys += [associations_with_outbound(name), operations_with_outbound(name), commitments_of_outbound(name)]
    return tuple(sorted(keys))


class Board:
    """
    @ivar fd: the memory, to be inherited; the board closes it.
    @ivar number: the worker whose region is written; None for the parent, who only clears.
    @ivar of: how many workers there are.
    @ivar words: all of it, in words of 64 bits.
    """

    def __init__(self, fd: int, number: int | None, of: int, keys: Sequence[str]) -> None:
        """See `create` and `attach`."""
        self.fd = fd
        self.number = number
        self.of = of
        layout = _Layout(of, len(keys))
        if os.fstat(fd).st_size != layout.size:
            raise NotThisBoard("the board has another size")
        self._layout = layout
        self._memory = mmap(fd, layout.size)
        kind, workers, digest, self._secret = _HEADER.unpack_from(self._memory)
        if (kind, workers, digest) != (_LAYOUT, of, _digest_of(keys)):
            self._memory.close()
            raise NotThisBoard("the board is another configuration's")
        self.words = memoryview(self._memory).cast("Q")
        self._tallies = {
            key: tuple(layout.region(worker) + _MARKS + index for worker in range(of)) for index, key in enumerate(keys)
        }

    @classmethod
    def create(cls, of: int, keys: Sequence[str]) -> Board:
        """
        The parent's.

        @param of: how many workers there will be.
        @param keys: what is counted (see `keys_of`).
        """
        fd = os.memfd_create("dimseproxy-board")
        # Untouched pages of it take no memory.
        os.ftruncate(fd, _Layout(of, len(keys)).size)
        os.pwrite(fd, _HEADER.pack(_LAYOUT, of, _digest_of(keys), token_bytes(_SECRET_LENGTH)), 0)
        return cls(fd, None, of, keys)

    @classmethod
    def attach(cls, fd: int, number: int, of: int, keys: Sequence[str]) -> Board:
        """
        A worker's.

        @param fd: inherited from the parent.
        @param number: which worker, from 0.
        @raise NotThisBoard: the parent has another configuration.
        """
        return cls(fd, number, of, keys)

    def clear(self, number: int) -> None:
        """
        Wipe off what a worker has left that is no more, and give the pages back.  Its accounts are for the others: they
        stay, and its successor goes on with them.
        """
        region = self._layout.region(number)
        for index in range(region, region + self._layout.tally_words):
            if index != region + LAST_LEASED:
                self.words[index] = 0
        self._memory.madvise(MADV_REMOVE, self.retrieves(number) * WORD, _NOTICES)

    def close(self) -> None:
        """Let go of the memory; others keep it."""
        self.words.release()
        self._memory.close()
        os.close(self.fd)

    # Tallies

    def tally(self, key: str, limit: int) -> Tally:
        """Places of this key, for whoever counts one thing only."""
        return Tally(self, key, limit)

    def take(self, key: str, limit: int) -> bool:
        """
        Count one more, unless all workers together have as many as the limit.

        @return: whether it was counted.
        """
        own = self._own(key)
        with self._locked(key):
            if self.count(key) >= limit:
                return False
            self.words[own] += 1
        return True

    def add(self, key: str) -> None:
        """Count one more where there is no limit."""
        self.words[self._own(key)] += 1

    def give(self, key: str) -> None:
        """Count one less."""
        self.words[self._own(key)] -= 1

    def count(self, key: str) -> int:
        """How many all workers together have."""
        words = self.words
        return sum([words[index] for index in self._tallies[key]])

    def _own(self, key: str) -> int:
        if self.number is None:
            raise ValueError("the parent counts nothing")
        return self._tallies[key][self.number]

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        """
        One worker at a time looks at all the counts and changes its own: without the lock two that saw the last place
        free would both take it, or both find it taken.  The lock of a process that dies is free.
        """
        at = self._tallies[key][0]
        is_locked = self._lock(at)
        try:
            yield
        finally:
            if is_locked:
                fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, at)

    def _lock(self, at: int) -> bool:
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
            except BlockingIOError:
                sleep(_LOCK_PAUSE)
            else:
                return True
        return False

    # What notices are made of

    def digest(self, *texts: str) -> int:
        """A word that stands for these texts on this board, and says nothing about them; never 0."""
        content = "\0".join(texts).encode()
        return int.from_bytes(blake2b(content, digest_size=WORD, key=self._secret).digest(), "little") or 1

    def mark(self, number: int, which: int) -> int:
        """A mark of a worker."""
        return self.words[self._layout.region(number) + which]

    def set_mark(self, which: int, value: int) -> None:
        """Change one of our own."""
        if self.number is None:
            raise ValueError("the parent marks nothing")
        self.words[self._layout.region(self.number) + which] = value

    def beat(self) -> None:
        """Show the parent that our reactor turns."""
        assert self.number is not None
        self.set_mark(BEATS, self.mark(self.number, BEATS) + 1)

    def retrieves(self, number: int) -> int:
        """Where the slots of a worker's C-MOVEs begin, in words."""
        return self._layout.region(number) + self._layout.tally_words

    def commitments(self, number: int) -> int:
        """Where the slots of its commitments begin, in words."""
        return self.retrieves(number) + RETRIEVE_SLOTS * RETRIEVE_WORDS

    def accounts(self, number: int) -> int:
        """Where the accounts begin of what it delivered for others, in words."""
        return self.retrieves(number) + _pages(_NOTICES) // WORD

    @property
    def others(self) -> list[int]:
        """The other workers."""
        return [number for number in range(self.of) if number != self.number]

    def find(self, word: int, begin: int, end: int, step: int = 1) -> int | None:
        """
        Where this word is among these, if it is.

        @param step: how many words a slot has, of which it is the first.
        """
        content = word.to_bytes(WORD, byteorder)
        first, end = begin * WORD, end * WORD
        at = first
        while (at := self._memory.find(content, at, end)) >= 0:
            if (at - first) % (step * WORD) == 0:
                return at // WORD
            at += 1
        return None


@frozen
class Tally:
    """Places that all workers share: whoever takes one gives it back."""

    board: Board = field(repr=False)
    key: str
    limit: int

    def take(self) -> bool:
        """Whether there was one."""
        return self.board.take(self.key, self.limit)

    def give(self) -> None:
        """Give it back."""
        self.board.give(self.key)


@frozen
class _Layout:
    """Where things are, in words; a region begins with a page, so that its pages can be given back."""

    workers: int
    keys: int
    tally_words: int = field(init=False)

    @tally_words.default
    def _tally_words(self) -> int:
        return _pages((_MARKS + self.keys) * WORD) // WORD

    @property
    def size(self) -> int:
        """In bytes."""
        return self.region(self.workers) * WORD

    def region(self, number: int) -> int:
        """Where the region of a worker begins."""
        each = self.tally_words * WORD + _pages(_NOTICES) + _pages(_ACCOUNTS)
        return (PAGESIZE + number * each) // WORD


def _pages(size: int) -> int:
    """As many bytes, rounded up to whole pages."""
    return -(-size // PAGESIZE) * PAGESIZE


def _digest_of(keys: Sequence[str]) -> bytes:
    return blake2b("\0".join(keys).encode(), digest_size=8).digest()
