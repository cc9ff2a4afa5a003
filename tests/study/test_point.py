"""One task: its figures are those of the library's own steps, however the trained weights came."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import fewbits as fb
from fewbits import DataError, StudyError, data, models
from fewbits.executors import Job, JobFailure
from fewbits.executors.base import perform
from fewbits.hardware import load_technology
from fewbits.study.networks import (
    CHECKPOINTS,
    FOLDER,
    TrainingOutcome,
    load_network,
    remove_leftovers,
    save_network,
)
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.worker import Place, do_task
from fewbits.tensor_file import read_tensors
from fewbits.train import evaluate, run_recipe


@pytest.fixture(scope="session")
def plan(tiny):
    return make_plan(tiny())


@pytest.fixture(scope="session")
def results(plan, tmp_path_factory):
    workshop = Workshop(tmp_path_factory.mktemp("out"))
    return {run.training.precision: workshop.run(run) for run in plan.runs}


def network_file(folder: Path, training) -> Path:
    return folder / FOLDER / f"{training.stem}.safetensors"


def test_float32_reports_the_float_network(results):
    result = results["float32"]
    assert (result.recipe, result.epochs) == ("float", 12)
    assert result.fake_quantized_accuracy_percent == result.float_accuracy_percent
    assert result.energy_saving_percent == 0


def test_every_precision_tells_the_same_float_accuracy(results):
    assert len({result.float_accuracy_percent for result in results.values()}) == 1


def test_figures_are_those_of_the_librarys_steps(plan, tmp_path):
    run = plan.runs[1]
    result = Workshop(tmp_path).run(run)
    dataset = data.load(run.training.data)
    base = models.build(run.training.model, 0)
    base.load_state_dict(load_file(network_file(tmp_path, run.float_training)))
    module, record = run_recipe("fine-tune", base, "fixed8", dataset, run.training.settings, 0)
    images = dataset.inputs(dataset.test)
    network = fb.lower(module, images[:1])
    right = int((network.run(images).argmax(1) == dataset.test.labels).sum())
    cost = fb.cost(network, technology=load_technology(run.technology))
    fake = evaluate(module, dataset, dataset.test)
    assert result.accuracy_percent == 100 * right / len(images)
    assert result.fake_quantized_accuracy_percent == fake.accuracy_percent
    assert result.differing_images == int((network.predict(images) != fake.predictions).sum())
    assert result.validation_accuracy_percent == record.best_validation_accuracy_percent
    assert (result.energy_uj, result.cycles, result.area_mm2) == (cost.energy_uj, cost.cycles, cost.area_mm2)
    assert result.memory_kib == cost.memory_kib


def test_components_and_layers_add_up(results):
    result = results["fixed8"]
    for parts in (result.energy_uj_by_component, result.energy_uj_by_layer):
        assert sum(parts.values()) == pytest.approx(result.energy_uj)
    assert sum(result.area_mm2_by_component.values()) == pytest.approx(result.area_mm2)


def test_weights_from_disk_give_the_same_figures_as_fresh_ones(plan, tmp_path, figures):
    fresh = [Workshop(tmp_path).run(run) for run in plan.runs]
    loaded = [Workshop(tmp_path).run(run) for run in plan.runs]
    assert figures(loaded) == figures(fresh)


def test_a_training_cut_off_goes_on_from_its_last_epoch(plan, tmp_path, results, figures):
    run = plan.runs[1]
    epochs: list[int] = []

    def cut_off(progress):
        if progress.phase == "fine-tune" and progress.epoch == 9:
            raise InterruptedError

    def note(progress):
        epochs.append(progress.epoch)

    with pytest.raises(InterruptedError):
        Workshop(tmp_path, cut_off).run(run)
    result = Workshop(tmp_path, note).run(run)
    assert set(epochs) == {9, 10, 11, 12}
    assert figures([result]) == figures([results["fixed8"]])


def test_a_finished_training_leaves_no_checkpoint(plan, tmp_path):
    Workshop(tmp_path).run(plan.runs[1])
    assert list((tmp_path / CHECKPOINTS).iterdir()) == []


@pytest.mark.parametrize(
    "damage", [b"", *(pytest.param(one, marks=pytest.mark.slow) for one in (b"{}", b"\xff" * 100))], ids=repr
)
def test_a_damaged_network_is_trained_anew(plan, tmp_path, results, figures, damage):
    run = plan.runs[1]
    Workshop(tmp_path).run(run)
    network_file(tmp_path, run.training).write_bytes(damage)
    network_file(tmp_path, run.float_training).write_bytes(damage)
    assert figures([Workshop(tmp_path).run(run)]) == figures([results["fixed8"]])


def test_a_network_of_another_key_is_not_taken(tmp_path, plan):
    path = tmp_path / "network.safetensors"
    save_network(path, models.build("lenet"), TrainingOutcome("a", 1, 1, 90.0, 91.0))
    assert load_network(path, "a") is not None
    assert load_network(path, "b") is None


def test_a_network_that_cannot_be_written_is_one_line():
    with pytest.raises(StudyError, match=r"cannot write '/proc/self/network.safetensors'"):
        save_network(
            Path("/proc/self/network.safetensors"), models.build("lenet"), TrainingOutcome("a", 1, 1, 90.0, None)
        )


def test_temporary_files_of_killed_writers_are_removed_and_nothing_else(tmp_path):
    leftovers = [
        tmp_path / FOLDER / ".lenet-digits-float-float32-seed0-0123456789abcdef.safetensors.77",
        tmp_path / CHECKPOINTS / "lenet-0123456789abcdef" / ".fine-tune-fixed8-seed0.safetensors.77",
    ]
    kept = [
        tmp_path / ".model.safetensors.bak",
        tmp_path / FOLDER / ".model.safetensors.bak",
        tmp_path / FOLDER / "lenet-digits-float-float32-seed0-0123456789abcdef.safetensors",
        tmp_path / "mine" / ".fine-tune-fixed8-seed0.safetensors.77",
    ]
    for path in (*leftovers, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    remove_leftovers(tmp_path)
    assert [path.exists() for path in (*leftovers, *kept)] == [False] * 2 + [True] * 4


def test_data_that_changed_since_the_plan_is_refused(tiny, workplace, tmp_path):
    with np.load(workplace / "quadrants.npz") as arrays:
        parts = dict(arrays)
    path = tmp_path / "quadrants.npz"
    np.savez(path, **parts)
    plan = make_plan(tiny(data=[str(path)]))
    parts["x_train"][0] += 1
    np.savez(path, **parts)
    with pytest.raises(DataError, match="changed while the study ran"):
        Workshop(tmp_path).run(plan.runs[0])


def test_a_technology_without_float32_tells_no_saving(tiny, workplace, tmp_path):
    technology = load_technology(workplace / "round.json")
    datapaths = {"fixed8": technology.datapaths["fixed8"]}
    dataclasses.replace(technology, datapaths=datapaths).save(tmp_path / "t.json")
    plan = make_plan(tiny(technology=str(tmp_path / "t.json"), precisions=["fixed8"], recipes=["post-training"]))
    assert Workshop(tmp_path).run(plan.runs[0]).energy_saving_percent is None


def test_from_scratch_and_post_training_have_their_own_epochs(tiny, tmp_path):
    spec = tiny(recipes=["from-scratch", "post-training"], precisions=["fixed8"], from_scratch={"epochs": 1})
    runs = make_plan(spec).runs
    assert [Workshop(tmp_path).run(run).epochs for run in runs] == [1, 0]


def test_a_float_training_task_tells_what_it_reached(plan, tmp_path, results):
    outcome = Workshop(tmp_path).do(plan.float_trainings[0])
    assert isinstance(outcome, TrainingOutcome)
    assert outcome.test_accuracy_percent == results["float32"].float_accuracy_percent


def test_a_training_that_diverges_is_one_line(tiny, tmp_path):
    (run,) = make_plan(tiny(precisions=["float32"], float_training={"learning_rate": 1e30})).runs
    failed = perform(Job(run.key, do_task, (Place(tmp_path, "", str(tmp_path)), run, ())), lambda _: None, "study.log")
    assert isinstance(failed, JobFailure)
    assert "diverged in epoch 1" in failed.error


def test_what_was_not_foreseen_is_one_line_with_its_traceback_in_the_log(plan, tmp_path, capfd):
    def fail(progress):
        raise RuntimeError("odd\nthings")

    run = plan.runs[1]
    failed = perform(Job(run.key, do_task, (Place(tmp_path, "", str(tmp_path)), run, ())), fail, "study.log")
    assert failed == JobFailure(run.key, "RuntimeError: odd things (traceback in study.log)")
    assert "Traceback" in capfd.readouterr().err


def test_batch_normalization_is_folded_in_the_float32_that_savings_count_from(tiny, tmp_path):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef make():\n    layers = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()\n"
        "    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(288, 4))\n"
    )
    short = {"float_training": {"epochs": 1}, "fine_tune": {"epochs": 1}}
    (run,) = make_plan(tiny(models=[f"{tmp_path / 'net.py'}:make"], precisions=["fixed8"], **short)).runs
    assert Workshop(tmp_path).run(run).energy_saving_percent is not None


def test_a_saving_compares_energies_of_the_same_kind_of_activity(tiny, tmp_path):
    precisions = ["fixed9", "fixed8"]  # interpolated, so without a netlist to simulate; characterized
    spec = tiny(technology="ihp-sg13g2", precisions=precisions, recipes=["post-training"])
    workshop = Workshop(tmp_path)
    fixed9, fixed8 = (workshop.run(run) for run in make_plan(spec).runs)
    assert fixed9.energy_interval_uj is None
    assert fixed8.energy_interval_uj is not None
    model = models.build(fixed9.model)
    assumed = [
        fb.cost(model, precision, input_shape=models.input_shape(fixed9.model)) for precision in ("fixed9", "float32")
    ]
    assert fixed9.energy_saving_percent == pytest.approx(100 * (1 - assumed[0].energy_uj / assumed[1].energy_uj))
    kept = [read_tensors(path)[1]["energy_uj"] for path in (tmp_path / "baselines").iterdir()]
    assert len(set(kept)) == 2


def test_what_is_stated_of_data_reaches_the_worker_and_the_record(tiny, tmp_path):
    stated = {"name": "digits", "mean": 0.1307, "std": [0.3081], "split": 0.5, "classes": 10, "value_range": [0, 256]}
    plan = make_plan(tiny(data=[stated], models=["mlp"], precisions=["fixed8"], technology="ihp-sg13g2"))
    workshop = Workshop(tmp_path)
    dataset = workshop._dataset(plan.runs[0].training)
    assert (dataset.mean, dataset.std, dataset.classes) == ((0.1307,), (0.3081,), 10)
    assert (len(dataset.validation), dataset.value_range) == (2000, (0, 256))
    said = plan.rests_on["data"]["digits"]["normalization"]
    assert said == "inputs are (value / 256 - mean) / std, by channel: mean 0.1307, std 0.3081, stated"


def test_stating_what_is_found_anyway_changes_no_key(tiny, plan):
    name = plan.runs[0].training.data
    stated = {"name": name, "mean": 0, "std": 1, "classes": 4, "split": 0.1, "value_range": [0, 255]}
    assert [run.key for run in make_plan(tiny(data=[stated])).runs] == [run.key for run in plan.runs]


def test_a_stated_value_that_does_not_fit_names_study_and_key(tiny):
    with pytest.raises(StudyError, match="key 'data': data 'digits': mean has 3 numbers, but"):
        make_plan(tiny(data=[{"name": "digits", "mean": [0.5] * 3, "std": 1}]))
