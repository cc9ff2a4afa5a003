"""The pooling stage: maxima and averages over windows, whose values come a cycle each, all channels side by side."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.circuit.divider import DIVIDERS
from fewbits.hardware.dataflow.diannao.latency import DIVISION_STAGES
from fewbits.hardware.dataflow.diannao.program import COUNT_BITS
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, delayed_flag


class PoolingStage(Component):
    """Integers are summed here; floats come summed, since the neurons add them in the order that is asked for.

    An average goes through one divider, lane after lane, so that two outputs must lie as many cycles apart as there
    are lanes.
    """

    def __init__(self, design: NeuronDesign, lanes: int) -> None:
        self.design, self.lanes = design, lanes
        self.bits = design.output_bits
        self.sum_bits = design.accumulator_bits if design.neurons_sum_windows else self.bits + COUNT_BITS
        super().__init__(
            {
                "averages": In(1),  # else it takes maxima
                "relu": In(1),
                "divisor": In(COUNT_BITS),
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "in_image": In(1),
                "counted": In(1),
                "values": In(self.lanes * self.bits),
                "float_last": In(1),
                "float_sums": In(self.lanes * self.sum_bits if design.neurons_sum_windows else 0),
                "row_valid": Out(1),
                "row": Out(self.lanes * self.bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """A register a lane, then the divider."""
        m = Module()
        lanes = [self._lane(m, lane) for lane in range(self.lanes)]
        window_end = Signal()
        m.d.sync += window_end.eq(self.valid & self.last)
        maxima = Cat(*(self._rectified(lane[: self.bits]) for lane in lanes))
        count = Signal(COUNT_BITS, reset_less=True)
        with m.If(self.valid):
            m.d.sync += count.eq(Mux(self.first, 0, count) + self.counted)
        sums = self.float_sums if self.design.neurons_sum_windows else Cat(*lanes)
        sums_valid = self.float_last if self.design.neurons_sum_windows else window_end & self.averages
        if self.design.neurons_sum_windows:
            count = delayed(m, count, self.design.accumulator_delay - 1, "count")
        averages, averages_valid = self._averages(m, sums, sums_valid, count)
        m.d.comb += [
            self.row.eq(Mux(self.averages, averages, maxima)),
            self.row_valid.eq(Mux(self.averages, averages_valid, window_end)),
        ]
        return m

    def _lane(self, m: Module, lane: int) -> Signal:
        """The largest value so far, or the sum."""
        value = self.values.word_select(lane, self.bits)
        width = self.bits if self.design.neurons_sum_windows else self.sum_bits
        state, empty = Signal(width, name=f"lane_{lane}", reset_less=True), Signal(name=f"empty_{lane}")
        is_empty = self.first | empty
        takes = self.in_image & (is_empty | self.design.exceeds(value, state[: self.bits]))
        with m.If(self.valid):
            m.d.sync += empty.eq(is_empty & ~self.in_image)
            with m.If(~self.averages & takes):
                m.d.sync += state.eq(value)
            if not self.design.neurons_sum_windows:
                with m.If(self.averages):
                    m.d.sync += state.eq(Mux(self.first, 0, self._extended(state)) + self._extended(value))
        return state

    def _averages(self, m: Module, sums: Value, valid: Value, count: Value) -> tuple[Value, Value]:
        """Lane after lane through the divider; the row is whole when the last one comes out."""
        divider = DIVIDERS[self.design.accumulation](self.bits, self.design.precision.inputs.is_signed)
        m.submodules.divider = divider
        waiting = Signal(self.lanes * self.sum_bits, reset_less=True)
        divisor = Signal(COUNT_BITS, reset_less=True)
        left = Signal(range(self.lanes + 1))
        m.d.sync += waiting.eq(waiting[self.sum_bits :])
        with m.If(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(valid):
            m.d.sync += [
                waiting.eq(sums),
                divisor.eq(Mux(self.divisor == 0, count, self.divisor)),
                left.eq(self.lanes),
            ]
        m.d.comb += [divider.sum.eq(waiting[: self.sum_bits]), divider.count.eq(divisor)]
        row = Signal(self.lanes * self.bits, reset_less=True)
        m.d.sync += row.eq(Cat(row[self.bits :], self._rectified(divider.average)))
        stages = DIVISION_STAGES[self.design.accumulation](self.bits)
        return row, delayed_flag(m, left == 1, stages + 1, "whole")

    def _extended(self, value: Value) -> Value:
        """A code or a sum of codes, which has their sign, or none."""
        return value.as_signed() if self.design.precision.inputs.is_signed else value.as_unsigned()

    def _rectified(self, value: Value) -> Value:
        if not self.design.precision.inputs.is_signed:
            return value[: self.bits]
        return Mux(self.relu & value[-1], 0, value)[: self.bits]
