"""The plots, read as SVG."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import TestCase

from bench.plot import COLOURS, Bars, Points, draw_bars, draw_lines
from bench.samples import fit

SVG = "{http://www.w3.org/2000/svg}"


class PlotTestCase(TestCase):
    """Has a file to draw into."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())

    def drawn(self, kind: str) -> list[ElementTree.Element]:
        """What was drawn of a kind of element."""
        return ElementTree.parse(self.file).getroot().findall(SVG + kind)

    def texts(self) -> list[str]:
        """What is written."""
        return [element.text or "" for element in self.drawn("text")]


class BarTests(PlotTestCase):
    """Panels of bars."""

    def widths(self) -> list[float]:
        """Of the bars; the first rectangle is the ground."""
        return [float(bar.attrib["width"]) for bar in self.drawn("rect")[1:]]

    def test_a_bar_is_as_long_as_its_figure(self) -> None:
        """Twice the figure, twice the bar, in whichever panel."""
        draw_bars(self.file, "t", [Bars("one", {"a": 1.0, "b": 2.0}), Bars("two", {"a": 0.5})], mark=1.0)
        first, second, third = self.widths()
        self.assertAlmostEqual(second / first, 2.0, places=2)
        self.assertAlmostEqual(third / first, 0.5, places=2)

    def test_each_figure_is_written(self) -> None:
        """With the names of the rows and the panels."""
        draw_bars(self.file, "title", [Bars("panel", {"a": 1.25})], mark=1.0)
        self.assertEqual(self.texts(), ["title", "a", "panel", "1.25"])

    def test_a_subject_that_a_panel_lacks_has_no_bar_there(self) -> None:
        """And keeps its row in the others."""
        draw_bars(self.file, "t", [Bars("one", {"a": 1.0}), Bars("two", {"b": 1.0})], mark=1.0)
        tops = {bar.attrib["y"] for bar in self.drawn("rect")[1:]}
        self.assertEqual(len(tops), 2)

    def test_our_own_is_in_colour(self) -> None:
        """Whatever it is doing."""
        draw_bars(self.file, "t", [Bars("one", {"HAProxy": 1.0, "dimseproxy TLS": 1.0})], mark=1.0)
        self.assertEqual([bar.attrib["fill"] == COLOURS[0] for bar in self.drawn("rect")[1:]], [False, True])

    def test_a_name_with_markup_is_text(self) -> None:
        """It would break the file."""
        draw_bars(self.file, "<&>", [Bars("p", {"a": 1.0})], mark=1.0)
        self.assertIn("<&>", self.texts())


class LineTests(PlotTestCase):
    """Points and lines."""

    def test_points_of_a_straight_line_are_in_one(self) -> None:
        """Each as far from the one before as its work is."""
        points = [(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]
        draw_lines(self.file, "t", "x", "y", [Points("a", points, fit(points))])
        places = [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in self.drawn("circle")]
        (x1, y1), (x2, y2), (x3, y3) = places
        self.assertAlmostEqual((y3 - y2) / (x3 - x2), (y2 - y1) / (x2 - x1), places=1)

    def test_each_series_is_named_in_a_colour_of_its_own(self) -> None:
        """The points have it, too."""
        points = [(1.0, 1.0), (2.0, 2.0)]
        draw_lines(self.file, "t", "x", "y", [Points(name, points, fit(points)) for name in ("a", "b")])
        self.assertEqual(self.texts()[-2:], ["a", "b"])
        self.assertEqual(len({dot.attrib["fill"] for dot in self.drawn("circle")}), 2)

    def test_the_marks_of_the_axis_are_round(self) -> None:
        """And few."""
        points = [(1.0, 1.0), (8.0, 16.0)]
        draw_lines(self.file, "t", "x", "y", [Points("a", points, fit(points))])
        marks = [element.text for element in self.drawn("text") if element.attrib["text-anchor"] == "end"]
        self.assertEqual(marks, ["5", "10", "15"])
