"""Claim 5: an object of 2 GiB to a reader at 64 KiB/s, once and fifty times at once; and at full speed."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from bench.options import Options
from bench.processes import BenchError, Server
from bench.scp import start_raw_sink
from bench.scu import Association, echo_once
from bench.subjects import DIMSEPROXY, HAPROXY, Subject, start
from bench.table import Report, Verdict, markdown, number
from bench.workloads import KIB, MIB

LENGTH = 2048 * MIB
RATE = 64 * KIB
"""Bytes per second that each slow reader takes."""
PARALLEL = (1, 50)
TARGET = 1.0
"""MiB that each object may add."""
SETTLING = 25.0
"""Seconds until the kernel's buffers are full and the sender feels it; the object would last nine hours."""


def run_memory(options: Options, directory: Path) -> list[Report]:
    """The growth of each subject, and whether it is at most 1 MiB for each object."""
    names = options.subjects((HAPROXY, DIMSEPROXY))
    settling = 1.0 if options.quick else SETTLING
    length = LENGTH // 16 if options.quick else LENGTH
    return [
        *(_slow(parallel, settling, names, options, directory) for parallel in PARALLEL),
        _full_speed(length, names, options, directory),
    ]


def _slow(parallel: int, settling: float, names: tuple[str, ...], options: Options, directory: Path) -> Report:
    rows, verdicts = [], []
    sink = start_raw_sink(directory, RATE)
    try:
        for name in names:
            grown, peak = _growth(name, sink, parallel, settling, options, directory)
            each, peak_each = grown / MIB / parallel, peak / MIB / parallel
            rows.append([name, number(grown / MIB), number(each), number(peak_each)])
            if name == DIMSEPROXY:
                claim = f"{parallel} x 2 GiB to a reader at 64 KiB/s, growth of each at its peak"
                verdicts.append(Verdict(claim, peak_each, "<=", TARGET, " MiB"))
    finally:
        sink.stop()
    header = ("subject", f"growth MiB after {settling:g} s", "MiB each", "peak MiB each")
    title = f"Flat memory: {parallel} x 2 GiB to readers at 64 KiB/s (claim 5)"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _growth(
    name: str, sink: Server, parallel: int, settling: float, options: Options, directory: Path
) -> tuple[int, int]:
    subject = start(name, sink.port, directory, options.others)
    associations: list[Association] = []
    try:
        server = _relay(subject)
        _warm_up(subject)
        base = server.usage().resident
        server.reset_peak()
        associations.extend(Association(subject.port) for _ in range(parallel))
        failures: list[str] = []
        for association in associations:
            threading.Thread(target=_store_until_closed, args=(association, failures), daemon=True).start()
        end = time.monotonic() + settling
        while time.monotonic() < end and not failures:
            time.sleep(0.2)
        if failures:
            raise BenchError(f"{name}: a sender failed before its time: {failures[0]}")
        usage = server.usage()
        return usage.resident - base, usage.peak - base
    finally:
        for association in associations:
            association.close()
        subject.stop()


def _store_until_closed(association: Association, failures: list[str]) -> None:
    try:
        association.store(LENGTH)
    except (OSError, BenchError) as error:
        failures.append(f"{type(error).__name__}: {error}")


def _full_speed(length: int, names: tuple[str, ...], options: Options, directory: Path) -> Report:
    rows, verdicts = [], []
    sink = start_raw_sink(directory)
    try:
        for name in names:
            subject = start(name, sink.port, directory, options.others)
            try:
                server = _relay(subject)
                _warm_up(subject)
                base = server.usage()
                server.reset_peak()
                started = time.perf_counter()
                with Association(subject.port) as association:
                    association.store(length)
                    association.release()
                wall = time.perf_counter() - started
                usage = server.usage()
            finally:
                subject.stop()
            grown = (usage.peak - base.resident) / MIB
            cpu = (usage.cpu - base.cpu) / (length / 1e9)
            rows.append([name, number(length / 1e6 / wall), number(cpu), number(grown)])
            if name == DIMSEPROXY:
                claim = f"{length // MIB} MiB at full speed, growth at its peak"
                verdicts.append(Verdict(claim, grown, "<=", TARGET, " MiB"))
    finally:
        sink.stop()
    header = ("subject", "MB/s", "CPU s/GB", "peak growth MiB")
    title = f"Flat memory: one object of {length // MIB} MiB at full speed"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _relay(subject: Subject) -> Server:
    if subject.server is None:
        raise BenchError(f"{subject.name} has no process to measure")
    return subject.server


def _warm_up(subject: Subject) -> None:
    # What an interpreter allocates once, at its first association and object, is no growth; what each of many
    # associations holds is.
    for _ in range(3):
        echo_once(subject.port)
    with Association(subject.port) as association:
        association.store(64 * KIB)
        association.release()
