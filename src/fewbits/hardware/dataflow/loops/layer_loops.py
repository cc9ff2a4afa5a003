"""A layer as loops: B, K, C, OY, OX, FY and FX of one of its groups, with strides and dilations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from fewbits.hardware.dataflow.loops.description import RELEVANT, Axis, Loop
from fewbits.hardware.workload.workload import LayerShape, Size

LOOPS: tuple[Loop, ...] = ("B", "K", "C", "OY", "OX", "FY", "FX")
"""All loops, in the order in which arrays of this room hold them."""

INDEX: Mapping[str, int] = {loop: number for number, loop in enumerate(LOOPS)}

SUMMED: frozenset[Loop] = frozenset(LOOPS) - RELEVANT["outputs"]
"""Loops over the products of one sum."""


@dataclass(frozen=True)
class LayerLoops:
    """The loops of a convolution or a linear layer. Each group runs them once: `sizes` are of one group."""

    sizes: tuple[int, int, int, int, int, int, int]
    """By LOOPS."""

    groups: int = 1
    stride: Size = (1, 1)
    dilation: Size = (1, 1)

    flat: tuple[tuple[Loop, ...], ...] = ()
    """Loops that run as one index (`Axis.flat`), the last one fastest: their product is the bound of the first one's
    loop, the others have none."""

    @property
    def bounds(self) -> tuple[int, ...]:
        """How far each of LOOPS runs, those of a flat index together in its first."""
        bounds = list(self.sizes)
        for index in self.flat:
            numbers = [INDEX[loop] for loop in index]
            together = prod(self.sizes[number] for number in numbers)
            for number in numbers:
                bounds[number] = 1
            bounds[numbers[0]] = together
        return tuple(bounds)

    @property
    def products(self) -> int:
        """Multiplications of all groups."""
        return self.groups * prod(self.sizes)

    def size(self, loop: Loop) -> int:
        """Of one loop."""
        return self.sizes[INDEX[loop]]


def loops_of(layer: LayerShape, space: Sequence[Axis] = (), *, images: int = 1) -> LayerLoops:
    """A layer with weights as loops, flat where an axis of the array is. images: of the loop B."""
    groups = layer.groups
    sizes = (
        *(images, layer.neurons // groups, layer.input_channels // groups),
        *(*layer.output_size, *layer.kernel),
    )
    flat = tuple(axis.loops for axis in space if axis.flat and len(axis.loops) > 1)
    return LayerLoops(sizes, groups, layer.stride, layer.dilation, flat)


def step(loop: Loop, space: Sequence[Axis]) -> Loop:
    """The loop that stands for one in time: the first of its flat index, itself without one."""
    flat = (axis.loops for axis in space if axis.flat and loop in axis.loops)
    return next(flat, (loop,))[0]
