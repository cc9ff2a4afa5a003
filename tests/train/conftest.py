"""Small problems that a small network learns in a moment."""

import pytest
import torch
from digit_networks import small_convnet
from torch import nn

from fewbits.data import Dataset, Split, load
from fewbits.train import TrainSettings, train_float


def synthetic(images: int, generator: torch.Generator) -> Split:
    """8 x 8 images of noise with one bright quadrant, which is the label."""
    pixels = torch.randint(0, 120, (images, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 4, (images,), generator=generator)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        row, column = 4 * (label // 2), 4 * (label % 2)
        image[0, row : row + 4, column : column + 4] += 130
    return Split(pixels, labels)


@pytest.fixture(scope="session")
def quadrants() -> Dataset:
    """Four classes: which quadrant is bright."""
    generator = torch.Generator().manual_seed(0)
    parts = [synthetic(count, generator) for count in (200, 60, 60)]
    return Dataset("quadrants", 4, *parts, mean=(0.0,), std=(1.0,))


@pytest.fixture
def small_network() -> nn.Sequential:
    """A convolution, a pooling, a linear layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """The embedded real digits."""
    return load("digits")


@pytest.fixture(scope="session")
def trained_convnet(digits: Dataset) -> nn.Sequential:
    """A small network trained in float on the digits."""
    network = small_convnet()
    train_float(network, digits, TrainSettings(epochs=4, batch_size=32))
    return network
