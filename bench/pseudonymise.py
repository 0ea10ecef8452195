"""What pseudonyms cost: C-STORE of CT objects as an export gateway does it, against HAProxy's blind TCP.

Each object is new: ``storescu`` gives it a SOP Instance UID that nobody has seen.  Before anything is measured, what
comes out of each proxy is searched for original values, so that none is quick because it does nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pydicom

from bench import ct_head, dcmtk
from bench.options import Options
from bench.processes import BenchError, Server, free_port
from bench.samples import paired_ratio, summarise
from bench.shields import EXPORT, GATEWAY, start_proxy
from bench.speed import Measured, measure
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, environment, start
from bench.table import Report, Verdict, markdown, spread
from bench.workloads import CT, FULL_CT, Workload

PYNETDICOM = "pynetdicom proxy"
HAPROXY_TARGET = 0.8
"""At least this part of HAProxy's speed."""
PYNETDICOM_TARGET = 10.0
"""At least this many times the speed of a pynetdicom proxy that does the same."""
LOADS = (CT, FULL_CT)
ROUNDS = 7
QUICK_DIVISOR = 10
EDITORS = (GATEWAY, PYNETDICOM)
NEW_INSTANCES = "--invent-instance"


def run_pseudonymise(options: Options, directory: Path) -> list[Report]:
    """Wall and processor time of each subject for each workload."""
    return [
        _against_others(workload.scaled(QUICK_DIVISOR if options.quick else 1), options, directory)
        for workload in LOADS
        if not options.workload or options.workload in workload.name
    ]


def _against_others(workload: Workload, options: Options, directory: Path) -> Report:
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    names = options.subjects((DIRECT, HAPROXY, DIMSEPROXY, GATEWAY, PYNETDICOM))
    objects = workload.write(directory)
    port = free_port()
    running: dict[str, Subject] = {}
    try:
        for name in names:
            running[name] = _start(name, port, directory, options)
        _check(running, port, objects, directory)
        sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, port=port)
        try:
            measured = measure(running, objects, rounds, dcmtk.NO_NAGLE, NEW_INSTANCES)
        finally:
            sink.stop()
    finally:
        for subject in running.values():
            subject.stop()
    return _report(workload, rounds, measured)


def _start(name: str, sink: int, directory: Path, options: Options) -> Subject:
    if name == GATEWAY:
        return start_proxy(GATEWAY, sink, directory, EXPORT)
    if name == PYNETDICOM:
        port = free_port()
        database = directory / f"pynetdicom.{port}.sqlite"
        command = [sys.executable, "-m", "bench.pynetdicom_proxy", str(port), str(sink), str(database)]
        return Subject(name, port, Server.start(name, command, port, directory, environment()))
    return start(name, sink, directory, options.others)


def _check(running: dict[str, Subject], port: int, objects: Path, directory: Path) -> None:
    """Send one object through each, and see whether what arrives shows originals where it should, and only there.

    :raises BenchError: when a proxy that gives pseudonyms lets an original through
    """
    sample = min(objects.iterdir())
    for name, subject in running.items():
        kept = directory / f"kept-{objects.name}-{subject.port}"
        kept.mkdir()
        sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, kept, port)
        try:
            dcmtk.send(subject.port, sample, dcmtk.NO_NAGLE)
        finally:
            sink.stop()
        shown = originals_in(kept, sample)
        if name in EDITORS and shown:
            raise BenchError(f"{name} let originals through: {', '.join(shown)}")
        if name in (DIRECT, HAPROXY, DIMSEPROXY) and not shown:
            raise BenchError(f"no original came through {name}: the search for them is at fault")


def originals_in(kept: Path, sample: Path) -> list[str]:
    """Which of the original values of an object the objects in a folder show, by what they are.

    :raises BenchError: when there is no object
    """
    sent = pydicom.dcmread(sample, stop_before_pixels=True)
    originals = {
        "the patient": (b"Bench", b"BENCH"),
        "a text": tuple(marker.encode() for marker in ct_head.MARKERS),
        "the study": (sent.StudyInstanceUID.encode(),),
        "the series": (sent.SeriesInstanceUID.encode(),),
        "the instance": (sent.SOPInstanceUID.encode(),),
        "a reference": (ct_head.UID_ROOT.encode(),),
    }
    files = [file.read_bytes() for file in kept.iterdir()]
    if not files:
        raise BenchError("nothing arrived at the sink")
    return [what for what, values in originals.items() if any(value in file for value in values for file in files)]


def _report(workload: Workload, rounds: int, measured: dict[str, Measured]) -> Report:
    base, slow = measured.get(HAPROXY), measured.get(PYNETDICOM)
    rows = []
    for name, found in measured.items():
        relays = name != DIRECT
        rows.append(
            [
                name,
                spread(summarise(found.wall)),
                f"{paired_ratio(base.wall, found.wall):.2f}" if base else "-",
                f"{paired_ratio(slow.wall, found.wall):.1f}" if slow else "-",
                spread(summarise(cpu / workload.objects * 1000 for cpu in found.cpu)) if relays else "-",
                f"{found.peak / 2**20:.0f}" if relays else "-",
            ]
        )
    header = ("subject", "wall s: median (min..max)", "HAProxy's speed x", "pynetdicom's x", "CPU ms each", "peak MiB")
    verdicts = []
    if GATEWAY in measured:
        ours = measured[GATEWAY]
        if base:
            claim = f"{workload.name} under pseudonyms, speed / HAProxy"
            ratio = paired_ratio(base.wall, ours.wall)
            verdicts.append(Verdict(claim, ratio, ">=", HAPROXY_TARGET, noisy=True))
        if slow:
            claim = f"{workload.name} under pseudonyms, speed / pynetdicom proxy"
            ratio = paired_ratio(slow.wall, ours.wall)
            verdicts.append(Verdict(claim, ratio, ">=", PYNETDICOM_TARGET, noisy=True))
    title = f"Pseudonyms on the fly: {workload.name}, {workload.objects} sent, {rounds} rounds, TCP_NODELAY"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))
