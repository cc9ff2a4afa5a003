"""Points that no other beats, and the area that they dominate. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Front:
    """The best accuracy at every cost, as stairs: a point is beaten by one that is no dearer and no less accurate."""

    costs: tuple[float, ...]
    """Rising."""

    accuracies: tuple[float, ...]
    """Rising with them, all above the floor."""

    floor: float
    """Accuracy from which on a point counts."""

    ceiling: float
    """Cost up to which a point counts."""

    @property
    def hypervolume(self) -> float:
        """The area between the stairs, the floor and the ceiling: accuracy times cost.

        Source: E. Zitzler and L. Thiele, "Multiobjective optimization using evolutionary algorithms" (PPSN V, 1998).
        """
        ends = (*self.costs[1:], self.ceiling) if self.costs else ()
        steps = zip(self.costs, ends, self.accuracies, strict=True)
        return sum((end - start) * (accuracy - self.floor) for start, end, accuracy in steps)

    def expected_gain(self, cost: float, mean: float, deviation: float) -> float:
        """How much more area a point of a cost is expected to add, whose accuracy is normally distributed.

        The expected improvement (D. R. Jones, M. Schonlau and W. J. Welch, J. Global Optimization 13, 1998, equation
        15) over each stair that the point may raise.
        """
        starts = (-math.inf, *self.costs)
        ends = (*self.costs, self.ceiling)
        levels = (self.floor, *self.accuracies)
        return sum(
            (end - max(start, cost)) * expected_excess(mean - level, deviation)
            for start, end, level in zip(starts, ends, levels, strict=True)
            if end > max(start, cost)
        )


def expected_excess(mean: float, deviation: float) -> float:
    """The mean of what a normally distributed value has above zero."""
    if deviation <= 0:
        return max(0.0, mean)
    z = mean / deviation
    return deviation * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) + mean * 0.5 * math.erfc(-z / math.sqrt(2))


def front_of(costs: Iterable[float], accuracies: Iterable[float], floor: float, ceiling: float) -> Front:
    """The front of points, each a cost and an accuracy in percent."""
    chosen: list[tuple[float, float]] = []
    for cost, accuracy in sorted(zip(costs, accuracies, strict=True), key=lambda point: (point[0], -point[1])):
        if accuracy > (chosen[-1][1] if chosen else floor) and cost < ceiling:
            chosen.append((cost, accuracy))
    return Front(tuple(cost for cost, _ in chosen), tuple(accuracy for _, accuracy in chosen), floor, ceiling)


def undominated(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Numbers of the points that no other beats, from the cheapest; of equal ones the first."""
    found: list[int] = []
    for number in sorted(range(len(costs)), key=lambda one: (costs[one], -accuracies[one], one)):
        if not found or accuracies[number] > accuracies[found[-1]]:
            found.append(number)
    return found
