"""Which layers a network's datapath does not compute: those left float, and those of formats that it does not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fewbits.formats import Format, Precision

LEFT_FLOAT = "float32"
"""What a layer that quantization leaves float is counted at."""


def own_precision(layer: Precision, network: Precision) -> str | None:
    """Name of a layer's precision if the network's datapath does not compute it; None if it does."""
    return None if computes(network, layer) else layer.name


def computes(datapath: Precision, layer: Precision) -> bool:
    """Whether a datapath's operands hold all values of a layer's: those of fixed8 hold fixed4's and binary ones."""
    pairs = ((datapath.weights, layer.weights), (datapath.inputs, layer.inputs))
    return all(_holds(wide, narrow) for wide, narrow in pairs)


def _holds(wide: Format, narrow: Format) -> bool:
    if wide.name == narrow.name:
        return True
    if "float" in (wide.family, narrow.family):
        return False
    if wide.family == "fixed":
        (low, high), (lowest, largest) = wide.integer_limits, narrow.integer_limits
        return low <= lowest and largest <= high
    return wide.family == narrow.family and narrow.bits <= wide.bits
