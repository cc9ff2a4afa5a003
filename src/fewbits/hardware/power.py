"""Power of a mapped netlist from toggles of its nets: internal and switching energy per cycle, and leakage.

Toggles are an array, one number a net, so a uniform assumption and counts from real operands go the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.boolean import boolean_difference, probability, truth_table, variables
from fewbits.hardware.liberty import Cell, InternalPower, Table
from fewbits.hardware.netlist import CONSTANT_ONE, CONSTANT_ZERO, CellGroup, Netlist
from fewbits.hardware.timing import FALL, RISE, TableBank


@dataclass(frozen=True, eq=False)
class Activity:
    """How often each net toggles and how long it is one."""

    toggles: NDArray[np.float64]
    """Rises and falls per clock cycle, shape (net_count,)."""

    duty: NDArray[np.float64]
    """Fraction of time at one, shape (net_count,)."""


@dataclass(frozen=True, eq=False)
class Power:
    """Energy of a clock cycle and leakage, by cell."""

    internal_pj: NDArray[np.float64]
    """Inside each cell, per cycle, shape (cells,)."""

    switching_pj: NDArray[np.float64]
    """On the nets that each cell drives: 1/2 C V^2 a toggle, shape (cells,)."""

    input_switching_pj: NDArray[np.float64]
    """On nets that ports drive, those of the clock included, shape (net_count,), 0 elsewhere."""

    leakage_uw: NDArray[np.float64]
    """Shape (cells,)."""

    @property
    def dynamic_pj(self) -> NDArray[np.float64]:
        """Internal and switching energy of each cell."""
        return self.internal_pj + self.switching_pj


def uniform_activity(netlist: Netlist, toggles_per_cycle: float) -> Activity:
    """The same toggles on every net, each net one half of the time; clock nets toggle twice, constants never.

    Raises HardwareError unless 0 <= toggles_per_cycle <= 2.
    """
    if not 0 <= toggles_per_cycle <= 2:
        raise HardwareError(f"toggles per net and cycle must be in 0 to 2, not {toggles_per_cycle!r}")
    toggles = np.full(netlist.net_count, toggles_per_cycle)
    duty = np.full(netlist.net_count, 0.5)
    toggles[netlist.clock_nets] = 2.0
    for net, level in ((CONSTANT_ZERO, 0.0), (CONSTANT_ONE, 1.0)):
        toggles[net], duty[net] = 0.0, level
    return Activity(toggles, duty)


def estimate(
    netlist: Netlist, activity: Activity, slews_ns: NDArray[np.float64], loads_pf: NDArray[np.float64]
) -> Power:
    """Energy per cycle and leakage of every cell.

    slews_ns, loads_pf: of each net for a fall and a rise, shape (net_count, 2), as `timing.analyze` and
    `Netlist.loads_pf` give them.

    A toggle of a cell's output costs the mean of its rise and fall energy, weighted over the inputs that may have
    caused it: input i with weight toggles_i x P(df/dx_i) (F. Najm, "Transition density", DAC 1991), split over the
    states in `when`. Energy without a related pin is spent at the toggles of that pin itself, also by `when`. A group
    without `when` is for the states that the others of its pins leave, and, for an input of a gate, only for those in
    which no output follows the input: where one does, the output's own groups hold the energy already.
    Pins are taken as independent, but for a flip-flop's data and state, which differ at a clock edge as often as the
    state toggles. Leakage is the mean over the states in `leakage_power`, weighted by their probability; a cell
    without them has its `cell_leakage_power`, and one with neither raises HardwareError.
    """
    cells = len(netlist.cell_names)
    internal, switching, leakage = np.zeros(cells), np.zeros(cells), np.zeros(cells)
    volts = netlist.library.voltage_v
    net_energy = 0.5 * loads_pf.mean(axis=1) * volts**2 * activity.toggles
    driven = np.zeros(netlist.net_count, dtype=bool)
    for group in netlist.groups:
        states = _States(group, activity)
        leakage[group.cells] = _leakage(group.cell, states, netlist)
        for output in group.cell.outputs:
            nets = group.pin(output)
            open_pin = nets < 0
            driven[nets[~open_pin]] = True
            switching[group.cells] += np.where(open_pin, 0.0, net_energy[nets])
            internal[group.cells] += np.where(
                open_pin, 0.0, _output_energy(group, output, states, activity, slews_ns, loads_pf)
            )
        for pin in group.cell.inputs:
            internal[group.cells] += _input_energy(group, pin, states, activity, slews_ns)
    return Power(internal, switching, np.where(driven, 0.0, net_energy), leakage)


@dataclass(frozen=True, eq=False)
class _Condition:
    """A set of states of some pins: a truth table over their names."""

    names: tuple[str, ...]
    table: NDArray[np.bool_]

    def over(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """The same over a larger list of names."""
        rows: NDArray[np.int64] = np.arange(2 ** len(names), dtype=np.int64)
        own = np.zeros_like(rows)
        for k, name in enumerate(self.names):
            own |= (rows >> names.index(name) & 1) << k
        return self.table[own]


class _States:
    """Probabilities of a group's pin states, one row an instance."""

    def __init__(self, group: CellGroup, activity: Activity) -> None:
        self._group = group
        self._activity = activity
        self._cell = group.cell
        self._stored = _stored_functions(group.cell)

    def probability(self, expression: str) -> NDArray[np.float64]:
        """Probability that an expression over the cell's pins is true, shape (n,)."""
        return self.share(expression, (), None)

    def share(
        self,
        when: str | None,
        others: tuple[str, ...],
        within: _Condition | None,
        unless: tuple[_Condition, ...] = (),
    ) -> NDArray[np.float64]:
        """Probability of the states that one group of several stands for, shape (n,).

        when: its condition; None for the states in which none of `others` holds. within: only of these states.
        unless: but not of these.
        """
        held = [when] if when else list(others)
        conditions = [_Condition(variables(text), truth_table(text, variables(text))) for text in held]
        parts = [*conditions, *([within] if within else []), *unless]
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        table = np.full(2 ** len(names), bool(when))
        for condition in conditions:
            table = table & condition.over(names) if when else table | condition.over(names)
        table = table if when else ~table
        if within is not None:
            table = table & within.over(names)
        for condition in unless:
            table = table & ~condition.over(names)
        duties = np.stack([self._duty(name) for name in names], axis=1) if names else np.zeros((len(self), 0))
        return self._joint(names, table, duties)

    def __len__(self) -> int:
        return len(self._group.cells)

    def _duty(self, name: str) -> NDArray[np.float64]:
        if name not in self._cell.pins:
            raise HardwareError(f"{self._cell.name}: an expression names {name!r}, which is no pin of it")
        nets = self._group.pin(name)
        return np.where(nets >= 0, self._activity.duty[nets], 0.5)

    def _joint(
        self, names: tuple[str, ...], table: NDArray[np.bool_], duties: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Probability with data and state of a flip-flop correlated, all else independent."""
        pair = _data_and_state(self._cell, self._stored, names)
        if pair is None:
            return probability(table, duties)
        data, state, inverted = pair
        differ = self._differ(names[state], duties[:, state])
        total = np.zeros(len(self))
        rows = np.arange(len(table))
        for d in (0, 1):
            for q in (0, 1):
                held = (rows >> data & 1 == d) & (rows >> state & 1 == q)
                fixed = duties.copy()
                fixed[:, data], fixed[:, state] = d, q
                stored = 1 - q if inverted else q
                one = 1.0 - duties[:, state] if inverted else duties[:, state]
                share = differ / 2 if d != stored else (one if stored else 1.0 - one) - differ / 2
                total += share * probability(table & held, fixed)
        return total

    def _differ(self, state: str, duty: NDArray[np.float64]) -> NDArray[np.float64]:
        """How often data and state differ: the state's toggles, as far as its duty allows so many."""
        nets = self._group.pin(state)
        toggles = np.where(nets >= 0, self._activity.toggles[nets], 0.0)
        return np.minimum(toggles, 2 * np.minimum(duty, 1.0 - duty))


def _stored_functions(cell: Cell) -> dict[str, bool]:
    """Output pins that show a flip-flop's state, and whether inverted."""
    if cell.flip_flop is None:
        return {}
    shown = {cell.flip_flop.state: False, cell.flip_flop.inverted_state: True}
    functions = {name: (cell.pins[name].function or "").strip("() ") for name in cell.outputs}
    return {name: shown[function] for name, function in functions.items() if function in shown}


def _data_and_state(cell: Cell, stored: dict[str, bool], names: tuple[str, ...]) -> tuple[int, int, bool] | None:
    """Positions in `names` of the data pin and of an output with the state, and whether that one is inverted."""
    states = [name for name in names if name in stored]
    if cell.flip_flop is None or cell.flip_flop.next_state not in names or not states:
        return None
    return names.index(cell.flip_flop.next_state), names.index(states[0]), stored[states[0]]


def _leakage(cell: Cell, states: _States, netlist: Netlist) -> NDArray[np.float64]:
    """Leakage of each instance, uW."""
    total, covered = np.zeros(len(states)), np.zeros(len(states))
    for when, microwatts in cell.leakage_states:
        share = states.probability(when)
        total += share * microwatts
        covered += share
    if cell.leakage_uw is None and not covered.all():
        raise HardwareError(f"{netlist.library.path}: {cell.name} has neither cell_leakage_power nor leakage_power")
    return np.where(covered > 0, total / np.where(covered > 0, covered, 1.0), cell.leakage_uw or 0.0)


def _output_energy(
    group: CellGroup,
    output: str,
    states: _States,
    activity: Activity,
    slews_ns: NDArray[np.float64],
    loads_pf: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Energy per cycle of one output's toggles, shape (n,)."""
    powers = [p for p in group.cell.powers if p.pin == output and p.related_pin in group.cell.pins]
    energy, weights = np.zeros(len(states)), np.zeros(len(states))
    nets = np.maximum(group.pin(output), 0)
    for power in powers:
        source = group.pin(power.related_pin or "")
        others = tuple(p.when for p in powers if p.related_pin == power.related_pin and p.when)
        caused = _caused(group.cell, output, power.related_pin or "")
        weight = states.share(power.when, others, caused) * np.where(source >= 0, activity.toggles[source], 0.0)
        weights += weight
        slews = slews_ns[np.maximum(source, 0)]
        energy += weight * _mean_energy(power, slews, loads_pf[nets], _senses(group.cell, output, power.related_pin))
    mean = energy / np.where(weights > 0, weights, 1.0)
    return mean * activity.toggles[nets]


def _caused(cell: Cell, output: str, pin: str) -> _Condition | None:
    """Where a gate's output depends on one of its inputs: df/dx. None for flip-flops and outputs without function."""
    function = cell.pins[output].function
    names = variables(function or "")
    if cell.flip_flop is not None or pin not in names:
        return None
    return _Condition(names, boolean_difference(truth_table(function or "", names), names.index(pin)))


def _senses(cell: Cell, output: str, related: str | None) -> tuple[tuple[int, int], ...]:
    """(edge of the input, edge of the output) of an arc; both where the file does not say."""
    for arc in cell.arcs:
        if arc.pin == output and arc.related_pin == related:
            if arc.kind in ("rising_edge", "falling_edge"):
                edge = RISE if arc.kind == "rising_edge" else FALL
                return ((edge, FALL), (edge, RISE))
            if arc.sense == "positive_unate":
                return ((FALL, FALL), (RISE, RISE))
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


def _input_energy(
    group: CellGroup, pin: str, states: _States, activity: Activity, slews_ns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Energy per cycle spent at the toggles of one input pin itself, shape (n,).

    A group without `when` that stands for the states left over: see `estimate`.
    """
    powers = [p for p in group.cell.powers if p.pin == pin and p.related_pin is None]
    whens = tuple(p.when for p in powers if p.when)
    followed = [c for output in group.cell.outputs if (c := _caused(group.cell, output, pin)) is not None]
    nets = group.pin(pin)
    connected = np.maximum(nets, 0)
    energy = np.zeros(len(states))
    for power in powers:
        unless = () if power.when else tuple(followed)
        each = _mean_energy(power, slews_ns[connected], np.zeros((len(states), 2)), ((FALL, FALL), (RISE, RISE)))
        energy += each * states.share(power.when, whens, None, unless)
    return np.where(nets >= 0, energy * activity.toggles[connected], 0.0)
