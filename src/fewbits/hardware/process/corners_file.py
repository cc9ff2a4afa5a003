"""The file of a table's corners, `NAME.corners.json` beside `NAME.json`: written whole, read with care."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from fewbits.arguments import is_real, shown
from fewbits.errors import HardwareError
from fewbits.hardware.process.corners import (
    ControlAtCorner,
    ConversionAtCorner,
    Corner,
    DatapathAtCorner,
    MacroAtCorner,
)
from fewbits.hardware.process.technology import LARGEST, checked_fields

SUFFIX = ".corners.json"


def corners_path(table: Path) -> Path:
    """Where the corners of a table's file lie."""
    return table.with_name(table.name.removesuffix(".json") + SUFFIX)


def save_corners(corners: Mapping[str, Corner], path: Path, about: Mapping[str, str]) -> None:
    """Write corners as JSON: to a temporary name beside `path`, then renamed. about: what made them.

    Raises HardwareError if the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    text = json.dumps({"about": dict(about), "corners": {name: asdict(one) for name, one in corners.items()}}, indent=1)
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise HardwareError(f"cannot write the corners {path}: {error.strerror}") from None


def load_corners(path: Path) -> dict[str, Corner]:
    """The corners in a file; none where there is no file. Raises HardwareError for a file that holds no corners."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise HardwareError(f"cannot read the corners {path}: {error}") from None
    try:
        return {name: _corner(name, given) for name, given in _entries(_entries(json.loads(text))["corners"]).items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise HardwareError(
            f"{path} holds no corners of a technology table: {reason}; make it anew with fewbits characterize --corner"
        ) from None


def _corner(name: str, raw: object) -> Corner:
    given = checked_fields(Corner, raw)
    for figures in ("packing_leakage_uw", "packing_energy_pj"):
        _numbers(figures, given[figures])
    given["datapaths"] = {key: _datapath(one) for key, one in _entries(given["datapaths"]).items()}
    given["macros"] = {
        key: MacroAtCorner(**checked_fields(MacroAtCorner, one))
        for key, one in _entries(given.get("macros", {})).items()
    }
    given["conversions"] = {
        key: ConversionAtCorner(**checked_fields(ConversionAtCorner, one))
        for key, one in _entries(given.get("conversions", {})).items()
    }
    made = Corner(**given)
    if made.name != name:
        raise ValueError(f"corner {name!r} says that its name is {made.name!r}")
    return made


def _datapath(raw: object) -> DatapathAtCorner:
    given = checked_fields(DatapathAtCorner, raw)
    for figures in ("leakage_uw", "energy_pj"):
        _numbers(figures, given[figures])
    if given.get("control") is not None:
        given["control"] = ControlAtCorner(**checked_fields(ControlAtCorner, given["control"]))
    return DatapathAtCorner(**given)


def _numbers(name: str, raw: object) -> None:
    for key, value in _entries(raw).items():
        if not is_real(value, 0, LARGEST):
            raise ValueError(f"{name} of {key!r} must be a number from 0 to {LARGEST:g}, not {shown(value)}")


def _entries(raw: object) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise TypeError("corners and their figures must be objects")
    return cast("dict[str, Any]", raw)
