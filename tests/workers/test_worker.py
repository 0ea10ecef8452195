"""A worker as its parent sees it, with processes that are none."""

from __future__ import annotations

import errno
import os

from attrs import define, field
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.workers.orders import ORDERS, READY, WHERE, Kind, Order
from dimseproxy.workers.worker import LONGEST_LINE, LONGEST_PAUSE, SOON, START_LOOKS, STILL_LOOKS, Worker

SETTINGS = Order(Kind.SETTINGS, "settings")
DRAIN = Order(Kind.DRAIN)


class FakeProcess:
    """A process that notes what it is told."""

    pid: int = 4711

    def __init__(self, protocol: ProcessProtocol) -> None:
        self.protocol = protocol
        self.told: list[bytes] = []
        self.signals: list[str | int] = []
        self.is_over = False

    def writeToChild(self, childFD: int, data: bytes) -> None:
        assert childFD == ORDERS
        self.told.append(data)

    def signalProcess(self, signalID: str | int) -> None:
        self.signals.append(signalID)

    def ready(self) -> None:
        """Say that callers are served."""
        self.protocol.childDataReceived(READY, b".")

    def dies(self, status: int | None = None, signal: int | None = 9) -> None:
        """End, by a signal unless there is a status."""
        self.is_over = True
        self.protocol.childConnectionLost(ORDERS)
        if status is not None:
            signal = None
        reason = ProcessDone(0) if status == 0 else ProcessTerminated(status, signal, 0)
        self.protocol.processEnded(Failure(reason))


@define
class FakeUpper:
    """Notes what it is told of workers, and makes processes that are none."""

    processes: list[FakeProcess] = field(factory=list)
    lines: list[str] = field(factory=list)
    serving: int = 0
    gone: int = 0
    failed: list[str] = field(factory=list)
    refusal: OSError | None = None

    def spawn(self, worker: Worker, protocol: ProcessProtocol) -> None:
        if self.refusal is not None:
            raise self.refusal
        process = FakeProcess(protocol)
        protocol.makeConnection(process)
        self.processes.append(process)

    def first_order(self) -> Order:
        return SETTINGS

    def logged(self, worker: Worker, line: str) -> None:
        self.lines.append(line)

    def serves(self, worker: Worker) -> None:
        self.serving += 1

    def is_gone(self, worker: Worker) -> None:
        self.gone += 1

    def cannot_start(self, worker: Worker, why: str) -> None:
        self.failed.append(why)


class WorkerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.upper = FakeUpper()
        self.clock = Clock()
        self.worker = Worker(1, self.upper, self.clock)

    @property
    def process(self) -> FakeProcess:
        """The one that was started last."""
        return self.upper.processes[-1]

    def serving(self) -> None:
        self.worker.start()
        self.process.ready()

    def pause(self) -> float:
        """Seconds from now to the next process."""
        (call,) = self.clock.getDelayedCalls()
        return call.getTime() - self.clock.seconds()

    def next(self) -> None:
        """Let the next process start, and serve."""
        self.clock.advance(self.pause())
        self.process.ready()


class ProcessTests(WorkerCase):
    def test_it_is_told_the_settings_first(self) -> None:
        self.worker.start()
        self.assertEqual(self.process.told, [SETTINGS.encode()])

    def test_and_then_what_there_is(self) -> None:
        self.worker.start()
        self.worker.tell(DRAIN)
        self.assertEqual(self.process.told[1:], [DRAIN.encode()])

    def test_one_that_does_not_listen_is_told_nothing(self) -> None:
        self.worker.start()
        self.process.protocol.childConnectionLost(ORDERS)
        self.worker.tell(DRAIN)
        self.assertEqual(self.process.told[1:], [])

    def test_its_log_is_cut_into_lines(self) -> None:
        self.worker.start()
        for data in b"one\ntw", b"o\nthree", b" \xff\n":
            self.process.protocol.childDataReceived(1, data)
        self.assertEqual(self.upper.lines, ["one", "two", "three \N{REPLACEMENT CHARACTER}"])

    def test_its_last_words_are_a_line(self) -> None:
        self.serving()
        self.process.protocol.childDataReceived(1, b"no line break")
        self.process.dies()
        self.assertEqual(self.upper.lines, ["no line break"])

    def test_a_line_without_end_is_cut(self) -> None:
        self.worker.start()
        self.process.protocol.childDataReceived(1, b"x" * (LONGEST_LINE + 1))
        self.assertEqual([len(line) for line in self.upper.lines], [LONGEST_LINE + 1])

    def test_it_serves_for_the_first_time_once(self) -> None:
        self.serving()
        self.process.dies()
        self.next()
        self.assertEqual(self.upper.serving, 1)


class DeathTests(WorkerCase):
    """What the parent does about a worker that has died."""

    def test_another_one_is_started_at_once(self) -> None:
        self.serving()
        self.process.dies()
        self.clock.advance(0)
        self.assertEqual(len(self.upper.processes), 2)

    def test_what_it_left_is_cleared_before(self) -> None:
        self.serving()
        self.process.dies()
        self.assertEqual((self.upper.gone, len(self.upper.processes)), (1, 1))

    def test_another_one_has_the_settings_too(self) -> None:
        self.serving()
        self.process.dies()
        self.clock.advance(0)
        self.assertEqual(self.process.told, [SETTINGS.encode()])

    def test_deaths_that_follow_one_another_make_it_wait(self) -> None:
        self.serving()
        pauses = []
        for _ in range(8):
            self.process.dies()
            pauses.append(self.pause())
            self.next()
        self.assertEqual(pauses, [0, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE])

    def test_one_that_lived_is_forgiven(self) -> None:
        self.serving()
        for _ in range(4):
            self.process.dies()
            self.next()
        self.clock.advance(SOON)
        self.process.dies()
        self.assertEqual(self.pause(), 0)

    def test_one_that_cannot_start_later_is_tried_again(self) -> None:
        self.serving()
        self.process.dies()
        self.clock.advance(0)
        self.process.dies(status=1)
        self.assertEqual((self.upper.failed, self.pause()), ([], 1))

    def test_where_there_is_no_process_to_be_had_it_is_tried_again(self) -> None:
        self.serving()
        self.process.dies()
        self.upper.refusal = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.clock.advance(0)
        self.assertEqual((self.worker.pid, self.pause()), (None, 1))
        self.upper.refusal = None
        self.next()
        self.assertEqual(len(self.upper.processes), 2)

    def test_where_there_never_was_one_the_start_has_failed(self) -> None:
        self.upper.refusal = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.worker.start()
        self.assertEqual(self.upper.failed, ["before it began: Resource temporarily unavailable"])

    def test_the_very_first_one_has_to_start(self) -> None:
        self.worker.start()
        self.process.dies(status=1)
        self.assertEqual(self.upper.failed, ["with status 1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_unless_it_was_killed(self) -> None:
        self.worker.start()
        self.process.dies(signal=9)
        self.next()
        self.assertEqual((self.upper.failed, len(self.upper.processes), self.upper.serving), ([], 2, 1))

    def test_after_that_the_next_one_has_to_start(self) -> None:
        self.worker.start()
        self.process.dies(signal=9)
        self.clock.advance(0)
        self.process.dies(status=1)
        self.assertEqual(self.upper.failed, ["with status 1"])


class HangTests(WorkerCase):
    """What the parent does about a worker that does not beat any longer."""

    def looks(self, *beats: int) -> list[str | int]:
        """What its process was sent when these counts had been seen, one after the other."""
        for each in beats:
            self.worker.look(each)
        return self.process.signals

    def test_one_that_beats_is_left_alone(self) -> None:
        self.serving()
        self.assertEqual(self.looks(*range(1, 100)), [])

    def test_one_that_takes_its_time_is_too(self) -> None:
        self.serving()
        self.assertEqual(self.looks(*[1] * STILL_LOOKS, *[2] * STILL_LOOKS, 3), [])

    def test_one_that_hangs_is_asked_where(self) -> None:
        self.serving()
        self.assertEqual(self.looks(*[7] * (STILL_LOOKS + 1)), [WHERE])

    def test_and_killed(self) -> None:
        self.serving()
        with capturedLogs() as events:
            self.assertEqual(self.looks(*[7] * (STILL_LOOKS + 2)), [WHERE, "KILL"])
        said = ["worker 1 hangs: no sign of life for 30 s", "worker 1 does not end: it is killed"]
        self.assertEqual([formatEvent(each) for each in events], said)

    def test_unless_it_goes_on(self) -> None:
        self.serving()
        self.assertEqual(self.looks(*[7] * (STILL_LOOKS + 1), *[8] * STILL_LOOKS), [WHERE])

    def test_one_that_has_never_beaten_hangs_too(self) -> None:
        self.serving()
        self.assertEqual(self.looks(*[0] * (STILL_LOOKS + 1)), [WHERE, "KILL"])

    def test_one_that_beats_is_left_alone_before_it_serves(self) -> None:
        """It may have to wait for a database, or for what its predecessor has left."""
        self.worker.start()
        self.assertEqual(self.looks(*range(1, 100)), [])

    def test_it_may_be_still_for_longer_then(self) -> None:
        """It has a lot to load before it can beat."""
        self.worker.start()
        self.assertEqual(self.looks(*[0] * (START_LOOKS - 1), *[1] * START_LOOKS, 2), [])

    def test_one_that_hangs_before_it_serves_is_asked_where_and_killed(self) -> None:
        self.worker.start()
        with capturedLogs() as events:
            self.assertEqual(self.looks(*[0] * (START_LOOKS + 1)), [WHERE, "KILL"])
        said = ["worker 1 hangs in its start: no sign of life for 120 s", "worker 1 does not end: it is killed"]
        self.assertEqual([formatEvent(each) for each in events], said)

    def test_another_one_follows(self) -> None:
        self.worker.start()
        self.looks(*[0] * (START_LOOKS + 1))
        self.process.dies()
        self.next()
        self.assertEqual((self.upper.failed, len(self.upper.processes), self.upper.serving), ([], 2, 1))

    def test_so_it_is_with_a_successor(self) -> None:
        self.serving()
        self.looks(*[7] * (STILL_LOOKS + 2))
        self.process.dies()
        self.clock.advance(0)
        self.assertEqual(self.looks(*[0] * START_LOOKS), [])
        self.assertEqual(self.looks(0, 0), [WHERE, "KILL"])

    def test_what_it_took_to_serve_does_not_count_after(self) -> None:
        self.worker.start()
        self.looks(*[0] * (STILL_LOOKS + 1))
        self.process.ready()
        self.assertEqual(self.looks(*[0] * (STILL_LOOKS - 1), 1), [])

    def test_a_successor_that_has_beaten_as_often_begins_anew(self) -> None:
        self.serving()
        self.looks(*[7] * (STILL_LOOKS + 2))
        self.process.dies()
        self.clock.advance(0)
        self.process.ready()
        self.assertEqual(self.looks(7), [])

    def test_where_there_is_no_process_there_is_none_to_end(self) -> None:
        for _ in range(STILL_LOOKS + 2):
            self.worker.look(7)
        self.assertEqual(self.upper.processes, [])


class StopTests(WorkerCase):
    def test_it_drains(self) -> None:
        self.serving()
        self.worker.stop()
        self.assertEqual(self.process.told[1:], [DRAIN.encode()])

    def test_it_has_stopped_when_the_process_has_ended(self) -> None:
        self.serving()
        gone = self.worker.stop()
        self.assertNoResult(gone)
        self.process.dies(status=0)
        self.successResultOf(gone)

    def test_no_other_one_follows(self) -> None:
        self.serving()
        self.worker.stop()
        self.process.dies(status=0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_was_about_to_follow_does_not(self) -> None:
        self.serving()
        self.process.dies()
        self.successResultOf(self.worker.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_that_has_not_begun_to_serve_has_failed_nobody(self) -> None:
        self.worker.start()
        self.worker.stop()
        self.process.dies()
        self.assertEqual(self.upper.failed, [])

    def test_one_that_was_never_started(self) -> None:
        self.successResultOf(self.worker.stop())

    def test_it_can_be_killed(self) -> None:
        self.serving()
        self.worker.kill()
        self.assertEqual(self.process.signals, ["KILL"])
