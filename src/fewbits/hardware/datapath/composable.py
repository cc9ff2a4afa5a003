"""A neuron whose multipliers split: one product of 8 bits a lane, or four of 4 bits, by a pin that holds for a layer.

`fixed8` is the one mode of the circuit, `fixed4` the other: area, leakage, clock and cycles are one circuit's, energy
and products a cycle are the mode's. Both sums go through one tree, one accumulator and one output stage. A second pin
tells the format of the outputs, so that a layer of one mode can hand its outputs to a layer of the other.

Ports: a lane has 16 bits of weights and 16 of inputs. In 4-bit mode they are four codes, the first lowest; lane i has
synapses 4 i to 4 i + 3 of a chunk. In 8-bit mode the lower half is a code, and the upper half means nothing. An output
has 8 bits, a code of 4 its sign in the upper half: it is the code of 8 bits, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from fewbits.formats import FixedPoint, Format, Precision
from fewbits.hardware.datapath.integer_sums import UNIT_RESET, IntegerSums
from fewbits.hardware.multipliers.composable import COMPOSED_BITS, PART_BITS, PARTS
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value
    from amaranth.lib.wiring import Component

    from fewbits.hardware.datapath.accumulate import OutputStage
    from fewbits.hardware.datapath.adder_tree import AdderTree
    from fewbits.hardware.datapath.neuron import Neuron

LANE_FIELDS = (2 * PART_BITS, 2 * PART_BITS + 1, 2 * PART_BITS)
"""Widths of a lane's product of lower halves, sum of the two mixed products, and product of upper halves."""

SPLIT, NARROW = "split", "narrow"
"""Pins: operands of 4 bits; outputs of 4 bits."""


class Composable(IntegerSums):
    """Weights and inputs of 8 bits, or of 4 bits, of one circuit."""

    truncation_refusal = "are summed from those of their halves"
    element_refusal = (
        "the composable multiplier splits the lanes of a neuron, and no processing element has such: take DianNao's "
        "accelerator, or another multiplier"
    )

    setting_words: ClassVar[Mapping[str, str]] = {
        SPLIT: f"operands have {PART_BITS} bits, not {COMPOSED_BITS}",
        NARROW: f"outputs have {PART_BITS} bits, not {COMPOSED_BITS}",
    }

    @classmethod
    def computes(cls, precision: Precision) -> bool:
        """By its multiplier alone: of a precision without one, `Integer` is the strategy."""
        return False

    @property
    def is_split(self) -> bool:
        """Whether it is the mode of 4 bits."""
        return self.precision.weights.bits == PART_BITS

    # What the circuit is made for, in both modes.

    @property
    def full_product_bits(self) -> int:
        """Of a product of 8 bits, in which the sum of four products of 4 bits has room."""
        return 2 * COMPOSED_BITS

    @property
    def high_bits(self) -> int:
        """Of a lane's products, side by side."""
        return sum(LANE_FIELDS)

    @property
    def weight_lane_bits(self) -> int:
        """Four codes of 4 bits."""
        return PARTS * PART_BITS

    @property
    def input_lane_bits(self) -> int:
        """Four codes of 4 bits."""
        return PARTS * PART_BITS

    @property
    def output_port_bits(self) -> int:
        """Of the wider format."""
        return COMPOSED_BITS

    @property
    def modes(self) -> tuple[Precision, ...]:
        """Both."""
        return tuple(Precision(FixedPoint(bits), FixedPoint(bits)) for bits in (COMPOSED_BITS, PART_BITS))

    def address_lanes(self, synapses: int) -> int:
        """One for each product of 4 bits, whatever the mode and the size in which it is scheduled."""
        return self.synapses * PARTS

    def operand_row(self, values: Value, settings: Mapping[str, Value]) -> Value:
        """The lower halves of all values; or all of the first ones, each in the lower half of a lane."""
        from amaranth.hdl import Cat, Const, Mux

        loaded = [values.word_select(lane, COMPOSED_BITS) for lane in range(self.synapses * PARTS)]
        narrow = Cat(*(value[:PART_BITS] for value in loaded))
        nothing = Const(0, self.input_lane_bits - COMPOSED_BITS)
        wide = Cat(*(Cat(value, nothing) for value in loaded[: self.synapses]))
        return Mux(settings[SPLIT], narrow, wide)

    def pooled_values(self, inputs: Value) -> Value:
        """The lower halves of the lanes."""
        from amaranth.hdl import Cat

        lanes = (inputs.word_select(lane, self.input_lane_bits) for lane in range(self.synapses))
        return Cat(*(lane[:COMPOSED_BITS] for lane in lanes))

    def settings_for(self, output: Format | None) -> Mapping[str, int]:
        """With the format of the results."""
        return {**self.settings, NARROW: int(output is not None and output.bits == PART_BITS)}

    def rounds_to(self, output: Format) -> bool:
        """Both formats, whatever the mode."""
        return output in (FixedPoint(PART_BITS), FixedPoint(COMPOSED_BITS))

    @property
    def settings(self) -> Mapping[str, int]:
        """The mode, of operands and of outputs."""
        return {SPLIT: int(self.is_split), NARROW: int(self.is_split)}

    def takes(self, synapses: int) -> bool:
        """Products of half the bits are smaller by 2**8, so that as many more fit."""
        smaller = 2 * COMPOSED_BITS - 2 * self.precision.weights.bits
        return synapses <= self.maximum_synapses << smaller

    @property
    def multiplier_kind(self) -> str:
        """Both modes."""
        return self.multiplier_made.words

    @property
    def multiplier(self) -> str:
        """With the mode."""
        products = f"{PARTS} products of {PART_BITS} bits" if self.is_split else f"a product of {COMPOSED_BITS} bits"
        return f"{self.multiplier_kind}, here {products}"

    # Circuit.

    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """Not of a multiplier by itself: the lane has its own circuit (`composable_circuits.ComposableLane`)."""
        raise NotImplementedError

    def units(self) -> dict[str, Component]:
        """A lane."""
        from fewbits.hardware.datapath.composable_circuits import ComposableLane

        return {"multiplier": ComposableLane(self)}

    def unit_headers(self) -> Mapping[str, Header]:
        """Of the lane."""
        about = (
            f"the products of a lane's halves of codes of {COMPOSED_BITS} bits, or of {PARTS} pairs of codes of "
            f"{PART_BITS} bits, which the tree adds; {self.multiply_stages} cycle later. {UNIT_RESET}"
        )
        ports = {
            **CLOCK_PORT,
            "weight": f"a code of fixed{COMPOSED_BITS}, lowest; or {PARTS} of fixed{PART_BITS}, side by side",
            "value": "inputs likewise",
            "split": f"{PARTS} products of {PART_BITS} bits; holds for a layer",
            "high": "product of lower halves (lowest), sum of the two mixed ones, product of upper halves: unsigned, "
            "too large by constants that the tree takes off",
            "low": "zero",
        }
        return {"multiplier": Header(about, ports, {"LATENCY": self.multiply_stages})}

    def lane(self, neuron: Neuron, synapse: int) -> dict[str, Value]:
        """With the mode."""
        return {**neuron.operands(synapse), SPLIT: neuron.setting(SPLIT)}

    def adder_tree(self, m: Module, neuron: Neuron) -> AdderTree:
        """Of sums apart, which the mode puts together."""
        from fewbits.hardware.datapath.composable_circuits import ComposableTree

        tree = ComposableTree(self)
        m.d.comb += tree.split.eq(neuron.setting(SPLIT))
        return tree

    def output_stage(self, m: Module, neuron: Neuron) -> OutputStage:
        """To one of two formats."""
        from fewbits.hardware.datapath.composable_circuits import TwoFormatOutput

        stage = TwoFormatOutput(self)
        m.d.comb += stage.narrow.eq(neuron.setting(NARROW))
        return stage
