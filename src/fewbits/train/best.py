"""The best recipe for a precision, as far as measured (docs/training.md)."""

from __future__ import annotations

from fewbits.formats import Precision
from fewbits.train.distillation import distill
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord
from fewbits.train.shadow_weights import straight_through

_FUNCTIONS = {"distill": distill, "fine-tune": straight_through}


def best_recipe(precision: Precision) -> str:
    """Name of the recipe that `best` stands for at a precision; it computes on the precision's own hardware.

    The teacher gained accuracy where weights are binary; at the other precisions that were measured nothing beat
    `fine-tune` at equal epochs.
    """
    return "distill" if precision.weights.family == "binary" else "fine-tune"


def best(run: RecipeRun) -> TrainRecord:
    """What `best_recipe` names; see there, and docs/training.md for how it was chosen."""
    return _FUNCTIONS[best_recipe(run.model.precision)](run)
