"""A runtime-configurable network in a study: one training, and a row for each part of its channels."""

from __future__ import annotations

import pytest

import fewbits as fb
from fewbits import data
from fewbits.report import group_runs
from fewbits.study import run_study
from fewbits.study.events import TaskProgress
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.train import evaluate, operating_points

RECIPES = ["runtime-configurable", "fine-tune"]
QUICK = {
    "precisions": ["float32", "fixed8"],
    "recipes": RECIPES,
    "float_training": {"epochs": 2},
    "fine_tune": {"epochs": 1},
    "from_scratch": {"epochs": 6},
    "methods": {"increments": [0.25, 0.5, 1.0]},
}
NAMES = ["runtime-configurable 25 %", "runtime-configurable 50 %", "runtime-configurable"]


@pytest.fixture(scope="module")
def outcome(tiny, tmp_path_factory):
    events = []
    folder = tmp_path_factory.mktemp("points")
    return run_study(tiny(**QUICK), folder, workers=1, observer=events.append), events, folder


def test_each_part_is_planned_with_the_one_training(tiny):
    runs = make_plan(tiny(**QUICK)).runs
    points = [run for run in runs if run.training.recipe == "runtime-configurable"]
    assert [(run.recipe, run.part, run.stands_for) for run in points] == list(
        zip(NAMES, (0.25, 0.5, 1.0), ("", "", ""), strict=True)
    )
    assert len({run.training.key for run in points}) == 1
    assert len({run.key for run in runs}) == len(runs)
    assert [run.recipe for run in runs if run not in points] == ["float", "fine-tune"]


def test_other_increments_are_another_training(tiny):
    other = QUICK | {"methods": {"increments": [0.5, 1.0]}}
    one, another = (
        next(run for run in make_plan(tiny(**spec)).runs if run.recipe == NAMES[2]) for spec in (QUICK, other)
    )
    assert one.training.key != another.training.key


def test_the_network_is_trained_once(outcome):
    _, events, folder = outcome
    trained = [event.label.recipe for event in events if isinstance(event, TaskProgress)]
    assert list(dict.fromkeys(trained)) == ["float training", NAMES[0], "fine-tune"]
    assert len(list((folder / "networks").iterdir())) == 3


def test_every_part_has_a_row_and_a_point_and_more_channels_take_more_energy(outcome):
    (group,) = group_runs(outcome[0].results)
    rows = {row.recipe: row for row in group.points}
    assert list(rows) == ["float", *NAMES, "fine-tune"]
    energies = [rows[name].mean("energy_uj") for name in NAMES]
    memory = [rows[name].mean("memory_kib") for name in NAMES]
    assert energies == sorted(energies)
    assert energies[0] < energies[-1]
    assert memory[0] < memory[1] < memory[2]
    assert all(row.mean("differing_images") == 0 for row in rows.values())


def test_a_parts_figures_are_those_of_the_librarys_operating_point(outcome, tiny):
    study, _, folder = outcome
    result = next(one for one in study.results if one.recipe == NAMES[0])
    run = next(run for run in make_plan(tiny(**QUICK)).runs if run.recipe == NAMES[0])
    workshop = Workshop(folder)
    base = workshop._float(run.float_training)[0]
    whole, _ = workshop._quantized(run.training, base, base)
    dataset = data.load(run.training.data)
    images = dataset.inputs(dataset.train.images[: run.training.settings.calibration_images])
    (point,) = operating_points(whole, images, (0.25,))
    assert result.accuracy_percent == evaluate(point.model, dataset, dataset.test).accuracy_percent
    assert result.validation_accuracy_percent == evaluate(point.model, dataset, dataset.validation).accuracy_percent
    assert result.cycles == fb.cost(fb.lower(point.model, images[:1])).cycles
