"""Accelerators as TOML files: those that come with fewbits, by name, and the user's, by path."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from fewbits.errors import HardwareError
from fewbits.toml_table import read_file, read_toml

_PRESETS = files("fewbits.hardware.dataflow") / "presets"

PRESETS: tuple[str, ...] = tuple(
    sorted(entry.name.removesuffix(".toml") for entry in _PRESETS.iterdir() if entry.name.endswith(".toml"))
)
"""Names of the accelerators that come with the package."""


def is_file(name: str | Path) -> bool:
    """Whether a name is a path: one of a TOML file."""
    return isinstance(name, Path) or name.endswith(".toml")


@cache
def preset(name: str) -> dict[str, Any]:
    """The table of one of `PRESETS`; not to be changed."""
    text = (_PRESETS / f"{name}.toml").read_text(encoding="utf-8")
    return {"name": name, **read_toml(text, f"preset {name!r}", HardwareError)}


def of_file(path: str | Path) -> dict[str, Any]:
    """The table of a user's file, its name that of the file where it gives none. Raises HardwareError."""
    if not str(path).isprintable():
        raise HardwareError(f"cannot read the accelerator {str(path)!r}: give the path of a TOML file")
    return read_file(Path(path), "the accelerator", HardwareError)
