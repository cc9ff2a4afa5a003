"""Runtime-configurable networks: channels trained in increments, earlier ones frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from fewbits.quantization import QuantizedModel
from fewbits.train.loop import do_nothing
from fewbits.train.operating_point import Kept, kept, sliced, write_back
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord
from fewbits.train.stages import share_epochs


def runtime_configurable(run: RecipeRun) -> TrainRecord:
    """One set of weights whose first channels are a network by themselves.

    Tann, Hashemi, Bahar and Reda, "Runtime configurable deep neural networks for energy-accuracy trade-off"
    (CODES+ISSS 2016): the network is trained with a part of its channels; then some are added, and only the new
    weights are trained; and so on (`increments`). At run time channels are switched off to save energy:
    `operating_points` gives the networks. The epochs are shared out evenly.

    The radix points of fixed-point weights are chosen while the first part trains, then they stay.
    """
    whole = run.model
    run.calibrate()
    frozen: Kept = {}
    notices: list[str] = []
    record = None
    stages = share_epochs(run.settings, len(run.options.increments))
    for part, settings in zip(run.options.increments, stages, strict=True):
        parts = kept(whole, part)
        narrow = replace(run, model=sliced(whole, parts))
        moves_weights = not frozen and not whole.precision.weights.is_scaled_sign
        record = narrow.train(
            stage="" if part == 1 else f"{part:g}",
            settings=settings,
            before_epoch=lambda narrow=narrow, moves=moves_weights: narrow.calibrate(weights=moves),
            after_step=_keeper(narrow, frozen),
        )
        write_back(narrow.model, whole)
        frozen = parts
        accuracy = record.best_validation_accuracy_percent
        notices.append(f"{100 * part:g} % of the channels: {accuracy:.2f} % of the validation images")
    assert record is not None  # there is at least one increment
    return replace(record, notices=(*record.notices, *notices))


def _keeper(run: RecipeRun, frozen: Kept) -> Callable[[], None]:
    """Clips binary and ternary shadow weights, then puts what is frozen back to what it is now."""
    clip = clipper(run.model) if run.settings.clip_shadow_weights else do_nothing
    put_back = _freezer(run.model, frozen)

    def keep() -> None:
        clip()
        put_back()

    return keep


def _freezer(model: QuantizedModel, frozen: Kept) -> Callable[[], None]:
    """Undoes what a step did to the weights among the first outputs and inputs, and to the first biases."""
    layers = [(model.layers[name].layer, sizes) for name, sizes in frozen.items()]
    kept_values = [
        (
            layer.weight.detach()[:outputs, :inputs].clone(),
            None if layer.bias is None else layer.bias.detach()[:outputs].clone(),
        )
        for layer, (outputs, inputs) in layers
    ]

    def put_back() -> None:
        with torch.no_grad():
            for (layer, (outputs, inputs)), (weight, bias) in zip(layers, kept_values, strict=True):
                layer.weight[:outputs, :inputs].copy_(weight)
                if bias is not None and layer.bias is not None:
                    layer.bias[:outputs].copy_(bias)

    return put_back
