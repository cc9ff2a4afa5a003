"""What datapaths that sum in float32 share: adders, their tree, the accumulator; products and outputs differ."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fewbits.formats.floating import FLOAT32
from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.integer_sums import UNIT_RESET
from fewbits.hardware.rtl.pipelining import DEFAULT
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header

if TYPE_CHECKING:
    from amaranth.hdl import Module, Value
    from amaranth.lib.wiring import Component

    from fewbits.hardware.datapath.neuron import Neuron

ADD_STAGES = 5
"""Cycles of `floating.FloatAdder`."""

FLOAT32_LIMITS = (
    "Operands must be finite: an infinity or a NaN is taken for a number and gives finite garbage, and infinities of "
    "opposite signs add up to zero. A product or a sum beyond float32 becomes an infinity. Subnormal numbers count as "
    "zeros."
)


class FloatSums(Datapath):
    """A datapath whose products are float32 numbers, added one to another by float32 adders: tree, then accumulator.

    The pipeline: five registers for each level of the tree and for the accumulator.
    """

    accumulation = "float32"
    pipelinings = (DEFAULT,)
    sums_depend_on_order = True
    neurons_sum_windows = True
    limits = FLOAT32_LIMITS
    truncation_refusal = "are float32 numbers"

    @property
    def full_product_bits(self) -> int:
        """Of float32."""
        return FLOAT32.bits

    @property
    def tree_bits(self) -> int:
        """Of float32."""
        return FLOAT32.bits

    @property
    def accumulator_bits(self) -> int:
        """Of float32."""
        return FLOAT32.bits

    @property
    def accumulate_cycles(self) -> int:
        """An addition."""
        return ADD_STAGES

    @property
    def tree_stages(self) -> int:
        """An addition a level."""
        return self.tree_levels * ADD_STAGES

    def takes(self, synapses: int) -> bool:
        """Any: what float32 does not hold becomes an infinity."""
        return True

    def accumulator_code(self, number: float) -> int:
        """Of float32."""
        return int(np.float32(number).view(np.uint32))

    def accumulator_number(self, code: int) -> float:
        """Of float32."""
        return float(np.uint32(code).view(np.float32))

    def simulated_shift(self, shift: int) -> int:
        """Zero: float32 ignores it, and a narrow float's output stage is simulated at that."""
        return 0

    @property
    def circuit_refusal(self) -> str | None:
        """A tree of neighbours takes a power of two."""
        if self.synapses & (self.synapses - 1) == 0:
            return None
        return (
            f"neurons of {self.synapses} synapses have no tree of floats: give a power of two of synapses, or integers"
        )

    @abstractmethod
    def multiplier_unit(self) -> Component:
        """The multiplier, with `product` among its outputs."""

    def units(self) -> dict[str, Component]:
        """A multiplier and an adder."""
        from fewbits.hardware.datapath.floating import FloatAdder

        return {"multiplier": self.multiplier_unit(), "float_adder": FloatAdder()}

    def unit_headers(self) -> Mapping[str, Header]:
        """Of both."""
        weights, inputs = self.precision.weights.name, self.precision.inputs.name
        multiplier = Header(
            f"product of a weight and an input as float32, {self.multiply_stages} cycles later. {UNIT_RESET}",
            {
                **CLOCK_PORT,
                "weight": f"code of a weight, {weights}",
                "value": f"code of an input, {inputs}",
                "product": "float32",
            },
            {"LATENCY": self.multiply_stages},
        )
        adder = Header(
            f"sum of two float32 numbers, rounded to nearest even, {ADD_STAGES} cycles later. {self.limits} "
            f"{UNIT_RESET}",
            {**CLOCK_PORT, "a": "float32", "b": "float32", "sum": "float32"},
            {"LATENCY": ADD_STAGES},
        )
        return {"multiplier": multiplier, "float_adder": adder}

    def connect(self, m: Module, neuron: Neuron, first: Value) -> None:
        """Multipliers, a tree of adders, one more as accumulator, output."""
        from amaranth.hdl import Mux

        self.check_circuit()
        sums: list[Value] = []
        for i in range(self.synapses):
            sums.append(neuron.instance(m, "multiplier", f"multiplier{i}", **neuron.operands(i))["product"])
        for level in range(self.tree_levels):
            for pair in range(len(sums) // 2):
                name, a, b = f"adder_tree_{level}_{pair}", sums[2 * pair], sums[2 * pair + 1]
                sums[pair] = neuron.instance(m, "float_adder", name, a=a, b=b)["sum"]
            sums = sums[: len(sums) // 2]
        start = Mux(first, neuron.bias, neuron.total)
        m.d.comb += neuron.total.eq(neuron.instance(m, "float_adder", "accumulator", a=start, b=sums[0])["sum"])
        self.connect_output(m, neuron)

    @abstractmethod
    def connect_output(self, m: Module, neuron: Neuron) -> None:
        """From the accumulator to the output."""

    def exceeds(self, a: Value, b: Value) -> Value:
        """Codes as unsigned numbers of the same order."""
        return ordered_code(a) > ordered_code(b)


def ordered_code(code: Value) -> Value:
    """A float's code as an unsigned number of the same order."""
    from amaranth.hdl import Cat

    negative = code[-1]
    return Cat(code[:-1] ^ negative.replicate(len(code) - 1), ~negative)
