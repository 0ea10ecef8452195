"""``load``: associations, C-ECHOs and objects a second with many associations at once, and how long each takes.

The rows ``direct`` show what the generator and the raw SCP reach between themselves: they are not the limit.
"""

from __future__ import annotations

from pathlib import Path

from attrs import Factory, define, frozen

from bench.generator import Load, together
from bench.messages import echo, store
from bench.options import Options
from bench.samples import in_turn, paired_ratio, percentile, summarise
from bench.scp import start_raw_sink
from bench.subjects import (
    BLIND,
    DIMSEPROXY,
    DIRECT,
    GATEWAY,
    HAPROXY,
    HAPROXY_ONE,
    PYNETDICOM,
    PYNETDICOM_PSEUDONYMS,
    Subject,
    start,
)
from bench.table import Report, Verdict, markdown, number, spread
from bench.workloads import KIB

ROUNDS, SECONDS = 5, 2.0
QUICK_SECONDS = 0.3
CHURN_TARGET = 0.5
"""At least this part of HAProxy's rate of associations."""


@frozen
class Kind:
    """A load, and what of HAProxy's rate is claimed for it."""

    name: str
    load: Load
    target: float | None = None
    pynetdicom: tuple[float, float] | None = None
    """At least so many times the rate of a pynetdicom proxy: as it is, and where both give pseudonyms."""

    def subjects(self, options: Options) -> tuple[str, ...]:
        """The subjects to measure under this load."""
        return options.subjects((*SUBJECTS, *(PYNETDICOM_SUBJECTS if self.pynetdicom else ())))


SUBJECTS = (DIRECT, HAPROXY, HAPROXY_ONE, BLIND, DIMSEPROXY, GATEWAY)
PYNETDICOM_SUBJECTS = (PYNETDICOM, PYNETDICOM_PSEUDONYMS)
KINDS = (
    Kind("associate, C-ECHO, release: 1 caller", Load(1, echo, once=True), CHURN_TARGET),
    Kind("associate, C-ECHO, release: 20 callers", Load(20, echo, once=True), CHURN_TARGET),
    Kind("C-ECHO: 20 associations", Load(20, echo)),
    Kind("C-STORE of 12 KiB: 20 associations", Load(20, store(12 * KIB))),
    Kind("C-STORE of 512 KiB: 8 associations", Load(8, store(512 * KIB)), pynetdicom=(15.0, 10.0)),
)
PERCENTILES = (50, 95, 99, 100)


@define
class Measured:
    """What was measured of one subject under one load, one entry a round but for the latencies."""

    rates: list[float] = Factory(list)
    latencies: list[float] = Factory(list)
    generator: list[float] = Factory(list)
    """How much of a core each of the three used."""
    sink: list[float] = Factory(list)
    proxy: list[float] = Factory(list)


def run_load(options: Options, directory: Path) -> list[Report]:
    """Every load through every subject."""
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    seconds = QUICK_SECONDS if options.quick else SECONDS
    kinds = [kind for kind in KINDS if options.workload in kind.name]
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    sink = start_raw_sink(directory)
    running: dict[str, Subject] = {}
    try:
        for kind in kinds:
            names = kind.subjects(options)
            for name in names:
                if name not in running:
                    running[name] = start(name, sink.port, directory, options.others)
            found = {name: Measured() for name in names}
            for name in names:
                together(running[name].port, [kind.load], seconds / 4)
            for name in in_turn(names, rounds):
                subject, measured = running[name], found[name]
                proxy_before, sink_before = subject.cpu(), sink.usage().cpu
                outcome = together(subject.port, [kind.load], seconds)
                measured.rates.append(outcome.rate)
                measured.latencies.extend(outcome.latencies)
                measured.generator.append(outcome.cpu / outcome.seconds)
                measured.sink.append((sink.usage().cpu - sink_before) / outcome.seconds)
                measured.proxy.append((subject.cpu() - proxy_before) / outcome.seconds)
            rows.extend(_rows(kind, found))
            verdicts.extend(_verdicts(kind, found))
    finally:
        for subject in running.values():
            subject.stop()
        sink.stop()
    header = (
        *("load", "way", "a second: median (min..max)", "x HAProxy", "p50 ms", "p95", "p99", "max"),
        *("proxy's CPU us each", "cores: generator", "sink", "proxy"),
    )
    title = f"Load: one process of pre-encoded PDUs, {rounds} x {seconds:g} s, the raw SCP behind"
    return [Report(title, (("", markdown(header, rows, texts=2)),), tuple(verdicts))]


def _verdicts(kind: Kind, found: dict[str, Measured]) -> list[Verdict]:
    times, times_pseudonyms = kind.pynetdicom or (None, None)
    claims = (
        ("rate", DIMSEPROXY, HAPROXY, kind.target),
        ("rate", DIMSEPROXY, PYNETDICOM, times),
        ("both under pseudonyms, rate", GATEWAY, PYNETDICOM_PSEUDONYMS, times_pseudonyms),
    )
    return [
        Verdict(
            f"{kind.name}, {what} / {other}",
            paired_ratio(found[ours].rates, found[other].rates),
            ">=",
            target,
            noisy=True,
        )
        for what, ours, other, target in claims
        if target is not None and ours in found and other in found
    ]


def _rows(kind: Kind, found: dict[str, Measured]) -> list[list[str]]:
    base = found.get(HAPROXY)
    rows = []
    for name, measured in found.items():
        each = [proxy / rate * 1e6 for proxy, rate in zip(measured.proxy, measured.rates, strict=True) if rate]
        rows.append(
            [
                kind.name,
                name,
                spread(summarise(measured.rates)),
                f"{paired_ratio(measured.rates, base.rates):.2f}" if base else "-",
                *(number(percentile(measured.latencies, percent) * 1000) for percent in PERCENTILES),
                number(summarise(each).median) if name != DIRECT else "-",
                *(f"{summarise(values).median:.2f}" for values in (measured.generator, measured.sink)),
                f"{summarise(measured.proxy).median:.2f}" if name != DIRECT else "-",
            ]
        )
    return rows
