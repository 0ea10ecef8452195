"""``latency``: what a relay adds to one C-ECHO over a kept association, and to answers of a C-FIND under pseudonyms.

A C-FIND with one answer has the query and the last response in it; one with many answers shows what each of them costs.
The answers are the same every time, so that their pseudonyms are known from the first time on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import queries
from bench.options import Options
from bench.processes import BenchError
from bench.samples import in_turn, paired_difference, percentile, summarise
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.shields import SHIELD, VAULT_SHIELD, gpas_shield, start_gpas
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, start, start_proxy
from bench.table import Report, Verdict, markdown, number, spread

CALLS = 500
"""Calls in one round."""
ROUNDS = 11
TARGET = 0.3
"""Milliseconds that may be added."""
SHIELD_VAULT = f"{SHIELD}, vault"
SHIELD_GPAS = f"{SHIELD}, gPAS"
MANY = 100
"""Answers of the C-FIND with many."""
KNOWN_ANSWERS = {1: b"1 77", MANY: b"%d 1000" % MANY}
"""The descriptions that the raw SCP answers with so many studies, always of the same numbers."""


def run_latency(options: Options, directory: Path) -> list[Report]:
    """The median of C-ECHOs and of C-FINDs of each subject, and what that is beyond the direct way."""
    with ExitStack() as running:
        sink = start_raw_sink(directory)
        running.callback(sink.stop)
        gpas = start_gpas(directory)
        running.callback(gpas.stop)
        subjects: dict[str, Subject] = {}
        for name in options.subjects((DIRECT, HAPROXY, DIMSEPROXY, SHIELD_VAULT, SHIELD_GPAS)):
            if name in (SHIELD_VAULT, SHIELD_GPAS):
                policy = VAULT_SHIELD if name == SHIELD_VAULT else gpas_shield(gpas.port)
                subject = start_proxy(name, sink.port, directory, policy)
            else:
                subject = start(name, sink.port, directory, options.others)
            running.callback(subject.stop)
            subjects[name] = subject
        unshielded = {name: subject for name, subject in subjects.items() if not name.startswith(SHIELD)}
        return [
            _report("C-ECHO", unshielded, Association.echo, (DIMSEPROXY,), options),
            _report("C-FIND with one answer, cached", subjects, _find, (SHIELD_VAULT, SHIELD_GPAS), options),
            _report(
                f"one of {MANY} answers of a C-FIND, cached",
                subjects,
                _find_many,
                (SHIELD_VAULT, SHIELD_GPAS),
                options,
                MANY,
            ),
        ]


def _find(association: Association, answers: int = 1) -> None:
    if association.find(queries.studies(KNOWN_ANSWERS[answers])).answers != answers:
        raise BenchError("the studies were not found")


def _find_many(association: Association) -> None:
    _find(association, MANY)


def _report(
    what: str,
    subjects: Mapping[str, Subject],
    call: Callable[[Association], None],
    judged: tuple[str, ...],
    options: Options,
    parts: int = 1,
) -> Report:
    """`parts` is what one call is divided by."""
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    calls = max(CALLS // (5 if options.quick else 1) // parts, 10)
    medians: dict[str, list[float]] = {name: [] for name in subjects}
    tails: dict[str, list[float]] = {name: [] for name in subjects}
    with ExitStack() as open_ones:
        associations = {
            name: open_ones.enter_context(Association(subject.port, may_query=True))
            for name, subject in subjects.items()
        }
        for association in associations.values():
            call(association)
        for name in in_turn(tuple(subjects), rounds):
            times = [_timed(call, associations[name]) / parts for _ in range(calls)]
            medians[name].append(percentile(times, 50) * 1000)
            tails[name].append(percentile(times, 99) * 1000)
    base = medians.get(DIRECT)
    added = {name: paired_difference(found, base) for name, found in medians.items()} if base else {}
    rows = [
        [
            name,
            spread(summarise(medians[name])),
            number(added[name]) if name in added else "-",
            spread(summarise(tails[name])),
        ]
        for name in subjects
    ]
    verdicts = [
        Verdict(f"{what}, {name}, added", added[name], "<", TARGET, " ms", noisy=True)
        for name in judged
        if name in added
    ]
    header = ("way", "ms: median (min..max of rounds)", "added ms", "p99 ms")
    title = f"Latency over a kept association: {what}, {rounds} x {calls}"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _timed(call: Callable[[Association], None], association: Association) -> float:
    started = time.perf_counter()
    call(association)
    return time.perf_counter() - started
