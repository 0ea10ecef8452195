"""What a C-FIND costs through the shield: 1,000 answers with gPAS 5 ms away, and the memory of 100,000 of them.

The values of all answers differ, and the shield is started anew for each C-FIND, so that it has seen none of them.
Before it is measured it answers one for other studies, and the PACS is asked for the same ones directly: whoever had to
wait for a process to start would find the PACS asleep, and the next one awake.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import Factory, define

from bench import dcmtk, queries
from bench.options import Options
from bench.orthanc import start_orthanc
from bench.processes import BenchError, Server
from bench.samples import in_turn, paired_ratio, summarise
from bench.scp import start_raw_sink
from bench.scu import Association, Found
from bench.shields import SHIELD, VAULT_SHIELD, gpas_shield, start_gpas
from bench.subjects import DIMSEPROXY, DIRECT, Subject, process_of, start_proxy
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import MIB, new_object, new_uid

ANSWERS, WARM_UP = 1000, 500
TARGET = 2.0
"""At most this many times the PACS's own time."""
AGAIN = "the same again"
ORTHANC = "Orthanc"
MANY, MANY_BEFORE = 100_000, 150_000
"""Answers whose memory is measured, and those before them: they fill the caches of pseudonyms, which have a limit."""
MEMORY_TARGET = 8.0
"""MiB that 100,000 answers may add. Their data sets alone would be three times as many."""
RESTS = (0.0, 3.0)
"""Seconds for which the caller reads nothing, in the middle."""
ROUNDS = 7
QUICK_DIVISOR, QUICK_RESTS = 50, (0.5,)
"""Of the many, and the rest that a caller takes in a brief run."""


@define
class Measured:
    """Seconds of each C-FIND, one entry a round."""

    wall: list[float] = Factory(list)
    cpu: list[float] = Factory(list)


def run_answers(options: Options, directory: Path) -> list[Report]:
    """The time of 1,000 answers from Orthanc and from the raw SCP; the memory that many take."""
    wanted = ANSWERS // (10 if options.quick else 1)
    reports = []
    with stopping(start_gpas(directory)) as gpas:
        with stopping(start_orthanc(directory, {}, dcmtk.NO_NAGLE)) as pacs:
            _fill(pacs.port, wanted, directory)
            reports.append(_times(ORTHANC, pacs.port, gpas.port, wanted, options, directory))
        with stopping(start_raw_sink(directory)) as pacs:
            reports.append(_times("the raw SCP", pacs.port, gpas.port, wanted, options, directory))
            reports.append(_memory(pacs.port, gpas.port, options, directory))
    return reports


@contextmanager
def stopping(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.stop()


def _fill(port: int, wanted: int, directory: Path) -> None:
    """Store a small object for each study, every one of another patient, and those of the first C-FIND."""
    for count in (wanted, WARM_UP):
        objects = directory / f"studies-{count}"
        objects.mkdir()
        for index in range(count):
            name = f"{count}.{index:05d}"
            data_set = new_object(queries.UID_MARKER.decode() + f"{count:06d}{index:06d}", new_uid(), index, b"")
            data_set.PatientID, data_set.PatientName = f"Bench-{name}", f"Bench^{name}"
            data_set.AccessionNumber, data_set.StudyID = f"Bench{name}", f"Bench.{name}"
            data_set.PatientBirthDate, data_set.PatientSex = "19700101", "O"
            data_set.StudyDate, data_set.StudyTime = "20240229", "101112"
            data_set.ReferringPhysicianName = "Bench^Referring"
            data_set.StudyDescription = str(count)
            data_set.save_as(objects / f"{index:06d}.dcm", enforce_file_format=True)
        dcmtk.send(port, objects, dcmtk.NO_NAGLE)


def _times(title: str, pacs: int, gpas: int, wanted: int, options: Options, directory: Path) -> Report:
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    names = options.subjects((DIRECT, DIMSEPROXY, SHIELD))
    measured = {name: Measured() for name in names}
    if SHIELD in names and title == ORTHANC:
        # The raw SCP gives no answer twice.
        measured[AGAIN] = Measured()
    for name in in_turn(names, rounds):
        subject = _start(name, pacs, gpas, directory)
        try:
            _timed_find(subject, WARM_UP, Measured())
            _timed_find(Subject(DIRECT, pacs), wanted, Measured())
            _timed_find(subject, wanted, measured[name])
            if name == SHIELD and AGAIN in measured:
                _timed_find(subject, wanted, measured[AGAIN])
        finally:
            subject.stop()
    base = measured.get(DIRECT)
    rows = [
        [
            name,
            spread(summarise(wall * 1000 for wall in found.wall)),
            f"{paired_ratio(found.wall, base.wall):.2f}" if base else "-",
            spread(summarise(cpu / wanted * 1e6 for cpu in found.cpu)) if name != DIRECT else "-",
        ]
        for name, found in measured.items()
    ]
    header = ("subject", "wall ms: median (min..max)", "x direct", "CPU us an answer")
    verdicts = []
    if base and SHIELD in measured and title == ORTHANC:
        claim = f"{wanted} answers of {title}, every value looked up at gPAS, wall / direct"
        verdicts.append(Verdict(claim, paired_ratio(measured[SHIELD].wall, base.wall), "<=", TARGET, noisy=True))
    heading = f"C-FIND of {wanted} studies from {title}, gPAS at 5 ms, {rounds} rounds"
    return Report(heading, (("", markdown(header, rows)),), tuple(verdicts))


def _start(name: str, pacs: int, gpas: int, directory: Path) -> Subject:
    if name == DIRECT:
        return Subject(DIRECT, pacs)
    return start_proxy(name, pacs, directory, gpas_shield(gpas) if name == SHIELD else None)


def _timed_find(subject: Subject, wanted: int, measured: Measured) -> None:
    with Association(subject.port, may_query=True) as association:
        before, started = subject.cpu(), time.perf_counter()
        found = association.find(queries.studies(b"%d" % wanted))
        measured.wall.append(time.perf_counter() - started)
        measured.cpu.append(subject.cpu() - before)
        association.release()
    _check(subject, found, wanted)


def _check(subject: Subject, found: Found, wanted: int) -> None:
    if found.answers != wanted:
        raise BenchError(f"{subject.name}: {found.answers} answers came, not {wanted}")
    shown = 0 if subject.name.startswith(SHIELD) else wanted
    if found.marked != shown:
        raise BenchError(f"{subject.name}: {found.marked} of {wanted} answers show an original, not {shown}")


def _memory(pacs: int, gpas: int, options: Options, directory: Path) -> Report:
    wanted, before = (count // (QUICK_DIVISOR if options.quick else 1) for count in (MANY, MANY_BEFORE))
    chosen = options.subjects((DIMSEPROXY, SHIELD))
    policies: dict[str, dict[str, Any] | None] = {DIMSEPROXY: None} if DIMSEPROXY in chosen else {}
    if SHIELD in chosen:
        policies |= {f"{SHIELD}, vault": VAULT_SHIELD, f"{SHIELD}, gPAS": gpas_shield(gpas)}
    rows, verdicts = [], []
    for name, privacy in policies.items():
        subject = start_proxy(name, pacs, directory, privacy)
        try:
            _growth(subject, before, 0.0)
            for rest in QUICK_RESTS if options.quick else RESTS:
                wall, kept, peak = _growth(subject, wanted, rest)
                rate = wanted / (wall - rest)
                rows.append([name, f"{rest:g}", number(rate), number(kept / MIB), number(peak / MIB)])
                if privacy:
                    claim = f"{wanted} answers, {name}, caller rests {rest:g} s, growth at its peak"
                    verdicts.append(Verdict(claim, peak / MIB, "<=", MEMORY_TARGET, " MiB", noisy=True))
        finally:
            subject.stop()
    header = ("subject", "caller rests s", "answers/s", "growth MiB", "peak growth MiB")
    title = f"Flat memory: a C-FIND of {wanted} answers after {before} others, {_size(wanted)} MiB of data sets"
    remark = "a brief run does not fill the caches, so that they grow"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts), (remark,) if options.quick else ())


def _growth(subject: Subject, wanted: int, rest: float) -> tuple[float, int, int]:
    """Seconds that a C-FIND took, and the bytes that it added to the proxy: in the end, and at the peak."""
    server = process_of(subject)
    base = server.usage().resident
    server.reset_peak()
    with Association(subject.port, may_query=True) as association:
        started = time.perf_counter()
        found = association.find(queries.studies(b"%d" % wanted), wanted // 2, rest)
        wall = time.perf_counter() - started
        usage = server.usage()
        association.release()
    _check(subject, found, wanted)
    return wall, usage.resident - base, usage.peak - base


def _size(answers: int) -> str:
    return number(answers * len(queries.study_answer(0)) / MIB)
