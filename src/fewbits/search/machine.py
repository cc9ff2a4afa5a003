"""What assignments cost on the machine: exactly, and as the integer program adds it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from torch import nn

from fewbits.errors import HardwareError
from fewbits.hardware import AnyAccelerator, Cost, Technology, cost, workload_of
from fewbits.hardware.workload.workload import Workload
from fewbits.quantization import quantize
from fewbits.search.assignment import Numbers, Program
from fewbits.search.result import Costs, Objective
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
    _known: dict[Choice, Costs] = field(default_factory=dict[Choice, Costs])

    def costs(self, choice: Choice) -> Costs:
        """Of an assignment. Raises HardwareError where the machine does not compute it."""
        if self.datapaths == "composable":
            raise HardwareError(
                "costs of a composable datapath by layer are not in this version: give --datapaths one or each"
            )
        if choice not in self._known:
            made = self._each(choice) if self.datapaths == "each" else self._one(choice)
            self._known[choice] = made
        return self._known[choice]

    def figure(self, choice: Choice, objective: Objective) -> float:
        """What an objective makes small, of many choices faster than `costs`. Raises HardwareError likewise."""
        if choice in self._known or self.datapaths != "each" or objective == "memory":
            return self.costs(choice).of(objective)
        energy_uj, area_mm2, time_us = self._sums(choice)
        return {"energy": energy_uj, "area": area_mm2, "latency": time_us}[objective]

    def programs(self, objective: Objective) -> tuple[Program, ...]:
        """The costs as integer programs: one where each precision has its datapath, else one for each widest one."""
        numbers = range(len(self.space.precisions))
        if self.datapaths == "each":
            return (self._program(objective, 0),)
        return tuple(self._program(objective, widest) for widest in numbers)

    def _program(self, objective: Objective, widest: int) -> Program:
        """Costs of single changes, from all units at one precision; wider ones are none of this machine's."""
        space = self.space
        start = space.uniform(widest)
        base = self.figure(start, objective)
        units = np.zeros((len(space.units), len(space.precisions)))
        for unit in range(len(space.units)):
            for number in range(len(space.precisions)):
                units[unit, number] = self._change(objective, start, base, unit, number) if number >= widest else np.nan
        return Program(units, self._used(objective), constant=base)

    def _change(self, objective: Objective, start: Choice, base: float, unit: int, number: int) -> float:
        changed = self.space.with_unit(start, unit, number)
        if self.datapaths == "each" and objective == "area":
            return 0.0
        try:
            return self.figure(changed, objective) - base
        except HardwareError:
            return float("nan")

    def _used(self, objective: Objective) -> Numbers:
        if self.datapaths != "each" or objective != "area":
            return np.zeros(len(self.space.precisions))
        return np.array([one.area_mm2 for one in self._uniform])

    def _one(self, choice: Choice) -> Costs:
        """One datapath, of the widest precision in use, computes all layers."""
        space = self.space
        model = quantize(self.network, space.main(choice), layers=space.layer_precisions(choice))
        found = self._cost(workload_of(model, self.input_shape), choice)
        return self._told(found, choice, found.energy_uj, found.area_mm2)

    def _each(self, choice: Choice) -> Costs:
        """A machine for each precision in use: the sum of the layers' shares of the uniform costs."""
        energy_uj, area_mm2, time_us = self._sums(choice)
        memory_kib = self._uniform[choice[0]].memory_kib if len(set(choice)) == 1 else self._one(choice).memory_kib
        return Costs(energy_uj, area_mm2, memory_kib, time_us, 0.0, self._bit_operations(choice))

    def _sums(self, choice: Choice) -> tuple[float, float, float]:
        """Energy, area and time."""
        space, uniform = self.space, self._uniform
        of_layer = {layer: number for unit, number in zip(space.units, choice, strict=True) for layer in unit}
        number, energy_uj, time_us = choice[0], 0.0, 0.0
        for index, layer in enumerate(uniform[0].breakdown.layers):
            number = of_layer.get(layer.name, number)  # pooling and additions stay where their operands were made
            energy_uj += uniform[number].breakdown.layers[index].energy_uj
            time_us += uniform[number].breakdown.layers[index].cycles / uniform[number].clock_mhz
        return energy_uj, sum(uniform[one].area_mm2 for one in sorted(set(choice))), time_us

    def _told(self, found: Cost, choice: Choice, energy_uj: float, area_mm2: float) -> Costs:
        return Costs(energy_uj, area_mm2, found.memory_kib, found.time_us, 0.0, self._bit_operations(choice))

    def _bit_operations(self, choice: Choice) -> float:
        products = self._products
        return float(
            sum(
                products[layer] * self.space.precisions[number].weights.bits * self.space.precisions[number].inputs.bits
                for unit, number in zip(self.space.units, choice, strict=True)
                for layer in unit
            )
        )

    @cached_property
    def _products(self) -> dict[str, int]:
        return {layer.name: layer.products for layer in self._workload.layers if layer.products}

    @cached_property
    def _workload(self) -> Workload:
        return workload_of(self.network, self.input_shape)

    @cached_property
    def _uniform(self) -> tuple[Cost, ...]:
        return tuple(self._uniform_costs())

    def _uniform_costs(self) -> Iterator[Cost]:
        for number in range(len(self.space.precisions)):
            yield self._cost(self._workload, self.space.uniform(number))

    def _cost(self, workload: Workload, choice: Choice) -> Cost:
        return cost(workload, self.space.main(choice), technology=self.technology, accelerator=self.accelerator)
