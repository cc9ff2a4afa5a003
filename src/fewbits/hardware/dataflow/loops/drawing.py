"""An accelerator drawn as text: its array with the loops in space, its memories, the paths of operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import get_args

from fewbits.hardware.dataflow.loops.description import (
    LOOPS,
    RELEVANT,
    Axis,
    Forwarding,
    LoopAccelerator,
    LoopMemory,
    Operand,
)

_OPERANDS: tuple[Operand, ...] = get_args(Operand)
_WIDTH = 96
_CROSS = "\u00d7"
"""A multiplier."""

_SHARED = {
    "multicast": "given to all places at once",
    "systolic": "handed on from place to place",
    "unicast": "given to each place by itself",
}
_SUMS = {
    "stay": "each place keeps its own sum",
    "adder-tree": "a tree adds the products",
    "systolic": "partial sums move on from place to place",
}


def drawing(accelerator: LoopAccelerator, name: str, dataflow: str) -> Iterator[str]:
    """Lines for an architect, from the whole to the parts."""
    shape = " x ".join(str(axis.size) for axis in accelerator.space)
    bandwidth = "as much as it needs" if accelerator.bandwidth is None else f"{accelerator.bandwidth:g} GB/s"
    size = f"{accelerator.elements:,} multipliers ({shape})"
    yield f"{name}: {size} at {accelerator.clock_mhz:g} MHz, dataflow {dataflow}"
    for label, text in (("source", accelerator.source), ("unverified", accelerator.unverified)):
        yield from wrap(f"{label}: {text}", _WIDTH, subsequent_indent="  ") if text else ()
    yield ""
    yield from _chip(accelerator, bandwidth)
    yield ""
    yield from _memories(accelerator)
    yield ""
    yield from (f"{operand + ':':<9}{_path(accelerator, operand)}" for operand in _OPERANDS)
    yield ""
    for axis in accelerator.space:
        yield from wrap(f"{axis.name}: {_along(axis)}", _WIDTH, subsequent_indent="  ")
    yield from _time(accelerator, dataflow)


def _chip(accelerator: LoopAccelerator, bandwidth: str) -> Iterator[str]:
    """The border with its memories, and the array inside it."""
    around = [f"{memory.name}, {_size(memory)}" for memory in reversed(accelerator.memories) if _is_around(memory)]
    array = list(_array(accelerator))
    inside = max(map(len, (*around, *array)))
    yield f"  off-chip memory, {bandwidth}"
    yield "        │"
    yield f"  ┌─────┴{'─' * (inside - 4)}┐"
    for line in around:
        yield f"  │ {line:<{inside}} │"
    if around:
        yield f"  ├─────┬{'─' * (inside - 4)}┤"
    for line in array:
        yield f"  │ {line:<{inside}} │"
    yield f"  └{'─' * (inside + 2)}┘"


def _is_around(memory: LoopMemory) -> bool:
    return memory.instances == "array"


def _array(accelerator: LoopAccelerator) -> Iterator[str]:
    """The first axis downward, the second across; of more, such arrays for each place of the others."""
    down, across, *others = (*accelerator.space, None, None)[: max(2, len(accelerator.space))]
    if across is None:
        down, across = None, down
    assert across is not None
    head = f"{across.name}: {across.size} along {_loops(across)}"
    label = [] if down is None else [f"{down.name}:", f"{down.size} along", _loops(down)]
    margin = max([0, *map(len, label)])
    yield f"{'':<{margin}}       {head} ─►"
    rows = list(_grid(across.size, 1 if down is None else down.size))
    for number, row in enumerate(rows):
        yield f"{label[number] if number < len(label) else '':<{margin}} {row}"
    for axis in others:
        if axis is not None:
            yield f"{axis.size} such arrays, {axis.name}: along {_loops(axis)}"
    own = [f"{memory.name} ({_size(memory)})" for memory in accelerator.memories if memory.instances == "element"]
    if own:
        yield from wrap(f"{_CROSS} multiplies, beside it in each element: {', '.join(own)}", 60, subsequent_indent="  ")
    for axis in accelerator.space:
        held = [f"{memory.name} ({_size(memory)})" for memory in accelerator.memories if memory.instances == axis.name]
        if held:
            yield from wrap(f"for each of {axis.name}: {', '.join(held)}", 60, subsequent_indent="  ")


def _grid(across: int, down: int) -> Iterator[str]:
    """Boxes with a cross, of long axes the first, a dot and the last."""
    one = f" {_CROSS} "
    cells = [one] * across if across <= 6 else [one, one, one, " ⋯ ", one]
    line = "┼".join("───" for _ in cells)
    yield f"┌{line.replace('┼', '┬')}┐"
    rows = [True] * down if down <= 4 else [True, True, False, True]
    for number, is_drawn in enumerate(rows):
        if number:
            yield f"├{line}┤"
        yield f"│{'│'.join(cells if is_drawn else [' ⋮ '] * len(cells))}│"
    yield f"└{line.replace('┼', '┴')}┘"


def _memories(accelerator: LoopAccelerator) -> Iterator[str]:
    """A table, from the outermost inward."""
    head = ("memory", "holds", "size", "a row", "instances", "ports", "filled")
    rows = [head, *(_row(memory, accelerator) for memory in reversed(accelerator.memories))]
    yield from columns(rows)


def _row(memory: LoopMemory, accelerator: LoopAccelerator) -> tuple[str, ...]:
    counts = {"array": 1, "element": accelerator.elements} | {axis.name: axis.size for axis in accelerator.space}
    count = counts[memory.instances]
    of = "" if memory.instances == "array" else f", each of {memory.instances}"
    of = ", each element" if memory.instances == "element" else of
    banks = f" x {memory.banks} banks" if memory.banks > 1 else ""
    row = f"{memory.row_bits} bits" if memory.row_values is None else _values(memory.row_values)
    filled = "while read, by halves" if memory.has_halves else "before it is read"
    return (
        memory.name,
        ", ".join(memory.holds),
        _size(memory),
        row + banks,
        f"{count:,}{of}",
        str(memory.ports),
        "while read, in place" if memory.streamed else filled,
    )


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows of texts side by side, each column as wide as its widest."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()


def _size(memory: LoopMemory) -> str:
    return f"{memory.kib:g} KiB" if memory.values is None else _values(memory.values)


def _values(count: int) -> str:
    return f"{count:,} value{'s' * (count != 1)}"


def _path(accelerator: LoopAccelerator, operand: Operand) -> str:
    """The memories that an operand passes, and the multipliers at its end."""
    stops = [memory.name for memory in reversed(accelerator.memories) if operand in memory.holds]
    arrow = " ◄─► " if operand == "outputs" else " ─► "
    return arrow.join(["off chip", *stops, "array"])


def _loops(axis: Axis) -> str:
    return ", ".join(f"{loop} = {axis.unroll[loop]}" if loop in axis.unroll else loop for loop in axis.loops)


def _along(axis: Axis) -> str:
    """What runs along an axis, and how operands reach its places."""
    left = [loop for loop in axis.loops if loop not in axis.unroll]
    how = (
        "as one index" if axis.flat else f"the mapper shares it out between {', '.join(left)}" if len(left) > 1 else ""
    )
    told = [f"{_loops(axis)}{f' ({how})' if how else ''}"]
    handed: tuple[tuple[Operand, Forwarding], ...] = (("inputs", axis.inputs), ("weights", axis.weights))
    for operand, forwarding in handed:
        if not set(axis.loops) <= RELEVANT[operand]:
            told.append(f"{operand} {_SHARED[forwarding]}")
    if not set(axis.loops) <= RELEVANT["outputs"]:
        told.append(_SUMS[axis.outputs])
    return "; ".join(told)


def _time(accelerator: LoopAccelerator, dataflow: str) -> Iterator[str]:
    """The loops in time that are fixed, and who chooses the others."""
    for memory in accelerator.memories:
        if memory.loops:
            yield f"in time, directly above {memory.name}: {', '.join(memory.loops)}, the first innermost"
    goal = {"energy": "energy", "cycles": "cycles", "energy-cycles": "energy x cycles"}[accelerator.objective]
    chosen = f"as the mapper finds least {goal}" if dataflow == LOOPS else f"as the schedule of {dataflow} has them"
    yield f"all other loops in time: {chosen}"
    if accelerator.pass_cycles:
        free = ", none in a layer of one pass" if accelerator.one_pass_is_free else ""
        yield f"each pass over a tile takes {accelerator.pass_cycles:,} cycles beside its products{free}"
