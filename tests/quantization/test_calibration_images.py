"""Calibration takes its images from torch Datasets and DataLoaders: some, spread evenly, the same each time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

import fewbits as fb
from fewbits.quantization.calibration_images import LOADER_IMAGES, joined

MANY = torch.arange(1000.0).view(1000, 1, 1, 1)
LABELS = torch.zeros(1000, dtype=torch.int64)
EVENLY = torch.linspace(0, 999, LOADER_IMAGES, dtype=torch.float64).round()


class Streamed(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(zip(MANY, LABELS, strict=True))


class Dictionaries(TorchDataset[Any]):
    def __len__(self) -> int:
        return 1000

    def __getitem__(self, number: int) -> Any:
        return {"image": MANY[number], "label": 0}


@pytest.mark.parametrize(
    "source",
    [
        TensorDataset(MANY, LABELS),
        TensorDataset(MANY),
        DataLoader(TensorDataset(MANY, LABELS), batch_size=64),
        DataLoader(TensorDataset(MANY, LABELS), batch_size=64, shuffle=True),
        Dictionaries(),
        DataLoader(Dictionaries(), batch_size=64, shuffle=True),
    ],
)
def test_images_are_spread_over_all_that_there_are(source: Any) -> None:
    assert torch.equal(joined(source).flatten().double(), EVENLY)


@pytest.mark.parametrize("source", [Streamed(), DataLoader(Streamed(), batch_size=64)])
def test_of_a_stream_the_first_are_taken(source: Any) -> None:
    assert torch.equal(joined(source), MANY[:LOADER_IMAGES])


def test_a_few_images_are_all_taken() -> None:
    assert torch.equal(joined(DataLoader(TensorDataset(MANY[:5]), batch_size=2)), MANY[:5])


def test_a_network_is_calibrated_by_a_loader_as_by_its_images() -> None:
    torch.manual_seed(0)
    images = torch.randn(40, 1, 8, 8)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    by_images = fb.calibrate(fb.quantize(model, "fixed8"), images)
    loader = DataLoader(TensorDataset(images, LABELS[:40]), batch_size=16, shuffle=True)
    assert fb.calibrate(fb.quantize(model, "fixed8"), loader).calibration == by_images.calibration


class Failing(TorchDataset[Any]):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, number: int) -> Any:
        raise OSError("no\nfile")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Failing(), r"item 0 of the torch data raised OSError: no file \(test_calibration_images.py, line \d+\)"),
        (TensorDataset(MANY[:0]), "calibration needs at least one image"),
        (TensorDataset(MANY.byte()), "normalized float images, not torch.uint8"),
        (DataLoader([("a", 1)]), "the batch of items 0 to 0 of the calibration data has an image of type tuple"),
        ([torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 3, 3)], r"of several shapes \(\(1, 2, 2\), \(1, 3, 3\)\)"),
    ],
)
def test_what_gives_no_images_is_refused_in_one_line(source: Any, message: str) -> None:
    with pytest.raises(fb.DataError, match=message) as raised:
        joined(source)
    assert "\n" not in str(raised.value)
