"""What datapaths that sum integers share: widths, pipeline, tree, accumulator and output stage; products differ."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from fewbits.formats import FixedPoint, Precision, UnsignedFixedPoint
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.rtl.pipelining import PIPELININGS
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value
    from amaranth.lib.wiring import Component

    from fewbits.hardware.datapath.accumulate import OutputStage
    from fewbits.hardware.datapath.adder_tree import AdderTree
    from fewbits.hardware.datapath.neuron import Neuron
    from fewbits.hardware.rtl.bit_heap import BitHeap

_FIXED = (FixedPoint, UnsignedFixedPoint)


def takes_integers(precision: Precision) -> bool:
    """Whether inputs are integers without gaps, with a sign or without."""
    return isinstance(precision.inputs, _FIXED)


UNIT_RESET = "Without reset: it holds data alone, which mean nothing until operands have passed."
"""Of a unit, where a user reads."""


class IntegerSums(Datapath):
    """A datapath whose products and sums are integers.

    The pipeline, one register each: product (or its two carry-save rows), compressed tree, tree sum, accumulator, two
    steps of the output's shifter, output. Other `pipelining` has more or fewer. A wide sum is added in `segments`, the
    upper ones a cycle later each, in the tree and in the accumulator alike, so that they only meet at the output. A
    truncated product takes one more where its two rows are not added in the first.
    """

    accumulation = "integer"
    pipelinings = tuple(PIPELININGS)
    sums_depend_on_order = False
    neurons_sum_windows = False

    @cached_property
    def product_limits(self) -> tuple[int, int]:
        """Lowest and highest product of two integers."""
        ends = [w * x for w in self.precision.weights.integer_limits for x in self.precision.inputs.integer_limits]
        return min(ends), max(ends)

    @property
    def full_product_bits(self) -> int:
        """Of the smallest two's complement integer that holds every product."""
        return _signed_bits(*self.product_limits)

    @property
    def tree_bits(self) -> int:
        """A bit more for each level."""
        return self.product_bits + self.tree_levels

    @property
    def accumulator_bits(self) -> int:
        """Of the largest layer's sum and a bias of the same size."""
        return self.product_bits + (self.maximum_synapses - 1).bit_length() + 1

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """As few as the pipelining allows, of about one width."""
        count = -(-self.accumulator_bits // self.pipelining.segment_bits)
        width = -(-self.accumulator_bits // count)
        return tuple((i * width, min((i + 1) * width, self.accumulator_bits)) for i in range(count))

    @property
    def shift_bits(self) -> int:
        """For shifts by up to the accumulator's width."""
        return (self.accumulator_bits - 1).bit_length()

    @property
    def carry_save_products(self) -> bool:
        """Whether a multiplier hands on two rows in place of their sum."""
        return False

    @property
    def adds_rows_apart(self) -> bool:
        """Whether a truncated product takes a cycle of its own to add its two rows."""
        return self.kept_product_bits is not None

    @property
    def high_bits(self) -> int:
        """Width of a multiplier's first row; carry-save rows are as wide as the tree, whose sum they wrap around in."""
        return self.tree_bits if self.carry_save_products else self.product_bits

    @property
    def low_bits(self) -> int:
        """Width of a multiplier's second row."""
        return self.tree_bits if self.carry_save_products else 1

    @property
    def multiply_stages(self) -> int:
        """One register, and that of rows that are added apart."""
        return 1 + self.adds_rows_apart

    @property
    def tree_stages(self) -> int:
        """Those of the compression and of the sum."""
        return self.pipelining.compress_cycles + 1

    @property
    def accumulate_cycles(self) -> int:
        """One: each segment adds its own bits."""
        return 1

    @property
    def output_stages(self) -> int:
        """Those of the shifter, and of rounding."""
        return self.pipelining.shift_cycles + 1

    @property
    @abstractmethod
    def multiplier_kind(self) -> str:
        """The multiplier's architecture in words."""

    @property
    def multiplier(self) -> str:
        """Its kind, and the product's width where it is truncated."""
        if self.kept_product_bits is None:
            return self.multiplier_kind
        return f"{self.multiplier_kind}, product cut to the top {self.product_bits} of {self.full_product_bits} bits"

    def accumulator_code(self, number: float) -> int:
        """The integer itself."""
        return int(number)

    def accumulator_number(self, code: int) -> int:
        """Two's complement."""
        return code - (1 << self.accumulator_bits) if code >> (self.accumulator_bits - 1) else code

    def output_shift(self, shift: int) -> int | None:
        """To the right alone; where every accumulator rounds to zero, the furthest there is does, too."""
        highest = (1 << self.shift_bits) - 1
        if shift > highest >= self.accumulator_bits:
            return highest
        return shift if 0 <= shift <= highest else None

    @property
    def signed_input_bits(self) -> int:
        """Width of an input in two's complement: an unsigned one takes a place more."""
        return self.precision.inputs.bits + (not self.precision.inputs.is_signed)

    def with_sign(self, value: Value) -> Value:
        """An input's code in two's complement: a zero above an unsigned one, of which synthesis leaves nothing."""
        from amaranth.hdl import Cat, Const

        return value if self.precision.inputs.is_signed else Cat(value, Const(0, 1))

    @abstractmethod
    def product_rows(self, m: Module, weight: Value, value: Value) -> tuple[Value, Value]:
        """A product as a signed row, and a second row or bit that is added to it; not registered yet.

        value: as `with_sign` makes it.
        """

    def add_products(self, heap: BitHeap, high: Value, low: Value) -> None:
        """Put all products into the tree's heap. high, low: the multipliers' rows side by side."""
        for synapse in range(self.synapses):
            row = high.word_select(synapse, self.high_bits)
            if self.carry_save_products:
                heap.add_unsigned(row)
            else:
                heap.add_signed(row)
            heap.add_unsigned(low.word_select(synapse, self.low_bits))

    def product_value(self, high: Value, low: Value) -> Value:
        """One product as a signed number, from a multiplier's outputs that are not in carry-save form."""
        return high.as_signed() + low

    def units(self) -> dict[str, Component]:
        """A multiplier."""
        from fewbits.hardware.datapath.multipliers import Multiplier

        return {"multiplier": Multiplier(self)}

    def unit_headers(self) -> Mapping[str, Header]:
        """Of the multiplier."""
        weights, inputs = self.precision.weights.name, self.precision.inputs.name
        about = (
            f"product of a weight and an input ({self.multiplier}), {self.multiply_stages} cycles later. {UNIT_RESET}"
        )
        ports = {
            **CLOCK_PORT,
            "weight": f"code of a weight, {weights}",
            "value": f"code of an input, {inputs}",
            "high": "the product, or the first of two rows that add up to it",
            "low": "the second row, or what completes a negation; added to the first",
        }
        return {"multiplier": Header(about, ports, {"LATENCY": self.multiply_stages})}

    def lane(self, neuron: Neuron, synapse: int) -> dict[str, Value]:
        """What a multiplier takes."""
        return neuron.operands(synapse)

    def adder_tree(self, m: Module, neuron: Neuron) -> AdderTree:
        """What sums the multipliers' rows, which `connect` connects."""
        from fewbits.hardware.datapath.adder_tree import AdderTree

        return AdderTree(self)

    def output_stage(self, m: Module, neuron: Neuron) -> OutputStage:
        """What rounds outputs; total, shift and relu are connected by `connect`."""
        from fewbits.hardware.datapath.accumulate import OutputStage

        return OutputStage(self)

    def connect(self, m: Module, neuron: Neuron, first: Value) -> None:
        """Multipliers, tree, accumulator, output stage."""
        from amaranth.hdl import Cat

        from fewbits.hardware.datapath.accumulate import Accumulator

        rows = [
            neuron.instance(m, "multiplier", f"multiplier{i}", **self.lane(neuron, i)) for i in range(self.synapses)
        ]
        m.submodules.adder_tree = tree = self.adder_tree(m, neuron)
        m.submodules.accumulator = accumulator = Accumulator(self)
        m.submodules.output_stage = stage = self.output_stage(m, neuron)
        m.d.comb += [
            tree.high.eq(Cat(*(row["high"] for row in rows))),
            tree.low.eq(Cat(*(row["low"] for row in rows))),
            accumulator.sum.eq(tree.sum),
            accumulator.first.eq(first),
            accumulator.bias.eq(neuron.bias),
            stage.total.eq(accumulator.total),
            stage.shift.eq(neuron.shift),
            stage.relu.eq(neuron.relu),
            neuron.total.eq(accumulator.total),
            neuron.output.eq(stage.output),
        ]

    def exceeds(self, a: Value, b: Value) -> Value:
        """Integers."""
        return self.with_sign(a).as_signed() > self.with_sign(b).as_signed()

    def extended(self, value: Value) -> Value:
        """An input with the sign in all places of a product."""
        from amaranth.hdl import Cat

        return Cat(value, value[-1].replicate(self.full_product_bits - len(value)))


def _signed_bits(low: int, high: int) -> int:
    """Width of the smallest two's complement integer that holds both."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)
