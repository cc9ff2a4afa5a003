"""What assignments cost on the machine: exactly, and as the integer program adds it up.

A machine is built for the precisions that an assignment uses (`hardware.layer_costs`): its cost is the exact sum of its
layers' on it, narrower values' conversions between neighbours among them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fewbits.hardware import AnyAccelerator, Technology, layer_costs, workload_of
from fewbits.hardware.workload.own_precision import at_precisions
from fewbits.search.assignment import Neighbours, Numbers, Program
from fewbits.search.result import Costs, Objective

if TYPE_CHECKING:
    from torch import nn

    from fewbits.hardware import LayerCosts, LayerFigures
    from fewbits.hardware.workload.workload import Workload
    from fewbits.search.settings import Datapaths
    from fewbits.search.space import Choice, Space


@dataclass(frozen=True, eq=False)
class Machine:
    """A network's costs on an accelerator."""

    network: nn.Module
    """The float network, normalization folded."""

    input_shape: tuple[int, ...]
    space: Space
    technology: Technology
    accelerator: AnyAccelerator | None
    datapaths: Datapaths
    _known: dict[Choice, Costs] = field(default_factory=dict[tuple[int, ...], Costs])
    _built: dict[tuple[int, ...], LayerCosts] = field(default_factory=dict)

    def costs(self, choice: Choice) -> Costs:
        """Of an assignment. Raises HardwareError where the machine does not compute it."""
        if choice not in self._known:
            self._known[choice] = self._costs(choice)
        return self._known[choice]

    def figure(self, choice: Choice, objective: Objective) -> float:
        """What an objective makes small. Raises HardwareError likewise."""
        return self.costs(choice).of(objective)

    def programs(self, objective: Objective) -> tuple[Program, ...]:
        """The costs as integer programs: one for each widest precision where one datapath computes all, else one."""
        numbers = tuple(range(len(self.space.precisions)))
        sets = [numbers[widest:] for widest in numbers] if self.datapaths == "one" else [numbers]
        return tuple(self._program(objective, each) for each in sets)

    def _program(self, objective: Objective, numbers: tuple[int, ...]) -> Program:
        """On the machine of some precisions; the area of each counts where it is in use."""
        used = self._areas(numbers) if objective == "area" else np.zeros(len(self.space.precisions))
        return pair_program(self._machine(numbers), self.space, objective, used)

    def _areas(self, numbers: tuple[int, ...]) -> Numbers:
        areas = np.zeros(len(self.space.precisions))
        for number in numbers:
            areas[number] = self._machine((number,)).area_mm2
        return areas

    def _costs(self, choice: Choice) -> Costs:
        space, built = self.space, self._machine(tuple(sorted(set(choice))))
        of_layer = {
            layer: space.names[number] for unit, number in zip(space.units, choice, strict=True) for layer in unit
        }
        found = built.predicted(of_layer)
        return Costs(
            found.energy_uj,
            found.area_mm2,
            found.memory_kib,
            found.time_us,
            self._conversions_uj(built, of_layer),
            self._bit_operations(choice),
        )

    def _conversions_uj(self, built: LayerCosts, of_layer: dict[str, str]) -> float:
        """What layers take more because others take their results at another precision."""
        assigned = at_precisions(self._workload, of_layer, built.precisions[0])
        extra = 0.0
        for layer in assigned.layers:
            if layer.has_weights and layer.taken_at:
                own = layer.precision or built.precisions[0]
                extra += built.figures(layer.name, own, layer.taken_at).energy_uj
                extra -= built.figures(layer.name, own, frozenset([own])).energy_uj
        return extra

    def _machine(self, numbers: tuple[int, ...]) -> LayerCosts:
        """Built for some precisions, by their numbers."""
        if numbers not in self._built:
            names = [self.space.names[number] for number in numbers]
            self._built[numbers] = layer_costs(self._workload, names, self.technology, self.accelerator, self.datapaths)
        return self._built[numbers]

    def _bit_operations(self, choice: Choice) -> float:
        products = {layer.name: layer.products for layer in self._workload.layers if layer.products}
        return float(
            sum(
                products[layer] * self.space.precisions[number].weights.bits * self.space.precisions[number].inputs.bits
                for unit, number in zip(self.space.units, choice, strict=True)
                for layer in unit
            )
        )

    @cached_property
    def _workload(self) -> Workload:
        return workload_of(self.network, self.input_shape)


def pair_program(built: LayerCosts, space: Space, objective: Objective, used: Numbers) -> Program:
    """Costs of neighbours' precisions as an integer program: exactly those of any assignment on that machine.

    used: by precision, what it costs that any layer has it.
    """
    numbers = {name: space.names.index(name) for name in built.precisions}
    unit_of = {layer: unit for unit, layers in enumerate(space.units) for layer in layers}
    groups: dict[tuple[int, ...], int] = {}
    nodes: dict[int, Numbers] = {unit: np.zeros(len(space.names)) for unit in range(len(space.units))}
    for unit in range(len(space.units)):
        nodes[unit][[number for number in range(len(space.names)) if number not in numbers.values()]] = np.nan
    neighbours: list[Neighbours] = []
    constant = 0.0
    for pair in built.pairs:
        maker = unit_of.get(pair.layer)
        takers = tuple(sorted({unit_of[taker] for taker in pair.takers}))
        taker = None if not takers else takers[0] if len(takers) == 1 else groups.setdefault(takers, len(nodes))
        if taker is not None:
            nodes.setdefault(taker, np.zeros(len(space.names)))
        costs = np.full((len(space.names), len(space.names)), np.nan)
        for (own, taken), figures in pair.figures.items():
            row = slice(None) if own is None else numbers[own]
            column = slice(None) if taken is None else numbers[taken]
            costs[row, column] = _part(figures, objective, built)
        if maker is None and taker is None:
            constant += float(costs[0, 0])
        elif taker is None or maker == taker:
            assert maker is not None
            nodes[maker] += costs.diagonal()
        elif maker is None:
            nodes[taker] += np.nan_to_num(costs[0])
        else:
            own_costs, extra = _split(costs, numbers.values())
            nodes[maker] += own_costs
            if extra.any():
                neighbours.append(Neighbours(maker, taker, extra))
    widths = _places(built, space) if groups else ()
    return Program(np.stack(list(nodes.values())), used, tuple(neighbours), tuple(groups), widths, constant)


def _split(costs: Numbers, built: Collection[int]) -> tuple[Numbers, Numbers]:
    """Costs of two precisions as those of the first's own where the second is the same, and what others add."""
    own = costs.diagonal().copy()
    extra = np.zeros_like(costs)
    chosen = list(built)
    extra[np.ix_(chosen, chosen)] = np.nan_to_num(costs[np.ix_(chosen, chosen)] - own[chosen, None])
    return own, extra


def _places(built: LayerCosts, space: Space) -> tuple[int, ...]:
    """The precisions' places in the order of widths, widest first; those that are not built come last."""
    left, ordered = set(built.precisions), list[str]()
    while left:
        ordered.append(built.widest(frozenset(left)))
        left.remove(ordered[-1])
    return tuple(ordered.index(name) if name in ordered else len(ordered) for name in space.names)


def _part(one: LayerFigures, objective: Objective, built: LayerCosts) -> float:
    """A layer's part of what an objective makes small; of the area, which no layer has alone, none."""
    match objective:
        case "energy":
            return one.energy_uj
        case "latency":
            return one.cycles / built.clock_mhz
        case "memory":
            return one.parameter_bits / 8 / 1024
        case "area":
            return 0.0
