"""Floats narrower than float32: a multiplier whose products float32 holds exactly, and rounding back to the format.

What lies between, adder tree and accumulator, is that of float32. Operands that float32 holds only as subnormal numbers
(those of bfloat16) count as zeros, as do such products; all other subnormals of a narrow format are plain numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import FloatFormat, Precision
from fewbits.hardware.datapath.float_sums import FloatSums

if TYPE_CHECKING:
    from amaranth.hdl import Module

    from fewbits.hardware.datapath.narrow_float_circuits import NarrowFloatMultiplier
    from fewbits.hardware.datapath.neuron import Neuron

MULTIPLY_STAGES = 2
"""Cycles of `narrow_float_circuits.NarrowFloatMultiplier`."""

SHIFT_BITS = 10
"""Width of a narrow float's shift: 512 places either way go beyond float32's range, 2**-126 to 2**128."""

LARGEST_EXACT_SIGNIFICANDS = 24
"""Bits of two significands together whose product float32 holds."""


class NarrowFloat(FloatSums):
    """Floats whose products float32 holds exactly: two registers for the product, three for the rounded output."""

    shift_is_signed = True
    average_refusal = "averages: that has hardware for integers and float32 only"

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Floats of few enough mantissa bits together."""
        weights, inputs = precision.weights, precision.inputs
        floats = isinstance(weights, FloatFormat) and isinstance(inputs, FloatFormat)
        return floats and weights.mantissa_bits + inputs.mantissa_bits + 2 <= LARGEST_EXACT_SIGNIFICANDS

    @property
    def formats(self) -> tuple[FloatFormat, FloatFormat]:
        """Of weights and inputs."""
        weights, inputs = self.precision.weights, self.precision.inputs
        assert isinstance(weights, FloatFormat), "as `computes` has it"
        assert isinstance(inputs, FloatFormat), "as `computes` has it"
        return weights, inputs

    @property
    def multiply_stages(self) -> int:
        """The significands' product, then normalization."""
        return MULTIPLY_STAGES

    @property
    def output_stages(self) -> int:
        """The new exponent, the move right of a subnormal result, rounding."""
        return 3

    @property
    def shift_bits(self) -> int:
        """Signed."""
        return SHIFT_BITS

    @property
    def multiplier(self) -> str:
        """That of the mantissas."""
        return f"{self.multiplier_made.words} mantissa, exact product in float32"

    def output_shift(self, shift: int) -> int:
        """Either way; the port holds what the output stage takes."""
        return shift

    def multiplier_unit(self) -> NarrowFloatMultiplier:
        """Need not round."""
        from fewbits.hardware.datapath.narrow_float_circuits import NarrowFloatMultiplier

        return NarrowFloatMultiplier(*self.formats, self.multiplier_made)

    def connect_output(self, m: Module, neuron: Neuron) -> None:
        """Rounded to the inputs' format."""
        from fewbits.hardware.datapath.narrow_float_circuits import FloatOutputStage

        m.submodules.output_stage = stage = FloatOutputStage(self.formats[1], SHIFT_BITS)
        m.d.comb += [stage.total.eq(neuron.total), stage.shift.eq(neuron.shift), stage.relu.eq(neuron.relu)]
        m.d.comb += neuron.output.eq(stage.output)
