"""
A circuit breaker: a service that does not answer is not asked, so that whoever needs it is answered at once.

Closed, everything is admitted.  After some failures in a row it opens: nothing is admitted for a while.  Then it is
half open: one attempt is admitted, and closes it or opens it again, for twice as long.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dimseproxy.pseudonyms.interfaces import SourceUnavailable

log = Logger()

#: Failures in a row that open it: a restart of a service costs a few attempts and no more.
FAILURES: Final = 5
#: Seconds that it stays open the first time, and at most.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Breaker:
    """
    Whoever is admitted tells how it went: `succeeded`, `failed`, or `abandoned` where it did not come to that.

    @param clock: the reactor, or a clock in memory.
    @param name: of the service, for the log.
    """

    def __init__(self, clock: IReactorTime, name: str, failures: int = FAILURES) -> None:
        self._clock = clock
        self._name = name
        self._limit = failures
        self._in_a_row = 0
        self._pause = FIRST_PAUSE
        self._until = 0.0
        self.state = State.CLOSED

    def admit(self) -> None:
        """
        Ask for admission of one attempt.

        @raise SourceUnavailable: it is open, or half open with its one attempt under way.
        """
        if self.state is State.CLOSED:
            return
        if self.state is State.HALF_OPEN or self._clock.seconds() < self._until:
            raise SourceUnavailable(f"{self._name} is not asked for now: it did not answer lately")
        self.state = State.HALF_OPEN

    def succeeded(self) -> None:
        """The service answered, whatever it said."""
        if self.state is not State.CLOSED:
            log.info("{name} answers again", name=self._name)
        self.state = State.CLOSED
        self._in_a_row = 0
        self._pause = FIRST_PAUSE

    def failed(self) -> None:
        """The service did not answer."""
        self._in_a_row += 1
        # What was under way when it opened says nothing new.
        if self.state is State.HALF_OPEN or (self.state is State.CLOSED and self._in_a_row >= self._limit):
            self.open()

    def abandoned(self) -> None:
        """The attempt ended without a word about the service."""
        if self.state is State.HALF_OPEN:
            self.state = State.OPEN

    def open(self) -> None:
        """Admit nothing for a while."""
        if self.state is State.CLOSED:
            log.warn("{name} does not answer: what needs it is refused until it does", name=self._name)
        self.state = State.OPEN
        self._until = self._clock.seconds() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
