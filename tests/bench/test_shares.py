"""What is computed of the parts that generator, sink and proxy have of the machine, and of work that is doubled."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from bench import linear, workers


class AllowedTests(TestCase):
    """How far the machine lets a rate grow."""

    def test_cores_that_are_not_used_allow_more(self) -> None:
        """One core is busy of two: twice as much can be done."""
        measured = workers.Measured([100.0], [0.1], [0.1], [0.8])
        self.assertAlmostEqual(measured.allowed(2), 2.0)

    def test_the_peers_need_their_part(self) -> None:
        """The proxy is on one core, its peers use half of another: what is left is no whole core."""
        measured = workers.Measured([100.0], [0.25], [0.25], [1.0])
        self.assertAlmostEqual(measured.allowed(2), 2 / 1.5)


class DoubledTests(TestCase):
    """Work doubled."""

    def measured(self, *seconds: float) -> linear.Measured:
        """One round."""
        return linear.Measured({times: [wall] for times, wall in zip(linear.TIMES, seconds, strict=True)})

    def test_time_doubled_is_not_dearer(self) -> None:
        """Each takes as long as ever."""
        self.assertAlmostEqual(self.measured(3.0, 6.0, 12.0, 24.0).dearer, 1.0)

    def test_time_squared_is(self) -> None:
        """Each of eight times as many takes eight times as long."""
        self.assertAlmostEqual(self.measured(1.0, 4.0, 16.0, 64.0).dearer, 8.0)

    def test_the_plot_begins_at_one(self) -> None:
        """Whatever the unit took."""
        points = self.measured(3.0, 6.0, 12.0, 24.0).points("a")
        self.assertEqual([round(y, 6) for _, y in points.measured], [1.0, 2.0, 4.0, 8.0])
        self.assertAlmostEqual(points.line.at(8), 8.0)
