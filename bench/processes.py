"""Processes under measurement: started on free ports of the loopback, read through /proc, ended by their id.

Linux only: processor time and memory come from ``/proc/PID``.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen

CHECKOUT = Path(__file__).resolve().parent.parent
PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
START_DEADLINE = 60.0
"""Seconds that a server may take before it listens."""
STOP_DEADLINE = 5.0
"""Seconds that a server may take to end by itself before it is killed."""
LISTENING = "0A"


class BenchError(Exception):
    """A benchmark could not be carried out; the message says why."""


@frozen
class Usage:
    """What a process and its descendants have used so far."""

    cpu: float
    """Seconds of processor time, in user mode and in the kernel."""
    resident: int
    """Bytes of memory resident now."""
    peak: int
    """The greatest number of bytes that were resident, since the start or :meth:`Server.reset_peak`."""


def environment(checkout: Path = CHECKOUT) -> dict[str, str]:
    """What makes a Python process import a checkout, this one or another, from whatever directory it is started in."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(checkout), os.environ.get("PYTHONPATH")]))}


def raise_file_limit() -> None:
    """Let this process and those it starts open as many files as the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port of the loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody listens on the port.

    It is found out without connecting: a connection would occupy an SCP that serves one at a time.
    """
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                return True
    return False


def descendants(pid: int) -> list[int]:
    """The process ids of a process and all it started, that still run."""
    found = [pid]
    for parent in found:
        for children in PROC.glob(f"{parent}/task/*/children"):
            # A thread may end meanwhile.
            with suppress(FileNotFoundError, ProcessLookupError):
                found.extend(int(child) for child in children.read_text().split())
    return found


def _cpu_seconds(pid: int) -> float:
    # The ticks of /proc/PID/stat are 10 ms each, coarse against a transfer of 200 ms; schedstat counts
    # nanoseconds but forgets threads that ended. The greater of the two is the better reading.
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    own, waited_for = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    nanoseconds = 0
    for schedstat in PROC.glob(f"{pid}/task/*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            nanoseconds += int(schedstat.read_text().split()[0])
    return max(own / TICKS, nanoseconds / 1e9) + waited_for / TICKS


def _memory(pid: int) -> tuple[int, int]:
    values = {"VmRSS": 0, "VmHWM": 0}
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        key, _, rest = line.partition(":")
        if key in values:
            values[key] = int(rest.split()[0]) * 1024
    return values["VmRSS"], values["VmHWM"]


@define
class Server:
    """A server process that listens on one port of the loopback."""

    name: str
    port: int
    _process: subprocess.Popen[bytes] = field(alias="process")
    _log: Path = field(alias="log")

    @classmethod
    def start(
        cls,
        name: str,
        command: Sequence[str],
        port: int,
        directory: Path,
        environment: Mapping[str, str] | None = None,
    ) -> Server:
        """Start the command and wait until it listens on the port; its output goes to a file there.

        :raises BenchError: when it ends or does not listen in time; the message carries the end of its output
        """
        log = directory / f"{name.replace(' ', '-').replace('/', '-')}.{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=directory,
            )
        server = cls(name, port, process, log)
        deadline = time.monotonic() + START_DEADLINE
        while not is_listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                server.stop()
                raise BenchError(f"{name} does not listen on port {port}; it said:\n{server.said()}")
            time.sleep(0.02)
        return server

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def said(self, limit: int = 4000) -> str:
        """The last ``limit`` characters of its output."""
        return self._log.read_text(errors="replace")[-limit:]

    def usage(self) -> Usage:
        """What it and its descendants have used until now.

        :raises BenchError: when it has ended
        """
        if not self.running:
            raise BenchError(f"{self.name} ended during the measurement; it said:\n{self.said()}")
        cpu, resident, peak = 0.0, 0, 0
        for pid in descendants(self.pid):
            try:
                now, most = _memory(pid)
                cpu += _cpu_seconds(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            resident += now
            peak += most
        return Usage(cpu, resident, peak)

    def bytes_read(self) -> int:
        """How many bytes it has read so far with read(2), from files and from sockets alike.

        :raises BenchError: when it has ended
        """
        if not self.running:
            raise BenchError(f"{self.name} ended during the measurement; it said:\n{self.said()}")
        fields = (PROC / str(self.pid) / "io").read_text().split()
        return int(fields[fields.index("rchar:") + 1])

    def reset_peak(self) -> None:
        """Let the peak of :meth:`usage` count from now on."""
        for pid in descendants(self.pid):
            (PROC / str(pid) / "clear_refs").write_text("5")

    def stop(self) -> None:
        """End it: ask first, and kill what has not ended in time."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


@frozen
class Run:
    """One run of a client process."""

    wall: float
    """Seconds from its start to its end."""
    output: str


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, deadline: float = 300.0) -> Run:
    """Run a client process to its end.

    :raises BenchError: when it fails or does not end within ``deadline`` seconds
    """
    started = time.perf_counter()
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{command[0]} did not end within {deadline:g} s") from error
    wall = time.perf_counter() - started
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        raise BenchError(f"{command[0]} failed with {done.returncode}:\n{output[-4000:]}")
    return Run(wall, output)
