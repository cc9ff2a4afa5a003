"""The parts of the accelerator's chip, each with its area, leakage and energies: neurons, control and buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fewbits.hardware.costing.layer_power import CLOCK
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.scheduling import Widths
from fewbits.hardware.process.memory import sram
from fewbits.hardware.process.technology import DatapathCost, Technology

BUFFERS = ("bin", "sb", "bout")
CONTROL = "control"
_BUFFER_PORTS = 2
"""A port that reads and one that writes."""


@dataclass(frozen=True)
class Part:
    """What area and energy are split into, by name: the components that the datapath declares, of all neurons; CONTROL;
    CLOCK; BUFFERS.

    The clock has no area of its own: its pins are the registers', its tree is an estimate of energy alone. At a uniform
    activity its energy is among theirs.
    """

    area_um2: float
    leakage_uw: float
    cycle_pj: float = 0.0
    """Energy of a cycle in which it works; of a buffer, of every cycle."""

    pooling_pj: float = 0.0
    """The same of a pooling layer, where it differs."""

    read_pj: float = 0.0
    write_pj: float = 0.0


_NOTHING = Part(0.0, 0.0)


def row_bits(widths: Widths, accelerator: Accelerator) -> dict[str, int]:
    """Bits of a row of each of BUFFERS. widths: of the datapath."""
    return {
        "bin": accelerator.synapses * widths.inputs,
        "sb": accelerator.neurons * accelerator.synapses * widths.weights,
        "bout": accelerator.neurons * widths.inputs,
    }


def buffers(widths: Widths, accelerator: Accelerator, table: Technology, period_ns: float) -> dict[str, sram.Buffer]:
    """Bin, SB and Bout, composed of the table's macros so that a read fits the period where any composition does.

    Raises HardwareError if no macro of the table has two ports.
    """
    return {
        name: sram.compose(
            accelerator.buffer_rows, bits, table.macros, _BUFFER_PORTS, period_ns=period_ns, read_path=table.read_path
        )
        for name, bits in row_bits(widths, accelerator).items()
    }


def chip_parts(datapath: DatapathCost, composed: Mapping[str, sram.Buffer], neurons: int) -> dict[str, Part]:
    """The components of all neurons, the control, the clock's tree and the composed buffers."""
    parts = {
        name: Part(one.area_um2 * neurons, one.leakage_uw * neurons, cycle_pj=one.energy_pj * neurons)
        for name, one in datapath.components.items()
    } | {CONTROL: _NOTHING, CLOCK: _NOTHING}
    if (control := datapath.control) is not None:
        parts[CLOCK] = Part(0.0, 0.0, cycle_pj=control.clock_tree_pj)
        parts[CONTROL] = Part(control.area_um2, control.leakage_uw, control.computing_pj, control.pooling_pj)
    for name, buffer in composed.items():
        parts[name] = Part(
            buffer.area_um2,
            buffer.leakage_uw,
            cycle_pj=buffer.cycle_energy_pj,
            read_pj=buffer.read_energy_pj,
            write_pj=buffer.write_energy_pj,
        )
    return parts


def all_leaking(accelerators: Sequence[dict[str, Part]]) -> list[dict[str, Part]]:
    """The parts of each accelerator on a chip, with the leakage of all: while one works, the others leak too."""
    names = dict.fromkeys(name for parts in accelerators for name in parts)
    together = {name: sum(parts.get(name, _NOTHING).leakage_uw for parts in accelerators) for name in names}
    return [
        {name: replace(parts.get(name, _NOTHING), leakage_uw=together[name]) for name in names}
        for parts in accelerators
    ]
