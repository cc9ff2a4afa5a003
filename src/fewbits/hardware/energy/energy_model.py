"""What a netlist's toggles cost: cells by kind, the energy of each event at each instance, of each net, and leakage.

It holds figures derived from a library for one netlist and nothing of the library itself, so that power can be had
without one. `energy_tables.energy_model` makes it from liberty tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Condition:
    """A set of states of some pins of a cell."""

    pins: tuple[int, ...]
    """Positions among the cell's pins."""

    table: int
    """Bit i tells whether the state in which pin k of `pins` has bit k of i is in the set."""

    @property
    def rows(self) -> NDArray[np.bool_]:
        """The truth table, shape (2**len(pins),)."""
        return np.array([self.table >> row & 1 for row in range(1 << len(self.pins))], dtype=bool)


@dataclass(frozen=True)
class Event:
    """A kind of toggle that takes energy inside a cell: of a pin, in some states."""

    pin: int
    """Position of the pin that toggles: the related pin of an output's energy."""

    output: int | None
    """Position of the output that follows. Its toggles cost the mean of its events' energies, weighted by how often
    each occurs. None for energy spent whenever the pin toggles."""

    condition: Condition


@dataclass(frozen=True)
class Function:
    """What an output computes; for a flip-flop, what it takes at the clock's rising edge."""

    output: int
    inputs: tuple[int, ...]
    table: int
    is_register: bool = False
    shows_inverse: bool = False


@dataclass(frozen=True)
class CellKind:
    """One library cell as far as activity and power need it."""

    name: str
    pins: tuple[str, ...]
    functions: tuple[Function, ...]
    events: tuple[Event, ...]
    leakage_states: tuple[tuple[Condition, float], ...]
    """uW in the states that a condition holds for."""

    leakage_uw: float
    """For the states that none holds for."""

    data_and_states: tuple[int, tuple[tuple[int, bool], ...]] | None = None
    """Of a flip-flop: position of its data pin; positions of outputs that show its state, and whether inverted."""


@dataclass(frozen=True, eq=False)
class CellBlock:
    """All instances of one kind."""

    kind: CellKind
    cells: NDArray[np.int64]
    """Their numbers, shape (n,)."""

    nets: NDArray[np.int64]
    """Net at each pin, -1 where open; shape (n, pins)."""

    energies_pj: NDArray[np.float64]
    """Of each event, at the instance's transitions and load; shape (n, events)."""


@dataclass(frozen=True, eq=False)
class EnergyModel:
    """A netlist with its energies."""

    name: str
    net_count: int
    cell_count: int
    blocks: tuple[CellBlock, ...]
    net_pj: NDArray[np.float64]
    """Energy of a toggle on each net: 1/2 C V^2; shape (net_count,)."""

    clock_nets: NDArray[np.int64]
    ports: dict[str, tuple[str, NDArray[np.int64]]]
    """Direction and nets of each port, least significant bit first."""

    @cached_property
    def sequential(self) -> NDArray[np.bool_]:
        """Which cells are flip-flops, shape (cell_count,)."""
        found = np.zeros(self.cell_count, dtype=bool)
        for block in self.blocks:
            found[block.cells] = block.kind.data_and_states is not None
        return found

    @cached_property
    def driven(self) -> NDArray[np.bool_]:
        """Which nets a cell drives, shape (net_count,)."""
        found = np.zeros(self.net_count, dtype=bool)
        for block in self.blocks:
            for function in block.kind.functions:
                nets = block.nets[:, function.output]
                found[nets[nets >= 0]] = True
        return found
