"""``startup``: from the command line to the first association, and to the end of ``--help``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from bench.options import Options
from bench.processes import Server, environment, free_port, run
from bench.samples import in_turn, summarise
from bench.scp import start_raw_sink
from bench.scu import Association
from bench.shields import VAULT_SHIELD
from bench.subjects import TWISTD, start_proxy, twistd_command
from bench.table import Report, Verdict, markdown, spread

HELP = "twistd dimseproxy --help"
RELAY = "a relay"
SHIELD = "a shield with a vault"
ARCHIVE = "an archive"
TARGETS = {HELP: 0.3, RELAY: 1.0, SHIELD: 1.0, ARCHIVE: 1.0}
"""Seconds at most."""
ROUNDS = 9


def run_startup(options: Options, directory: Path) -> list[Report]:
    """Each of them several times. The archive has its database by then; the shield makes one each time."""
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    names = options.subjects(tuple(TARGETS))
    sink = start_raw_sink(directory)
    try:
        for name in names:
            _seconds(name, sink.port, directory)
        measured: dict[str, list[float]] = {name: [] for name in names}
        for name in in_turn(names, rounds):
            measured[name].append(_seconds(name, sink.port, directory))
    finally:
        sink.stop()
    found = {name: summarise(each) for name, each in measured.items()}
    rows = [[name, spread(summary)] for name, summary in found.items()]
    verdicts = [
        Verdict(f"{name}, start", found[name].median, "<=", target, " s", noisy=True)
        for name, target in TARGETS.items()
        if name in found
    ]
    title = f"Start-up: until the first association is accepted, {rounds} rounds"
    return [Report(title, (("", markdown(("what", "s: median (min..max)"), rows)),), tuple(verdicts))]


def _seconds(name: str, sink: int, directory: Path) -> float:
    if name == HELP:
        return run((*TWISTD, "dimseproxy", "--help"), environment()).wall
    folder = directory / name.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    began = time.perf_counter()
    server = _start(name, sink, folder)
    try:
        with Association(server.port) as association:
            seconds = time.perf_counter() - began
            association.release()
    finally:
        server.stop()
    return seconds


def _start(name: str, sink: int, folder: Path) -> Server:
    if name == ARCHIVE:
        port = free_port()
        inbound = {"dimse": {"listen": f"tcp:{port}:interface=127.0.0.1"}}
        configuration = {
            "data_dir": str(folder / "data"),
            "inbound": {"bench": inbound},
            "outbound": {"local": {"archive": {}}},
        }
        command: Sequence[str] = twistd_command(json.dumps(configuration), port, folder)
        return Server.start(name, command, port, folder, environment())
    subject = start_proxy(name, sink, folder, VAULT_SHIELD if name == SHIELD else None)
    assert subject.server is not None
    return subject.server
