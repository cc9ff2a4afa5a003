"""Recipes that join methods: distillation with learned power-of-two steps, after a gradual descent or not."""

from __future__ import annotations

from fewbits.quantization.methods.learned_step import LearnedSteps
from fewbits.train.distillation import distillation_loss
from fewbits.train.gradual import descend
from fewbits.train.learned_steps import train_with
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord


def distilled_steps(run: RecipeRun) -> TrainRecord:
    """`distill` and `lsq` together; see these for the papers."""
    run.calibrate()
    return train_with(run, LearnedSteps, loss=distillation_loss(run))


def gradual_distilled_steps(run: RecipeRun) -> TrainRecord:
    """`gradual` with the loss of `distill`, then `distill-lsq` at the precision itself; see these for the papers."""
    loss = distillation_loss(run)
    settings = descend(run, loss)
    run.calibrate()
    return train_with(run, LearnedSteps, loss=loss, settings=settings)
