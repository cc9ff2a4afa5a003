"""The assignment by integer programming: least loss within a budget, as scipy's `milp` (HiGHS) finds it.

Minimize the sum of the units' scores, one precision a unit, so that the cost stays within a budget: a multiple-choice
knapsack, as in HAWQ-V3 (Z. Yao et al., arXiv:2011.10680, section 3.4). The cost may have a part for each precision in
use, and one for each two neighbours: of a unit's precision, and of that at which its result is taken, which is the
widest of those that take it. A product of two choices of one precision is the flow from the one to the other
(W. P. Adams and H. D. Sherali, Management Science 32, 1986): whole numbers by itself where the choices are.
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


@dataclass(frozen=True, eq=False)
class Neighbours:
    """What it costs that two nodes have these precisions."""

    first: int
    second: int
    costs: Numbers
    """Precision of the first x of the second; may be below zero."""


@dataclass(frozen=True, eq=False)
class Program:
    """A cost as the integer program adds it up over nodes: the units, then the groups of units that take one result."""

    nodes: Numbers
    """Node x precision: what it costs there; NaN where this machine does not compute a unit."""

    used: Numbers
    """By precision: what it costs that any unit has it; at least 0."""

    neighbours: tuple[Neighbours, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()
    """The units of each group. A group's precision is the widest of theirs."""

    widths: tuple[int, ...] = ()
    """The precisions' places in the order of widths, the widest at 0; empty where there are no groups."""

    constant: float = 0.0

    def cost(self, choice: Choice) -> float:
        """Of a choice; NaN where the machine does not compute it."""
        numbers = self._of_nodes(choice)
        paired = sum(float(one.costs[numbers[one.first], numbers[one.second]]) for one in self.neighbours)
        nodes = float(self.nodes[np.arange(len(numbers)), numbers].sum())
        return self.constant + nodes + float(self.used[sorted(set(choice))].sum()) + paired

    def _of_nodes(self, choice: Choice) -> list[int]:
        """The precisions of units and groups."""
        groups = (min((choice[unit] for unit in group), key=self.widths.__getitem__) for group in self.groups)
        return [*choice, *groups]


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
    """Variables: one for each node and precision, units' whole numbers; then one for each precision in use; then, for
    each two neighbours, one for each two precisions.
    """

    scores: Numbers
    program: Program
    _costs: Numbers = field(init=False)
    _integrality: Numbers = field(init=False)
    _constraints: LinearConstraint = field(init=False)
    _bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        program = self.program
        allowed = np.isfinite(program.nodes)
        paired = [one.costs.ravel() for one in program.neighbours]
        costs = np.concatenate([np.where(allowed, program.nodes, 0.0).ravel(), program.used, *paired])
        upper = np.concatenate([allowed.ravel().astype(float), np.ones(len(costs) - allowed.size)])
        object.__setattr__(self, "_costs", costs)
        object.__setattr__(self, "_integrality", (np.arange(len(costs)) < self.scores.size).astype(float))
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
            integrality=self._integrality,
            bounds=self._bounds,
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        if solved.x is None:
            return None
        chosen = solved.x[: self.scores.size].reshape(self.scores.shape)
        return tuple(int(number) for number in chosen.argmax(axis=1))

    def _rows(self, variables: int) -> LinearConstraint:
        rows = [*self._choices(), *self._uses(), *self._widest(), *self._products()]
        entries = [(number, column, value) for number, (columns, _, _) in enumerate(rows) for column, value in columns]
        numbers, columns, values = zip(*entries, strict=True)
        matrix = coo_array((values, (numbers, columns)), shape=(len(rows), variables)).tocsr()
        lows, highs = np.array([low for _, low, _ in rows]), np.array([high for _, _, high in rows])
        return LinearConstraint(matrix, lows, highs)  # pyright: ignore[reportArgumentType]

    def _choices(self) -> Iterator[_Row]:
        """One precision a node."""
        nodes, precisions = self.program.nodes.shape
        for node in range(nodes):
            yield [(node * precisions + number, 1.0) for number in range(precisions)], 1.0, 1.0

    def _uses(self) -> Iterator[_Row]:
        """A precision is in use where a unit has it."""
        units, precisions = self.scores.shape
        for number in range(precisions):
            if self.program.used[number]:
                for unit in range(units):
                    columns = (unit * precisions + number, self.program.nodes.size + number)
                    yield [(columns[0], 1.0), (columns[1], -1.0)], -np.inf, 0.0

    def _widest(self) -> Iterator[_Row]:
        """A group's precision is one of its units', and as wide as that of each."""
        units, precisions = self.scores.shape
        places = self.program.widths
        for node, group in enumerate(self.program.groups, units):
            for number in range(precisions):
                has = [(unit * precisions + number, -1.0) for unit in group]
                yield [(node * precisions + number, 1.0), *has], -np.inf, 0.0
                wider = [other for other in range(precisions) if places[other] <= places[number]]
                for unit in group:
                    own = [(unit * precisions + other, -1.0) for other in wider]
                    yield [*((node * precisions + other, 1.0) for other in wider), *own], 0.0, np.inf

    def _products(self) -> Iterator[_Row]:
        """What flows from a precision of the first neighbour, and to one of the second, is that choice."""
        precisions = self.scores.shape[1]
        start = self.program.nodes.size + precisions
        for one in self.program.neighbours:
            flows = np.arange(start, start + precisions**2).reshape(precisions, precisions)
            for node, lines in ((one.first, flows), (one.second, flows.T)):
                for number, line in enumerate(lines.tolist()):
                    yield [(node * precisions + number, -1.0), *((flow, 1.0) for flow in line)], 0.0, 0.0
            start += precisions**2


_Row = tuple[list[tuple[int, float]], float, float]
"""Columns with their factors, and the least and the most of their sum."""
