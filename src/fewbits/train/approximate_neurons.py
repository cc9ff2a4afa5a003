"""Sensitivity-driven approximation: the neurons that the loss depends on least are computed approximately."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from fewbits.errors import ModelError
from fewbits.formats.switched_units import OUTPUTS_OF_A_UNIT, SwitchedUnits
from fewbits.graph.module_kinds import kind_of_layer
from fewbits.quantization import QuantizedLayer, QuantizedModel
from fewbits.train.evaluation import evaluate
from fewbits.train.loop import do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import TrainRecord
from fewbits.train.settings import TrainSettings
from fewbits.train.stages import share_epochs

_BATCH = 100
"""Images at a time whose gradients are taken; no result depends on it but by the order of float sums."""


@dataclass(frozen=True, order=True)
class RankedUnit:
    """A group of 16 neighbouring outputs of a layer."""

    sensitivity: float
    """Mean of |dE/dy| over images, positions and the unit's outputs y; E is an image's cross-entropy."""

    layer: str
    unit: int


def approximate_neurons(run: RecipeRun) -> TrainRecord:
    """Rounds of ranking, approximating and retraining, until an error margin is spent.

    Venkataramani, Ranjan, Roy and Raghunathan, "AxNN: Energy-efficient neuromorphic systems using approximate
    computing" (ISLPED 2014): neurons are ranked by the errors that back-propagation finds at their outputs, averaged
    over training images; those that contribute least are approximated; the network is retrained with them. Here in
    units of 16 outputs, which a tile of 16 neurons computes in the same cycles; what is computed for each is |dE/dy|,
    see `RankedUnit` (the paper's own equation was not at hand).

    The network is first fine-tuned with exact products. A round then switches `share_a_round` of all units, ranked
    anew, and trains an equal part of the epochs. If the validation accuracy is then more than `error_margin_points`
    below the float network's, the network goes back to what it was, and half as many units are tried. It ends when one
    unit is too much, or all are switched. A notice a round tells the front.
    """
    model = run.model
    _refuse_products(model)
    units, notices = _units(model)
    approximation = run.options.approximation
    _try_tables(model, approximation, units)
    total = _count(units)
    at_a_time = max(1, math.ceil(run.options.share_a_round * total))
    first, *rounds = share_epochs(run.settings, 1 + math.ceil(total / at_a_time))
    float_network = evaluate(run.float_model.to(run.device), run.data, run.data.validation, device=run.device)
    floor = float_network.accuracy_percent - run.options.error_margin_points
    record = _retrain(run, "", first)
    records = [record]
    notices.append(_told(0, 0, total, record))
    number = 0
    while record.best_validation_accuracy_percent >= floor and (left := _exact(model, units)):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        number += 1
        ranked = ranked_units(model, *_ranking_images(run), left)
        switch(model, approximation, ranked[:at_a_time])
        tried = _retrain(run, f"round{number}", rounds[min(number, len(rounds)) - 1])
        records.append(tried)
        count = total - _count(_exact(model, units))
        if tried.best_validation_accuracy_percent >= floor:
            record = tried
            notices.append(_told(number, count, total, tried))
            continue
        notices.append(f"{_told(number, count, total, tried)}: below {floor:.2f} %, taken back")
        model.load_state_dict(before)
        if at_a_time == 1:
            break
        at_a_time = min(at_a_time, _count(left)) // 2 or 1
    if record is records[0] and record.best_validation_accuracy_percent < floor:
        notices.append(f"exact products are below {floor:.2f} % already: nothing is approximated")
    kept = "; ".join(f"{name}: {layer.switched.text}" for name, layer in model.layers.items() if layer.switched)
    notices.append(f"approximate units of {OUTPUTS_OF_A_UNIT} outputs: {kept or 'none'}")
    resumed = sum(one.resumed_epochs for one in records)
    return replace(record, notices=(*record.notices, *notices), resumed_epochs=resumed)


def ranked_units(
    model: QuantizedModel, images: Tensor, labels: Tensor, units: Mapping[str, tuple[int, ...]]
) -> list[RankedUnit]:
    """Units of 16 outputs, the least sensitive first.

    images: normalized; labels: of each. units: numbers of those to rank, by a layer's name. Rounding passes gradients
    straight through. The network is left in evaluation mode, its parameters without gradients.
    """
    sums = {name: torch.zeros(len(model.layers[name].layer.weight), dtype=torch.float64) for name in units}
    positions = dict.fromkeys(units, 0)

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(gradient: Tensor) -> None:
            axis = gradient.ndim - 1 if kind_of_layer(model.layers[name].layer).features_are_last else 1
            by_output = gradient.detach().abs().double().movedim(axis, 0).flatten(1)
            sums[name] += by_output.sum(dim=1).cpu()
            positions[name] += by_output.shape[1]

        def hook(_: nn.Module, __: Any, result: Tensor) -> None:
            result.register_hook(add)

        return hook

    model.eval()
    device = next(model.parameters()).device
    hooks = [model.layers[name].register_forward_hook(watch(name)) for name in units]
    try:
        for start in range(0, len(images), _BATCH):
            logits = model(images[start : start + _BATCH].to(device))
            expected = labels[start : start + _BATCH].to(device)
            nn.functional.cross_entropy(logits, expected, reduction="sum").backward()
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad(set_to_none=True)
    return sorted(
        RankedUnit(float(part.mean()) / positions[name], name, unit)
        for name, numbers in units.items()
        for unit, part in enumerate(sums[name].split(OUTPUTS_OF_A_UNIT))
        if unit in numbers
    )


def switch(model: QuantizedModel, approximation: str, ranked: list[RankedUnit]) -> None:
    """Compute these units approximately, beside those that are switched already."""
    for name in dict.fromkeys(one.layer for one in ranked):
        layer = model.layers[name]
        earlier = layer.switched.units if layer.switched else ()
        added = (one.unit for one in ranked if one.layer == name)
        layer.switch(SwitchedUnits(approximation, tuple(sorted({*earlier, *added}))))


def _refuse_products(model: QuantizedModel) -> None:
    for name, layer in model.layers.items():
        if layer.products is not None:
            raise ModelError(
                f"layer {name!r} has product tables already, and approximate-neurons chooses them: leave products out"
            )


def _units(model: QuantizedModel) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Numbers of the units that can be switched, by layer, and what is left exact."""
    grouped = [name for name, layer in model.layers.items() if getattr(layer.layer, "groups", 1) > 1]
    units = {name: _of(layer) for name, layer in model.layers.items() if name not in grouped}
    if not units:
        raise ModelError(
            "approximate-neurons switches 16 outputs that take the same inputs, and every layer is in groups: take a "
            "network with other layers"
        )
    left = f"left exact, since the outputs of a group take inputs of their own: {', '.join(grouped)}"
    return units, [left] if grouped else []


def _of(layer: QuantizedLayer) -> tuple[int, ...]:
    return tuple(range(-(-len(layer.layer.weight) // OUTPUTS_OF_A_UNIT)))


def _try_tables(model: QuantizedModel, approximation: str, units: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ModelError, naming the layer, before anything is trained, where a layer cannot be switched."""
    for name in units:
        model.layers[name].switch(SwitchedUnits(approximation, (0,)))
        model.layers[name].switch(None)


def _exact(model: QuantizedModel, units: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The units that are not switched, by layer; layers that have some."""
    switched = {name: frozenset(one.units if (one := model.layers[name].switched) else ()) for name in units}
    left = {name: tuple(unit for unit in numbers if unit not in switched[name]) for name, numbers in units.items()}
    return {name: numbers for name, numbers in left.items() if numbers}


def _count(units: Mapping[str, tuple[int, ...]]) -> int:
    return sum(map(len, units.values()))


def _ranking_images(run: RecipeRun) -> tuple[Tensor, Tensor]:
    """The training images that calibration takes, normalized, and their labels."""
    chosen = run.calibration_images()
    return run.data.inputs(run.data.train.images[chosen]), run.data.train.labels[chosen]


def _retrain(run: RecipeRun, stage: str, settings: TrainSettings) -> TrainRecord:
    clips = run.settings.clip_shadow_weights
    run.calibrate_again()  # what it starts from competes with the epochs
    return run.train(
        stage=stage,
        settings=settings,
        before_epoch=run.calibrate_again,
        after_step=clipper(run.model) if clips else do_nothing,
    )


def _told(number: int, switched: int, units: int, record: TrainRecord) -> str:
    accuracy = record.best_validation_accuracy_percent
    return f"round {number}: {switched} of {units} units approximate, {accuracy:.2f} % of the validation images"
