"""What mappings of a layer cost: cycles with their stalls, and energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.accesses import Accesses
from fewbits.hardware.dataflow.loops.description import Objective, Operand
from fewbits.hardware.dataflow.loops.forwarding import is_moving, is_systolic, preload_cycles, skew_cycles
from fewbits.hardware.dataflow.loops.problem import OPERANDS, Problem, rows_a_cycle
from fewbits.hardware.dataflow.loops.tiles_in_time import Candidates, Ints
from fewbits.hardware.dataflow.plan import Widths

Floats = NDArray[np.float64]

_STATIONARY: tuple[Operand, ...] = ("outputs", "weights", "inputs")
"""Which operand counts as the one that stays in the array where several stay alike."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Of many mappings of one layer; arrays of shape (N,), of all groups."""

    problem: Problem
    candidates: Candidates
    accesses: Accesses

    @property
    def fits(self) -> NDArray[np.bool_]:
        """Whether all tiles fit."""
        return np.all(self.accesses.fits, axis=0, keepdims=True)[0]

    @cached_property
    def steps(self) -> Ints:
        """Cycles that start products."""
        return self.candidates.above[:, 0] * self.problem.layer.groups

    @cached_property
    def folds(self) -> Ints:
        """How often what stays in the array, the operand that changes least often, is replaced."""
        return self._in_the_array.min(axis=0) * self.problem.layer.groups

    @property
    def _in_the_array(self) -> Ints:
        space = self.problem.accelerator.space
        found = np.stack([self.accesses.tiles[None, operand] for operand in _STATIONARY])
        moving = np.array([is_moving(space, operand) for operand in _STATIONARY])
        return np.where(moving[:, None] & ~moving.all(), np.iinfo(np.int64).max, found)

    @cached_property
    def passes(self) -> Ints:
        """Of the array over its innermost tiles: how often one of them is replaced; folds of a systolic array."""
        if any(map(is_systolic, self.problem.accelerator.space)):
            return self.folds
        innermost = [
            self.accesses.tiles[self.problem.levels[operand][0] if self.problem.levels[operand] else None, operand]
            for operand in OPERANDS
        ]
        return np.max(innermost, axis=0) * self.problem.layer.groups

    @cached_property
    def fill_cycles(self) -> Ints:
        """In which operands and sums travel, and those that each pass takes beside."""
        accelerator = self.problem.accelerator
        found = self.passes * accelerator.pass_cycles
        if accelerator.one_pass_is_free:
            found = np.where(self.passes == 1, 0, found)
        preloads = np.array([preload_cycles(accelerator.space, operand) for operand in _STATIONARY])
        return found + self.folds * (skew_cycles(accelerator.space) + preloads[self._in_the_array.argmin(axis=0)])

    @cached_property
    def memory_cycles(self) -> Ints:
        """That the ports of each memory need, but for the filling of those that are not double-buffered; (M, N)."""
        return np.stack([self._ports(number, filling=False) for number in range(len(self.problem.memories))])

    @cached_property
    def stall_cycles(self) -> Ints:
        """Cycles that wait for a memory's ports, or for the filling of one that is not filled while it is read."""
        computing = self.steps + self.fill_cycles
        found = np.zeros_like(computing)
        if self.problem.memories:
            found = np.maximum(self.memory_cycles.max(axis=0) - computing, 0)
        for number, memory in enumerate(self.problem.memories):
            if not memory.is_filled_while_read:
                found = found + self._ports(number, filling=True)
        return found

    def _ports(self, number: int, *, filling: bool) -> Ints:
        memory, accesses = self.problem.memories[number], self.accesses
        rows = accesses.filled[number]
        if not filling:
            rows = accesses.reads[number] + accesses.writes[number] - (0 if memory.is_filled_while_read else rows)
        return -(-rows // (accesses.instances(number) * rows_a_cycle(memory)))

    @cached_property
    def cycles(self) -> Ints:
        """All but those that wait for the memory off the chip."""
        return self.steps + self.fill_cycles + self.stall_cycles

    def off_chip_bits(self, widths: Widths, biases: int, *, is_last: bool) -> Ints:
        """Across the chip's border. widths: of values as they are stored there."""
        layer, loaded = self.problem.layer, self.accesses.loaded
        outputs = layer.groups * layer.size("B") * layer.size("K") * layer.size("OY") * layer.size("OX")
        stored = widths.accumulator if is_last else widths.outputs or widths.inputs
        return (
            loaded["inputs"] * widths.inputs
            + loaded["weights"] * widths.weights
            + (2 * self.accesses.partial_sums + biases) * widths.accumulator
            + outputs * stored
        )

    @property
    def transfers_overlap(self) -> bool:
        """Whether every memory at the chip's border is filled while it is read."""
        levels = self.problem.levels
        return all(self.problem.memories[found[-1]].is_filled_while_read for found in levels.values() if found)

    def keys(
        self, objective: Objective, costs: AccessCosts, off_chip_bits: Ints, bits_per_cycle: float | None
    ) -> tuple[Floats, Floats]:
        """What to minimize, and what decides among equals; infinity where a tile does not fit."""
        energy, cycles = self.energy_pj(costs, off_chip_bits), self.cycles.astype(np.float64)
        if bits_per_cycle is not None:
            transfers = np.ceil(off_chip_bits / bits_per_cycle)
            cycles = np.maximum(cycles, transfers) if self.transfers_overlap else cycles + transfers
        first = {"energy": energy, "cycles": cycles, "energy-cycles": energy * cycles}[objective]
        return np.where(self.fits, first, np.inf), energy if objective == "cycles" else cycles

    def energy_pj(self, costs: AccessCosts, off_chip_bits: Ints) -> Floats:
        """Of products, in all elements in each of their cycles, of accesses, and of transfers."""
        found = self.steps * (costs.product_pj * self.problem.accelerator.elements)
        found = found + off_chip_bits * costs.off_chip_pj_per_bit
        for number, memory in enumerate(self.problem.memories):
            found += self.accesses.reads[number] * costs.reads_pj[memory.name]
            found += self.accesses.writes[number] * costs.writes_pj[memory.name]
        return found


def evaluated(problem: Problem, candidates: Candidates) -> Evaluation:
    """What mappings of a layer move and take."""
    return Evaluation(problem, candidates, Accesses(problem, candidates))
