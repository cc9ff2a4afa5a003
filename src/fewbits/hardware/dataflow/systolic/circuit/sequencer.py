"""The sequencer: walks through a layer's slots, one a cycle, and says what each loads and where its sums belong."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.circuit.controller import asks, settings_of
from fewbits.hardware.dataflow.diannao.circuit.lane import LANE_PORTS, LANE_SETTINGS
from fewbits.hardware.dataflow.diannao.circuit.sequencer import LANE_WORD_BITS, next_stage
from fewbits.hardware.dataflow.diannao.opcodes import opcodes
from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, GROUP_BITS, SIZE_BITS
from fewbits.hardware.dataflow.systolic.latency import pooling_lanes
from fewbits.hardware.dataflow.systolic.program import layout
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.instances import instance


class ArraySequencer(Component):
    """Loops over convolution groups, column folds, row folds and positions; in pooling over slices, positions, places.

    Before a fold's positions come as many cycles as the array has rows, in each of which a row of weights is asked for;
    behind them a gap, in which the last inputs pass the array. Three stages, as in DianNao's sequencer: the loops; a
    row's place in the kernel; addresses and buffer rows.
    """

    def __init__(self, design: NeuronDesign, array: Systolic) -> None:
        self.array = array
        self.fields = layout(design, array)
        self._weighted = opcodes(design).weighted
        super().__init__(
            {
                "settings": In(self.fields.bits),
                "start": In(1),
                "valid": Out(1),
                "first": Out(1),  # of a sum's row folds, or of a window's places
                "last": Out(1),
                "fold_end": Out(1),  # the last position of a fold
                "in_image": Out(1),  # of row 0: in pooling, all look at one place
                "counted": Out(1),  # into an average's divisor
                "load_request": Out(array.rows),
                "load_address": Out(array.rows * LANE_WORD_BITS),
                "input_write": Out(1),
                "input_row": Out((array.input_rows - 1).bit_length()),
                "weight_request": Out(1),
                "weight_address": Out(ADDRESS_BITS),
                "bias_request": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Stage after stage; what a stage tells the next is registered between them."""
        m = Module()
        s = settings_of(self.fields, self.settings)
        streams = asks(s["operation"], [self._weighted])
        loops = self._loops(m, s, streams)
        kernel = {name: next_stage(m, name, value, "kernel") for name, value in loops.items()}
        late = {name: next_stage(m, name, value, "late") for name, value in kernel.items()}
        loads = self._inputs(m, s, late)
        self._lanes(m, s, streams, kernel, late, self._address(m, s, streams, late), loads)
        weight = Signal(ADDRESS_BITS, reset_less=True)
        with m.If(late["weight"]):
            m.d.sync += weight.eq(weight + 1)
        with m.If(late["start"]):
            m.d.sync += weight.eq(s["weight_row"])
        slot = late["slot"]
        m.d.sync += [
            self.weight_request.eq(late["weight"]),
            self.weight_address.eq(weight),
            self.valid.eq(slot),
            self.first.eq(slot & late["first_fold"]),
            self.last.eq(slot & late["last_fold"]),
            self.fold_end.eq(slot & late["last_position"]),
            self.bias_request.eq(slot & streams & late["first_fold"] & late["first_position"]),
        ]
        return m

    def _loops(self, m: Module, s: dict[str, Value], streams: Value) -> dict[str, Value]:
        """Counters, and the ends of loops as signals that hold in the slot that is the loop's last."""
        running, slot = Signal(), Signal()
        waiting, loading = Signal(len(s["gap"])), Signal(range(self.array.rows + 1))
        fold, group, convolution = Signal(16), Signal(GROUP_BITS), Signal(GROUP_BITS)
        first_position = Signal()
        row, column = (Signal(signed(SIZE_BITS), name=name, reset_less=True) for name in ("row", "column"))
        names = ("last_fold", "row_end", "last_position", "last_group", "fold_steps", "position_steps", "pass_end")
        at = {name: Signal(name=name) for name in names}
        done, idles = Signal(), Signal()
        m.d.comb += [
            slot.eq(running & (waiting == 0) & (loading == 0)),
            at["last_fold"].eq(fold == s["row_folds"]),
            at["last_group"].eq(group == s["column_folds"]),
            at["row_end"].eq(column == s["last_column"]),
            at["last_position"].eq(at["row_end"] & (row == s["last_row"])),
            at["fold_steps"].eq(~streams | at["last_position"]),
            at["position_steps"].eq(streams | at["last_fold"]),
            at["pass_end"].eq(at["last_fold"] & at["last_position"]),
            done.eq(slot & at["pass_end"] & at["last_group"] & (convolution == s["convolution_groups"])),
            idles.eq(slot & Mux(streams, at["last_position"], at["last_fold"])),
        ]
        with m.If(running & (waiting != 0)):
            m.d.sync += waiting.eq(waiting - 1)
        with m.If(running & (waiting == 0) & (loading != 0)):
            m.d.sync += loading.eq(loading - 1)
        with m.If(slot):
            m.d.sync += first_position.eq(at["position_steps"] & at["last_position"])
        with m.If(idles):
            m.d.sync += [waiting.eq(s["gap"]), loading.eq(Mux(streams, self.array.rows, 0))]
        with m.If(slot & at["fold_steps"]):
            m.d.sync += fold.eq(Mux(at["last_fold"], 0, fold + 1))
        with m.If(slot & at["position_steps"]):
            m.d.sync += column.eq(Mux(at["row_end"], s["first_column"], column + s["column_step"]))
            with m.If(at["row_end"]):
                m.d.sync += row.eq(Mux(at["last_position"], s["first_row"], row + s["row_stride"]))
        with m.If(slot & at["pass_end"]):
            m.d.sync += group.eq(Mux(at["last_group"], 0, group + 1))
            m.d.sync += convolution.eq(convolution + at["last_group"])
        with m.If(self.start):
            m.d.sync += [
                running.eq(1), group.eq(0), convolution.eq(0), first_position.eq(1),
                row.eq(s["first_row"]), column.eq(s["first_column"]), loading.eq(Mux(streams, self.array.rows, 0)),
            ]  # fmt: skip
        with m.If(done):
            m.d.sync += [running.eq(0), waiting.eq(0), loading.eq(0)]
        return {
            "start": self.start,
            "slot": slot,
            "weight": running & (waiting == 0) & (loading != 0),
            **at,
            "first_fold": fold == 0,
            "first_position": first_position,
            "row": row,
            "column": column,
        }

    def _address(self, m: Module, s: dict[str, Value], streams: Value, late: dict[str, Value]) -> Signal:
        """The address of the position's first input, modulo 2**ADDRESS_BITS."""
        address, base, next_base = (
            Signal(ADDRESS_BITS, name=name, reset_less=True) for name in ("address", "base", "next_base")
        )
        slot, begin = late["slot"], s["input_address"][:ADDRESS_BITS]
        moves_base = late["pass_end"] & (~streams | late["last_group"])
        step = Mux(late["row_end"], s["row_step"][:ADDRESS_BITS], s["column_step"])
        with m.If(slot & late["position_steps"]):
            back = Mux(moves_base, next_base, base)
            m.d.sync += address.eq(Mux(late["last_position"], back, address + step))
        with m.If(slot & moves_base):
            m.d.sync += [base.eq(next_base), next_base.eq(next_base + s["input_step"])]
        with m.If(late["start"]):
            m.d.sync += [address.eq(begin), base.eq(begin), next_base.eq(begin + s["input_step"])]
        return address

    def _lanes(
        self,
        m: Module,
        s: dict[str, Value],
        streams: Value,
        kernel: dict[str, Value],
        late: dict[str, Value],
        address: Value,
        loads_inputs: Value,
    ) -> None:
        """The rows' lanes, and those that a last row fold or a last slice of channels uses."""
        partial = Mux(streams, late["last_fold"], late["last_group"])
        shared = {
            **{name: s[name][:bits] for name, bits in LANE_SETTINGS.items()},
            "start": kernel["start"],
            "steps": kernel["slot"] & kernel["fold_steps"],
            "restarts": kernel["last_fold"],
            "position_row": kernel["row"],
            "position_column": kernel["column"],
            "start_later": late["start"],
            "steps_later": late["slot"] & late["fold_steps"],
            "restarts_later": late["last_fold"],
            "position_address": address,
        }
        for number in range(self.array.rows):
            first = {f"first_{name}": s[f"{name}_{number}"] for name in ("offset", "column", "row")}
            loads = loads_inputs & ((number < s["tail"]) | ~partial)
            if number >= pooling_lanes(self.array):  # pooling takes no more channels side by side
                loads &= streams
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

    def _inputs(self, m: Module, s: dict[str, Value], late: dict[str, Value]) -> Value:
        """Rows of the input buffer, a ring that is written a fixed distance ahead of being read.

        Returns whether a slot loads inputs.
        """
        row, base = (Signal(len(self.input_row), name=name) for name in ("buffer_row", "buffer_base"))
        first_pass, loads, slot = Signal(), Signal(), late["slot"]
        following = Signal(len(row))
        m.d.comb += [
            loads.eq(slot & ~ResetSignal() & (first_pass | ~s["keeps_inputs"])),
            following.eq(Mux(row == self.array.input_rows - 1, 0, row + 1)),
        ]
        with m.If(slot):
            m.d.sync += row.eq(following)
        with m.If(slot & late["pass_end"]):
            m.d.sync += first_pass.eq(late["last_group"])
            with m.If(late["last_group"] | ~s["keeps_inputs"]):
                m.d.sync += base.eq(following)
            with m.Else():
                m.d.sync += row.eq(base)
        with m.If(late["start"]):
            m.d.sync += [first_pass.eq(1), base.eq(row)]
        m.d.sync += [self.input_write.eq(loads), self.input_row.eq(row)]
        return loads
