"""Child processes under the reactor: started, listened to, and ended by their id."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

PATIENCE = 30.0
"""Seconds that a peer may take for anything before the test gives up on it."""

_GRACE = 8.0
_POLL = 0.02
_SYSTEM_PATH = "/usr/bin:/usr/sbin:/usr/local/bin"

_PORTS = range(20_000, 32_768)
"""Below those that Linux gives to the near ends of connections, so that none takes a port which is waited for."""

_MOST_CLAIMS = 64
"""Ports that one test uses, and many more."""

_SWIFT = {"TCP_NODELAY": "1"}
"""Spares DCMTK's applications the 40 ms a message that Nagle's algorithm costs them without the proxy."""

_T = TypeVar("_T")

_claims: deque[socket.socket] = deque()
_chance = random.SystemRandom()

clock = IReactorTime(reactor)


def needed(missing: str) -> Exception:
    """What to raise when a test's means are absent: a skip, but a failure where CI promises to have them."""
    message = f"not available here: {missing}"
    return AssertionError(message) if os.environ.get("CI") == "true" else SkipTest(message)


def executable(name: str) -> str:
    """The path of a peer's program.

    System folders go first: pynetdicom installs console scripts that carry the names of DCMTK's.
    """
    found = shutil.which(name, path=_SYSTEM_PATH) or shutil.which(name)
    if found is None:
        raise needed(f"the program {name!r}")
    return found


def free_port() -> int:
    """A TCP port that nobody listens on, and that no other test is given meanwhile, in this process or another one.

    The claim is an abstract Unix socket with the port in its name: as unique as the port itself, and gone with us.
    """
    while True:
        port = _chance.choice(_PORTS)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with socket.socket() as probe:
            try:
                claim.bind(f"\0dimseproxy-test-port-{port}")
                # Some peers cannot be bound to the loopback interface alone.
                probe.bind(("", port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        if len(_claims) > _MOST_CLAIMS:
            _claims.popleft().close()
        return port


def scratch(case: TestCase) -> Path:
    """A new directory that disappears with the test."""
    path = Path(tempfile.mkdtemp(prefix="dimseproxy-e2e-"))
    case.addCleanup(shutil.rmtree, path, True)
    return path


def port_is_open(port: int) -> bool:
    """Whether something listens on a TCP port of this host, without disturbing it by a connection."""
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            for line in lines:
                fields = line.split()
                if fields[1].endswith(wanted) and fields[3] == "0A":
                    return True
    return False


async def until(condition: Callable[[], _T], what: str, patience: float = PATIENCE) -> _T:
    """Wait for a condition that nobody announces; its truthy value is the answer."""
    deadline = clock.seconds() + patience
    while not (value := condition()):
        if clock.seconds() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain for {what}")
        await deferLater(clock, _POLL)
    return value


@attrs.frozen
class Result:
    """How a child process ended."""

    code: int
    """Exit status; negative is the number of the signal that ended it."""
    output: str
    """Standard output and standard error, in the order they came."""


class Process(ProcessProtocol):
    """One child process and everything that it printed."""

    def __init__(self, argv: Sequence[str]) -> None:
        self.argv = list(argv)
        self._output = bytearray()
        self._result: Result | None = None
        self._waiting: list[Deferred[Result]] = []

    @classmethod
    def spawn(
        cls,
        case: TestCase,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> Process:
        """Start a program by its full path; the test ends it, if it has not ended by itself."""
        process = cls(argv)
        IReactorProcess(reactor).spawnProcess(
            process,
            argv[0],
            [os.fsencode(word) for word in argv],
            env={**os.environ, **_SWIFT, **(environment or {})},
            path=None if folder is None else str(folder),
        )
        case.addCleanup(process.end)
        return process

    def outReceived(self, data: bytes) -> None:
        self._output += data

    errReceived = outReceived

    def processEnded(self, reason: Failure) -> None:
        value = reason.value
        code = getattr(value, "exitCode", None)
        number = getattr(value, "signal", None)
        self._result = Result(-int(number) if code is None and number else int(code or 0), self.output)
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(self._result)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._output.decode("utf-8", "replace")

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._result is None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.transport is not None
        return int(self.transport.pid)

    def exited(self) -> Deferred[Result]:
        """Fires when the process has ended and its output is complete."""
        if self._result is not None:
            return succeed(self._result)
        deferred: Deferred[Result] = Deferred()
        self._waiting.append(deferred)
        return deferred

    def signal(self, name: str) -> None:
        """Send a signal such as ``"HUP"``, ``"INT"``, ``"TERM"`` or ``"KILL"``."""
        assert self.transport is not None
        self.transport.signalProcess(name)

    async def finished(self, patience: float = PATIENCE) -> Result:
        """Wait for the end, for at most `patience` seconds."""
        deferred = self.exited()
        deferred.addTimeout(patience, clock)
        try:
            return await deferred
        except Exception as error:
            raise AssertionError(f"{self.argv[0]} did not end\n{self.output}") from error

    async def says(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until the process has printed a text."""
        await until(lambda: text in self.output or not self.running, f"{text!r} of {self.argv[0]}", patience)
        if text not in self.output:
            raise AssertionError(f"{self.argv[0]} ended without {text!r}:\n{self.output}")

    async def listens(self, port: int, patience: float = PATIENCE) -> None:
        """Wait until a port accepts connections; an early end of the process is a failure with its output."""
        await until(lambda: port_is_open(port) or not self.running, f"{self.argv[0]} on {port}", patience)
        if not self.running:
            raise AssertionError(f"{self.argv[0]} ended instead of listening:\n{self.output}")

    async def kill(self) -> None:
        """End it at once, whatever it is doing."""
        await self._end(("KILL", _GRACE))

    async def end(self) -> None:
        """Ask it to end, and after a grace period make it."""
        await self._end(("TERM", _GRACE), ("KILL", _GRACE))

    async def _end(self, *steps: tuple[str, float]) -> None:
        for name, patience in steps:
            if not self.running:
                return
            # An exit may be known already while the pipes are still being drained.
            with suppress(ProcessExitedAlready):
                self.signal(name)
            deferred = self.exited()
            deferred.addTimeout(patience, clock)
            try:
                await deferred
            except Exception:
                continue


async def run(
    case: TestCase,
    argv: Sequence[str],
    *,
    folder: Path | None = None,
    patience: float = PATIENCE,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run a program to its end."""
    return await Process.spawn(case, argv, folder=folder, environment=environment).finished(patience)


async def at_once(*steps: Coroutine[Deferred[Any], Any, _T]) -> list[_T]:
    """Run coroutines side by side and wait for all of them."""
    return list(await gatherResults([ensureDeferred(step) for step in steps], consumeErrors=True))
