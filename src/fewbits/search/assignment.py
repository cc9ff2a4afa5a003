"""The assignment by integer programming: least loss within a budget, as scipy's `milp` (HiGHS) finds it.

Minimize the sum of the units' scores, one precision a unit, so that the cost stays within a budget: a multiple-choice
knapsack, as in HAWQ-V3 (Z. Yao et al., arXiv:2011.10680, section 3.4). The cost may have a part for each precision in
use and one for pairs of neighbours, whose products of binaries are linearized (F. Glover and E. Woolsey, 1974).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from fewbits.errors import SearchError
from fewbits.search.space import Choice

Numbers = NDArray[np.float64]

BUDGETS = 32
"""Between the cheapest and the best assignment: more than a search has evaluations left for."""

_TIE = 1e-6
"""Of the range of scores, what the whole range of costs weighs: of equal scores the cheaper assignment."""


@dataclass(frozen=True)
class Pair:
    """What it costs that two units have these precisions."""

    first: tuple[int, int]
    """Unit and precision."""

    second: tuple[int, int]
    cost: float
    """At least 0."""


@dataclass(frozen=True)
class Program:
    """A cost as the integer program adds it up."""

    units: Numbers
    """Unit x precision: what the unit costs there; NaN where this machine does not compute it."""

    used: Numbers
    """By precision: what it costs that any unit has it."""

    pairs: tuple[Pair, ...] = ()
    constant: float = 0.0

    def cost(self, choice: Choice) -> float:
        """Of a choice; NaN where the machine does not compute it."""
        numbers = list(choice)
        paired = sum(
            pair.cost
            for pair in self.pairs
            if numbers[pair.first[0]] == pair.first[1] and numbers[pair.second[0]] == pair.second[1]
        )
        units = float(self.units[np.arange(len(numbers)), numbers].sum())
        return self.constant + units + float(self.used[sorted(set(numbers))].sum()) + paired


def sweep(scores: Numbers, programs: Sequence[Program], budgets: int = BUDGETS) -> list[Choice]:
    """Assignments of least score, from no budget to the tightest, each once; of several machines one after another.

    scores: unit x precision. Raises SearchError if no program has a solution.
    """
    found: dict[Choice, None] = {}
    for program in programs:
        solver = _Solver(scores, program)
        best, cheapest = solver.best(None), solver.cheapest()
        if best is None or cheapest is None:
            continue
        low, high = program.cost(cheapest), program.cost(best)
        for choice in (best, *(solver.best(float(budget)) for budget in np.linspace(high, low, budgets)[1:])):
            if choice is not None:
                found.setdefault(choice)
    if not found:
        raise SearchError("no assignment is computed by the machine: give other formats, or other datapaths")
    return list(found)


@dataclass(frozen=True, eq=False)
class _Solver:
    """Variables: a binary for each unit and precision, then one for each precision in use, then one for each pair."""

    scores: Numbers
    program: Program
    _costs: Numbers = field(init=False)
    _constraints: LinearConstraint = field(init=False)
    _bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        program = self.program
        allowed = np.isfinite(program.units)
        costs = np.concatenate(
            [np.where(allowed, program.units, 0.0).ravel(), program.used, [pair.cost for pair in program.pairs]]
        )
        upper = np.concatenate([allowed.ravel().astype(float), np.ones(len(costs) - allowed.size)])
        object.__setattr__(self, "_costs", costs)
        object.__setattr__(self, "_bounds", Bounds(np.zeros(len(costs)), upper))  # pyright: ignore[reportArgumentType]
        object.__setattr__(self, "_constraints", self._rows(len(costs)))

    def best(self, budget: float | None) -> Choice | None:
        """The least score within a budget; None if none keeps it."""
        weights = np.zeros(len(self._costs))
        weights[: self.scores.size] = self.scores.ravel()
        spread, dearest = float(np.ptp(self.scores)), float(np.abs(self._costs).sum())
        if dearest:
            weights += self._costs * (_TIE * (spread or 1.0) / dearest)
        return self._solved(weights, budget)

    def cheapest(self) -> Choice | None:
        """The least cost; None if no unit's precisions are computed."""
        return self._solved(self._costs, None)

    def _solved(self, weights: Numbers, budget: float | None) -> Choice | None:
        constraints = [self._constraints]
        if budget is not None:
            limit = budget - self.program.constant
            constraints.append(LinearConstraint(self._costs[None, :], -np.inf, limit + 1e-9 * abs(limit)))
        scale = float(np.abs(weights).max()) or 1.0
        solved = milp(
            weights / scale,
            integrality=np.ones(len(weights)),
            bounds=self._bounds,
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if solved.x is None:
            return None
        chosen = solved.x[: self.scores.size].reshape(self.scores.shape)
        return tuple(int(number) for number in chosen.argmax(axis=1))

    def _rows(self, variables: int) -> LinearConstraint:
        """One precision a unit; a precision in use where a unit has it; a pair where both its units have it."""
        rows = list(self._row_entries())
        entries = [(number, column, value) for number, (columns, _, _) in enumerate(rows) for column, value in columns]
        numbers, columns, values = zip(*entries, strict=True)
        matrix = coo_array((values, (numbers, columns)), shape=(len(rows), variables)).tocsr()
        lows, highs = np.array([low for _, low, _ in rows]), np.array([high for _, _, high in rows])
        return LinearConstraint(matrix, lows, highs)  # pyright: ignore[reportArgumentType]

    def _row_entries(self) -> Iterator[tuple[list[tuple[int, float]], float, float]]:
        units, precisions = self.scores.shape
        used, pairs = units * precisions, units * precisions + precisions
        for unit in range(units):
            yield [(unit * precisions + number, 1.0) for number in range(precisions)], 1.0, 1.0
        for number in range(precisions):
            if self.program.used[number]:
                for unit in range(units):
                    yield [(unit * precisions + number, 1.0), (used + number, -1.0)], -np.inf, 0.0
        for number, pair in enumerate(self.program.pairs):
            first, second = (unit * precisions + precision for unit, precision in (pair.first, pair.second))
            yield [(first, 1.0), (second, 1.0), (pairs + number, -1.0)], -np.inf, 1.0
