"""``python -m bench profile NAME``: where dimseproxy spends its time under one of the loads."""

from __future__ import annotations

import pstats
import shutil
import signal
import subprocess
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from bench import dcmtk
from bench.churn import associations_per_second, start_raw_sink
from bench.processes import BenchError, Server, free_port
from bench.scu import Association
from bench.subjects import dimseproxy_command, environment
from bench.workloads import BIG, CT, SMALL, Workload

TOP = 40
"""Functions that are printed."""
ECHOES = 5000
SAMPLER_DEADLINE = 10.0
"""Seconds that py-spy may take to write what it saw."""


def _objects(workload: Workload) -> Callable[[int, Path], None]:
    def load(port: int, directory: Path) -> None:
        dcmtk.send(port, workload.write(directory), dcmtk.NO_NAGLE)

    return load


def _churn(port: int, directory: Path) -> None:
    del directory
    associations_per_second(port, 1, 5.0)


def _echoes(port: int, directory: Path) -> None:
    del directory
    with Association(port) as association:
        for _ in range(ECHOES):
            association.echo()


LOADS: dict[str, tuple[Callable[[int, Path], None], bool]] = {
    "ct": (_objects(CT), True),
    "big": (_objects(BIG), True),
    "small": (_objects(SMALL), True),
    "churn": (_churn, False),
    "latency": (_echoes, False),
}
"""What is done to the proxy, and whether the sink is DCMTK's or the raw one."""


def profile(name: str, directory: Path) -> str:
    """Put the load on a dimseproxy under py-spy, or cProfile without it, and say what took the time.

    cProfile counts every call, at the price of making short functions look dearer than they are.

    :raises BenchError: when there is no such load or the proxy left no profile
    """
    if name not in LOADS:
        raise BenchError(f"no such load: {name}; there are {', '.join(LOADS)}")
    load, with_dcmtk = LOADS[name]
    sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE) if with_dcmtk else start_raw_sink(directory)
    try:
        sampler = shutil.which("py-spy")
        return (_sampled if sampler else _counted)(load, sink, directory)
    finally:
        sink.stop()


def _counted(load: Callable[[int, Path], None], sink: Server, directory: Path) -> str:
    port, result = free_port(), directory / "dimseproxy.prof"
    options = (f"--profile={result}", "--profiler=cprofile", "--savestats")
    command = dimseproxy_command(port, sink.port, directory, *options)
    server = Server.start("dimseproxy", command, port, directory, environment())
    try:
        load(port, directory)
    finally:
        # The statistics are written when the reactor has stopped, which SIGTERM asks for.
        server.stop()
    if not result.is_file():
        raise BenchError(f"the proxy left no profile; it said:\n{server.said()}")
    text = StringIO()
    statistics = pstats.Stats(str(result), stream=text).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(TOP)
    return text.getvalue()


def _sampled(load: Callable[[int, Path], None], sink: Server, directory: Path) -> str:
    port, result = free_port(), directory / "dimseproxy.txt"
    command = dimseproxy_command(port, sink.port, directory)
    server = Server.start("dimseproxy", command, port, directory, environment())
    try:
        sampler = subprocess.Popen(
            ["py-spy", "record", "--pid", str(server.pid), "--format", "raw", "--output", str(result)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        load(port, directory)
        sampler.send_signal(signal.SIGINT)
        sampler.wait(SAMPLER_DEADLINE)
    finally:
        server.stop()
    counts: dict[str, int] = {}
    for line in result.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        leaf = stack.rpartition(";")[2]
        counts[leaf] = counts.get(leaf, 0) + int(samples)
    top = sorted(counts.items(), key=lambda entry: -entry[1])[:TOP]
    return "".join(f"{samples:6d} {leaf}\n" for leaf, samples in top)
