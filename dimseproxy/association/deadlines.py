"""
Deadlines, by a look at everything that has some, a few times a second at most.

A timer per PDU would cost more than the PDU: whoever has deadlines counts what happens, and compares the counts when
it is looked at.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import Attribute, Interface, implementer

log = Logger()

#: A deadline may be missed by this many seconds.
LOOK_EVERY: Final = 0.5


class IWatched(Interface):
    """Something that has deadlines."""

    def check(now: float) -> None:
        """Do what is due; `now` is the clock's time in seconds."""


class IDeadlines(Interface):
    """Who looks at them."""

    clock: IReactorTime = Attribute("The time that `check` gets.")

    def watch(watched: IWatched) -> None:
        """Look at this one, too."""

    def forget(watched: IWatched) -> None:
        """Look at it no more."""


@implementer(IDeadlines)
class Deadlines:
    """
    @param clock: the reactor, or a clock in memory.
    @param interval: how often to look, in seconds.
    """

    def __init__(self, clock: IReactorTime, interval: float = LOOK_EVERY) -> None:
        self.clock = clock
        self._interval = interval
        self._watched: set[IWatched] = set()
        self._call = LoopingCall(self._look)
        self._call.clock = clock

    def start(self) -> None:
        """Begin to look."""
        self._call.start(self._interval, now=False)

    def stop(self) -> None:
        """Look no more."""
        if self._call.running:
            self._call.stop()

    def watch(self, watched: IWatched) -> None:
        self._watched.add(watched)

    def forget(self, watched: IWatched) -> None:
        self._watched.discard(watched)

    def _look(self) -> None:
        now = self.clock.seconds()
        for watched in tuple(self._watched):
            try:
                watched.check(now)
            except Exception:
                # One that fails must not keep the others from their deadlines.
                log.failure("a deadline could not be checked")
