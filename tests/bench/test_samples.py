"""What a benchmark computes from its measurements."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from bench.samples import Summary, fit, in_turn, paired_difference, paired_ratio, percentile, summarise


class Summaries(TestCase):
    """Medians and spreads."""

    def test_an_odd_number_has_its_middle_as_median(self) -> None:
        """The middle one, whatever the order, with the extremes."""
        self.assertEqual(summarise([3.0, 1.0, 10.0]), Summary(3.0, 1.0, 10.0, 3))

    def test_an_even_number_has_the_mean_of_its_middle_two(self) -> None:
        """Neither of the two is preferred."""
        self.assertEqual(summarise([4.0, 1.0, 2.0, 9.0]).median, 3.0)

    def test_nothing_has_no_summary(self) -> None:
        """A subject that was never measured must not look fast."""
        self.assertRaises(ValueError, summarise, [])


class Percentiles(TestCase):
    """Nearest-rank percentiles."""

    def test_the_99th_of_a_hundred_is_the_second_greatest(self) -> None:
        """One outlier in a hundred is left out, and no more."""
        self.assertEqual(percentile(range(1, 101), 99), 99)

    def test_the_99th_of_few_is_the_greatest(self) -> None:
        """With fewer than a hundred measurements, no outlier is left out."""
        self.assertEqual(percentile([1, 2, 50], 99), 50)

    def test_the_100th_is_the_greatest(self) -> None:
        """The upper bound of what may be asked."""
        self.assertEqual(percentile([5, 7, 6], 100), 7)

    def test_a_percent_out_of_range_is_refused(self) -> None:
        """0 and 101 name nothing."""
        for percent in (0, 101):
            self.assertRaises(ValueError, percentile, [1.0], percent)

    def test_nothing_has_no_percentile(self) -> None:
        """No measurement, no figure."""
        self.assertRaises(ValueError, percentile, [], 50)


class Ratios(TestCase):
    """Ratios paired within a round."""

    def test_a_disturbed_round_does_not_move_the_ratio(self) -> None:
        """The second round was ten times slower for both; the ratio is that of every round."""
        self.assertEqual(paired_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]), 2.0)

    def test_pairs_are_of_the_same_round(self) -> None:
        """It is the median of ratios (1, 4, 9), and not the ratio of medians."""
        self.assertEqual(paired_ratio([3.0, 8.0, 9.0], [3.0, 2.0, 1.0]), 4.0)

    def test_rounds_must_agree(self) -> None:
        """A missing round cannot be paired."""
        self.assertRaises(ValueError, paired_ratio, [1.0], [1.0, 2.0])

    def test_a_baseline_of_zero_is_refused(self) -> None:
        """Nothing was measured; nothing is compared with it."""
        self.assertRaises(ValueError, paired_ratio, [1.0], [0.0])

    def test_no_rounds_have_no_ratio(self) -> None:
        """No measurement, no figure."""
        self.assertRaises(ValueError, paired_ratio, [], [])


class Differences(TestCase):
    """Differences paired within a round."""

    def test_a_disturbed_round_does_not_move_the_difference(self) -> None:
        """The second round was slower by ten for both; the difference is that of every round."""
        self.assertEqual(paired_difference([3.0, 13.0, 3.0], [1.0, 11.0, 1.0]), 2.0)

    def test_rounds_must_agree(self) -> None:
        """A missing round cannot be paired."""
        self.assertRaises(ValueError, paired_difference, [1.0], [1.0, 2.0])

    def test_no_rounds_have_no_difference(self) -> None:
        """No measurement, no figure."""
        self.assertRaises(ValueError, paired_difference, [], [])


class Lines(TestCase):
    """The straight line through some points."""

    def test_points_on_a_line_are_on_it(self) -> None:
        """Its slope, where it begins, and nothing beside it."""
        line = fit([(1, 5.0), (2, 7.0), (4, 11.0), (8, 19.0)])
        self.assertAlmostEqual(line.slope, 2.0)
        self.assertAlmostEqual(line.intercept, 3.0)
        self.assertAlmostEqual(line.residual, 0.0)

    def test_what_grows_with_the_square_is_beside_the_line(self) -> None:
        """A quarter of what was measured and more, somewhere."""
        self.assertGreater(fit([(x, float(x * x)) for x in (1, 2, 4, 8)]).residual, 0.25)

    def test_a_distance_counts_by_what_was_measured(self) -> None:
        """One second beside the line is much where one second was measured, and little where a hundred were."""
        near, far = fit([(1, 2.0), (2, 2.0), (100, 100.0)]), fit([(1, 1.0), (2, 2.0), (100, 101.0)])
        self.assertGreater(near.residual, 10 * far.residual)

    def test_one_place_has_no_line(self) -> None:
        """However often it was measured."""
        self.assertRaises(ValueError, fit, [(1, 2.0), (1, 3.0)])

    def test_a_time_of_nothing_has_no_line(self) -> None:
        """It was not measured."""
        self.assertRaises(ValueError, fit, [(1, 0.0), (2, 3.0)])


class Interleaving(TestCase):
    """The order of measurements."""

    def test_each_round_measures_each_subject_and_begins_with_the_next(self) -> None:
        """No subject always runs after the same other."""
        self.assertEqual("".join(in_turn(["A", "B", "C"], 3)), "ABCBCACAB")
