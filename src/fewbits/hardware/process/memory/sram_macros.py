"""SRAM macros from their liberty files and from macro tables: area, energy of an access, leakage, access time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.liberty import Cell
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.memory.macro_table import MacroTable, complete_macro, how_to_give, read_macro_table
from fewbits.hardware.process.memory.pin_roles import CLOCK, ROLES, PinRoles, roles_of
from fewbits.hardware.process.technology import MacroCost

_LIBERTY = (".lib", ".lib.gz")
_TABLE = (".toml",)


def macro_files(source: Path) -> tuple[Path, ...]:
    """The liberty files and macro tables that `--sram` names: a folder's, or one file; by name.

    Raises HardwareError if there are none.
    """
    found = sorted(source.iterdir()) if source.is_dir() else [source] if source.is_file() else []
    files = tuple(path for path in found if path.name.endswith((*_LIBERTY, *_TABLE)))
    if not files:
        raise HardwareError(f"no SRAM liberty files (*.lib, *.lib.gz) and no macro tables (*.toml) in {source}")
    return files


def read_macros(source: Path, clock_slew_ns: float) -> tuple[MacroCost, ...]:
    """The macros of a folder's liberty files and macro tables, or of one file, by name.

    What a liberty file lacks is taken from the table's entry of the macro's name.
    Raises HardwareError if there are none, or a file is broken, has no memory, or lacks what no table gives.
    """
    files = macro_files(source)
    table = MacroTable()
    for path in files:
        if path.name.endswith(_TABLE):
            table = table.joined(read_macro_table(path))
    macros: dict[str, MacroCost] = {}
    for path in files:
        if path.name.endswith(_LIBERTY):
            for macro in _macros(path, clock_slew_ns, table):
                if macro.name in macros:
                    raise HardwareError(f"{path}: macro {macro.name!r} is in another file too: keep one corner of it")
                macros[macro.name] = macro
    for name, figures in table.macros.items():
        if name not in macros:
            macros[name] = complete_macro(f"macro {name!r} of the macro table", figures)
    return tuple(sorted(macros.values(), key=lambda macro: macro.name))


def read_macro(path: Path, clock_slew_ns: float) -> MacroCost:
    """The macro of a liberty file that has one; see `read_macros`."""
    macros = list(_macros(path, clock_slew_ns, MacroTable()))
    if len(macros) != 1:
        raise HardwareError(f"{path}: {len(macros)} macros, not one")
    return macros[0]


def _macros(path: Path, clock_slew_ns: float, table: MacroTable) -> Iterator[MacroCost]:
    """The macros of one liberty file: cells with a memory group, and those that the table names."""
    cells = [cell for cell in read_library(path).cells.values() if cell.words or cell.name in table.macros]
    if not cells:
        raise HardwareError(
            f"{path}: 0 cells with a memory group, an SRAM file has one; the table may name others as a [[macro]]"
        )
    for cell in cells:
        yield _Macro(path, cell, clock_slew_ns, table).cost()


class _Macro:
    """One macro of a liberty file: its figures, where the table does not give them.

    Energy is the clock pin's internal power, rise and fall, under the `when` that holds in the access (`pin_roles`), or
    the one without; what the address, data and mask pins add when they toggle is left out. A read is that of the first
    clock that data follow, a write that of the first which data in are set up to. The access time is the latest from
    the clock's rising edge to the data, at the clock's transition and the largest load in the table; where data follow
    the falling edge, the shortest high pulse comes before.
    """

    def __init__(self, path: Path, cell: Cell, clock_slew_ns: float, table: MacroTable) -> None:
        self._where, self._cell, self._clock_slew_ns = str(path), cell, clock_slew_ns
        self._given = table.macros.get(cell.name, {})
        self._roles: PinRoles = roles_of(cell, table.pins)
        own = {name.lstrip("!") for name in table.pins.get(CLOCK, ())}
        self._clocks = sorted(
            name for name, pin in cell.pins.items() if (pin.is_clock or name in own) and "BIST" not in name
        )

    def cost(self) -> MacroCost:
        """All figures; raises HardwareError for those that are nowhere."""
        cell = self._cell
        figures: dict[str, Any] = {"name": cell.name}
        if cell.words and cell.word_bits:
            figures |= {"rows": cell.words, "bits": cell.word_bits}
        if cell.area_um2:
            figures["area_um2"] = cell.area_um2
        elif "area_um2" not in self._given:
            raise self._lacks("no area", "area_um2")
        if cell.leakage_uw is not None:
            figures["leakage_uw"] = cell.leakage_uw
        elif "leakage_uw" not in self._given:
            raise self._lacks("no cell_leakage_power", "leakage_uw")
        if self._clocks:
            figures["ports"] = len(self._clocks)
        for name, of_liberty in (
            ("access_ns", self._access_ns),
            ("read_energy_pj", lambda: self._energy_pj("read")),
            ("write_energy_pj", lambda: self._energy_pj("write")),
        ):
            if name not in self._given:
                figures[name] = of_liberty()
        return complete_macro(f"{self._where}: {cell.name}", {**figures, **self._given})

    def _lacks(self, what: str, figure: str) -> HardwareError:
        return HardwareError(f"{self._where}: {self._cell.name} has {what}: {how_to_give(self._cell.name, [figure])}")

    def _clock(self, access: str) -> str:
        """The clock of a read or of a write."""
        if not self._clocks:
            raise HardwareError(
                f"{self._where}: {self._cell.name} has no clock pin (clock : true): name it as clock in the [pins] "
                "of a .toml file in --sram"
            )
        reading = {arc.related_pin for arc in self._cell.arcs if arc.kind in ("rising_edge", "falling_edge")}
        writing = {
            arc.related_pin
            for arc in self._cell.arcs
            if arc.kind in ("setup_rising", "setup_falling") and (self._roles.of(arc.pin) or ("",))[0] == "data_in"
        }
        of_access = reading if access == "read" else writing
        return next((clock for clock in self._clocks if clock in of_access), self._clocks[0])

    def _energy_pj(self, access: str) -> float:
        """Energy of a clock cycle with one access."""
        clock = self._clock(access)
        powers = [power for power in self._cell.powers if power.pin == clock]
        conditional = [power for power in powers if power.when]
        found = [power for power in conditional if self._roles.selects(power.when or "", access)]
        if not conditional:
            found = powers
        if len(found) != 1:
            unknown = {name for power in conditional for name in self._roles.unknown(power.when or "")}
            names = f"; not known what {', '.join(sorted(unknown))} are" if unknown else ""
            raise HardwareError(
                f"{self._where}: {self._cell.name} has {len(found)} internal_power groups of {clock} for a {access}, "
                f"it needs one{names}: give pins' roles ({', '.join(ROLES)}; ! where low is active) in the [pins] of a "
                f".toml file in --sram, or {access}_energy_pj in a [[macro]]"
            )
        return sum(table.at(self._clock_slew_ns) for table in (found[0].rise, found[0].fall) if table is not None)

    def _access_ns(self) -> float:
        clock = self._clock("read")
        delays = [
            table.at(self._clock_slew_ns, float(table.columns[-1]))
            + (arc.kind == "falling_edge") * self._high_ns(clock)
            for arc in self._cell.arcs
            if arc.related_pin == clock and arc.kind in ("rising_edge", "falling_edge")
            for name, table in arc.tables.items()
            if name in ("cell_rise", "cell_fall")
        ]
        if not delays:
            raise self._lacks(f"no delay from {clock} to its data", "access_ns")
        return max(delays)

    def _high_ns(self, clock: str) -> float:
        """The shortest high pulse of a clock; 0 where none is stated."""
        pulses = [arc.tables.get("rise_constraint") for arc in self._cell.arcs if arc.kind == "min_pulse_width"
                  and arc.pin == clock]  # fmt: skip
        return max((float(table.values.max()) for table in pulses if table is not None), default=0.0)
