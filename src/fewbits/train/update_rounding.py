"""Training without float shadow weights: what the optimizer makes of a weight is rounded to its format at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fewbits.quantization import calibrate, quantize
from fewbits.quantization.methods.stochastic import round_stochastically
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord

_Round = Callable[[Tensor, float], Tensor]


def stochastic_update(run: RecipeRun) -> TrainRecord:
    """Weights that live on the grid of their format, each update rounded up or down by chance, in proportion.

    Gupta, Agrawal, Gopalakrishnan and Narayanan, "Deep learning with limited numerical precision" (arXiv:1502.02551,
    section 3.2): an update smaller than half a step is kept in expectation. Gradients and the optimizer's moments are
    float here, where the paper rounds them too; activations are rounded to nearest, as the hardware does it.
    """
    return _without_shadow(run, _stochastically)


def nearest_update(run: RecipeRun) -> TrainRecord:
    """The same with updates rounded to nearest: those below half a step are lost, and training stalls (section 4.1)."""
    return _without_shadow(run, _to_nearest)


def _without_shadow(run: RecipeRun, rounding: _Round) -> TrainRecord:
    """Train with weights and biases rounded after each step; the weights' radix point is one and stays.

    As in the paper, one radix point serves the weights of all layers, and leaves room for the largest number of the
    network: here that of the trained float network, be it a weight or an input of a layer.
    """
    shared = _common_radix_point(run)
    run.calibrate()
    layers = list(run.model.layers.values())
    for layer in layers:
        layer.weight_fraction_bits = shared
    run.calibrate(weights=False)

    def round_parameters(rounding: _Round) -> None:
        with torch.no_grad():
            for layer in layers:
                weight, bias = layer.layer.weight, layer.layer.bias
                low, high = layer.weight_format.limits(layer.weight_fraction_bits)
                weight.copy_(rounding(weight, 2.0**-layer.weight_fraction_bits).clamp_(low, high))
                if bias is not None:
                    bias.copy_(rounding(bias, 2.0**-layer.accumulator_fraction_bits))

    round_parameters(_to_nearest)  # where training starts is not left to chance
    return run.train(before_epoch=lambda: run.calibrate(weights=False), after_step=lambda: round_parameters(rounding))


def _common_radix_point(run: RecipeRun) -> int:
    """The largest radix point at which no weight and no layer's input of the float network saturates."""
    trained = quantize(run.float_model, run.model.precision).to(run.device)
    chosen = calibrate(trained, run.calibration_inputs(), "maximum").calibration
    return min(min(layer.weight_fraction_bits, layer.input_fraction_bits) for layer in chosen)


def _stochastically(x: Tensor, unit: float) -> Tensor:
    return round_stochastically(x, unit)


def _to_nearest(x: Tensor, unit: float) -> Tensor:
    return (x / unit).round_().mul_(unit)
