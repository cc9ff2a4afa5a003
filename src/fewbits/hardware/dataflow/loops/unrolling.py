"""How far loops may run in space: all choices that a description leaves open, of one layer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod

from fewbits.hardware.dataflow.loops.description import Axis
from fewbits.hardware.dataflow.loops.layer_loops import INDEX, LOOPS, LayerLoops, step

Unrolled = tuple[tuple[int, ...], ...]
"""For each axis, how far each of LOOPS runs along it."""


def unrollings(space: tuple[Axis, ...], layer: LayerLoops) -> list[Unrolled]:
    """Every choice in which no factor could be raised, so that a loop takes fewer steps, without lowering another.

    A factor is the least with its number of steps: 10 of 20 outputs on 16 places, not 16 and 4, where it is free.
    """
    found: list[Unrolled] = [()]
    for axis in space:
        found = [
            (*before, choice)
            for before in found
            for choice in _along(axis, space, _left(layer, before))
        ]  # fmt: skip
    return list(dict.fromkeys(found))


def _left(layer: LayerLoops, unrolled: Unrolled) -> list[int]:
    """How far each loop is left to run."""
    return [
        -(-bound // prod(axis[number] for axis in unrolled)) for number, bound in enumerate(layer.bounds)
    ]  # fmt: skip


def _along(axis: Axis, space: tuple[Axis, ...], left: list[int]) -> Iterator[tuple[int, ...]]:
    """The choices along one axis. left: how far each loop is left to run."""
    one = [1] * len(LOOPS)
    fixed = dict(axis.unroll)
    if axis.flat:
        number = INDEX[axis.loops[0]]
        one[number] = min(axis.size, left[number])
        yield tuple(one)
        return
    for loop, factor in fixed.items():
        one[INDEX[loop]] = min(factor, left[INDEX[loop]])
    room = axis.size // prod(one)  # of a loop that is shorter than its fixed factor, what is left is for others
    free = list(dict.fromkeys(INDEX[step(loop, space)] for loop in axis.loops if loop not in fixed))
    useful = [_useful(left[number], room) for number in free]
    for factors in product(*useful):
        if prod(factors) <= room and not any(
            prod(factors) // factor * larger <= room
            for factor, larger in zip(factors, map(_next, useful, factors), strict=True)
            if larger
        ):
            choice = list(one)
            for number, factor in zip(free, factors, strict=True):
                choice[number] = factor
            yield tuple(choice)


def _useful(left: int, room: int) -> list[int]:
    """The least factor with each number of steps, up to `room`, from 1 on."""
    found = {-(-left // -(-left // factor)) for factor in range(1, min(left, room) + 1)}
    return sorted(found)


def _next(useful: list[int], factor: int) -> int | None:
    return next((other for other in useful if other > factor), None)
