"""
Several sources sending to one association, a message at a time.

PS3.8 Annex E lets no message interrupt another.  A source that begins while another is within a message waits, with its
peer paused, so that what waits is at most what had been read already.  So does every source while the receiver is slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dimseproxy.dimse.parts import Part


class Source:
    """
    One of those who send.

    @param pause: called when this source has to wait, `resume` when it may go on.
    """

    def __init__(self, turns: Turns, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._turns = turns
        self._pause = pause
        self._resume = resume
        self._reasons = 0
        self.waiting: deque[Part] = deque()

    def send(self, parts: Sequence[Part]) -> None:
        """Send now, or when it is this source's turn."""
        self._turns.send(self, parts)

    @property
    def has_turn(self) -> bool:
        """Whether what it sends goes out at once, and to nobody else."""
        return self._turns.is_turn_of(self)

    def withdraw(self) -> bool:
        """
        Send no more.

        @return: whether a message was left half sent; its association cannot be used any longer.
        """
        return self._turns.withdraw(self)

    @property
    def is_held(self) -> bool:
        """Whether it has to wait."""
        return self._reasons > 0

    def hold(self) -> None:
        """A reason to wait came up; it may be the second one."""
        self._reasons += 1
        if self._reasons == 1:
            self._pause()

    def let_go(self) -> None:
        """A reason to wait is gone."""
        self._reasons -= 1
        if not self._reasons:
            self._resume()


class Turns:
    """
    @param send: sends to the association.
    @param until_told: whether a turn lasts until `end_turn`, and not only as long as a message.
    """

    def __init__(self, send: Callable[[Sequence[Part]], None], *, until_told: bool = False) -> None:
        self._send = send
        self._until_told = until_told
        self._sources: list[Source] = []
        self._within: Source | None = None
        self._queue: deque[Source] = deque()
        self._is_slow = False

    def source(self, pause: Callable[[], None], resume: Callable[[], None]) -> Source:
        """A further source."""
        source = Source(self, pause, resume)
        self._sources.append(source)
        if self._is_slow:
            source.hold()
        return source

    def pause(self) -> None:
        """The receiver is slow."""
        if not self._is_slow:
            self._is_slow = True
            for source in tuple(self._sources):
                source.hold()

    def resume(self) -> None:
        """The receiver takes more."""
        if self._is_slow:
            self._is_slow = False
            for source in tuple(self._sources):
                source.let_go()

    def send(self, source: Source, parts: Sequence[Part]) -> None:
        """Send parts of a source, in order, as far as its turn goes."""
        if self._within is source or (self._within is None and not self._queue):
            self._within = source
            self._send(parts)
            if parts[-1].is_last and not self._until_told:
                self.end_turn()
            return
        source.waiting.extend(parts)
        if source not in self._queue:
            self._queue.append(source)
            source.hold()

    def is_turn_of(self, source: Source) -> bool:
        """See `Source.has_turn`."""
        return self._within is source

    def withdraw(self, source: Source) -> bool:
        """See `Source.withdraw`."""
        if source in self._sources:
            self._sources.remove(source)
        source.waiting.clear()
        if source in self._queue:
            self._queue.remove(source)
        if self._within is source:
            self.end_turn()
            return True
        return False

    def end_turn(self) -> None:
        """The turn of the source within is over; those who wait go on."""
        self._within = None
        while self._within is None and self._queue:
            source = self._queue.popleft()
            parts = list(source.waiting)
            source.waiting.clear()
            self._within = source
            self._send(parts)
            if parts[-1].is_last and not self._until_told:
                self._within = None
            source.let_go()
