"""Power of a mapped netlist from its nets' activity: internal and switching energy per cycle, and leakage.

Activity is an array, one number a net, so a uniform assumption and counts from real operands go the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError
from fewbits.hardware.energy.energy_model import CellBlock, Condition, EnergyModel
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.mapping.netlist import CONSTANT_ONE, CONSTANT_ZERO, Netlist
from fewbits.hardware.process.library.boolean import probability

CLOCK_TOGGLES = 2.0
"""Of a clock net in a cycle."""


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

    clock_pj: NDArray[np.float64]
    """The part of `internal_pj` that a clock's toggles take at a flip-flop's clock pin, shape (cells,)."""

    @property
    def dynamic_pj(self) -> NDArray[np.float64]:
        """Internal and switching energy of each cell."""
        return self.internal_pj + self.switching_pj


def uniform_activity(netlist: Netlist | EnergyModel, toggles_per_cycle: float) -> Activity:
    """The same toggles on every net, each net one half of the time; clock nets toggle twice, constants never.

    Raises HardwareError unless 0 <= toggles_per_cycle <= 2.
    """
    if not 0 <= toggles_per_cycle <= 2:
        raise HardwareError(f"toggles per net and cycle must be in 0 to 2, not {toggles_per_cycle!r}")
    toggles = np.full(netlist.net_count, toggles_per_cycle)
    duty = np.full(netlist.net_count, 0.5)
    toggles[netlist.clock_nets] = CLOCK_TOGGLES
    for net, level in ((CONSTANT_ZERO, 0.0), (CONSTANT_ONE, 1.0)):
        toggles[net], duty[net] = 0.0, level
    return Activity(toggles, duty)


def estimate(
    netlist: Netlist, activity: Activity, slews_ns: NDArray[np.float64], loads_pf: NDArray[np.float64]
) -> Power:
    """Energy per cycle and leakage of every cell of a netlist; see `energy_model` and `power_of`."""
    return power_of(energy_model(netlist, slews_ns, loads_pf), activity)


def power_of(model: EnergyModel, activity: Activity) -> Power:
    """Energy per cycle and leakage of every cell.

    A toggle of an output costs the mean of its events' energies, weighted by how often each may have caused it: the
    event's pin's toggles times the probability of its states, in which df/dx holds (F. Najm, "Transition density",
    DAC 1991). Energy without an output that follows is spent at its pin's toggles, in its states.
    Pins are taken as independent, but for a flip-flop's data and state, which differ at a clock edge as often as the
    state toggles. Leakage is the mean over the states that have their own figure, weighted by their probability.
    """
    internal, switching, leakage, clock = (np.zeros(model.cell_count) for _ in range(4))
    net_energy = model.net_pj * activity.toggles
    for block in model.blocks:
        states = _States(block, activity)
        leakage[block.cells] = _leakage(states)
        of_pins, of_clock = _pin_energy(model, states)
        clock[block.cells] = of_clock
        internal[block.cells] = _output_energy(states) + of_pins
        switching[block.cells] = _driven(block, net_energy)
    return Power(internal, switching, np.where(model.driven, 0.0, net_energy), leakage, clock)


def toggle_costs(
    model: EnergyModel, activity: Activity, components: NDArray[np.uint8], clock: int
) -> NDArray[np.float64]:
    """What one more toggle of each net costs by component, pJ, shares of states and arcs staying as they are.

    components: of each cell, 0 to clock - 1; nets of ports go to the last one, those of the clock to number `clock`.
    Result: shape (net_count, clock + 1); with the activity's toggles it sums to the dynamic energy of `power_of`.
    """
    costs = np.zeros((model.net_count, clock + 1))
    owner = np.full(model.net_count, clock - 1)
    for block in model.blocks:
        for function in block.kind.functions:
            nets = block.nets[:, function.output]
            owner[nets[nets >= 0]] = components[block.cells[nets >= 0]]
        states = _States(block, activity)
        for output in _outputs_with_events(block):
            _add(costs, block.nets[:, output], components[block.cells], toggle_energy(states, output))
        for number, event in enumerate(block.kind.events):
            if event.output is None:
                energy = states.block.energies_pj[:, number] * states.probability(event.condition)
                _add(costs, block.nets[:, event.pin], components[block.cells], energy)
    costs[np.arange(model.net_count), owner] += model.net_pj
    costs[model.clock_nets, clock] = costs[model.clock_nets].sum(axis=1)
    costs[model.clock_nets, :clock] = 0.0
    return costs


def _add(
    costs: NDArray[np.float64], nets: NDArray[np.int64], components: NDArray[np.uint8], energy: NDArray[np.float64]
) -> None:
    held = nets >= 0
    np.add.at(costs, (nets[held], components[held]), energy[held])


def _outputs_with_events(block: CellBlock) -> list[int]:
    return sorted({event.output for event in block.kind.events if event.output is not None})


class _States:
    """Probabilities of a block's pin states, one row an instance."""

    def __init__(self, block: CellBlock, activity: Activity) -> None:
        self.block = block
        self._activity = activity

    def __len__(self) -> int:
        return len(self.block.cells)

    def toggles(self, pin: int) -> NDArray[np.float64]:
        """Toggles per cycle at a pin, 0 where it is open; shape (n,)."""
        nets = self.block.nets[:, pin]
        return np.where(nets >= 0, self._activity.toggles[nets], 0.0)

    def probability(self, condition: Condition) -> NDArray[np.float64]:
        """Probability that a condition holds, shape (n,)."""
        duties = [self._duty(pin) for pin in condition.pins]
        stacked = np.stack(duties, axis=1) if duties else np.zeros((len(self), 0))
        pair = self._data_and_state(condition)
        if pair is None:
            return probability(condition.rows, stacked)
        return self._correlated(condition, stacked, *pair)

    def _duty(self, pin: int) -> NDArray[np.float64]:
        nets = self.block.nets[:, pin]
        return np.where(nets >= 0, self._activity.duty[nets], 0.5)

    def _data_and_state(self, condition: Condition) -> tuple[int, int, bool] | None:
        """Positions in the condition of the data pin and of an output with the state; whether that one is inverted."""
        if self.block.kind.data_and_states is None:
            return None
        data, shown = self.block.kind.data_and_states
        states = [(pin, inverted) for pin, inverted in shown if pin in condition.pins]
        if data not in condition.pins or not states:
            return None
        pin, inverted = min(states, key=lambda state: condition.pins.index(state[0]))
        return condition.pins.index(data), condition.pins.index(pin), inverted

    def _correlated(
        self, condition: Condition, duties: NDArray[np.float64], data: int, state: int, inverted: bool
    ) -> NDArray[np.float64]:
        """Data and state of a flip-flop differ as often as the state toggles, as far as its duty allows so many."""
        duty = duties[:, state]
        differ = np.minimum(self.toggles(condition.pins[state]), 2 * np.minimum(duty, 1.0 - duty))
        total = np.zeros(len(self))
        rows = np.arange(1 << len(condition.pins))
        for d in (0, 1):
            for q in (0, 1):
                held = (rows >> data & 1 == d) & (rows >> state & 1 == q)
                fixed = duties.copy()
                fixed[:, data], fixed[:, state] = d, q
                stored = 1 - q if inverted else q
                one = 1.0 - duty if inverted else duty
                share = differ / 2 if d != stored else (one if stored else 1.0 - one) - differ / 2
                total += share * probability(condition.rows & held, fixed)
        return total


def _leakage(states: _States) -> NDArray[np.float64]:
    """Leakage of each instance, uW."""
    kind = states.block.kind
    total, covered = np.zeros(len(states)), np.zeros(len(states))
    for condition, microwatts in kind.leakage_states:
        share = states.probability(condition)
        total += share * microwatts
        covered += share
    return np.where(covered > 0, total / np.where(covered > 0, covered, 1.0), kind.leakage_uw)


def _output_energy(states: _States) -> NDArray[np.float64]:
    """Energy per cycle of all outputs' toggles, shape (n,)."""
    total = np.zeros(len(states))
    for output in _outputs_with_events(states.block):
        total += toggle_energy(states, output) * states.toggles(output)
    return total


def toggle_energy(states: _States, output: int) -> NDArray[np.float64]:
    """Energy of one toggle of an output, shape (n,): the weighted mean of its events'."""
    energy, weights = np.zeros(len(states)), np.zeros(len(states))
    for number, event in enumerate(states.block.kind.events):
        if event.output == output:
            weight = states.probability(event.condition) * states.toggles(event.pin)
            weights += weight
            energy += weight * states.block.energies_pj[:, number]
    return energy / np.where(weights > 0, weights, 1.0)


def _pin_energy(model: EnergyModel, states: _States) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy per cycle of pins' own toggles, and the part of it that is the clock's; shape (n,) each."""
    total, clock = np.zeros(len(states)), np.zeros(len(states))
    for number, event in enumerate(states.block.kind.events):
        if event.output is None:
            share = states.probability(event.condition)
            energy = states.block.energies_pj[:, number] * share * states.toggles(event.pin)
            total += energy
            clock += np.where(np.isin(states.block.nets[:, event.pin], model.clock_nets), energy, 0.0)
    return total, clock


def _driven(block: CellBlock, net_energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energy on the nets that each instance drives, shape (n,)."""
    total = np.zeros(len(block.cells))
    for function in block.kind.functions:
        nets = block.nets[:, function.output]
        total += np.where(nets >= 0, net_energy[nets], 0.0)
    return total
