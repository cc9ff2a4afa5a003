"""Accelerators of loops from tables: those of TOML files, and definitions that `LoopAccelerator.definition` gives."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from fewbits.arguments import is_integer, shown
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory, StatedEnergy
from fewbits.hardware.dataflow.loops.soundness import checked_table

IN_AXES = ("values", "row_values")
"""Keys of a memory that a file may give as an axis's size, by its name, or as a product: `"rows * columns"`."""


def read_loops(values: Mapping[str, Any], source: str = "accelerator") -> LoopAccelerator:
    """The accelerator of a table without its key `dataflow`.

    Raises HardwareError in one line: source, key, what was given, what is allowed.
    """
    numbers, unknown_axis = with_sizes_of_axes(values)
    table = cast(Any, checked_table(LoopAccelerator, numbers, source))
    rest = {key: value for key, value in table if key not in ("space", "memory", "stated")}
    try:
        made = LoopAccelerator(
            space=tuple(Axis(**dict(axis)) for axis in table.space),
            memories=tuple(LoopMemory(**dict(memory)) for memory in table.memory),
            stated=None if table.stated is None else StatedEnergy(**dict(table.stated)),
            **rest,
        )
    except HardwareError as error:
        raise HardwareError(str(error).replace("accelerator: ", f"{source}: ", 1)) from None
    if unknown_axis:
        raise HardwareError(f"{source}: {unknown_axis}")
    return made


def resized(values: Mapping[str, Any], sizes: Sequence[int], name: str) -> dict[str, Any]:
    """A file's table with other sizes of its axes, in their order. Raises HardwareError if it has not as many."""
    axes = values["space"]
    if len(axes) != len(sizes):
        raise HardwareError(
            f"accelerator {name!r}: the array has {len(axes)} axes ({', '.join(axis['name'] for axis in axes)}), and "
            f"{len(sizes)} sizes were given"
        )
    return {**values, "space": [{**axis, "size": size} for axis, size in zip(axes, sizes, strict=True)]}


def with_sizes_of_axes(values: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The table with numbers where a memory's size is given in axes, and what is wrong where there is no such axis.

    What is of another form stays for the checks.
    """
    memories = values.get("memory")
    if not isinstance(memories, (list, tuple)):
        return dict(values), ""
    sizes = dict(_sizes(values.get("space")))
    made = [
        {key: _number(held, sizes) if key in IN_AXES else held for key, held in memory.items()}
        if isinstance(memory, Mapping)
        else memory
        for memory in cast("list[Any]", memories)
    ]
    return {**values, "memory": made}, next(_unknown(memories, sizes), "")


def _number(value: object, sizes: Mapping[str, int]) -> object:
    """A memory's size as a number, 1 where it names an axis that is none (`_unknown`)."""
    if not isinstance(value, str):
        return value
    names = _names(value)
    return math.prod(sizes[name] for name in names) if _are_axes(names, sizes) else 1


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split("*")]


def _are_axes(names: Sequence[str], sizes: Mapping[str, int]) -> bool:
    return len(names) <= len(sizes) and set(names) <= sizes.keys()


def _unknown(memories: Sequence[Any], sizes: Mapping[str, int]) -> Iterator[str]:
    """Sizes in axes that are none, each with its key."""
    for number, memory in enumerate(memories):
        for key in IN_AXES if isinstance(memory, Mapping) else ():
            held: object = memory.get(key)
            if isinstance(held, str) and not _are_axes(_names(held), sizes):
                axes = ", ".join(sizes)
                yield (
                    f"key 'memory[{number}].{key}': {shown(held)} was given; it takes a number, an axis ({axes}), or a "
                    "product of axes, each once, such as 'rows * columns'"
                )


def _sizes(space: object) -> Iterator[tuple[str, int]]:
    """The sizes of axes that have one, by name."""
    for axis in cast("list[Any]", space) if isinstance(space, (list, tuple)) else ():
        if isinstance(axis, Mapping):
            name, size = cast("Mapping[str, Any]", axis).get("name"), cast("Mapping[str, Any]", axis).get("size")
            if isinstance(name, str) and is_integer(size):
                yield name, cast("int", size)
