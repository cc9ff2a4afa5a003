"""A study with recipes that approximate round by round keeps their fronts, and its report shows them."""

from __future__ import annotations

import pytest

from fewbits import StudyError
from fewbits.report import write_report
from fewbits.study import read_results, run_study
from fewbits.study.plan import make_plan

RECIPES = ["approximate-synapses", "approximate-neurons", "fine-tune"]
QUICK = {
    "precisions": ["fixed8"],
    "recipes": RECIPES,
    "float_training": {"epochs": 1},
    "fine_tune": {"epochs": 1},
    "methods": {"error_margin_points": 100.0, "approximation": "dropped", "share_a_round": 1.0},
}


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    made = tmp_path_factory.mktemp("fronts")
    run_study(tiny(**QUICK), made, workers=1)
    return made


@pytest.fixture(scope="module")
def runs(folder):
    return {run.recipe: run for run in read_results(folder)}


@pytest.mark.parametrize("recipe", RECIPES[:2])
def test_a_run_keeps_its_front(runs, recipe: str):
    front = runs[recipe].front
    assert [one.round for one in front] == [0, 1]
    assert (front[0].switched, front[1].switched) == (0, front[1].units)
    assert front[1].energy_uj < front[0].energy_uj


def test_the_front_begins_at_the_uniform_precisions_energy(runs):
    assert not runs["fine-tune"].front
    assert runs["approximate-synapses"].front[0].energy_uj == pytest.approx(runs["fine-tune"].assumed_energy_uj)


def test_the_last_round_that_was_kept_costs_what_the_run_does(runs):
    run = runs["approximate-synapses"]
    assert run.front[-1].energy_uj == pytest.approx(run.energy_uj)


def test_the_report_has_a_chart_and_a_table_of_it(folder):
    written = {path.name: path for path in write_report(folder)}
    assert "rounds.png" in written
    assert "rounds.svg" in written
    assert len(written["fronts.csv"].read_text().splitlines()) == 1 + 4
    page = written["report.html"].read_text()
    assert "Approximation round by round" in page
    assert "units approximate" in page


def test_the_second_version_of_a_recipe_is_another_training(tiny, monkeypatch: pytest.MonkeyPatch):
    from dataclasses import replace

    from fewbits.train import RECIPES as CATALOG
    from fewbits.train import catalog

    keys = {run.recipe: run.training.key for run in make_plan(tiny(**QUICK)).runs}
    older = {name: replace(one, version=1) for name, one in catalog._OWN.items()}
    monkeypatch.setattr("fewbits.study.tasks.RECIPES", older)
    before = {run.recipe: run.training.key for run in make_plan(tiny(**QUICK)).runs}
    assert CATALOG["approximate-neurons"].version == 2
    assert [recipe for recipe in RECIPES if keys[recipe] != before[recipe]] == ["approximate-neurons"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"methods": {"approximation": "fixed12"}},
            "key 'methods': .*at fixed8: .* fixed12 is not the top bits",
        ),
        ({"methods": {"error_margin_points": -1.0}}, "error_margin_points must be from 0 to 100"),
        ({"methods": {"share_a_round": 0.0}}, "share_a_round must be above 0 to 1"),
        (
            {"methods": {"approximation": "dropped"}, "accelerator": {"neurons": 32}},
            "give DianNao's tile of 16 neurons of 16 synapses",
        ),
    ],
)
def test_bad_requests_are_refused_before_anything_is_trained(tiny, changes: dict[str, object], message: str):
    with pytest.raises(StudyError, match=message):
        make_plan(tiny(**(QUICK | changes)))
