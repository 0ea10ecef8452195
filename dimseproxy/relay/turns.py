"""
Several sources sending to one association, a message at a time.

PS3.8 Annex E lets no message interrupt another.  A source that begins while another is within a message waits, with its
peer paused, so that what waits is at most what had been read already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dimseproxy.dimse.parts import Command, Part


class Source:
    """
    One of those who send.

    @param pause: called when this source has to wait, `resume` when it may go on.
    """

    def __init__(self, turns: Turns, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._turns = turns
        self.pause = pause
        self.resume = resume
        self.waiting: deque[Part] = deque()

    def send(self, parts: Sequence[Part]) -> None:
        """Send now, or when it is this source's turn."""
        self._turns.send(self, parts)

    def withdraw(self) -> bool:
        """
        Send no more.

        @return: whether a message was left half sent; its association cannot be used any longer.
        """
        return self._turns.withdraw(self)


class Turns:
    """
    @param send: sends to the association.
    """

    def __init__(self, send: Callable[[Sequence[Part]], None]) -> None:
        self._send = send
        self._within: Source | None = None
        self._queue: deque[Source] = deque()

    def source(self, pause: Callable[[], None], resume: Callable[[], None]) -> Source:
        """A further source."""
        return Source(self, pause, resume)

    def send(self, source: Source, parts: Sequence[Part]) -> None:
        """Send parts of a source, in order, as far as its turn goes."""
        if self._queue and source in self._queue:
            source.waiting.extend(parts)
            return
        if self._within is not None and self._within is not source:
            source.waiting.extend(parts)
            self._queue.append(source)
            source.pause()
            return
        self._send(parts)
        self._note(source, parts[-1])
        self._next()

    def withdraw(self, source: Source) -> bool:
        """See `Source.withdraw`."""
        source.waiting.clear()
        if source in self._queue:
            self._queue.remove(source)
        if self._within is source:
            self._within = None
            return True
        return False

    def _note(self, source: Source, last: Part) -> None:
        """Whose message is under way after this part."""
        is_within = last.command_set.has_data_set if isinstance(last, Command) else not last.is_last
        self._within = source if is_within else None

    def _next(self) -> None:
        while self._within is None and self._queue:
            source = self._queue.popleft()
            parts = list(source.waiting)
            source.waiting.clear()
            self._send(parts)
            self._note(source, parts[-1])
            source.resume()
