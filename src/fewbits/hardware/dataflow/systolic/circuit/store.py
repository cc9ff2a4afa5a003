"""The write-back: finished rows through the output buffer, addresses for them in memory; full-width sums past it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.circuit.controller import asks, settings_of
from fewbits.hardware.dataflow.diannao.latency import RESULT_STAGES, STORE_STAGES
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, GROUP_BITS
from fewbits.hardware.dataflow.systolic.latency import pooling_lanes
from fewbits.hardware.dataflow.systolic.program import layout
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, delayed_flag


class ColumnStore(Component):
    """Rows come in the order column fold, position of the block. `finished` comes as the last one of a block is stored.

    A row's columns go to `store_address`, and further ones `store_stride` apart; `store_mask` says which there are. The
    last layer's accumulators (`totals`) leave a cycle after they came.
    """

    def __init__(self, design: NeuronDesign, array: Systolic) -> None:
        self.array = array
        self.fields = layout(design, array)
        self._weighted = opcodes(design).weighted
        row_bits = (array.output_rows - 1).bit_length()
        total_bits = array.columns * design.accumulator_bits
        super().__init__(
            {
                "settings": In(self.fields.bits),
                "start": In(1),
                "row_valid": In(1),  # a row is written to the output buffer
                "write_row": Out(row_bits),  # where
                "read": Out(1),
                "read_row": Out(row_bits),
                "totals_valid": In(1),
                "totals": In(total_bits),
                "store_valid": Out(1),
                "store_address": Out(ADDRESS_BITS),
                "store_stride": Out(ADDRESS_BITS),
                "store_mask": Out(array.columns),
                "result_valid": Out(1),
                "result_mask": Out(array.columns),
                "result_data": Out(total_bits),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The buffer's rows as a ring, and counters of positions and folds."""
        m = Module()
        s = settings_of(self.fields, self.settings)
        row = Signal(len(self.write_row))
        with m.If(self.row_valid):
            m.d.sync += row.eq(Mux(row == self.array.output_rows - 1, 0, row + 1))
        result = Signal(len(self.totals), reset_less=True)
        with m.If(self.totals_valid):
            m.d.sync += result.eq(self.totals)
        m.d.comb += [
            self.write_row.eq(row),
            self.read.eq(delayed_flag(m, self.row_valid, 1, "written")),
            self.read_row.eq(delayed(m, row, 1, "written_row")),
            self.store_valid.eq(delayed_flag(m, self.row_valid, STORE_STAGES, "stored")),
            self.result_valid.eq(delayed_flag(m, self.totals_valid, RESULT_STAGES, "result")),
            self.result_data.eq(result),
        ]
        self._addresses(m, s, self.store_valid | self.result_valid)
        return m

    def _addresses(self, m: Module, s: dict[str, Value], leaves: Value) -> None:
        """Step through positions and folds as rows leave."""
        left, address = (Signal(ADDRESS_BITS, name=name, reset_less=True) for name in ("left", "address"))
        group, convolution = Signal(GROUP_BITS), Signal(GROUP_BITS)
        last_group, block_end = Signal(), Signal()
        m.d.comb += [last_group.eq(group == s["column_folds"]), block_end.eq(left == 1)]
        with m.If(leaves):
            m.d.sync += [
                left.eq(Mux(block_end, s["positions"], left - 1)),
                address.eq(address + Mux(block_end, Mux(last_group, s["tail_step"], s["group_step"]), 1)),
            ]
            with m.If(block_end):
                m.d.sync += group.eq(Mux(last_group, 0, group + 1))
                m.d.sync += convolution.eq(convolution + last_group)
        with m.If(self.start):
            m.d.sync += [left.eq(s["positions"]), address.eq(s["output_address"]), group.eq(0), convolution.eq(0)]
        full = Mux(asks(s["operation"], [self._weighted]), self.array.columns, pooling_lanes(self.array))
        used = Mux(last_group, s["tail_columns"], full)
        mask = Cat(*(column < used for column in range(self.array.columns)))
        m.d.comb += [
            self.store_address.eq(address),
            self.store_stride.eq(s["plane"]),
            self.store_mask.eq(mask),
            self.result_mask.eq(mask),
            self.finished.eq(leaves & block_end & last_group & (convolution == s["convolution_groups"])),
        ]
