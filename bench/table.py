"""Markdown tables and verdicts: what a benchmark prints."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from attrs import frozen

from bench.samples import Summary

RELATIONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    "==": operator.eq,
}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A markdown table, padded to be read as plain text: the first ``texts`` columns to the left, others right.

    :raises ValueError: when a row has not as many cells as the header
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        left = [cell.ljust(width) for cell, width in zip(row[:texts], widths[:texts], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(row[texts:], widths[texts:], strict=True)]
        return "| " + " | ".join((*left, *right)) + " |"

    lefts, rights = widths[:texts], widths[texts:]
    rule = (
        "|" + "|".join([*("-" * (width + 2) for width in lefts), *("-" * (width + 1) + ":" for width in rights)]) + "|"
    )
    return "\n".join([line(cells[0]), rule, *(line(row) for row in cells[1:])])


def number(value: float) -> str:
    """Three significant digits, never in exponents: 1234, 12.3, 0.0123; yes or no for a truth."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 100:
        return f"{value:.0f}"
    if magnitude >= 10:
        return f"{value:.1f}"
    if magnitude >= 1:
        return f"{value:.2f}"
    return f"{value:.3g}" if magnitude >= 0.0001 else f"{value:.6f}"


def spread(summary: Summary) -> str:
    """The median with the least and the greatest measurement behind it."""
    return f"{number(summary.median)} ({number(summary.least)}..{number(summary.greatest)})"


@frozen
class Verdict:
    """One claim held against what was measured."""

    claim: str
    measured: float
    relation: str
    target: float
    unit: str = ""
    noisy: bool = False
    """Whether a busy machine alone can miss the target: a brief run shows such a figure and does not judge it."""

    @property
    def holds(self) -> bool:
        """Whether the measurement meets the target."""
        return RELATIONS[self.relation](self.measured, self.target)

    def text(self, brief: bool = False) -> str:
        """The verdict as a sentence; one that a brief run cannot judge only states the figure."""
        word = "not judged" if brief and self.noisy else "PASS" if self.holds else "FAIL"
        measured, target = number(self.measured), number(self.target)
        return f"{word}: {self.claim}: {measured}{self.unit} (target {self.relation} {target}{self.unit})"


@frozen
class Report:
    """What one benchmark found: a title, tables with their captions, verdicts and remarks."""

    title: str
    tables: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdict, ...] = ()
    remarks: tuple[str, ...] = ()

    def holds(self, brief: bool = False) -> bool:
        """Whether every claim holds; in a brief run, every one that such a run can judge."""
        return all(verdict.holds for verdict in self.verdicts if not (brief and verdict.noisy))

    def text(self, brief: bool = False) -> str:
        """The report as markdown."""
        parts = [f"## {self.title}"]
        for caption, table in self.tables:
            parts.append(f"{caption}\n\n{table}" if caption else table)
        listed = [
            *(f"- {verdict.text(brief)}" for verdict in self.verdicts),
            *(f"- {remark}" for remark in self.remarks),
        ]
        if listed:
            parts.append("\n".join(listed))
        return "\n\n".join(parts) + "\n"
