"""The internal energy that OpenSTA 2.0.17 (2019) reports, computed from the same tables by its accounting.

It differs from `power.power_of`, as was found on single gates and instances of each cell:
- a toggle is charged the rise and the fall energy together, not their mean;
- a group without `when` is added to those with one, and the weights of an output's groups are not brought to a sum of
  one: a group weighs as its `when` is likely; without one as the output depends on the pin, where the pin is an operand
  of the function's outermost operator; a clock's 1; any other 0.5;
- pins are independent, the output is not tied to its inputs, and a tied pin toggles like any other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.mapping.netlist import CellGroup, Netlist
from fewbits.hardware.mapping.timing import FALL, RISE, TableBank, Timing
from fewbits.hardware.process.library.boolean import probability, truth_table, variables
from fewbits.hardware.process.library.liberty import Cell, InternalPower


def internal_energy_pj(netlist: Netlist, timing: Timing, toggles: float) -> NDArray[np.float64]:
    """Energy per cycle inside each cell at one activity and duty 0.5 everywhere, shape (cells,)."""
    total = np.zeros(len(netlist.cell_names))
    for group, _, energy_pj in energies_by_table(netlist, timing, toggles):
        total[group.cells] += energy_pj
    return total


def energies_by_table(
    netlist: Netlist, timing: Timing, toggles: float
) -> Iterator[tuple[CellGroup, InternalPower, NDArray[np.float64]]]:
    """The same by `internal_power` group: what each adds at each instance of its cell."""
    loads = timing.load_pf.max(axis=1)
    for group in netlist.groups:
        for power in group.cell.powers:
            activity = 2.0 if power.pin == _clock(group.cell) else toggles
            yield group, power, activity * share(group.cell, power) * _rise_and_fall(group, power, timing, loads)


def is_added_default(cell: Cell, power: InternalPower) -> bool:
    """Whether a group without `when` stands beside others that have one."""
    arc = (power.pin, power.related_pin)
    return not power.when and any(other.when for other in cell.powers if (other.pin, other.related_pin) == arc)


def share(cell: Cell, power: InternalPower) -> float:
    """The weight of one group."""
    if power.when:
        return _duty(power.when)
    source = power.related_pin or power.pin
    if power.related_pin is not None:
        function = cell.pins[power.pin].function or ""
        if variables(function) == (source,):
            return 1.0
        operator, left, right = _outermost(function)
        for own, other in ((left, right), (right, left)):
            if own.strip("!() ") == source:
                return {"+": 1 - _duty(other), "*": _duty(other), "^": 0.5}[operator]
    return 1.0 if cell.pins[source].is_clock or source == _clock(cell) else 0.5


def _clock(cell: Cell) -> str:
    return cell.flip_flop.clocked_on.strip("!() ") if cell.flip_flop else ""


def _duty(expression: str) -> float:
    names = variables(expression)
    return float(probability(truth_table(expression, names), np.full(len(names), 0.5)))


def _outermost(function: str) -> tuple[str, str, str]:
    """The operator applied last and its operands, a negation of the whole apart; blanks where there is none."""
    text = function.replace(" ", "")
    while text.startswith(("!(", "(")) and _closing(text) == len(text) - 1:
        text = text[text.index("(") + 1 : -1]
    for operator in "+^*":
        depth = 0
        for place in range(len(text) - 1, -1, -1):
            depth += {")": 1, "(": -1}.get(text[place], 0)
            if text[place] == operator and depth == 0:
                return operator, text[:place], text[place + 1 :]
    return "", "", ""


def _closing(text: str) -> int:
    """Where the first parenthesis closes."""
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == ")" and depth == 0:
            return place
    return -1


def _rise_and_fall(
    group: CellGroup, power: InternalPower, timing: Timing, loads: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum of the rise and the fall energy at each instance."""
    sink = np.maximum(group.pin(power.pin), 0)
    source = np.maximum(group.pin(power.related_pin or power.pin), 0)
    senses = [a.sense for a in group.cell.arcs if (a.pin, a.related_pin) == (power.pin, power.related_pin)]
    negative = bool(senses) and senses[0] == "negative_unate"
    total = np.zeros(len(group.cells))
    for edge, table in ((FALL, power.fall), (RISE, power.rise)):
        if table is not None:
            slews = timing.slew_ns[source, 1 - edge if negative else edge]
            at = np.where(power.related_pin is None, 0.0, loads[sink])
            total += TableBank([table]).at(np.zeros(len(total), np.int64), slews, at)
    return total
