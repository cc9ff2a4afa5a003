"""What mappings move: rows of each memory that are read and written, values across the chip's border, for one layer.

The rules, in the words of ZigZag (Mei et al., IEEE TC 2021) and Timeloop (Parashar et al., ISPASS 2019):

- Each memory's tile spans its operands' share of the innermost loops: as many as fit, or as the description fixes. The
  array itself holds one value of each operand in each element, the datapath's registers.
- A tile is fetched anew whenever a loop above it chooses other values of its operand; loops directly above it that do
  not are passed without a fetch.
- A fetch reads whole rows of the memory above, once for all places that share an instance of it (but where an axis is
  `unicast`), and writes whole rows into each instance. Ragged tiles take the rows of full ones.
- Where the innermost loop that changes a tile of inputs is OY, OX, FY or FX, a memory keeps what the next tile also
  holds. Registers of the array do not: each step reads all its values.
- A tile of sums goes up whenever another one takes its place. If it comes back later, it is read at the accumulator's
  width, as it was written; complete results are written at their own.
- Sums of an axis that neither a tree nor neighbours add (`stay`) go up one after another, and are added in memory.
- Values across the border are exact, also of ragged tiles; places in the padding count, though nothing is read there.
- Groups run one after another, and share nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from fewbits.hardware.dataflow.loops.description import Axis, Loop, Operand
from fewbits.hardware.dataflow.loops.layer_loops import INDEX, LOOPS, LayerLoops
from fewbits.hardware.dataflow.loops.problem import OPERANDS, Problem, row_bits, tile_bits
from fewbits.hardware.dataflow.loops.tiles_in_time import (
    RELEVANCE,
    SLIDING,
    Candidates,
    Ints,
    at,
    values,
)

_ALONG: tuple[tuple[Loop, Loop], ...] = (("OY", "FY"), ("OX", "FX"))
"""Loops over outputs and taps, along rows and columns."""

_ONE = np.ones(1, np.int64)

_NUMBERS = np.arange(len(LOOPS))[:, None]


@dataclass(frozen=True, eq=False)
class _Border:
    """One operand between a level and the one above it; None: the array below, the chip's border above.

    Arrays are of all mappings, (N,).
    """

    operand: Operand
    child: int | None
    parent: int | None
    positions: Ints
    """Where the child's tiles end."""

    change: Ints
    """The step that chooses other values first, L where none does."""

    tiles: Ints
    """Of a group, that cross it."""


class Accesses:
    """Of each of many mappings of one layer."""

    def __init__(self, problem: Problem, candidates: Candidates) -> None:
        self.problem, self.candidates = problem, candidates
        self._changing = {operand: candidates.changing(operand) for operand in OPERANDS}
        self._relevant = {operand: candidates.relevant_above(operand) for operand in OPERANDS}
        self._bounds = candidates.bounds
        count, memories = len(candidates), len(problem.memories)
        self.fits: NDArray[np.bool_] = np.ones((memories, count), bool)
        """Of each memory, whether its innermost tile, or the fixed one, fits; shape (M, N)."""
        self.positions = self._positions()
        """By memory and operand, how many steps its tile spans; (N,)."""
        self.reads = np.zeros((memories, count), np.int64)
        """Rows of all instances together, of all groups; (M, N)."""
        self.writes = np.zeros((memories, count), np.int64)
        self.filled = np.zeros((memories, count), np.int64)
        """Rows among both that pass between a memory and the level above it."""
        self.tiles: dict[tuple[int | None, Operand], Ints] = {}
        """Tiles of a group that a level (None: the array) takes from above, or hands up."""
        self.loaded: dict[Operand, Ints] = {}
        """Values of inputs and weights that come from beyond the border, of all groups."""
        self.partial_sums = np.zeros(count, np.int64)
        """Sums that leave the chip and come back, of all groups."""
        for operand in OPERANDS:
            chain = (None, *problem.levels[operand], None)
            for child, parent in pairwise(chain):
                border = self._border(operand, child, parent)
                self.tiles[child, operand] = border.tiles
                if operand == "outputs":
                    self._move_sums(border)
                else:
                    self._fetch(border)

    def instances(self, memory: int) -> Ints:
        """Of a memory, those that a mapping uses; (N,), or (1,) where there is one."""
        inside = self.problem.inside(memory)
        return _ONE if all(inside) else self.candidates.places([not shared for shared in inside])

    # Where tiles end.

    def _positions(self) -> dict[tuple[int, Operand], Ints]:
        problem, candidates = self.problem, self.candidates
        last = candidates.factors.shape[1]
        found: dict[tuple[int, Operand], Ints] = {}
        for number, memory in enumerate(problem.memories):
            bits = np.zeros((1, 1), np.int64)
            for operand in memory.holds:
                bits = bits + candidates.tile(operand, problem.inside(number)) * self._held_bits(operand)
            fitting = bits <= tile_bits(memory, problem.bits)
            greedy = np.where(fitting.all(axis=1), last, fitting.argmin(axis=1) - 1)
            pinned = candidates.pinned[:, number]
            self.fits[number] = (greedy >= 0) & (pinned <= greedy)
            chosen = np.where(pinned >= 0, np.minimum(pinned, last), np.maximum(greedy, 0))
            found |= {(number, operand): chosen for operand in memory.holds}
        for operand in OPERANDS:  # a tile is part of the tile above it
            levels = problem.levels[operand]
            for lower, upper in zip(levels[-2::-1], levels[:0:-1], strict=True):
                found[lower, operand] = np.minimum(found[lower, operand], found[upper, operand])
        return found

    def _held_bits(self, operand: Operand) -> Ints:
        """Width of values in a memory: of sums where the array hands up incomplete ones; (N, 1) or (1, 1)."""
        bits = self.problem.bits
        if operand != "outputs":
            return np.full((1, 1), bits.of(operand))
        complete = at(self.candidates.above, self._changing["outputs"][:, 0]) == self._relevant["outputs"][:, 0]
        return np.where(complete, bits.outputs, bits.accumulator)[:, None]

    def _extents(self, inside: tuple[bool, ...], positions: Ints) -> Ints:
        """How far each loop runs within a tile of one instance; (7, N)."""
        return np.minimum(
            self.candidates.unrolled(inside) * at(self.candidates.below, positions), self._bounds[:, None]
        )

    # What crosses a border.

    def _border(self, operand: Operand, child: int | None, parent: int | None) -> _Border:
        nothing = np.zeros(len(self.candidates), np.int64)
        positions = nothing if child is None else self.positions[child, operand]
        change = at(self._changing[operand], positions)
        return _Border(operand, child, parent, positions, change, at(self.candidates.above, change))

    def _fetch(self, border: _Border) -> None:
        """Inputs or weights that come down."""
        step = np.minimum(border.change, self.candidates.factors.shape[1] - 1)
        loop, run = at(self.candidates.loops, step), np.ones(len(step), np.int64)
        if border.operand == "inputs" and border.child is not None:
            slides = SLIDING[loop] & (border.change < self.candidates.factors.shape[1])
            run = np.where(slides, at(self.candidates.factors, step), 1)
        if border.child is not None:
            rows = self._fetched_rows(border, border.child, loop, run)
            self.writes[border.child] += rows
            self.filled[border.child] += rows
        if border.parent is not None:
            rows = self._fetched_rows(border, border.parent, loop, run)
            self.reads[border.parent] += rows * self._apart(
                border, lambda axis: getattr(axis, border.operand) == "unicast"
            )
        else:
            self.loaded[border.operand] = self._loaded(border, loop, run)

    def _fetched_rows(self, border: _Border, memory: int, loop: Ints, run: Ints) -> Ints:
        """Rows of one of the two memories, of all its instances.

        run: fetches of which the first takes a whole tile, the others what the tile before, one step of `loop` back,
        did not hold.
        """
        layer, inside = self.problem.layer, self.problem.inside(memory)
        whole = at(self.candidates.tile(border.operand, inside), border.positions)
        starts = border.tiles // run
        rows = starts * self._rows(memory, border.operand, whole)
        if (run > 1).any():
            extents = self._extents(inside, border.positions)
            both = np.minimum(np.where(loop == _NUMBERS, 2 * extents, extents), self._bounds[:, None])
            news = values(border.operand, tuple(both), layer) - whole
            rows = rows + (border.tiles - starts) * self._rows(memory, border.operand, news)
        return rows * self.instances(memory) * layer.groups

    def _rows(self, memory: int, operand: Operand, count: Ints, *, complete: bool = False) -> Ints:
        """That so many values take. complete: of results, not of sums."""
        bits = self.problem.bits
        return -(
            -count * (bits.outputs if complete else bits.of(operand)) // row_bits(self.problem.memories[memory], bits)
        )

    def _apart(self, border: _Border, which: Callable[[Axis], bool]) -> Ints:
        """Places between two levels, along some of the axes, that take or give the same value each by itself."""
        problem = self.problem
        below = (False,) * len(problem.space) if border.child is None else problem.inside(border.child)
        taken = tuple(
            upper and not lower and which(axis)
            for axis, upper, lower in zip(problem.space, problem.inside(border.parent), below, strict=True)
        )
        if not any(taken):
            return _ONE
        return np.where(RELEVANCE[border.operand][:, None], 1, self.candidates.unrolled(taken)).prod(axis=0)

    def _loaded(self, border: _Border, loop: Ints, run: Ints) -> Ints:
        """Values that cross the chip's border, exact at ragged edges (of flat indices as tiles have them)."""
        layer, operand = self.problem.layer, border.operand
        again = (
            border.tiles
            // at(self._relevant[operand], border.positions)
            * self._apart(border, lambda axis: getattr(axis, operand) == "unicast")
        )
        if operand == "weights":
            return layer.size("K") * layer.size("C") * layer.size("FY") * layer.size("FX") * again * layer.groups
        extents = self._extents(self.problem.inside(None), border.positions)
        apart = prod(layer.sizes) // layer.size("K")
        if not layer.flat:
            rows, columns = (
                _seen(
                    layer,
                    direction,
                    extents,
                    np.where(loop == INDEX[first], run, 1),
                    np.where(loop == INDEX[second], run, 1),
                )
                for direction, (first, second) in enumerate(_ALONG)
            )
            return layer.size("B") * layer.size("C") * rows * columns * again * layer.groups
        whole = values(operand, tuple(extents), layer)
        both = np.minimum(np.where(loop == _NUMBERS, 2 * extents, extents), self._bounds[:, None])
        starts = border.tiles // run
        boxes = starts * whole + (border.tiles - starts) * (values(operand, tuple(both), layer) - whole)
        return np.minimum(boxes, apart * again) * layer.groups

    def _move_sums(self, border: _Border) -> None:
        """Sums that go up, and come back where they are not complete."""
        layer = self.problem.layer
        last = at(self._relevant["outputs"], border.positions)
        apart = self._apart(border, lambda axis: axis.outputs == "stay")
        up = border.tiles * apart
        if border.parent is None:
            outputs = layer.size("B") * layer.size("K") * layer.size("OY") * layer.size("OX")
            self.partial_sums = (up // last - 1) * outputs * layer.groups
        else:
            complete, partial = self._sum_rows(border, border.parent)
            self.writes[border.parent] += last * complete + (up - last) * partial
            self.reads[border.parent] += (up - last) * partial
        if border.child is not None:
            complete, partial = self._sum_rows(border, border.child)
            out, back = last * complete + (border.tiles - last) * partial, (border.tiles - last) * partial
            self.reads[border.child] += out
            self.writes[border.child] += back
            self.filled[border.child] += out + back

    def _sum_rows(self, border: _Border, memory: int) -> tuple[Ints, Ints]:
        """Rows of a tile in one of the two memories, of all instances: of complete results, and of sums."""
        inside = self.problem.inside(memory)
        count = at(self.candidates.tile("outputs", inside), border.positions)
        times = self.instances(memory) * self.problem.layer.groups
        return (
            self._rows(memory, "outputs", count, complete=True) * times,
            self._rows(memory, "outputs", count) * times,
        )


def _seen(layer: LayerLoops, direction: int, extents: Ints, output_run: Ints, tap_run: Ints) -> Ints:
    """Rows (direction 0) or columns (1) of inputs that all tiles see, of each combination of outputs and taps.

    output_run, tap_run: tiles in a row, along one of the two loops, of which all but the first take only what is new.
    Both terms of `distinct` are products of a factor of the outputs and one of the taps, so that their sums are too.
    """
    outputs, taps = _ALONG[direction]
    stride, dilation = layer.stride[direction], layer.dilation[direction]
    common = gcd(stride, dilation)
    again = _beyond(layer.size(outputs), extents[INDEX[outputs]], output_run, dilation // common)
    again = again * _beyond(layer.size(taps), extents[INDEX[taps]], tap_run, stride // common)
    return layer.size(outputs) * layer.size(taps) - again


def _beyond(size: int, tile: Ints, run: Ints, shift: int) -> Ints:
    """The sum, over the tiles of a loop, the last of them a ragged one, of what they have beyond `shift`; of tiles that
    follow one in a run, of what both together have more than the first.
    """
    tiles = -(-size // tile)
    rest = size - (tiles - 1) * tile
    one = np.maximum(tile - shift, 0)
    found = (tiles - 1) * one + np.maximum(rest - shift, 0)
    if (run == 1).all():
        return found
    starts = tiles // run
    slides = (tiles - starts - 1) * (np.maximum(2 * tile - shift, 0) - one)
    slid = starts * one + slides + np.maximum(tile + rest - shift, 0) - one
    return np.where(run > 1, slid, found)
