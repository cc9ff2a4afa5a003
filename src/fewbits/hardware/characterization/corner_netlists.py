"""A netlist on another corner's library: the same cells by name, so that one synthesis serves all corners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist
from fewbits.hardware.mapping.netlist import CellGroup, Netlist, Port
from fewbits.hardware.process.library.boolean import truth_table, variables
from fewbits.hardware.process.library.liberty import Cell, Library

_AREA_TOLERANCE = 1e-6
"""Of the areas of one cell in two corners' files, relative: they are one layout, written with other digits at most."""


def on_library(netlist: Netlist, library: Library) -> Netlist:
    """The same netlist of another corner's cells.

    Raises HardwareError if the library lacks a cell, or its cell has other pins, functions or another area.
    """
    groups: list[CellGroup] = []
    for group in netlist.groups:
        cell = _same_cell(group.cell, library)
        order = [list(group.cell.pins).index(pin) for pin in cell.pins]
        groups.append(CellGroup(cell, group.cells, group.nets[:, order]))
    return replace(netlist, library=library, groups=tuple(groups))


def _same_cell(cell: Cell, library: Library) -> Cell:
    """A library's cell of the same name. Raises HardwareError if there is none, or it is another cell."""
    found = library.cells.get(cell.name)
    if found is None:
        raise HardwareError(
            f"{library.path}: no cell {cell.name}, which the typical library has: give a corner of the same library"
        )
    differs = ""
    if {name: pin.direction for name, pin in cell.pins.items()} != {
        name: pin.direction for name, pin in found.pins.items()
    }:
        differs = "other pins"
    elif any(not _is_same_function(pin.function, found.pins[name].function) for name, pin in cell.pins.items()):
        differs = "another function"
    elif cell.flip_flop != found.flip_flop:
        differs = "another flip-flop"
    elif abs(cell.area_um2 - found.area_um2) > _AREA_TOLERANCE * cell.area_um2:
        differs = f"another area, {found.area_um2:g} um2 and not {cell.area_um2:g}"
    if differs:
        raise HardwareError(
            f"{library.path}: cell {cell.name} has {differs} than in the typical library: give a corner of that one"
        )
    return found


def _is_same_function(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return one == other
    names = variables(one)
    if set(names) != set(variables(other)):
        return False
    return bool(np.array_equal(truth_table(one, names), truth_table(other, names)))


def netlist_of(compiled: CompiledNetlist, library: Library) -> Netlist:
    """The netlist that a compiled one was made from, cells and nets numbered as there; instances are its components.

    Raises HardwareError if the library is not the one that it was made with.
    """
    if compiled.provenance.get("liberty_sha256") != library.sha256:
        raise HardwareError(
            f"{library.path}: not the library that the netlist of {compiled.precision} was made with, "
            f"{compiled.provenance.get('liberty', 'of no name')}: give that one, or make the table anew"
        )
    model = compiled.model
    groups: list[CellGroup] = []
    for block in model.blocks:
        cell = library.cells[block.kind.name]
        groups.append(CellGroup(cell, block.cells, block.nets))
    return Netlist(
        name=model.name,
        library=library,
        net_count=model.net_count,
        cell_names=tuple(f"cell{number}" for number in range(model.cell_count)),
        instances=tuple(compiled.component_names[number] for number in compiled.components.tolist()),
        groups=tuple(groups),
        ports={name: Port(direction, nets) for name, (direction, nets) in model.ports.items()},
    )
