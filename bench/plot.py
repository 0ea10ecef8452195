"""Plots as SVG, written by hand: bars side by side, and points beside the straight line that fits them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from attrs import frozen

from bench.samples import Line

OURS = "dimseproxy"
"""Begins the names of the subjects that are drawn in colour."""
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e")
INK, SOFT, RULE = "#1f2328", "#8c959f", "#d0d7de"
FONT = "font-family='Helvetica, Arial, sans-serif'"
PANEL, GAP, ROW, TOP = 170, 24, 24, 74
"""Widths and heights in pixels: of a panel, between panels, of a bar with its space, above the bars."""
PLOT_WIDTH, PLOT_HEIGHT, MARGIN = 560, 360, 64
LETTER = 8
"""The width in pixels that is left for a letter of a name."""


@frozen
class Bars:
    """One panel: a figure for each subject."""

    title: str
    figures: Mapping[str, float]


@frozen
class Points:
    """One series: what was measured at each multiple of the work, and the line that fits it."""

    name: str
    measured: Sequence[tuple[float, float]]
    line: Line


def draw_bars(file: Path, title: str, panels: Sequence[Bars], mark: float) -> None:
    """Panels beside one another, the same subjects in the rows of all; a rule stands where the figure is ``mark``."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.figures))
    labels = GAP + LETTER * max(len(name) for name in names)
    width = labels + len(panels) * (PANEL + GAP) + GAP
    height = TOP + len(names) * ROW + 16
    # Room for the figure beside the longest bar.
    scale = (PANEL - 40) / max([mark, *(value for panel in panels for value in panel.figures.values())])
    parts = [_text(16, 28, title, size=16, weight="bold")]
    for row, name in enumerate(names):
        colour = INK if name.startswith(OURS) else SOFT
        parts.append(_text(labels - 10, TOP + row * ROW + 15, name, anchor="end", colour=colour))
    for column, panel in enumerate(panels):
        left = labels + column * (PANEL + GAP)
        at = left + mark * scale
        parts.append(_segment(at, TOP - 4, at, TOP + len(names) * ROW, SOFT, dashed=True))
        parts.extend(_text(left, 50 + 13 * at, part, size=11) for at, part in enumerate(_in_two(panel.title)))
        for row, name in enumerate(names):
            if name in panel.figures:
                value, top = panel.figures[name], TOP + row * ROW
                colour = COLOURS[0] if name.startswith(OURS) else SOFT
                parts.append(_rectangle(left, top + 3, value * scale, ROW - 8, colour))
                parts.append(_text(left + value * scale + 4, top + 15, f"{value:.2f}", size=11))
    _write(file, width, height, parts)


def draw_lines(file: Path, title: str, x_title: str, y_title: str, series: Sequence[Points]) -> None:
    """Points, each series in a colour of its own with its line, and a legend."""
    right, bottom = MARGIN + PLOT_WIDTH, 48 + PLOT_HEIGHT
    x_most = max(x for points in series for x, _ in points.measured)
    y_most = max(y for points in series for _, y in points.measured) * 1.05

    def place(x: float, y: float) -> tuple[float, float]:
        return MARGIN + x / x_most * (PLOT_WIDTH - 16), bottom - y / y_most * PLOT_HEIGHT

    parts = [
        _text(16, 28, title, size=16, weight="bold"),
        _segment(MARGIN, bottom, right, bottom, INK),
        _segment(MARGIN, 48, MARGIN, bottom, INK),
        _text(MARGIN + PLOT_WIDTH / 2, bottom + 42, x_title, anchor="middle"),
        _text(MARGIN, 44, y_title, size=11, colour=SOFT),
    ]
    for x in sorted({x for points in series for x, _ in points.measured}):
        parts.append(_text(place(x, 0)[0], bottom + 18, f"{x:g}x", anchor="middle", size=11))
        parts.append(_segment(place(x, 0)[0], bottom, place(x, 0)[0], bottom + 4, INK))
    step = _step(y_most)
    for y in (step * mark for mark in range(1, int(y_most / step) + 1)):
        parts.append(_segment(MARGIN, place(0, y)[1], right, place(0, y)[1], RULE))
        parts.append(_text(MARGIN - 8, place(0, y)[1] + 4, f"{y:g}", anchor="end", size=11))
    for index, points in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        ends = (place(x, max(0.0, points.line.at(x))) for x in (0.0, x_most))
        parts.append(_segment(*next(ends), *next(ends), colour))
        for x, y in points.measured:
            across, down = place(x, y)
            parts.append(f"<circle cx='{across:.1f}' cy='{down:.1f}' r='4' fill='{colour}'/>")
        parts.append(_rectangle(right + 20, 60 + index * 22, 12, 12, colour))
        parts.append(_text(right + 38, 70 + index * 22, points.name))
    _write(file, right + 60 + LETTER * max(len(points.name) for points in series), bottom + 60, parts)


def _write(file: Path, width: float, height: float, parts: Sequence[str]) -> None:
    # The ground is white, whatever is behind the page: the ink is dark.
    file.write_text(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height:g}' width='{width:g}' {FONT}>\n"
        f"<rect width='{width:g}' height='{height:g}' fill='white'/>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _step(most: float) -> float:
    """The distance between the marks of an axis: 1, 2 or 5 times a power of ten, and no more than five of them."""
    power = 10.0 ** math.floor(math.log10(most / 5))
    return next(power * times for times in (1, 2, 5, 10) if power * times * 5 >= most)


def _in_two(title: str) -> list[str]:
    """A title in one or two lines, parted at a space near the middle."""
    if len(title) <= 28:
        return [title]
    at = min((at for at, letter in enumerate(title) if letter == " "), key=lambda at: abs(at - len(title) / 2))
    return [title[:at], title[at + 1 :]]


def _text(
    x: float, y: float, text: str, *, size: int = 13, anchor: str = "start", colour: str = INK, weight: str = "normal"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' fill='{colour}'"
        f" font-weight='{weight}'>{escape(text)}</text>"
    )


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' fill='{colour}'/>"


def _segment(x1: float, y1: float, x2: float, y2: float, colour: str, dashed: bool = False) -> str:
    dashes = " stroke-dasharray='4 3'" if dashed else ""
    return f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{colour}'{dashes}/>"
