"""Runs become rows: seeds joined, differences taken seed by seed, the Pareto front found."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_runs import make_run, make_runs

from fewbits.report.grouping import group_runs
from fewbits.report.rows import Row, Statistic, pareto_front


def row(precision: str, accuracy: float, energy: float) -> Row:
    run = replace(make_run(), accuracy_percent=accuracy, energy_uj=energy)
    return replace(group_runs([run])[0].rows[0], precision=precision)


def test_a_row_joins_its_seeds():
    rows = group_runs(make_runs(0, 1, 2))[0].rows
    assert [len(one.seeds) for one in rows] == [3] * 5
    assert rows[2].figures["accuracy_percent"] == Statistic(97.0, 0.5, 3)


def test_spread_is_the_sample_standard_deviation():
    assert Statistic.of([1.0, 3.0]) == Statistic(2.0, math.sqrt(2), 2)


@given(st.floats(-1e9, 1e9), st.integers(1, 9))
def test_equal_figures_have_exactly_no_spread(value: float, count: int):
    assert Statistic.of([value] * count) == Statistic(value, 0.0, count)


def test_difference_is_taken_seed_by_seed():
    fixed8 = group_runs(make_runs(0, 1))[0].rows[2]
    assert fixed8.figures["difference_points"] == Statistic(-0.5, 0.0, 2)


def test_a_seed_without_a_float32_run_has_no_part_in_the_difference():
    fixed8 = group_runs([make_run("float32", 0), make_run("fixed8", 0), make_run("fixed8", 1)])[0].rows[1]
    assert fixed8.figures["difference_points"] == Statistic(-0.5, 0.0, 1)


def test_without_float32_there_is_neither_difference_nor_saving():
    fixed8 = group_runs([make_run("fixed8")])[0].rows[0]
    assert (fixed8.figures["difference_points"], fixed8.figures["energy_saving_percent"]) == (None, None)


def test_each_network_and_data_set_has_its_group():
    runs = [make_run(), make_run(model="alex", data="cifar10"), make_run("float32")]
    assert [group.title for group in group_runs(runs)] == ["lenet on digits", "alex on cifar10"]


def test_power_by_component_adds_up_to_the_power():
    for one in group_runs(make_runs(0))[0].rows:
        assert sum(one.parts["power_mw_by_component"].values()) == pytest.approx(one.mean("power_mw"))


def test_the_pareto_front_goes_from_least_energy_to_highest_accuracy():
    rows = [row("a", 90, 1), row("b", 95, 3), row("c", 94, 4), row("d", 97, 9), row("e", 80, 1)]
    assert [one.precision for one in pareto_front(rows)] == ["a", "b", "d"]


def test_rows_equal_in_both_figures_are_both_on_the_front():
    assert [one.precision for one in pareto_front([row("a", 90, 1), row("b", 90, 1)])] == ["a", "b"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_no_row_beats_one_on_the_front_and_every_other_is_beaten(points: list[tuple[int, int]]):
    rows = [row(str(i), accuracy, energy) for i, (accuracy, energy) in enumerate(points)]
    front = pareto_front(rows)

    def beats(one: Row, other: Row) -> bool:
        gain = one.mean("accuracy_percent") - other.mean("accuracy_percent")
        saved = other.mean("energy_uj") - one.mean("energy_uj")
        return gain >= 0 and saved >= 0 and (gain > 0 or saved > 0)

    for one in rows:
        assert (one in front) is not any(beats(other, one) for other in rows)


def test_a_row_of_networks_that_another_row_has_is_no_point_of_its_own():
    def best(seed: int, stands_for: str):
        return make_run("fixed8", seed, recipe="best", stands_for=stands_for)

    def points(*runs):
        return [one.recipe for one in group_runs([make_run("float32"), make_run("fixed8"), *runs])[0].points]

    assert points(best(0, "fine-tune")) == ["float", "fine-tune"]
    assert points(best(0, "distill")) == ["float", "fine-tune", "best"]
    assert points(best(0, "fine-tune"), best(1, "fine-tune")) == ["float", "fine-tune", "best"]


def test_a_group_of_scaled_figures_says_so_in_its_title():
    groups = group_runs([make_run(technology="ihp-sg13g2 scaled to 65 nm")], [])
    assert groups[0].title == "lenet on digits; area, power and energy: ihp-sg13g2 scaled to 65 nm"
