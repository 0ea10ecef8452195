"""Claims 2 and 3: the time and the processor time to move objects, against HAProxy and against no proxy."""

from __future__ import annotations

from pathlib import Path

from attrs import Factory, define

from bench import dcmtk
from bench.options import Options
from bench.samples import in_turn, paired_ratio, summarise
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, HAPROXY_ONE, Subject, start
from bench.table import Report, Verdict, markdown, spread
from bench.workloads import BIG, CT, SMALL, Workload

WALL_TARGET = 1.0
"""At most HAProxy's wall time."""
CPU_TARGET = 1.5
"""At most this many times HAProxy's processor time."""
STOCK_TARGET = 50.0
"""At least this many times faster than without a proxy."""
LOADS = ((CT, 11, 10), (BIG, 7, 2), (SMALL, 25, 5))
"""Of claim 2: a workload, the rounds of a full run, and what a brief one divides the number of objects by."""


@define
class Measured:
    """What was measured for one subject, one entry a round."""

    wall: list[float] = Factory(list)
    cpu: list[float] = Factory(list)
    peak: int = 0


def run_speed(options: Options, directory: Path) -> list[Report]:
    """Claim 2: CT, big and small objects, DCMTK peers without Nagle."""
    return [
        _against_haproxy(
            workload.scaled(divisor if options.quick else 1),
            options.rounds or (2 if options.quick else rounds),
            options,
            directory,
        )
        for workload, rounds, divisor in LOADS
        if not options.workload or options.workload in workload.name
    ]


def run_stock(options: Options, directory: Path) -> list[Report]:
    """Claim 3: small objects, DCMTK peers as they come."""
    workload = SMALL.scaled(10 if options.quick else 1)
    names = options.subjects((DIRECT, DIMSEPROXY) if options.quick else (DIRECT, HAPROXY, DIMSEPROXY))
    rounds = options.rounds or (1 if options.quick else 3)
    measured = _measure(workload, names, rounds, directory, dcmtk.STOCK, options)
    walls = {name: summarise(found.wall) for name, found in measured.items()}
    rows = [
        [
            name,
            spread(walls[name]),
            f"{paired_ratio(measured[DIRECT].wall, found.wall):.1f}" if DIRECT in measured else "-",
        ]
        for name, found in measured.items()
    ]
    table = markdown(("subject", "wall s: median (min..max)", "times faster than direct"), rows)
    verdicts = []
    if DIRECT in measured and DIMSEPROXY in measured:
        faster = paired_ratio(measured[DIRECT].wall, measured[DIMSEPROXY].wall)
        claim = f"{workload.objects} small objects, stock peers, times faster than direct"
        verdicts.append(Verdict(claim, faster, ">=", STOCK_TARGET, noisy=True))
    title = f"Faster than without: {workload.objects} small objects, stock DCMTK peers (claim 3)"
    return [Report(title, (("", table),), tuple(verdicts))]


def _against_haproxy(workload: Workload, rounds: int, options: Options, directory: Path) -> Report:
    names = options.subjects((DIRECT, HAPROXY, HAPROXY_ONE, DIMSEPROXY))
    measured = _measure(workload, names, rounds, directory, dcmtk.NO_NAGLE, options)
    base = measured.get(HAPROXY)
    rows = []
    for name, found in measured.items():
        cpu = summarise(value / workload.megabytes * 1000 for value in found.cpu)
        relays = name != DIRECT
        rows.append(
            [
                name,
                spread(summarise(found.wall)),
                f"{paired_ratio(found.wall, base.wall):.2f}" if base else "-",
                spread(cpu) if relays else "-",
                f"{paired_ratio(found.cpu, base.cpu):.2f}" if base and relays else "-",
                f"{found.peak / 2**20:.0f}" if relays else "-",
            ]
        )
    header = ("subject", "wall s: median (min..max)", "x HAProxy", "CPU ms/MB", "x HAProxy", "peak MiB")
    verdicts = []
    if base and DIMSEPROXY in measured:
        subject = measured[DIMSEPROXY]
        wall, cpu_ratio = paired_ratio(subject.wall, base.wall), paired_ratio(subject.cpu, base.cpu)
        verdicts.append(Verdict(f"{workload.name}, wall / HAProxy", wall, "<=", WALL_TARGET, noisy=True))
        claim = f"{workload.name}, CPU per MB / HAProxy"
        verdicts.append(Verdict(claim, cpu_ratio, "<=", CPU_TARGET, noisy=True))
    title = f"Speed: {workload.name}, {workload.objects} sent, {rounds} rounds, TCP_NODELAY (claim 2)"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _measure(
    workload: Workload,
    names: tuple[str, ...],
    rounds: int,
    directory: Path,
    environment: dict[str, str],
    options: Options,
) -> dict[str, Measured]:
    objects = workload.write(directory)
    sink = dcmtk.start_sink(directory, environment)
    running: dict[str, Subject] = {}
    try:
        for name in names:
            running[name] = start(name, sink.port, directory, options.others)
        return measure(running, objects, rounds, environment)
    finally:
        for subject in running.values():
            subject.stop()
        sink.stop()


def measure(
    running: dict[str, Subject], objects: Path, rounds: int, environment: dict[str, str], *options: str
) -> dict[str, Measured]:
    """Send the objects through each of the subjects in each round; ``options`` go to ``storescu``."""
    measured = {name: Measured() for name in running}
    if environment:
        # One run each that does not count: what is read or imported once is there from then on.
        for subject in running.values():
            dcmtk.send(subject.port, objects, environment, *options)
    for name in in_turn(tuple(running), rounds):
        subject, found = running[name], measured[name]
        before = subject.cpu()
        found.wall.append(dcmtk.send(subject.port, objects, environment, *options).wall)
        found.cpu.append(subject.cpu() - before)
        if subject.server:
            found.peak = max(found.peak, subject.server.usage().peak)
    return measured
