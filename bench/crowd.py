"""``crowd``: 1,000 associations at once, 200 of them transferring all the time, and how the others fare meanwhile.

What they transfer fills a gigabit Ethernet. A second time each sends as fast as it goes: then all that the machine has
is busy, the peers too, and the row ``direct`` says how long a C-ECHO waits for the machine alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from attrs import frozen

from bench.generator import Generator, Load, together
from bench.messages import echo, store
from bench.options import Options
from bench.processes import Usage
from bench.samples import percentile, summarise
from bench.scp import start_raw_sink
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, start, start_proxy
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import KIB

ASSOCIATIONS, TRANSFERRING = 1000, 200
LENGTH = 512 * KIB
INTERVAL = 2.0
"""Seconds between two C-ECHOs of an association that transfers nothing."""
GIGABIT = 1e9 / 8
"""Bytes a second."""
PACES = {"a gigabit": TRANSFERRING * LENGTH / GIGABIT, "all they can": 0.0}
"""Seconds from one object of an association to the next; 0 for as fast as the answers come."""
JUDGED = "a gigabit"
ROUNDS, SECONDS = 3, 10.0
P99_TARGET = 100.0
"""Milliseconds that a C-ECHO may take at the 99th percentile."""
MEMORY_TARGET = 60.0
"""KiB that an association may take at the peak, the data on its way included."""


@frozen
class Round:
    """One round of a subject."""

    p50: float
    """Milliseconds of a C-ECHO at the percentiles."""
    p99: float
    worst: float
    objects: float
    """Objects a second."""
    rest: float
    """KiB of each association when all are open, and at the peak while some transfer."""
    peak: float


def run_crowd(options: Options, directory: Path) -> list[Report]:
    """C-ECHOs, objects and memory of each subject; each round anew, because memory is not given back."""
    divisor = 10 if options.quick else 1
    count, busy = ASSOCIATIONS // divisor, TRANSFERRING // divisor
    rounds, seconds = options.rounds or (1 if options.quick else ROUNDS), 1.5 if options.quick else SECONDS
    rows, verdicts = [], []
    sink = start_raw_sink(directory)
    try:
        for pace, name in product(PACES, options.subjects((DIRECT, HAPROXY, DIMSEPROXY))):
            loads = (Load(count - busy, echo, interval=INTERVAL), Load(busy, store(LENGTH), interval=PACES[pace]))
            found = [_round(name, sink.port, loads, seconds, options, directory) for _ in range(rounds)]
            p99, peak = summarise(each.p99 for each in found), summarise(each.peak for each in found)
            rows.append(
                [
                    pace,
                    name,
                    spread(summarise(each.p50 for each in found)),
                    spread(p99),
                    spread(summarise(each.worst for each in found)),
                    number(summarise(each.objects for each in found).median),
                    spread(summarise(each.rest for each in found)) if name != DIRECT else "-",
                    spread(peak) if name != DIRECT else "-",
                ]
            )
            if name == DIMSEPROXY and pace == JUDGED:
                claim = f"{count} associations, {busy} transferring, p99 of a C-ECHO"
                verdicts.append(Verdict(claim, p99.median, "<", P99_TARGET, " ms", noisy=True))
                claim = "each of them at the peak"
                verdicts.append(Verdict(claim, peak.median, "<", MEMORY_TARGET, " KiB", noisy=True))
    finally:
        sink.stop()
    header = (
        "transferred",
        "way",
        "C-ECHO ms: p50",
        "p99",
        "max",
        "objects/s",
        "KiB each, at rest",
        "KiB each, at the peak",
    )
    title = f"Crowd: {count} associations, {busy} sending {LENGTH // KIB} KiB again and again, {rounds} x {seconds:g} s"
    return [Report(title, (("", markdown(header, rows, texts=2)),), tuple(verdicts))]


def _round(name: str, sink: int, loads: Sequence[Load], seconds: float, options: Options, directory: Path) -> Round:
    count = sum(load.associations for load in loads)
    if name == DIMSEPROXY:
        subject = start_proxy(DIMSEPROXY, sink, directory, max_associations=count + 10)
    else:
        subject = start(name, sink, directory, options.others)
    try:
        # What an interpreter allocates once is no association's.
        together(subject.port, [Load(2, store(LENGTH))], 0.2)
        before = _usage(subject)
        with Generator(subject.port, loads, seconds) as generator:
            opened = _usage(subject)
            if subject.server:
                subject.server.reset_peak()
            echoes, objects = generator.run()
            after = _usage(subject)
    finally:
        subject.stop()
    p50, p99, worst = (percentile(echoes.latencies, percent) * 1000 for percent in (50, 99, 100))
    return Round(
        p50,
        p99,
        worst,
        objects.rate,
        (opened.resident - before.resident) / count / KIB,
        (after.peak - before.resident) / count / KIB,
    )


def _usage(subject: Subject) -> Usage:
    return subject.server.usage() if subject.server else Usage(0.0, 0, 0)
