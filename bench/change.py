"""``change``: what a change does to the speed: this checkout beside another one, with HAProxy as the measure of both.

``bench/run change --base COMMIT`` checks the commit out beside this one for as long as it takes; without it, what is
not committed is compared with what is. Both run in the same Python with the same packages.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import dcmtk, originals
from bench.compare import LOADS, NEW_INSTANCES
from bench.options import Options
from bench.processes import CHECKOUT, BenchError, free_port
from bench.samples import paired_ratio, summarise
from bench.speed import Measured, measure
from bench.subjects import DIMSEPROXY, DIMSEPROXY_TLS, GATEWAY, GATEWAY_TLS, HAPROXY, HAPROXY_TLS, Subject, start
from bench.table import Report, markdown, spread
from bench.workloads import Workload

MEASURES = {DIMSEPROXY: HAPROXY, GATEWAY: HAPROXY, DIMSEPROXY_TLS: HAPROXY_TLS, GATEWAY_TLS: HAPROXY_TLS}
"""What each way of ours is held against."""
ROUNDS = 9


def run_change(options: Options, directory: Path) -> list[Report]:
    """The loads of the table, before and after."""
    ways = tuple(way for way in MEASURES if not options.only or way in options.only)
    rows: list[list[str]] = []
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    with _checked_out(options.base, directory / "base") as base:
        for load in LOADS:
            workload = load.brief if options.quick else load.workload
            if workload is not None and options.workload in load.workload.name:
                folder = directory / f"load-{LOADS.index(load)}"
                folder.mkdir()
                rows.extend(_rows(workload, ways, _measure(workload, ways, rounds, base, folder)))
    header = (
        *("objects", "way", "wall s: base", "now", "speed x HAProxy: base", "now", "wall, now / base"),
        *("CPU us for each: base", "now", "CPU, now / base"),
    )
    title = f"What changed since {options.base}: {rounds} rounds, DCMTK peers with TCP_NODELAY, every object new"
    remarks = ("medians (and spreads); ratios are those within the rounds; ways over TLS are held against HAProxy's",)
    return [Report(title, (("", markdown(header, rows, texts=2)),), (), remarks)]


def _measure(
    workload: Workload, ways: tuple[str, ...], rounds: int, base: Path, directory: Path
) -> dict[str, Measured]:
    objects = workload.write(directory)
    port = free_port()
    running: dict[str, Subject] = {}
    try:
        for name in dict.fromkeys(MEASURES[way] for way in ways):
            running[name] = start(name, port, directory)
        for way in ways:
            running[_before(way)] = start(way, port, directory, checkout=base)
            running[way] = start(way, port, directory)
        originals.check(running, port, objects, directory)
        sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, port=port)
        try:
            return measure(running, objects, rounds, dcmtk.NO_NAGLE, NEW_INSTANCES)
        finally:
            sink.stop()
    finally:
        for subject in running.values():
            subject.stop()


def _rows(workload: Workload, ways: tuple[str, ...], measured: dict[str, Measured]) -> Iterator[list[str]]:
    for way in ways:
        measure_of_both, before, now = measured[MEASURES[way]], measured[_before(way)], measured[way]
        each = 1e6 / workload.objects
        yield [
            workload.name,
            way,
            spread(summarise(before.wall)),
            spread(summarise(now.wall)),
            f"{paired_ratio(measure_of_both.wall, before.wall):.3f}",
            f"{paired_ratio(measure_of_both.wall, now.wall):.3f}",
            f"{paired_ratio(now.wall, before.wall):.3f}",
            spread(summarise(cpu * each for cpu in before.cpu)),
            spread(summarise(cpu * each for cpu in now.cpu)),
            f"{paired_ratio(now.cpu, before.cpu):.3f}",
        ]


def _before(way: str) -> str:
    return f"{way}, base"


@contextmanager
def _checked_out(base: str, directory: Path) -> Iterator[Path]:
    """The folder of a commit's checkout; a folder is its own."""
    if Path(base).is_dir():
        yield Path(base).resolve()
        return
    _git("worktree", "add", "--detach", str(directory), base)
    try:
        yield directory
    finally:
        _git("worktree", "remove", "--force", str(directory))


def _git(*words: str) -> None:
    done = subprocess.run(["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"git {words[0]}: {done.stderr.strip()}")
