"""What stands between a memory of narrow values and buffers of wide ones: a row of words unpacked, or packed.

Memory holds the values of a layer of a narrower format side by side, at their own width. A row of the datapath has room
for as many of its own; where the layer is narrow, the lower part of the row is used.
"""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib.wiring import Component, In, Out


class Packing(Component):
    """A row of `lanes` two's complement words of `bits`, each `stored` wide in memory where `narrow` holds."""

    def __init__(self, lanes: int, bits: int, stored: int) -> None:
        self.lanes, self.bits, self.stored = lanes, bits, stored
        super().__init__({"narrow": In(1), "row": In(lanes * bits), "out": Out(lanes * bits)})


class Unpacker(Packing):
    """From memory to a buffer: narrow values move to their lanes, their signs are extended."""

    def elaborate(self, platform: object) -> Module:
        """A two-way selection a bit."""
        m = Module()
        for lane in range(self.lanes):
            value = self.row.word_select(lane, self.stored)
            extended = Cat(value, value[-1].replicate(self.bits - self.stored))
            wide = self.row.word_select(lane, self.bits)
            m.d.comb += self.out.word_select(lane, self.bits).eq(Mux(self.narrow, extended, wide))
        return m


class Packer(Packing):
    """From a buffer to memory: values saturate to the narrow format and move together.

    The neuron's output stage has rounded them at the narrow format's radix point and saturated them to the wide one.
    """

    def elaborate(self, platform: object) -> Module:
        """A comparison a lane, a two-way selection a bit."""
        m = Module()
        packed = Cat(*(self._saturated(self.row.word_select(lane, self.bits)) for lane in range(self.lanes)))
        used = self.lanes * self.stored
        m.d.comb += self.out.eq(Cat(Mux(self.narrow, packed, self.row[:used]), self.row[used:]))
        return m

    def _saturated(self, value: Value) -> Value:
        sign, above = value[-1], value[self.stored - 1 :]
        fits = ~above.any() | above.all()
        largest = Cat((~sign).replicate(self.stored - 1), sign)
        return Mux(fits, value[: self.stored], largest)
