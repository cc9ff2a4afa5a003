"""SRAM macros from their liberty files: area, energy of an access, leakage, access time."""

from __future__ import annotations

from pathlib import Path

from fewbits.errors import HardwareError
from fewbits.hardware.library.boolean import is_true, variables
from fewbits.hardware.library.liberty import Cell, InternalPower
from fewbits.hardware.library.liberty_reader import read_library
from fewbits.hardware.technology import MacroCost

_ACCESS = {
    "read": ({"MEN": True, "REN": True, "WEN": False}, {"csb": False, "web": True}),
    "write": ({"MEN": True, "REN": False, "WEN": True}, {"csb": False, "web": False}),
}
"""Ends of the control pins' names, without the port's number, and their values in an access: IHP's macros (memory, read
and write enable) and OpenRAM's (chip select and write enable, both low when active)."""


def read_macros(folder: Path, clock_slew_ns: float) -> tuple[MacroCost, ...]:
    """The macros of every `.lib` in a folder, by name.

    Raises HardwareError if the folder has none, or a file is broken or has no memory.
    """
    files = sorted(folder.glob("*.lib")) if folder.is_dir() else []
    if not files:
        raise HardwareError(f"no SRAM liberty files (*.lib) in {folder}")
    macros = [read_macro(path, clock_slew_ns) for path in files]
    return tuple(sorted(macros, key=lambda macro: macro.name))


def read_macro(path: Path, clock_slew_ns: float) -> MacroCost:
    """One macro: area, leakage, energy of a read and of a write through its first port, access time.

    Energy is the clock pin's internal power, rise and fall, under the `when` that selects the access; what the
    address, data and mask pins add when they toggle is left out. The access time is the latest from the clock to
    the data at this clock transition and the largest load in the table.
    """
    memories = [cell for cell in read_library(path).cells.values() if cell.words and cell.word_bits]
    if len(memories) != 1:
        raise HardwareError(f"{path}: {len(memories)} cells with a memory group, an SRAM file has one")
    cell = memories[0]
    if not cell.area_um2:
        raise HardwareError(f"{path}: {cell.name} has no area: add it")
    clocks = sorted(name for name, pin in cell.pins.items() if pin.is_clock and "BIST" not in name)
    if not clocks or cell.leakage_uw is None:
        raise HardwareError(f"{path}: {cell.name} has no {'cell_leakage_power' if clocks else 'clock pin'}")
    return MacroCost(
        name=cell.name,
        rows=cell.words or 0,
        bits=cell.word_bits or 0,
        ports=len(clocks),
        area_um2=cell.area_um2,
        read_energy_pj=_access_energy(path, cell, clocks[0], "read"),
        write_energy_pj=_access_energy(path, cell, clocks[0], "write"),
        leakage_uw=cell.leakage_uw,
        access_ns=_access_time(path, cell, clocks[0], clock_slew_ns),
    )


def _access_energy(path: Path, cell: Cell, clock: str, access: str) -> float:
    """Energy of a clock cycle with one access, pJ."""
    found = [power for power in cell.powers if power.pin == clock and power.when and _selects(power, access)]
    if len(found) != 1:
        raise HardwareError(
            f"{path}: {cell.name} has {len(found)} internal_power groups of {clock} for a {access}, it needs one, with "
            "`when` over the enable pins: MEN, REN and WEN, or csb and web"
        )
    tables = (found[0].rise, found[0].fall)
    return sum(float(table.values.flat[0]) for table in tables if table is not None)


def _selects(power: InternalPower, access: str) -> bool:
    """Whether a `when` over enables of one port holds in an access, and only there."""
    names = variables(power.when or "")
    for pins in _ACCESS[access]:
        values = {
            name: value for name in names for end, value in pins.items() if name.rstrip("0123456789").endswith(end)
        }
        if len(values) == len(names) == len(pins):
            return is_true(power.when or "", values)
    return False


def _access_time(path: Path, cell: Cell, clock: str, clock_slew_ns: float) -> float:
    delays = [
        table.at(clock_slew_ns, float(table.columns[-1]))
        for arc in cell.arcs
        if arc.related_pin == clock and arc.kind in ("rising_edge", "falling_edge")
        for name, table in arc.tables.items()
        if name in ("cell_rise", "cell_fall")
    ]
    if not delays:
        raise HardwareError(f"{path}: {cell.name} has no delay from {clock} to its data")
    return max(delays)
