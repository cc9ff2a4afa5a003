"""Accelerators of loops from tables: those of TOML files, and definitions that `LoopAccelerator.definition` gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory, StatedEnergy
from fewbits.hardware.dataflow.loops.soundness import checked_table

IN_AXES = ("values", "row_values")
"""Keys of a memory that a file may give as an axis's size, by its name, or as a product: `"rows * columns"`."""


def read_loops(values: Mapping[str, Any], source: str = "accelerator") -> LoopAccelerator:
    """The accelerator of a table without its key `dataflow`.

    Raises HardwareError in one line: source, key, what was given, what is allowed.
    """
    table = cast(Any, checked_table(LoopAccelerator, with_sizes_of_axes(values, source), source))
    rest = {key: value for key, value in table if key not in ("space", "memory", "stated")}
    try:
        return LoopAccelerator(
            space=tuple(Axis(**dict(axis)) for axis in table.space),
            memories=tuple(LoopMemory(**dict(memory)) for memory in table.memory),
            stated=None if table.stated is None else StatedEnergy(**dict(table.stated)),
            **rest,
        )
    except HardwareError as error:
        raise HardwareError(str(error).replace("accelerator: ", f"{source}: ", 1)) from None


def resized(values: Mapping[str, Any], sizes: Sequence[int], name: str) -> dict[str, Any]:
    """A file's table with other sizes of its axes, in their order. Raises HardwareError if it has not as many."""
    axes = values["space"]
    if len(axes) != len(sizes):
        raise HardwareError(
            f"accelerator {name!r}: the array has {len(axes)} axes ({', '.join(axis['name'] for axis in axes)}), and "
            f"{len(sizes)} sizes were given"
        )
    return {**values, "space": [{**axis, "size": size} for axis, size in zip(axes, sizes, strict=True)]}


def with_sizes_of_axes(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The table with numbers where a memory's size is given in axes; what is of another form stays for the checks."""
    sizes = {axis.get("name"): axis.get("size") for axis in _tables(values.get("space"))}
    numbers = {name: size for name, size in sizes.items() if isinstance(name, str) and isinstance(size, int)}
    memories = values.get("memory")
    if not isinstance(memories, (list, tuple)):
        return dict(values)
    made = [
        {key: _number(value, numbers, f"{source}: key 'memory[{number}].{key}'", key) for key, value in memory.items()}
        if isinstance(memory, Mapping)
        else memory
        for number, memory in enumerate(cast("list[Any]", memories))
    ]
    return {**values, "memory": made}


def _number(value: object, sizes: Mapping[str, int], where: str, key: str) -> object:
    """A memory's key in numbers."""
    if key not in IN_AXES or not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split("*")]
    if unknown := [name for name in names if name not in sizes or len(names) > len(sizes)]:
        axes = ", ".join(sizes) or "none"
        raise HardwareError(
            f"{where}: {unknown[0][:60]!r} was given; it takes a number, or axes such as 'rows * columns', here {axes}"
        )
    return math.prod(sizes[name] for name in names)


def _tables(value: object) -> list[Mapping[str, Any]]:
    entries = cast("list[Any]", value) if isinstance(value, (list, tuple)) else []
    return [entry for entry in entries if isinstance(entry, Mapping)]
