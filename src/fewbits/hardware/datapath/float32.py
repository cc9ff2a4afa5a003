"""float32 times float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.formats import Precision
from fewbits.formats.floating import FLOAT32
from fewbits.hardware.datapath.float_sums import FloatSums

if TYPE_CHECKING:
    from amaranth.hdl import Module

    from fewbits.hardware.datapath.floating import FloatMultiplier
    from fewbits.hardware.datapath.neuron import Neuron

MULTIPLY_STAGES = 3
"""Cycles of `floating.FloatMultiplier`."""


class Float32(FloatSums):
    """Weights and inputs float32: three registers for the product, one for the output, which needs no rounding."""

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """Both formats float32."""
        return precision.weights == FLOAT32 and precision.inputs == FLOAT32

    @property
    def multiply_stages(self) -> int:
        """Compressed rows, their sum, the rounded number."""
        return MULTIPLY_STAGES

    @property
    def output_stages(self) -> int:
        """A register."""
        return 1

    @property
    def shift_bits(self) -> int:
        """As an integer's of that width; it is ignored."""
        return (self.accumulator_bits - 1).bit_length()

    @property
    def multiplier(self) -> str:
        """That of the mantissas, and the rounding."""
        words = self.multiplier_made.words
        return f"float32: {words} mantissa, round to nearest even, subnormals are zeros"

    def output_shift(self, shift: int) -> int:
        """None is needed."""
        return 0

    def multiplier_unit(self) -> FloatMultiplier:
        """Rounds its product."""
        from fewbits.hardware.datapath.floating import FloatMultiplier

        return FloatMultiplier(self.multiplier_made)

    def connect_output(self, m: Module, neuron: Neuron) -> None:
        """The accumulator, but for ReLU."""
        from amaranth.hdl import Mux

        from fewbits.hardware.rtl.bit_heap import registered

        rectified = Mux(neuron.relu & neuron.total[-1], 0, neuron.total)
        m.d.comb += neuron.output.eq(registered(m, rectified, "output_register"))
