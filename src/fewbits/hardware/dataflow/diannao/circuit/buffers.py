"""A buffer: an SRAM of one row a word, which writes one row and reads another in the same cycle."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out


class Buffer(Component):
    """The simulation model of an SRAM: `read_data` is the row that was asked for a cycle before.

    Reading a row in the cycle in which it is written gives nothing that may be relied on.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.rows, self.width = rows, width
        row_bits = (rows - 1).bit_length()
        super().__init__(
            {
                "write": In(1),
                "write_row": In(row_bits),
                "write_data": In(width),
                "read": In(1),
                "read_row": In(row_bits),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """One memory with a port for each."""
        m = Module()
        m.submodules.memory = memory = Memory(shape=self.width, depth=self.rows, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_row),
            write.data.eq(self.write_data),
            read.en.eq(self.read),
            read.addr.eq(self.read_row),
            self.read_data.eq(read.data),
        ]
        return m
