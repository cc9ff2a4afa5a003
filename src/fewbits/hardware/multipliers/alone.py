"""A multiplier by itself, without registers: its circuit as RTLIL, and what that computes for all pairs of codes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.multipliers.kinds import MultiplierKind
from fewbits.hardware.multipliers.verilog_reader import circuit_of_rtlil

if TYPE_CHECKING:
    from fewbits.formats import Precision

TOP = "multiplier"
"""Name of its module; its ports are `weight`, `value` and `product`."""


def multiplier_rtlil(kind: MultiplierKind, precision: Precision) -> str:
    """Weight and input to their product, in two's complement of both widths together.

    Raises HardwareError for a precision that the multiplier does not take.
    """
    from fewbits.hardware.multipliers.circuits.alone import combinational_rtlil  # loads Amaranth: late

    if (refusal := kind.refusal(precision)) is not None:
        raise HardwareError(refusal)
    return combinational_rtlil(kind, precision.weights.bits, precision.inputs.bits, TOP)


def simulated_products(kind: MultiplierKind, precision: Precision) -> NDArray[np.int64]:
    """The circuit's product for each pair of codes, 2**weights.bits x 2**inputs.bits: what no formula had a part in."""
    circuit = circuit_of_rtlil(multiplier_rtlil(kind, precision), TOP)
    first, second = circuit.inputs
    if first.name == "value":  # yosys orders the ports of RTLIL as it likes
        circuit = replace(circuit, inputs=(second, first))
    bits = circuit.widths[2]
    return circuit.outputs - ((circuit.outputs >> (bits - 1)) << bits)
