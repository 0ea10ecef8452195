"""A load generator that is not the limit: one epoll loop a process, many associations in each, PDUs encoded ahead.

What an association does is a :class:`Load`: it stays open and repeats an operation, or it is opened anew for each, as
fast as the answers come or at an interval. Each answer is looked at: it must be of the right kind and say success.
"""

from __future__ import annotations

import heapq
import itertools
import multiprocessing
import select
import socket
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import Self

from attrs import Factory, define, frozen

from bench import wire
from bench.messages import Message
from bench.processes import BenchError

READ_SIZE = 64 * 1024
OPENING_AT_ONCE = 20
"""Associations that a process asks for before one of them is accepted: fewer than the backlog of a listener takes."""
READY_DEADLINE = 120.0
"""Seconds until every association that stays open must be."""
LAST_ANSWER = 30.0
"""Seconds that a silent peer is waited for."""
NUMBERS = 10**7
"""How many operations a process can number."""
_SUCCESS = wire.us(0x0900, 0)
_REQUEST = wire.associate_rq()


@frozen
class Load:
    """What a number of associations do, all of one process."""

    associations: int
    operation: Callable[[int], Message]
    """The message of a number; no number is given twice as long as the benchmark runs."""
    once: bool = False
    """Whether an association is released after one operation, and the next one opened."""
    interval: float = 0.0
    """Seconds from one operation's due time to the next one's; 0 for as fast as the answers come."""


@define
class Outcome:
    """What one load came to while it was measured."""

    seconds: float
    """How long it was measured."""
    latencies: array[float] = Factory(lambda: array("d"))
    """Seconds of each operation that was answered meanwhile; with ``once``, from the connection to the release."""
    cpu: float = 0.0
    """Seconds of processor time that the generator used for it."""

    @property
    def rate(self) -> float:
        """Operations a second."""
        return len(self.latencies) / self.seconds

    def add(self, other: Outcome) -> None:
        """Put together what another process did at the same time."""
        self.latencies.extend(other.latencies)
        self.cpu += other.cpu


@define(eq=False)
class Caller:
    """One association, or one after the other."""

    socket: socket.socket | None = None
    fileno: int = -1
    started: float = 0.0
    due: float = 0.0
    expected: int = wire.ASSOCIATE_AC
    received: bytes = b""
    unsent: deque[memoryview] = Factory(deque)
    is_stuck: bool = False


class Process:
    """The loop of one process of the generator."""

    def __init__(self, port: int, load: Load, first_number: int) -> None:
        self._port = port
        self._load = load
        self._number = first_number
        self._poll = select.epoll()
        self._callers: dict[int, Caller] = {}
        self._waiting: list[tuple[float, int, Caller]] = []
        self._opening = 0
        self._idle: list[Caller] = []
        self._latencies: array[float] = array("d")
        self._last_event = time.monotonic()

    def open(self) -> None:
        """Open what stays open.

        :raises BenchError: when one is refused
        """
        remaining = 0 if self._load.once else self._load.associations
        while remaining or self._opening:
            while remaining and self._opening < OPENING_AT_ONCE:
                self._connect(Caller())
                remaining -= 1
            self._turn(1.0)

    def run(self, seconds: float) -> Outcome:
        """Do the work, and go on until one operation was done; what is under way in the end is not counted."""
        start = time.perf_counter()
        end = start + seconds
        cpu = time.process_time()
        if self._load.once:
            for _ in range(self._load.associations):
                self._connect(Caller())
        else:
            idle, self._idle = self._idle, []
            for count, caller in enumerate(idle):
                # With an interval they begin one after the other, not all at once.
                self._work(caller, start + self._load.interval * count / len(idle))
        while (now := time.perf_counter()) < end or not self._latencies:
            self._turn(min(max(end - now, 0.01), 1.0))
        return Outcome(time.perf_counter() - start, self._latencies, time.process_time() - cpu)

    def _turn(self, patience: float) -> None:
        waiting = self._waiting
        if waiting:
            patience = min(patience, max(0.0, waiting[0][0] - time.perf_counter()))
        events = self._poll.poll(patience)
        if events:
            self._last_event = time.monotonic()
        elif not waiting and time.monotonic() - self._last_event > LAST_ANSWER:
            raise BenchError(f"no answer for {LAST_ANSWER:g} s")
        for number, event in events:
            caller = self._callers[number]
            if event & select.EPOLLOUT:
                self._flush(caller)
            if event & ~select.EPOLLOUT:
                self.read(caller)
        now = time.perf_counter()
        while waiting and waiting[0][0] <= now:
            due, _, caller = heapq.heappop(waiting)
            self._operate(caller, due)

    def _connect(self, caller: Caller) -> None:
        self._opening += 1
        caller.started = time.perf_counter()
        sock = socket.create_connection(("127.0.0.1", self._port), READY_DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        caller.socket, caller.fileno = sock, sock.fileno()
        self._callers[caller.fileno] = caller
        self._poll.register(caller.fileno, select.EPOLLIN)
        self._send(caller, (_REQUEST,), wire.ASSOCIATE_AC)

    def _send(self, caller: Caller, message: Message, expected: int) -> None:
        caller.expected = expected
        caller.unsent.extend(map(memoryview, message))
        self._flush(caller)

    def _flush(self, caller: Caller) -> None:
        unsent, sock = caller.unsent, caller.socket
        if sock is None:
            return
        try:
            sent = sock.sendmsg(unsent)
        except BlockingIOError:
            sent = 0
        while unsent and sent >= len(unsent[0]):
            sent -= len(unsent.popleft())
        if unsent:
            unsent[0] = unsent[0][sent:]
        if caller.is_stuck is not bool(unsent):
            caller.is_stuck = bool(unsent)
            self._poll.modify(caller.fileno, select.EPOLLIN | select.EPOLLOUT if unsent else select.EPOLLIN)

    def read(self, caller: Caller) -> None:
        """Take what has come for an association.

        :raises BenchError: when it is not the answer that is waited for, or not one of success
        """
        if caller.socket is None:
            return
        data = caller.socket.recv(READ_SIZE)
        if not data:
            raise BenchError("the peer closed the connection")
        received = caller.received + data if caller.received else data
        if len(received) < 6:
            caller.received = received
            return
        kind, length = wire.HEADER.unpack_from(received)
        if len(received) < 6 + length:
            caller.received = received
            return
        caller.received = b""
        if kind != caller.expected or len(received) != 6 + length:
            raise BenchError(
                f"a PDU of type {kind} and {len(received)} bytes came, type {caller.expected} was expected"
            )
        self._answered(caller, kind, received)

    def _answered(self, caller: Caller, kind: int, pdu: bytes) -> None:
        if kind == wire.P_DATA:
            if _SUCCESS not in pdu:
                raise BenchError("an operation did not succeed")
            if self._load.once:
                self._send(caller, (wire.RELEASE_RQ_PDU,), wire.RELEASE_RP)
            else:
                now = time.perf_counter()
                self._latencies.append(now - caller.started)
                self._work(caller, caller.due + self._load.interval if self._load.interval else now)
        elif kind == wire.ASSOCIATE_AC:
            self._opening -= 1
            if self._load.once:
                self._number += 1
                self._send(caller, self._load.operation(self._number), wire.P_DATA)
            else:
                self._idle.append(caller)
        else:
            self._released(caller)

    def _released(self, caller: Caller) -> None:
        self._latencies.append(time.perf_counter() - caller.started)
        if caller.socket is not None:
            del self._callers[caller.fileno]
            # Which takes it out of the epoll as well.
            caller.socket.close()
        self._connect(caller)

    def _work(self, caller: Caller, due: float) -> None:
        """The next operation, at its time."""
        if due > time.perf_counter():
            heapq.heappush(self._waiting, (due, caller.fileno, caller))
        else:
            self._operate(caller, due)

    def _operate(self, caller: Caller, due: float) -> None:
        # Counted from when it was due: an answer that is late must not make the next ones look early.
        caller.due = caller.started = due
        self._number += 1
        self._send(caller, self._load.operation(self._number), wire.P_DATA)


class Generator:
    """Processes that put their loads on a port, all at the same time; within ``with`` the associations are open."""

    _runs = itertools.count()

    def __init__(self, port: int, loads: Sequence[Load], seconds: float) -> None:
        self._context = multiprocessing.get_context("fork")
        self._barrier = self._context.Barrier(len(loads) + 1)
        self._patience = seconds + 2 * LAST_ANSWER
        self._processes = []
        self._results: list[Connection] = []
        for load in loads:
            receiver, sender = self._context.Pipe(duplex=False)
            arguments = (port, load, next(self._runs) * NUMBERS, seconds, self._barrier, sender)
            self._processes.append(self._context.Process(target=_serve, args=arguments, daemon=True))
            self._results.append(receiver)

    def __enter__(self) -> Self:
        for process in self._processes:
            process.start()
        try:
            self._meet()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(self) -> list[Outcome]:
        """Let them work, and have what each load came to.

        :raises BenchError: when one of them failed
        """
        self._meet()
        outcomes = []
        for receiver in self._results:
            if not receiver.poll(self._patience):
                raise BenchError("the load generator does not end")
            outcome = receiver.recv()
            if not isinstance(outcome, Outcome):
                raise BenchError(f"the load generator failed: {outcome}")
            outcomes.append(outcome)
        return outcomes

    def _end(self) -> None:
        for process in self._processes:
            # It may have Twisted's handler for SIGTERM, where a test forked it.
            process.kill()
            process.join()

    def _meet(self) -> None:
        try:
            self._barrier.wait(READY_DEADLINE)
        except threading.BrokenBarrierError as error:
            said = [receiver.recv() for receiver in self._results if receiver.poll()]
            raise BenchError(f"the load generator did not start: {', '.join(map(str, said))}") from error


def _serve(port: int, load: Load, first: int, seconds: float, barrier: Barrier, results: Connection) -> None:
    process = Process(port, load, first)
    try:
        process.open()
        barrier.wait(READY_DEADLINE)
        barrier.wait(READY_DEADLINE)
        results.send(process.run(seconds))
    except Exception as error:
        # Whatever it is, the one who waits for the outcome has to hear of it.
        results.send(f"{type(error).__name__}: {error}")
        barrier.abort()


def together(port: int, loads: Sequence[Load], seconds: float) -> Outcome:
    """One load in several processes, as one."""
    with Generator(port, loads, seconds) as generator:
        whole, *others = generator.run()
    for other in others:
        whole.add(other)
    return whole
