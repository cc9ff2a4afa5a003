"""The cost of each layer at each precision on one machine, so that the cost of any assignment is their exact sum.

What is not a sum over layers is fixed first: the machine is built for all of the precisions (`built_for` of `cost`),
with their datapaths and the circuits that convert between each two of them. Then area, clock and leakage are the same
for every assignment, and a layer's energy, cycles and transfers depend on its own precision and on the formats of those
that take its result. The leakage of the whole chip in a layer's cycles is part of the layer's energy. An assignment
that uses fewer of the precisions may leave datapaths out: take `layer_costs` of these alone, one set after the other.
Values in memory are the one figure that is a maximum over layers, not a sum (`Prediction.activation_bits`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.costing.chip import Chip, check_sums, chip_of, family_of, taken_at, takes_sums
from fewbits.hardware.costing.datapaths import DEFAULT_DATAPATHS, Request, datapaths_named, machine_for
from fewbits.hardware.costing.network_cost import activation_bits, parameter_bits
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.process.datapath_key import DEFAULT_MULTIPLIER
from fewbits.hardware.process.technology import Technology
from fewbits.hardware.workload.own_precision import at_precisions
from fewbits.hardware.workload.workload import LayerShape, Workload

if TYPE_CHECKING:
    from fewbits.formats import Precision


@dataclass(frozen=True)
class LayerFigures:
    """One layer of one image at a precision, or what these change by (`LayerCosts.conversion_costs`)."""

    energy_uj: float
    """Dynamic energy, and the leakage of the whole chip in the layer's cycles; none of the memory off the chip."""

    cycles: int
    """At the chip's clock."""

    parameter_bits: int
    """Of weights, biases and shifts."""

    traffic_bits: int
    """Between the chip and its memory."""

    def less(self, other: LayerFigures) -> LayerFigures:
        """What is added to another's figures for these."""
        return LayerFigures(
            self.energy_uj - other.energy_uj,
            self.cycles - other.cycles,
            self.parameter_bits - other.parameter_bits,
            self.traffic_bits - other.traffic_bits,
        )


@dataclass(frozen=True)
class PairCosts:
    """One layer's part of a network's cost: by its own precision, and that at which its result is taken."""

    layer: str
    takers: frozenset[str]
    """Layers with weights that take the result; empty for a network's last layers."""

    figures: Mapping[tuple[str | None, str | None], LayerFigures]
    """By the layer's own precision, None for pooling and additions, which have none; and by the precision of the
    takers, None where there are none. Without precisions at which the layer's sums could overflow.
    """


@dataclass(frozen=True)
class Prediction:
    """What a network costs at an assignment, summed up from its layers."""

    energy_uj: float
    """The exact sum of the layers', rounded once (`math.fsum`)."""

    cycles: int
    area_mm2: float
    time_us: float
    parameter_bits: int
    activation_bits: int
    """Most bits of values in memory at a time."""

    traffic_bits: int

    @property
    def memory_kib(self) -> float:
        """As `Cost.memory_kib`."""
        return self.parameter_bits / 8 / 1024 + self.activation_bits / 8 / 1024


@dataclass(frozen=True, eq=False)
class LayerCosts:
    """The costs of a network's layers on a machine that is built for some precisions."""

    workload: Workload
    precisions: tuple[str, ...]
    """Names, that of the network's layers without a choice first."""

    _chip: Chip
    _found: dict[tuple[str, frozenset[str | None]], dict[str, LayerFigures]] = field(
        default_factory=dict[tuple[str, frozenset[str | None]], dict[str, LayerFigures]], repr=False
    )

    @property
    def area_mm2(self) -> float:
        """Of the machine."""
        return sum(
            sum(part[name].area_um2 for part in self._chip.parts) * 1e-6
            for name in dict.fromkeys(name for parts in self._chip.parts for name in parts)
        )

    @property
    def clock_mhz(self) -> float:
        """Of the machine, whatever works."""
        return self._chip.clock.mhz

    @property
    def leakage_uw(self) -> float:
        """Of the whole machine, at any time."""
        return sum(part.leakage_uw for part in self._chip.parts[0].values())

    def figures(self, layer: str, precision: str, taken: frozenset[str | None]) -> LayerFigures:
        """A layer at a precision, its result taken at some; pooling and additions have these alone.

        Raises HardwareError for sums that could overflow, and for what the machine is not built for.
        """
        self._check_built({precision, *taken})
        if (precision, taken) not in self._found:
            self._found[precision, taken] = self._measured(precision, taken)
        found = self._found[precision, taken]
        if layer not in found:
            raise HardwareError(f"no layer {layer!r} that the datapath of {precision} computes: {', '.join(found)}")
        return found[layer]

    @cached_property
    def costs(self) -> Mapping[str, Mapping[str, LayerFigures]]:
        """By the layer's name and a precision: where what takes the result has the same. Without those at which sums
        could overflow; pooling and additions are at the precision of what takes their result.
        """
        return {
            layer.name: {
                name: self.figures(layer.name, name, frozenset([name]))
                for name in self.precisions
                if self._computes(layer, name)
            }
            for layer in self.workload.layers
        }

    @cached_property
    def conversion_costs(self) -> Mapping[str, Mapping[tuple[str, str], LayerFigures]]:
        """By the name of a layer with weights, its precision and another of what takes the result: what that adds to
        `costs`. Where several take it, the widest format counts; the last layer has none.
        """
        return {
            layer.name: {
                (name, taken): self.figures(layer.name, name, frozenset([taken])).less(self.costs[layer.name][name])
                for name in self.costs[layer.name]
                for taken in self.precisions
                if taken != name
            }
            for layer in self.workload.layers
            if layer.has_weights and layer.consumers
        }

    @cached_property
    def pairs(self) -> tuple[PairCosts, ...]:
        """Every layer's costs by pairs of precisions: the cost of an assignment is exactly the sum, over all layers, of
        `figures[own, taken]`, where `taken` is the takers' precision; where they differ, `widest` of theirs.

        So the terms of an integer program: one for each choice of a layer, and one for each pair of choices of a layer
        and of the one that takes its result. Energy, cycles, parameters and transfers are all sums of this kind; what
        converts values between the two is in the figures of the layer that makes them.
        """
        return tuple(
            PairCosts(
                layer.name,
                layer.consumers,
                {
                    (own if layer.has_weights else None, taken if layer.consumers else None): self.figures(
                        layer.name, own, frozenset([taken] if layer.consumers else [])
                    )
                    for own in (self.precisions if layer.has_weights else self.precisions[:1])
                    if self._computes(layer, own)
                    for taken in (self.precisions if layer.consumers else self.precisions[:1])
                },
            )
            for layer in self.workload.layers
        )

    def widest(self, precisions: frozenset[str]) -> str:
        """Of the precisions of layers that take one result, the one that decides what making and storing it costs.

        Raises HardwareError for what the machine is not built for, or for none.
        """
        self._check_built(precisions)
        if not precisions:
            raise HardwareError("no layer takes the result: give the precision of one that does")
        return self._chip.tiles.widest(frozenset[str | None](precisions)) or self.precisions[0]

    def predicted(self, precisions: Mapping[str, str]) -> Prediction:
        """The cost of an assignment. precisions: by layer, as `Precision.name`; others are at the first precision.

        `cost` of the same assignment with `built_for` these precisions has the same figures of every layer.
        Raises HardwareError for an unknown layer, a precision that the machine is not built for, or sums that could
        overflow.
        """
        assigned = at_precisions(self.workload, precisions, self.precisions[0])
        tiles = self._chip.tiles
        layers = [
            self.figures(layer.name, layer.precision or self.precisions[0], layer.taken_at) for layer in assigned.layers
        ]
        check_sums(assigned, {layer.name: tiles.of(layer) for layer in assigned.layers})
        cycles = sum(layer.cycles for layer in layers)
        return Prediction(
            energy_uj=math.fsum(layer.energy_uj for layer in layers),
            cycles=cycles,
            area_mm2=self.area_mm2,
            time_us=cycles / self.clock_mhz,
            parameter_bits=sum(layer.parameter_bits for layer in layers),
            activation_bits=activation_bits(assigned, {one.name: tiles.widths(one) for one in assigned.layers}, tiles),
            traffic_bits=sum(layer.traffic_bits for layer in layers),
        )

    def _measured(self, precision: str, taken: frozenset[str | None]) -> dict[str, LayerFigures]:
        """All layers at a precision with their results taken at some, but those whose sums could overflow."""
        workload = taken_at(at_precisions(self.workload, {}, precision), taken)
        _, breakdown = self._chip.run(workload)
        return {
            layer.name: LayerFigures(
                figures.energy_uj,
                figures.cycles,
                parameter_bits(layer, self._chip.tiles.widths(layer)),
                figures.traffic_bits,
            )
            for layer, figures in zip(workload.layers, breakdown.layers, strict=True)
            if takes_sums(layer, self._chip.tiles.of(layer))
        }

    def _check_built(self, precisions: AbstractSet[str | None]) -> None:
        """Raise HardwareError for one that the machine is not built for."""
        if unknown := (precisions - set(self.precisions)):
            raise HardwareError(
                f"the machine is built for {', '.join(self.precisions)}, not for {next(iter(unknown))}: ask for the "
                "costs of the layers with it"
            )

    def _computes(self, layer: LayerShape, precision: str) -> bool:
        tile = self._chip.tiles.own.get((precision, None), self._chip.tiles.main)
        return takes_sums(layer, tile)


def layer_costs(
    workload: Workload,
    precisions: Sequence[Precision | str],
    table: Technology,
    accelerator: AnyAccelerator | None = None,
    datapaths: str = DEFAULT_DATAPATHS,
    *,
    multiplier: str = DEFAULT_MULTIPLIER,
) -> LayerCosts:
    """The costs of a network's layers at each of some precisions, on a machine that is built for all of them.

    workload: of `workload_of`; precisions of its own do not count. precisions: the first is that of layers that an
    assignment does not name. accelerator, datapaths, multiplier: as of `cost`. Raises HardwareError for what cannot be
    built, FormatError for an unknown precision.
    """
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    parsed = [parse_precision(one) if isinstance(one, str) else one for one in precisions]
    family = family_of(workload, [one.name for one in parsed])
    made = accelerator or Accelerator(clock_mhz=table.target_clock_mhz)
    tiles = machine_for(family, parsed[0], Request(table, made, multiplier), datapaths_named(datapaths))
    names = tuple(dict.fromkeys(one.name for one in parsed))
    return LayerCosts(workload, names, chip_of(tiles, family.layers))
