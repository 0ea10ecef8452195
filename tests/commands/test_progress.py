"""The bar of a long command."""

from __future__ import annotations

from io import StringIO

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dimseproxy.commands.progress import REDRAW, Progress


class Terminal(StringIO):
    """A terminal, by its own account."""

    def isatty(self) -> bool:
        return True


class ProgressTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.out = Terminal()

    def progress(self, total: int) -> Progress:
        return Progress("importing", total, self.out, self.clock.seconds)

    def test_it_shows_how_far_it_is(self) -> None:
        with self.progress(10) as progress:
            progress.advance(5)
            self.assertEqual(progress.text(), "importing [###############...............] 5/10")

    def test_it_shows_how_fast_it_is(self) -> None:
        with self.progress(100) as progress:
            self.clock.advance(2)
            progress.advance(50)
            self.assertTrue(progress.text().endswith("50/100 25/s"))

    def test_without_a_total_it_counts(self) -> None:
        with self.progress(0) as progress:
            progress.advance(3)
            self.assertEqual(progress.text(), "importing 3")

    def test_more_than_all_is_all(self) -> None:
        with self.progress(2) as progress:
            progress.advance(3)
            self.assertIn("[##############################]", progress.text())

    def test_it_is_not_drawn_more_often_than_anybody_looks(self) -> None:
        with self.progress(1000) as progress:
            drawn = self.out.getvalue()
            progress.advance()
            self.assertEqual(self.out.getvalue(), drawn)
            self.clock.advance(REDRAW)
            progress.advance()
            self.assertIn("2/1000", self.out.getvalue())

    def test_nothing_of_it_is_left(self) -> None:
        with self.progress(10) as progress:
            progress.advance(5)
        self.assertEqual(self.out.getvalue().split("\r")[-2].strip() + self.out.getvalue().split("\r")[-1], "")

    def test_a_line_stays_and_the_bar_is_drawn_below(self) -> None:
        lines = StringIO()
        with self.progress(10) as progress:
            progress.say("a.dcm is no DICOM file", lines)
            self.assertTrue(self.out.getvalue().endswith("0/10"))
        self.assertEqual(lines.getvalue(), "a.dcm is no DICOM file\n")

    def test_where_nobody_watches_nothing_is_drawn(self) -> None:
        out = StringIO()
        with Progress("importing", 10, out, self.clock.seconds) as progress:
            progress.advance(10)
        self.assertEqual(out.getvalue(), "")
