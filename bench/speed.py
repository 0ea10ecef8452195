"""What it takes to send a folder of objects from ``storescu`` to a sink; and ``stock``: the same with stock peers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from attrs import Factory, define

from bench import dcmtk
from bench.options import Options
from bench.processes import BenchError, Server
from bench.samples import in_turn, paired_ratio, summarise
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, start
from bench.table import Report, Verdict, markdown, spread
from bench.workloads import KIB, SMALL

STOCK_TARGET = 50.0
"""At least this many times faster than without a proxy."""
QUIET = 1.0
"""Seconds without a byte after which a sink has all that it gets."""
TOLERANCE = 0.005
"""The part by which the bytes of the same objects differ, since each has a UID of another length each time."""
ASSOCIATION = 8 * KIB
"""Bytes that it takes at the most to open an association with the sink, which is not done for each round."""
DELIVERY_DEADLINE = 120.0
"""Seconds that a subject may take to deliver what it has answered."""


@define
class Measured:
    """What was measured for one subject, one entry a round."""

    wall: list[float] = Factory(list)
    cpu: list[float] = Factory(list)
    peak: int = 0


def run_stock(options: Options, directory: Path) -> list[Report]:
    """Small objects, DCMTK peers as they come."""
    workload = SMALL.scaled(10 if options.quick else 1)
    names = options.subjects((DIRECT, DIMSEPROXY) if options.quick else (DIRECT, HAPROXY, DIMSEPROXY))
    rounds = options.rounds or (1 if options.quick else 3)
    objects = workload.write(directory)
    sink = dcmtk.start_sink(directory, dcmtk.STOCK)
    running: dict[str, Subject] = {}
    try:
        for name in names:
            running[name] = start(name, sink.port, directory, options.others)
        measured = measure(running, objects, rounds, dcmtk.STOCK)
    finally:
        for subject in running.values():
            subject.stop()
        sink.stop()
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
    title = f"Faster than without: {workload.objects} small objects, stock DCMTK peers"
    return [Report(title, (("", table),), tuple(verdicts))]


def measure(
    running: Mapping[str, Subject], objects: Path, rounds: int, environment: dict[str, str], *options: str
) -> dict[str, Measured]:
    """Send the objects through each of the subjects in each round; ``options`` go to ``storescu``.

    The processor time is that of the subject, not of the peers. Where a subject answers before it has delivered, its
    time ends when the last byte is at its sink.
    """
    measured = {name: Measured() for name in running}
    delivered: dict[str, int] = {}
    for name, subject in running.items():
        # One run each that does not count: what is read or imported once is there from then on.
        if environment or subject.sink:
            before = subject.sink.bytes_read() if subject.sink else 0
            _send(subject, objects, environment, options)
            if subject.sink:
                delivered[name] = _at_rest(subject.sink, before, objects) - before
    for name in in_turn(tuple(running), rounds):
        subject, found = running[name], measured[name]
        before_cpu, before = subject.cpu(), subject.sink.bytes_read() if subject.sink else 0
        started = time.perf_counter()
        wall = _send(subject, objects, environment, options)
        if subject.sink:
            _wait_for(subject.sink, before + int(delivered[name] * (1 - TOLERANCE)) - ASSOCIATION)
            wall = time.perf_counter() - started
        found.wall.append(wall)
        found.cpu.append(subject.cpu() - before_cpu)
        if subject.server:
            found.peak = max(found.peak, subject.server.usage().peak)
        if subject.sink:
            # What is still under way would be part of the next round.
            _at_rest(subject.sink, before, objects)
    return measured


def _send(subject: Subject, objects: Path, environment: dict[str, str], options: tuple[str, ...]) -> float:
    """Seconds until all is answered.

    :raises BenchError: when it is not, with the subject's name and what it said
    """
    try:
        return dcmtk.send(subject.port, objects, environment, *dcmtk.tls(subject.ca), *options).wall
    except BenchError as error:
        said = f"; it said:\n{subject.server.said()}" if subject.server else ""
        raise BenchError(f"{subject.name}: {error}{said}") from error


def _wait_for(sink: Server, wanted: int) -> None:
    deadline = time.monotonic() + DELIVERY_DEADLINE
    while sink.bytes_read() < wanted:
        if time.monotonic() > deadline:
            raise BenchError(f"the objects were not delivered within {DELIVERY_DEADLINE:g} s")
        time.sleep(0.002)


def _at_rest(sink: Server, before: int, objects: Path) -> int:
    """What the sink has read when nearly all has come and nothing comes any more."""
    _wait_for(sink, before + int(sum(file.stat().st_size for file in objects.iterdir()) * 0.9))
    read, since = sink.bytes_read(), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.02)
        if (now := sink.bytes_read()) != read:
            read, since = now, time.monotonic()
    return read
