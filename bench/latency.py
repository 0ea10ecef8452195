"""What a relay adds to one C-ECHO over an association that stays open."""

from __future__ import annotations

import time
from pathlib import Path

from bench.churn import start_raw_sink
from bench.options import Options
from bench.samples import in_turn, percentile, summarise
from bench.scu import Association
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, start
from bench.table import Report, markdown, number, spread

ECHOES = 500
"""C-ECHOs in one round."""


def run_latency(options: Options, directory: Path) -> list[Report]:
    """The median time of a C-ECHO of each subject, and what that adds to the direct way."""
    rounds = options.rounds or (2 if options.quick else 11)
    names = options.subjects((DIRECT, HAPROXY, DIMSEPROXY))
    medians: dict[str, list[float]] = {name: [] for name in names}
    tails: dict[str, list[float]] = {name: [] for name in names}
    sink = start_raw_sink(directory)
    running = {}
    associations: dict[str, Association] = {}
    try:
        for name in names:
            running[name] = start(name, sink.port, directory, options.others)
            associations[name] = Association(running[name].port)

        for name in in_turn(names, rounds):
            times = [_timed_echo(associations[name]) for _ in range(ECHOES)]
            medians[name].append(percentile(times, 50) * 1000)
            tails[name].append(percentile(times, 99) * 1000)
    finally:
        for association in associations.values():
            association.close()
        for subject in running.values():
            subject.stop()
        sink.stop()
    base = summarise(medians[DIRECT]).median if DIRECT in medians else None
    rows = [
        [
            name,
            spread(summarise(medians[name])),
            number(summarise(medians[name]).median - base) if base is not None else "-",
            spread(summarise(tails[name])),
        ]
        for name in names
    ]
    header = ("subject", "C-ECHO ms: median (min..max of rounds)", "added ms", "p99 ms")
    title = f"Latency of a kept association, {rounds} x {ECHOES} C-ECHOs"
    return [Report(title, (("", markdown(header, rows)),))]


def _timed_echo(association: Association) -> float:
    started = time.perf_counter()
    association.echo()
    return time.perf_counter() - started
