"""Options of corners and operating points: read, and applied to a technology table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import HardwareError

if TYPE_CHECKING:
    from fewbits.hardware import Technology
    from fewbits.hardware.characterization.corners import CornerFiles


def corner_files(liberty: Iterable[str], sram: Iterable[str]) -> dict[str, CornerFiles]:
    """The files of each corner from `NAME=FILE` texts, in their order. Raises HardwareError for other texts."""
    cells = _named("--corner", liberty)
    macros = _named("--corner-sram", sram)
    if not cells and not macros:
        return {}
    from fewbits.hardware.characterization.corners import CornerFiles  # loads what synthesizes: late

    for name, folders in macros.items():
        if name not in cells or len(folders) > 1:
            raise HardwareError(
                f"--corner-sram {name}: one folder for each corner that --corner names, which are {', '.join(cells)}"
                if cells
                else f"--corner-sram {name} needs --corner {name}=FILE"
            )
    return {name: CornerFiles(tuple(files), macros.get(name, [None])[0]) for name, files in cells.items()}


def _named(option: str, texts: Iterable[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise HardwareError(f"{option} takes NAME=FILE, such as slow=slow.lib.gz, not {text!r}")
        found.setdefault(name, []).append(Path(file))
    return found


ALL = "all"
"""What `--corner` takes for every corner of the table."""


def operating_tables(table: Technology, corner: str | None, voltage: float | None) -> dict[str, Technology]:
    """The tables that a cost is asked at, by corner or voltage; none where neither is given.

    Raises HardwareError if both are, or the table does not hold it.
    """
    from fewbits.hardware.process.corners import at_corner, corner_names
    from fewbits.hardware.process.operating_points import at_voltage

    if corner is not None and voltage is not None:
        raise HardwareError("--corner and --voltage both say the voltage: give one of them")
    if voltage is not None:
        if not math.isfinite(voltage):
            raise HardwareError(f"--voltage takes volts, such as 1.1, not {voltage:g}")
        return {f"{voltage:g} V": at_voltage(table, voltage)}
    if corner is None:
        return {}
    names = corner_names(table) if corner == ALL else (corner,)
    if len(names) == 1 and corner == ALL:
        raise HardwareError(
            f"technology {table.name!r} has no corner but the typical one: add some with fewbits characterize --corner "
            "NAME=FILE"
        )
    return {name: at_corner(table, name) for name in names}
