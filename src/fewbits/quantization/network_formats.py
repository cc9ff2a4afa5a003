"""Other formats for a whole quantized network: its layers, and what rounds values for several operations."""

from __future__ import annotations

from collections.abc import Callable

from fewbits.formats import Format, Precision
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.model import QuantizedModel


def set_network_formats(
    model: QuantizedModel, inputs: Format, formats_of: Callable[[QuantizedLayer], Precision]
) -> None:
    """Give every layer its formats, all with the same format of inputs; the network must then be calibrated.

    inputs: of every rounding between the layers too. formats_of: each layer's formats; their inputs are `inputs`.
    """
    for rounding in model.roundings.values():
        rounding.set_format(inputs)
    for layer in model.layers.values():
        layer.set_formats(formats_of(layer))
