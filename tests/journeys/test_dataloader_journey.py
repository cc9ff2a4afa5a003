"""An engineer with DataLoaders: train, quantize, calibrate, lower and evaluate, without another form of the data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import fewbits as fb

SETTINGS = fb.train.TrainSettings(epochs=3, learning_rate=0.01, batch_size=16)


def make_data() -> TensorDataset:
    """Two classes that brightness tells apart, normalized floats."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(160) % 2
    return TensorDataset(torch.randn(160, 3, 8, 8, generator=generator) + labels.view(-1, 1, 1, 1), labels)


@pytest.fixture
def train() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(Subset(make_data(), range(120)), batch_size=16, shuffle=True)


@pytest.fixture
def test() -> DataLoader[tuple[Tensor, ...]]:
    return DataLoader(Subset(make_data(), range(120, 160)), batch_size=16)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))


def test_a_loader_trains_a_network_that_it_evaluates(model: nn.Module, train: object, test: object) -> None:
    fb.train.train_float(model, train, SETTINGS)
    result = fb.train.evaluate(model, test)
    assert (result.count, result.accuracy_percent > 90) == (40, True)


def test_training_by_a_loader_is_that_by_its_data_set(model: nn.Module, train: object) -> None:
    other = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    other.load_state_dict(model.state_dict())
    fb.train.train_float(model, train, SETTINGS)
    fb.train.train_float(other, train.dataset, SETTINGS)
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


def test_evaluation_by_a_loader_is_that_of_its_images(model: nn.Module, test: object) -> None:
    images, labels = make_data()[120:]
    right = int((model.eval()(images).argmax(1) == labels).sum())
    assert fb.train.evaluate(model, test).right == right


def test_a_recipe_takes_a_loader(model: nn.Module, train: object, test: object) -> None:
    fb.train.train_float(model, train, SETTINGS)
    tuned, record = fb.train.run_recipe("fine-tune", model, "fixed6", train, SETTINGS)
    assert record.phase == "fine-tune"
    assert fb.train.evaluate(tuned, test).accuracy_percent > 90


def test_what_was_found_in_a_loader_is_said_in_the_record(model: nn.Module, train: object) -> None:
    record = fb.train.train_float(model, train, SETTINGS)
    assert any("images are used as they are given" in notice for notice in record.notices)
    _, record = fb.train.run_recipe("post-training", model, "fixed6", train, SETTINGS)
    assert any("images are used as they are given" in notice for notice in record.notices)


@pytest.mark.slow
def test_a_network_that_a_loader_calibrates_is_lowered_bit_for_bit(
    model: nn.Module, train: object, test: object
) -> None:
    fb.train.train_float(model, train, SETTINGS)
    quantized = fb.calibrate(fb.quantize(model, "fixed8"), train)
    images, labels = make_data()[120:]
    network = fb.lower(quantized, images[:1])
    right = int((network.predict(images) == labels).sum())
    assert right == fb.train.evaluate(quantized.eval(), test).right > 36


def test_a_data_set_without_a_part_is_refused(model: nn.Module) -> None:
    data = fb.data.from_torch(make_data())
    with pytest.raises(fb.DataError, match="say which part to evaluate on"):
        fb.train.evaluate(model, data)
