"""
A data set whose head is remembered, on its way to the side of the pseudonyms.

It is a rewriter and its editor in one, as far as its user can see.  Behind the head there is a bulk value, and then
nothing: where it is otherwise, where a pseudonym is another by now, or where anything else is unusual, a rewriter and
an editor that see the whole data set after all take its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from dimseproxy.dataset.element import Limits
from dimseproxy.dataset.encoding import Encoding
from dimseproxy.dataset.rewriter import Rewriter
from dimseproxy.dimse.status import Status
from dimseproxy.errors import LocalProtocolError, OperationRefused
from dimseproxy.privacy.guard import Search
from dimseproxy.privacy.identity import Identity
from dimseproxy.privacy.policy import Policy
from dimseproxy.privacy.pseudonymisation import Pseudonymisation, Purpose
from dimseproxy.privacy.remembered import RecognisedHead, RememberedHead, beginning_of
from dimseproxy.privacy.remembering import remembered

#: Bytes of a head; a longer one is not remembered.
MAX_HEAD: Final = 64 * 1024
#: So many that are not recognised in a row at most before one of them is remembered: twice as many each time.
_MOST_MISSES: Final = 256
_LIMITS: Final = Limits()


class HeadMemory:
    """
    The head of the last object of an association and presentation context, if it is worth it.

    @param encoding: of the objects.
    @param key: as for `Pseudonymisation`.
    @param limits: what an object may cost.
    """

    def __init__(self, policy: Policy, encoding: Encoding, key: bytes, limits: Limits = _LIMITS) -> None:
        self._policy = policy
        self._encoding = encoding
        self._key = key
        self._limits = limits
        self._head: RememberedHead | None = None
        #: The class that the command set of the remembered object named.
        self._sop_class = ""
        self._misses = 0
        #: At how many misses a head is remembered: the second of a series is, for many are alone.
        self._patience = 2

    @property
    def length(self) -> int:
        """How much of a data set must be there to say whether it begins as the last one did, in bytes."""
        return 0 if self._head is None else self._head.length

    def recognise(self, views: Sequence[memoryview], sop_class: str = "") -> Replay | None:
        """
        What goes on with a data set, if it begins as the last one did.

        @param views: its beginning.
        @param sop_class: that of its command set.
        """
        if self._head is not None and self._head.is_stale:
            self._head = None
        found = None
        if self._head is not None and sop_class == self._sop_class:
            found = self._head.recognise(views)
        if found is None:
            self._misses += 1
            return None
        self._misses, self._patience = 0, 1
        return Replay(found, partial(self._parts, sop_class))

    def consider(
        self, views: Iterable[memoryview], length: int, pseudonyms: Mapping[Identity, str], sop_class: str = ""
    ) -> None:
        """
        Remember a head that was not recognised, if it is time to.

        @param views: how its data set begins.
        @param length: of the head in bytes, the header of its bulk value counted in.
        @param pseudonyms: of all originals in it.
        @param sop_class: as for `recognise`.
        """
        if self._misses < self._patience or length > MAX_HEAD or self._encoding.is_deflated:
            return
        head = beginning_of(views, length)
        if len(head) < length:
            return
        self._misses, self._patience = 0, min(2 * self._patience, _MOST_MISSES)
        try:
            self._head = remembered(self._parts(sop_class)[1], self._encoding, head, pseudonyms)
            self._sop_class = sop_class
        except OperationRefused:
            self._head = None

    def _parts(self, sop_class: str) -> tuple[Rewriter, Pseudonymisation]:
        editor = Pseudonymisation(self._policy, self._encoding, Purpose.OBJECT, self._key, sop_class)
        return Rewriter(self._encoding, editor, self._limits), editor


class Replay:
    """
    See `Rewriter` and `Pseudonymisation` for what its methods do.

    @param head: how the data set begins; all of it is to be fed, the head too.
    @param parts: makes a rewriter and an editor that have seen nothing yet.
    @ivar instead: such two, where they take the place of this; they have seen all that was fed.  To be looked at after
        `feed` and `resolve`.
    @ivar overlay: what is remembered has no pixels that would have to be changed.
    """

    overlay = None

    def __init__(
        self,
        head: RecognisedHead,
        parts: Callable[[], tuple[Rewriter, Pseudonymisation]],
    ) -> None:
        self._head = head
        self._parts = parts
        self.instead: tuple[Rewriter, Pseudonymisation] | None = None
        self._is_asked = False
        self._pseudonyms: Mapping[Identity, str] = {}
        self._written: bytes | None = None
        self._has_head_left = False
        self._bulk_length = head.head.bulk_length
        #: How much of the head was not fed yet; what was fed of the bulk value, and how much of that left before.
        self._ahead = len(head.raw)
        self._bulk: list[memoryview] = []
        self._left = 0
        self._is_last_fed = False
        self.is_complete = False

    # The editor

    def wanted(self) -> set[Identity]:
        was_asked, self._is_asked = self._is_asked, True
        return set() if was_asked else self._head.wanted()

    def learn(self, pseudonyms: Mapping[Identity, str]) -> None:
        raise LocalProtocolError("a head that is remembered is answered at once")

    def resolve(self, pseudonyms: Mapping[Identity, str], budget: int | None = None) -> bool:
        if not self._has_head_left:
            self._pseudonyms = pseudonyms
            self._written = self._head.written(pseudonyms)
            if self._written is None:
                rewriter, editor = self._see_whole()
                _answer(rewriter, editor, pseudonyms)
                self.instead = rewriter, editor
        return False

    def search(self, pieces: Iterable[bytes | memoryview]) -> Search | None:
        return self._head.search(pieces)

    # The rewriter

    def feed(self, views: Iterable[memoryview], is_last: bool) -> None:
        for view in views:
            if self._ahead:
                skipped = min(self._ahead, len(view))
                self._ahead -= skipped
                view = view[skipped:]
            if len(view):
                self._bulk.append(view)
        self._is_last_fed = is_last
        fed = self._left + sum(map(len, self._bulk))
        if fed > self._bulk_length or (is_last and fed != self._bulk_length):
            self.instead = self._see_whole()

    def work(self, budget: int = 0) -> bool:
        return False

    @property
    def waits(self) -> bool:
        return not self.is_complete and (not self._has_head_left or bool(self._bulk) or self._is_last_fed)

    def prepare(self, budget: int = 0) -> bool:
        return False

    def written(self) -> bytes:
        return b"" if self._has_head_left or self._written is None else self._written

    def flush(self) -> list[bytes | memoryview]:
        flushed: list[bytes | memoryview] = []
        if not self._has_head_left:
            if self._written is None:
                raise OperationRefused(Status.PROCESSING_FAILURE, "an element that must be edited was not")
            flushed.append(self._written)
            self._has_head_left = True
        flushed += self._bulk
        self._left += sum(map(len, self._bulk))
        self._bulk = []
        self.is_complete = self._is_last_fed
        return flushed

    @property
    def opaque(self) -> int:
        return self._bulk_length - self._left if self._has_head_left and not self._bulk else 0

    def pass_opaque(self, count: int) -> None:
        left = self._left + count
        if count and (count < 0 or left > self._bulk_length or not self._has_head_left or self._bulk):
            raise LocalProtocolError("more than opaque bytes went past")
        self._left = left

    # Instead of it

    def _see_whole(self) -> tuple[Rewriter, Pseudonymisation]:
        """A rewriter and an editor in the state in which they would be by now."""
        rewriter, editor = self._parts()
        rewriter.feed((memoryview(self._head.raw),), False)
        if self._has_head_left:
            _answer(rewriter, editor, self._pseudonyms)
            rewriter.flush()
            rewriter.pass_opaque(self._left)
        rewriter.feed(self._bulk, self._is_last_fed)
        return rewriter, editor


def _answer(rewriter: Rewriter, editor: Pseudonymisation, pseudonyms: Mapping[Identity, str]) -> None:
    """See a head that is there as a whole, and edit it."""
    while rewriter.work():
        pass
    editor.wanted()
    editor.resolve(pseudonyms)
