"""Where area and energy of an image go: by part of the chip and by layer; transfers to memory apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fewbits.hardware.costing.chip_parts import CONTROL, Part
from fewbits.hardware.costing.layer_power import CLOCK, NetworkPower
from fewbits.hardware.costing.limits import limit_of
from fewbits.hardware.dataflow.base import Memory
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule, Widths
from fewbits.hardware.workload.workload import Kind

DRAM_PJ_PER_BIT = (1300 / 64, 2600 / 64)
"""Low and high energy of a bit to or from DRAM: 1.3 to 2.6 nJ for 64 bits. Source: M. Horowitz, "Computing's energy
problem (and what we can do about it)", ISSCC 2014, figure 1.1.9 (45 nm)."""

DRAM = "DRAM at {:.0f} to {:.0f} pJ a bit (M. Horowitz, ISSCC 2014)".format(*DRAM_PJ_PER_BIT)
"""What transfers to memory rest on, for whoever reads figures of them."""


OPERATIONS_PER_PRODUCT = 2
"""A product is counted as a multiplication and an addition, as throughputs of accelerators usually are."""


@dataclass(frozen=True)
class MemoryCost:
    """What one layer does with one memory on the chip, for one image."""

    name: str
    reads: int
    """Rows, of all instances of the memory together."""

    writes: int
    row_bits: int
    rows_per_cycle: int
    """Reads and writes that all instances take in one cycle."""

    energy_uj: float

    @property
    def bits(self) -> int:
        """Read and written."""
        return (self.reads + self.writes) * self.row_bits


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
    """Dynamic and leakage energy, by the chip's parts (`chip_parts`)."""

    leakage_uj: float
    """The part of the energy that is leakage, of all parts together."""

    transfer_stall_cycles: int = 0
    """Of the cycles, those that wait for the memory."""

    products: int = 0
    """Multiplications that the layer needs."""

    setup_cycles: int = 0
    busy_cycles: int = 0
    stall_cycles: int = 0
    fill_cycles: int = 0
    """Parts of the cycles: see `LayerSchedule`, whose names these are."""

    memories: tuple[MemoryCost, ...] = ()
    """The accelerator's, in the order of figures; the one beyond its border is `traffic_bits`."""

    mapping: tuple[str, ...] = ()
    """The loops that were chosen, a line for each memory; empty where the dataflow has no choice."""

    limit: str = ""
    """What keeps the layer from fewer cycles, in words."""

    @property
    def operations(self) -> int:
        """Two a product."""
        return OPERATIONS_PER_PRODUCT * self.products

    @property
    def cycles_by_state(self) -> dict[str, int]:
        """All cycles by what they are spent on."""
        return {
            "busy": self.busy_cycles,
            "stalled": self.stall_cycles,
            "filling": self.fill_cycles,
            "set-up": self.setup_cycles,
            "transfers": self.transfer_stall_cycles,
        }

    @property
    def off_chip_uj(self) -> tuple[float, float]:
        """Low and high energy of the layer's transfers to and from a DRAM; not in `energy_uj`."""
        return dram_uj(self.traffic_bits)


@dataclass(frozen=True)
class Breakdown:
    """Where area and energy go, by the chip's parts (`chip_parts`): logic components, control, clock, memories."""

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
    datapaths: int,
    products_per_cycle: int,
    memories: Sequence[Memory],
    values_pj: Mapping[str, Mapping[str, float]],
) -> Breakdown:
    """Area and energy by part, all figures by layer.

    widths: by the layer's name. datapaths: how many there are; products_per_cycle: of all of them. memories: whose
    accesses the schedule counts. values_pj: by the layer's name, what its values switch in parts beside, pJ.
    """
    leakage_pj = {name: part.leakage_uw / clock_mhz for name, part in parts.items()}  # of a cycle: uW x us = pJ
    dynamic_pj = [{**_dynamic_pj(layer, parts, datapaths, activity), **values_pj[layer.name]} for layer in plan.layers]
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
            products=layer.products,
            setup_cycles=layer.setup_cycles,
            busy_cycles=layer.busy_cycles,
            stall_cycles=layer.stall_cycles,
            fill_cycles=layer.fill_cycles,
            memories=tuple(_memory(memory, layer, energies[memory.name]) for memory in memories),
            mapping=layer.mapping,
            limit=limit_of(layer, products_per_cycle),
        )
        for layer, energies in zip(plan.layers, by_part, strict=True)
    )
    return Breakdown(
        area_mm2={name: part.area_um2 * 1e-6 for name, part in parts.items()},
        dynamic_uj={name: sum(dynamic[name] for dynamic in dynamic_pj) * 1e-6 for name in parts},
        leakage_uj={name: leakage_pj[name] * plan.cycles * 1e-6 for name in parts},
        layers=layers,
    )


def _memory(memory: Memory, layer: LayerSchedule, energy_uj: float) -> MemoryCost:
    rows = layer.accesses[memory.name]
    return MemoryCost(memory.name, rows.reads, rows.writes, memory.row_bits, memory.ports * memory.instances, energy_uj)


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
    layer: LayerSchedule, parts: dict[str, Part], datapaths: int, activity: NetworkPower | None
) -> dict[str, float]:
    """What one layer switches, by part."""
    components = [name for name in parts if name not in (CONTROL, CLOCK, *layer.accesses)]
    multiplying = 0 if layer.products == 0 else layer.busy_cycles
    if activity is None:
        energy = {name: multiplying * parts[name].cycle_pj for name in components}
        energy["registers"] = layer.cycles * parts["registers"].cycle_pj
        energy[CLOCK] = 0.0  # no tree is counted
    else:
        idle_pj = datapaths * (layer.cycles - multiplying) * activity.idle_clock_pj
        own = activity.layers[layer.name].energy_pj if multiplying else {}
        energy = {name: datapaths * multiplying * own.get(name, 0.0) for name in (*components, CLOCK)}
        energy[CLOCK] += idle_pj + layer.cycles * parts[CLOCK].cycle_pj
    energy[CONTROL] = layer.cycles * (parts[CONTROL].cycle_pj if layer.products else parts[CONTROL].pooling_pj)
    for name, rows in layer.accesses.items():
        accessed = rows.reads * parts[name].read_pj + rows.writes * parts[name].write_pj
        energy[name] = accessed + layer.cycles * parts[name].cycle_pj
    return energy
