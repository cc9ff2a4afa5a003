"""`best` beside the recipe that it stands for: one network is trained for both, by one worker, and each has its row."""

from __future__ import annotations

import dataclasses
import os
import signal

import pytest
from processes import children

from fewbits.study import StudyInterrupted, run_study
from fewbits.study.events import RunFinished, StudyStarted, TaskProgress, TaskStarted
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.schedule import TaskSchedule

BOTH = ["fine-tune", "best"]


def without_names(result):
    """What must be equal for two names of one recipe."""
    return dataclasses.replace(result, key="", recipe="", stands_for="", wall_time_s=0.0)


def points(events, kind):
    """Precision and recipe of each event of a kind."""
    return [(event.label.precision, event.label.recipe) for event in events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def plan(tiny):
    return make_plan(tiny(recipes=[*BOTH, "distill"], precisions=["fixed8", "binary/fixed16"]))


def run_of(plan, precision, recipe):
    return next(run for run in plan.runs if (run.training.precision, run.recipe) == (precision, recipe))


@pytest.mark.parametrize(("precision", "recipe"), [("fixed8", "fine-tune"), ("binary", "binary-net")])
def test_best_is_planned_with_the_training_of_the_recipe_that_it_stands_for(tiny, precision, recipe):
    plan = make_plan(tiny(recipes=[recipe, "best"], precisions=[precision]))
    best, other = run_of(plan, precision, "best"), run_of(plan, precision, recipe)
    assert best.training == other.training
    assert best.key != other.key
    assert (best.definition["recipe"], best.stands_for, other.stands_for) == ("best", recipe, "")


def test_best_beside_it_changes_no_key_of_a_recipe(tiny, plan):
    alone = make_plan(tiny(precisions=["fixed8", "binary/fixed16"]))
    assert {run.key for run in alone.runs} < {run.key for run in plan.runs}
    assert [run.training.key for run in alone.runs] == [
        run.training.key for run in plan.runs if run.recipe == "fine-tune"
    ]


@pytest.fixture
def schedule(tiny):
    """A schedule whose float network is trained: two runs of one network, then another's."""
    spec = tiny(recipes=BOTH, precisions=["fixed8", "binary"], from_scratch={"epochs": 12})
    schedule = TaskSchedule(make_plan(spec), frozenset())
    training = schedule.startable()
    schedule.begin(training)
    schedule.end(training)
    schedule.ready.extend(schedule.waiting.pop(training.key))
    return schedule


def test_a_run_waits_for_the_one_that_trains_its_network_while_others_start(schedule):
    started = []
    while (run := schedule.startable()) is not None:
        started.append(run)
        schedule.begin(run)
    named = [(run.training.precision, run.recipe) for run in started]
    assert named == [("fixed8", "fine-tune"), ("binary", "fine-tune"), ("binary", "best")]
    schedule.end(started[0])
    assert schedule.startable().recipe == "best"


def test_epochs_of_a_shared_network_are_counted_once(schedule):
    assert schedule.epochs == 12 + 3 * 12  # float, fixed8, binary by two recipes
    assert [schedule.epochs_of(run) for run in schedule.ready] == [12, 0, 12, 12]


def test_two_workers_train_a_shared_network_once_and_both_rows_are_equal(tiny, tmp_path):
    events = []
    outcome = run_study(tiny(recipes=BOTH, precisions=["fixed8"]), tmp_path, workers=2, observer=events.append)
    assert next(event for event in events if isinstance(event, StudyStarted)).workers == 2
    kinds = [type(event) for event in events if isinstance(event, (TaskStarted, RunFinished))]
    assert kinds == [TaskStarted, TaskStarted, RunFinished, TaskStarted, RunFinished]  # the first: float training
    assert set(points(events, TaskProgress)) == {("float32", "float training"), ("fixed8", "fine-tune")}
    assert len(list((tmp_path / "networks").iterdir())) == 2
    one, other = outcome.results
    assert [(run.recipe, run.stands_for) for run in outcome.results] == [("fine-tune", ""), ("best", "fine-tune")]
    assert without_names(one) == without_names(other)


def test_the_network_of_a_recipe_is_taken_for_best_from_disk(tiny, tmp_path):
    told = []
    spec = tiny(recipes=BOTH, precisions=["fixed8"], float_training={"epochs": 1}, fine_tune={"epochs": 1})
    fine_tune, best = make_plan(spec).runs
    one = Workshop(tmp_path, told.append).run(fine_tune)
    assert told
    told.clear()
    other = Workshop(tmp_path, told.append).run(best)
    assert told == []
    assert without_names(one) == without_names(other)


@pytest.mark.slow
def test_best_added_to_a_finished_study_trains_nothing_where_it_stands_for_its_recipe(tiny, tmp_path):
    quick = {"precisions": ["fixed8"], "float_training": {"epochs": 2}, "fine_tune": {"epochs": 2}}
    before = run_study(tiny(**quick), tmp_path, workers=1).results
    events = []
    after = run_study(tiny(recipes=BOTH, **quick), tmp_path, workers=1, observer=events.append).results
    assert after[0] == before[0]
    assert points(events, RunFinished) == [("fixed8", "best")]
    assert ("fixed8", "best") not in points(events, TaskProgress)


@pytest.mark.slow
def test_a_shared_network_that_was_cut_off_goes_on_and_ends_with_the_same_figures(tiny, tmp_path):
    spec = tiny(recipes=BOTH, precisions=["fixed8"])

    def press(event):
        if isinstance(event, TaskProgress) and event.label.recipe == "fine-tune" and event.epoch > 2:
            raise KeyboardInterrupt

    with pytest.raises(StudyInterrupted):
        run_study(spec, tmp_path / "cut", workers=2, observer=press)
    events = []
    again = run_study(spec, tmp_path / "cut", workers=2, observer=events.append).results
    assert next(event for event in events if isinstance(event, TaskProgress)).epoch > 1
    whole = run_study(spec, tmp_path / "whole", workers=1).results
    assert [without_names(run) for run in again] == [without_names(run) for run in whole]


@pytest.mark.slow
def test_where_the_worker_that_trains_is_lost_the_run_that_waited_trains(tiny, tmp_path):
    def kill_worker(event):
        if isinstance(event, TaskProgress) and event.label.recipe == "fine-tune":
            for process in children(os.getpid()):
                os.kill(process, signal.SIGKILL)

    outcome = run_study(tiny(recipes=BOTH, precisions=["fixed8"]), tmp_path, workers=1, observer=kill_worker)
    assert [run.recipe for run in outcome.failed] == ["fine-tune"]
    assert [run.recipe for run in outcome.results] == ["best"]
