"""Claim 4: associate, C-ECHO, release, back to back, from one client and from twenty at once."""

from __future__ import annotations

import multiprocessing
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from bench.options import Options
from bench.processes import BenchError, Server, free_port
from bench.samples import in_turn, paired_ratio, summarise
from bench.scu import echo_once
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, HAPROXY_ONE, environment, start
from bench.table import Report, Verdict, markdown, spread

TARGET = 0.5
"""At least this part of HAProxy's rate."""
CLIENTS = (1, 20)


def run_churn(options: Options, directory: Path) -> list[Report]:
    """Associations per second of each subject."""
    rounds, seconds = options.rounds or (1 if options.quick else 7), 0.5 if options.quick else 2.0
    names = options.subjects((DIRECT, HAPROXY, HAPROXY_ONE, DIMSEPROXY))
    sink = start_raw_sink(directory)
    running = {}
    reports = []
    try:
        for name in names:
            running[name] = start(name, sink.port, directory, options.others)
            associations_per_second(running[name].port, 1, 0.3)
        for clients in CLIENTS:
            rates: dict[str, list[float]] = {name: [] for name in names}
            cpu: dict[str, list[float]] = {name: [] for name in names}

            for name in in_turn(names, rounds):
                before = running[name].cpu()
                rate, count = associations_per_second(running[name].port, clients, seconds)
                rates[name].append(rate)
                cpu[name].append((running[name].cpu() - before) / count * 1e6)
            reports.append(_report(clients, rounds, rates, cpu))
    finally:
        for subject in running.values():
            subject.stop()
        sink.stop()
    return reports


def start_raw_sink(directory: Path, rate: int | None = None) -> Server:
    """The raw SCP in a process of its own; with a rate it reads that many bytes per second and connection."""
    port = free_port()
    command = [sys.executable, "-m", "bench.scp", str(port), *([str(rate)] if rate else [])]
    return Server.start("raw SCP", command, port, directory, environment())


def associations_per_second(port: int, clients: int, seconds: float) -> tuple[float, int]:
    """The rate that so many clients reach together in so many seconds, and the number of associations.

    Each client is a process.

    :raises BenchError: when one of them failed
    """
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(clients + 1)
    results = context.SimpleQueue()
    processes = [
        context.Process(target=_client, args=(port, seconds, barrier, results), daemon=True) for _ in range(clients)
    ]
    for process in processes:
        process.start()
    barrier.wait(30)
    started = time.perf_counter()
    answers = [results.get() for _ in processes]
    elapsed = time.perf_counter() - started
    for process in processes:
        process.join()
    failures = [answer for answer in answers if isinstance(answer, str)]
    if failures:
        raise BenchError(f"{len(failures)} of {clients} clients failed, one with: {failures[0]}")
    count = sum(answers)
    return count / elapsed, count


def _client(port: int, seconds: float, barrier: Barrier, results: multiprocessing.SimpleQueue[int | str]) -> None:
    count = 0
    try:
        barrier.wait(30)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            echo_once(port)
            count += 1
    except (OSError, BenchError) as error:
        results.put(f"{type(error).__name__}: {error}")
    else:
        results.put(count)


def _report(clients: int, rounds: int, rates: dict[str, list[float]], cpu: dict[str, list[float]]) -> Report:
    base = rates.get(HAPROXY)
    callers = "1 client" if clients == 1 else f"{clients} clients"
    rows = [
        [
            name,
            spread(summarise(found)),
            f"{paired_ratio(found, base):.2f}" if base else "-",
            spread(summarise(cpu[name])) if name != DIRECT else "-",
        ]
        for name, found in rates.items()
    ]
    table = markdown(("subject", "associations/s: median (min..max)", "x HAProxy", "CPU us each"), rows)
    verdicts = []
    if base and DIMSEPROXY in rates:
        rate = paired_ratio(rates[DIMSEPROXY], base)
        verdicts.append(Verdict(f"{callers}, rate / HAProxy", rate, ">=", TARGET, noisy=True))
    title = f"Churn: {callers}, {rounds} rounds (claim 4)"
    return Report(title, (("", table),), tuple(verdicts))
