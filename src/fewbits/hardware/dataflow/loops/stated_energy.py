"""Energy by the figures that an accelerator's source states, to hold the model against what the source measured.

Without zeros that are skipped, and without compression: every product, access and transfer counts whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.description import LoopAccelerator, LoopMemory, StatedEnergy
from fewbits.hardware.dataflow.loops.evaluation import Evaluation
from fewbits.hardware.dataflow.loops.problem import OperandBits, is_register, row_bits
from fewbits.hardware.dataflow.plan import Widths


@dataclass(frozen=True)
class LayerEnergy:
    """Of one layer, pJ."""

    products: float
    idle: float
    """Of all cycles, whatever they do."""

    hops: float
    """Of values that come into elements, or leave them."""

    memories: Mapping[str, float]
    off_chip: float

    @property
    def on_chip(self) -> float:
        """All but that of the memory off the chip."""
        return self.products + self.idle + self.hops + sum(self.memories.values())


def stated_costs(accelerator: LoopAccelerator, bits: OperandBits) -> AccessCosts:
    """What a mapping is chosen by, by the source's figures. Raises HardwareError if it states none."""
    stated = _stated(accelerator)
    return AccessCosts(
        product_pj=stated.product_pj,
        reads_pj={one.name: _row(one, one.read_pj_per_bit, bits) for one in accelerator.memories},
        writes_pj={one.name: _row(one, one.write_pj_per_bit, bits) for one in accelerator.memories},
        off_chip_pj_per_bit=stated.off_chip_pj / stated.bits,
        widths={},
    )


def stated_energy(evaluation: Evaluation, widths: Widths) -> LayerEnergy:
    """Energy of an evaluation's only mapping. widths: of values as they are stored off the chip.

    Raises HardwareError if the accelerator's source states none.
    """
    problem, accesses = evaluation.problem, evaluation.accesses
    stated, costs = _stated(problem.accelerator), stated_costs(problem.accelerator, problem.bits)
    hops, memories = 0, dict[str, float]()
    for number, memory in enumerate(problem.memories):
        reads, writes = int(accesses.reads[number, 0]), int(accesses.writes[number, 0])
        memories[memory.name] = reads * costs.reads_pj[memory.name] + writes * costs.writes_pj[memory.name]
        if memory.instances == "element":
            hops += int(accesses.filled[number, 0]) * row_bits(memory, problem.bits)
    bits = int(evaluation.off_chip_bits(widths, 0, is_last=False)[0])
    return LayerEnergy(
        products=problem.layer.products * stated.product_pj,
        idle=int(evaluation.cycles[0]) * stated.idle_cycle_pj,
        hops=hops / stated.bits * stated.hop_pj,
        memories=memories,
        off_chip=bits * costs.off_chip_pj_per_bit,
    )


def _stated(accelerator: LoopAccelerator) -> StatedEnergy:
    if accelerator.stated is None:
        raise HardwareError("the accelerator states no energies of its own: give it a table [stated]")
    return accelerator.stated


def _row(memory: LoopMemory, pj_per_bit: float | None, bits: OperandBits) -> float:
    if pj_per_bit is None and not is_register(memory):
        raise HardwareError(
            f"memory {memory.name!r} states no energy of its own: give it read_pj_per_bit and write_pj_per_bit"
        )
    return (pj_per_bit or 0.0) * row_bits(memory, bits)
