"""A mapping: which part of a layer's loops runs in space, the order of the rest in time, and what each memory keeps."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from fewbits.hardware.dataflow.loops.description import Loop, LoopAccelerator, Operand
from fewbits.hardware.dataflow.loops.layer_loops import LayerLoops

Step = tuple[Loop, int]
"""A loop, or a part of it, and how often it runs."""


@dataclass(frozen=True)
class Mapping:
    """How one layer runs on an accelerator.

    A loop of n runs ceil(n / unrolled) times in time, whatever it is split into; a flat index (`Axis.flat`) bears the
    name of its first loop.
    """

    space: tuple[tuple[Step, ...], ...]
    """What is unrolled along each axis."""

    time: tuple[Step, ...]
    """From the innermost loop outwards; a loop that is split appears once for each part. None runs once."""

    kept: tuple[tuple[str, Operand, int], ...]
    """A memory's name, an operand that it holds, and how many of the innermost loops in time its tile spans."""

    def unrolled(self, loop: Loop) -> int:
        """How far a loop runs in space."""
        return prod(factor for axis in self.space for name, factor in axis if name == loop)

    @property
    def steps(self) -> int:
        """Iterations of all loops in time, for one group."""
        return prod(factor for _, factor in self.time)

    def lines(self, accelerator: LoopAccelerator, layer: LayerLoops) -> tuple[str, ...]:
        """The loops in words: in time from the outermost, what each memory keeps, what runs in space."""
        groups = (f"groups {layer.groups}",) if layer.groups > 1 else ()
        time = ", ".join((*groups, *(f"{loop} {factor}" for loop, factor in reversed(self.time)))) or "one step"
        kept = [
            f"{memory} keeps {operand} over " + (_steps(self.time[:position]) or "one step")
            for memory, operand, position in reversed(self.kept)
        ]
        space = "; ".join(
            f"{axis.name}: {_steps(steps) or 'one place'}"
            for axis, steps in zip(accelerator.space, self.space, strict=True)
        )
        return (f"in time, outermost first: {time}", *kept, f"in space: {space}")


def _steps(steps: tuple[Step, ...]) -> str:
    """Outermost first."""
    return ", ".join(f"{loop} {factor}" for loop, factor in reversed(steps))
