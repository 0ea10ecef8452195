"""``workers``: two worker processes against one, and how much of a second one the machine leaves them.

The generator and the sink need processors too. What an operation costs all three together says how many of them the
machine can do in a second at the most, whoever waits for whom: with one worker that is the worker, with two it may be
the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from bench.generator import Load, together
from bench.messages import echo, store
from bench.options import Options
from bench.processes import BenchError, Server
from bench.samples import in_turn, paired_ratio, summarise
from bench.scp import start_raw_sink
from bench.shields import EXPORT
from bench.subjects import Subject, process_of, start_proxy
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import KIB

ONE, TWO = "1 worker", "2 workers"
COUNTS = {ONE: 1, TWO: 2}
EFFICIENCY = 0.9
"""At least this part of what the machine allows, which is twice as much at the most."""
ROUNDS, SECONDS = 5, 3.0
READY = "all {} workers serve"
READY_DEADLINE = 30.0


@frozen
class Kind:
    """What is done, through which policy. The associations are many, because the kernel deals them out by chance."""

    name: str
    load: Load
    privacy: Mapping[str, Any] | None = None


KINDS = (
    Kind("C-STORE of 12 KiB under pseudonyms: 64 associations", Load(64, store(12 * KIB)), EXPORT),
    Kind("C-STORE of 512 KiB under pseudonyms: 32 associations", Load(32, store(512 * KIB)), EXPORT),
    Kind("associate, C-ECHO, release: 64 callers", Load(64, echo, once=True)),
    Kind("C-STORE of 12 KiB: 64 associations", Load(64, store(12 * KIB))),
    Kind("C-STORE of 512 KiB: 32 associations", Load(32, store(512 * KIB))),
)


@define
class Measured:
    """One entry a round: operations a second, and the cores that each took."""

    rates: list[float] = Factory(list)
    generator: list[float] = Factory(list)
    sink: list[float] = Factory(list)
    proxy: list[float] = Factory(list)

    def allowed(self, cores: int) -> float:
        """How many times the rate the cores would allow if nobody ever waited for anybody."""
        used = zip(self.generator, self.sink, self.proxy, strict=True)
        return summarise(cores / sum(parts) for parts in used).median


def run_workers(options: Options, directory: Path) -> list[Report]:
    """Each load through one worker and through two."""
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    seconds = 0.4 if options.quick else SECONDS
    cores = len(os.sched_getaffinity(0))
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    sink = start_raw_sink(directory)
    try:
        for privacy in (EXPORT, None):
            kinds = [kind for kind in KINDS if kind.privacy is privacy and options.workload in kind.name]
            if not kinds:
                continue
            for kind, found in _measure(kinds, privacy, sink, rounds, seconds, directory):
                allowed = min(2.0, found[ONE].allowed(cores))
                ratio = paired_ratio(found[TWO].rates, found[ONE].rates)
                verdicts.append(Verdict(f"{kind.name}, {TWO} / {ONE}", ratio, ">=", EFFICIENCY * allowed, noisy=True))
                rows.extend(_row(kind, name, found, cores) for name in COUNTS)
    finally:
        sink.stop()
    header = (
        *("load", "way", "a second: median (min..max)", f"x {ONE}"),
        *("cores: generator", "sink", "proxy", "x the rate that the machine allows"),
    )
    title = f"Workers: {cores} cores for all, {rounds} x {seconds:g} s"
    remark = (
        f"the target is {EFFICIENCY:g} of what the machine allows one worker's rate to grow, and {2 * EFFICIENCY:g} "
        "where that is twice or more"
    )
    return [Report(title, (("", markdown(header, rows, texts=2)),), tuple(verdicts), (remark,))]


def _row(kind: Kind, name: str, found: Mapping[str, Measured], cores: int) -> list[str]:
    measured = found[name]
    return [
        kind.name,
        name,
        spread(summarise(measured.rates)),
        f"{paired_ratio(measured.rates, found[ONE].rates):.2f}",
        *(f"{summarise(values).median:.2f}" for values in (measured.generator, measured.sink, measured.proxy)),
        number(measured.allowed(cores)),
    ]


def _measure(
    kinds: Sequence[Kind],
    privacy: Mapping[str, Any] | None,
    sink: Server,
    rounds: int,
    seconds: float,
    directory: Path,
) -> Iterator[tuple[Kind, dict[str, Measured]]]:
    running: dict[str, Subject] = {}
    try:
        for name, workers in COUNTS.items():
            running[name] = start_proxy(name, sink.port, directory, privacy, workers=workers)
            _wait_for_all(process_of(running[name]), workers)
        for kind in kinds:
            found = {name: Measured() for name in COUNTS}
            for subject in running.values():
                together(subject.port, [kind.load], seconds / 2)
            for name in in_turn(tuple(COUNTS), rounds):
                subject, measured = running[name], found[name]
                proxy_before, sink_before = subject.cpu(), sink.usage().cpu
                outcome = together(subject.port, [kind.load], seconds)
                measured.rates.append(outcome.rate)
                measured.generator.append(outcome.cpu / outcome.seconds)
                measured.sink.append((sink.usage().cpu - sink_before) / outcome.seconds)
                measured.proxy.append((subject.cpu() - proxy_before) / outcome.seconds)
            yield kind, found
    finally:
        for subject in running.values():
            subject.stop()


def _wait_for_all(server: Server, workers: int) -> None:
    """The port is open before the workers serve: callers would wait in the backlog."""
    deadline = time.monotonic() + READY_DEADLINE
    while workers > 1 and READY.format(workers) not in server.said():
        if time.monotonic() > deadline:
            raise BenchError(f"the workers do not serve; the proxy said:\n{server.said()}")
        time.sleep(0.02)
