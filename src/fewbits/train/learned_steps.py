"""Recipes that learn the steps of number formats: LSQ with power-of-two or free steps, and PACT."""

from __future__ import annotations

from collections.abc import Callable

from fewbits.quantization import QuantizedLayer
from fewbits.quantization.layers.training_method import TrainingMethod, settle
from fewbits.quantization.methods.learned_step import FreeWeightSteps, LearnedClipping, LearnedSteps
from fewbits.train.loop import Loss, cross_entropy, do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings


def learned_steps(run: RecipeRun) -> TrainRecord:
    """LSQ (Esser et al., arXiv:1902.08153) with power-of-two steps: no hardware beyond the precision's own."""
    run.calibrate()
    return train_with(run, LearnedSteps)


def free_steps(run: RecipeRun) -> TrainRecord:
    """LSQ (Esser et al., arXiv:1902.08153) with a free step for each layer's weights.

    Hardware that it adds: a factor of 8 bits for each layer, and a multiplier in each neuron (see `hardware.cost`).
    """
    run.calibrate()
    return train_with(run, FreeWeightSteps)


def learned_clipping(run: RecipeRun) -> TrainRecord:
    """PACT (Choi et al., arXiv:1805.06085); the penalty on a clipping level has the weight decay as its factor."""
    run.calibrate()
    penalty = run.settings.weight_decay
    return train_with(run, lambda layer: LearnedClipping(layer, penalty), after_step=_clip_where_told(run))


def train_with(
    run: RecipeRun,
    make: Callable[[QuantizedLayer], TrainingMethod],
    *,
    loss: Loss = cross_entropy,
    before_epoch: Callable[[], None] = do_nothing,
    after_step: Callable[[], None] | None = None,
    settings: TrainSettings | None = None,
) -> TrainRecord:
    """Train a calibrated network with a method in each layer, and settle it.

    settings: None takes the run's. after_step: None clips the shadow weights of binary and ternary layers, where the
    settings say so.
    """
    for layer in run.model.layers.values():
        layer.method = make(layer)
    record = run.train(
        settings=settings,
        loss=loss,
        before_epoch=before_epoch,
        after_step=_clip_where_told(run) if after_step is None else after_step,
    )
    settle(run.model)
    return record


def _clip_where_told(run: RecipeRun) -> Callable[[], None]:
    return clipper(run.model) if run.settings.clip_shadow_weights else do_nothing
