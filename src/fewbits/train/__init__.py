"""Training: the float network, and recipes that bring it to a low precision. Loads torch at first use of a function."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fewbits.train.catalog import RECIPES, Recipe
from fewbits.train.options import RecipeOptions

if TYPE_CHECKING:
    from fewbits.train.evaluation import Evaluation, evaluate
    from fewbits.train.operating_point import OperatingPoint, operating_points
    from fewbits.train.progress import Progress, ProgressCallback
    from fewbits.train.recipes import prepare_recipe, run_recipe, train_float
    from fewbits.train.record import EpochRecord, TrainRecord
    from fewbits.train.settings import TrainSettings

_LAZY = {
    "EpochRecord": "record",
    "Evaluation": "evaluation",
    "OperatingPoint": "operating_point",
    "Progress": "progress",
    "ProgressCallback": "progress",
    "TrainRecord": "record",
    "TrainSettings": "settings",
    "evaluate": "evaluation",
    "operating_points": "operating_point",
    "prepare_recipe": "recipes",
    "run_recipe": "recipes",
    "train_float": "recipes",
}
"""Public names and the module that holds each: the catalog of recipes is to be read without torch."""

__all__ = [
    "RECIPES",
    "EpochRecord",
    "Evaluation",
    "OperatingPoint",
    "Progress",
    "ProgressCallback",
    "Recipe",
    "RecipeOptions",
    "TrainRecord",
    "TrainSettings",
    "evaluate",
    "operating_points",
    "prepare_recipe",
    "run_recipe",
    "train_float",
]


def __getattr__(name: str) -> object:
    """Load a public name from its module at first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'fewbits.train' has no attribute {name!r}")
    return getattr(import_module(f"fewbits.train.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
