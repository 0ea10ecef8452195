"""What a C-MOVE costs through the shield: 400 CT objects of Orthanc to an application, with gPAS 5 ms away.

The shield is started anew for each C-MOVE: of the objects' values it has seen those of the study alone, which the
caller has asked for.  Before, another study is moved the same way, and the study itself directly: whoever had to wait
for a process to start would find the PACS asleep, and the next one awake.  HAProxy stands on the way of the objects
only: it is what a second hop costs at the least.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import pydicom
from attrs import frozen

from bench import dcmtk, queries
from bench.options import Options
from bench.originals import originals_in
from bench.orthanc import TITLE as PACS_TITLE
from bench.orthanc import start_orthanc
from bench.processes import BenchError, Server, free_port
from bench.samples import in_turn, paired_ratio, summarise
from bench.scu import Association
from bench.shields import SHIELD, SHIELD_VAULT_UIDS, gpas_shield, start_gpas
from bench.speed import Measured
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, TITLE, Subject, start_haproxy, start_proxy
from bench.table import Report, Verdict, markdown, spread
from bench.workloads import FULL_CT, Workload

OBJECTS = Workload("400 CT of 512 KiB with a scanner's head", 400, FULL_CT.pixel_bytes, has_full_head=True)
WARM_UP = Workload("warm-up", 40, FULL_CT.pixel_bytes, has_full_head=True)
SHIELDS = (SHIELD, SHIELD_VAULT_UIDS)
QUICK_DIVISOR = 10
ROUNDS = 7
TARGET = 1.2
"""At most this many times the PACS's own time."""
DESTINATION, BEHIND_HAPROXY = b"SINK", b"BEHINDHAPROXY"
"""The titles that the PACS knows: the application that wants the objects, and the same behind HAProxy."""


@frozen
class _Study:
    """A study of the PACS, which is found by its description."""

    instance: bytes
    description: bytes
    objects: int


@frozen
class _Setting:
    """Who takes part: the PACS, which knows the sink and a proxy, and the pseudonym service."""

    pacs: Server
    gpas: Server
    sink: int
    proxy: int
    haproxy: int
    directory: Path

    def start(self, name: str) -> Subject:
        """A way to the PACS. It has seen a C-FIND."""
        if name == DIRECT:
            return Subject(DIRECT, self.pacs.port)
        if name == HAPROXY:
            server = start_haproxy(self.haproxy, self.sink, self.directory)
            return Subject(HAPROXY, self.pacs.port, server)
        privacy = gpas_shield(self.gpas.port, with_uids=name == SHIELD) if name in SHIELDS else None
        applications = {DESTINATION.decode(): self.sink}
        return start_proxy(
            name,
            self.pacs.port,
            self.directory,
            privacy,
            called=PACS_TITLE,
            applications=applications,
            port=self.proxy,
        )


def run_retrieve(options: Options, directory: Path) -> list[Report]:
    """The time of a C-MOVE of one study, directly and through the proxy."""
    workload = OBJECTS.scaled(QUICK_DIVISOR if options.quick else 1)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    names = options.subjects((DIRECT, HAPROXY, DIMSEPROXY, *SHIELDS))
    objects = workload.write(directory)
    measured = {name: Measured() for name in names}
    with ExitStack() as running:
        gpas = start_gpas(directory)
        running.callback(gpas.stop)
        sink, proxy, haproxy = free_port(), free_port(), free_port()
        known = {DESTINATION.decode(): sink, BEHIND_HAPROXY.decode(): haproxy, TITLE: proxy}
        pacs = start_orthanc(directory, known, dcmtk.NO_NAGLE)
        running.callback(pacs.stop)
        study, warm_up = _store(pacs, objects), _store(pacs, WARM_UP.write(directory), WARM_UP.name)
        setting = _Setting(pacs, gpas, sink, proxy, haproxy, directory)
        for name in names:
            _check(setting, name, study, min(objects.iterdir()))
        receiver = dcmtk.start_sink(directory, dcmtk.NO_NAGLE, port=sink)
        running.callback(receiver.stop)
        for name in in_turn(names, rounds):
            subject = setting.start(name)
            try:
                _timed_move(subject, warm_up, Measured())
                _timed_move(setting.start(DIRECT), study, Measured())
                _timed_move(subject, study, measured[name])
            finally:
                subject.stop()
    return [_report(workload, rounds, measured)]


def _store(pacs: Server, objects: Path, description: str = "") -> _Study:
    """Give the objects of a study to the PACS, under another description if there is one."""
    paths = sorted(objects.iterdir())
    for path in paths if description else ():
        data_set = pydicom.dcmread(path)
        data_set.StudyDescription = description
        data_set.save_as(path)
    dcmtk.send(pacs.port, objects, dcmtk.NO_NAGLE)
    sent = pydicom.dcmread(paths[0], stop_before_pixels=True)
    return _Study(sent.StudyInstanceUID.encode(), sent.StudyDescription.encode(), len(paths))


def _timed_move(subject: Subject, wanted: _Study, measured: Measured) -> None:
    destination = BEHIND_HAPROXY if subject.name == HAPROXY else DESTINATION
    with Association(subject.port, may_query=True) as association:
        found = association.find(queries.studies(wanted.description))
        if found.answers != 1:
            raise BenchError(f"{subject.name}: {found.answers} studies were found, not 1")
        study = queries.value_of(found.first, queries.STUDY_INSTANCE)
        if (study == wanted.instance) is (subject.name in SHIELDS):
            raise BenchError(f"{subject.name}: the study was found under {study.decode()}, not as it should")
        before, started = subject.cpu(), time.perf_counter()
        moved = association.move(destination, queries.study(study))
        measured.wall.append(time.perf_counter() - started)
        measured.cpu.append(subject.cpu() - before)
        association.release()
    if (moved.status, moved.completed, moved.failed, moved.warned) != (queries.SUCCESS, wanted.objects, 0, 0):
        raise BenchError(f"{subject.name}: the C-MOVE ended with {moved}")


def _check(setting: _Setting, name: str, study: _Study, sample: Path) -> None:
    """Move the study once to a sink that keeps it, and see whether what arrives is what should.

    :raises BenchError: when the shield shows an original, or the others do not
    """
    kept = setting.directory / f"moved-{name.replace(' ', '-')}"
    kept.mkdir()
    sink = dcmtk.start_sink(setting.directory, dcmtk.NO_NAGLE, kept, setting.sink)
    try:
        subject = setting.start(name)
        try:
            _timed_move(subject, study, Measured())
        finally:
            subject.stop()
    finally:
        sink.stop()
    # DicomShield's lists, which the shield is given, leave descriptions and the UIDs of references as they are.
    shown = {"the patient", "the study", "the series", "the instance"}.intersection(originals_in(kept, sample))
    if bool(shown) is (name in SHIELDS):
        raise BenchError(f"{name}: of the originals arrived: {', '.join(sorted(shown)) or 'none'}")
    arrived = sum(1 for _ in kept.iterdir())
    if arrived != study.objects:
        raise BenchError(f"{name}: {arrived} objects arrived, not {study.objects}")


def _report(workload: Workload, rounds: int, measured: dict[str, Measured]) -> Report:
    base = measured.get(DIRECT)
    rows = [
        [
            name,
            spread(summarise(found.wall)),
            f"{paired_ratio(found.wall, base.wall):.2f}" if base else "-",
            spread(summarise(cpu / workload.objects * 1000 for cpu in found.cpu)) if name != DIRECT else "-",
        ]
        for name, found in measured.items()
    ]
    header = ("subject", "wall s: median (min..max)", "x direct", "CPU ms each")
    verdicts = []
    for name in SHIELDS:
        if base and name in measured:
            claim = f"C-MOVE of {workload.objects} CT, {name}, wall / direct"
            verdicts.append(Verdict(claim, paired_ratio(measured[name].wall, base.wall), "<=", TARGET, noisy=True))
    title = f"C-MOVE of {workload.objects} CT of Orthanc, gPAS at 5 ms, {rounds} rounds, TCP_NODELAY"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))
