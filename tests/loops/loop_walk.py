"""A loop nest walked iteration by iteration, with the real values in every memory: what moves, counted one by one.

It shares nothing with the model but the description, the mapping and where each memory's tiles end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import prod

from fewbits.hardware import Axis, LoopAccelerator, LoopMemory
from fewbits.hardware.dataflow.loops.layer_loops import LOOPS, LayerLoops
from fewbits.hardware.dataflow.loops.problem import OperandBits

RELEVANT = {
    "inputs": {"B", "C", "OY", "OX", "FY", "FX"},
    "weights": {"K", "C", "FY", "FX"},
    "outputs": {"B", "K", "OY", "OX"},
}
Place = tuple[tuple[int, ...], ...]
"""For each axis, the index of each loop along it."""


@dataclass
class Walk:
    """What was counted, of all groups."""

    steps: int = 0
    reads: Counter[str] = field(default_factory=Counter)
    writes: Counter[str] = field(default_factory=Counter)
    loaded: Counter[str] = field(default_factory=Counter)
    partial_sums: int = 0


class Nest:
    """One mapping of one layer (no flat loops)."""

    def __init__(
        self,
        layer: LayerLoops,
        accelerator: LoopAccelerator,
        bits: OperandBits,
        space: tuple[tuple[int, ...], ...],
        time: tuple[tuple[int, int], ...],
        ends: dict[tuple[str, str], int],
    ) -> None:
        self.layer, self.accelerator, self.bits = layer, accelerator, bits
        self.space, self.time, self.ends = space, time, ends
        self.iterations = list(product(*(range(factor) for _, factor in reversed(time))))

    # Which values a place works on.

    def places(self, axes: list[int]) -> Iterator[Place]:
        """All places along some axes, the first ones along the others."""
        along = [
            list(product(*(range(factor) for factor in self.space[axis]))) if axis in axes else [(0,) * len(LOOPS)]
            for axis in range(len(self.space))
        ]
        yield from product(*along)

    def index(self, loop: int, place: Place, now: tuple[int, ...]) -> int:
        """Of one loop, at a place, in an iteration (innermost step first)."""
        value, weight = 0, 1
        for axis, own in enumerate(place):
            value += weight * own[loop]
            weight *= self.space[axis][loop]
        for (number, factor), count in zip(self.time, now, strict=True):
            if number == loop:
                value += weight * count
                weight *= factor
        return value

    def value(self, operand: str, place: Place, now: tuple[int, ...]) -> tuple[int, ...] | None:
        """Which value of an operand, None beyond a ragged edge."""
        at = {name: self.index(number, place, now) for number, name in enumerate(LOOPS)}
        if any(
            at[name] >= size for name, size in zip(LOOPS, self.layer.sizes, strict=True) if name in RELEVANT[operand]
        ):
            return None
        if operand == "weights":
            return at["K"], at["C"], at["FY"], at["FX"]
        if operand == "outputs":
            return at["B"], at["K"], at["OY"], at["OX"]
        (sy, sx), (dy, dx) = self.layer.stride, self.layer.dilation
        return at["B"], at["C"], at["OY"] * sy + at["FY"] * dy, at["OX"] * sx + at["FX"] * dx

    def tile(self, operand: str, end: int, axes: list[int], now: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
        """The values that the places along some axes take while the steps below `end` run."""
        below = product(*(range(factor) for _, factor in self.time[:end]))
        found = {
            self.value(operand, place, (*inner, *now[end:])) for inner in below for place in self.places(axes)
        }  # fmt: skip
        return frozenset(one for one in found if one is not None)

    # What moves.

    def shared(self, memory: LoopMemory | None) -> list[int]:
        """The axes whose places share an instance."""
        where = "array" if memory is None else memory.instances
        return [] if where == "element" else [n for n, axis in enumerate(self.accelerator.space) if axis.name != where]

    def instances(self, memory: LoopMemory) -> int:
        return prod(prod(self.space[axis]) for axis in range(len(self.space)) if axis not in self.shared(memory))

    def rows(self, memory: LoopMemory, count: int, bits: int) -> int:
        row = memory.row_bits or memory.row_values * max(getattr(self.bits, _WIDTH[held]) for held in memory.holds)
        return -(-count * bits // row)

    def walk(self) -> Walk:
        found = Walk(steps=len(self.iterations) * self.layer.groups)
        for operand in RELEVANT:
            levels = [memory for memory in self.accelerator.memories if operand in memory.holds]
            for child, parent in zip([None, *levels], [*levels, None], strict=True):
                (self._sums if operand == "outputs" else self._fetches)(operand, child, parent, found)
        return found

    def _changes(self, operand: str, end: int) -> Iterator[tuple[tuple[int, ...], bool]]:
        """The iterations in which another tile is chosen, and whether it is the next one of the innermost loop."""
        chosen = [
            n
            for n, (loop, factor) in enumerate(self.time)
            if n >= end and LOOPS[loop] in RELEVANT[operand] and factor > 1
        ]
        before = None
        for iteration in self.iterations:
            now = iteration[::-1]
            key = tuple(now[n] for n in chosen)
            if key != before:
                moved = None if before is None else [a - b for a, b in zip(key, before, strict=True)]
                yield now, moved is not None and moved[0] == 1 and not any(moved[1:])
                before = key

    def _fetches(self, operand: str, child: LoopMemory | None, parent: LoopMemory | None, found: Walk) -> None:
        end = 0 if child is None else self.ends[child.name, operand]
        slides = [
            n
            for n, (loop, factor) in enumerate(self.time)
            if n >= end and LOOPS[loop] in RELEVANT[operand] and factor > 1
        ]
        keeps = (
            operand == "inputs"
            and child is not None
            and slides
            and LOOPS[self.time[slides[0]][0]] in ("OY", "OX", "FY", "FX")
        )
        groups, width = self.layer.groups, getattr(self.bits, operand)
        for memory, takes in ((child, True), (parent, False)):
            if takes and memory is None:
                continue  # the array's registers
            axes, last = self.shared(memory), None
            counts: dict[bool, list[int]] = {True: [], False: []}
            for now, is_next in self._changes(operand, end):
                tile = self.tile(operand, end, axes, now)
                kept = keeps and is_next
                counts[bool(kept)].append(len(tile - last) if kept else len(tile))
                last = tile
            apart = 1 if takes else self._apart(operand, child, parent)
            if memory is None:
                found.loaded[operand] += (sum(counts[True]) + sum(counts[False])) * groups * apart
            else:
                rows = sum(len(each) * self.rows(memory, max(each, default=0), width) for each in counts.values())
                (found.writes if takes else found.reads)[memory.name] += rows * self.instances(memory) * groups * apart

    def _apart(self, operand: str, child: LoopMemory | None, parent: LoopMemory | None) -> int:
        """Places that share the parent, not the child, and do not share a read (or a sum)."""
        below = [] if child is None else self.shared(child)
        found = 1
        for number, axis in enumerate(self.accelerator.space):
            alone = axis.outputs == "stay" if operand == "outputs" else getattr(axis, operand) == "unicast"
            if number in self.shared(parent) and number not in below and alone:
                found *= prod(
                    f for name, f in zip(LOOPS, self.space[number], strict=True) if name not in RELEVANT[operand]
                )
        return found

    def _sums(self, operand: str, child: LoopMemory | None, parent: LoopMemory | None, found: Walk) -> None:
        end = 0 if child is None else self.ends[child.name, operand]
        chosen = [
            n
            for n, (loop, factor) in enumerate(self.time)
            if n >= end and LOOPS[loop] in RELEVANT[operand] and factor > 1
        ]
        visits: Counter[tuple[int, ...]] = Counter()
        for now, _ in self._changes(operand, end):
            visits[tuple(now[n] for n in chosen)] += 1
        apart = self._apart(operand, child, parent)
        groups = self.layer.groups
        first = self.iterations[0][::-1]
        if parent is None:
            whole = self.tile(operand, len(self.time), self.shared(None), first)
            again = {count for count in visits.values()}
            assert len(again) == 1
            found.partial_sums += (again.pop() * apart - 1) * len(whole) * groups
        for memory, times in ((parent, apart), (child, 1)):
            if memory is None:
                continue
            size = len(self.tile(operand, end, self.shared(memory), first))
            complete = self.rows(memory, size, self.bits.outputs)
            partial = self.rows(memory, size, self.bits.accumulator)
            each = self.instances(memory) * groups
            up = sum(complete + (count * times - 1) * partial for count in visits.values()) * each
            back = sum((count * times - 1) * partial for count in visits.values()) * each
            into, out = (found.writes, found.reads) if memory is parent else (found.reads, found.writes)
            into[memory.name] += up
            out[memory.name] += back


_WIDTH = {"inputs": "inputs", "weights": "weights", "outputs": "accumulator"}

__all__ = ["Axis", "Nest", "Walk"]
