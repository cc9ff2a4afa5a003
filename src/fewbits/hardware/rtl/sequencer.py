"""The sequencer: walks through a layer's slots, one a cycle, and says what each loads and computes."""

# Amaranth is not typed: its operators and ports give values that a type checker cannot follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false, reportAssignmentType=false
# pyright: reportInconsistentConstructor=false, reportCallIssue=false, reportUnnecessaryComparison=false
# pyright: reportGeneralTypeIssues=false
from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.rtl.design import NeuronDesign
from fewbits.hardware.rtl.program import (
    ADDRESS_BITS,
    AVERAGE,
    EXTENT_BITS,
    GROUP_BITS,
    SIZE_BITS,
    WEIGHTED,
    Layout,
    layout,
)

LANE_WORD_BITS = 32
"""Of an address on the load port, lanes side by side: whole words, so that a memory need not cut them out."""


def settings_of(fields: Layout, record: Value) -> dict[str, Value]:
    """The fields of a descriptor by name."""
    return {
        name: record[bit : bit + field.bits].as_signed() if field.signed else record[bit : bit + field.bits]
        for name, (bit, field) in fields.places.items()
    }


class Sequencer(Component):
    """Loops over convolution groups, neuron groups, blocks of positions, chunks, and the outputs of a block.

    A block interleaves outputs where an accumulator takes several cycles. What a slot needs is told one cycle later;
    `finished` comes with the last slot. See `schedule.py` for the order.
    """

    def __init__(self, design: NeuronDesign, accelerator: Accelerator) -> None:
        self.design = design
        self.lanes = accelerator.synapses
        self.rows = accelerator.buffer_rows
        self.interleaves = design.accumulate_cycles > 1
        self.fields = layout(design, accelerator)
        row_bits = (self.rows - 1).bit_length()
        super().__init__(
            {
                "settings": In(self.fields.bits),
                "start": In(1),
                "finished": Out(1),
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
        """Loops, positions, lanes, buffer rows; then the registers of the outputs."""
        m = Module()
        s = settings_of(self.fields, self.settings)
        self._weighted, self._loads_inputs = Signal(), Signal()
        averages = (s["operation"] == AVERAGE) if self.design.is_float else False
        m.d.comb += self._weighted.eq((s["operation"] == WEIGHTED) | averages)
        self._loops(m, s)
        self._positions(m, s)
        self._lanes(m, s)
        self._rows(m, s)
        return m

    def _loops(self, m: Module, s: dict[str, Value]) -> None:
        """Counters, and the ends of loops as signals that hold in the slot that is the loop's last."""
        running = Signal()
        waiting = Signal(max(len(s["gap"]), len(s["interval"])))
        self._slot = Signal()
        m.d.comb += self._slot.eq(running & (waiting == 0))
        self._chunk, self._group, self._convolution = Signal(16), Signal(GROUP_BITS), Signal(GROUP_BITS)
        self._position_in_block, self._group_in_block = Signal(3), Signal(3)
        self._last_position = Signal()  # set in _positions
        self._first_block = Signal()
        group = self._group + self._group_in_block
        self._last_group = Signal()
        end_positions, end_groups = Signal(), Signal()
        self._chunk_end, self._block_end, self._pass_end = Signal(), Signal(), Signal()
        self._convolution_end = Signal()
        self._end_positions = end_positions
        done = Signal()
        m.d.comb += [
            self._last_group.eq(group == s["neuron_groups"]),
            end_positions.eq((self._position_in_block == s["block_positions"]) | self._last_position),
            end_groups.eq((self._group_in_block == s["block_groups"]) | self._last_group),
            self._chunk_end.eq(end_positions & end_groups),
            self._block_end.eq(self._chunk_end & (self._chunk == s["chunks"])),
            self._pass_end.eq(self._block_end & self._last_position),
            self._convolution_end.eq(self._pass_end & self._last_group),
            done.eq(self._slot & self._convolution_end & (self._convolution == s["convolution_groups"])),
            self.finished.eq(done),
        ]
        self._interleave(m, s, end_positions, waiting)
        with m.If(self._slot & self._chunk_end):
            m.d.sync += self._chunk.eq(Mux(self._block_end, 0, self._chunk + 1))
        with m.If(self._slot & self._block_end):
            m.d.sync += self._first_block.eq(self._pass_end)
        with m.If(self._slot & self._pass_end):
            m.d.sync += self._group.eq(Mux(self._last_group, 0, group + 1))
            m.d.sync += self._convolution.eq(self._convolution + self._last_group)
        with m.If(self.start):
            m.d.sync += [self._group.eq(0), self._convolution.eq(0), self._first_block.eq(1), running.eq(1)]
        with m.If(done):
            m.d.sync += [running.eq(0), waiting.eq(0)]
        edge = Signal(2)
        m.d.comb += edge.eq(Cat(self._chunk == 0, self._chunk == s["chunks"]))
        m.d.sync += [self.valid.eq(self._slot), self.first.eq(self._slot & edge[0]), self.last.eq(self._slot & edge[1])]

    def _interleave(self, m: Module, s: dict[str, Value], end_positions: Value, waiting: Signal) -> None:
        """Count the outputs of a block and the cycles to wait after a chunk."""
        wait: Value = Mux(self._block_end, s["gap"], 0)
        if self.interleaves:
            used = Signal(len(s["interval"]))
            missing = Mux(s["interval"] > used, s["interval"] - used, 0)  # both less one
            wait = Mux(self._block_end, s["gap"], missing)
            with m.If(self._slot):
                m.d.sync += [
                    self._position_in_block.eq(Mux(end_positions, 0, self._position_in_block + 1)),
                    used.eq(Mux(self._chunk_end, 0, used + 1)),
                ]
                with m.If(end_positions):
                    m.d.sync += self._group_in_block.eq(Mux(self._chunk_end, 0, self._group_in_block + 1))
        with m.If(waiting != 0):
            m.d.sync += waiting.eq(waiting - 1)
        with m.If(self._slot & self._chunk_end):
            m.d.sync += waiting.eq(wait)

    def _positions(self, m: Module, s: dict[str, Value]) -> None:
        """The output position: row, column and address of its first input, which padding may put outside."""
        base = Signal(signed(ADDRESS_BITS + 1))  # of the convolution group or slice
        shapes = {"row": signed(SIZE_BITS), "column": signed(SIZE_BITS), "address": signed(ADDRESS_BITS + 1)}
        now = {name: Signal(shape, name=f"position_{name}") for name, shape in shapes.items()}
        row_end = now["column"] == s["last_column"]
        moved = {
            "row": now["row"] + Mux(row_end, s["row_stride"], 0),
            "column": Mux(row_end, s["first_column"], now["column"] + s["column_step"]),
            "address": now["address"] + Mux(row_end, s["row_step"], s["column_step"].as_unsigned()),
        }
        m.d.comb += self._last_position.eq(row_end & (now["row"] == s["last_row"]))
        to_next_base = self._convolution_end | (self._pass_end & (s["operation"] != WEIGHTED))
        next_base = base + Mux(to_next_base, s["input_step"], 0)
        at_first = {"row": s["first_row"], "column": s["first_column"], "address": next_base}
        begin = now
        if self.interleaves:
            begin = {name: Signal(shape, name=f"block_{name}") for name, shape in shapes.items()}
            with m.If(self._slot & self._block_end):
                m.d.sync += [begin[name].eq(Mux(self._pass_end, at_first[name], moved[name])) for name in now]
        for name, register in now.items():
            after_block = Mux(self._pass_end, at_first[name], moved[name])
            with m.If(self._slot):
                if self.interleaves:
                    again = Mux(self._end_positions, begin[name], moved[name])
                    m.d.sync += register.eq(Mux(self._block_end, after_block, again))
                else:
                    m.d.sync += register.eq(Mux(self._block_end, after_block, register))
        with m.If(self._slot & self._pass_end):
            m.d.sync += base.eq(next_base)
        with m.If(self.start):
            first = {**at_first, "address": s["input_address"]}
            m.d.sync += [base.eq(s["input_address"])]
            for registers in (now, begin):
                m.d.sync += [registers[name].eq(first[name]) for name in now]
        self._now = now

    def _lanes(self, m: Module, s: dict[str, Value]) -> None:
        """Each lane's synapse: column and row in the kernel, and address relative to the position."""
        partial = Mux(s["operation"] == WEIGHTED, self._chunk == s["chunks"], self._last_group)
        for lane in range(self.lanes):
            offset = Signal(signed(ADDRESS_BITS + 2), name=f"offset_{lane}")
            column, row = (Signal(EXTENT_BITS + 1, name=f"{name}_{lane}") for name in ("column", "row"))
            column_sum = column + s["column_advance"]
            column_over = column_sum >= s["column_end"]
            row_sum = row + s["row_advance"] + Mux(column_over, s["row_dilation"], 0)
            row_over = row_sum >= s["row_end"]
            carries = Mux(column_over, s["column_carry"], 0) + Mux(row_over, s["row_carry"], 0)
            first = (s[f"offset_{lane}"], s[f"column_{lane}"], s[f"row_{lane}"])
            with m.If(self._slot & self._chunk_end):
                moved = (
                    offset + s["advance"] + carries,
                    Mux(column_over, column_sum - s["column_end"], column_sum),
                    Mux(row_over, row_sum - s["row_end"], row_sum),
                )
                for register, start, later in zip((offset, column, row), first, moved, strict=True):
                    m.d.sync += register.eq(Mux(self._block_end, start, later))
            with m.If(self.start):
                m.d.sync += [register.eq(start) for register, start in zip((offset, column, row), first, strict=True)]
            at_row, at_column = self._now["row"] + row, self._now["column"] + column
            inside = (at_row >= 0) & (at_row < s["height"]) & (at_column >= 0) & (at_column < s["width"])
            used = (lane < s["tail"]) | ~partial
            m.d.sync += [
                self.load_request[lane].eq(self._loads_inputs & inside & used),
                self.load_address.word_select(lane, LANE_WORD_BITS).eq((self._now["address"] + offset)[:ADDRESS_BITS]),
            ]
            if lane == 0:
                counted = (at_row < s["counted_height"]) & (at_column < s["counted_width"])
                m.d.sync += [self.in_image.eq(inside), self.counted.eq(counted & (s["counts_padding"] | inside))]

    def _rows(self, m: Module, s: dict[str, Value]) -> None:
        """Rows of Bin and SB, rings that are written a fixed distance ahead of being read, and rows of weights."""
        bin_chunk, bin_base, sb_chunk, sb_base = (
            Signal(len(self.bin_row), name=name) for name in ("bin_chunk", "bin_base", "sb_chunk", "sb_base")
        )
        weight, weight_base = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        first_pass = Signal()
        loads_weights = Signal()
        no_position, no_group = self._position_in_block == 0, self._group_in_block == 0
        m.d.comb += [
            self._loads_inputs.eq(self._slot & no_group & (first_pass | ~s["bin_resident"])),
            loads_weights.eq(self._slot & self._weighted & no_position & (self._first_block | ~s["sb_resident"])),
        ]
        bin_next = self._wrapped(m, bin_chunk, self._position_in_block + 1, "bin_next")
        sb_next = self._wrapped(m, sb_chunk, self._group_in_block + 1, "sb_next")
        weight_next = weight + loads_weights
        m.d.sync += weight.eq(weight_next)
        with m.If(self._slot & self._chunk_end):
            m.d.sync += [bin_chunk.eq(bin_next), sb_chunk.eq(sb_next)]
        with m.If(self._slot & self._block_end & ~self._pass_end):
            with m.If(s["sb_resident"]):
                m.d.sync += sb_chunk.eq(sb_base)
            with m.Else():
                m.d.sync += weight.eq(weight_base)
        with m.If(self._slot & self._pass_end):
            m.d.sync += [sb_base.eq(sb_next), weight_base.eq(weight_next)]
            m.d.sync += first_pass.eq(self._last_group)
            with m.If(self._last_group | ~s["bin_resident"]):
                m.d.sync += bin_base.eq(bin_next)
            with m.Else():
                m.d.sync += bin_chunk.eq(bin_base)
        with m.If(self.start):
            m.d.sync += [weight.eq(s["weight_row"]), weight_base.eq(s["weight_row"]), first_pass.eq(1)]
            m.d.sync += [bin_base.eq(bin_chunk), sb_base.eq(sb_chunk)]
        m.d.sync += [
            self.bin_write.eq(self._loads_inputs),
            self.bin_row.eq(self._wrapped(m, bin_chunk, self._position_in_block, "bin_slot")),
            self.sb_write.eq(loads_weights),
            self.sb_read.eq(self._slot & self._weighted),
            self.sb_row.eq(self._wrapped(m, sb_chunk, self._group_in_block, "sb_slot")),
            self.weight_address.eq(weight),
            self.bias_request.eq(
                self._slot & self._weighted & (self._chunk == 0) & no_position & self._first_block
            ),
        ]  # fmt: skip

    def _wrapped(self, m: Module, row: Value, places: Value, name: str) -> Signal:
        """A row of a ring some places on."""
        total = row + places
        result = Signal(len(row), name=name)
        m.d.comb += result.eq(Mux(total >= self.rows, total - self.rows, total))
        return result
