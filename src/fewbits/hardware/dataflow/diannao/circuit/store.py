"""The write-back: rows of Bout for finished rows, addresses for them in memory; full-width sums past Bout."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.controller import asks, settings_of
from fewbits.hardware.dataflow.diannao.latency import RESULT_STAGES, STORE_STAGES, pooling_lanes
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, GROUP_BITS, layout
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, delayed_flag


class OutputStore(Component):
    """Rows come in the order neuron group, position. `finished` comes as the layer's last one is stored.

    A row's lanes go to `store_address`, and further lanes `store_stride` apart; `store_mask` says which there are. Rows
    of sums (`totals`) leave a cycle after they came: the last layer's, and partial sums, for which `store_address` is a
    row of the biases' memory.
    """

    def __init__(self, design: NeuronDesign, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.fields = layout(design, accelerator)
        self._from_neurons = [one for one in opcodes(design).all if one.leaves_neurons]
        row_bits = (accelerator.buffer_rows - 1).bit_length()
        total_bits = accelerator.neurons * design.accumulator_bits
        super().__init__(
            {
                "settings": In(self.fields.bits),
                "start": In(1),
                "row_valid": In(1),  # a row is written to Bout
                "bout_row": Out(row_bits),  # where
                "bout_read": Out(1),
                "bout_read_row": Out(row_bits),
                "totals_valid": In(1),
                "totals": In(total_bits),
                "store_valid": Out(1),
                "store_address": Out(ADDRESS_BITS),
                "store_stride": Out(ADDRESS_BITS),
                "store_mask": Out(accelerator.neurons),
                "result_valid": Out(1),
                "partial_valid": Out(1),
                "result_mask": Out(accelerator.neurons),
                "result_data": Out(total_bits),
                "finished": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Bout's rows as a ring, and counters of positions and groups."""
        m = Module()
        s = settings_of(self.fields, self.settings)
        row = Signal(len(self.bout_row))
        sums = delayed_flag(m, self.totals_valid, RESULT_STAGES, "result")
        with m.If(self.row_valid):
            m.d.sync += row.eq(Mux(row == self.accelerator.buffer_rows - 1, 0, row + 1))
        m.d.comb += [
            self.bout_row.eq(row),
            self.bout_read.eq(delayed_flag(m, self.row_valid, 1, "written")),
            self.bout_read_row.eq(delayed(m, row, 1, "written_row")),
            self.store_valid.eq(delayed_flag(m, self.row_valid, STORE_STAGES, "stored")),
            self.result_valid.eq(sums & s["is_last"]),
            self.partial_valid.eq(sums & ~s["is_last"]),
        ]
        result = Signal(len(self.totals), reset_less=True)
        with m.If(self.totals_valid):
            m.d.sync += result.eq(self.totals)
        m.d.comb += self.result_data.eq(result)
        leaves = self.store_valid | sums
        self._addresses(m, s, leaves)
        return m

    def _addresses(self, m: Module, s: dict[str, object], leaves: object) -> None:
        """Step through positions and groups as rows leave."""
        left, address = (
            Signal(ADDRESS_BITS, reset_less=True),
            Signal(ADDRESS_BITS, reset_less=True),
        )  # positions of this plane still to come
        group, convolution = Signal(GROUP_BITS), Signal(GROUP_BITS)
        last_group, plane_end = Signal(), Signal()
        m.d.comb += [last_group.eq(group == s["neuron_groups"]), plane_end.eq(left == 1)]
        with m.If(leaves):
            m.d.sync += [
                left.eq(Mux(plane_end, s["plane"], left - 1)),
                address.eq(address + Mux(plane_end, Mux(last_group, s["tail_step"], s["group_step"]), 1)),
            ]
            with m.If(plane_end):
                m.d.sync += group.eq(Mux(last_group, 0, group + 1))
                m.d.sync += convolution.eq(convolution + last_group)
        with m.If(self.start):
            m.d.sync += [left.eq(s["plane"]), address.eq(s["output_address"]), group.eq(0), convolution.eq(0)]
        lanes = self.accelerator.neurons
        full = Mux(asks(s["operation"], self._from_neurons), lanes, pooling_lanes(self.accelerator))
        used = Mux(last_group, s["tail_neurons"], full)
        mask = Cat(*(lane < used for lane in range(lanes)))
        m.d.comb += [
            self.store_address.eq(address),
            self.store_stride.eq(s["plane"]),
            self.store_mask.eq(mask),
            self.result_mask.eq(mask),
            self.finished.eq(leaves & plane_end & last_group & (convolution == s["convolution_groups"])),
        ]
