"""Many mappings of one layer as arrays, and how large the tiles are that their innermost loops span.

Shapes: N mappings, L steps in time, A axes; loops in the order LOOPS. Positions run from 0 (no loop in time lies below)
to L (all do).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.dataflow.loops.description import RELEVANT, Operand
from fewbits.hardware.dataflow.loops.layer_loops import INDEX, LOOPS, LayerLoops

Ints = NDArray[np.int64]

RELEVANCE: dict[Operand, NDArray[np.bool_]] = {
    operand: np.array([loop in relevant for loop in LOOPS]) for operand, relevant in RELEVANT.items()
}
"""Of each loop, by operand."""

SLIDING: NDArray[np.bool_] = np.array([loop in ("OY", "OX", "FY", "FX") for loop in LOOPS])
"""Loops along which the next tile of inputs overlaps with the one before."""


def distinct(outputs: Ints, taps: Ints, stride: int, dilation: int) -> Ints:
    """How many places of a row so many neighbouring outputs see through so many neighbouring taps of a kernel.

    |{stride a + dilation b: a < outputs, b < taps}|: two pairs give one place where they differ by a multiple of
    (dilation / g, -stride / g), g their common divisor, so that each such step within the pairs takes one away.
    """
    common = int(np.gcd(stride, dilation))
    again = np.maximum(outputs - dilation // common, 0) * np.maximum(taps - stride // common, 0)
    return outputs * taps - again


def values(operand: Operand, extents: Sequence[Ints], layer: LayerLoops) -> Ints:
    """Of a tile. extents: of each of LOOPS, the flat indices' in their first loop, all of one shape."""
    b, k, c, oy, ox, fy, fx = extents
    if operand == "weights":
        return k * c * fy * fx
    if operand == "outputs":
        return b * k * oy * ox
    if not layer.flat:
        return (
            b
            * c
            * distinct(oy, fy, layer.stride[0], layer.dilation[0])
            * distinct(ox, fx, layer.stride[1], layer.dilation[1])
        )
    apart = b * c * oy * ox * fy * fx  # a window's values as often as windows share them
    b, k, c, oy, ox, fy, fx = _unfolded(extents, layer)
    box = distinct(oy, fy, layer.stride[0], layer.dilation[0]) * distinct(ox, fx, layer.stride[1], layer.dilation[1])
    return np.minimum(apart, b * c * box)


def _unfolded(extents: Sequence[Ints], layer: LayerLoops) -> list[Ints]:
    """Of each loop by itself: a stretch of a flat index counts as the whole rows, or channels, that it would fill."""
    found = list(extents)
    for index in layer.flat:
        rest = extents[INDEX[index[0]]]
        for loop in reversed(index):
            size = layer.size(loop)
            found[INDEX[loop]] = np.minimum(rest, size)
            rest = -(-rest // size)
    return found


@dataclass(frozen=True, eq=False)
class Candidates:
    """Mappings of one layer."""

    loops: Ints
    """Of each step in time, from the innermost on, the number of its loop; shape (N, L)."""

    factors: Ints
    """How often it runs; 1 for places that are not used. Neighbouring steps are of different loops."""

    space: Ints
    """How far each loop runs along each axis; shape (N, A, 7)."""

    pinned: Ints
    """For each memory, how many steps lie below it where that is fixed, else -1; shape (N, M)."""

    layer: LayerLoops

    _known: dict[object, Ints] = field(default_factory=dict[object, Ints], repr=False)

    def __len__(self) -> int:
        return len(self.loops)

    def only(self, row: int) -> Candidates:
        """One of them."""
        one = slice(row, row + 1)
        return Candidates(self.loops[one], self.factors[one], self.space[one], self.pinned[one], self.layer)

    def _once(self, key: object, make: Callable[[], Ints]) -> Ints:
        """What does not depend on sizes and widths of memories: of many machines and formats alike."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    @cached_property
    def bounds(self) -> Ints:
        """Of each loop; shape (7,)."""
        return np.array(self.layer.bounds, np.int64)

    @cached_property
    def below(self) -> Ints:
        """How often each loop runs below a position; shape (7, N, L + 1)."""
        count, length = self.factors.shape
        found = np.ones((len(LOOPS), count, length + 1), np.int64)
        own = self.loops[None] == np.arange(len(LOOPS))[:, None, None]
        np.cumprod(np.where(own, self.factors, 1), axis=2, out=found[:, :, 1:])
        return found

    @cached_property
    def above(self) -> Ints:
        """How often a position is passed: the product of the steps from there on; shape (N, L + 1)."""
        return _suffix_products(self.factors)

    def relevant_above(self, operand: Operand) -> Ints:
        """The same of the steps that choose other values of an operand."""
        return self._once(
            ("relevant above", operand),
            lambda: _suffix_products(np.where(RELEVANCE[operand][self.loops], self.factors, 1)),
        )

    def changing(self, operand: Operand) -> Ints:
        """The first step from a position on that chooses other values of an operand, L where none does; (N, L + 1).

        Below it, what a tile holds stays.
        """
        return self._once(("changing", operand), lambda: self._changing(operand))

    def _changing(self, operand: Operand) -> Ints:
        count, length = self.factors.shape
        found = np.full((count, length + 1), length, np.int64)
        changes = RELEVANCE[operand][self.loops] & (self.factors > 1)
        found[:, :length] = np.where(changes, np.arange(length), length)
        return np.minimum.accumulate(found[:, ::-1], axis=1)[:, ::-1]

    def unrolled(self, inside: Sequence[bool]) -> Ints:
        """How far each loop runs in space along some of the axes; shape (7, N)."""
        return self._once(("unrolled", *inside), lambda: self._unrolled(inside))

    def tile(self, operand: Operand, inside: Sequence[bool]) -> Ints:
        """Values of an operand in one instance of a memory, by where its tile ends; (N, L + 1).

        inside: for each axis, whether its places share an instance.
        """
        return self._once(("tile", operand, *inside), lambda: self._tile(operand, inside))

    def _tile(self, operand: Operand, inside: Sequence[bool]) -> Ints:
        extents = np.minimum(self.unrolled(inside)[:, :, None] * self.below, self.bounds[:, None, None])
        return values(operand, tuple(extents), self.layer)

    def places(self, inside: Sequence[bool]) -> Ints:
        """How many places some of the axes have that are used; (N,)."""
        return self._once(("places", *inside), lambda: self.unrolled(inside).prod(axis=0))

    def _unrolled(self, inside: Sequence[bool]) -> Ints:
        found = np.ones((len(LOOPS), len(self)), np.int64)
        for axis, taken in enumerate(inside):
            if taken:
                found *= self.space[:, axis].T
        return found


def _suffix_products(factors: Ints) -> Ints:
    """Products of each row from each place on, and 1 behind the last; shape (N, L + 1)."""
    found = np.ones((factors.shape[0], factors.shape[1] + 1), np.int64)
    np.cumprod(factors[:, ::-1], axis=1, out=found[:, -2::-1])
    return found


def at(table: Ints, positions: Ints) -> Ints:
    """A table's values at a position of each row; table (..., N, L + 1), positions (N,)."""
    return table[..., _numbers(len(positions)), positions]


@lru_cache(maxsize=256)
def _numbers(count: int) -> Ints:
    """From 0 on."""
    return np.arange(count)
