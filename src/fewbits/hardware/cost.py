"""The cost of a network at a precision: memory, cycles, area, power and energy of one image.

What is counted:
- Area: `neurons` copies of the synthesized neuron, and the buffers Bin, SB and Bout, of two-port macros: a row is
  written while another is read, or transfers could not overlap with computation as the schedule has it.
- Dynamic energy: the energy of each component of a neuron for every busy cycle, in all neurons (those without an output
  to compute are not gated off); in cycles that stall, fill or pool, the registers alone (clock included). Each access
  to a buffer costs its read or write energy. The comparators and adders of pooling are not characterized: their
  energy is not in it. Transfers off the chip are given in bits; their energy depends on the memory and is not in it.
- Leakage: of all neurons and buffers, over all cycles.
- Factors behind sums, where a recipe leaves them: see `factors`.
- Power: energy of an image divided by its time.
- Memory: parameters (weights, and biases at the accumulator's width), and the inputs and outputs of the layer that has
  most of them together, at the width of the inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError
from fewbits.hardware import sram
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.factors import factor_bits, with_factors
from fewbits.hardware.networks import workload_of
from fewbits.hardware.schedule import LayerSchedule, Pipeline, Schedule, Widths, schedule
from fewbits.hardware.technology import LOGIC_COMPONENTS, DatapathCost, Technology, load_technology
from fewbits.hardware.workload import Kind, Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision

BUFFERS = ("bin", "sb", "bout")
PARTS = (*LOGIC_COMPONENTS, *BUFFERS)
"""What area and energy are split into."""

_CHARACTERIZED_SYNAPSES = 16
"""Synapses of the neuron that technology tables hold (`DatapathCost`)."""

_BUFFER_PORTS = 2
"""A port that reads and one that writes."""

_BITS_PER_KIB = 8 * 1024


@dataclass(frozen=True)
class LayerCost:
    """One layer of one image."""

    name: str
    kind: Kind
    cycles: int
    utilization: float
    energy_uj: float
    traffic_bits: int


@dataclass(frozen=True)
class Breakdown:
    """Where area and energy go; the dictionaries' keys are PARTS."""

    area_mm2: dict[str, float]
    dynamic_uj: dict[str, float]
    """What is switched, for one image."""

    leakage_uj: dict[str, float]
    """Leakage power times the time of one image."""

    layers: tuple[LayerCost, ...]

    @property
    def energy_uj(self) -> dict[str, float]:
        """Dynamic and leakage energy together."""
        return {part: self.dynamic_uj[part] + self.leakage_uj[part] for part in PARTS}


@dataclass(frozen=True)
class Cost:
    """What a network costs at a precision on an accelerator; time, energy and traffic are those of one image."""

    precision: str
    technology: str
    parameters_kib: float
    activations_kib: float
    cycles: int
    utilization: float
    """Needed products as a part of those that the tile could do in all cycles."""

    clock_mhz: float
    area_mm2: float
    energy_uj: float
    traffic_kib: float
    """Between the chip and its memory."""

    breakdown: Breakdown

    @property
    def memory_kib(self) -> float:
        """Parameters and the largest layer's activations."""
        return self.parameters_kib + self.activations_kib

    @property
    def time_us(self) -> float:
        """Time for one image."""
        return self.cycles / self.clock_mhz

    @property
    def power_mw(self) -> float:
        """Mean power while images are computed."""
        return self.energy_uj / self.time_us * 1000


def cost(
    network: Workload | BitExactNetwork | nn.Module | str,
    precision: Precision | str | None = None,
    *,
    input_shape: tuple[int, ...] | None = None,
    technology: Technology | Path | str | None = None,
    accelerator: Accelerator | None = None,
) -> Cost:
    """What a network costs at a precision.

    network: a bit-exact network, a workload, a torch module (quantized or not), or a model's name.
    precision: may be left out if the network has one (a bit-exact network, a quantized module).
    input_shape: channels, height, width, for a torch module without an attribute `input_shape` and for a model whose
    name does not tell.
    technology: a table or its file; the shipped one (IHP SG13G2, 130 nm) by default.
    accelerator: 16 x 16 with 64 rows at 250 MHz by default; a number of synapses other than 16 is not characterized.
    Raises HardwareError if the table lacks the precision or the accelerator does not fit it, FormatError for an unknown
    precision, ModelError for a network that the accelerator does not compute.
    """
    from fewbits.formats import parse_precision  # loads torch: late, so that the package stays light

    workload = workload_of(network, input_shape)
    chosen = precision if precision is not None else workload.precision
    if chosen is None:
        raise HardwareError("the network has no precision of its own: give one, such as cost(network, 'fixed8')")
    parsed = parse_precision(chosen) if isinstance(chosen, str) else chosen
    if technology is None:
        technology = _shipped()
    table = technology if isinstance(technology, Technology) else load_technology(technology)
    tile = accelerator or Accelerator()
    without_factors = _cost(workload, parsed, _datapath(table, parsed, tile), table, tile)
    return with_factors(without_factors, factor_bits(network), workload, table, tile)


@cache
def _shipped() -> Technology:
    """The default table, read once."""
    return load_technology()


def _datapath(table: Technology, precision: Precision, accelerator: Accelerator) -> DatapathCost:
    """The characterized datapath of a precision."""
    if accelerator.synapses != _CHARACTERIZED_SYNAPSES:
        raise HardwareError(
            f"technology {table.name!r} holds neurons of {_CHARACTERIZED_SYNAPSES} synapses, not {accelerator.synapses}"
        )
    if precision.name not in table.datapaths:
        raise HardwareError(
            f"technology {table.name!r} has no precision {precision.name!r}, only {', '.join(table.datapaths)}: "
            f"add it with 'fewbits characterize --precision {precision.name}'"
        )
    return table.datapaths[precision.name]


@dataclass(frozen=True)
class _Part:
    """One of PARTS on the whole chip."""

    area_um2: float
    leakage_uw: float
    cycle_pj: float = 0.0
    """Energy of a cycle in which it works."""

    read_pj: float = 0.0
    write_pj: float = 0.0


def _parts(datapath: DatapathCost, widths: Widths, accelerator: Accelerator, table: Technology) -> dict[str, _Part]:
    """Components of all neurons, and the buffers composed of the table's macros."""
    neurons = accelerator.neurons
    row_bits = {
        "bin": accelerator.synapses * widths.inputs,
        "sb": neurons * accelerator.synapses * widths.weights,
        "bout": neurons * widths.inputs,
    }
    parts: dict[str, _Part] = {}
    for name in LOGIC_COMPONENTS:
        one = datapath.components[name]
        parts[name] = _Part(one.area_um2 * neurons, one.leakage_uw * neurons, cycle_pj=one.energy_pj * neurons)
    for name in BUFFERS:
        buffer = sram.compose(accelerator.buffer_rows, row_bits[name], table.macros, _BUFFER_PORTS)
        parts[name] = _Part(
            buffer.area_um2,
            buffer.leakage_uw,
            read_pj=buffer.read_energy_pj,
            write_pj=buffer.write_energy_pj,
        )
    return parts


def _cost(
    workload: Workload, precision: Precision, datapath: DatapathCost, table: Technology, accelerator: Accelerator
) -> Cost:
    """Join schedule, datapath and buffers."""
    plan = schedule(workload, accelerator, Pipeline(datapath.pipeline_stages, datapath.accumulate_cycles))
    widths = Widths(precision.weights.bits, precision.inputs.bits, datapath.accumulator_bits)
    parts = _parts(datapath, widths, accelerator, table)
    clock_mhz = min(datapath.clock_mhz, accelerator.clock_mhz)
    breakdown = _breakdown(plan, parts, widths, clock_mhz)
    return Cost(
        precision=precision.name,
        technology=table.name,
        parameters_kib=(workload.weights * widths.weights + workload.biases * widths.accumulator) / _BITS_PER_KIB,
        activations_kib=workload.largest_activations * widths.inputs / _BITS_PER_KIB,
        cycles=plan.cycles,
        utilization=plan.utilization,
        clock_mhz=clock_mhz,
        area_mm2=sum(breakdown.area_mm2.values()),
        energy_uj=sum(breakdown.energy_uj.values()),
        traffic_kib=plan.traffic_bits(widths) / _BITS_PER_KIB,
        breakdown=breakdown,
    )


def _breakdown(plan: Schedule, parts: dict[str, _Part], widths: Widths, clock_mhz: float) -> Breakdown:
    """Area and energy by part, energy by layer."""
    leakage_pj = {name: part.leakage_uw / clock_mhz for name, part in parts.items()}  # of a cycle: uW x us = pJ
    leakage_of_all = sum(leakage_pj.values())
    dynamic_pj = [_dynamic_pj(layer, parts) for layer in plan.layers]
    layers = tuple(
        LayerCost(
            name=layer.name,
            kind=layer.kind,
            cycles=layer.cycles,
            utilization=layer.utilization,
            energy_uj=(sum(dynamic.values()) + layer.cycles * leakage_of_all) * 1e-6,
            traffic_bits=layer.traffic_bits(widths),
        )
        for layer, dynamic in zip(plan.layers, dynamic_pj, strict=True)
    )
    return Breakdown(
        area_mm2={name: parts[name].area_um2 * 1e-6 for name in PARTS},
        dynamic_uj={name: sum(dynamic[name] for dynamic in dynamic_pj) * 1e-6 for name in PARTS},
        leakage_uj={name: leakage_pj[name] * plan.cycles * 1e-6 for name in PARTS},
        layers=layers,
    )


def _dynamic_pj(layer: LayerSchedule, parts: dict[str, _Part]) -> dict[str, float]:
    """What one layer switches, by part."""
    multiplying = 0 if layer.products == 0 else layer.busy_cycles
    energy = {name: multiplying * parts[name].cycle_pj for name in LOGIC_COMPONENTS}
    energy["registers"] = layer.cycles * parts["registers"].cycle_pj
    accesses = {
        "bin": (layer.bin_reads, layer.bin_writes),
        "sb": (layer.sb_reads, layer.sb_writes),
        "bout": (layer.bout_reads, layer.bout_writes),
    }
    for name, (reads, writes) in accesses.items():
        energy[name] = reads * parts[name].read_pj + writes * parts[name].write_pj
    return energy
