"""The accumulator of an integer neuron, and its output: shift, round half to even, saturate, ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Member, Out

from fewbits.hardware.rtl.bit_heap import delayed, shared

if TYPE_CHECKING:
    from fewbits.hardware.datapath.integer_sums import IntegerSums


class Accumulator(Component):
    """Adds the tree's sums up; the first of an output is added to the bias.

    Segments of the sum arrive a cycle after one another and leave together.
    """

    def __init__(self, design: IntegerSums) -> None:
        self.design = design
        bits = design.accumulator_bits
        super().__init__({"sum": In(design.tree_bits), "first": In(1), "bias": In(bits), "total": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        """One addition a cycle in each segment."""
        m = Module()
        segments = self.design.segments
        held = sum(start < self.design.tree_bits for start, _ in segments)
        carry: Value = Const(0, 1)
        for cycle, (start, stop) in enumerate(segments):
            bias = delayed(m, self.bias[start:stop], cycle, f"bias_{start}")
            first = delayed(m, self.first, cycle, f"first_{start}")
            addend = self.sum[start:stop]
            extended = addend.as_signed() if cycle == held - 1 else addend
            if held - 1 <= cycle < len(segments) - 1 or cycle >= held:  # the carry needs the sign in every place
                sign = delayed(m, self.sum[-1], cycle - held + 1, f"sign_{start}")
                extended = Cat(addend, sign.replicate(stop - start - len(addend)))
            total = Signal(stop - start + 1, name=f"total_{start}", reset_less=True)
            base = Mux(first, bias, total[:-1])
            m.d.sync += total.eq(base + extended + carry)
            m.d.comb += self.total[start:stop].eq(delayed(m, total[:-1], len(segments) - 1 - cycle, f"aligned_{start}"))
            carry = total[-1]
        return m


def output_stage_ports(design: IntegerSums) -> dict[str, Member]:
    """Ports of an output stage."""
    return {
        "total": In(design.accumulator_bits),
        "shift": In(design.shift_bits),
        "relu": In(1),
        "output": Out(design.output_port_bits),
    }


class OutputStage(Component):
    """The accumulator moved right by `shift` places, rounded to the output's format, `output_stages` cycles later.

    `shift` and `relu` are settings of a layer: they must hold while its outputs pass.
    """

    def __init__(self, design: IntegerSums) -> None:
        self.design = design
        super().__init__(output_stage_ports(design))

    def elaborate(self, platform: object) -> Module:
        """The shifter, in `shift_cycles` parts, then rounding; a binary output is the sign, whatever the shift."""
        m = Module()
        if self.design.precision.inputs.code_layout == "sign":
            m.d.sync += self.output.eq(self.total[-1] & ~self.relu)
            return m
        word, guard, sticky = self.total, Const(0, 1), Const(0, 1)
        levels = list(reversed(range(self.design.shift_bits)))
        cycles = self.design.pipelining.shift_cycles
        ends = [-(-(k + 1) * len(levels) // cycles) for k in range(cycles)]
        for start, stop in zip([0, *ends], ends, strict=False):
            for level in levels[start:stop]:
                word, guard, sticky = shift_level(m, word, guard, sticky, 1 << level, self.shift[level])
            registers = [Signal(len(value), reset_less=True) for value in (word, guard, sticky)]
            m.d.sync += [r.eq(v) for r, v in zip(registers, (word, guard, sticky), strict=True)]
            word, guard, sticky = registers
        m.d.sync += self.output.eq(self.rounded(word, guard, sticky))
        return m

    def rounded(self, word: Value, guard: Value, sticky: Value) -> Value:
        """Round half to even, saturate, and cut off negatives if `relu` is set, or there are none in the format."""
        bits = self.design.output_bits
        if not self.design.precision.inputs.is_signed:
            fits, highest = ~word[bits:].any(), word[:bits].all()
            up = guard & (sticky | word[0])
            return Mux(word[-1], 0, (word[:bits] + up)[:bits] | (~fits | (highest & up)).replicate(bits))
        sign, above = word[-1], word[bits - 1 :]
        fits = (above == 0) | above.all()
        up = guard & (sticky | word[0])
        highest = ~sign & word[: bits - 1].all()
        limit = Cat((~sign).replicate(bits - 1), sign)
        rounded = Mux(fits & ~(highest & up), (word[:bits] + up)[:bits], limit)
        return Mux(self.relu & sign, 0, rounded)


def shift_level(
    m: Module, word: Value, guard: Value, sticky: Value, places: int, enable: Value
) -> tuple[Value, Value, Value]:
    """Arithmetic shift by a power of two; what falls out goes to the guard and sticky bits."""
    width = len(word)
    kept = min(places, width)
    shifted = Cat(word[kept:], word[-1].replicate(kept))
    falling = Cat(sticky, guard, word[: kept - 1]).any()
    return (
        shared(m, Mux(enable, shifted, word)[:width], "word"),
        shared(m, Mux(enable, word[kept - 1], guard)[:1], "guard"),
        shared(m, Mux(enable, falling, sticky)[:1], "sticky"),
    )
