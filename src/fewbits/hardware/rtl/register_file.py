"""A buffer of flip-flops: what an SRAM macro of two ports does, of a library's plain cells."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.rtl.instances import component_rtlil


class RegisterFile(Component):
    """Rows of flip-flops with the ports and the timing of `buffers.Buffer`: a row is shown a cycle after its address.

    A decoder enables the row that is written: a multiplexer in front of each flip-flop keeps the others as they are.
    The row asked for is registered, and a tree of multiplexers selects it. No clock is gated.
    """

    def __init__(self, rows: int, bits: int) -> None:
        self.rows, self.bits = rows, bits
        row_bits = (rows - 1).bit_length()
        super().__init__(
            {
                "write": In(1),
                "write_row": In(row_bits),
                "write_data": In(bits),
                "read": In(1),
                "read_row": In(row_bits),
                "read_data": Out(bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The rows, and the address of the one that is shown."""
        m = Module()
        words = Array(Signal(self.bits, name=f"row_{number}", reset_less=True) for number in range(self.rows))
        for number, word in enumerate(words):
            with m.If(self.write & (self.write_row == number)):
                m.d.sync += word.eq(self.write_data)
        shown = Signal(len(self.read_row), reset_less=True)
        with m.If(self.read):
            m.d.sync += shown.eq(self.read_row)
        m.d.comb += self.read_data.eq(words[shown])
        return m


def register_file_rtlil(rows: int, bits: int) -> str:
    """A register file as RTLIL, the input of yosys; its top module is `register_file`."""
    return component_rtlil(RegisterFile(rows, bits), "register_file")
