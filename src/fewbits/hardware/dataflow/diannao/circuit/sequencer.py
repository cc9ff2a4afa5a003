"""The sequencer: walks through a layer's slots, one a cycle, and says what each loads and computes."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.controller import asks, asks_none, settings_of
from fewbits.hardware.dataflow.diannao.circuit.lane import LANE_PORTS, LANE_SETTINGS
from fewbits.hardware.dataflow.diannao.latency import pooling_lanes
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import (
    ADDRESS_BITS,
    GROUP_BITS,
    SIZE_BITS,
    layout,
)
from fewbits.hardware.datapath.composable import SPLIT
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed_flag, registered
from fewbits.hardware.rtl.instances import instance

LANE_WORD_BITS = 32
"""Of an address on the load port, lanes side by side: whole words, so that a memory need not cut them out."""


class Sequencer(Component):
    """Loops over convolution groups, neuron groups, blocks of positions, chunks, and the outputs of a block.

    A block interleaves outputs where an accumulator takes several cycles. Three stages: the loops; a lane's place in
    the kernel; addresses and buffer rows. What a slot needs is told REQUEST_STAGES cycles later. See `schedule.py` for
    the order.
    """

    def __init__(self, design: NeuronDesign, accelerator: Accelerator) -> None:
        self.design = design
        self.lanes = design.address_lanes(accelerator.synapses)
        self.synapses = accelerator.synapses
        self.pooling_lanes = pooling_lanes(accelerator)
        self.rows = accelerator.buffer_rows
        self.interleaves = design.accumulate_cycles > 1
        self.fields = layout(design, accelerator)
        self.opcodes = opcodes(design)
        self._from_neurons = [one for one in self.opcodes.all if one.leaves_neurons]
        row_bits = (self.rows - 1).bit_length()
        super().__init__(
            {
                "settings": In(self.fields.bits),
                "start": In(1),
                "valid": Out(1),
                "first": Out(1),
                "last": Out(1),
                "in_image": Out(1),  # of lane 0: in pooling, all lanes look at one place
                "counted": Out(1),  # into an average's divisor
                "load_request": Out(self.lanes),
                "load_address": Out(self.lanes * LANE_WORD_BITS),
                "bin_write": Out(1),
                "bin_row": Out(row_bits),
                "sb_write": Out(1),
                "sb_read": Out(1),
                "sb_row": Out(row_bits),
                "weight_address": Out(ADDRESS_BITS),
                "bias_request": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Stage after stage; what a stage tells the next is registered between them."""
        m = Module()
        s = settings_of(self.fields, self.settings)
        loops = self._loops(m, s)
        kernel = {name: next_stage(m, name, value, "kernel") for name, value in loops.items()}
        late = {name: next_stage(m, name, value, "late") for name, value in kernel.items()}
        self._takes_weights = Signal(name="_weighted")
        summed = asks(s["operation"], [one for one in self.opcodes.all if one.waits_for_sums])
        m.d.comb += self._takes_weights.eq(asks(s["operation"], self._from_neurons) | summed)
        loads_inputs = self._rows(m, s, late)
        self._lanes(m, s, kernel, late, self._address(m, s, late), loads_inputs)
        slot = late["slot"]
        m.d.sync += [
            self.valid.eq(slot),
            self.first.eq(slot & late["first_chunk"]),
            self.last.eq(slot & late["last_chunk"]),
        ]
        return m

    def _loops(self, m: Module, s: dict[str, Value]) -> dict[str, Value]:
        """Counters, and the ends of loops as signals that hold in the slot that is the loop's last."""
        running = Signal()
        waiting = Signal(max(len(s["gap"]), len(s["interval"])))
        slot = Signal()
        m.d.comb += slot.eq(running & (waiting == 0))
        chunk, first_group, convolution = Signal(16), Signal(GROUP_BITS), Signal(GROUP_BITS)
        position_in_block, group_in_block = Signal(3), Signal(3)
        ends = {name: Signal(name=f"{name}_end") for name in ("positions", "chunk", "block", "pass", "convolution")}
        group = first_group + group_in_block if self.interleaves else first_group
        last_group, last_chunk, row_end, last_position, done = (Signal() for _ in range(5))
        m.d.comb += [
            last_group.eq(group == s["neuron_groups"]),
            last_chunk.eq(chunk == s["chunks"]),
            ends["positions"].eq((position_in_block == s["block_positions"]) | last_position),
            ends["chunk"].eq(ends["positions"] & ((group_in_block == s["block_groups"]) | last_group)),
            ends["block"].eq(ends["chunk"] & last_chunk),
            ends["pass"].eq(ends["block"] & last_position),
            ends["convolution"].eq(ends["pass"] & last_group),
            done.eq(slot & ends["convolution"] & (convolution == s["convolution_groups"])),
        ]
        self._wait(m, s, slot, ends, waiting)
        if self.interleaves:
            with m.If(slot):
                m.d.sync += position_in_block.eq(Mux(ends["positions"], 0, position_in_block + 1))
                with m.If(ends["positions"]):
                    m.d.sync += group_in_block.eq(Mux(ends["chunk"], 0, group_in_block + 1))
        with m.If(slot & ends["chunk"]):
            m.d.sync += chunk.eq(Mux(ends["block"], 0, chunk + 1))
        with m.If(slot & ends["pass"]):
            m.d.sync += first_group.eq(Mux(last_group, 0, group + 1))
            m.d.sync += convolution.eq(convolution + last_group)
        with m.If(self.start):
            m.d.sync += [first_group.eq(0), convolution.eq(0), running.eq(1)]
        with m.If(done):
            m.d.sync += [running.eq(0), waiting.eq(0)]
        row, column = self._position(m, s, slot, ends, row_end)
        m.d.comb += last_position.eq(row_end & (row == s["last_row"]))
        return {
            "start": self.start,
            "slot": slot,
            **{f"{name}_end": value for name, value in ends.items()},
            "row_end": row_end,
            "first_chunk": chunk == 0,
            "last_chunk": last_chunk,
            "last_group": last_group,
            "position_in_block": position_in_block,
            "group_in_block": group_in_block,
            "row": row,
            "column": column,
        }

    def _wait(self, m: Module, s: dict[str, Value], slot: Value, ends: dict[str, Signal], waiting: Signal) -> None:
        """The cycles to wait after a chunk."""
        wait: Value = Mux(ends["block"], s["gap"], 0)
        if self.interleaves:
            used = Signal(len(s["interval"]))
            missing = Mux(s["interval"] > used, s["interval"] - used, 0)  # both less one
            wait = Mux(ends["block"], s["gap"], missing)
            with m.If(slot):
                m.d.sync += used.eq(Mux(ends["chunk"], 0, used + 1))
        with m.If(waiting != 0):
            m.d.sync += waiting.eq(waiting - 1)
        with m.If(slot & ends["chunk"]):
            m.d.sync += waiting.eq(wait)

    def _position(
        self, m: Module, s: dict[str, Value], slot: Value, ends: dict[str, Signal], row_end: Signal
    ) -> tuple[Signal, Signal]:
        """The output position: row and column of its first input, which padding may put outside."""
        row, column = (Signal(signed(SIZE_BITS), name=name, reset_less=True) for name in ("row", "column"))
        m.d.comb += row_end.eq(column == s["last_column"])
        moved = {
            "row": Mux(row_end, row + s["row_stride"], row),
            "column": Mux(row_end, s["first_column"], column + s["column_step"]),
        }
        first = {"row": s["first_row"], "column": s["first_column"]}
        for name, register in (("row", row), ("column", column)):
            self._walk(m, name, register, moved[name], first[name], slot, ends, self.start, first[name])
        return row, column

    def _walk(
        self,
        m: Module,
        name: str,
        register: Signal,
        moved: Value,
        first: Value,
        slot: Value,
        ends: dict[str, Signal],
        start: Value,
        at_start: Value,
    ) -> None:
        """From one position to the next: a block repeats until its last chunk, then on, then back."""
        after_block = Mux(ends["pass"], first, moved)
        if self.interleaves:
            begin = Signal(register.shape(), name=f"block_{name}", reset_less=True)
            with m.If(slot & ends["block"]):
                m.d.sync += begin.eq(after_block)
            with m.If(slot & ~ends["block"]):
                m.d.sync += register.eq(Mux(ends["positions"], begin, moved))
            with m.If(start):
                m.d.sync += begin.eq(at_start)
        with m.If(slot & ends["block"]):
            m.d.sync += register.eq(after_block)
        with m.If(start):
            m.d.sync += register.eq(at_start)

    def _address(self, m: Module, s: dict[str, Value], late: dict[str, Value]) -> Signal:
        """The address of the position's first input, modulo 2**ADDRESS_BITS."""
        address, base, next_base = (
            Signal(ADDRESS_BITS, name=name, reset_less=True) for name in ("address", "base", "next_base")
        )
        ends = {name: late[f"{name}_end"] for name in ("positions", "block", "pass", "convolution")}
        moves_base = ends["convolution"] | (ends["pass"] & asks_none(s["operation"], self._from_neurons))
        step = Mux(late["row_end"], s["row_step"][:ADDRESS_BITS], s["column_step"])
        first = Mux(moves_base, next_base, base)
        begin = s["input_address"][:ADDRESS_BITS]
        self._walk(m, "address", address, address + step, first, late["slot"], ends, late["start"], begin)
        with m.If(late["slot"] & moves_base):
            m.d.sync += [base.eq(next_base), next_base.eq(next_base + s["input_step"])]
        with m.If(late["start"]):
            m.d.sync += [base.eq(begin), next_base.eq(begin + s["input_step"])]
        return address

    def _lanes(
        self,
        m: Module,
        s: dict[str, Value],
        kernel: dict[str, Value],
        late: dict[str, Value],
        address: Value,
        loads_inputs: Value,
    ) -> None:
        """The lanes, and those that a last chunk or a last slice of channels uses."""
        steps, steps_later = (stage["slot"] & stage["chunk_end"] for stage in (kernel, late))
        partial = Mux(asks(s["operation"], self._from_neurons), late["last_chunk"], late["last_group"])
        shared = {
            **{name: s[name][:bits] for name, bits in LANE_SETTINGS.items()},
            "start": kernel["start"],
            "steps": steps,
            "restarts": kernel["block_end"],
            "position_row": kernel["row"],
            "position_column": kernel["column"],
            "start_later": late["start"],
            "steps_later": steps_later,
            "restarts_later": late["block_end"],
            "position_address": address,
        }
        for number in range(self.lanes):
            first = {f"first_{name}": s[f"{name}_{number}"] for name in ("offset", "column", "row")}
            loads = loads_inputs & ((number < s["tail"]) | ~partial)
            if number >= self.pooling_lanes:  # neurons are fewer: a slice of channels has no value for this lane
                loads &= asks(s["operation"], self._from_neurons)
            if number >= self.synapses:  # a value of a split lane
                loads &= s[SPLIT]
            lane = instance(m, "lane", LANE_PORTS, f"lane{number}", **shared, **first, loads=loads)
            m.d.comb += [
                self.load_request[number].eq(lane["request"]),
                self.load_address.word_select(number, LANE_WORD_BITS).eq(lane["address"]),
            ]
            if number == 0:
                m.d.sync += [
                    self.in_image.eq(lane["inside"]),
                    self.counted.eq(lane["counted"] & (s["counts_padding"] | lane["inside"])),
                ]

    def _rows(self, m: Module, s: dict[str, Value], late: dict[str, Value]) -> Value:
        """Rows of Bin and SB, rings that are written a fixed distance ahead of being read, and rows of weights.

        Returns whether a slot loads inputs.
        """
        bin_chunk, bin_base, sb_chunk, sb_base = (
            Signal(len(self.bin_row), name=name) for name in ("bin_chunk", "bin_base", "sb_chunk", "sb_base")
        )
        weight, weight_base = (Signal(ADDRESS_BITS, name=name, reset_less=True) for name in ("weight", "weight_base"))
        first_pass, first_block, loads_inputs, loads_weights = Signal(), Signal(), Signal(), Signal()
        slot, start = late["slot"], late["start"]
        no_position, no_group = late["position_in_block"] == 0, late["group_in_block"] == 0
        m.d.comb += [
            loads_inputs.eq(slot & ~ResetSignal() & no_group & (first_pass | ~s["bin_resident"])),
            loads_weights.eq(slot & self._takes_weights & no_position & (first_block | ~s["sb_resident"])),
        ]
        bin_next = self._wrapped(m, bin_chunk, late["position_in_block"] + 1, "bin_next")
        sb_next = self._wrapped(m, sb_chunk, late["group_in_block"] + 1, "sb_next")
        weight_next = weight + loads_weights
        m.d.sync += weight.eq(weight_next)
        with m.If(slot & late["chunk_end"]):
            m.d.sync += [bin_chunk.eq(bin_next), sb_chunk.eq(sb_next)]
        with m.If(slot & late["block_end"]):
            m.d.sync += first_block.eq(late["pass_end"])
        with m.If(slot & late["block_end"] & ~late["pass_end"]):
            with m.If(s["sb_resident"]):
                m.d.sync += sb_chunk.eq(sb_base)
            with m.Else():
                m.d.sync += weight.eq(weight_base)
        with m.If(slot & late["pass_end"]):
            m.d.sync += [sb_base.eq(sb_next), weight_base.eq(weight_next)]
            m.d.sync += first_pass.eq(late["last_group"])
            with m.If(late["last_group"] | ~s["bin_resident"]):
                m.d.sync += bin_base.eq(bin_next)
            with m.Else():
                m.d.sync += bin_chunk.eq(bin_base)
        with m.If(start):
            m.d.sync += [weight.eq(s["weight_row"]), weight_base.eq(s["weight_row"])]
            m.d.sync += [first_pass.eq(1), first_block.eq(1), bin_base.eq(bin_chunk), sb_base.eq(sb_chunk)]
        m.d.sync += [
            self.bin_write.eq(loads_inputs),
            self.bin_row.eq(self._wrapped(m, bin_chunk, late["position_in_block"], "bin_slot")),
            self.sb_write.eq(loads_weights),
            self.sb_read.eq(slot & self._takes_weights),
            self.sb_row.eq(self._wrapped(m, sb_chunk, late["group_in_block"], "sb_slot")),
            self.weight_address.eq(weight),
            self.bias_request.eq(
                slot & self._takes_weights & late["first_chunk"] & (s["resumes"] | (no_position & first_block))
            ),
        ]
        return loads_inputs

    def _wrapped(self, m: Module, row: Value, places: Value, name: str) -> Signal:
        """A row of a ring some places on."""
        total = row + places
        result = Signal(len(row), name=name)
        m.d.comb += result.eq(Mux(total >= self.rows, total - self.rows, total))
        return result


def next_stage(m: Module, name: str, value: Value, stage: str) -> Value:
    """What the loops tell, a stage later; reset clears what makes a stage do something."""
    return (
        delayed_flag(m, value, 1, f"{stage}_{name}")
        if name in ("start", "slot", "weight")
        else registered(m, value, f"{stage}_{name}")
    )
