"""The archive: storing with fsync beside Orthanc and storescp, C-FIND over 100,000 studies, and a 2 GiB object.

storescp keeps the objects too, but neither syncs them nor has an index: it is the floor. Orthanc syncs (its default).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from bench import dcmtk, queries, studies, wire
from bench.options import Options
from bench.orthanc import start_orthanc
from bench.processes import BenchError, Server, environment, free_port, run
from bench.samples import in_turn, paired_ratio, summarise
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.speed import Measured
from bench.subjects import twistd_command
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import CT, KIB, MIB, Workload

ARCHIVE, ORTHANC, STORESCP = "dimseproxy archive", "Orthanc", "storescp"
OBJECTS = Workload("500 CT of 512 KiB", 500, CT.pixel_bytes)
QUICK_DIVISOR = 10
ROUNDS = 5
STORE_TARGET = 1.0
"""At most this many times Orthanc's own time."""

STUDIES, ORTHANC_STUDIES = 100_000, 10_000
"""Orthanc has to be sent each of its studies, so it gets a tenth of them."""
QUERY_ROUNDS = 15
QUERY_TARGET = 1.0

LENGTH = 2048 * MIB
GROWTH_TARGET = 16.0
"""MiB that an object may take: what waits for the disk, and some of what the allocator keeps."""

CONFIGURATION = """\
ae_title: ARCHIVE
data_dir: {folder}
inbound:
  bench:
    dimse: {{listen: "tcp:{port}:interface=127.0.0.1"}}
outbound:
  local:
    archive: {{watermark: {{refuse_below: "1 MiB"}}}}
routes:
  - {{outbound: local}}
applications:
  SINK: {{host: 127.0.0.1, port: {sink}}}
unknown_applications: accept
"""


@frozen
class Prepared:
    """An archive that is configured but not started."""

    port: int
    command: list[str]
    file: Path
    directory: Path

    @classmethod
    def within(cls, directory: Path, sink: int = 104) -> Prepared:
        """An empty one in a folder of its own."""
        port = free_port()
        folder = directory / f"archive-{port}"
        text = CONFIGURATION.format(folder=folder, port=port, sink=sink)
        return cls(port, twistd_command(text, port, directory), directory / f"dimseproxy.{port}.yaml", directory)

    def start(self) -> Server:
        """Start it, and wait until it listens."""
        return Server.start(ARCHIVE, self.command, self.port, self.directory, environment())


def run_archive(options: Options, directory: Path) -> list[Report]:
    """All three."""
    return [
        _storing(options, directory),
        _finding(options, directory),
        _memory(LENGTH // 8 if options.quick else LENGTH, directory),
    ]


# Storing


def _storing(options: Options, directory: Path) -> Report:
    workload = OBJECTS.scaled(QUICK_DIVISOR if options.quick else 1)
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    names = options.subjects((STORESCP, ORTHANC, ARCHIVE))
    objects = workload.write(directory)
    measured = {name: Measured() for name in names}
    for count, name in enumerate(in_turn(names, rounds)):
        # On a disk that has them already nothing would be written.
        fresh = directory / f"round-{count}"
        fresh.mkdir()
        server = _STARTS[name](fresh)
        try:
            before = server.usage().cpu
            measured[name].wall.append(dcmtk.send(server.port, objects, dcmtk.NO_NAGLE).wall)
            measured[name].cpu.append(server.usage().cpu - before)
        finally:
            server.stop()
    base = measured.get(ORTHANC)
    rows = [
        [
            name,
            spread(summarise(found.wall)),
            f"{paired_ratio(found.wall, base.wall):.2f}" if base else "-",
            spread(summarise(cpu / workload.objects * 1000 for cpu in found.cpu)),
        ]
        for name, found in measured.items()
    ]
    verdicts = []
    if base and ARCHIVE in measured:
        ratio = paired_ratio(measured[ARCHIVE].wall, base.wall)
        verdicts.append(Verdict(f"storing {workload.name}, wall / Orthanc", ratio, "<=", STORE_TARGET, noisy=True))
    header = ("subject", "wall s: median (min..max)", "x Orthanc", "CPU ms each")
    title = f"Archive: storing {workload.objects} CT of 512 KiB, {rounds} rounds, TCP_NODELAY, each on an empty folder"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _start_storescp(directory: Path) -> Server:
    kept = directory / "kept"
    kept.mkdir()
    return dcmtk.start_sink(directory, dcmtk.NO_NAGLE, kept)


_STARTS: Mapping[str, Callable[[Path], Server]] = {
    ARCHIVE: lambda directory: Prepared.within(directory).start(),
    ORTHANC: lambda directory: start_orthanc(directory, {}, dcmtk.NO_NAGLE),
    STORESCP: _start_storescp,
}


# Finding

_PATIENT_NAME, _PATIENT_ID, _ACCESSION = 0x00100010, 0x00100020, 0x00080050


def _questions(count: int) -> Mapping[str, Mapping[int, bytes]]:
    """Kinds of queries, about a study in the middle."""
    one = studies.study(count // 2)
    name, day = str(one.PatientName).encode(), one.StudyDate.encode()
    return {
        "a patient ID": {_PATIENT_ID: one.PatientID.encode()},
        "an accession number": {_ACCESSION: one.AccessionNumber.encode()},
        "a study UID": {queries.STUDY_INSTANCE: one.StudyInstanceUID.encode()},
        "a family name and *": {_PATIENT_NAME: name.partition(b"^")[0] + b"*"},
        "a name in other letters, and *": {_PATIENT_NAME: name.upper()[:12] + b"*"},
        "a day": {queries.STUDY_DATE: day},
        "a month": {queries.STUDY_DATE: day[:6] + b"01-" + day[:6] + b"31"},
        "a description and a day": {queries.STUDY_DESCRIPTION: b"CT*", queries.STUDY_DATE: day},
        "the end of a name": {_PATIENT_NAME: b"*" + name[-4:]},
    }


def _asked(matched: Mapping[int, bytes]) -> bytes:
    universal = (
        *(queries.STUDY_DATE, 0x00080030, _ACCESSION, queries.STUDY_DESCRIPTION),
        *(_PATIENT_NAME, _PATIENT_ID, 0x00100030, queries.STUDY_INSTANCE),
    )
    return queries.identifier({**dict.fromkeys(universal, b""), queries.LEVEL: b"STUDY", **matched})


def _finding(options: Options, directory: Path) -> Report:
    counts = {ARCHIVE: STUDIES, ORTHANC: ORTHANC_STUDIES}
    if options.quick:
        counts = {name: count // 20 for name, count in counts.items()}
    rounds = options.rounds or (3 if options.quick else QUERY_ROUNDS)
    asked = {name: {what: _asked(keys) for what, keys in _questions(counts[ORTHANC]).items()} for name in counts}
    measured: dict[tuple[str, str], list[float]] = {}
    found: dict[tuple[str, str], int] = {}
    with ExitStack() as running:
        prepared = Prepared.within(directory)
        filling = [sys.executable, "-m", "bench.studies", str(prepared.file), str(counts[ARCHIVE])]
        filled = run(filling, environment(), deadline=1800.0).wall
        servers = {ARCHIVE: prepared.start(), ORTHANC: start_orthanc(directory, {}, dcmtk.NO_NAGLE)}
        for server in servers.values():
            running.callback(server.stop)
        files = studies.write_files(counts[ORTHANC], directory / "studies")
        sent = dcmtk.send(servers[ORTHANC].port, files, dcmtk.NO_NAGLE).wall
        for name in in_turn(tuple(servers), rounds):
            with Association(servers[name].port, may_query=True) as association:
                for what, keys in asked[name].items():
                    started = time.perf_counter()
                    answers = association.find(keys).answers
                    measured.setdefault((what, name), []).append(time.perf_counter() - started)
                    found[what, name] = answers
                association.release()
    rows, verdicts = [], []
    for what in asked[ARCHIVE]:
        ours, theirs = measured[what, ARCHIVE], measured[what, ORTHANC]
        if not found[what, ARCHIVE] >= found[what, ORTHANC] > 0:
            raise BenchError(f"{what}: {found[what, ARCHIVE]} answers, and {found[what, ORTHANC]} of Orthanc")
        # Answers take time on the wire as well, and the one who knows more has more of them.
        each = [[value / found[what, name] for value in measured[what, name]] for name in (ARCHIVE, ORTHANC)]
        ratio = min(paired_ratio(ours, theirs), paired_ratio(*each))
        rows.append(
            [
                what,
                *(f"{spread(summarise(v * 1000 for v in measured[what, name]))}" for name in (ARCHIVE, ORTHANC)),
                str(found[what, ARCHIVE]),
                str(found[what, ORTHANC]),
                f"{ratio:.2f}",
            ]
        )
        verdicts.append(Verdict(f"C-FIND by {what}, time / Orthanc", ratio, "<", QUERY_TARGET, noisy=True))
    header = ("C-FIND by", "archive ms", "Orthanc ms", "answers", "of Orthanc", "x Orthanc")
    title = (
        f"Archive: C-FIND over {counts[ARCHIVE]:,} studies, and over {counts[ORTHANC]:,} of Orthanc, {rounds} rounds"
    )
    remarks = (
        f"the index was filled in {number(filled)} s, Orthanc sent its studies in {number(sent)} s",
        "x Orthanc: of the time of the query, or, where that is less, of the time for each answer",
    )
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts), remarks)


# Memory


def _memory(length: int, directory: Path) -> Report:
    sink = start_raw_sink(directory)
    server = Prepared.within(directory, sink.port).start()
    try:
        with Association(server.port, may_query=True) as association:
            # What an interpreter allocates once is no growth.
            association.store(64 * KIB)
            base = server.usage().resident
            server.reset_peak()
            started = time.perf_counter()
            association.store(length, wire.OTHER_INSTANCE)
            stored = time.perf_counter() - started
            growth = (server.usage().peak - base) / MIB
            server.reset_peak()
            base = server.usage().resident
            started = time.perf_counter()
            moved = association.move(b"SINK", queries.study(wire.STUDY))
            took = time.perf_counter() - started
            growth_moved = (server.usage().peak - base) / MIB
            association.release()
        if (moved.status, moved.completed) != (queries.SUCCESS, 2):
            raise BenchError(f"the C-MOVE ended with {moved}")
    finally:
        server.stop()
        sink.stop()
    rows = [
        ["C-STORE", number(length / 1e6 / stored), number(growth)],
        ["C-MOVE", number(length / 1e6 / took), number(growth_moved)],
    ]
    verdicts = (
        Verdict(f"C-STORE of {length // MIB} MiB, growth at its peak", growth, "<=", GROWTH_TARGET, " MiB"),
        Verdict(f"C-MOVE of {length // MIB} MiB, growth at its peak", growth_moved, "<=", GROWTH_TARGET, " MiB"),
    )
    header = ("what", "MB/s", "peak growth MiB")
    return Report(f"Archive: one object of {length // MIB} MiB", (("", markdown(header, rows)),), verdicts)
