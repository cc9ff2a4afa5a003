"""Repair by disabling defective neurons: what the network then computes, and what the machine then takes.

With `others`, the neurons that are left compute all outputs, in groups of as many: the same digits in more cycles. With
`dropped`, a disabled neuron's outputs are zero, at the same price. The chip stays what it is: area, leakage and rows of
all neurons; a disabled neuron switches as those without an output do in the cost model, which gates none off.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.costing.chip import chip_of
from fewbits.hardware.costing.tiles import tile_of, tiles_of
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.defects.curve import RepairPrice
from fewbits.hardware.defects.memory import classes_of
from fewbits.hardware.defects.neurons import neurons_of
from fewbits.hardware.process.technology import load_technology
from fewbits.hardware.workload.networks import workload_of

if TYPE_CHECKING:
    from torch import Tensor

    from fewbits.bitexact import BitExactNetwork
    from fewbits.graph.operations import Layer
    from fewbits.quantization import KnownDefects

REPAIR_NOTE = (
    "repair: what addresses outputs in groups of the neurons that are left is not characterized, nor is a gate that "
    "would stop a disabled neuron's clock; its energy is that of a neuron without an output"
)


class Price(NamedTuple):
    """What one image takes on a machine."""

    cycles: int
    energy_uj: float
    area_um2: float
    neuron_um2: float
    """Of one neuron."""


def price_with(network: BitExactNetwork, accelerator: Accelerator, disabled: int) -> Price:
    """What an image takes where so many neurons are disabled and the others compute all outputs.

    Raises HardwareError where none is left, or as `fewbits.cost`.
    """
    if disabled >= accelerator.neurons:
        raise HardwareError(f"all {accelerator.neurons} neurons are disabled: none is left to compute the outputs")
    workload = workload_of(network)
    tile = tile_of(network.precision, load_technology(), accelerator, product_bits=network.product_bits)
    working = replace(accelerator, neurons=accelerator.neurons - disabled)
    chip = chip_of(tiles_of(workload, replace(tile, working=working)), workload.layers)
    plans, breakdown = chip.run(workload)
    logic = tile.dataflow.logic(tile.datapath, accelerator).values()
    return Price(
        cycles=sum(plan.cycles for plan in plans),
        energy_uj=sum(breakdown.energy_uj.values()),
        area_um2=sum(breakdown.area_mm2.values()) * 1e6,
        neuron_um2=sum(part.area_um2 for part in logic) / accelerator.neurons,
    )


def repair_price(
    network: BitExactNetwork, accelerator: Accelerator, disabled: Sequence[int], repair: str
) -> RepairPrice | None:
    """The price of a repair, as a mean over draws; None if no draw can be repaired.

    disabled: neurons with a defect, of each draw.
    """

    @cache
    def priced(count: int) -> Price:
        return price_with(network, accelerator, count)

    sound = priced(0)
    is_rescheduled = repair == "others"
    repaired = [count for count in disabled if not is_rescheduled or count < accelerator.neurons]
    if not repaired:
        return None
    found = [priced(count) if is_rescheduled else sound for count in repaired]
    return RepairPrice(
        disabled_neurons=tuple(disabled),
        unrepaired_draws=len(disabled) - len(repaired),
        cycles=statistics.fmean(one.cycles for one in found),
        cycles_before=sound.cycles,
        energy_uj=statistics.fmean(one.energy_uj for one in found),
        energy_before_uj=sound.energy_uj,
        area_um2=sound.area_um2,
        idle_area_um2=sound.neuron_um2 * statistics.fmean(repaired),
    )


class DroppedNeurons:
    """A network of integers on an accelerator of which some neurons give zero."""

    def __init__(self, network: BitExactNetwork, neurons: Collection[int], accelerator: Accelerator) -> None:
        """neurons: those that are disabled."""
        from fewbits.bitexact.mixed import MixedExecutor

        self._executor = MixedExecutor(network.operations, network.sum_order)
        self._zeroed = {
            layer.name: _zeroing(layer, [k for k, one in enumerate(neurons_of(layer, accelerator)) if one in neurons])
            for layer in network.layers
        }

    def predict(self, images: Tensor) -> Tensor:
        """Class of each image, int64; images as for `BitExactNetwork.run`."""
        import torch

        from fewbits.bitexact.exact_arithmetic import exact_arithmetic
        from fewbits.bitexact.network import exact_values

        size = self._executor.batch_size
        with exact_arithmetic("cpu"):
            parts = [
                classes_of(exact_values(self._executor.logits(images[start : start + size], self._zeroed)))
                for start in range(0, max(1, len(images)), size)
            ]
        return torch.cat(parts)


def dropped_neurons(network: BitExactNetwork, neurons: Collection[int], accelerator: Accelerator) -> KnownDefects:
    """What a training can know of a network of which some neurons give zero."""
    from fewbits.quantization import FaultySums, KnownDefects

    sums: dict[str, FaultySums] = {}
    for layer in network.layers:
        gone = np.isin(neurons_of(layer, accelerator), list(neurons))
        if gone.any():
            sums[layer.name] = FaultySums(np.where(gone, 0.0, 1.0), np.zeros(len(gone)))
    return KnownDefects(sums=sums)


def _zeroing(layer: Layer, channels: list[int]) -> Callable[[Any], Any]:
    """What makes the sums of some outputs zero."""

    def zeroed(sums: Any) -> Any:
        changed = sums.clone()
        flat = changed.reshape(len(changed), len(layer.weight), -1)
        flat[:, channels] = 0
        return flat.reshape(changed.shape)

    return zeroed
