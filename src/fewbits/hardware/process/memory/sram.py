"""Buffers composed of SRAM macros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.process.technology import MacroCost, ReadPath


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

    read_path: ReadPath | None = None
    """What follows the macros; None where it is not known."""

    @property
    def macros(self) -> int:
        """Number of macros."""
        return self.columns * self.banks

    @property
    def area_um2(self) -> float:
        """Area of all macros, no wiring between them and no multiplexers behind banks."""
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
    def cycle_energy_pj(self) -> float:
        """Energy of every cycle in all macros, accessed or not."""
        return self.macros * self.macro.cycle_energy_pj

    @property
    def leakage_uw(self) -> float:
        """Leakage of all macros."""
        return self.macros * self.macro.leakage_uw

    @property
    def access_ns(self) -> float:
        """From the clock's edge to the data of a read, without the selection among banks."""
        return self.macro.access_ns

    @property
    def read_ns(self) -> float | None:
        """From the clock's edge until a row may be in the operand register: the least period that a read fits.

        The macro's access, a two-to-one selection for each doubling of the banks, the register's setup; the row's
        number selects long before. None if the macro's access time is not known; what the read path lacks counts as 0.
        """
        if self.macro.access_ns == 0:
            return None
        if self.read_path is None:
            return self.macro.access_ns
        selections = (self.banks - 1).bit_length()
        return self.macro.access_ns + selections * self.read_path.selection_ns + self.read_path.setup_ns


def compose(
    rows: int,
    bits: int,
    macros: Sequence[MacroCost],
    ports: int = 1,
    *,
    period_ns: float = math.inf,
    read_path: ReadPath | None = None,
    interleaved: int = 1,
) -> Buffer:
    """The buffer of `rows` x `bits` from the macro that makes it smallest, of those that are read within a period.

    The banking rule: a buffer is made of one kind of macro with at least `ports` ports, ceil(bits / macro bits)
    side by side and ceil(rows / macro rows) one above the other; of the kinds that are read in time, or whose access
    time is not known, the one with the least total area, of equal ones the one with the least read energy, then by
    name. Bits and rows left over are paid for. If none is read in time, the one that is read fastest.
    period_ns: that a read has, by `Buffer.read_ns`; any time by default. read_path: what follows the macros.
    interleaved: memories over which the rows are spread evenly, each of macros of its own.
    Raises HardwareError if rows or bits are no positive integers, or if no macro has enough ports.
    """
    for name, value in (("rows", rows), ("bits", bits), ("ports", ports), ("banks", interleaved)):
        if isinstance(value, bool) or value != int(value) or value < 1:
            raise HardwareError(f"a buffer's {name} must be a positive integer, not {value!r}")
    of_one = -(-rows // interleaved)
    candidates = [
        Buffer(
            rows,
            bits,
            macro,
            columns=-(-bits // macro.bits),
            banks=interleaved * -(-of_one // macro.rows),
            read_path=read_path,
        )
        for macro in macros
        if macro.ports >= ports
    ]
    if not candidates:
        most = max((macro.ports for macro in macros), default=0)
        told = f"no SRAM macro has {ports} ports, the most is {most}" if macros else "there are no SRAM macros"
        raise HardwareError(
            f"{told}: run fewbits characterize again, with --sram and such macros, or without for buffers of flip-flops"
        )
    in_time = [buffer for buffer in candidates if (buffer.read_ns or 0.0) <= period_ns]
    if not in_time:
        fastest = min(buffer.read_ns or 0.0 for buffer in candidates)
        in_time = [buffer for buffer in candidates if buffer.read_ns == fastest]
    return min(in_time, key=lambda buffer: (buffer.area_um2, buffer.read_energy_pj, buffer.macro.name))
