"""The adder tree of an integer neuron: all rows compressed to two, then added."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.rtl.bit_heap import BitHeap
from fewbits.hardware.rtl.design import NeuronDesign


class AdderTree(Component):
    """The sum of the products, two cycles later; `high` and `low` hold the multipliers' rows side by side."""

    def __init__(self, design: NeuronDesign) -> None:
        self.design = design
        super().__init__(
            {
                "high": In(design.high_bits * design.synapses),
                "low": In(design.low_bits * design.synapses),
                "sum": Out(design.tree_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Compress, register, add, register."""
        m = Module()
        heap = BitHeap(self.design.tree_bits)
        for synapse in range(self.design.synapses):
            high = self.high.word_select(synapse, self.design.high_bits)
            low = self.low.word_select(synapse, self.design.low_bits)
            if self.design.carry_save_products:
                heap.add_unsigned(high)
            else:
                heap.add_signed(high)
            heap.add_unsigned(low)
        rows = [Signal(self.design.tree_bits, name=f"row{i}", reset_less=True) for i in range(2)]
        m.d.sync += [row.eq(value) for row, value in zip(rows, heap.compress(m), strict=True)]
        m.d.sync += self.sum.eq(rows[0] + rows[1])
        return m
