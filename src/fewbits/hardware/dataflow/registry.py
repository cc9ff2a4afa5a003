"""Dataflows by name, fewbits' own and those of installed packages; accelerators by name, file or definition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from fewbits.errors import FewbitsError, HardwareError
from fewbits.extensions import found, loaded, usable
from fewbits.hardware.dataflow.accelerator import DIANNAO
from fewbits.hardware.dataflow.accelerator_files import PRESETS, is_file, of_file, preset
from fewbits.hardware.dataflow.base import Dataflow
from fewbits.hardware.dataflow.diannao.dataflow import DianNao
from fewbits.hardware.dataflow.loops.dataflow import Loops
from fewbits.hardware.dataflow.loops.description import LOOPS
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.systolic.dataflow import WeightStationary
from fewbits.toml_table import nearest

_OWN: Mapping[str, Dataflow[Any]] = {one.name: one for one in (DianNao(), WeightStationary(), Loops())}

_SIZED = re.compile(r"(?P<family>.+?)-(?P<sizes>[0-9]{1,9}(x[0-9]{1,9})+)")
"""A name with sizes, such as `diannao-32x16`."""


def dataflows() -> dict[str, Dataflow[Any]]:
    """All that can be used, by name; one from outside that cannot be loaded is named where it is asked for."""
    return usable("dataflows", _OWN, Dataflow)[0]


def dataflow_named(name: str) -> Dataflow[Any]:
    """A dataflow. Raises HardwareError, with the names there are, if it is unknown."""
    if name in _OWN:
        return _OWN[name]
    given = found("dataflows")
    if name not in given:
        known = ", ".join((*_OWN, *given))
        raise HardwareError(f"there is no dataflow {name!r}: choose one of {known}, or install the package that has it")
    return loaded(given[name], _OWN, Dataflow)


def dataflow_of(accelerator: AnyAccelerator) -> Dataflow[Any]:
    """That of an accelerator. Raises HardwareError if it is not of the class that its dataflow asks for."""
    name: Any = getattr(accelerator, "dataflow", None)
    if not isinstance(name, str):
        raise HardwareError(
            f"an accelerator names its dataflow, which {type(accelerator).__name__} {accelerator!r} does not: give an "
            "Accelerator, or one that a dataflow defines"
        )
    dataflow = dataflow_named(name)
    if not isinstance(accelerator, dataflow.sizes):
        raise HardwareError(
            f"an accelerator of the dataflow {name!r} is {dataflow.sizes.__name__}, not {type(accelerator).__name__}"
        )
    return dataflow


@dataclass(frozen=True)
class Listed:
    """An accelerator that has a name."""

    name: str
    accelerator: AnyAccelerator | None
    problem: str = ""
    """Why there is none."""


def accelerators() -> Iterator[Listed]:
    """All that have a name: those that come with fewbits, and presets of installed packages."""
    for name in PRESETS:
        yield _listed(name)
    entries, broken = usable("dataflows", _OWN, Dataflow)
    for dataflow in entries.values():
        yield from (Listed(name, made) for name, made in dataflow.presets.items() if name not in PRESETS)
    yield from (Listed("", None, sentence) for sentence in broken)


def _listed(name: str) -> Listed:
    try:
        return Listed(name, accelerator_named(name))
    except FewbitsError as error:
        return Listed(name, None, str(error))


def accelerator_named(name: str | Path) -> AnyAccelerator:
    """An accelerator by the path of a TOML file, by a preset's name, or by one with other sizes: `diannao-32x16`.

    Raises HardwareError, with the names there are, if it is unknown; in one line with the key for a file with mistakes.
    """
    if is_file(name):
        return _of_table(of_file(name), str(name), Path(name).stem)
    name = str(name)
    if name in PRESETS:
        return _of_preset(name)
    entries, broken = usable("dataflows", _OWN, Dataflow)
    presets = {preset: made for dataflow in entries.values() for preset, made in dataflow.presets.items()}
    if name in presets:
        return presets[name]
    if (match := _SIZED.fullmatch(name)) and (sized := _sized(name, match, presets)) is not None:
        return sized
    known = sorted({*PRESETS, *presets})
    choice = f"choose one of {', '.join(known)}, the path of a TOML file, or install the package that has it"
    raise HardwareError("; ".join([f"there is no accelerator {name!r}: {choice}{nearest(name, known)}", *broken]))


@cache
def _of_preset(name: str) -> AnyAccelerator:
    return _of_table(preset(name), f"preset {name!r}", name)


def _sized(name: str, match: re.Match[str], presets: Mapping[str, AnyAccelerator]) -> AnyAccelerator | None:
    """The accelerator of a name with sizes, made of the one with that name and other sizes, or none."""
    sizes = [int(size) for size in match["sizes"].split("x")]
    for other in (*PRESETS, *presets):
        sized = _SIZED.fullmatch(other)
        if match["family"] == (sized["family"] if sized else other):
            table = dict(preset(other) if other in PRESETS else definition_of(presets[other]))
            kind = table.pop("dataflow", LOOPS)
            if (dataflow := dataflow_named(kind)).takes_sizes:
                made = dataflow.resized(table, sizes, other)
                return _of_table({**made, "dataflow": kind, "name": name}, repr(name), name)
    return None


def definition_of(accelerator: AnyAccelerator) -> dict[str, Any]:
    """What `accelerator_from` makes an equal one of, its dataflow named."""
    return {"dataflow": accelerator.dataflow, **accelerator.definition()}


def _of_table(table: Mapping[str, Any], source: str, name: str) -> AnyAccelerator:
    """The accelerator of a file's table: of loops, unless it names another dataflow."""
    values = dict(table)
    kind = values.pop("dataflow", LOOPS)
    if not isinstance(kind, str):
        raise HardwareError(
            f"{source or 'accelerator'}: key 'dataflow': {kind!r:.60} was given; it takes a name, such as {LOOPS!r}"
        )
    return dataflow_named(kind).read({"name": name, **values}, source)


def accelerator_from(definition: Mapping[str, Any]) -> AnyAccelerator:
    """The accelerator of a definition: a preset's name or a dataflow's (DianNao's if there is neither), and sizes.

    Raises HardwareError for an unknown name, for a size that the dataflow does not have, and for a senseless one.
    """
    sizes = dict(definition)
    preset, name = sizes.pop("preset", None), sizes.pop("dataflow", DIANNAO)
    if preset is None:
        return _of_table({**sizes, "dataflow": name}, "", "")
    start = accelerator_named(preset)
    return with_sizes(start, sizes) if sizes else start


def with_sizes(accelerator: AnyAccelerator, sizes: Mapping[str, Any]) -> AnyAccelerator:
    """An accelerator with other sizes, by their names in its class. Raises HardwareError for one that it has not."""
    known = [field.name for field in fields(cast("Any", accelerator))]
    if unknown := [size for size in sizes if size not in known]:
        raise HardwareError(
            f"an accelerator of the dataflow {accelerator.dataflow!r} has no {unknown[0]!r}: it has {', '.join(known)}"
        )
    return replace(cast("Any", accelerator), **sizes)


def area_basis(definition: Mapping[str, Any]) -> str:
    """What the area of an accelerator counts, in sentences. definition: as `accelerator_from` takes it."""
    accelerator = accelerator_from(definition)
    return dataflow_of(accelerator).area_basis(accelerator)
