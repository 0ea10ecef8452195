"""``table``: the same objects over every way there is, in one run and one table.

Each object is new: ``storescu`` gives it a SOP Instance UID that nobody has seen. Before anything is measured, what
comes out of each proxy is searched for original values.
"""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from bench import dcmtk, originals
from bench.options import Options
from bench.orthanc import FORWARDER, start_forwarder
from bench.plot import Bars, draw_bars
from bench.processes import free_port
from bench.samples import paired_ratio, summarise
from bench.speed import Measured, measure
from bench.subjects import (
    BLIND,
    DIMSEPROXY,
    DIMSEPROXY_TLS,
    DIRECT,
    GATEWAY,
    GATEWAY_TLS,
    HAPROXY,
    HAPROXY_TLS,
    PYNETDICOM,
    PYNETDICOM_PSEUDONYMS,
    Subject,
    start,
)
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import BIG, CT, FULL_CT, KIB, MIB, SMALL, Workload

SUBJECTS = (
    DIRECT,
    HAPROXY,
    HAPROXY_TLS,
    BLIND,
    FORWARDER,
    PYNETDICOM,
    PYNETDICOM_PSEUDONYMS,
    DIMSEPROXY,
    GATEWAY,
    DIMSEPROXY_TLS,
    GATEWAY_TLS,
)
NEW_INSTANCES = "--invent-instance"
PLOT = "speed.svg"


@frozen
class Load:
    """Objects, how often they are sent, and what is claimed of it."""

    workload: Workload
    rounds: int
    brief: Workload | None = None
    """What a brief run sends; None leaves the load out of it."""
    wall: float | None = None
    """Plain relay: at most so many times HAProxy's wall time."""
    cpu: float | None = None
    """Plain relay: at most so many times HAProxy's processor time."""
    tls: float | None = None
    """TLS: at least so many times HAProxy's speed with TLS."""
    pseudonyms: float | None = None
    """Pseudonymising: at least so many times HAProxy's speed without TLS."""


LOADS = (
    Load(BIG, 5, wall=1.0, cpu=1.3, tls=1.0),
    Load(CT, 7, wall=1.0, cpu=1.3, tls=1.0, pseudonyms=0.9),
    Load(FULL_CT, 5, FULL_CT.scaled(20)),
    Load(SMALL, 11, SMALL.scaled(10), wall=1.0, cpu=1.3, tls=1.0, pseudonyms=0.6),
)


@frozen
class _Found:
    """What one load showed."""

    load: Load
    workload: Workload
    rounds: int
    measured: dict[str, Measured]

    @property
    def base(self) -> Measured | None:
        """HAProxy, where it was not left out."""
        return self.measured.get(HAPROXY)

    def speed(self, name: str, than: str) -> float | None:
        """How many times as fast one is as the other; None where one of them was left out."""
        if name not in self.measured or than not in self.measured:
            return None
        return paired_ratio(self.measured[than].wall, self.measured[name].wall)


def run_table(options: Options, directory: Path) -> list[Report]:
    """All loads in one table, and the plot of it."""
    found = [
        _measure(load, workload, options, directory)
        for load in LOADS
        if options.workload in load.workload.name
        and (workload := load.brief if options.quick else load.workload) is not None
    ]
    rows = [row for each in found for row in _rows(each)]
    header = (
        *("objects", "way", "wall s: median (min..max)", "x HAProxy"),
        *("CPU s/GB: median (min..max)", "x HAProxy", "objects/s", "peak MiB"),
    )
    verdicts = [verdict for each in found for verdict in _verdicts(each)]
    panels = [
        Bars(
            each.load.workload.name,
            {name: ratio for name in each.measured if (ratio := each.speed(name, HAPROXY)) is not None},
        )
        for each in found
        if each.base
    ]
    drawn = options.plots / PLOT if options.plots else directory / PLOT
    draw_bars(drawn, "Speed against HAProxy in TCP mode (more is faster)", panels, mark=1.0)
    rounds = ", ".join(str(each.rounds) for each in found)
    title = f"One table: {rounds} rounds, DCMTK peers with TCP_NODELAY, every object new"
    remarks = (
        "CPU and memory are the proxy's, of all its processes; the peers share the machine with it",
        "how many times a pynetdicom proxy is judged by `load`, whose peers are not the limit: here they are",
        f"{BLIND}: looks at nothing and knows no DICOM; what is between it and {DIMSEPROXY} is ours",
        "the objects' new instance UIDs are numbered, as those of scanners are: the vault keeps a row for all of a run",
        f"{FORWARDER}: until the last byte is at the sink; its storescu was answered before",
        *((f"drawn in {drawn.name}",) if options.plots else ()),
    )
    return [Report(title, (("", markdown(header, rows, texts=2)),), tuple(verdicts), remarks)]


def _measure(load: Load, workload: Workload, options: Options, directory: Path) -> _Found:
    rounds = options.rounds or (1 if options.quick else load.rounds)
    folder = directory / f"load-{LOADS.index(load)}"
    folder.mkdir()
    objects = workload.write(folder)
    port = free_port()
    running: dict[str, Subject] = {}
    try:
        for name in options.subjects(SUBJECTS):
            running[name] = start_forwarder(folder) if name == FORWARDER else start(name, port, folder, options.others)
        to_this_sink = {name: subject for name, subject in running.items() if subject.sink is None}
        originals.check(to_this_sink, port, objects, folder)
        sink = dcmtk.start_sink(folder, dcmtk.NO_NAGLE, port=port)
        try:
            measured = measure(running, objects, rounds, dcmtk.NO_NAGLE, NEW_INSTANCES)
        finally:
            sink.stop()
    finally:
        for subject in running.values():
            subject.stop()
    return _Found(load, workload, rounds, measured)


def _rows(found: _Found) -> list[list[str]]:
    rows = []
    workload, base = found.workload, found.base
    whole = workload.megabytes == found.load.workload.megabytes
    objects = (
        workload.name if whole else f"{workload.name} ({workload.objects} of {workload.pixel_bytes // KIB} KiB sent)"
    )
    for name, measured in found.measured.items():
        relays = name != DIRECT
        rows.append(
            [
                objects,
                name,
                spread(summarise(measured.wall)),
                f"{paired_ratio(measured.wall, base.wall):.2f}" if base else "-",
                spread(summarise(cpu / workload.megabytes * 1000 for cpu in measured.cpu)) if relays else "-",
                f"{paired_ratio(measured.cpu, base.cpu):.2f}" if base and relays else "-",
                number(summarise(workload.objects / wall for wall in measured.wall).median),
                f"{measured.peak / MIB:.0f}" if relays else "-",
            ]
        )
    return rows


def _verdicts(found: _Found) -> list[Verdict]:
    load, name = found.load, found.load.workload.name
    verdicts = []

    def judge(claim: str, measured: float | None, relation: str, target: float | None) -> None:
        if measured is not None and target is not None:
            verdicts.append(Verdict(f"{name}, {claim}", measured, relation, target, noisy=True))

    if found.base and DIMSEPROXY in found.measured:
        ours = found.measured[DIMSEPROXY]
        judge("plain, wall / HAProxy", paired_ratio(ours.wall, found.base.wall), "<=", load.wall)
        judge("plain, CPU / HAProxy", paired_ratio(ours.cpu, found.base.cpu), "<=", load.cpu)
    judge("TLS, speed / HAProxy TLS", found.speed(DIMSEPROXY_TLS, HAPROXY_TLS), ">=", load.tls)
    judge("pseudonyms, speed / HAProxy", found.speed(GATEWAY, HAPROXY), ">=", load.pseudonyms)
    return verdicts
