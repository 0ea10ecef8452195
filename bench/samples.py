"""What is computed from repeated measurements: medians, spreads, percentiles, ratios, lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from attrs import frozen


@frozen
class Summary:
    """The median of repeated measurements, the least and the greatest of them, in their own unit."""

    median: float
    least: float
    greatest: float
    count: int


def summarise(values: Iterable[float]) -> Summary:
    """Summarise at least one measurement.

    :raises ValueError: when there is none
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return Summary(median(ordered), ordered[0], ordered[-1], len(ordered))


def percentile(values: Iterable[float], percent: float) -> float:
    """The least measurement that at least ``percent`` of all do not exceed (nearest rank, no interpolation).

    :raises ValueError: when there is no measurement, or ``percent`` is not within 0 < percent <= 100
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    if not 0 < percent <= 100:
        raise ValueError(f"no such percentile: {percent}")
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def paired_ratio(values: Sequence[float], baseline: Sequence[float]) -> float:
    """The median of the ratios of one round's measurement to the baseline's of the same round.

    Pairing within a round cancels what disturbed the whole round, which a ratio of medians would keep.

    :raises ValueError: when the two differ in length, there is none, or the baseline measured nothing
    """
    if len(values) != len(baseline):
        raise ValueError(f"{len(values)} measurements against {len(baseline)}")
    if not values:
        raise ValueError("nothing was measured")
    if min(baseline) <= 0:
        raise ValueError("the baseline measured nothing")
    return median(value / base for value, base in zip(values, baseline, strict=True))


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> float:
    """The median of what one round's measurement has beyond the baseline's of the same round.

    :raises ValueError: when the two differ in length, or there is none
    """
    if len(values) != len(baseline):
        raise ValueError(f"{len(values)} measurements against {len(baseline)}")
    if not values:
        raise ValueError("nothing was measured")
    return median(value - base for value, base in zip(values, baseline, strict=True))


@frozen
class Line:
    """The straight line that fits some points best."""

    slope: float
    intercept: float
    residual: float
    """The greatest distance of a point from the line, as a part of what was measured there."""

    def at(self, x: float) -> float:
        """What the line says there."""
        return self.intercept + self.slope * x


def fit(points: Sequence[tuple[float, float]]) -> Line:
    """The line of the least squares of relative distances: it has to be right where there is little as well.

    :raises ValueError: when there are not at least two places with figures greater than nothing
    """
    if len({x for x, _ in points}) < 2 or min(y for _, y in points) <= 0:
        raise ValueError("no line fits these points")
    weights = [1 / (y * y) for _, y in points]
    total = sum(weights)
    mean_x = sum(weight * x for weight, (x, _) in zip(weights, points, strict=True)) / total
    mean_y = sum(weight * y for weight, (_, y) in zip(weights, points, strict=True)) / total
    across = sum(weight * (x - mean_x) ** 2 for weight, (x, _) in zip(weights, points, strict=True))
    slope = sum(w * (x - mean_x) * (y - mean_y) for w, (x, y) in zip(weights, points, strict=True)) / across
    intercept = mean_y - slope * mean_x
    residual = max(abs(y - (intercept + slope * x)) / y for x, y in points)
    return Line(slope, intercept, residual)


def in_turn(subjects: Sequence[str], rounds: int) -> Iterator[str]:
    """Every subject once a round, each round beginning with the next subject.

    Rotating the order keeps one subject from always running in the wake of the same other.
    """
    for number in range(rounds):
        start = number % len(subjects)
        yield from (*subjects[start:], *subjects[:start])
