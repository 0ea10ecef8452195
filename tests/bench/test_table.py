"""What a benchmark prints."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from bench.samples import Summary
from bench.table import Report, Verdict, markdown, number, spread


class Tables(TestCase):
    """Markdown tables."""

    def test_columns_are_padded_and_aligned(self) -> None:
        """The first column is text; the others are figures, aligned right."""
        expected = "| who  |   s |\n|------|----:|\n| here | 1.5 |\n| x    |  20 |"
        self.assertEqual(markdown(("who", "s"), [("here", "1.5"), ("x", "20")]), expected)

    def test_more_columns_than_one_may_be_text(self) -> None:
        """They are to the left, too."""
        expected = "| who  | how   |   s |\n|------|-------|----:|\n| here | there | 1.5 |\n| x    | y     |  20 |"
        rows = [("here", "there", "1.5"), ("x", "y", "20")]
        self.assertEqual(markdown(("who", "how", "s"), rows, texts=2), expected)

    def test_a_bar_in_a_cell_is_escaped(self) -> None:
        """It would begin another cell."""
        self.assertIn("a\\|b", markdown(("who",), [("a|b",)]))

    def test_a_ragged_row_is_refused(self) -> None:
        """A figure under the wrong heading is worse than none."""
        self.assertRaises(ValueError, markdown, ("a", "b"), [("only one",)])


class Numbers(TestCase):
    """Figures as text."""

    def test_figures_have_three_digits_and_no_exponent(self) -> None:
        """From thousands to thousandths."""
        written = [number(value) for value in (0, 1234.5, 123.4, 12.34, 1.234, 0.01234, 0.00001234)]
        self.assertEqual(written, ["0", "1234", "123", "12.3", "1.23", "0.0123", "0.000012"])

    def test_a_truth_is_written_in_words(self) -> None:
        """A claim that is met or not has no digits."""
        self.assertEqual(Verdict("taken", False, "==", True).text(), "FAIL: taken: no (target == yes)")

    def test_a_spread_names_the_extremes(self) -> None:
        """The median first."""
        self.assertEqual(spread(Summary(2.0, 1.0, 30.0, 3)), "2.00 (1.00..30.0)")


class Verdicts(TestCase):
    """Claims held against targets."""

    def test_a_target_met_exactly_passes(self) -> None:
        """At most includes the target."""
        self.assertTrue(Verdict("CPU", 1.5, "<=", 1.5).holds)

    def test_a_target_missed_fails(self) -> None:
        """In either direction."""
        self.assertFalse(Verdict("CPU", 1.51, "<=", 1.5).holds)
        self.assertFalse(Verdict("rate", 0.49, ">=", 0.5).holds)

    def test_less_excludes_the_target(self) -> None:
        """The p99 must be below its bound."""
        self.assertFalse(Verdict("p99", 250, "<", 250).holds)

    def test_it_reads_as_a_sentence(self) -> None:
        """The word, the claim, what was measured and what was wanted."""
        self.assertEqual(Verdict("p99", 12, "<", 250, " ms").text(), "PASS: p99: 12.0 ms (target < 250 ms)")

    def test_one_failure_fails_the_report(self) -> None:
        """A report holds when all of its claims do."""
        met, missed = Verdict("a", 1, "<=", 2), Verdict("b", 3, "<=", 2)
        self.assertTrue(Report("t", (), (met,)).holds())
        self.assertFalse(Report("t", (), (met, missed)).holds())

    def test_a_brief_run_does_not_judge_what_a_busy_machine_can_miss(self) -> None:
        """A noisy miss is forgiven when brief, and only then; any other miss never is."""
        noisy, firm = Verdict("a", 3, "<=", 2, noisy=True), Verdict("b", 3, "<=", 2)
        self.assertTrue(Report("t", (), (noisy,)).holds(brief=True))
        self.assertFalse(Report("t", (), (noisy,)).holds())
        self.assertFalse(Report("t", (), (noisy, firm)).holds(brief=True))
        self.assertEqual(noisy.text(brief=True), "not judged: a: 3.00 (target <= 2.00)")

    def test_a_report_prints_title_table_verdicts_and_remarks(self) -> None:
        """In this order, as markdown."""
        report = Report("Title", (("Caption", "| a |"),), (Verdict("a", 1, "<=", 2),), ("a remark",))
        expected = "## Title\n\nCaption\n\n| a |\n\n- PASS: a: 1.00 (target <= 2.00)\n- a remark\n"
        self.assertEqual(report.text(), expected)
