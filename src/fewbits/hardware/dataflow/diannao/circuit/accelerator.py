"""The whole accelerator: controller, sequencer, Bin and SB, tile, pooling stage, the write-back through Bout."""

from __future__ import annotations

from amaranth.back import rtlil
from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Fragment,
    Instance,
    Module,
    Mux,
    ResetSignal,
    Signal,
    Value,
)
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.buffers import Buffer
from fewbits.hardware.dataflow.diannao.circuit.controller import Controller, asks, asks_none, settings_of
from fewbits.hardware.dataflow.diannao.circuit.lane import Lane
from fewbits.hardware.dataflow.diannao.circuit.pooling import PoolingStage
from fewbits.hardware.dataflow.diannao.circuit.sequencer import LANE_WORD_BITS, Sequencer
from fewbits.hardware.dataflow.diannao.circuit.store import OutputStore
from fewbits.hardware.dataflow.diannao.circuit.tile import to_rtlil as tile_rtlil
from fewbits.hardware.dataflow.diannao.latency import READ_STAGES, SETTLED_STAGES, pooling_lanes
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.ports import check_two_ports
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, WORD_BITS, layout
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, delayed_flag, registered
from fewbits.hardware.rtl.instances import unit_rtlil, wire


class AcceleratorCore(Component):
    """The accelerator, whose ports go to memory.

    A memory answers each request after `memory_latency` cycles; lanes of the load port that ask for nothing must read
    as zero. All requests of a cycle are granted: bandwidth is what the schedule says, latency is hidden.
    """

    def __init__(self, design: NeuronDesign, accelerator: Accelerator) -> None:
        check_two_ports(accelerator)
        design = design.in_mode(design.modes[0])  # one circuit for all of them
        self.design, self.accelerator = design, accelerator
        self._opcodes = opcodes(design).all
        neurons, synapses = accelerator.neurons, accelerator.synapses
        lanes = design.address_lanes(synapses)
        self.bin_bits = synapses * design.input_lane_bits
        self.sb_bits = neurons * synapses * design.weight_lane_bits
        self.bias_bits = neurons * design.accumulator_bits
        self.row_bits = neurons * design.output_port_bits
        super().__init__(
            {
                "start": In(1), "done": Out(1),
                "program_request": Out(1), "program_address": Out(ADDRESS_BITS), "program_word": In(WORD_BITS),
                "load_request": Out(lanes), "load_address": Out(lanes * LANE_WORD_BITS),
                "load_data": In(lanes * design.output_port_bits),
                "weight_request": Out(1), "weight_address": Out(ADDRESS_BITS), "weight_data": In(self.sb_bits),
                "bias_request": Out(1), "bias_address": Out(ADDRESS_BITS), "bias_data": In(self.bias_bits),
                "store_valid": Out(1), "store_address": Out(ADDRESS_BITS), "store_stride": Out(ADDRESS_BITS),
                "store_mask": Out(neurons), "store_data": Out(self.row_bits),
                "result_valid": Out(1), "partial_valid": Out(1),  # the last layer's sums; partial ones, a row of biases
                "result_mask": Out(neurons), "result_data": Out(self.bias_bits),
                "accesses": Out(6),  # of this cycle: Bin written and read, SB likewise, Bout likewise
            }
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        """The parts, and the flags of a slot delayed to where its data are."""
        m = Module()
        design, accelerator, latency = self.design, self.accelerator, self.accelerator.memory_latency
        m.submodules.controller = controller = Controller(layout(design, accelerator), latency)
        m.submodules.sequencer = sequencer = Sequencer(design, accelerator)
        m.submodules.store = store = OutputStore(design, accelerator)
        s = settings_of(controller.fields, controller.settings)
        wire(m, self, controller, ("start", "done", "program_request", "program_address", "program_word"))
        m.d.comb += [
            controller.layer_finished.eq(store.finished),
            *(part.settings.eq(controller.settings) for part in (sequencer, store)),
            *(part.start.eq(controller.layer_start) for part in (sequencer, store)),
            self.load_request.eq(sequencer.load_request),
            self.load_address.eq(sequencer.load_address),
            self.weight_request.eq(sequencer.sb_write),
            self.weight_address.eq(sequencer.weight_address),
        ]
        bin_data, sb_data = self._buffers(m, s, sequencer)
        token = {
            name: delay(m, getattr(sequencer, name), latency + READ_STAGES, name)
            for names, delay in ((("valid", "last"), delayed_flag), (("first", "in_image", "counted"), delayed))
            for name in names
        }
        self._bias(m, s, sequencer, controller)
        from_neurons = asks(s["operation"], [one for one in self._opcodes if one.leaves_neurons])
        sums = from_neurons | asks(s["operation"], [one for one in self._opcodes if one.waits_for_sums])
        outputs, valid, totals = self._neurons(m, s, bin_data, sb_data, token, sums)
        ends = delayed_flag(m, token["last"] & sums, design.accumulator_delay, "ends")
        row, row_valid = self._pooling(m, s, bin_data, token, totals, ends & ~from_neurons)
        hands_out_sums = s["is_last"] | s["spills"]
        written = valid & ~hands_out_sums
        if design.output_stages > SETTLED_STAGES:
            written = delayed_flag(m, ends & from_neurons & ~hands_out_sums, design.output_stages, "written")
        m.d.comb += [
            store.row_valid.eq(Mux(from_neurons, written, row_valid)),
            store.totals.eq(totals),
            store.totals_valid.eq(ends & from_neurons & hands_out_sums),
        ]
        leaving = ("store_", "result_", "partial_")
        wire(m, self, store, [name for name in store.signature.members if name.startswith(leaving)])
        m.submodules.bout = bout = Buffer(accelerator.buffer_rows, self.row_bits)
        m.d.comb += [
            bout.write.eq(store.row_valid),
            bout.write_row.eq(store.bout_row),
            bout.write_data.eq(Mux(from_neurons, outputs, row)),
            bout.read.eq(store.bout_read),
            bout.read_row.eq(store.bout_read_row),
            self.store_data.eq(bout.read_data),
        ]
        m.d.comb += self.accesses[4:].eq(Cat(store.row_valid, store.store_valid))
        return m

    def _buffers(self, m: Module, s: dict[str, Value], sequencer: Sequencer) -> tuple[Value, Value]:
        """Bin and SB: written as a row arrives, read a cycle later; then the operands' registers."""
        rows, latency = self.accelerator.buffer_rows, self.accelerator.memory_latency
        m.submodules.bin = inputs = Buffer(rows, self.bin_bits)
        m.submodules.sb = synapses = Buffer(rows, self.sb_bits)
        for place, (buffer, name, data) in enumerate(
            ((inputs, "bin", self.design.operand_row(self.load_data, s)), (synapses, "sb", self.weight_data))
        ):
            write = delayed_flag(m, getattr(sequencer, f"{name}_write"), latency, f"{name}_write")
            row = delayed(m, getattr(sequencer, f"{name}_row"), latency, f"{name}_row")
            read = sequencer.valid if name == "bin" else sequencer.sb_read
            m.d.comb += [
                buffer.write.eq(write),
                buffer.write_row.eq(row),
                buffer.write_data.eq(data),
                buffer.read.eq(delayed_flag(m, read, latency + 1, f"{name}_read")),
                buffer.read_row.eq(delayed(m, row, 1, f"{name}_read_row")),
                self.accesses[2 * place : 2 * place + 2].eq(Cat(buffer.write, buffer.read)),
            ]
        return registered(m, inputs.read_data, "inputs"), registered(m, synapses.read_data, "weights")

    def _bias(self, m: Module, s: dict[str, Value], sequencer: Sequencer, controller: Controller) -> None:
        """Ask for a row of biases so that it is in its register when the neurons read it."""
        latency = self.accelerator.memory_latency
        wait = READ_STAGES - 1 + self.design.bias_delay
        request = delayed_flag(m, sequencer.bias_request, wait, "bias_request")
        address = Signal(ADDRESS_BITS, reset_less=True)
        self._bias_row = Signal(self.bias_bits, reset_less=True)
        m.d.comb += [self.bias_request.eq(request), self.bias_address.eq(address)]
        with m.If(request):
            m.d.sync += address.eq(address + 1)
        with m.If(controller.layer_start):
            m.d.sync += address.eq(s["bias_row"])
        with m.If(delayed_flag(m, request, latency, "bias_arrives")):
            m.d.sync += self._bias_row.eq(self.bias_data)

    def _neurons(
        self, m: Module, s: dict[str, Value], inputs: Value, weights: Value, token: dict[str, Value], sums: Value
    ) -> tuple[Value, Value, Value]:
        """Outputs, whether they are valid, and accumulators, of all neurons."""
        outputs, totals, valid = Signal(self.row_bits), Signal(self.bias_bits), Signal()
        m.submodules.tile = Instance(
            "tile",
            ("i", "clk", ClockSignal()),
            ("i", "rst", ResetSignal()),
            ("i", "weights", weights),
            ("i", "inputs", inputs),
            ("i", "first", token["first"] & sums),
            ("i", "last", token["last"] & sums),
            ("i", "bias", self._bias_row),
            ("i", "shift", s["shift"]),
            ("i", "relu", s["relu"]),
            *(("i", name, s[name]) for name in self.design.settings),
            ("o", "outputs", outputs),
            ("o", "valid", valid),
            ("o", "totals", totals),
        )
        return outputs, valid, totals

    def _pooling(
        self, m: Module, s: dict[str, Value], values: Value, token: dict[str, Value], totals: Value, ends: Value
    ) -> tuple[Value, Value]:
        """Rows of the pooling stage, and whether there is one."""
        m.submodules.pooling = pooling = PoolingStage(self.design, pooling_lanes(self.accelerator))
        pooled = asks_none(s["operation"], [one for one in self._opcodes if one.leaves_neurons])
        m.d.comb += [
            pooling.averages.eq(asks(s["operation"], [one for one in self._opcodes if one.divides])),
            pooling.relu.eq(s["relu"]),
            pooling.divisor.eq(s["divisor"]),
            pooling.valid.eq(token["valid"] & pooled),
            *(getattr(pooling, name).eq(token[name]) for name in ("first", "last", "in_image", "counted")),
            pooling.values.eq(self.design.pooled_values(values)[: len(pooling.values)]),
            pooling.float_last.eq(ends),
            pooling.float_sums.eq(totals[: len(pooling.float_sums)]),
        ]
        return pooling.row, pooling.row_valid


def to_rtlil(design: NeuronDesign, accelerator: Accelerator) -> str:
    """The accelerator as RTLIL; its top module is `accelerator`, below it `tile` and `neuron`."""
    core = AcceleratorCore(design, accelerator)
    domain = ClockDomain("sync")
    fragment = Fragment.get(core, None)
    fragment.add_domains(domain)
    ports = [domain.clk, domain.rst, *(getattr(core, port) for port in core.signature.members)]
    top = rtlil.convert(fragment, name="accelerator", ports=ports, emit_src=False)
    tile = tile_rtlil(design, accelerator.neurons).replace("attribute \\top 1\n", "")
    return top + unit_rtlil(Lane(), "lane") + tile
