"""A table of SRAM macros by hand, in TOML: figures of macros, and the roles of pins that no known family has.

[pins]                      # of macros in liberty files beside it; ! where low is active
enable = "!CE"
write_enable = ["!WR", "!WR_B"]

[[macro]]                   # a macro, or what its liberty file lacks
name = "ram_64x32"
rows = 64
bits = 32
ports = 2
area_um2 = 5200.0
read_energy_pj = 3.1
write_energy_pj = 3.6
leakage_uw = 0.4
access_ns = 1.2
source = "maker's data sheet, typical, 25 C"
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from fewbits.errors import HardwareError
from fewbits.hardware.process.memory.pin_roles import ROLES
from fewbits.hardware.process.technology import MacroCost

FIGURES = ("rows", "bits", "ports", "area_um2", "read_energy_pj", "write_energy_pj", "leakage_uw", "access_ns")
"""What a macro needs, as of MacroCost."""

_COUNTS = {"rows": 1 << 40, "bits": 65536, "ports": 16}
"""Whole numbers and their bounds: far beyond any macro, and such that products of them stay exact."""

_MAY_BE_ZERO = ("leakage_uw",)


@dataclass(frozen=True)
class MacroTable:
    """What one or several files tell."""

    pins: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Names by role, of `pin_roles.ROLES`."""

    macros: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Figures and source by the macro's name; FIGURES that are left out are a liberty file's."""

    def joined(self, other: MacroTable) -> MacroTable:
        """Both together. Raises HardwareError for a macro that both have."""
        if twice := sorted(set(self.macros) & set(other.macros)):
            raise HardwareError(f"macro {twice[0]!r} is in two tables: leave one out")
        pins = {role: (*self.pins.get(role, ()), *other.pins.get(role, ())) for role in {**self.pins, **other.pins}}
        return MacroTable(pins, {**self.macros, **other.macros})


def read_macro_table(path: Path) -> MacroTable:
    """Read a macro table.

    Raises HardwareError for a file that is no TOML, an unknown name in it, or a value that is none.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise HardwareError(f"cannot read the macro table {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise HardwareError(f"{path} is not TOML: {str(error).splitlines()[0]}") from None
    if unknown := sorted(set(raw) - {"pins", "macro"}):
        raise HardwareError(f"{path}: {unknown[0]!r} is not known: a macro table has [pins] and [[macro]]")
    table = MacroTable(_pins(path, raw.get("pins", {})))
    entries = raw.get("macro", [])
    if not isinstance(entries, list):
        raise HardwareError(f"{path}: macros are written as [[macro]], with two brackets")
    for number, entry in enumerate(cast("list[object]", entries), start=1):
        name, figures = _macro(f"{path}: macro {number}", entry)
        if name in table.macros:
            raise HardwareError(f"{path}: macro {name!r} is there twice: leave one out")
        table = MacroTable(table.pins, {**table.macros, name: figures})
    return table


def complete_macro(where: str, figures: Mapping[str, Any]) -> MacroCost:
    """A macro of its figures, its name and source among them. Raises HardwareError that names those it lacks."""
    if missing := [name for name in FIGURES if name not in figures]:
        raise HardwareError(f"{where} lacks {', '.join(missing)}: {how_to_give(figures['name'], missing)}")
    return MacroCost(**{one.name: figures[one.name] for one in fields(MacroCost) if one.name in figures})


def how_to_give(name: str, missing: list[str]) -> str:
    """What to write for figures that a macro lacks."""
    return f"give {'it' if len(missing) == 1 else 'them'} in a [[macro]] with name = {name!r} of a .toml file in --sram"


def _pins(path: Path, raw: object) -> dict[str, tuple[str, ...]]:
    """Names by role."""
    if not isinstance(raw, dict):
        raise HardwareError(f"{path}: [pins] must be a table of roles, such as enable = '!CE'")
    pins: dict[str, tuple[str, ...]] = {}
    for role, names in cast("dict[str, object]", raw).items():
        if role not in ROLES:
            raise HardwareError(f"{path}: [pins] has no role {role!r}: use {', '.join(ROLES)}")
        listed = cast("list[object]", names) if isinstance(names, list) else [names]
        if not listed or not all(isinstance(name, str) and name.strip("! ") for name in listed):
            raise HardwareError(f"{path}: {role} in [pins] must be a pin's name or a list of such, not {names!r:.60}")
        pins[role] = tuple(str(name).strip() for name in listed)
    return pins


def _macro(where: str, raw: object) -> tuple[str, dict[str, Any]]:
    """A macro's name, and its figures as MacroCost has them."""
    if not isinstance(raw, dict):
        raise HardwareError(f"{where} must be a table: write [[macro]] above its lines")
    given = cast("dict[str, object]", raw)
    name, source = (_text(where, given, key) for key in ("name", "source"))
    if unknown := sorted(set(given) - {"name", "source", *FIGURES}):
        known = f"it may have name, source, {', '.join(FIGURES)}"
        raise HardwareError(f"{where}, {name!r}: {unknown[0]!r} is not known: {known}")
    figures = {key: _figure(f"{where}, {name!r}", key, given[key]) for key in FIGURES if key in given}
    return name, {"name": name, "source": source, **figures}


def _text(where: str, given: Mapping[str, object], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise HardwareError(
            f"{where} needs a {key}, as text" + (": where its figures are from" if key == "source" else "")
        )
    return value.strip()


def _figure(where: str, key: str, value: object) -> int | float:
    """A figure in range."""
    if key in _COUNTS:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _COUNTS[key]:
            raise HardwareError(f"{where}: {key} must be a whole number from 1 to {_COUNTS[key]}, not {value!r:.40}")
        return value
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    least = "from 0 up" if key in _MAY_BE_ZERO else "above 0"
    if not (0 <= number < math.inf and (number > 0 or key in _MAY_BE_ZERO)):
        raise HardwareError(f"{where}: {key} must be a number {least}, not {value!r:.40}")
    return number
