"""Training with float shadow weights behind the straight-through estimator, and not training at all."""

from __future__ import annotations

from fewbits.train.loop import do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord


def straight_through(run: RecipeRun) -> TrainRecord:
    """Float shadow weights behind the straight-through estimator: Hashemi et al., "Understanding the impact of
    precision quantization on the accuracy and energy of neural networks" (DATE 2017).
    """
    run.calibrate()
    return run.train(
        before_epoch=run.calibrate_again,
        after_step=clipper(run.model) if run.settings.clip_shadow_weights else do_nothing,
    )


def post_training(run: RecipeRun) -> TrainRecord:
    """Choose radix points, train nothing."""
    run.calibrate()
    return run.record_without_training()
