"""Reading liberty files: cells that cannot be read are set aside, several files become one library of one corner."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.cell_reader import CellReader
from fewbits.hardware.process.library.liberty import Cell, Library, WireModels
from fewbits.hardware.process.library.liberty_header import Header
from fewbits.hardware.process.library.liberty_syntax import parse_groups
from fewbits.hardware.process.library.passed_over import unknown_groups

_SHOWN = 4
"""Cells that a note names."""


def read_library(path: Path | str) -> Library:
    """Read a liberty file, packed by gzip or not; a second call for an unchanged file answers from memory.

    A cell that cannot be read is set aside (`Library.unread`). Raises HardwareError, with the line, for a file that is
    truncated, no liberty, lacks a unit or a voltage, has an impossible one, or has no cell that can be read. What else
    a library lacks is for `check.complete` to judge.
    """
    path = Path(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise HardwareError(f"cannot read the liberty file {path}: {error.strerror}") from None
    return _read_library(path.resolve(), stat.st_mtime_ns, stat.st_size)


def read_libraries(paths: Sequence[Path | str]) -> Library:
    """Read the files of one library; the first gives its name.

    Raises HardwareError as `read_library` does, if a cell is in two of them, or if they are of different corners.
    """
    if not paths:
        raise HardwareError("no liberty file is given: characterize needs at least one")
    libraries = [read_library(path) for path in paths]
    first = libraries[0]
    if len(libraries) == 1:
        return first
    for index, library in enumerate(libraries):
        for earlier in libraries[:index]:
            if both := sorted({*earlier.cells, *earlier.unread} & {*library.cells, *library.unread}):
                raise HardwareError(
                    f"{library.path}: the cell {both[0]} is in {earlier.path.name} ({earlier.corner}) too "
                    f"({library.corner}): give each cell once, at one corner"
                )
        if library.corner != first.corner:
            raise HardwareError(
                f"{library.path} is for {library.corner}, {first.path.name} for {first.corner}: give one corner's files"
            )
    hashes = "".join(library.sha256 for library in libraries)
    return Library(
        name=first.name,
        paths=tuple(library.path for library in libraries),
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
        units=first.units,
        corner=first.corner,
        wire_load=next((library.wire_load for library in libraries if library.wire_load), None),
        wire_models=next((library.wire_models for library in libraries if library.wire_load), WireModels()),
        cells={name: cell for library in libraries for name, cell in library.cells.items()},
        unread={name: why for library in libraries for name, why in library.unread.items()},
        remarks=_together([library.remarks for library in libraries]),
    )


def _together(several: Sequence[dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for remarks in several:
        for what, cells in remarks.items():
            found[what] = (*found.get(what, ()), *cells)
    return found


@lru_cache(maxsize=64)
def _read_library(path: Path, _modified_ns: int, _size: int) -> Library:
    tree = parse_groups(path)
    header = Header(path, tree)
    corner = header.corner()
    wire_load = header.wire_load()
    reader = CellReader(header)
    cells: dict[str, Cell] = {}
    unread: dict[str, str] = {}
    for number, group in enumerate(tree.named("cell"), start=1):
        name = group.arguments[0] if group.arguments else f"cell number {number}"
        if name in cells or name in unread:
            header.remark("there twice in the file: the last counts", name)
        try:
            cells[name] = reader.cell(group)
            unread.pop(name, None)
        except HardwareError as error:
            unread[name] = str(error).removeprefix(f"{path}:")
            cells.pop(name, None)
    if not cells:
        name, why = next(iter(unread.items()), ("", ""))
        what = f"{name}, the first of {len(unread)}, line {why}" if name else "there is none"
        raise HardwareError(f"{path}: the library has no cell that can be read: {what}")
    for cell, unknown in unknown_groups(tree):
        header.remark(f"{unknown} is not read", cell)
    return Library(
        name=tree.arguments[0] if tree.arguments else path.stem,
        paths=(path,),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        units=header.units,
        corner=corner,
        wire_load=wire_load,
        wire_models=header.wire_models(),
        cells=cells,
        unread=unread,
        remarks={what: tuple(cell for cell in cells if cell) for what, cells in header.remarks.items()},
    )


def noted(cells: Sequence[str], what: str) -> str:
    """`three-state output in 2 cells (a, b)`."""
    named = ", ".join(cells[:_SHOWN]) + (", ..." if len(cells) > _SHOWN else "")
    return f"{what} in {len(cells)} cells ({named})"
