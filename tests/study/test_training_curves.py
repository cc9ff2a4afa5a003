"""Training curves are kept: in a run's result, in the store, and beside a trained network."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from fewbits import StudyError
from fewbits.study import read_results
from fewbits.study.networks import load_network, network_path
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.result import run_json
from fewbits.study.store import Store
from fewbits.tensor_file import read_tensors, write_tensors
from fewbits.train import EpochRecord


@pytest.fixture(scope="module")
def runs(tiny):
    spec = tiny(float_training={"epochs": 4}, fine_tune={"epochs": 4})
    return {run.training.precision: run for run in make_plan(spec).runs}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("curves")


@pytest.fixture(scope="module")
def results(runs, folder):
    return {precision: Workshop(folder).run(run) for precision, run in runs.items()}


def test_a_run_tells_each_epoch_of_its_training(results, runs):
    for precision in ("fixed8", "binary/fixed16"):
        history = results[precision].history
        assert [one.epoch for one in history] == list(range(1, results[precision].epochs + 1))
        assert history[0].learning_rate == runs[precision].training.settings.learning_rate
        assert all(one.wall_time_s > 0 for one in history)


def test_the_accuracy_that_was_kept_is_the_best_of_the_curve(results):
    history = results["float32"].history
    assert max(one.validation_accuracy_percent for one in history) == results["float32"].validation_accuracy_percent


def test_runs_of_one_float_network_tell_its_curve(results):
    assert {result.float_history for result in results.values()} == {results["float32"].history}
    assert results["fixed8"].history != results["float32"].history


def test_a_network_from_disk_tells_the_curve_that_trained_it(results, runs, folder):
    assert Workshop(folder).run(runs["fixed8"]).history == results["fixed8"].history


def test_a_training_cut_off_tells_its_whole_curve(results, runs, tmp_path):
    def cut_off(progress):
        if progress.phase == "fine-tune" and progress.epoch == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        Workshop(tmp_path, cut_off).run(runs["fixed8"])
    assert Workshop(tmp_path).run(runs["fixed8"]).history == results["fixed8"].history


def test_a_network_of_a_version_that_kept_no_curve_is_taken_with_none(runs, results, tmp_path, folder):
    for training in (runs["fixed8"].training, runs["fixed8"].float_training):
        tensors, record = read_tensors(network_path(folder, training.stem))
        del record["history"]
        write_tensors(network_path(tmp_path, training.stem), tensors, json.dumps(record))
    result = Workshop(tmp_path).run(runs["fixed8"])
    assert (result.history, result.float_history) == ((), ())
    assert result.accuracy_percent == results["fixed8"].accuracy_percent


def test_the_store_keeps_curves(results, tmp_path):
    names = ("model", "data", "precision", "recipe", "seed")
    rests_on = {"data": {}, "technology": {}, "versions": {}}
    result = results["fixed8"]
    with Store(tmp_path) as store:
        store.plan("s", {}, rests_on, [(result.key, {name: getattr(result, name) for name in names})])
        store.set_finished(result)
    (read,) = read_results(tmp_path)
    assert read.history == result.history
    assert [one.wall_time_s for one in read.history] == [one.wall_time_s for one in result.history]


@pytest.mark.parametrize(
    "change", [{"epoch": 0}, {"loss": "small"}, {"validation_accuracy_percent": 101.0}, {"color": 1}, {"epoch": "1"}]
)
def test_a_senseless_epoch_is_damage(runs, results, tmp_path, folder, change):
    training = runs["fixed8"].training
    tensors, record = read_tensors(network_path(folder, training.stem))
    record["history"][0] |= change
    write_tensors(network_path(tmp_path, training.stem), tensors, json.dumps(record))
    assert load_network(network_path(tmp_path, training.stem), training.key) is None


def test_a_senseless_epoch_in_the_store_is_refused(results, tmp_path):
    names = ("model", "data", "precision", "recipe", "seed")
    rests_on = {"data": {}, "technology": {}, "versions": {}}
    result = results["fixed8"]
    epoch = EpochRecord(0, 0.1, 1.0, 1.0, 50.0)
    with Store(tmp_path) as store:
        store.plan("s", {}, rests_on, [(result.key, {name: getattr(result, name) for name in names})])
        store.set_finished(type(result)(**(vars(result) | {"history": (epoch,)})))
    with pytest.raises(StudyError, match="damaged in 1 row"):
        read_results(tmp_path)


def test_json_of_a_run_stays_small(results):
    assert not {"history", "float_history"} & run_json(results["fixed8"]).keys()
    assert asdict(results["fixed8"].history[0])["epoch"] == 1
