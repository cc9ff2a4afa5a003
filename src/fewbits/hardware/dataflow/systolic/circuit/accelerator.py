"""The whole accelerator: controller, sequencer, inputs, array, accumulators, output stages, pooling, write-back."""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Fragment, Instance, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.circuit.buffers import Buffer
from fewbits.hardware.dataflow.diannao.circuit.controller import Controller, asks, asks_none, settings_of
from fewbits.hardware.dataflow.diannao.circuit.lane import Lane
from fewbits.hardware.dataflow.diannao.circuit.pooling import PoolingStage
from fewbits.hardware.dataflow.diannao.circuit.sequencer import LANE_WORD_BITS
from fewbits.hardware.dataflow.diannao.latency import READ_STAGES
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS
from fewbits.hardware.dataflow.systolic.circuit.array import array_rtlil
from fewbits.hardware.dataflow.systolic.circuit.sequencer import ArraySequencer
from fewbits.hardware.dataflow.systolic.circuit.store import ColumnStore
from fewbits.hardware.dataflow.systolic.latency import ACCUMULATE_STAGES, pooling_lanes, sum_stages
from fewbits.hardware.dataflow.systolic.program import layout
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.accumulate import OutputStage, output_stage_ports
from fewbits.hardware.datapath.element_arithmetic import column_bits, element_design, product_stages
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, delayed_flag, registered
from fewbits.hardware.rtl.instances import instance, unit_rtlil, wire

OUTPUT_STAGE = "output_stage"
"""Name of the module that each column has one instance of."""


class SystolicCore(Component):
    """The accelerator, whose ports go to memory; they are those of DianNao's, rows for synapses, columns for neurons.

    A memory answers each request after `memory_latency` cycles; lanes of the load port that ask for nothing must read
    as zero. All requests of a cycle are granted: bandwidth is what the schedule says, latency is hidden.
    """

    def __init__(self, design: NeuronDesign, array: Systolic) -> None:
        self.design, self.array = design, array
        self._weighted = opcodes(design).weighted
        rows, columns = array.rows, array.columns
        self.input_bits = rows * design.precision.inputs.bits
        self.weight_bits = columns * design.precision.weights.bits
        self.total_bits = columns * design.accumulator_bits
        self.row_bits = columns * design.output_bits
        super().__init__(
            {
                "start": In(1), "done": Out(1),
                "program_request": Out(1), "program_address": Out(ADDRESS_BITS), "program_word": In(WORD_BITS),
                "load_request": Out(rows), "load_address": Out(rows * LANE_WORD_BITS), "load_data": In(self.input_bits),
                "weight_request": Out(1), "weight_address": Out(ADDRESS_BITS), "weight_data": In(self.weight_bits),
                "bias_request": Out(1), "bias_address": Out(ADDRESS_BITS), "bias_data": In(self.total_bits),
                "store_valid": Out(1), "store_address": Out(ADDRESS_BITS), "store_stride": Out(ADDRESS_BITS),
                "store_mask": Out(columns), "store_data": Out(self.row_bits),
                "result_valid": Out(1), "result_mask": Out(columns), "result_data": Out(self.total_bits),
                "accesses": Out(6),  # of this cycle: inputs written and read, accumulators likewise, outputs likewise
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The parts, and the flags of a slot delayed to where its data are."""
        m = Module()
        design, array, latency = self.design, self.array, self.array.memory_latency
        m.submodules.controller = controller = Controller(layout(design, array), latency)
        m.submodules.sequencer = sequencer = ArraySequencer(design, array)
        m.submodules.store = store = ColumnStore(design, array)
        s = settings_of(controller.fields, controller.settings)
        wire(m, self, controller, ("start", "done", "program_request", "program_address", "program_word"))
        wire(m, self, sequencer, ("load_request", "load_address"))
        m.d.comb += [
            controller.layer_finished.eq(store.finished),
            *(part.settings.eq(controller.settings) for part in (sequencer, store)),
            *(part.start.eq(controller.layer_start) for part in (sequencer, store)),
        ]
        inputs = self._inputs(m, sequencer)
        token = {
            name: delay(m, getattr(sequencer, name), latency + READ_STAGES, name)
            for names, delay in (
                (("valid", "last"), delayed_flag),
                (("first", "fold_end", "in_image", "counted"), delayed),
            )
            for name in names
        }
        streams = asks(s["operation"], [self._weighted])
        sums = self._array(m, sequencer, inputs)
        bias = self._bias(m, s, sequencer, controller.layer_start)
        totals, totals_valid = self._accumulators(m, streams, token, sums, bias)
        row, row_valid = self._pooling(m, s, inputs, token)
        outputs = self._output_stages(m, s, totals)
        written = delayed_flag(m, totals_valid & ~s["leaves"], design.output_stages, "rounded")
        m.d.comb += [
            store.row_valid.eq(Mux(streams, written, row_valid)),
            store.totals.eq(totals),
            store.totals_valid.eq(totals_valid & s["leaves"]),
        ]
        wire(m, self, store, [name for name in store.signature.members if name.startswith(("store_", "result_"))])
        m.submodules.outputs = buffer = Buffer(array.output_rows, self.row_bits)
        m.d.comb += [
            buffer.write.eq(store.row_valid),
            buffer.write_row.eq(store.write_row),
            buffer.write_data.eq(Mux(streams, outputs, row)),
            buffer.read.eq(store.read),
            buffer.read_row.eq(store.read_row),
            self.store_data.eq(buffer.read_data),
            self.accesses[4:].eq(Cat(store.row_valid, store.store_valid)),
        ]
        return m

    def _inputs(self, m: Module, sequencer: ArraySequencer) -> Value:
        """The buffer of inputs: written as a row arrives, read a cycle later; then the operands' registers."""
        latency = self.array.memory_latency
        m.submodules.inputs = buffer = Buffer(self.array.input_rows, self.input_bits)
        row = delayed(m, sequencer.input_row, latency, "input_row")
        m.d.comb += [
            buffer.write.eq(delayed_flag(m, sequencer.input_write, latency, "input_write")),
            buffer.write_row.eq(row),
            buffer.write_data.eq(self.load_data),
            buffer.read.eq(delayed_flag(m, sequencer.valid, latency + 1, "input_read")),
            buffer.read_row.eq(delayed(m, row, 1, "input_read_row")),
            self.accesses[:2].eq(Cat(buffer.write, buffer.read)),
        ]
        return registered(m, buffer.read_data, "operands")

    def _array(self, m: Module, sequencer: ArraySequencer, inputs: Value) -> Value:
        """Sums of a row of inputs; weights are asked for so that they come in step with the inputs."""
        wait, latency = READ_STAGES - 1, self.array.memory_latency
        request = delayed_flag(m, sequencer.weight_request, wait, "weight_request")
        m.d.comb += [
            self.weight_request.eq(request),
            self.weight_address.eq(delayed(m, sequencer.weight_address, wait, "weight_address")),
        ]
        sums = Signal(self.array.columns * column_bits(self.design, self.array.rows))
        m.submodules.array = Instance(
            "array",
            ("i", "clk", ClockSignal()),
            ("i", "load", delayed_flag(m, request, latency + 1, "load")),
            ("i", "weights", registered(m, self.weight_data, "weights")),
            ("i", "inputs", inputs),
            ("o", "sums", sums),
        )
        return sums

    def _bias(self, m: Module, s: dict[str, Value], sequencer: ArraySequencer, start: Value) -> Value:
        """Ask for a row of biases so that it is in its register when a column fold's first sums come."""
        stages = sum_stages(product_stages(self.design), self.array)
        request = delayed_flag(m, sequencer.bias_request, READ_STAGES + stages - 1, "bias_request")
        address = Signal(ADDRESS_BITS, reset_less=True)
        row = Signal(self.total_bits, reset_less=True)
        m.d.comb += [self.bias_request.eq(request), self.bias_address.eq(address)]
        with m.If(request):
            m.d.sync += address.eq(address + 1)
        with m.If(start):
            m.d.sync += address.eq(s["bias_row"])
        with m.If(delayed_flag(m, request, self.array.memory_latency, "bias_arrives")):
            m.d.sync += row.eq(self.bias_data)
        return row

    def _accumulators(
        self, m: Module, streams: Value, token: dict[str, Value], sums: Value, bias: Value
    ) -> tuple[Value, Value]:
        """Sums added to the bias or to those of the row folds before, and whether they are whole.

        A row is read two cycles before its sums come, registered, added, and written in the cycle after.
        """
        stages = sum_stages(product_stages(self.design), self.array)
        m.submodules.accumulators = buffer = Buffer(self.array.accumulator_rows, self.total_bits)
        valid = delayed_flag(m, token["valid"] & streams, stages - 2, "sums_valid")
        first, last, fold_end = (
            delayed(m, token[name], stages - 2, f"sums_{name}") for name in ("first", "last", "fold_end")
        )
        row = Signal(len(buffer.read_row))
        with m.If(valid & ~(first & last)):  # sums of a single fold need no row, and may be more than there are rows
            m.d.sync += row.eq(Mux(fold_end, 0, row + 1))
        is_first = delayed(m, first, 2, "starts")
        held = registered(m, buffer.read_data, "held")
        total = Signal(self.total_bits, reset_less=True)
        bits, sum_bits = self.design.accumulator_bits, column_bits(self.design, self.array.rows)
        for column in range(self.array.columns):
            place = slice(column * bits, (column + 1) * bits)
            added = sums.word_select(column, sum_bits).as_signed()
            m.d.sync += total[place].eq(Mux(is_first, bias[place], held[place]).as_signed() + added)
        m.d.comb += [
            buffer.read.eq(valid & ~first),
            buffer.read_row.eq(row),
            buffer.write.eq(delayed_flag(m, valid & ~last, 2 + ACCUMULATE_STAGES, "kept")),
            buffer.write_row.eq(delayed(m, row, 2 + ACCUMULATE_STAGES, "kept_row")),
            buffer.write_data.eq(total),
            self.accesses[2:4].eq(Cat(buffer.write, buffer.read)),
        ]
        return total, delayed_flag(m, valid & last, 2 + ACCUMULATE_STAGES, "whole")

    def _output_stages(self, m: Module, s: dict[str, Value], totals: Value) -> Value:
        """Codes of all columns, `output_stages` cycles later."""
        bits, ports = self.design.accumulator_bits, output_stage_ports(element_design(self.design))
        made = [
            instance(
                m, OUTPUT_STAGE, ports, f"{OUTPUT_STAGE}{column}",
                total=totals.word_select(column, bits), shift=s["shift"], relu=s["relu"],
            )
            for column in range(self.array.columns)
        ]  # fmt: skip
        return Cat(*(one["output"] for one in made))

    def _pooling(self, m: Module, s: dict[str, Value], values: Value, token: dict[str, Value]) -> tuple[Value, Value]:
        """Rows of the pooling stage, and whether there is one."""
        every = opcodes(self.design).all
        m.submodules.pooling = pooling = PoolingStage(self.design, pooling_lanes(self.array))
        pooled = asks_none(s["operation"], [self._weighted])
        m.d.comb += [
            pooling.averages.eq(asks(s["operation"], [one for one in every if one.divides])),
            pooling.relu.eq(s["relu"]),
            pooling.divisor.eq(s["divisor"]),
            pooling.valid.eq(token["valid"] & pooled),
            *(getattr(pooling, name).eq(token[name]) for name in ("first", "last", "in_image", "counted")),
            pooling.values.eq(values[: len(pooling.values)]),
        ]
        return pooling.row, pooling.row_valid


def to_rtlil(design: NeuronDesign, array: Systolic) -> str:
    """The accelerator as RTLIL; its top module is `accelerator`, below it `array` and `processing_element`.

    Raises HardwareError for a datapath that has no processing element.
    """
    integer = element_design(design)
    core = SystolicCore(design, array)
    domain = ClockDomain("sync")
    fragment = Fragment.get(core, None)
    fragment.add_domains(domain)
    ports = [domain.clk, domain.rst, *(getattr(core, port) for port in core.signature.members)]
    top = rtlil.convert(fragment, name="accelerator", ports=ports, emit_src=False)
    units = unit_rtlil(Lane(), "lane") + unit_rtlil(OutputStage(integer), OUTPUT_STAGE)
    return top + units + array_rtlil(design, array).replace("attribute \\top 1\n", "")
