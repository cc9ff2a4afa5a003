"""Where area and energy of an image go: by part of the chip and by layer; transfers to memory apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewbits.hardware.costing.chip_parts import BUFFERS, CONTROL, Part
from fewbits.hardware.costing.layer_power import CLOCK, NetworkPower
from fewbits.hardware.dataflow.diannao.scheduling import LayerSchedule, Schedule, Widths
from fewbits.hardware.workload.workload import Kind

DRAM_PJ_PER_BIT = (1300 / 64, 2600 / 64)
"""Low and high energy of a bit to or from DRAM: 1.3 to 2.6 nJ for 64 bits. Source: M. Horowitz, "Computing's energy
problem (and what we can do about it)", ISSCC 2014, figure 1.1.9 (45 nm)."""

DRAM = "DRAM at {:.0f} to {:.0f} pJ a bit (M. Horowitz, ISSCC 2014)".format(*DRAM_PJ_PER_BIT)
"""What transfers to memory rest on, for whoever reads figures of them."""


@dataclass(frozen=True)
class LayerCost:
    """One layer of one image."""

    name: str
    kind: Kind
    cycles: int
    utilization: float
    energy_uj: float
    traffic_bits: int
    energy_uj_by_part: dict[str, float]
    """Dynamic and leakage energy; the keys are the names of the chip's parts."""

    leakage_uj: float
    """The part of the energy that is leakage, of all parts together."""

    transfer_stall_cycles: int = 0
    """Of the cycles, those that wait for the memory."""

    @property
    def off_chip_uj(self) -> tuple[float, float]:
        """Low and high energy of the layer's transfers to and from a DRAM; not in `energy_uj`."""
        return dram_uj(self.traffic_bits)


@dataclass(frozen=True)
class Breakdown:
    """Where area and energy go; the dictionaries' keys are the names of the chip's parts (`chip_parts`)."""

    area_mm2: dict[str, float]
    dynamic_uj: dict[str, float]
    """What is switched, for one image."""

    leakage_uj: dict[str, float]
    """Leakage power times the time of one image."""

    layers: tuple[LayerCost, ...]

    @property
    def energy_uj(self) -> dict[str, float]:
        """Dynamic and leakage energy together."""
        return {part: self.dynamic_uj[part] + self.leakage_uj[part] for part in self.dynamic_uj}


def dram_uj(bits: float) -> tuple[float, float]:
    """Low and high energy of moving so many bits to or from a DRAM."""
    low, high = DRAM_PJ_PER_BIT
    return bits * low * 1e-6, bits * high * 1e-6


def break_down(
    plan: Schedule,
    parts: dict[str, Part],
    widths: Mapping[str, Widths],
    clock_mhz: float,
    activity: NetworkPower | None,
) -> Breakdown:
    """Area and energy by part, energy by layer. widths: by the layer's name."""
    leakage_pj = {name: part.leakage_uw / clock_mhz for name, part in parts.items()}  # of a cycle: uW x us = pJ
    dynamic_pj = [_dynamic_pj(layer, parts, plan, activity) for layer in plan.layers]
    by_part = [
        {name: (dynamic[name] + layer.cycles * leakage_pj[name]) * 1e-6 for name in parts}
        for layer, dynamic in zip(plan.layers, dynamic_pj, strict=True)
    ]
    layers = tuple(
        LayerCost(
            name=layer.name,
            kind=layer.kind,
            cycles=layer.cycles,
            utilization=layer.utilization,
            energy_uj=sum(energies.values()),
            traffic_bits=layer.traffic_bits(widths[layer.name]),
            energy_uj_by_part=energies,
            leakage_uj=layer.cycles * sum(leakage_pj.values()) * 1e-6,
            transfer_stall_cycles=layer.transfer_stall_cycles,
        )
        for layer, energies in zip(plan.layers, by_part, strict=True)
    )
    return Breakdown(
        area_mm2={name: part.area_um2 * 1e-6 for name, part in parts.items()},
        dynamic_uj={name: sum(dynamic[name] for dynamic in dynamic_pj) * 1e-6 for name in parts},
        leakage_uj={name: leakage_pj[name] * plan.cycles * 1e-6 for name in parts},
        layers=layers,
    )


def joined(breakdowns: Sequence[Breakdown], order: Sequence[str]) -> Breakdown:
    """The breakdowns of a chip's accelerators as one. order: of all layers, by name."""
    layers = {layer.name: layer for one in breakdowns for layer in one.layers}
    parts = dict.fromkeys(name for one in breakdowns for name in one.area_mm2)
    return Breakdown(
        area_mm2={name: sum(one.area_mm2[name] for one in breakdowns) for name in parts},
        dynamic_uj={name: sum(one.dynamic_uj[name] for one in breakdowns) for name in parts},
        leakage_uj={name: sum(one.leakage_uj[name] for one in breakdowns) for name in parts},
        layers=tuple(layers[name] for name in order),
    )


def _dynamic_pj(
    layer: LayerSchedule, parts: dict[str, Part], plan: Schedule, activity: NetworkPower | None
) -> dict[str, float]:
    """What one layer switches, by part."""
    components = [name for name in parts if name not in (CONTROL, CLOCK, *BUFFERS)]
    multiplying = 0 if layer.products == 0 else layer.busy_cycles
    if activity is None:
        energy = {name: multiplying * parts[name].cycle_pj for name in components}
        energy["registers"] = layer.cycles * parts["registers"].cycle_pj
        energy[CLOCK] = 0.0  # no tree is counted
    else:
        neurons = plan.accelerator.neurons
        idle_pj = neurons * (layer.cycles - multiplying) * activity.idle_clock_pj
        own = activity.layers[layer.name].energy_pj if multiplying else {}
        energy = {name: neurons * multiplying * own.get(name, 0.0) for name in (*components, CLOCK)}
        energy[CLOCK] += idle_pj + layer.cycles * parts[CLOCK].cycle_pj
    energy[CONTROL] = layer.cycles * (parts[CONTROL].cycle_pj if layer.products else parts[CONTROL].pooling_pj)
    accesses = {
        "bin": (layer.bin_reads, layer.bin_writes),
        "sb": (layer.sb_reads, layer.sb_writes),
        "bout": (layer.bout_reads, layer.bout_writes),
    }
    for name, (reads, writes) in accesses.items():
        accessed = reads * parts[name].read_pj + writes * parts[name].write_pj
        energy[name] = accessed + layer.cycles * parts[name].cycle_pj
    return energy
