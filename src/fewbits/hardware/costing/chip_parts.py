"""The parts of an accelerator's chip, each with its area, leakage and energies: datapaths, control and memories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from fewbits.errors import HardwareError
from fewbits.hardware.costing.layer_power import CLOCK
from fewbits.hardware.dataflow.base import Memory
from fewbits.hardware.process.memory import sram
from fewbits.hardware.process.technology import ComponentCost, ControlCost, Technology

CONTROL = "control"

OFF_CHIP = "off-chip"
"""What the memory beyond the chip is called among memories."""


@dataclass(frozen=True)
class Part:
    """All of one part that is on the chip."""

    area_um2: float
    leakage_uw: float
    cycle_pj: float = 0.0
    """Energy of a cycle in which it works; of a buffer, of every cycle."""

    pooling_pj: float = 0.0
    """The same of a pooling layer, where it differs."""

    read_pj: float = 0.0
    write_pj: float = 0.0


_NOTHING = Part(0.0, 0.0)


def composed(memories: Sequence[Memory], table: Technology, period_ns: float) -> dict[str, sram.Buffer]:
    """Memories by name, composed of the table's macros so that a read fits the period where any composition does.

    Raises HardwareError if no macro of the table has the ports.
    """
    return {
        one.name: sram.compose(
            one.rows,
            one.row_bits,
            table.macros,
            one.ports,
            period_ns=period_ns,
            read_path=table.read_path,
            interleaved=one.banks,
        )
        for one in memories
    }


def chip_parts(
    logic: Mapping[str, ComponentCost],
    control: ControlCost | None,
    buffers: Mapping[str, sram.Buffer],
    instances: Mapping[str, int],
) -> dict[str, Part]:
    """The parts that area and energy are split into, in the order of figures.

    The components of all datapaths (`logic`), the control, the clock, the composed memories, of which there are so many
    `instances` each: a read or a write is of one of them. The clock has no area of
    its own: its pins are the registers', its tree is an estimate of energy alone. At a uniform activity its energy is
    among theirs. Raises HardwareError for a memory with the name of another part.
    """
    parts = {name: Part(one.area_um2, one.leakage_uw, cycle_pj=one.energy_pj) for name, one in logic.items()}
    parts |= {CONTROL: Part(0.0, 0.0), CLOCK: Part(0.0, 0.0)}
    if control is not None:
        parts[CONTROL] = Part(control.area_um2, control.leakage_uw, control.computing_pj, control.pooling_pj)
        parts[CLOCK] = Part(0.0, 0.0, cycle_pj=control.clock_tree_pj)
    taken = [*parts, OFF_CHIP]
    for name, buffer in buffers.items():
        if name in taken:
            raise HardwareError(
                f"memory {name!r} has the name of another part of figures ({', '.join(taken)}): give it another name"
            )
        parts[name] = Part(
            instances[name] * buffer.area_um2,
            instances[name] * buffer.leakage_uw,
            cycle_pj=instances[name] * buffer.cycle_energy_pj,
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
