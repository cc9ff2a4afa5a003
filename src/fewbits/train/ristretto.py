"""Ristretto's flow: trim the widths of convolution weights, linear weights and activations, then fine-tune."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, replace

from fewbits.formats import Format, Precision, parse_format
from fewbits.graph.module_kinds import kind_of_layer
from fewbits.quantization import QuantizedLayer
from fewbits.quantization.network_formats import set_network_formats
from fewbits.train.evaluation import evaluate
from fewbits.train.recipe_run import RecipeRun
from fewbits.train.record import TrainRecord

_NARROWEST = 2
"""Bits of the narrowest fixed point."""


@dataclass(frozen=True)
class Widths:
    """Bits of the three groups that are trimmed each by itself."""

    convolution_weights: int
    linear_weights: int
    activations: int

    def formats_of(self, layer: QuantizedLayer) -> Precision:
        """The formats that they give a layer."""
        is_linear = kind_of_layer(layer.layer).features_are_last
        weights = self.linear_weights if is_linear else self.convolution_weights
        return Precision(_fixed(weights), _fixed(self.activations))

    def __str__(self) -> str:
        return (
            f"convolution weights {self.convolution_weights} bits, linear weights {self.linear_weights} bits, "
            f"activations {self.activations} bits"
        )


def ristretto(run: RecipeRun) -> TrainRecord:
    """Fixed point of as few bits as an error margin allows, at most those of the precision.

    Gysel, Motamedi and Ghiasi, "Hardware-oriented approximation of convolutional neural networks" (arXiv:1604.03168,
    section 4): (1) ranges are analyzed (here by calibration); (2) the widths of convolution weights, of linear weights
    and of activations are trimmed each by itself, the others staying float; (3) they are combined, and widened again
    where that misses the margin; (4) the network is fine-tuned. The margin is `error_margin_points` of validation
    accuracy below the float network.

    The network that results computes on the tile of the precision, with narrower numbers; its cost there is an upper
    bound. A notice gives the widths: `fewbits characterize --precision fixedW/fixedA` makes a tile of just that size.
    """
    highest = _limits(run)
    floor = _float_accuracy(run) - run.options.error_margin_points
    trimmed = Widths(
        *(
            _least(highest_bits, lambda bits, name=name: _accuracy_alone(run, name, bits) >= floor)
            for name, highest_bits in asdict(highest).items()
        )
    )
    combined = _widen_until(run, trimmed, highest, floor)
    _set_formats(run, combined.formats_of)
    record = run.train(before_epoch=run.calibrate)
    return replace(record, notices=(*record.notices, f"trimmed to {combined}"))


def _limits(run: RecipeRun) -> Widths:
    """The widths of the precision, above which nothing is tried."""
    precision = run.model.precision
    return Widths(precision.weights.bits, precision.weights.bits, precision.inputs.bits)


def _float_accuracy(run: RecipeRun) -> float:
    network = copy.deepcopy(run.float_model).to(run.device)
    return evaluate(network, run.data, run.data.validation, device=run.device).accuracy_percent


def _least(highest: int, holds: Callable[[int], bool]) -> int:
    """The narrowest width, from 2 to `highest`, down to which every width holds; `highest` if none does."""
    bits = highest
    while bits > _NARROWEST and holds(bits - 1):
        bits -= 1
    return bits


def _accuracy_alone(run: RecipeRun, group: str, bits: int) -> float:
    """Accuracy with one of the three groups at a width, the others in float."""
    rounded, real = _fixed(bits), parse_format("float32")

    def formats_of(layer: QuantizedLayer) -> Precision:
        is_linear = kind_of_layer(layer.layer).features_are_last
        if group == "activations":
            return Precision(real, rounded)
        weights = rounded if is_linear == (group == "linear_weights") else real
        return Precision(weights, real)

    return _accuracy(run, formats_of)


def _widen_until(run: RecipeRun, widths: Widths, highest: Widths, floor: float) -> Widths:
    """All groups one bit wider, up to the precision's, until the margin is kept."""
    while widths != highest and _accuracy(run, widths.formats_of) < floor:
        wider = (min(bits + 1, limit) for bits, limit in zip(astuple(widths), astuple(highest), strict=True))
        widths = Widths(*wider)
    return widths


def _accuracy(run: RecipeRun, formats_of: Callable[[QuantizedLayer], Precision]) -> float:
    _set_formats(run, formats_of)
    return run.validation_accuracy_percent()


def _set_formats(run: RecipeRun, formats_of: Callable[[QuantizedLayer], Precision]) -> None:
    any_layer = next(iter(run.model.layers.values()))
    set_network_formats(run.model, formats_of(any_layer).inputs, formats_of)
    run.calibrate()


def _fixed(bits: int) -> Format:
    return parse_format(f"fixed{bits}")
