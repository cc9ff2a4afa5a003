"""A small network for the embedded digits, and short trainings of it, for claims about methods."""

from __future__ import annotations

import torch
from torch import nn

from fewbits.data import Dataset
from fewbits.quantization import QuantizedModel
from fewbits.train import RecipeOptions, TrainSettings, evaluate, run_recipe


def small_convnet() -> nn.Sequential:
    """Two convolutions and a linear layer: 94.6 % of the test digits after six epochs in float."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(256, 10),
        )


def trained_by(
    recipe: str, network: nn.Module, precision: str, data: Dataset, options: RecipeOptions | None = None, **settings
) -> tuple[QuantizedModel, float]:
    """The network that a recipe makes, and its accuracy on the test digits in percent."""
    q, _ = run_recipe(recipe, network, precision, data, TrainSettings(**settings), options=options)
    return q, evaluate(q, data, data.test).accuracy_percent
