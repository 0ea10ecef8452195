"""``pool``: one association for each object, directly, through relays, and through a pool of associations.

The raw SCU does as little as can be done for an association. ``storescu`` is a process for each object, as a script
or a router starts it: its own start is in all of its figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from bench import dcmtk, wire
from bench.options import Options
from bench.orthanc import start_orthanc
from bench.processes import BenchError, Server, environment, free_port
from bench.samples import in_turn, paired_ratio, summarise
from bench.scu import Association
from bench.speed import Measured
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, start, twistd_command
from bench.table import Report, Verdict, markdown, spread
from bench.workloads import KIB, Workload

POOLED = "dimseproxy, pool"
SUBJECTS = (DIRECT, HAPROXY, DIMSEPROXY, POOLED)
TARGET = 1.0
"""Through the pool at most this part of the time that it takes directly."""
OBJECTS, PROCESSES, BRIEF = 500, 100, 20
"""How many objects the raw SCU sends, and ``storescu``; and either in a brief run."""
SIZE = 12 * KIB
COUNTED = 20
"""How many associations are opened with a sink that counts them."""
ACCEPTED = "Association Received"


@frozen
class _Callers:
    """Who sends objects to a port, each in an association of its own, and how many."""

    name: str
    objects: int
    send: Callable[[int, int, Path, dict[str, str]], None]


CONTENT = b"".join(
    wire.data_element(tag, value)
    for tag, value in (
        (0x00080016, wire.uid(wire.CT_IMAGE_STORAGE)),
        (0x00080018, wire.uid(wire.INSTANCE)),
        (0x00100020, b"BENCH "),
        (0x0020000D, wire.uid(wire.STUDY)),
        (0x0020000E, wire.uid(wire.SERIES)),
        (0x7FE00010, bytes(SIZE)),
    )
)
"""A data set that a sink can read to its end."""


def _raw(port: int, objects: int, file: Path, environment: dict[str, str]) -> None:
    for _ in range(objects):
        with Association(port) as association:
            status = association.keep(wire.INSTANCE, CONTENT)
            if status:
                raise BenchError(f"an object was answered with status {status:04X}")
            association.release()


def _storescu(port: int, objects: int, file: Path, environment: dict[str, str]) -> None:
    for _ in range(objects):
        dcmtk.send(port, file, environment)


CALLERS = (_Callers("raw SCU", OBJECTS, _raw), _Callers("storescu", PROCESSES, _storescu))
CLAIMED = "storescp as it comes"
"""What is claimed is claimed of stock peers. Without Nagle's algorithm an association with a sink on the same machine
costs less than one with any relay."""
SINKS: tuple[tuple[str, dict[str, str]], ...] = (
    (CLAIMED, dcmtk.STOCK),
    ("storescp without Nagle", dcmtk.NO_NAGLE),
    ("Orthanc", dcmtk.NO_NAGLE),
)


def run_pool(options: Options, directory: Path) -> list[Report]:
    """Every kind of caller with every sink."""
    rounds = options.rounds or (1 if options.quick else 3)
    [file] = Workload("a small object", 1, SIZE).write(directory).iterdir()
    return [
        _run(sink, settings, rounds, file, options, directory)
        for sink, settings in SINKS
        if any(options.workload in _load(callers, sink) for callers in CALLERS)
    ]


def _run(sink_name: str, settings: dict[str, str], rounds: int, file: Path, options: Options, parent: Path) -> Report:
    directory = parent / sink_name.replace(" ", "-")
    directory.mkdir()
    sink = start_orthanc(directory, {}, settings) if sink_name == "Orthanc" else dcmtk.start_sink(directory, settings)
    rows, verdicts = [], []
    counts: dict[str, int] = {}
    running: dict[str, Subject] = {}
    try:
        for name in options.subjects(SUBJECTS):
            running[name] = _start(name, sink.port, directory, options.others)
        for callers in CALLERS:
            if options.workload not in _load(callers, sink_name):
                continue
            objects = BRIEF if options.quick else callers.objects
            measured = _measure(running, callers, objects, rounds, file, settings)
            rows += _rows(callers, objects, measured)
            if sink_name == CLAIMED and DIRECT in measured and POOLED in measured:
                ratio = paired_ratio(measured[POOLED].wall, measured[DIRECT].wall)
                claim = f"{objects} associations, {_load(callers, sink_name)}, pool / direct"
                verdicts.append(Verdict(claim, ratio, "<=", TARGET, noisy=True))
        if sink_name != "Orthanc":
            sink.stop()
            counts = _counted(running, sink.port, directory, file)
    finally:
        for subject in running.values():
            subject.stop()
        sink.stop()
    header = ("callers", "way", "wall s: median (min..max)", "x direct", "CPU us each: median (min..max)")
    tables = [("", markdown(header, rows, texts=2))]
    if counts:
        counted = [[name, str(count)] for name, count in counts.items()]
        tables.append(("", markdown(("way", f"associations of {COUNTED} that the sink accepted"), counted)))
    title = f"One association for each object of {SIZE // KIB} KiB, sink: {sink_name}, {rounds} rounds"
    return Report(title, tuple(tables), tuple(verdicts))


def _load(callers: _Callers, sink: str) -> str:
    return f"{callers.name} to {sink}"


def _measure(
    running: Mapping[str, Subject],
    callers: _Callers,
    objects: int,
    rounds: int,
    file: Path,
    settings: dict[str, str],
) -> dict[str, Measured]:
    measured = {name: Measured() for name in running}
    for subject in running.values():
        # One that does not count: what is loaded once is there from then on.
        callers.send(subject.port, 1, file, settings)
    for name in in_turn(tuple(running), rounds):
        subject, found = running[name], measured[name]
        before = subject.cpu()
        started = time.perf_counter()
        callers.send(subject.port, objects, file, settings)
        found.wall.append(time.perf_counter() - started)
        found.cpu.append((subject.cpu() - before) / objects * 1e6)
    return measured


def _rows(callers: _Callers, objects: int, measured: Mapping[str, Measured]) -> list[list[str]]:
    direct = measured.get(DIRECT)
    return [
        [
            f"{objects} x {callers.name}",
            name,
            spread(summarise(found.wall)),
            f"{paired_ratio(found.wall, direct.wall):.2f}" if direct else "-",
            spread(summarise(found.cpu)) if name != DIRECT else "-",
        ]
        for name, found in measured.items()
    ]


def _counted(running: Mapping[str, Subject], port: int, directory: Path, file: Path) -> dict[str, int]:
    """How many associations a sink accepts that says so, for as many objects through each of the subjects."""
    command = [dcmtk.program("storescp"), "--verbose", "--ignore", "--aetitle", "SINK", str(port)]
    counts = {}
    sink = Server.start("storescp that counts", command, port, directory, dcmtk.NO_NAGLE)
    try:
        for name, subject in running.items():
            before = sink.said(1 << 30).count(ACCEPTED)
            _raw(subject.port, COUNTED, file, dcmtk.NO_NAGLE)
            counts[name] = sink.said(1 << 30).count(ACCEPTED) - before
    finally:
        sink.stop()
    return counts


def _start(name: str, sink: int, directory: Path, others: dict[str, str]) -> Subject:
    if name != POOLED:
        return start(name, sink, directory, others)
    port = free_port()
    # A sink that serves one association at a time would wait for the idle one otherwise, as the others for it.
    outbound: dict[str, Any] = {"connect": f"tcp:127.0.0.1:{sink}", "ae_title": "SINK", "pool": {"idle": 0.5}}
    configuration = {
        "ae_title": "DIMSEPROXY",
        "inbound": {"bench": {"dimse": {"listen": f"tcp:{port}:interface=127.0.0.1"}}},
        "outbound": {"sink": {"dimse": outbound}},
        "unknown_applications": "accept",
    }
    command = twistd_command(json.dumps(configuration), port, directory)
    return Subject(name, port, Server.start(name, command, port, directory, environment()))
