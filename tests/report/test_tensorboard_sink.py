"""What TensorBoard reads of what its sink wrote: every epoch once, every figure, whatever happened in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from round_runs import make_curve, make_run, make_runs, with_curves
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from fewbits.study import RunResult, TaskLabel
from fewbits.study.events import FLOAT_TRAINING
from fewbits.study.tracking.tensorboard import TensorBoardWriter

LABEL = TaskLabel("lenet", "digits", "fixed8", "fine-tune", 0, "fixed8-0")
FINISHED: RunResult = with_curves((make_run("fixed8"),), 6)[0]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag, as TensorBoard reads them."""
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def run_folder(folder: Path) -> Path:
    (found,) = (folder / "study").glob("*fixed8_fine_tune*")
    return found


def test_a_finished_run_has_its_curve_and_its_figures(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    writer.finished(FINISHED)
    writer.close()
    read = scalars(run_folder(tmp_path))
    assert read["loss/training"] == [(n, pytest.approx(1 / n)) for n in range(1, 7)]
    assert read["accuracy/validation"][-1] == (6, pytest.approx(90.6))
    assert read["figures/accuracy_percent"] == [(0, 96.5)]
    assert read["figures/energy_uj"] == [(0, 80.0)]
    assert read["figures/off_chip_uj_low"] == [(0, 0.0)]


def test_a_float_network_has_a_folder_of_its_own(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    for run in with_curves(make_runs(0, 1)):
        writer.finished(run)
    folders = sorted((tmp_path / "study").glob("*float_training*"))
    assert len(folders) == 2
    assert [len(scalars(folder)["loss/training"]) for folder in folders] == [5, 5]


def test_hyperparameters_and_metrics_are_there(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    writer.finished(FINISHED)
    read = EventAccumulator(str(run_folder(tmp_path))).Reload()
    content = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert (hparams["precision"].string_value, hparams["seed"].number_value) == ("fixed8", 0)


def test_epochs_are_there_while_the_training_goes_on(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    writer.epochs(LABEL, make_curve(1))
    writer.epochs(LABEL, make_curve(3))
    assert [step for step, _ in scalars(run_folder(tmp_path))["loss/training"]] == [1, 2, 3]
    writer.close()


def test_what_was_live_is_not_there_twice_when_the_run_has_finished(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    for count in range(1, 7):
        writer.epochs(LABEL, FINISHED.history[:count])
    writer.finished(FINISHED)
    writer.close()
    assert [step for step, _ in scalars(run_folder(tmp_path))["loss/training"]] == [1, 2, 3, 4, 5, 6]
    assert len(list(run_folder(tmp_path).iterdir())) == 1


def test_a_resumed_training_shows_each_epoch_once(tmp_path: Path):
    first = TensorBoardWriter(tmp_path, "study")
    first.epochs(LABEL, make_curve(4))
    first.close()
    again = TensorBoardWriter(tmp_path, "study")
    again.epochs(LABEL, make_curve(4)[2:])
    again.epochs(LABEL, make_curve(5)[2:])
    again.close()
    assert [step for step, _ in scalars(run_folder(tmp_path))["loss/training"]] == [1, 2, 3, 4, 5]


def test_a_study_that_is_sent_again_writes_nothing(tmp_path: Path):
    for _ in range(2):
        writer = TensorBoardWriter(tmp_path, "study")
        for run in with_curves(make_runs(0)):
            writer.finished(run)
        writer.close()
    files = [path for path in tmp_path.rglob("events*")]
    assert len(files) == 5 + 1


def test_a_float_training_and_its_runs_share_a_folder(tmp_path: Path):
    writer = TensorBoardWriter(tmp_path, "study")
    label = TaskLabel("lenet", "digits", "float32", FLOAT_TRAINING, 0, "some training's key")
    writer.epochs(label, FINISHED.float_history)
    writer.finished(FINISHED)
    writer.close()
    (folder,) = (tmp_path / "study").glob("*float_training*")
    assert [step for step, _ in scalars(folder)["loss/training"]] == list(range(1, 8))


@pytest.mark.parametrize("name", ["../../etc/x.py:f", "a/b\\c", "..", ".", "µ☃ x", "x" * 300, ""])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path):
    writer = TensorBoardWriter(tmp_path / "logs", "study")
    writer.finished(make_run(model=name, data=name, recipe=name))
    writer.close()
    assert [path.parent for path in (tmp_path / "logs").rglob("events*")] == list((tmp_path / "logs/study").iterdir())
    assert list(tmp_path.iterdir()) == [tmp_path / "logs"]
