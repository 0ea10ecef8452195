"""``python -m bench profile NAME``: where dimseproxy spends its time under one of the loads."""

from __future__ import annotations

import pstats
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from attrs import frozen

from bench import dcmtk, queries
from bench.generator import Load as Pressure
from bench.generator import together
from bench.messages import echo
from bench.processes import BenchError, Server
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.shields import EXPORT, VAULT_SHIELD
from bench.subjects import DIMSEPROXY, TWISTD, process_of, start_proxy
from bench.workloads import BIG, CT, FULL_CT, SMALL, Workload

TOP = 40
"""Functions that are printed."""
ECHOES = 5000
ANSWERS = 20_000
SAMPLER_DEADLINE = 10.0
"""Seconds that py-spy may take to write what it saw."""


def _objects(workload: Workload) -> Callable[[int, Path], None]:
    def load(port: int, directory: Path) -> None:
        dcmtk.send(port, workload.write(directory), dcmtk.NO_NAGLE)

    return load


def _churn(port: int, directory: Path) -> None:
    del directory
    together(port, [Pressure(1, echo, once=True)], 5.0)


def _echoes(port: int, directory: Path) -> None:
    del directory
    with Association(port) as association:
        for _ in range(ECHOES):
            association.echo()


def _find(port: int, directory: Path) -> None:
    del directory
    with Association(port, may_query=True) as association:
        association.find(queries.studies(b"%d" % ANSWERS))


@frozen
class Load:
    """What is done to the proxy."""

    run: Callable[[int, Path], None]
    """To the proxy on a port, with a directory to write to."""
    with_dcmtk: bool = False
    """Whether the sink is DCMTK's, or the raw one."""
    privacy: Mapping[str, Any] | None = None
    """The policy of the route."""


LOADS = {
    "ct": Load(_objects(CT), with_dcmtk=True),
    "big": Load(_objects(BIG), with_dcmtk=True),
    "small": Load(_objects(SMALL), with_dcmtk=True),
    "churn": Load(_churn),
    "latency": Load(_echoes),
    "answers": Load(_find),
    "ct-pseudonyms": Load(_objects(FULL_CT), with_dcmtk=True, privacy=EXPORT),
    "answers-pseudonyms": Load(_find, privacy=VAULT_SHIELD),
}


def profile(name: str, directory: Path) -> str:
    """Put the load on a dimseproxy under py-spy, or cProfile without it, and say what took the time.

    cProfile counts every call, at the price of making short functions look dearer than they are.

    :raises BenchError: when there is no such load or the proxy left no profile
    """
    if name not in LOADS:
        raise BenchError(f"no such load: {name}; there are {', '.join(LOADS)}")
    load = LOADS[name]
    sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE) if load.with_dcmtk else start_raw_sink(directory)
    try:
        sampler = shutil.which("py-spy")
        return (_sampled if sampler else _counted)(load, sink, directory)
    finally:
        sink.stop()


def _counted(load: Load, sink: Server, directory: Path) -> str:
    result = directory / "dimseproxy.prof"
    launcher = (*TWISTD, f"--profile={result}", "--profiler=cprofile", "--savestats")
    subject = start_proxy(DIMSEPROXY, sink.port, directory, load.privacy, launcher=launcher)
    try:
        load.run(subject.port, directory)
    finally:
        # The statistics are written when the reactor has stopped, which SIGTERM asks for.
        subject.stop()
    if not result.is_file():
        raise BenchError(f"the proxy left no profile; it said:\n{process_of(subject).said()}")
    text = StringIO()
    statistics = pstats.Stats(str(result), stream=text).strip_dirs()
    for order in ("tottime", "cumulative"):
        statistics.sort_stats(order).print_stats(TOP)
    return text.getvalue()


def _sampled(load: Load, sink: Server, directory: Path) -> str:
    result = directory / "dimseproxy.txt"
    subject = start_proxy(DIMSEPROXY, sink.port, directory, load.privacy)
    try:
        sampler = subprocess.Popen(
            ["py-spy", "record", "--pid", str(process_of(subject).pid), "--format", "raw", "--output", str(result)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        load.run(subject.port, directory)
        sampler.send_signal(signal.SIGINT)
        sampler.wait(SAMPLER_DEADLINE)
    finally:
        subject.stop()
    counts: dict[str, int] = {}
    for line in result.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        leaf = stack.rpartition(";")[2]
        counts[leaf] = counts.get(leaf, 0) + int(samples)
    top = sorted(counts.items(), key=lambda entry: -entry[1])[:TOP]
    return "".join(f"{samples:6d} {leaf}\n" for leaf, samples in top)
