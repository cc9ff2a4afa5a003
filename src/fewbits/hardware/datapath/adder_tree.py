"""The adder tree of an integer neuron: all rows compressed to two, then added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Member, Out

from fewbits.hardware.rtl.bit_heap import BitHeap, delayed

if TYPE_CHECKING:
    from fewbits.hardware.datapath.integer_sums import IntegerSums


def adder_tree_ports(design: IntegerSums) -> dict[str, Member]:
    """Ports of an adder tree."""
    return {
        "high": In(design.high_bits * design.synapses),
        "low": In(design.low_bits * design.synapses),
        "sum": Out(design.tree_bits),
    }


class AdderTree(Component):
    """The sum of the products, `tree_stages` cycles later; `high` and `low` hold the multipliers' rows side by side.

    Each segment of the sum comes a cycle after the one below it.
    """

    def __init__(self, design: IntegerSums) -> None:
        self.design = design
        super().__init__(adder_tree_ports(design))

    def elaborate(self, platform: object) -> Module:
        """Compress, register, add, register."""
        m = Module()
        cycles = self.design.pipelining.compress_cycles
        rows = self.rows(m, max(cycles - 1, 0))
        carry: Value = Const(0, 1)
        held = [part for part in self.design.segments if part[0] < self.design.tree_bits]
        for cycle, (start, stop) in enumerate(held):
            row0, row1 = (delayed(m, row[start:stop], min(cycles, 1) + cycle, f"row_{start}") for row in rows)
            total = Signal(len(row0) + 1, name=f"sum_{start}", reset_less=True)
            m.d.sync += total.eq(row0 + row1 + carry)
            m.d.comb += self.sum[start:stop].eq(total)
            carry = total[-1]
        return m

    def rows(self, m: Module, registers: int) -> tuple[Value, Value]:
        """Two rows that sum to the products. registers: in their compression, as of `BitHeap.compress`."""
        heap = BitHeap(self.design.tree_bits)
        self.design.add_products(heap, self.high, self.low)
        return heap.compress(m, registers)
