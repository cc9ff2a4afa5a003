"""Fronts: stairs, the area below them, and what a point is expected to add."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.search.front import expected_excess, front_of, undominated

POINTS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=8)


@given(POINTS)
def test_the_hypervolume_is_the_count_of_dominated_cells(points: list[tuple[int, int]]):
    cells = {
        (cost, accuracy)
        for cost in range(10)
        for accuracy in range(2, 12)
        if any(one <= cost and accuracy < reached for one, reached in points)
    }
    found = front_of([cost for cost, _ in points], [reached for _, reached in points], 2, 10)
    assert found.hypervolume == len(cells)


@given(POINTS)
def test_a_point_is_on_the_front_if_no_other_beats_it(points: list[tuple[int, int]]):
    def beaten(number: int) -> bool:
        cost, reached = points[number]
        return any(
            one <= cost and high >= reached and ((one, high) != (cost, reached) or other < number)
            for other, (one, high) in enumerate(points)
            if other != number
        )

    found = undominated([cost for cost, _ in points], [reached for _, reached in points])
    assert sorted(found) == [number for number in range(len(points)) if not beaten(number)]


@given(POINTS, st.integers(0, 12), st.integers(0, 14))
def test_a_certain_point_is_expected_to_add_what_it_adds(points: list[tuple[int, int]], cost: int, reached: int):
    costs, accuracies = [one for one, _ in points], [high for _, high in points]
    before = front_of(costs, accuracies, 2, 10)
    after = front_of([*costs, cost], [*accuracies, reached], 2, 10)
    assert before.expected_gain(cost, reached, 0.0) == pytest.approx(after.hypervolume - before.hypervolume)


def test_an_uncertain_point_is_expected_to_add_the_mean_of_what_draws_add():
    front = front_of([1, 4], [50, 80], 20, 10)
    draws = np.random.default_rng(0).normal(70, 15, 20_000)
    gains = [front.expected_gain(2, float(draw), 0.0) for draw in draws]
    error = float(np.std(gains)) / math.sqrt(len(gains))
    assert front.expected_gain(2, 70, 15) == pytest.approx(float(np.mean(gains)), abs=4 * error)


def test_a_certain_value_has_its_own_excess():
    assert (expected_excess(2.5, 0), expected_excess(-2.5, 0)) == (2.5, 0.0)
