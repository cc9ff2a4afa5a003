"""In which order a study's tasks go to workers; results keep the study's order."""

from __future__ import annotations

from collections.abc import Callable

from fewbits.study import StudySpec
from fewbits.study.plan import make_plan
from fewbits.study.schedule import TaskSchedule, is_float_training


def order(spec: StudySpec) -> list[tuple[str, str, int]]:
    """Precision, recipe and seed of all tasks, by falling priority; a float network's training is no recipe's."""
    plan = make_plan(spec)
    schedule = TaskSchedule(plan, frozenset())
    tasks = sorted((*plan.float_trainings, *plan.runs), key=schedule.priority, reverse=True)
    return [
        (task.precision, "training", task.seed)
        if is_float_training(task)
        else (task.training.precision, task.recipe, task.training.seed)
        for task in tasks
    ]


def test_float_networks_go_first_then_the_runs_that_others_are_compared_with(tiny: Callable[..., StudySpec]):
    spec = tiny(precisions=["fixed8", "float32", "binary/fixed16"], seeds=[0, 1])
    assert order(spec)[:4] == [
        *(("float32", "training", seed) for seed in (0, 1)),
        *(("float32", "float", seed) for seed in (0, 1)),
    ]
    assert [precision for precision, _, _ in order(spec)[4:]] == [
        "fixed8",
        "fixed8",
        "binary/fixed16",
        "binary/fixed16",
    ]


def test_the_longest_training_goes_before_shorter_ones(tiny: Callable[..., StudySpec]):
    recipes = ["post-training", "fine-tune", "from-scratch"]
    spec = tiny(precisions=["fixed8"], recipes=recipes, fine_tune={"epochs": 3}, from_scratch={"epochs": 7})
    assert [recipe for _, recipe, _ in order(spec)[1:]] == ["from-scratch", "fine-tune", "post-training"]


def test_a_run_that_finds_its_network_trained_goes_last(tiny: Callable[..., StudySpec]):
    spec = tiny(precisions=["fixed8"], recipes=["best", "fine-tune"], seeds=[0, 1])
    assert [recipe for _, recipe, _ in order(spec)[2:]] == ["best", "best", "fine-tune", "fine-tune"]
