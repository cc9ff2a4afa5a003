"""What the fields of an accelerator of loops must be, each and together; a mistake is said in a line with its key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, reduce
from itertools import pairwise
from operator import or_
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import Field, create_model

from fewbits.errors import HardwareError
from fewbits.toml_table import Table, checked, nearest

if TYPE_CHECKING:
    from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory

MOST_ELEMENTS = 1 << 24
"""Multipliers of an array: as many as each size may be (`description.LARGEST`)."""

PLACES = ("array", "element")
"""What `instances` takes beside the names of axes."""


def check(accelerator: LoopAccelerator) -> None:
    """Raise HardwareError, naming the first key that is wrong."""
    definition = {key: value for key, value in accelerator.definition().items() if key != "dataflow"}
    checked_table(type(accelerator), definition, "accelerator")
    if (problem := next(_problems(accelerator), None)) is not None:
        raise HardwareError(f"accelerator: {problem}")


def checked_table(kind: type[LoopAccelerator], values: Any, source: str) -> Table:
    """Values by key, their types and ranges checked one by one. Raises HardwareError; source: named in messages."""
    needs = "an accelerator needs an array, [[space]], and memories, [[memory]]"
    return checked(table_of(kind), values, source, needs, HardwareError)


@cache
def table_of(kind: type[Any]) -> type[Table]:
    """The table of a dataclass: a key for each field, under its name in TOML."""
    from fewbits.hardware.dataflow.loops.description import TOML_KEYS  # which needs `check`

    hints = get_type_hints(kind, include_extras=True)
    keys: dict[str, Any] = {}
    for one in fields(kind):
        default = Field(default_factory=one.default_factory) if one.default_factory is not MISSING else one.default
        keys[TOML_KEYS.get(one.name, one.name)] = (_tabled(hints[one.name]), ... if default is MISSING else default)
    return create_model(kind.__name__, __base__=Table, **keys)


def _tabled(hint: Any) -> Any:
    """A field's type with tables in place of dataclasses."""
    if isinstance(hint, type) and is_dataclass(hint):
        return table_of(hint)
    origin: Any = get_origin(hint)
    if origin is Annotated:
        return Annotated[(_tabled(hint.__origin__), *hint.__metadata__)]
    if origin is UnionType:
        return reduce(or_, (_tabled(part) for part in get_args(hint)))
    return hint if origin is not tuple else origin[tuple(_tabled(part) for part in get_args(hint))]  # pyright: ignore


def _problems(accelerator: LoopAccelerator) -> Iterator[str]:
    """What is wrong, one by one, each with its key."""
    axes, memories = accelerator.space, accelerator.memories
    yield from _repeated("space", "name", [axis.name for axis in axes])
    yield from _repeated("memory", "name", [memory.name for memory in memories])
    for number, axis in enumerate(axes):
        yield from _of_axis(f"space[{number}]", axis)
    yield from _of_space(axes)
    if accelerator.elements > MOST_ELEMENTS:
        key = f"space[{len(axes) - 1}].size"
        yield f"key {key!r}: the axes make {accelerator.elements:,} multipliers; at most {MOST_ELEMENTS:,} are allowed"
    for number, memory in enumerate(memories):
        yield from _of_memory(f"memory[{number}]", memory, [axis.name for axis in axes])
    yield from _of_memories(accelerator)


def _of_axis(where: str, axis: Axis) -> Iterator[str]:
    from fewbits.hardware.dataflow.loops.description import RELEVANT  # which needs `check`

    yield from _twice(f"{where}.loops", axis.loops)
    if axis.name in PLACES:
        yield f"key '{where}.name': {axis.name!r} says in `instances` how many memories there are; choose another name"
    if axis.flat and axis.unroll:
        yield f"key '{where}.unroll': a flat axis has one index of all its loops, and no factor of each; leave it out"
    for loop in axis.unroll:
        if loop not in axis.loops:
            yield f"key '{where}.unroll': {loop!r} is none of the axis's loops, which are {', '.join(axis.loops)}"
    factor = math.prod(axis.unroll.values())
    if factor > axis.size:
        yield f"key '{where}.unroll': a product of {factor} is beyond the axis, whose size is {axis.size}"
    if axis.outputs != "stay" and set(axis.loops) <= RELEVANT["outputs"]:
        yield (
            f"key '{where}.outputs': {axis.outputs!r} adds products along an axis, and none of its loops "
            f"({', '.join(axis.loops)}) sums; those that do are C, FY, FX"
        )


def _of_space(axes: Sequence[Axis]) -> Iterator[str]:
    """Loops that run along two axes: the mapper may share one out, but a factor or a flat index is given once."""
    for number, axis in enumerate(axes):
        for other in axes[:number]:
            for loop in axis.loops:
                if loop in axis.unroll and loop in other.unroll:
                    key = f"space[{number}].unroll.{loop}"
                    yield f"key {key!r}: {loop!r} is unrolled twice, here and along {other.name!r}; give it one factor"
                if loop in other.loops and (axis.flat or other.flat):
                    key = f"space[{number}].loops"
                    yield f"key {key!r}: {loop!r} runs along {other.name!r} too, which a flat axis does not share"


def _of_memory(where: str, memory: LoopMemory, axes: Sequence[str]) -> Iterator[str]:
    yield from _twice(f"{where}.holds", memory.holds)
    yield from _twice(f"{where}.loops", memory.loops)
    yield from _one_of(where, "size", kib=memory.kib, values=memory.values)
    yield from _one_of(where, "width", row_bits=memory.row_bits, row_values=memory.row_values)
    if memory.kib is not None and memory.row_bits is not None and memory.row_bits > memory.kib * 8192:
        yield f"key '{where}.row_bits': a row of {memory.row_bits} bits is more than the memory's {memory.kib:g} KiB"
    if memory.values is not None and memory.row_values is not None and memory.row_values > memory.values:
        yield f"key '{where}.row_values': a row of {memory.row_values} values is more than the memory's {memory.values}"
    if memory.instances not in (*PLACES, *axes):
        yield (
            f"key '{where}.instances': {memory.instances!r} was given; allowed are {', '.join((*PLACES, *axes))}"
            f"{nearest(memory.instances, (*PLACES, *axes))}"
        )


def _of_memories(accelerator: LoopAccelerator) -> Iterator[str]:
    """Each operand has a memory; and those further out are not more than those further in."""
    counts = {"array": 1, "element": accelerator.elements} | {axis.name: axis.size for axis in accelerator.space}
    for operand in ("inputs", "weights", "outputs"):
        holding = [(n, memory) for n, memory in enumerate(accelerator.memories) if operand in memory.holds]
        if not holding:
            yield f"key 'memory': no memory holds the {operand}; name them in the `holds` of one"
        for (_, inner), (number, outer) in pairwise(holding):
            if counts[inner.instances] < counts[outer.instances]:
                yield (
                    f"key 'memory[{number}].instances': {outer.name!r} feeds {inner.name!r}, of which there are fewer; "
                    "list memories from the innermost outward"
                )


def _one_of(where: str, what: str, **given: float | None) -> Iterator[str]:
    names = list(given)
    if all(value is not None for value in given.values()):
        yield f"key '{where}.{names[1]}': the {what} is given as {names[0]} too; leave one of them out"
    if all(value is None for value in given.values()):
        yield f"key '{where}.{names[0]}' is missing: a memory needs its {what}, as {names[0]} or as {names[1]}"


def _repeated(table: str, key: str, names: Sequence[str]) -> Iterator[str]:
    for number, name in enumerate(names):
        if name in names[:number]:
            yield f"key '{table}[{number}].{key}': {name!r} is the name of another {table} too; give each its own"


def _twice(key: str, entries: Sequence[str]) -> Iterator[str]:
    for number, entry in enumerate(entries):
        if entry in entries[:number]:
            yield f"key {key!r}: {entry!r} is listed twice; give each once"
