"""Field-note figures A1, A2 and A3: sockets that stall, lengths that lie, and a limit that is reached."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from bench import dcmtk
from bench.options import Options
from bench.processes import BenchError
from bench.samples import percentile
from bench.scp import start_raw_sink
from bench.scu import Association, Rejected, echo_once
from bench.subjects import DIMSEPROXY, DIRECT, HAPROXY, Subject, start
from bench.table import Report, Verdict, markdown, number
from bench.wire import ASSOCIATE_RQ, HEADER, associate_rq
from bench.workloads import KIB

SOCKETS = 1000
ECHOES = 200
P99_TARGET = 250.0
"""Milliseconds that a healthy C-ECHO may take at the 99th percentile."""
MEMORY_TARGET = 64.0
"""KiB that each stalled socket may hold."""
GRACE = 15.0
"""Seconds past the ARTIM timer (30 s by default) by which a stalled socket must be closed."""
ARTIM = 30.0
PATIENCE = 2.0
"""Seconds that the healthy caller waits before it calls itself unanswered."""

HELD, TRANSFERRING = 500, 200
LIMIT_REJECTION = (2, 3, 2)
"""Transient, by the presentation part of the provider, local limit exceeded (PS3.8 table 9-21)."""

KINDS = {
    "nothing": b"",
    "3 bytes": associate_rq()[:3],
    "26 bytes": associate_rq()[:26],
    "a length of 4 GiB": HEADER.pack(ASSOCIATE_RQ, 0xFFFFFFFF),
}


def run_stalled(options: Options, directory: Path) -> list[Report]:
    """A1 and A3: a healthy caller beside 1,000 stalled sockets; the memory they hold; when they end."""
    sockets = SOCKETS // 10 if options.quick else SOCKETS
    sink = dcmtk.start_sink(directory, dcmtk.NO_NAGLE)
    rows, verdicts, remarks = [], [], []
    try:
        for name in options.subjects((DIRECT, HAPROXY, DIMSEPROXY)):
            # One is enough where nothing protects the SCP; the others would only fill its backlog.
            count = sockets if name not in (DIRECT, HAPROXY) else 1
            subject = start(name, sink.port, directory, options.others)
            stalled: list[socket.socket] = []
            try:
                echo_once(subject.port)
                base = subject.server.usage().resident if subject.server else 0
                started = time.monotonic()
                stalled.extend(_stall(subject.port, number) for number in range(count))
                times = _healthy(subject, ECHOES // 4 if options.quick else ECHOES)
                grown = (subject.server.usage().resident - base) / count / KIB if subject.server else 0.0
                p99 = percentile(times, 99) * 1000 if times else float("inf")
                rows.append(
                    [
                        name,
                        str(count),
                        f"{percentile(times, 50) * 1000:.1f}" if times else f"no answer in {PATIENCE:g} s",
                        f"{p99:.1f}" if times else "-",
                        number(grown) if subject.server else "-",
                    ]
                )
                if name == DIMSEPROXY:
                    claim = f"{count} stalled, p99 of a healthy C-ECHO"
                    verdicts.append(Verdict(claim, p99, "<", P99_TARGET, " ms", noisy=True))
                    claim = "memory of each stalled socket"
                    verdicts.append(Verdict(claim, grown, "<", MEMORY_TARGET, " KiB"))
                    if not options.quick:
                        left, last = _wait_for_end(stalled, started + ARTIM + GRACE)
                        claim = f"stalled sockets open {ARTIM + GRACE:g} s after the first"
                        verdicts.append(Verdict(claim, left, "==", 0))
                        remarks.append(f"the last was closed {last - started:.0f} s after the first stalled")
            finally:
                for sock in stalled:
                    sock.close()
                subject.stop()
    finally:
        sink.stop()
    header = ("subject", "stalled", "C-ECHO ms: median", "p99 ms", "KiB each")
    title = "Calm: a healthy caller beside stalled sockets, storescp behind (A1, A3)"
    return [Report(title, (("", markdown(header, rows)),), tuple(verdicts), tuple(remarks))]


def run_limit(options: Options, directory: Path) -> list[Report]:
    """A2: 500 associations held, 200 of them transferring; the 501st is rejected; the limit recovers."""
    sink = start_raw_sink(directory)
    try:
        return [_limit(sink.port, directory)]
    finally:
        sink.stop()


def _limit(sink: int, directory: Path) -> Report:
    verdicts: list[Verdict] = []
    rows = []
    subject = start(DIMSEPROXY, sink, directory)
    associations: list[Association] = []
    try:
        started = time.perf_counter()
        associations.extend(Association(subject.port) for _ in range(HELD))
        opened = time.perf_counter() - started
        started = time.perf_counter()
        for association in associations[:TRANSFERRING]:
            association.begin_store(256 * KIB)
        refused, waited = _refusal(subject)
        for association in associations[:TRANSFERRING]:
            association.finish_store()
        transferred = time.perf_counter() - started
        wait_ms = waited * 1000
        rows.append([str(HELD), number(opened), number(transferred), number(wait_ms), str(refused)])
        rejected = refused == LIMIT_REJECTION
        verdicts.append(Verdict("the 501st is rejected with (2, 3, 2)", rejected, "==", True))
        verdicts.append(Verdict("the 501st waits for its rejection", wait_ms, "<", P99_TARGET, " ms", noisy=True))
        associations.pop().leave()
        verdicts.append(Verdict("one leaves, the next is taken", _recovers(subject), "==", True))
    finally:
        for association in associations:
            association.close()
        subject.stop()
    header = ("held", "s to open", f"s for {TRANSFERRING} x 256 KiB", "ms to the rejection", "rejection")
    title = f"Calm: {HELD} associations held, {TRANSFERRING} transferring (A2)"
    return Report(title, (("", markdown(header, rows)),), tuple(verdicts))


def _stall(port: int, number: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 10)
    kinds = list(KINDS.values())
    sock.sendall(kinds[number % len(kinds)])
    return sock


def _healthy(subject: Subject, echoes: int) -> list[float]:
    times = []
    for _ in range(echoes):
        try:
            times.append(echo_once(subject.port, PATIENCE))
        except Rejected:
            raise
        except (OSError, BenchError):
            return []
    return times


def _wait_for_end(stalled: list[socket.socket], deadline: float) -> tuple[int, float]:
    """How many are still open at the deadline, and when the last one that ended did so."""
    still, last = list(stalled), time.monotonic()
    while still and time.monotonic() < deadline:
        time.sleep(0.2)
        remaining = [sock for sock in still if not _ended(sock)]
        if len(remaining) < len(still):
            last = time.monotonic()
        still = remaining
    return len(still), last


def _ended(sock: socket.socket) -> bool:
    sock.setblocking(False)
    try:
        # An A-ABORT may come before the end.
        return all(sock.recv(64) for _ in range(2)) is False
    except BlockingIOError:
        return False
    except OSError:
        return True


def _refusal(subject: Subject) -> tuple[tuple[int, int, int] | str, float]:
    started = time.perf_counter()
    answer: tuple[int, int, int] | str
    try:
        Association(subject.port, PATIENCE).close()
        answer = "accepted"
    except Rejected as rejected:
        answer = rejected.answer
    except (OSError, BenchError) as error:
        answer = type(error).__name__
    return answer, time.perf_counter() - started


def _recovers(subject: Subject) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            echo_once(subject.port, PATIENCE)
        except Rejected:
            time.sleep(0.02)
        else:
            return True
    return False
