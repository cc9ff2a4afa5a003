"""The mapper: for each layer the best of the mappings that a description leaves open.

It first looks at the orders in which no loop is split, for all that may run in space. Where every operand fits whole
into every memory that holds it, these hold the best: a fetch more than one of each value cannot be saved, and at most
one operand can be used again by the array's registers, most by an order that has all its loops innermost. Otherwise it
looks at every order of the loops' prime factors, if there are few of them (`EXHAUSTIVE`), as LOMA does (Symons et al.,
AICAS 2021), or else goes from the best ones on to the best neighbour until none is better, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.description import Axis, Objective
from fewbits.hardware.dataflow.loops.evaluation import Evaluation, evaluated
from fewbits.hardware.dataflow.loops.layer_loops import LOOPS, LayerLoops
from fewbits.hardware.dataflow.loops.mapping import Mapping
from fewbits.hardware.dataflow.loops.orders import (
    Blocks,
    Order,
    Orders,
    all_orders,
    count_of_all,
    neighbours,
    outermost,
    whole_orders,
)
from fewbits.hardware.dataflow.loops.problem import Problem, tile_bits
from fewbits.hardware.dataflow.loops.tiles_in_time import Candidates, Ints, values
from fewbits.hardware.dataflow.loops.unrolling import Unrolled, unrollings
from fewbits.hardware.dataflow.plan import Widths

EXHAUSTIVE = 2000
"""Orders of all prime factors, of all choices in space, up to which each is looked at."""

STARTS = 4
"""Mappings that a search goes on from at a time, where it cannot look at all."""

WIDE, MANY = 64, 100_000_000
"""The same where there are more orders of all prime factors than the second."""

UNROLLINGS = 512
"""Choices in space that are looked at; of more, those with the fewest steps."""


@dataclass(frozen=True)
class Border:
    """What a layer's mapping is chosen by, beside the array and its memories."""

    objective: Objective
    costs: AccessCosts
    widths: Widths
    """Of values as they are stored off the chip."""

    biases: int = 0
    is_last: bool = False
    bits_per_cycle: float | None = None
    """Across the chip's border; None for any number."""


@dataclass(frozen=True, eq=False)
class Found:
    """The best mapping of a layer."""

    mapping: Mapping
    batch: Evaluation
    """Of this mapping and others that were looked at with it."""

    row: int
    """Of this mapping in it."""

    looked_at: int
    """Mappings."""

    is_best: bool
    """Whether no other could be better; else the search did not look at all of them."""

    @cached_property
    def evaluation(self) -> Evaluation:
        """Of this mapping alone."""
        return evaluated(self.batch.problem, self.batch.candidates.only(self.row))


def best_mapping(name: str, problem: Problem, border: Border) -> Found:
    """The best mapping of a layer, by the accelerator's objective. name: of the layer, for messages.

    Raises HardwareError, naming a memory and the layer, where no mapping fits.
    """
    start = _start(problem.accelerator.space, problem.layer, problem.blocks, len(problem.memories))
    search = _Search(problem, border, WIDE if start.count > MANY else STARTS)
    search.look_at(start.mappings, start.candidates)
    if not search.kept and problem.blocks:  # all that is fixed, left to the outermost loops
        search.look_at([(one, outermost(orders)) for one, orders in start.mappings])
    if not search.kept:
        _refuse(name, problem, start)
    best = start.is_complete
    pinned = any(memories for _, memories in problem.blocks)
    if pinned or not _is_whole(problem):
        if start.count <= EXHAUSTIVE and not problem.blocks:
            search.look_at([(one, all_orders(left_in_time(problem.layer, one))) for one, _ in start.mappings])
        else:
            best = False
            search.go_on()
    chosen = search.kept[0]
    return Found(_mapping(problem, chosen), chosen.evaluation, chosen.row, search.looked_at, best)


@dataclass(frozen=True, eq=False)
class _Start:
    """What a search of a layer starts from, whatever the formats and the sizes of the memories."""

    mappings: list[tuple[Unrolled, Orders]]
    candidates: Candidates
    count: int
    """Of the orders of all prime factors."""

    is_complete: bool
    """Whether all choices in space are among them."""


@lru_cache(maxsize=64)
def _start(space: tuple[Axis, ...], layer: LayerLoops, blocks: Blocks, memories: int) -> _Start:
    choices = unrollings(space, layer)
    is_complete = len(choices) <= UNROLLINGS
    if not is_complete:
        choices = sorted(choices, key=lambda one: prod(left_in_time(layer, one)))[:UNROLLINGS]
    left = [left_in_time(layer, one) for one in choices]
    mappings = [(one, whole_orders(each, blocks)) for one, each in zip(choices, left, strict=True)]
    candidates = _arrays(space, layer, blocks, memories, mappings)
    return _Start(mappings, candidates, sum(map(count_of_all, left)), is_complete)


def left_in_time(layer: LayerLoops, unrolled: Unrolled) -> tuple[int, ...]:
    """How often each loop runs in time."""
    return tuple(
        -(-bound // prod(each)) for bound, each in zip(layer.bounds, zip(*unrolled, strict=True), strict=True)
    )  # fmt: skip


def _is_whole(problem: Problem) -> bool:
    """Whether every operand fits whole into one instance of every memory that holds it, all at full width."""
    extents = tuple(np.array([bound]) for bound in problem.layer.bounds)
    return all(
        sum(int(values(one, extents, problem.layer)[0]) * problem.bits.of(one) for one in memory.holds)
        <= tile_bits(memory, problem.bits)
        for memory in problem.memories
    )


def _refuse(name: str, problem: Problem, start: _Start) -> None:
    """Raise HardwareError for the memory that is too small in the most mappings."""
    fits = evaluated(problem, start.candidates).accesses.fits
    memory = problem.memories[int(fits.sum(axis=1).argmin())]
    needed = (
        f"what runs above it ({', '.join(memory.loops)}) leaves a tile" if memory.loops else "the array takes a tile"
    )
    raise HardwareError(
        f"memory {memory.name!r} is too small for layer {name!r}: {needed} of {', '.join(memory.holds)} that does not "
        f"fit into {'half of ' if memory.has_halves else ''}its {_size(problem, memory.name)}: give it more kib "
        "(or values), or unroll less in space"
    )


def _size(problem: Problem, name: str) -> str:
    memory = next(one for one in problem.memories if one.name == name)
    return f"{memory.values} values" if memory.values is not None else f"{memory.kib:g} KiB"


@dataclass(frozen=True, eq=False)
class _Kept:
    """One of the best mappings so far."""

    keys: tuple[float, float]
    unrolled: Unrolled
    order: Order
    evaluation: Evaluation
    row: int


class _Search:
    """Looks at mappings and keeps the best of them."""

    def __init__(self, problem: Problem, border: Border, width: int) -> None:
        self.problem, self.border, self.width = problem, border, width
        self.looked_at = 0
        self.kept: list[_Kept] = []

    def look_at(self, mappings: Sequence[tuple[Unrolled, Orders]], candidates: Candidates | None = None) -> None:
        """Keep the best of these and of those before. candidates: the same as arrays, where they are known."""
        evaluation = evaluated(self.problem, candidates or candidates_of(self.problem, mappings))
        border = self.border
        bits = evaluation.off_chip_bits(border.widths, border.biases, is_last=border.is_last)
        first, second = evaluation.keys(border.objective, border.costs, bits, border.bits_per_cycle)
        self.looked_at += len(first)
        ends = np.cumsum([len(orders.orders) for _, orders in mappings])
        for row in np.lexsort((second, first))[: self.width].tolist():
            if np.isfinite(first[row]):
                group = int(np.searchsorted(ends, row, side="right"))
                unrolled, orders = mappings[group]
                order = orders.orders[row - int(ends[group]) + len(orders.orders)]
                keys = (float(first[row]), float(second[row]))
                self.kept.append(_Kept(keys, unrolled, order, evaluation, row))
        self.kept = sorted(self.kept, key=lambda one: one.keys)[: self.width]

    def go_on(self) -> None:
        """Look at the neighbours of the best, as long as one of them is better."""
        done: set[tuple[Unrolled, Order]] = set()
        while True:
            fresh = [one for one in self.kept if (one.unrolled, one.order) not in done]
            done.update((one.unrolled, one.order) for one in fresh)
            best = self.kept[0].keys
            near = [(one.unrolled, orders) for one in fresh if (orders := neighbours(one.order)) is not None]
            if near:
                self.look_at(near)
            if self.kept[0].keys >= best:
                break


def candidates_of(problem: Problem, mappings: Sequence[tuple[Unrolled, Orders]]) -> Candidates:
    """Mappings as arrays: of each way to unroll, some orders."""
    return _arrays(problem.accelerator.space, problem.layer, problem.blocks, len(problem.memories), mappings)


def _arrays(
    space: tuple[Axis, ...],
    layer: LayerLoops,
    blocks: Blocks,
    memories: int,
    mappings: Sequence[tuple[Unrolled, Orders]],
) -> Candidates:
    longest = max(orders.loops.shape[1] for _, orders in mappings)
    loops, factors = (
        np.concatenate([_widened(getattr(orders, name), longest, fill) for _, orders in mappings])
        for name, fill in (("loops", 0), ("factors", 1))
    )
    pinned = np.full((len(loops), memories), -1, np.int64)
    starts = np.concatenate([orders.starts for _, orders in mappings])
    for block, (_, numbers) in enumerate(blocks):
        for memory in numbers:
            pinned[:, memory] = starts[:, block]
    each = np.array([unrolled for unrolled, _ in mappings], np.int64).reshape(len(mappings), len(space), len(LOOPS))
    unrolled = np.repeat(each, [len(orders.orders) for _, orders in mappings], axis=0)
    return Candidates(loops, factors, unrolled, pinned, layer)


def _widened(table: Ints, length: int, fill: int) -> Ints:
    missing = length - table.shape[1]
    return table if missing == 0 else np.pad(table, ((0, 0), (0, missing)), constant_values=fill)


def _mapping(problem: Problem, chosen: _Kept) -> Mapping:
    """In the words of a description."""
    return Mapping(
        space=tuple(
            tuple((LOOPS[number], factor) for number, factor in enumerate(axis) if factor > 1)
            for axis in chosen.unrolled
        ),
        time=tuple((LOOPS[number], factor) for stretch in chosen.order for number, factor in stretch),
        kept=tuple(
            (problem.memories[memory].name, operand, int(positions[chosen.row]))
            for (memory, operand), positions in chosen.evaluation.accesses.positions.items()
        ),
    )
