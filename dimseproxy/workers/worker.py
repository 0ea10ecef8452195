"""A worker as its parent sees it: a process after the other, each started when its predecessor has died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from dimseproxy.workers.orders import ORDERS, READY, WHERE, Kind, Order

log = Logger()

#: Whose predecessors died so soon, in seconds, is not started at once.
SOON: Final = 10.0
#: Seconds to wait after the second death in a row that came soon; each further one doubles it.
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
#: The parent looks at its workers once in so many seconds.
LOOK_EVERY: Final = 5.0
#: One that has not beaten in so many looks, which is half a minute, hangs: nothing that it does takes nearly as long.
STILL_LOOKS: Final = 6
#: Before it serves, in so many, which is two minutes: until its reactor turns it loads modules, keys and tables, from a
#: disk that may be slow.  That takes a second or two where all is well.
START_LOOKS: Final = 24
#: A line of the log is cut after so many bytes: no line of ours is as long.
LONGEST_LINE: Final = 1024 * 1024

_STDOUT: Final = 1
_STDERR: Final = 2


class Upper(Protocol):
    """Who looks after the workers."""

    def spawn(self, worker: Worker, protocol: ProcessProtocol) -> None:
        """
        Start a process.

        @raise OSError: the system has none.
        """

    def first_order(self) -> Order:
        """What every process is told first: the settings."""

    def logged(self, worker: Worker, line: str) -> None:
        """A worker has written a line of its log."""

    def serves(self, worker: Worker) -> None:
        """Callers are served by it, for the first time."""

    def is_gone(self, worker: Worker) -> None:
        """Its process has ended, and another may follow."""

    def cannot_start(self, worker: Worker, why: str) -> None:
        """Its very first process has ended of its own accord, without having served anybody."""


class Worker:
    """
    @param number: which one, from 0.
    @param upper: who looks after it.
    @param clock: for pauses between two processes.
    """

    def __init__(self, number: int, upper: Upper, clock: Any) -> None:
        self.number = number
        #: Whether callers were served, by this process or another before.
        self.has_served = False
        self._upper = upper
        self._clock = clock
        self._process: _Process | None = None
        self._started = 0.0
        self._soon = 0
        self._restart: IDelayedCall | None = None
        #: Whether this process serves, how often it had beaten by the last look, and for how many looks that is so.
        self._is_serving = False
        self._beats = 0
        self._still = 0
        self._is_stopping = False
        self._gone: list[Deferred[None]] = []

    @property
    def pid(self) -> int | None:
        """Its process, if it has one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a process, which has to be done once."""
        self._restart = None
        self._is_serving = False
        self._still = 0
        self._started = self._clock.seconds()
        self._process = _Process(_Ears(self._heard, self._complained, self._said_ready, self._ended))
        try:
            self._upper.spawn(self, self._process)
        except OSError as error:
            # No process to be had, or no descriptor: there may be one later.
            self._ended(f"before it began: {error.strerror}")
        else:
            self._process.tell(self._upper.first_order())

    def tell(self, order: Order) -> None:
        """Tell the process, if there is one."""
        if self._process is not None:
            self._process.tell(order)

    def stop(self) -> Deferred[None]:
        """
        Drain, and start no other process.

        @return: fires when there is none.
        """
        self._is_stopping = True
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        gone: Deferred[None] = Deferred()
        if self._process is None:
            gone.callback(None)
        else:
            self._gone.append(gone)
            self._process.tell(Order(Kind.DRAIN))
        return gone

    def look(self, beats: int) -> None:
        """
        Look whether the process is alive; one that hangs is asked where, and then killed.  Before it serves it may be
        still for longer, and as long as it beats take its time: what its predecessor left comes first, and a database
        may have to be waited for.

        Looks are counted, not seconds: where the clock jumps, or the machine is suspended, nobody has missed any.

        @param beats: how often it has beaten.
        """
        if self._process is None or beats != self._beats:
            self._beats, self._still = beats, 0
            return
        self._still += 1
        most = STILL_LOOKS if self._is_serving else START_LOOKS
        if self._still == most:
            log.error(
                "worker {worker} hangs{when}: no sign of life for {seconds:g} s",
                worker=self.number,
                when="" if self._is_serving else " in its start",
                seconds=most * LOOK_EVERY,
            )
            self._process.send(WHERE)
        elif self._still > most:
            self.kill()

    def kill(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            log.error("worker {worker} does not end: it is killed", worker=self.number)
            self._process.send("KILL")

    # What the process does

    def _heard(self, line: str) -> None:
        self._upper.logged(self, line)

    def _complained(self, line: str) -> None:
        # The interpreter, or a library: our own complaints are in the log.
        log.error("worker {worker}: {line}", worker=self.number, line=line)

    def _said_ready(self) -> None:
        log.debug("worker {worker} serves, as process {pid}", worker=self.number, pid=self.pid)
        self._is_serving = True
        # To say so is a sign of life, and fewer looks are enough from now on.
        self._still = 0
        if not self.has_served:
            self.has_served = True
            self._upper.serves(self)

    def _ended(self, why: str, by_signal: bool = False) -> None:
        self._process = None
        self._upper.is_gone(self)
        if self._is_stopping:
            gone, self._gone = self._gone, []
            for each in gone:
                each.callback(None)
        elif not self.has_served and not by_signal:
            # Who is killed, such as for want of memory, has not said that anything is wrong.
            self._upper.cannot_start(self, why)
        else:
            self._start_again(why)

    def _start_again(self, why: str) -> None:
        is_soon = self._clock.seconds() - self._started < SOON
        self._soon = self._soon + 1 if is_soon else 0
        pause = 0.0 if self._soon < 2 else min(FIRST_PAUSE * 2.0 ** (self._soon - 2), LONGEST_PAUSE)
        log.error(
            "worker {worker} has ended, {why}: another one is started{when}",
            worker=self.number,
            why=why,
            when=f" in {pause:g} s" if pause else "",
        )
        self._restart = self._clock.callLater(pause, self.start)


@frozen
class _Ears:
    """Who is told what of a process."""

    line: Callable[[str], None]
    complaint: Callable[[str], None]
    ready: Callable[[], None]
    ended: Callable[[str, bool], None]


class _Process(ProcessProtocol):
    """One process of a worker."""

    def __init__(self, ears: _Ears) -> None:
        self._ears = ears
        self._lines = {_STDOUT: _Lines(ears.line), _STDERR: _Lines(ears.complaint)}
        self._is_listening = True

    @property
    def pid(self) -> int | None:
        return None if self.transport is None else self.transport.pid

    def tell(self, order: Order) -> None:
        if self._is_listening and self.transport is not None:
            self.transport.writeToChild(ORDERS, order.encode())

    def send(self, signal: str | int) -> None:
        if self.transport is not None:
            with suppress(ProcessExitedAlready):
                self.transport.signalProcess(signal)

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        if childFD == READY:
            self._ears.ready()
        else:
            self._lines[childFD].received(data)

    def childConnectionLost(self, childFD: int) -> None:
        if childFD == ORDERS:
            self._is_listening = False

    def processEnded(self, reason: Failure) -> None:
        self._is_listening = False
        for lines in self._lines.values():
            lines.ended()
        self._ears.ended(*_end(reason))


class _Lines:
    """Cuts into lines what comes in pieces."""

    def __init__(self, each: Callable[[str], None]) -> None:
        self._each = each
        self._rest = b""

    def received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._say(lines)
        if len(self._rest) > LONGEST_LINE:
            self.ended()

    def ended(self) -> None:
        """What is there is a line."""
        rest, self._rest = self._rest, b""
        self._say([rest] if rest else [])

    def _say(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            self._each(line.decode("utf-8", "replace"))


def _end(reason: Failure) -> tuple[str, bool]:
    """How a process ended, in words, and whether a signal ended it."""
    error = reason.value
    if isinstance(error, ProcessTerminated) and error.signal is not None:
        return f"by signal {error.signal}", True
    return f"with status {getattr(error, 'exitCode', None)}", False
