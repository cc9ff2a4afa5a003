"""Sensitivity-driven approximation: rounds in which what the loss depends on least is computed approximately."""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.quantization import QuantizedModel
from fewbits.train.evaluation import evaluate
from fewbits.train.loop import do_nothing
from fewbits.train.recipe_run import RecipeRun, clipper
from fewbits.train.record import RoundRecord, TrainRecord
from fewbits.train.settings import TrainSettings
from fewbits.train.stages import share_epochs
from fewbits.train.unit_sensitivity import OUTPUTS, SYNAPSES, Granularity, RankedUnit, Units

_SMALLEST_PART = 8
"""Rounds end where this part of the first round's units is still too much: smaller ones cost epochs and save little."""


def approximate_neurons(run: RecipeRun) -> TrainRecord:
    """Rounds of ranking, approximating and retraining, until an error margin is spent.

    Venkataramani, Ranjan, Roy and Raghunathan, "AxNN: Energy-efficient neuromorphic systems using approximate
    computing" (ISLPED 2014): neurons are ranked by the errors that back-propagation finds at their outputs, averaged
    over training images; those that contribute least are approximated; the network is retrained with them. Here in
    units of 16 outputs, which a tile of 16 neurons computes in the same cycles, by |dE/dy| over the cycles that a unit
    takes; see `unit_sensitivity` (the paper's own equation was not at hand).
    """
    return _rounds(run, OUTPUTS)


def approximate_synapses(run: RecipeRun) -> TrainRecord:
    """The same with synapses, 16 neighbouring ones of 16 outputs at a time: what the tile takes in a cycle.

    After "Approximate synapses" (ISLPED 2015), of which the text was not at hand: ranked by what the loss of an image
    changes to first order where they are left out. Of layers of one position, such as a classifier's, whole outputs are
    taken, since a chunk is one cycle there.
    """
    return _rounds(run, SYNAPSES)


def _rounds(run: RecipeRun, granularity: Granularity) -> TrainRecord:
    """Rounds with units of a granularity.

    The network is first fine-tuned with exact products, in half of the epochs. A round then switches `share_a_round`
    of all units, ranked anew, and trains an equal part of the other half, at least one epoch. If the validation
    accuracy is then more than `error_margin_points` below the float network's, the network goes back to what it was,
    and half as many units are tried. It ends when an eighth of them, or one, is too much, or all are switched. A record
    a round is the recipe's front.
    """
    model, options = run.model, run.options
    _refuse_products(run.name, model)
    run.calibrate()
    units, notices = _units(run, granularity)
    _try_tables(model, options.approximation, units)
    total = _count(units)
    first_size = at_a_time = max(1, math.ceil(options.share_a_round * total))
    first, later = share_epochs(run.settings, 2)
    settings = share_epochs(later, math.ceil(total / at_a_time))
    float_network = evaluate(run.float_model.to(run.device), run.data, run.data.validation, device=run.device)
    floor = float_network.accuracy_percent - options.error_margin_points
    record = _retrain(run, "", first)
    records, rounds = [record], [_round(model, 0, units, total, record)]
    while record.best_validation_accuracy_percent >= floor and (left := _exact(model, units)):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        number = len(rounds)
        switch(model, options.approximation, granularity.ranked(model, *_ranking_images(run), left)[:at_a_time])
        tried = _retrain(run, f"round{number}", settings[min(number, len(settings)) - 1])
        records.append(tried)
        rounds.append(_round(model, number, units, total, tried))
        if tried.best_validation_accuracy_percent >= floor:
            record = tried
            continue
        rounds[-1] = replace(rounds[-1], is_taken_back=True)
        model.load_state_dict(before)
        at_a_time = min(at_a_time, _count(left)) // 2
        if not at_a_time or at_a_time * _SMALLEST_PART < first_size:
            break
    notices += [_told(one, floor) for one in rounds]
    if record is records[0] and record.best_validation_accuracy_percent < floor:
        notices.append(f"exact products are below {floor:.2f} % already: nothing is approximated")
    kept = "; ".join(f"{name}: {layer.switched.text}" for name, layer in model.layers.items() if layer.switched)
    notices.append(f"approximate {granularity.words}: {kept or 'none'}")
    resumed = sum(one.resumed_epochs for one in records)
    return replace(record, notices=(*record.notices, *notices), resumed_epochs=resumed, rounds=tuple(rounds))


def switch(model: QuantizedModel, approximation: str, ranked: list[RankedUnit]) -> None:
    """Compute these units approximately, beside those that are switched already."""
    for name in dict.fromkeys(one.layer for one in ranked):
        layer = model.layers[name]
        sizes = len(layer.layer.weight), layer.layer.weight[0].numel()
        switched = SwitchedUnits(approximation, (0,)).of_chunks(*sizes)
        switched[:] = layer.switched.of_chunks(*sizes) if layer.switched else False
        for one in ranked:
            if one.layer == name:
                switched[one.unit, slice(None) if one.chunk is None else one.chunk] = True
        layer.switch(SwitchedUnits.of(approximation, switched))


def _refuse_products(recipe: str, model: QuantizedModel) -> None:
    for name, layer in model.layers.items():
        if layer.products is not None:
            raise ModelError(
                f"layer {name!r} has product tables already, and {recipe} chooses them: leave products out"
            )


def _units(run: RecipeRun, granularity: Granularity) -> tuple[Units, list[str]]:
    """The units that can be switched, by layer, and what is left exact."""
    model = run.model
    grouped = [name for name, layer in model.layers.items() if getattr(layer.layer, "groups", 1) > 1]
    units = granularity.units(
        model, _ranking_images(run)[0][:1], [name for name in model.layers if name not in grouped]
    )
    if not units:
        raise ModelError(
            f"{run.name} switches 16 outputs that take the same inputs, and every layer is in groups: take a "
            "network with other layers"
        )
    left = f"left exact, since the outputs of a group take inputs of their own: {', '.join(grouped)}"
    return units, [left] if grouped else []


def _try_tables(model: QuantizedModel, approximation: str, units: Units) -> None:
    """Raise ModelError, naming the layer, before anything is trained, where a layer cannot be switched."""
    for name in units:
        model.layers[name].switch(SwitchedUnits(approximation, (0,)))
        model.layers[name].switch(None)


def _exact(model: QuantizedModel, units: Units) -> Units:
    """The units that are not switched, by layer; layers that have some."""
    left: dict[str, tuple[tuple[int, int | None], ...]] = {}
    for name, numbers in units.items():
        layer = model.layers[name]
        if layer.switched is None:
            left[name] = numbers
            continue
        switched = layer.switched.of_chunks(len(layer.layer.weight), layer.layer.weight[0].numel())
        left[name] = tuple((unit, chunk) for unit, chunk in numbers if not switched[unit, chunk or 0])
    return {name: numbers for name, numbers in left.items() if numbers}


def _count(units: Units) -> int:
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


def _round(model: QuantizedModel, number: int, units: Units, total: int, record: TrainRecord) -> RoundRecord:
    return RoundRecord(
        number=number,
        switched=total - _count(_exact(model, units)),
        units=total,
        validation_accuracy_percent=record.best_validation_accuracy_percent,
        layers={name: layer.switched.text for name, layer in model.layers.items() if layer.switched},
    )


def _told(one: RoundRecord, floor: float) -> str:
    accuracy = f"{one.validation_accuracy_percent:.2f} % of the validation images"
    told = f"round {one.number}: {one.switched} of {one.units} units approximate, {accuracy}"
    return f"{told}: below {floor:.2f} %, taken back" if one.is_taken_back else told
