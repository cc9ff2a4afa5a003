"""What a standard-cell library lacks: what cannot be done without is refused, the rest gets a fallback that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fewbits.errors import HardwareError
from fewbits.hardware.library.boolean import MAXIMUM_VARIABLES, truth_table, variables
from fewbits.hardware.library.liberty import Cell, Library

_SHOWN = 4
"""Cells that a note names."""


@dataclass(frozen=True)
class CompleteLibrary:
    """A library that synthesis, timing and power can work with, and what was assumed to make it so."""

    library: Library
    notes: tuple[str, ...]
    """One line for each fallback; empty where nothing was missing."""


def complete(library: Library) -> CompleteLibrary:
    """The library with its fallbacks in place.

    Cells without area or without delay tables are set aside (`dont_use`): they would be mapped as if they were free.
    A cell without leakage leaks nothing, one without internal power spends nothing inside, a flip-flop without setup
    constraints needs no setup time, and without a wire-load model nets bear their pins alone; each is noted.
    Raises HardwareError if no cell with area has delay tables, or if an inverter, a buffer, a two-input gate or a
    plain flip-flop is missing.
    """
    cells = [cell for cell in library.cells.values() if _is_logic(cell)]
    if not any(_has_delays(cell) for cell in cells):
        raise HardwareError(
            f"{library.path}: no logic cell has delay tables (cell_rise, cell_fall with transitions); other delay "
            "models are not read: give a library with delay_model table_lookup"
        )
    no_area = [cell.name for cell in cells if cell.area_um2 == 0]
    no_delay = [cell.name for cell in cells if cell.area_um2 > 0 and not _has_delays(cell)]
    set_aside = {*no_area, *no_delay}
    usable = [cell for cell in cells if cell.name not in set_aside]
    _require(library, usable)
    no_leakage = [cell.name for cell in usable if cell.leakage_uw is None and not cell.leakage_states]
    notes = [
        _note(no_area, "no area", "not used"),
        _note(no_delay, "no delay tables", "not used"),
        _note([c.name for c in usable if not c.powers], "no internal power", "counted as 0: dynamic energy is that of "
              "the nets alone", len(usable)),
        _note(no_leakage, "no leakage", "counted as 0", len(usable)),
        _note([c.name for c in usable if c.flip_flop and not _has_setup(c)], "no setup time", "counted as 0"),
        "" if library.wire_load else "no wire-load model: nets bear the load of their pins alone",
    ]  # fmt: skip
    return CompleteLibrary(
        replace(library, cells={name: _adapted(cell, set_aside, no_leakage) for name, cell in library.cells.items()}),
        tuple(note for note in notes if note),
    )


def _adapted(cell: Cell, set_aside: set[str], no_leakage: Sequence[str]) -> Cell:
    if cell.name in set_aside:
        return replace(cell, dont_use=True)
    return replace(cell, leakage_uw=0.0) if cell.name in no_leakage else cell


def _is_logic(cell: Cell) -> bool:
    """Whether mapping may use it: an edge-triggered flip-flop, or a gate whose outputs all have functions."""
    if cell.dont_use or cell.is_latch or not cell.outputs:
        return False
    if cell.flip_flop is not None:
        return cell.flip_flop.clocked_on.strip("!()' ") in cell.pins
    return bool(cell.inputs) and all(cell.pins[name].function for name in cell.outputs)


def _has_delays(cell: Cell) -> bool:
    """Whether each output has a delay and a transition, for a rise and for a fall."""
    return all(
        {"cell_rise", "cell_fall", "rise_transition", "fall_transition"}
        <= {name for arc in cell.arcs if arc.pin == output for name in arc.tables}
        for output in cell.outputs
    )


def _has_setup(cell: Cell) -> bool:
    return any(arc.kind in ("setup_rising", "setup_falling") for arc in cell.arcs)


def _require(library: Library, usable: Sequence[Cell]) -> None:
    names = {cell.name for cell in usable}
    gates = [_table(library, cell) for cell in usable if cell.flip_flop is None and len(cell.outputs) == 1]
    missing = [
        what
        for what, found in (
            ("no inverter", "10" in gates),
            ("no buffer", "01" in gates),
            ("no two-input nand, nor, and or or gate", bool({"1110", "1000", "0001", "0111"} & set(gates))),
            ("no plain flip-flop (one data input, no scan)", any(c.name in names for c in library.flip_flops())),
        )
        if not found
    ]
    if missing:
        raise HardwareError(f"{library.path}: the library has {missing[0]} with area and delays: synthesis needs one")


def _table(library: Library, cell: Cell) -> str:
    """The values of a gate's function, first that at no input set: `10` is an inverter, `1110` a nand."""
    function = cell.pins[cell.outputs[0]].function or ""
    try:
        names = variables(function)
        if unknown := set(names) - set(cell.pins):
            raise HardwareError(f"function {function[:60]!r} names {min(unknown)!r}, which is no pin")
        values = truth_table(function, names) if len(names) <= MAXIMUM_VARIABLES else ()
    except HardwareError as error:
        raise HardwareError(f"{library.path}: cell {cell.name}: {error}") from None
    return "".join(str(int(value)) for value in values)


def _note(cells: Sequence[str], what: str, then: str, of: int | None = None) -> str:
    """`3 cells have no area (a, b, c): not used`; empty for no cells."""
    if not cells:
        return ""
    named = ", ".join(cells[:_SHOWN]) + (", ..." if len(cells) > _SHOWN else "")
    count = f"{len(cells)}" + (f" of {of}" if of is not None else "")
    return f"{what} in {count} cells ({named}): {then}"
