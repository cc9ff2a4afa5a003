"""Training: the float network, and recipes that bring it to a low precision. Loads torch at first use of a function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.lazy import lazily
from fewbits.train.catalog import RECIPES, Recipe
from fewbits.train.options import RecipeOptions

if TYPE_CHECKING:
    from fewbits.train.evaluation import Evaluation, evaluate
    from fewbits.train.hooks import TrainingHooks
    from fewbits.train.known_defects import DefectRetraining, retraining_with_defects
    from fewbits.train.loop import Loss, cross_entropy
    from fewbits.train.operating_point import OperatingPoint, operating_points
    from fewbits.train.progress import Progress, ProgressCallback
    from fewbits.train.recipe_run import RecipeRun
    from fewbits.train.recipes import prepare_recipe, run_recipe, train_float
    from fewbits.train.record import EpochRecord, RoundRecord, TrainRecord
    from fewbits.train.settings import TrainSettings

_HOLDERS = {
    name: f"fewbits.train.{module}"
    for module, names in {
        "evaluation": ("Evaluation", "evaluate"),
        "operating_point": ("OperatingPoint", "operating_points"),
        "progress": ("Progress", "ProgressCallback"),
        "hooks": ("TrainingHooks",),
        "known_defects": (
            "DefectRetraining",
            "retraining_with_defects",
        ),
        "loop": ("Loss", "cross_entropy"),
        "recipe_run": ("RecipeRun",),
        "recipes": ("prepare_recipe", "run_recipe", "train_float"),
        "record": ("EpochRecord", "RoundRecord", "TrainRecord"),
        "settings": ("TrainSettings",),
    }.items()
    for name in names
}
"""Public names and the module that holds each: the catalog of recipes is to be read without torch."""

__all__ = [
    "RECIPES",
    "DefectRetraining",
    "EpochRecord",
    "Evaluation",
    "Loss",
    "OperatingPoint",
    "Progress",
    "ProgressCallback",
    "Recipe",
    "RecipeOptions",
    "RecipeRun",
    "RoundRecord",
    "TrainRecord",
    "TrainSettings",
    "TrainingHooks",
    "cross_entropy",
    "evaluate",
    "operating_points",
    "prepare_recipe",
    "retraining_with_defects",
    "run_recipe",
    "train_float",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)
