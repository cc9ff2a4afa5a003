"""A lane of the address generation: which synapse it works on, where that lies in memory, whether inside the image."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.diannao.program import ADDRESS_BITS, EXTENT_BITS, SIZE_BITS
from fewbits.hardware.rtl.bit_heap import registered

LANE_SETTINGS = {
    **dict.fromkeys(("column_advance", "column_back", "row_dilation_advance", "row_dilation_back"), EXTENT_BITS),
    **dict.fromkeys(("row_advance", "row_back"), EXTENT_BITS),
    **dict.fromkeys(("advance", "advance_row", "advance_column", "advance_both"), ADDRESS_BITS),
    **dict.fromkeys(("width", "height", "counted_width", "counted_height"), SIZE_BITS),
}
"""Fields of a descriptor that all lanes take, and their bits here: addresses are computed modulo 2**ADDRESS_BITS."""


LANE_PORTS = {
    **{name: In(bits) for name, bits in LANE_SETTINGS.items()},
    "first_offset": In(ADDRESS_BITS), "first_column": In(EXTENT_BITS), "first_row": In(EXTENT_BITS),
    # First stage.
    "start": In(1), "steps": In(1), "restarts": In(1),
    "position_row": In(signed(SIZE_BITS)), "position_column": In(signed(SIZE_BITS)),
    # Second stage.
    "start_later": In(1), "steps_later": In(1), "restarts_later": In(1),
    "position_address": In(ADDRESS_BITS), "loads": In(1),
    "request": Out(1), "address": Out(ADDRESS_BITS),
    "inside": Out(1), "counted": Out(1),  # registers of the second stage
}  # fmt: skip


class Lane(Component):
    """Two pipeline stages: column and row in the kernel, then the address. All lanes are equal: mapped once.

    From one chunk to the next, a lane moves on by as many synapses as there are lanes: column and row are counters with
    carries, and the carries choose by how much the address moves. What it may move by is in the descriptor, and so is
    what a counter is compared with: nothing is added in a chain.
    """

    def __init__(self) -> None:
        super().__init__(LANE_PORTS)

    def elaborate(self, platform: object) -> Module:
        """The counters, the bounds, the address."""
        m = Module()
        column, row = Signal(EXTENT_BITS), Signal(EXTENT_BITS)
        column_over, row_over = Signal(), Signal()
        row_advance = Mux(column_over, self.row_dilation_advance, self.row_advance)
        row_back = Mux(column_over, self.row_dilation_back, self.row_back)
        m.d.comb += [column_over.eq(column >= self.column_back), row_over.eq(row >= row_back)]
        with m.If(self.start | (self.steps & self.restarts)):
            m.d.sync += [column.eq(self.first_column), row.eq(self.first_row)]
        with m.Elif(self.steps):
            m.d.sync += [
                column.eq(Mux(column_over, column - self.column_back, column + self.column_advance)),
                row.eq(Mux(row_over, row - row_back, row + row_advance)),
            ]
        at_row, at_column = self.position_row + row, self.position_column + column
        inside = (at_row >= 0) & (at_row < self.height) & (at_column >= 0) & (at_column < self.width)
        counted = (at_row < self.counted_height) & (at_column < self.counted_width)
        m.d.sync += [self.inside.eq(inside), self.counted.eq(counted)]
        self._address(m, registered(m, Cat(column_over, row_over), "over"))
        return m

    def _address(self, m: Module, over: Signal) -> None:
        offset, step = Signal(ADDRESS_BITS), Signal(ADDRESS_BITS)
        m.d.comb += step.eq(
            Mux(over[1], Mux(over[0], self.advance_both, self.advance_row),
                Mux(over[0], self.advance_column, self.advance))
        )  # fmt: skip
        with m.If(self.start_later | (self.steps_later & self.restarts_later)):
            m.d.sync += offset.eq(self.first_offset)
        with m.Elif(self.steps_later):
            m.d.sync += offset.eq(offset + step)
        m.d.sync += [
            self.request.eq(self.loads & self.inside),
            self.address.eq(self.position_address + offset),
        ]
