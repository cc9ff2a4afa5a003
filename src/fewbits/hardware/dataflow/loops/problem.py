"""What a layer asks of an accelerator, whatever the mapping: loops, the levels of memory of each operand, widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fewbits.hardware.dataflow.loops.description import Axis, Loop, LoopAccelerator, LoopMemory, Operand
from fewbits.hardware.dataflow.loops.layer_loops import LayerLoops, step

OPERANDS: tuple[Operand, ...] = ("inputs", "weights", "outputs")

BITS_PER_KIB = 8 * 1024


@dataclass(frozen=True)
class OperandBits:
    """Widths on the chip."""

    inputs: int
    weights: int
    outputs: int
    """Of results that are complete."""

    accumulator: int
    """Of sums that are not."""

    def of(self, operand: Operand) -> int:
        """The widest that values of an operand are: sums at full width."""
        return {"inputs": self.inputs, "weights": self.weights, "outputs": self.accumulator}[operand]


def is_register(memory: LoopMemory) -> bool:
    """Whether it is one value in each element: a register that the datapath has, and its figures hold."""
    return memory.instances == "element" and memory.values == 1


def value_bits(memory: LoopMemory, bits: OperandBits) -> int:
    """Of a place for a value, in a memory that is as wide as the formats ask for."""
    return max(bits.of(operand) for operand in memory.holds)


def capacity_bits(memory: LoopMemory, bits: OperandBits) -> int:
    """Of one instance, both halves of a double buffer together."""
    if memory.values is not None:
        return memory.values * value_bits(memory, bits)
    return int((memory.kib or 0.0) * BITS_PER_KIB)


def tile_bits(memory: LoopMemory, bits: OperandBits) -> int:
    """That a tile may take: half of a memory whose other half is filled meanwhile."""
    return capacity_bits(memory, bits) // (2 if memory.has_halves else 1)


def row_bits(memory: LoopMemory, bits: OperandBits) -> int:
    """Of one access."""
    if memory.row_values is not None:
        return memory.row_values * value_bits(memory, bits)
    return memory.row_bits or value_bits(memory, bits)


def rows_a_cycle(memory: LoopMemory) -> int:
    """Accesses of one instance in a cycle."""
    return memory.ports * memory.banks


@dataclass(frozen=True, eq=False)
class Problem:
    """A layer on an accelerator."""

    layer: LayerLoops
    accelerator: LoopAccelerator
    bits: OperandBits

    @cached_property
    def memories(self) -> tuple[LoopMemory, ...]:
        """All but registers, innermost first."""
        return tuple(one for one in self.accelerator.memories if not is_register(one))

    @cached_property
    def levels(self) -> dict[Operand, tuple[int, ...]]:
        """For each operand the numbers of the memories that hold it, innermost first."""
        return {
            operand: tuple(number for number, memory in enumerate(self.memories) if operand in memory.holds)
            for operand in OPERANDS
        }

    @cached_property
    def blocks(self) -> tuple[tuple[tuple[Loop, ...], tuple[int, ...]], ...]:
        """Loops that are fixed in time, innermost block first, with the memories that they run directly above.

        Memories with the same loops share a block; a register's has no memory. Flat loops bear their index's name.
        """
        found: dict[tuple[Loop, ...], list[int]] = {}
        for memory in self.accelerator.memories:
            if memory.loops:
                loops: tuple[Loop, ...] = tuple(dict.fromkeys(step(loop, self.space) for loop in memory.loops))
                numbers = found.setdefault(loops, [])
                if not is_register(memory):
                    numbers.append(self.memories.index(memory))
        return tuple((loops, tuple(numbers)) for loops, numbers in found.items())

    @property
    def space(self) -> Sequence[Axis]:
        """The array's axes."""
        return self.accelerator.space

    @cached_property
    def _shared(self) -> dict[int | None, tuple[bool, ...]]:
        places = {None: "array"} | {number: memory.instances for number, memory in enumerate(self.memories)}
        return {
            number: tuple(where != "element" and axis.name != where for axis in self.space)
            for number, where in places.items()
        }

    def inside(self, memory: int | None) -> tuple[bool, ...]:
        """For each axis, whether its places share one instance of a memory; of None, the chip's border, all do."""
        return self._shared[memory]
