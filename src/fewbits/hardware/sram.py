"""Buffers composed of SRAM macros."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.technology import MacroCost


@dataclass(frozen=True)
class Buffer:
    """A memory of `rows` x `bits`, composed of one kind of macro."""

    rows: int
    bits: int
    macro: MacroCost
    columns: int
    """Macros side by side: all are accessed together."""

    banks: int
    """Macros one above the other: one is accessed, the others are not enabled."""

    @property
    def macros(self) -> int:
        """Number of macros."""
        return self.columns * self.banks

    @property
    def area_um2(self) -> float:
        """Area of all macros, no wiring between them."""
        return self.macros * self.macro.area_um2

    @property
    def read_energy_pj(self) -> float:
        """Energy to read one row."""
        return self.columns * self.macro.read_energy_pj

    @property
    def write_energy_pj(self) -> float:
        """Energy to write one row."""
        return self.columns * self.macro.write_energy_pj

    @property
    def leakage_uw(self) -> float:
        """Leakage of all macros."""
        return self.macros * self.macro.leakage_uw

    @property
    def access_ns(self) -> float:
        """From the clock's edge to the data of a read, without the selection among banks."""
        return self.macro.access_ns


def compose(rows: int, bits: int, macros: Sequence[MacroCost], ports: int = 1) -> Buffer:
    """The buffer of `rows` x `bits` from the macro that makes it smallest.

    The banking rule: a buffer is made of one kind of macro with at least `ports` ports, ceil(bits / macro bits)
    side by side and ceil(rows / macro rows) one above the other; of the kinds, the one with the least total area, of
    equal ones the one with the least read energy, then by name. Bits and rows left over are paid for.
    Raises HardwareError if rows or bits are no positive integers, or if no macro has enough ports.
    """
    for name, value in (("rows", rows), ("bits", bits), ("ports", ports)):
        if isinstance(value, bool) or value != int(value) or value < 1:
            raise HardwareError(f"a buffer's {name} must be a positive integer, not {value!r}")
    candidates = [
        Buffer(rows, bits, macro, columns=-(-bits // macro.bits), banks=-(-rows // macro.rows))
        for macro in macros
        if macro.ports >= ports
    ]
    if not candidates:
        most = max((macro.ports for macro in macros), default=0)
        told = f"no SRAM macro has {ports} ports, the most is {most}" if macros else "there are no SRAM macros"
        raise HardwareError(f"{told}: characterize with --sram and a folder that has such macros")
    return min(candidates, key=lambda buffer: (buffer.area_um2, buffer.read_energy_pj, buffer.macro.name))
