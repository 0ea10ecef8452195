"""twistd with a heartbeat: ``python -m bench.probe FILE ARGUMENTS...`` runs twistd, and says when its reactor was late.

The reactor is asked to call back every millisecond.  When one call has come late by ``LATE`` or more, the reactor was
kept from turning for so long; the moment, the delay, and the processor time of the reactor's thread meanwhile are
written to the file when the process ends.  Processor time well below the delay means that the machine was busy with
something else.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from attrs import Factory, define, frozen
from twisted.internet.interfaces import IReactorCore, IReactorTime

INTERVAL = 0.001
"""Seconds between two heartbeats."""
LATE = 0.002
"""Seconds of delay from which on a heartbeat is written down."""


@frozen
class Delay:
    """The reactor did not turn for a while."""

    at: float
    """When it turned again, by the clock of ``time.monotonic``, which all processes share."""
    wall: float
    """Seconds that the heartbeat was late."""
    cpu: float
    """Seconds of processor time that the reactor's thread used since the heartbeat before."""


@define
class Heartbeat:
    """Feels how late the reactor is, by the reactor's own delayed calls."""

    _reactor: IReactorTime
    _now: Callable[[], float] = time.monotonic
    _cpu_now: Callable[[], float] = time.thread_time
    delays: list[Delay] = Factory(list)
    _due: float = 0.0
    _cpu: float = 0.0

    def start(self) -> None:
        """Begin, in the thread of the reactor."""
        self._wait(self._now(), self._cpu_now())

    def _wait(self, now: float, cpu: float) -> None:
        self._due, self._cpu = now + INTERVAL, cpu
        self._reactor.callLater(INTERVAL, self._beat)

    def _beat(self) -> None:
        now, cpu = self._now(), self._cpu_now()
        if now - self._due >= LATE:
            self.delays.append(Delay(now, now - self._due, cpu - self._cpu))
        self._wait(now, cpu)

    def write(self, file: Path) -> None:
        """Write what was felt."""
        file.write_text(json.dumps([[delay.at, delay.wall, delay.cpu] for delay in self.delays]))


def delays_in(file: Path, start: float, end: float) -> list[Delay]:
    """What the heartbeat of a process that has ended felt between two moments."""
    return [delay for delay in (Delay(*entry) for entry in json.loads(file.read_text())) if start <= delay.at <= end]


def main() -> None:
    """Run twistd with the rest of the command line."""
    # twistd chooses the reactor when it runs; this is the one it takes when it is told of no other.
    from twisted.internet import reactor
    from twisted.scripts.twistd import run

    heartbeat, file = Heartbeat(IReactorTime(reactor)), Path(sys.argv.pop(1))
    core = IReactorCore(reactor)
    core.addSystemEventTrigger("before", "startup", heartbeat.start)
    core.addSystemEventTrigger("after", "shutdown", heartbeat.write, file)
    run()


if __name__ == "__main__":
    main()
