"""What factors behind sums cost: a multiplier in each neuron, and the factors' memory. An estimate.

Recipes such as `binary-weight-network` and `lsq-free` leave weights that are small integers times a factor
(`QuantizedLayer.scale_bits`). The hardware sums the integers' products on the precision's datapath, and multiplies each
sum by its neuron's factor. That multiplier is not synthesized: its area, leakage and energy are those of the table's
fixed16 multiplier, a Booth multiplier of 16 x 16 bits, in proportion to the product of the two widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.process.datapath_key import equal_widths
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.hardware.costing.breakdown import LayerCost
    from fewbits.hardware.costing.network_cost import Cost
    from fewbits.hardware.dataflow.plan import AnyAccelerator
    from fewbits.hardware.process.technology import ComponentCost, Technology

_REFERENCE = equal_widths(16)
_BITS_PER_KIB = 8 * 1024


def factor_bits(network: Workload | BitExactNetwork | nn.Module | str) -> dict[str, int]:
    """Width of the factor behind the sums of each layer that has one, by the layer's name."""
    if isinstance(network, (Workload, str)):
        return {}
    from torch import nn

    if not isinstance(network, nn.Module):
        return {layer.name: layer.scale_bits for layer in network.layers if layer.scale_bits}
    from fewbits.quantization import QuantizedModel

    layers = network.layers if isinstance(network, QuantizedModel) else {}
    return {name: layer.scale_bits for name, layer in layers.items() if layer.scale_bits}


def with_factors(
    cost: Cost, bits: Mapping[str, int], workload: Workload, technology: Technology, accelerator: AnyAccelerator
) -> Cost:
    """A cost with that of factors added, to the part `multipliers`; the cost itself where no layer has a factor.

    bits: see `factor_bits`. One multiplier is counted for each sum that leaves in a cycle (one a neuron), also where a
    layer shares a factor.
    Raises HardwareError if the table lacks fixed16, on which the estimate rests.
    """
    if not bits:
        return cost
    scale = max(bits.values()) * technology.datapath(cost.precision).accumulator_bits
    one = _multiplier_per_square_bit(technology)
    multipliers = dataflow_of(accelerator).outputs_per_cycle(accelerator)
    scaled = [layer for layer in workload.layers if layer.name in bits]
    energy_uj = {layer.name: layer.output_values * scale * one.energy_pj * 1e-6 for layer in scaled}
    area_mm2 = multipliers * scale * one.area_um2 * 1e-6
    leakage_uj = multipliers * scale * one.leakage_uw * cost.time_us * 1e-6
    factor_bits_of = {layer.name: layer.neurons * bits[layer.name] for layer in scaled}
    kib = sum(factor_bits_of.values()) / _BITS_PER_KIB
    breakdown = replace(
        cost.breakdown,
        area_mm2=_added(cost.breakdown.area_mm2, area_mm2),
        dynamic_uj=_added(cost.breakdown.dynamic_uj, sum(energy_uj.values())),
        leakage_uj=_added(cost.breakdown.leakage_uj, leakage_uj),
        layers=tuple(
            _with_factor(
                layer,
                energy_uj.get(layer.name, 0.0),
                leakage_uj * layer.cycles / cost.cycles,
                factor_bits_of.get(layer.name, 0),
            )
            for layer in cost.breakdown.layers
        ),
    )
    return replace(
        cost,
        parameters_kib=cost.parameters_kib + kib,
        traffic_kib=cost.traffic_kib + kib,
        area_mm2=cost.area_mm2 + area_mm2,
        energy_uj=cost.energy_uj + sum(energy_uj.values()) + leakage_uj,
        breakdown=breakdown,
    )


def _with_factor(layer: LayerCost, dynamic_uj: float, leakage_uj: float, traffic_bits: int) -> LayerCost:
    return replace(
        layer,
        energy_uj=layer.energy_uj + dynamic_uj + leakage_uj,
        energy_uj_by_part=_added(layer.energy_uj_by_part, dynamic_uj + leakage_uj),
        leakage_uj=layer.leakage_uj + leakage_uj,
        traffic_bits=layer.traffic_bits + traffic_bits,
    )


def _multiplier_per_square_bit(technology: Technology) -> ComponentCost:
    """The table's fixed16 multiplier, divided by its 16 x 16 bits."""
    reference = technology.find(_REFERENCE)
    if reference is None:
        raise HardwareError(
            f"technology {technology.name!r} lacks {_REFERENCE}, from whose multiplier that of a factor is estimated: "
            f"add it with 'fewbits characterize --precision {_REFERENCE.arguments}'"
        )
    all_of_them = reference.components["multipliers"]
    share = 1 / (_REFERENCE.synapses * 16 * 16)
    return replace(
        all_of_them,
        area_um2=all_of_them.area_um2 * share,
        leakage_uw=all_of_them.leakage_uw * share,
        energy_pj=all_of_them.energy_pj * share,
    )


def _added(parts: dict[str, float], more: float) -> dict[str, float]:
    return parts | {"multipliers": parts["multipliers"] + more}
