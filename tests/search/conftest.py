"""A small network, trained a little, and data whose test images nobody may look at."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fewbits.data import Dataset, Images, Split
from fewbits.train import TrainSettings, train_float


class Unread(Images):
    """Images that fail whoever looks at them."""

    def __getitem__(self, which: Any) -> Any:
        raise AssertionError("the test images were read")

    def chunks(self) -> Any:
        """As above."""
        raise AssertionError("the test images were read")


def quadrants(images: int, generator: torch.Generator) -> Split:
    """8 x 8 images of noise with one bright quadrant, which is the label."""
    pixels = torch.randint(0, 160, (images, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 4, (images,), generator=generator)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[0, row : row + 4, column : column + 4] += 90
    return Split(pixels, labels)


@pytest.fixture(scope="session")
def unread() -> Dataset:
    """Four classes: which quadrant is bright; reading a test image is an error."""
    generator = torch.Generator().manual_seed(0)
    train, validation, test = (quadrants(count, generator) for count in (200, 60, 60))
    hidden = Split(Unread(test.images), test.labels)
    return Dataset("quadrants", 4, train, validation, hidden, mean=(0.0,), std=(1.0,))


def chain() -> nn.Sequential:
    """Two convolutions and a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            nn.Linear(16, 4),
        )


@pytest.fixture(scope="session")
def trained(unread: Dataset) -> nn.Sequential:
    """The chain, trained for a moment."""
    network = chain()
    train_float(network, unread, TrainSettings(epochs=4, batch_size=16, learning_rate=0.01))
    return network.eval()
