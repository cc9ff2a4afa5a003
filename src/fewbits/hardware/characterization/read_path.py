"""What a row passes between an SRAM macro and the operand register: selection among banks, the register's setup."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from fewbits.hardware.mapping.timing import Conditions, setup_ns
from fewbits.hardware.process.library.boolean import truth_table, variables
from fewbits.hardware.process.library.liberty import Cell, Library
from fewbits.hardware.process.technology import ReadPath, rounded

NO_SELECTION = "no two-to-one multiplexer: the selection among a buffer's banks takes no time"


def read_path(library: Library, conditions: Conditions) -> ReadPath:
    """Setup of the library's smallest flip-flop, and the delay of its smallest multiplexer of two.

    The multiplexer bears a wire to one pin and the largest data pin of itself and of the flip-flop; its delay is the
    longest from a data pin, behind a macro (transition as of an input port) or behind another one like it. Without
    such a cell it is 0. Raises HardwareError if the library has no plain flip-flop.
    """
    multiplexers = [
        (cell, data) for cell in library.cells.values() if not cell.dont_use and (data := _data_pins(cell)) is not None
    ]
    setup = max(rounded(setup_ns(library, conditions)), 0.0)  # a negative one would lengthen the period
    if not multiplexers:
        return ReadPath(setup, 0.0)
    cell, data = min(multiplexers, key=lambda found: (found[0].area_um2, found[0].name))
    return ReadPath(setup, rounded(_delay_ns(library, conditions, cell, data)))


def _data_pins(cell: Cell) -> tuple[str, str] | None:
    """The two pins that a multiplexer selects from, inverting or not; None for another cell."""
    if cell.flip_flop is not None or cell.is_latch or len(cell.inputs) != 3 or len(cell.outputs) != 1:
        return None
    function = cell.pins[cell.outputs[0]].function or ""
    if set(variables(function)) != set(cell.inputs):
        return None
    for select, first, second in permutations(cell.inputs):
        values = truth_table(function, (select, first, second))
        wanted = truth_table(f"(!{select}&{first})|({select}&{second})", (select, first, second))
        if np.array_equal(values, wanted) or np.array_equal(values, ~wanted):
            return first, second
    return None


def _delay_ns(library: Library, conditions: Conditions, cell: Cell, data: tuple[str, str]) -> float:
    flop = min(library.flip_flops(), key=lambda one: one.area_um2)
    register = flop.pins[flop.flip_flop.next_state if flop.flip_flop else ""].capacitance_pf
    wire = float(conditions.wire.at(np.array([1]))[0]) if conditions.wire else 0.0
    load = wire + max(register, *(cell.pins[pin].capacitance_pf for pin in data))
    tables = [arc.tables for arc in cell.arcs if arc.related_pin in data and arc.kind == "combinational"]

    def longest(names: tuple[str, str], slew_ns: float) -> float:
        return max(each[name].at(slew_ns, load) for each in tables for name in names if name in each)

    behind_itself = longest(("rise_transition", "fall_transition"), conditions.input_slew_ns)
    return max(longest(("cell_rise", "cell_fall"), slew) for slew in (conditions.input_slew_ns, behind_itself))
