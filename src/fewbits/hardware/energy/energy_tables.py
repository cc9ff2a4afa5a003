"""From liberty tables to the energy model of a netlist: internal power by arc and state, switching, leakage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.energy.energy_model import CellBlock, CellKind, Condition, EnergyModel, Event, Function
from fewbits.hardware.mapping.netlist import CellGroup, Netlist
from fewbits.hardware.mapping.timing import FALL, RISE, TableBank
from fewbits.hardware.process.library.boolean import boolean_difference, truth_table, variables
from fewbits.hardware.process.library.liberty import Cell, InternalPower, Table

_BOTH_EDGES = ((FALL, FALL), (RISE, RISE))


def energy_model(netlist: Netlist, slews_ns: NDArray[np.float64], loads_pf: NDArray[np.float64]) -> EnergyModel:
    """The energies of a netlist's events at given transitions and loads.

    slews_ns, loads_pf: of each net for a fall and a rise, shape (net_count, 2), as `timing.analyze` and
    `Netlist.loads_pf` give them.

    An event of an output is a related pin's toggle in the states of one `internal_power` group; where a gate's output
    does not depend on the pin (df/dx is false) it is none. A group without `when` is for the states that the others of
    its pins leave, and, for an input of a gate, only for those in which no output follows the input: where one does,
    the output's own groups hold the energy already. An event costs the mean of its rise and fall energy.
    Raises HardwareError for a cell without any leakage figure, and for expressions over what is no pin.
    """
    return EnergyModel(
        name=netlist.name,
        net_count=netlist.net_count,
        cell_count=len(netlist.cell_names),
        blocks=tuple(_block(netlist, group, slews_ns, loads_pf) for group in netlist.groups),
        net_pj=0.5 * loads_pf.mean(axis=1) * netlist.library.voltage_v**2,
        clock_nets=netlist.clock_nets,
        ports={name: (port.direction, port.nets) for name, port in netlist.ports.items()},
    )


def _block(
    netlist: Netlist, group: CellGroup, slews_ns: NDArray[np.float64], loads_pf: NDArray[np.float64]
) -> CellBlock:
    cell = group.cell
    powers = [p for p in cell.powers if _is_counted(cell, p)]
    events = tuple(_event(cell, power) for power in powers)
    energies = np.zeros((len(group.cells), len(events)))
    for column, power in enumerate(powers):
        energies[:, column] = _energy(group, power, slews_ns, loads_pf)
    return CellBlock(
        kind=CellKind(
            name=cell.name,
            pins=tuple(cell.pins),
            functions=tuple(_functions(cell)),
            events=events,
            leakage_states=tuple((_condition(cell, when), uw) for when, uw in cell.leakage_states),
            leakage_uw=_leakage_uw(netlist, cell),
            data_and_states=_data_and_states(cell),
        ),
        cells=group.cells,
        nets=group.nets,
        energies_pj=energies,
    )


def _is_counted(cell: Cell, power: InternalPower) -> bool:
    """Whether a group is an output's for a pin, or an input's own."""
    direction = cell.pins[power.pin].direction
    if direction == "output":
        return power.related_pin in cell.pins
    return direction == "input" and power.related_pin is None


def _energy(
    group: CellGroup, power: InternalPower, slews_ns: NDArray[np.float64], loads_pf: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Energy of one group's event at each instance; nothing where a pin is open."""
    source = group.pin(power.related_pin or power.pin)
    sink = group.pin(power.pin)
    slews = slews_ns[np.maximum(source, 0)]
    if power.related_pin is None:
        energy = _mean_energy(power, slews, np.zeros_like(slews), _BOTH_EDGES)
    else:
        loads = loads_pf[np.maximum(sink, 0)]
        energy = _mean_energy(power, slews, loads, _senses(group.cell, power.pin, power.related_pin))
    return np.where((source >= 0) & (sink >= 0), energy, 0.0)


def _functions(cell: Cell) -> list[Function]:
    """What each output with a function computes; latches and outputs without one have none."""
    found: list[Function] = []
    pins = list(cell.pins)
    stored = _stored(cell)
    for name in cell.outputs:
        function, inverse = cell.pins[name].function, False
        if cell.flip_flop is not None:
            function, inverse = (cell.flip_flop.next_state, stored[name]) if name in stored else (None, False)
        names = variables(function or "")
        if function and not cell.is_latch and all(each in cell.pins for each in names):
            inputs = tuple(map(pins.index, names))
            table = _table(truth_table(function, names))
            found.append(Function(pins.index(name), inputs, table, cell.flip_flop is not None, inverse))
    return found


def _stored(cell: Cell) -> dict[str, bool]:
    """Output pins that show a flip-flop's state, and whether inverted."""
    if cell.flip_flop is None:
        return {}
    shown = {cell.flip_flop.state: False, cell.flip_flop.inverted_state: True}
    functions = {name: (cell.pins[name].function or "").strip("() ") for name in cell.outputs}
    return {name: shown[function] for name, function in functions.items() if function in shown}


def _data_and_states(cell: Cell) -> tuple[int, tuple[tuple[int, bool], ...]] | None:
    if cell.flip_flop is None:
        return None
    pins = list(cell.pins)
    data = pins.index(cell.flip_flop.next_state) if cell.flip_flop.next_state in cell.pins else -1
    return data, tuple((pins.index(name), inverted) for name, inverted in _stored(cell).items())


def _leakage_uw(netlist: Netlist, cell: Cell) -> float:
    """Leakage outside the states that have their own; their mean where the file states none."""
    if cell.leakage_uw is not None:
        return cell.leakage_uw
    if not cell.leakage_states:
        raise HardwareError(f"{netlist.library.path}: {cell.name} has neither cell_leakage_power nor leakage_power")
    return float(np.mean([uw for _, uw in cell.leakage_states]))


def _event(cell: Cell, power: InternalPower) -> Event:
    """Of a group: the pin, the output that follows, and the states that the group stands for."""
    pins = list(cell.pins)
    same = [p for p in cell.powers if p.pin == power.pin and p.related_pin == power.related_pin]
    others = [p.when for p in same if p.when]
    if power.related_pin is not None:
        caused = _caused(cell, power.pin, power.related_pin)
        condition = _states(cell, power.when, others, [caused] if caused else [], [])
        return Event(pins.index(power.related_pin), pins.index(power.pin), condition)
    followed = [c for output in cell.outputs if (c := _caused(cell, output, power.pin)) is not None]
    return Event(pins.index(power.pin), None, _states(cell, power.when, others, [], [] if power.when else followed))


def _states(
    cell: Cell, when: str | None, others: Sequence[str], within: Sequence[Condition], unless: Sequence[Condition]
) -> Condition:
    """The states of `when` (those of none of `others` if there is no `when`) within some sets and outside others."""
    held = [_condition(cell, text) for text in ([when] if when else others)]
    pins = tuple(dict.fromkeys(pin for part in (*held, *within, *unless) for pin in part.pins))
    table = np.full(1 << len(pins), bool(when))
    for part in held:
        table = table & _over(part, pins) if when else table | _over(part, pins)
    table = table if when else ~table
    for part in within:
        table = table & _over(part, pins)
    for part in unless:
        table = table & ~_over(part, pins)
    return Condition(pins, _table(table))


def _condition(cell: Cell, expression: str) -> Condition:
    names = variables(expression)
    unknown = [name for name in names if name not in cell.pins]
    if unknown:
        raise HardwareError(f"{cell.name}: an expression names {unknown[0]!r}, which is no pin of it")
    pins = list(cell.pins)
    return Condition(tuple(map(pins.index, names)), _table(truth_table(expression, names)))


def _over(condition: Condition, pins: tuple[int, ...]) -> NDArray[np.bool_]:
    """A condition's truth table over a larger list of pins."""
    rows: NDArray[np.int64] = np.arange(1 << len(pins), dtype=np.int64)
    own = np.zeros_like(rows)
    for k, pin in enumerate(condition.pins):
        own |= (rows >> pins.index(pin) & 1) << k
    return condition.rows[own]


def _table(rows: NDArray[np.bool_]) -> int:
    return sum(1 << row for row, value in enumerate(rows) if value)


def _caused(cell: Cell, output: str, pin: str) -> Condition | None:
    """Where a gate's output depends on one of its inputs: df/dx. None for flip-flops and outputs without function."""
    function = cell.pins[output].function
    names = variables(function or "")
    if cell.flip_flop is not None or pin not in names or any(name not in cell.pins for name in names):
        return None
    table = boolean_difference(truth_table(function or "", names), names.index(pin))
    pins = list(cell.pins)
    return Condition(tuple(map(pins.index, names)), _table(table))


def _senses(cell: Cell, output: str, related: str | None) -> tuple[tuple[int, int], ...]:
    """(edge of the input, edge of the output) of an arc; both where the file does not say."""
    for arc in cell.arcs:
        if arc.pin == output and arc.related_pin == related:
            if arc.kind in ("rising_edge", "falling_edge"):
                edge = RISE if arc.kind == "rising_edge" else FALL
                return ((edge, FALL), (edge, RISE))
            if arc.sense == "positive_unate":
                return _BOTH_EDGES
            if arc.sense == "negative_unate":
                return ((RISE, FALL), (FALL, RISE))
    return ((FALL, FALL), (RISE, FALL), (FALL, RISE), (RISE, RISE))


def _mean_energy(
    power: InternalPower,
    slews: NDArray[np.float64],
    loads: NDArray[np.float64],
    edges: tuple[tuple[int, int], ...],
) -> NDArray[np.float64]:
    """Mean of the rise and fall tables at each instance's transition and load."""
    tables = {FALL: power.fall, RISE: power.rise}
    values = [
        _lookup(table, slews[:, before], loads[:, after])
        for before, after in edges
        if (table := tables[after]) is not None
    ]
    return np.mean(values, axis=0) if values else np.zeros(len(slews))


def _lookup(table: Table, slews: NDArray[np.float64], loads: NDArray[np.float64]) -> NDArray[np.float64]:
    return TableBank([table]).at(np.zeros(len(slews), dtype=np.int64), slews, loads)
