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
from functools import cached_property

import numpy as np

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.base import AccessCosts
from fewbits.hardware.dataflow.loops.description import Objective
from fewbits.hardware.dataflow.loops.evaluation import Evaluation, evaluated
from fewbits.hardware.dataflow.loops.layer_loops import LOOPS
from fewbits.hardware.dataflow.loops.mapping import Mapping
from fewbits.hardware.dataflow.loops.orders import Order, Orders, all_orders, count_of_all, neighbours, whole_orders
from fewbits.hardware.dataflow.loops.problem import Problem, tile_bits
from fewbits.hardware.dataflow.loops.tiles_in_time import Candidates, Ints, values
from fewbits.hardware.dataflow.loops.unrolling import Unrolled, unrollings
from fewbits.hardware.dataflow.plan import Widths

EXHAUSTIVE = 2000
"""Orders of all prime factors, of all choices in space, up to which each is looked at."""

STARTS = 4
"""Mappings that a search goes on from, where it cannot look at all."""

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
    choices = unrollings(problem.accelerator, problem.layer)
    cut = len(choices) > UNROLLINGS
    if cut:
        choices = sorted(choices, key=lambda one: int(np.prod(_left(problem, one))))[:UNROLLINGS]
    search = _Search(problem, border)
    search.look_at([(one, whole_orders(_left(problem, one), problem.blocks)) for one in choices])
    if not search.kept:
        _refuse(name, problem, choices)
    best = not cut
    pinned = any(memories for _, memories in problem.blocks)
    if pinned or not _is_whole(problem):
        count = sum(count_of_all(_left(problem, one)) for one in choices)
        if count <= EXHAUSTIVE and not problem.blocks:
            search.look_at([(one, all_orders(_left(problem, one))) for one in choices])
        else:
            best = False
            search.go_on()
    chosen = search.kept[0]
    return Found(_mapping(problem, chosen), chosen.evaluation, chosen.row, search.looked_at, best)


def _left(problem: Problem, unrolled: Unrolled) -> tuple[int, ...]:
    """How often each loop runs in time."""
    return tuple(
        -(-bound // int(np.prod(each)))
        for bound, each in zip(problem.layer.bounds, zip(*unrolled, strict=True), strict=True)
    )


def _is_whole(problem: Problem) -> bool:
    """Whether every operand fits whole into one instance of every memory that holds it, all at full width."""
    extents = tuple(np.array([bound]) for bound in problem.layer.bounds)
    return all(
        sum(int(values(one, extents, problem.layer)[0]) * problem.bits.of(one) for one in memory.holds)
        <= tile_bits(memory, problem.bits)
        for memory in problem.memories
    )


def _refuse(name: str, problem: Problem, choices: Sequence[Unrolled]) -> None:
    """Raise HardwareError for the memory that is too small in the most mappings."""
    orders = [(one, whole_orders(_left(problem, one), problem.blocks)) for one in choices]
    fits = evaluated(problem, candidates_of(problem, orders)).accesses.fits
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

    def __init__(self, problem: Problem, border: Border) -> None:
        self.problem, self.border = problem, border
        self.looked_at = 0
        self.kept: list[_Kept] = []

    def look_at(self, mappings: Sequence[tuple[Unrolled, Orders]]) -> None:
        """Keep the best of these and of those before."""
        evaluation = evaluated(self.problem, candidates_of(self.problem, mappings))
        border = self.border
        bits = evaluation.off_chip_bits(border.widths, border.biases, is_last=border.is_last)
        first, second = evaluation.keys(border.objective, border.costs, bits, border.bits_per_cycle)
        self.looked_at += len(first)
        ends = np.cumsum([len(orders.orders) for _, orders in mappings])
        for row in np.lexsort((second, first))[:STARTS].tolist():
            if np.isfinite(first[row]):
                group = int(np.searchsorted(ends, row, side="right"))
                unrolled, orders = mappings[group]
                order = orders.orders[row - int(ends[group]) + len(orders.orders)]
                keys = (float(first[row]), float(second[row]))
                self.kept.append(_Kept(keys, unrolled, order, evaluation, row))
        self.kept = sorted(self.kept, key=lambda one: one.keys)[:STARTS]

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
    longest = max(orders.loops.shape[1] for _, orders in mappings)
    loops, factors = (
        np.concatenate([_widened(getattr(orders, name), longest, fill) for _, orders in mappings])
        for name, fill in (("loops", 0), ("factors", 1))
    )
    pinned = np.full((len(loops), len(problem.memories)), -1, np.int64)
    starts = np.concatenate([orders.starts for _, orders in mappings])
    for block, (_, memories) in enumerate(problem.blocks):
        for memory in memories:
            pinned[:, memory] = starts[:, block]
    each = np.array([unrolled for unrolled, _ in mappings], np.int64)
    space = each.reshape(len(mappings), len(problem.space), len(LOOPS))
    return Candidates(loops, factors, np.repeat(space, [len(orders.orders) for _, orders in mappings], axis=0), pinned)


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
