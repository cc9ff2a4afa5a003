"""Claims about checkpoints: interrupted training ends like undisturbed training, bit for bit."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from fewbits import ModelError, StudyError
from fewbits.data import Dataset, Split
from fewbits.train import Progress, TrainRecord, TrainSettings, run_recipe, train_float


class StopTrainingError(Exception):
    """What the interrupting callback raises."""


def interrupt_at(epoch: int, batch: int):
    def callback(progress: Progress) -> None:
        if (progress.epoch, progress.batch) == (epoch, batch):
            raise StopTrainingError

    return callback


def assert_same(first: nn.Module, second: nn.Module) -> None:
    for name, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name


def without_origin(record: TrainRecord) -> tuple[object, ...]:
    return record.history, record.best_epoch, record.best_validation_accuracy_percent, record.stopped_early


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, 1), (3, 4), (4, 2)])
def test_float_training_resumes_exactly(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path, optimizer: str, epoch: int, batch: int
):
    augmentation = {"random_flip": True, "crop_padding": 1}
    settings = TrainSettings(epochs=4, batch_size=50, learning_rate=0.01, optimizer=optimizer, **augmentation)  # type: ignore[arg-type]
    model = nn.Sequential(small_network[0], nn.BatchNorm2d(4), nn.Dropout(0.1), *small_network[1:])
    undisturbed, interrupted, resumed = (copy.deepcopy(model) for _ in range(3))
    expected = train_float(undisturbed, quadrants, settings, seed=3)
    with pytest.raises(StopTrainingError):
        train_float(
            interrupted,
            quadrants,
            settings,
            seed=3,
            checkpoint_folder=tmp_path,
            progress=interrupt_at(epoch, batch),
        )
    record = train_float(resumed, quadrants, settings, seed=3, checkpoint_folder=tmp_path)
    assert_same(undisturbed, resumed)
    assert without_origin(record) == without_origin(expected)
    assert record.resumed_epochs >= epoch - 1


@pytest.mark.parametrize("precision", ["fixed4", "binary/fixed16"])
@pytest.mark.parametrize("recipe", ["fine-tune", "from-scratch"])
def test_recipes_resume_exactly(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path, recipe: str, precision: str
):
    settings = TrainSettings(epochs=3, batch_size=50, learning_rate=0.05, optimizer="sgd")
    expected, record = run_recipe(recipe, small_network, precision, quadrants, settings, seed=3)
    with pytest.raises(StopTrainingError):
        run_recipe(
            recipe,
            small_network,
            precision,
            quadrants,
            settings,
            seed=3,
            checkpoint_folder=tmp_path,
            progress=interrupt_at(3, 1),
        )
    resumed, again = run_recipe(
        recipe, small_network, precision, quadrants, settings, seed=3, checkpoint_folder=tmp_path
    )
    assert_same(expected, resumed)
    assert [layer.input_fraction_bits for layer in resumed.layers.values()] == [
        layer.input_fraction_bits for layer in expected.layers.values()
    ]
    assert again.resumed_epochs == 2
    assert without_origin(again) == without_origin(record)


def test_a_start_that_is_kept_survives_an_interruption(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    train_float(small_network, quadrants, TrainSettings(epochs=4, batch_size=25, learning_rate=0.1, optimizer="sgd"))
    train = quadrants.train
    mislabeled = replace(quadrants, train=Split(train.images, (train.labels + 1) % quadrants.classes))
    settings = TrainSettings(epochs=3, batch_size=25, learning_rate=0.05, optimizer="sgd")
    expected, record = run_recipe("fine-tune", small_network, "fixed8", mislabeled, settings)
    with pytest.raises(StopTrainingError):
        run_recipe(
            "fine-tune",
            small_network,
            "fixed8",
            mislabeled,
            settings,
            checkpoint_folder=tmp_path,
            progress=interrupt_at(3, 1),
        )
    resumed, again = run_recipe("fine-tune", small_network, "fixed8", mislabeled, settings, checkpoint_folder=tmp_path)
    assert record.best_epoch == again.best_epoch == 0
    assert again.start_validation_accuracy_percent == record.start_validation_accuracy_percent
    assert_same(expected, resumed)


def test_a_finished_run_is_not_repeated(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    settings = TrainSettings(epochs=2)
    start = copy.deepcopy(small_network)
    train_float(small_network, quadrants, settings, checkpoint_folder=tmp_path)
    told: list[Progress] = []
    record = train_float(start, quadrants, settings, checkpoint_folder=tmp_path, progress=told.append)
    assert told == []
    assert record.resumed_epochs == record.epochs_run == 2
    assert_same(small_network, start)


def test_a_run_that_stopped_early_is_not_repeated(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    settings = TrainSettings(epochs=40, learning_rate=0.1, optimizer="sgd", patience=2)
    start = copy.deepcopy(small_network)
    first = train_float(small_network, quadrants, settings, checkpoint_folder=tmp_path)
    again = train_float(start, quadrants, settings, checkpoint_folder=tmp_path)
    assert again.epochs_run == again.resumed_epochs == first.epochs_run < 40


@pytest.mark.parametrize("damage", [b"", b"no safetensors", None])
def test_a_damaged_checkpoint_starts_anew_with_a_notice(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path, damage: bytes | None
):
    settings = TrainSettings(epochs=1)
    start, again = copy.deepcopy(small_network), copy.deepcopy(small_network)
    expected = train_float(start, quadrants, settings, checkpoint_folder=tmp_path)
    file = tmp_path / "float-float32-seed0.safetensors"
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    record = train_float(again, quadrants, settings, checkpoint_folder=tmp_path)
    assert record.history == expected.history
    assert record.resumed_epochs == 0
    assert "damaged" in record.notices[0]


def test_a_safetensors_file_of_something_else_starts_anew_with_a_notice(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path
):
    save_file({"x": torch.zeros(1)}, tmp_path / "float-float32-seed0.safetensors", {"fewbits": json.dumps([1])})
    record = train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)
    assert "damaged" in record.notices[0]


def test_another_runs_checkpoint_is_refused_and_kept(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    start = copy.deepcopy(small_network)
    train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)
    file = tmp_path / "float-float32-seed0.safetensors"
    before = file.read_bytes()
    with pytest.raises(ModelError, match="belongs to another run"):
        train_float(start, quadrants, TrainSettings(epochs=2), checkpoint_folder=tmp_path)
    assert file.read_bytes() == before


def test_a_checkpoint_of_a_network_that_computed_something_else_is_refused(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path
):
    train_float(copy.deepcopy(small_network), quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)
    edited = nn.Sequential(*small_network, nn.Tanh())  # of the same weights
    with pytest.raises(ModelError, match="belongs to another run"):
        train_float(edited, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)


def test_a_checkpoint_of_a_version_without_digests_is_resumed(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path
):
    start = copy.deepcopy(small_network)
    train_float(small_network, quadrants, TrainSettings(epochs=2), checkpoint_folder=tmp_path)
    file = tmp_path / "float-float32-seed0.safetensors"
    with safe_open(file, framework="pt") as opened:
        record = json.loads(opened.metadata()["fewbits"])
    del record["computes"]
    save_file(load_file(file), file, {"fewbits": json.dumps(record)})
    record = train_float(start, quadrants, TrainSettings(epochs=2), checkpoint_folder=tmp_path)
    assert (record.resumed_epochs, record.notices) == (2, ())
    assert_same(small_network, start)


EPOCH = ("epoch", "learning_rate", "loss", "validation_loss", "validation_accuracy_percent", "wall_time_s")

ODD_VALUES = {
    "no history": {"history": []},
    "a history of numbers": {"history": [1, 2]},
    "a loss that is none": {"history": [dict.fromkeys(EPOCH, 1) | {"loss": float("nan")}]},
    "a loss in words": {"history": [dict.fromkeys(EPOCH, 1) | {"loss": "small"}]},
    "an unknown field": {"history": [{"epoch": 1, "colour": "red"}]},
    "a best epoch that is none": {"best_epoch": True},
    "a best epoch beyond the last": {"best_epoch": 10**400},
    "a start that is none": {"start": ["a", None]},
}


@pytest.mark.parametrize("odd", ODD_VALUES)
def test_odd_values_in_a_checkpoint_start_anew_with_a_notice(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path, odd: str
):
    start = copy.deepcopy(small_network)
    expected = train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)
    file = tmp_path / "float-float32-seed0.safetensors"
    with safe_open(file, framework="pt") as opened:
        header = json.loads(opened.metadata()["fewbits"])
    header["values"] |= ODD_VALUES[odd]
    save_file(load_file(file), file, {"fewbits": json.dumps(header)})
    record = train_float(start, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)
    assert record.history == expected.history
    assert "is damaged (it does not fit" in record.notices[0]


def test_a_checkpoint_is_written_through_no_link(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "float-float32-seed0.safetensors").symlink_to(tmp_path / "mine")
    with pytest.raises(StudyError, match="is a link, and fewbits writes through none"):
        train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path / "out")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_checkpoint_that_cannot_be_written_is_one_clear_error(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path
):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="cannot write"):
        train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path / "file" / "folder")


def test_a_checkpoint_that_cannot_be_read_is_one_clear_error(
    quadrants: Dataset, small_network: nn.Module, tmp_path: Path
):
    (tmp_path / "float-float32-seed0.safetensors").mkdir()
    with pytest.raises(StudyError, match="cannot read checkpoint"):
        train_float(small_network, quadrants, TrainSettings(epochs=1), checkpoint_folder=tmp_path)


def test_nothing_but_the_checkpoint_is_left_in_the_folder(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    train_float(small_network, quadrants, TrainSettings(epochs=2), checkpoint_folder=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["float-float32-seed0.safetensors"]


def test_the_wall_time_counts_every_sitting(quadrants: Dataset, small_network: nn.Module, tmp_path: Path):
    settings = TrainSettings(epochs=3)
    with pytest.raises(StopTrainingError):
        train_float(
            copy.deepcopy(small_network),
            quadrants,
            settings,
            checkpoint_folder=tmp_path,
            progress=interrupt_at(3, 1),
        )
    record = train_float(small_network, quadrants, settings, checkpoint_folder=tmp_path)
    seconds = [epoch.wall_time_s for epoch in record.history]
    assert (len(seconds), min(seconds) > 0) == (3, True)
    assert record.wall_time_s == sum(seconds)
