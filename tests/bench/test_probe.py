"""The heartbeat that feels whether a reactor turns."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from bench.probe import INTERVAL, LATE, Delay, Heartbeat, delays_in


class Beating(TestCase):
    """Against a clock that the test advances."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.cpu = 0.0
        self.heartbeat = Heartbeat(self.clock, self.clock.seconds, lambda: self.cpu)
        self.heartbeat.start()

    def test_a_reactor_that_turns_is_not_late(self) -> None:
        """Nothing is written down while every call comes in time."""
        self.clock.pump([INTERVAL] * 50)
        self.assertEqual(self.heartbeat.delays, [])

    def test_a_delay_is_felt_once_in_its_length(self) -> None:
        """What the reactor's thread computed meanwhile is told apart from what it waited."""
        self.clock.pump([INTERVAL] * 3)
        self.cpu = 0.007
        self.clock.pump([INTERVAL + 0.030, INTERVAL, INTERVAL])
        (delay,) = self.heartbeat.delays
        self.assertAlmostEqual(delay.wall, 0.030)
        self.assertAlmostEqual(delay.cpu, 0.007)

    def test_a_delay_below_the_threshold_is_not_kept(self) -> None:
        """A list of every tremor would itself be work."""
        self.clock.advance(INTERVAL + LATE / 2)
        self.assertEqual(self.heartbeat.delays, [])

    def test_what_was_felt_is_read_back_for_a_span_of_time(self) -> None:
        """Delays before and after the measurement are left out."""
        file = Path(self.mktemp())
        self.heartbeat.delays.extend(Delay(float(at), 0.005, 0.001) for at in range(5))
        self.heartbeat.write(file)
        self.assertEqual([delay.at for delay in delays_in(file, 1.0, 3.0)], [1.0, 2.0, 3.0])
