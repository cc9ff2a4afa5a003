"""Gradual lowering: the precision goes down in stages, each trained from the one before."""

from __future__ import annotations

from fewbits.formats import Precision
from fewbits.quantization.network_formats import set_network_formats
from fewbits.train.loop import Loss, cross_entropy, do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings
from fewbits.train.stages import share_epochs

_FIRST_BITS = 8
"""Width at which the descent starts: training at eight bits is as good as float."""

_STEP_BITS = 2
"""Bits taken away between stages."""


def gradual(run: RecipeRun) -> TrainRecord:
    """Fine-tuning at eight bits, then at six, and so on down to the precision; the epochs are shared out evenly.

    Zhuang et al., "Towards effective low-bitwidth convolutional neural networks" (arXiv:1711.00205, section 3.3,
    progressive quantization). A format that is no narrower than eight bits, or of another family, stays as it is.
    """
    settings = descend(run)
    run.calibrate()
    return _fine_tune(run, "", settings, cross_entropy)


def descend(run: RecipeRun, loss: Loss = cross_entropy) -> TrainSettings:
    """Train the stages above the precision, and leave the network at the precision, not calibrated for it.

    Returns the settings that are left for the last stage.
    """
    target = run.model.precision
    above = stages_above(target)
    *before, last = share_epochs(run.settings, len(above) + 1)
    for precision, settings in zip(above, before, strict=True):
        _set_precision(run, precision)
        run.calibrate()
        _fine_tune(run, precision.name.replace("/", "_"), settings, loss)
    if above:
        _set_precision(run, target)
    return last


def stages_above(target: Precision) -> list[Precision]:
    """The precisions to pass on the way down, widest first; none if the target is wide already."""
    stages: list[Precision] = []
    for bits in range(_FIRST_BITS, 1, -_STEP_BITS):
        stage = Precision(target.weights.widened(bits), target.inputs.widened(bits))
        if stage != target and stage not in stages:
            stages.append(stage)
    return stages


def _set_precision(run: RecipeRun, precision: Precision) -> None:
    set_network_formats(run.model, precision.inputs, lambda _: precision)
    run.model.precision = precision


def _fine_tune(run: RecipeRun, stage: str, settings: TrainSettings, loss: Loss) -> TrainRecord:
    clips = run.settings.clip_shadow_weights
    return run.train(
        stage=stage,
        settings=settings,
        loss=loss,
        before_epoch=run.calibrate_again,
        after_step=clipper(run.model) if clips else do_nothing,
    )
