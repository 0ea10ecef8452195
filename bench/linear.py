"""``linear``: work doubled is time doubled. 1, 2, 4 and 8 times the work, a straight line, and memory that stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from bench import queries
from bench.archive import Prepared
from bench.messages import store
from bench.options import Options
from bench.plot import Points, draw_lines
from bench.processes import BenchError, Server
from bench.samples import Line, fit, in_turn, summarise
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.shields import EXPORT, VAULT_SHIELD
from bench.subjects import DIMSEPROXY, process_of, start_proxy
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import KIB, MIB

TIMES = (1, 2, 4, 8)
ROUNDS = 5
QUICK_DIVISOR = 25
RESIDUAL_TARGET = 0.1
"""At most this part of what was measured lies beside the line."""
GROWTH_TARGET = 1.1
"""At most so many times the time for each unit, where there are eight times as many."""
MEMORY_TARGET = 8.0
"""MiB that eight times the work may take beyond what was there."""
PLOT = "linear.svg"
_numbers = count()
"""No object is sent twice."""


@frozen
class Work:
    """Something that can be done any number of times."""

    name: str
    units: int
    """How many are done for 1x."""
    warm_up: int
    """How many are done before, so that caches are as full as they get."""
    do: Callable[[int, int], None]
    """Over a port, so many of them."""
    privacy: Mapping[str, Any] | None = None
    has_archive: bool = False
    """Whether the proxy keeps what is stored, or relays it."""

    def start(self, sink: int, directory: Path) -> Server:
        """The proxy that it is done through."""
        if self.has_archive:
            return Prepared.within(directory).start()
        return process_of(start_proxy(DIMSEPROXY, sink, directory, self.privacy))


@define
class Measured:
    """Seconds by multiple of the work, one entry a round, and the most bytes that one of them took."""

    wall: dict[int, list[float]] = Factory(lambda: {times: [] for times in TIMES})
    growth: dict[int, int] = Factory(lambda: dict.fromkeys(TIMES, 0))

    @property
    def line(self) -> Line:
        """What fits the medians."""
        return fit([(times, summarise(walls).median) for times, walls in self.wall.items()])

    @property
    def dearer(self) -> float:
        """How many times as long each takes where there are the most."""
        most = TIMES[-1]
        return summarise(self.wall[most]).median / most / summarise(self.wall[1]).median

    def points(self, name: str) -> Points:
        """For the plot: the line is at 1 where the work is 1x."""
        line = self.line
        unit = line.at(1)
        measured = [(float(times), summarise(walls).median / unit) for times, walls in self.wall.items()]
        return Points(name, measured, Line(line.slope / unit, line.intercept / unit, line.residual))


_CT, _STUDY = store(512 * KIB), store(12 * KIB, new_studies=True)


def _objects(port: int, units: int) -> None:
    with Association(port) as association:
        for _ in range(units):
            association.operate(_CT(next(_numbers)))
        association.release()


def _studies(port: int, units: int) -> None:
    """Each over an association of its own."""
    for _ in range(units):
        with Association(port) as association:
            association.operate(_STUDY(next(_numbers)))
            association.release()


def _answers(port: int, units: int) -> None:
    with Association(port, may_query=True) as association:
        if association.find(queries.studies(b"%d" % units)).answers != units:
            raise BenchError(f"not {units} answers came")
        association.release()


WORKS = (
    Work("CT objects", 250, 250, _objects),
    Work("CT objects under pseudonyms", 200, 200, _objects, EXPORT),
    Work("studies under pseudonyms", 100, 800, _studies, EXPORT),
    Work("answers of a C-FIND under pseudonyms", 2500, 50_000, _answers, VAULT_SHIELD),
    Work("studies into the archive", 50, 100, _studies, has_archive=True),
)


def run_linear(options: Options, directory: Path) -> list[Report]:
    """All of it, in one table and one plot."""
    divisor, rounds = (QUICK_DIVISOR, options.rounds or 1) if options.quick else (1, options.rounds or ROUNDS)
    found: list[tuple[Work, Measured]] = []
    sink = start_raw_sink(directory)
    try:
        for work in WORKS:
            if options.workload in work.name:
                found.append((work, _measure(work, sink.port, divisor, rounds, directory)))
    finally:
        sink.stop()
    rows = [_row(work.units // divisor, work, measured) for work, measured in found]
    verdicts = [verdict for work, measured in found for verdict in _verdicts(work, measured)]
    drawn = (options.plots or directory) / PLOT
    series = [measured.points(work.name) for work, measured in found]
    draw_lines(drawn, "Work doubled is time doubled", "work", "time, 1x = 1", series)
    header = (
        *("1x", *(f"{times}x s: median (min..max)" for times in TIMES), "time for each, 8x / 1x"),
        *("off the line", "growth MiB at 1x", "at 8x"),
    )
    title = f"Work doubled: {rounds} rounds, a raw SCU and the raw SCP"
    return [Report(title, (("", markdown(header, rows)),), tuple(verdicts))]


def _row(units: int, work: Work, measured: Measured) -> list[str]:
    return [
        f"{units} {work.name}",
        *(spread(summarise(measured.wall[times])) for times in TIMES),
        f"{measured.dearer:.2f}",
        f"{measured.line.residual:.1%}",
        *(number(measured.growth[times] / MIB) for times in (1, TIMES[-1])),
    ]


def _verdicts(work: Work, measured: Measured) -> tuple[Verdict, ...]:
    grown = measured.growth[TIMES[-1]] / MIB
    return (
        Verdict(f"{work.name}, time for each, 8x / 1x", measured.dearer, "<=", GROWTH_TARGET, noisy=True),
        Verdict(f"{work.name}, off the line", measured.line.residual, "<=", RESIDUAL_TARGET, noisy=True),
        Verdict(f"{work.name}, growth at 8x", grown, "<=", MEMORY_TARGET, " MiB", noisy=True),
    )


def _measure(work: Work, sink: int, divisor: int, rounds: int, directory: Path) -> Measured:
    measured = Measured()
    server = work.start(sink, directory)
    try:
        work.do(server.port, work.warm_up // divisor)
        for name in in_turn([str(times) for times in TIMES], rounds):
            times = int(name)
            base = server.usage().resident
            server.reset_peak()
            started = time.perf_counter()
            work.do(server.port, times * (work.units // divisor))
            measured.wall[times].append(time.perf_counter() - started)
            measured.growth[times] = max(measured.growth[times], server.usage().peak - base)
    finally:
        server.stop()
    return measured
