"""When something is sent: at which hours of the day, and how long after it failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Final

from attrs import field, frozen

#: A wait is longer or shorter by up to this part of it, so that what failed together is not tried together again.
JITTER: Final = 0.25

#: From seconds since 1970 to local time, without a time zone.
LocalTime = Callable[[float], datetime]


@frozen
class Hours:
    """
    The hours of each day in which something is sent, in local time.

    @ivar begins: the first minute.
    @ivar ends: the first one that is none of them any longer, on the day after where it is not later than C{begins}.
    """

    begins: time
    ends: time
    _local: LocalTime = field(default=datetime.fromtimestamp, repr=False)

    def wait(self, now: float) -> float:
        """
        How long it is until they begin; 0 within them.

        @param now: seconds since 1970.
        @return: seconds, by the clock on the wall: where that is set forward or back meanwhile, look again then.
        """
        local = self._local(now)
        if self._has(local.time()):
            return 0.0
        beginning = datetime.combine(local.date(), self.begins)
        if beginning <= local:
            beginning += timedelta(days=1)
        return (beginning - local).total_seconds()

    def _has(self, moment: time) -> bool:
        if self.begins < self.ends:
            return self.begins <= moment < self.ends
        return moment >= self.begins or moment < self.ends


@frozen
class Retries:
    """
    How often, and how long after each other, something that failed is tried again.

    @ivar most: after so many retries it is dead.
    @ivar backoff: seconds before the first retry; each further one waits twice as long, give or take `JITTER`.
    @ivar longest: no wait is longer, in seconds.
    @ivar random: a number from 0 up to 1.
    """

    most: int
    backoff: float
    longest: float
    random: Callable[[], float] = field(repr=False)

    def is_last(self, attempts: int) -> bool:
        """Whether nothing is tried any longer after so many failed attempts."""
        return attempts > self.most

    def wait(self, attempts: int) -> float:
        """Seconds to wait after so many failed attempts, which is at least one."""
        # Twice as long is soon longer than any number can tell.
        doublings = min(attempts - 1, 64)
        wait: float = min(self.backoff * 2**doublings, self.longest)
        return min(wait * (1 + JITTER * (2 * self.random() - 1)), self.longest)
