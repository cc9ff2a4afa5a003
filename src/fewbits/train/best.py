"""The best recipe for a precision, as far as measured (docs/training.md)."""

from __future__ import annotations

from fewbits.formats import Format, Precision
from fewbits.train.combined import distilled_steps, gradual_distilled_steps
from fewbits.train.distillation import distill
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord

_FEW_BITS = 4
"""Fixed point of so many bits, or fewer, gains from learned steps."""

_FUNCTIONS = {"distill": distill, "distill-lsq": distilled_steps, "gradual-distill-lsq": gradual_distilled_steps}


def best_recipe(precision: Precision) -> str:
    """Name of the recipe that `best` stands for at a precision. Each computes on the precision's own hardware."""
    if _is_narrow(precision.weights) or _is_narrow(precision.inputs):
        return "distill-lsq"
    return "distill"


def best(run: RecipeRun) -> TrainRecord:
    """What `best_recipe` names; see there, and docs/training.md for how it was chosen."""
    return _FUNCTIONS[best_recipe(run.model.precision)](run)


def _is_narrow(number_format: Format) -> bool:
    return number_format.family == "fixed" and number_format.bits <= _FEW_BITS
