"""Other formats for a whole quantized network: its layers, and what rounds values for several operations."""

from __future__ import annotations

from collections.abc import Callable

from fewbits.formats import Format, Precision
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.model import QuantizedModel
from fewbits.quantization.signs import Rounding


def set_network_formats(
    model: QuantizedModel, inputs: Format, formats_of: Callable[[QuantizedLayer], Precision]
) -> None:
    """Give every layer its formats, all with the same format of inputs; the network must then be calibrated.

    inputs: of every rounding between the layers too. formats_of: each layer's formats; their inputs are `inputs`.
    Unsigned inputs are signed where the network has signed ones in their place (`quantization.signs`).
    """
    for rounding in model.roundings.values():
        rounding.set_format(_where(rounding, inputs))
    for layer in model.layers.values():
        formats = formats_of(layer)
        layer.set_formats(Precision(formats.weights, _where(layer, formats.inputs)))


def _where(one: Rounding, inputs: Format) -> Format:
    """The format of inputs, signed where unsigned ones were asked for and cannot be."""
    return inputs.signed or inputs if one.needs_sign else inputs
