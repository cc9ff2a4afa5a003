"""The sizes of an accelerator that compute most images a second within the budget of a device.

That is the optimization of Zhang et al., "Optimizing FPGA-based Accelerator Design for Deep Convolutional Neural
Networks" (FPGA 2015), who choose the unrolling Tm x Tn of output and input channels under a limit of DSP blocks. Here
cycles, resources and budget are given by whoever asks; `fastest` gives the schedule of an accelerator, the
resources of its circuit and a device's budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from fewbits.arguments import is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.base import CircuitPart
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.fpga.counting import counted
from fewbits.hardware.fpga.families import Family, device_named
from fewbits.hardware.fpga.network_fpga import FpgaCost, fpga_cost, neuron_of
from fewbits.hardware.fpga.parts import PartResources, resources_of_parts, total
from fewbits.hardware.fpga.resources import Resources
from fewbits.hardware.mapping.synthesis import Progress
from fewbits.hardware.multipliers.registry import multiplier_kind
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.products import check_products

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision
    from fewbits.hardware.workload.workload import Workload

NEURONS = tuple(range(4, 65))
SYNAPSES = (4, 8, 16, 32, 64)
"""Sizes that are tried; a neuron's synapses are powers of two."""

COUNTED = (4, 16)
"""Neurons and synapses whose circuits are counted; between and beyond, resources are linear in each of the two."""


@dataclass(frozen=True)
class Sizing:
    """The best sizes."""

    neurons: int
    """Outputs side by side: Tm."""

    synapses: int
    """Products that each sums in a cycle: Tn."""

    cycles: int
    """Of one image."""

    resources: Resources
    fitting: int
    """Sizes that fit the budget."""

    tried: int


def best_sizes(
    candidates: Iterable[tuple[int, int]],
    cycles: Callable[[int, int], int],
    resources: Callable[[int, int], Resources],
    budget: Resources,
) -> Sizing:
    """The sizes of fewest cycles whose resources fit a budget, all tried; of equal ones those of fewest resources.

    candidates: neurons and synapses. Raises HardwareError if none fits, with what the smallest lacks.
    """
    tried = [(*one, resources(*one)) for one in candidates]
    if not tried:
        raise HardwareError("there are no sizes to choose from")
    fitting = [one for one in tried if one[2].fits(budget)]
    if not fitting:
        neurons, synapses, taken = min(tried, key=lambda one: one[0] * one[1])
        lacking = "; ".join(taken.excess(budget))
        raise HardwareError(f"no size fits: the smallest that was tried, {neurons} x {synapses}, takes {lacking}")
    ranked = [(cycles(n, s), taken.dsps, taken.luts, place) for place, (n, s, taken) in enumerate(fitting)]
    fewest, *_, place = min(ranked)
    neurons, synapses, taken = fitting[place]
    return Sizing(neurons, synapses, fewest, taken, len(fitting), len(tried))


def fastest(
    network: Workload | BitExactNetwork | nn.Module | str,
    precision: Precision | str | None = None,
    *,
    device: str,
    fill: float = 1.0,
    input_shape: tuple[int, ...] | None = None,
    accelerator: AnyAccelerator | None = None,
    multiplier: str = "operator",
    product_bits: int | None = None,
    clock_mhz: float | None = None,
    with_clock: bool = True,
    progress: Progress | None = None,
) -> FpgaCost:
    """The cost on the DianNao tile whose neurons and synapses compute most images a second on a device, at one clock.

    fill: the part of the device's budget that may be taken, above 0 and up to 1. accelerator: of which the other sizes
    are, 64 rows by default. The others are as for `fpga_cost`.
    Resources are counted at 4 and 16 neurons and synapses, and taken to be linear in each of the two; block RAMs follow
    from rows and widths. The best is then counted itself: where it exceeds the budget after all, the next is tried.
    Raises HardwareError if no size fits, as `fpga_cost` otherwise.
    """
    if not is_real(fill, 0, 1, open_low=True):
        raise HardwareError(f"fill must be a part of the device's budget above 0 and up to 1, not {shown(fill)}")
    family, chosen = device_named(device)
    check_products(network, multiplier_kind(multiplier).name)
    workload, base = workload_of(network, input_shape), accelerator or Accelerator()
    if not isinstance(base, Accelerator):
        raise HardwareError(f"best sizes are found of an Accelerator, a tile of neurons, not of {type(base).__name__}")
    width = product_bits if product_bits is not None else getattr(network, "product_bits", None)

    def machine(neurons: int, synapses: int) -> Accelerator:
        return replace(base, neurons=neurons, synapses=synapses)

    @cache
    def neuron(synapses: int) -> NeuronDesign:
        return neuron_of(workload, precision, machine(1, synapses), multiplier, width)

    def cycles(neurons: int, synapses: int) -> int:
        made = machine(neurons, synapses)
        return dataflow_of(made).schedule(workload, made, neuron(synapses)).cycles

    def parts(neurons: int, synapses: int) -> tuple[CircuitPart, ...]:
        made = machine(neurons, synapses)
        return dataflow_of(made).needed("circuit_parts")(neuron(synapses), made)

    model, budget = _Model(family, parts, progress), chosen.budget * fill
    candidates = [(neurons, synapses) for neurons in NEURONS for synapses in SYNAPSES]
    while True:
        found = best_sizes(candidates, cycles, model.resources, budget)
        counted_parts = resources_of_parts(
            neuron(found.synapses), machine(found.neurons, found.synapses), family, progress
        )
        if total(counted_parts).fits(budget):
            break
        candidates.remove((found.neurons, found.synapses))
    note = (
        f"{found.neurons} neurons x {found.synapses} synapses: the most images a second of {found.fitting} sizes that "
        f"fit {100 * fill:g} % of {chosen.name}, of {found.tried} tried, by an estimate of "
        f"{found.resources.luts:,.0f} LUTs"
    )
    cost = fpga_cost(
        workload, precision, family, device=device, accelerator=machine(found.neurons, found.synapses),
        multiplier=multiplier, product_bits=width, clock_mhz=clock_mhz, with_clock=with_clock, progress=progress,
    )  # fmt: skip
    return replace(cost, notes=(note, *cost.notes))


class _Model:
    """Resources of any sizes, from those of a few that are counted."""

    def __init__(
        self, family: Family, parts: Callable[[int, int], tuple[CircuitPart, ...]], progress: Progress | None
    ) -> None:
        self._family, self._parts, self._progress = family, parts, progress
        self._counted: dict[tuple[str, int, int], Resources] = {}

    def resources(self, neurons: int, synapses: int) -> Resources:
        """Of all parts."""
        return total(
            {
                part.name: PartResources(self._each(part, neurons, synapses), part.instances)
                for part in self._parts(neurons, synapses)
            }
        )

    def _each(self, part: CircuitPart, neurons: int, synapses: int) -> Resources:
        """Of one instance: of a memory by its rows and bits, of logic between the counted sizes."""
        if part.memory is not None:
            return self._family.memory(*part.memory)
        found = Resources()
        for n, n_share in _shares(neurons):
            for s, s_share in _shares(synapses):
                found += self._count(part.name, n, s) * (n_share * s_share)
        return found

    def _count(self, name: str, neurons: int, synapses: int) -> Resources:
        """Of one instance, counted."""
        if (name, neurons, synapses) not in self._counted:
            part = next(one for one in self._parts(neurons, synapses) if one.name == name)
            words = f"{name} of {neurons} x {synapses}"
            found = counted(part.rtlil(), part.top, self._family, self._progress, words)
            self._counted[name, neurons, synapses] = found
        return self._counted[name, neurons, synapses]


def _shares(size: int) -> tuple[tuple[int, float], ...]:
    """How far the counted sizes make up one, linearly."""
    low, high = COUNTED
    above = (size - low) / (high - low)
    return (low, 1 - above), (high, above)
