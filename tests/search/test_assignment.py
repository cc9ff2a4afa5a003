"""The integer program against trying all assignments."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.errors import SearchError
from fewbits.search.assignment import Neighbours, Program, sweep

UNITS, PRECISIONS = 3, 3
CHOICES = list(product(range(PRECISIONS), repeat=UNITS))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Program]:
    """Scores, some of them negative, and costs with parts for precisions in use, for neighbours (conversions may save
    too), and for a result that the last two units take.
    """

    def table(rows: int, low: int, high: int) -> np.ndarray:
        size = rows * PRECISIONS
        values = draw(st.lists(st.integers(low, high), min_size=size, max_size=size))
        return np.array(values, float).reshape(rows, PRECISIONS)

    neighbours = tuple(Neighbours(*ends, table(PRECISIONS, -9, 9)) for ends in ((0, 1), (1, 2), (0, UNITS)))
    used = table(1, 0, 9)[0]
    widths = tuple(draw(st.permutations(range(PRECISIONS))))
    program = Program(table(UNITS + 1, 1, 20), used, neighbours, ((1, 2),), widths, constant=2.0)
    return table(UNITS, -3, 20), program


def score(scores: np.ndarray, choice: tuple[int, ...]) -> float:
    """Of all units."""
    return float(scores[range(UNITS), list(choice)].sum())


@settings(max_examples=20, deadline=None)
@given(problems())
def test_no_assignment_within_the_cost_of_a_proposed_one_has_a_lower_score(problem: tuple[np.ndarray, Program]):
    scores, program = problem
    for found in sweep(scores, [program], budgets=6):
        within = [one for one in CHOICES if program.cost(one) <= program.cost(found) + 1e-6]
        assert score(scores, found) == pytest.approx(min(score(scores, one) for one in within), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(problems())
def test_the_sweep_reaches_from_the_best_to_the_cheapest_assignment(problem: tuple[np.ndarray, Program]):
    scores, program = problem
    found = sweep(scores, [program], budgets=6)
    assert min(program.cost(one) for one in found) == min(map(program.cost, CHOICES))
    assert min(score(scores, one) for one in found) == pytest.approx(min(score(scores, one) for one in CHOICES))


def test_a_result_costs_what_the_widest_of_those_that_take_it_makes_it():
    program = Program(np.array([[0.0, 0.0], [0.0, 0.0], [5.0, 1.0]]), np.zeros(2), (), ((0, 1),), (0, 1))
    assert [program.cost(choice) for choice in ((0, 0), (0, 1), (1, 0), (1, 1))] == [5.0, 5.0, 5.0, 1.0]


def test_a_precision_that_a_machine_does_not_compute_is_not_proposed_for_it():
    costs = np.array([[5.0, np.nan], [5.0, 1.0]])
    found = sweep(np.array([[0.0, 1.0], [0.0, 1.0]]), [Program(costs, np.zeros(2))])
    assert set(found) == {(0, 0), (0, 1)}


def test_of_equal_scores_the_cheaper_assignment_is_proposed():
    costs = np.array([[5.0, 1.0], [5.0, 1.0]])
    assert sweep(np.zeros((2, 2)), [Program(costs, np.zeros(2))]) == [(1, 1)]


def test_a_machine_that_computes_nothing_is_refused():
    with pytest.raises(SearchError, match="no assignment is computed by the machine"):
        sweep(np.zeros((1, 2)), [Program(np.full((1, 2), np.nan), np.zeros(2))])
