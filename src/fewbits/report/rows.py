"""From the runs of a study to the rows of its table: seeds joined, differences to float32, the Pareto front."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fewbits.study import FailedRun, RunResult

BASELINE = "float32"
"""The precision that differences and savings are counted from."""

TOLERANCE_POINTS = 1.0
"""Accuracy that a report lets a precision lose against float32, or a network with defects against itself."""

ACCURACY, ENERGY = "accuracy_percent", "energy_uj"
"""The figures that precisions are chosen by."""


@dataclass(frozen=True)
class Statistic:
    """A figure over the seeds of one point of a study."""

    mean: float

    spread: float
    """Sample standard deviation (over count - 1); 0 for one seed."""

    count: int
    """How many seeds."""

    @staticmethod
    def of(values: Sequence[float]) -> Statistic:
        """Mean and spread of at least one value."""
        mean = math.fsum(values) / len(values)
        if all(value == values[0] for value in values):
            return Statistic(values[0], 0.0, len(values))
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        return Statistic(mean, math.sqrt(variance), len(values))


@dataclass(frozen=True)
class Row:
    """One precision (and recipe) of one network on one data set: every seed's figures joined."""

    precision: str
    recipe: str
    seeds: tuple[int, ...]

    figures: Mapping[str, Statistic | None]
    """By name, of those of `fewbits.study.figures.JOINED`; None where no run has it, or none can be compared."""

    parts: Mapping[str, dict[str, float]]
    """By name, of those of `fewbits.study.figures.SPLIT`: mean of each component over the seeds."""

    runs: tuple[RunResult, ...]
    """The runs behind the row, by seed."""

    study: str = ""
    """Whose runs they are; empty where all rows are of one study."""

    accelerator: str = ""
    """Of the cost; empty where the study has one."""

    def mean(self, name: str) -> float:
        """Of a figure that every row has."""
        found = self.figures[name]
        if found is None:
            raise ValueError(f"{self.precision}: no run has the figure {name!r}")
        return found.mean

    def spread(self, name: str) -> float:
        """Of a figure over the seeds; 0 without one."""
        found = self.figures[name]
        return 0.0 if found is None else found.spread

    @property
    def recipe_in_words(self) -> str:
        """The recipe, and what it stands for: `best (= fine-tune)`."""
        return self.runs[0].recipe_in_words

    @property
    def is_baseline(self) -> bool:
        """Whether it is the float32 row of its study."""
        return self.precision == BASELINE

    def label(self, rows: Sequence[Row]) -> str:
        """What tells it apart among rows of one network: the precision; recipe, accelerator and study where several
        share it.
        """
        same = [other for other in rows if other.precision == self.precision]
        recipe = f" {self.recipe}" if len({other.recipe for other in same}) > 1 else ""
        return f"{self.precision}{recipe}{self.apart(same)}"

    def apart(self, same: Sequence[Row]) -> str:
        """What tells it from rows that share its network and precision, beside the recipe: accelerator and study."""
        accelerator = f" on {self.accelerator}" if len({other.accelerator for other in same}) > 1 else ""
        mine = (self.recipe, self.accelerator)
        several = sum((other.recipe, other.accelerator) == mine for other in same) > 1
        return accelerator + (f" ({self.study})" if several and self.study else "")

    def repeats(self, other: Row) -> bool:
        """Whether every network of this row is one of another row: that of the recipe that this one stands for."""
        named = (self.runs[0].model, self.runs[0].data, self.precision, self.runs[0].stands_for)
        same = named == (other.runs[0].model, other.runs[0].data, other.precision, other.recipe)
        same = same and (self.study, self.accelerator) == (other.study, other.accelerator)
        return same and set(self.seeds) <= set(other.seeds)


@dataclass(frozen=True)
class Group:
    """The rows of one network on one data set, in the study's order."""

    model: str
    data: str
    rows: tuple[Row, ...]
    failed: tuple[FailedRun, ...]

    failed_in: tuple[str, ...] = ()
    """The study of each failed run; empty where all are of one."""

    apart: str = ""
    """Studies of this group, where others have other images or another technology under the same names."""

    @property
    def title(self) -> str:
        """Such as `lenet on digits`; says so where the figures are scaled to another process node."""
        technologies = {run.technology for row in self.rows for run in row.runs}
        scaled = sorted(name for name in technologies if " scaled to " in name)
        named = f"{self.model} on {self.data}" + (f" ({self.apart})" if self.apart else "")
        return named + (f"; area, power and energy: {', '.join(scaled)}" if scaled else "")

    @property
    def points(self) -> tuple[Row, ...]:
        """The rows for charts and comparisons: without those that repeat the networks of another row."""
        return tuple(row for row in self.rows if not any(row.repeats(other) for other in self.rows))

    @property
    def baseline(self) -> Row | None:
        """The first float32 row, if there is one."""
        return next((row for row in self.rows if row.is_baseline), None)

    @property
    def accelerators(self) -> tuple[str, ...]:
        """Of its rows, where they are of several; else empty."""
        found = tuple(dict.fromkeys(row.accelerator for row in self.rows))
        return found if len(found) > 1 else ()

    @property
    def studies(self) -> tuple[str, ...]:
        """Of its rows, where they are of several studies."""
        return tuple(dict.fromkeys(row.study for row in self.rows if row.study))


def pareto_front(rows: Iterable[Row], against: str = ENERGY) -> tuple[Row, ...]:
    """The rows that no other beats: less energy at no less accuracy; from the least energy to the most.

    against: another figure in place of energy. Of rows equal in both figures all stay.
    """
    front: list[tuple[float, float]] = []
    found: list[Row] = []
    for row in sorted(rows, key=lambda one: (one.mean(against), -one.mean(ACCURACY))):
        point = (row.mean(against), row.mean(ACCURACY))
        if not front or point[1] > front[-1][1] or point == front[-1]:
            front.append(point)
            found.append(row)
    return tuple(found)
