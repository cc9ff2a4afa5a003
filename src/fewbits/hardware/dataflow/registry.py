"""Dataflows by name, fewbits' own and those of installed packages; accelerators by a preset's name or a definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from fewbits.errors import HardwareError
from fewbits.extensions import found, loaded, usable
from fewbits.hardware.dataflow.accelerator import DIANNAO
from fewbits.hardware.dataflow.base import Dataflow
from fewbits.hardware.dataflow.diannao.dataflow import DianNao
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.dataflow.systolic.dataflow import WeightStationary

_OWN: Mapping[str, Dataflow[Any]] = {one.name: one for one in (DianNao(), WeightStationary())}


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


def accelerator_named(name: str) -> AnyAccelerator:
    """A dataflow's preset. Raises HardwareError, with the names there are, if it is unknown."""
    entries, broken = usable("dataflows", _OWN, Dataflow)
    presets = {preset: made for dataflow in entries.values() for preset, made in dataflow.presets.items()}
    if name not in presets:
        choice = f"choose one of {', '.join(presets)}, or install the package that has it"
        raise HardwareError("; ".join([f"there is no accelerator {name!r}: {choice}", *broken]))
    return presets[name]


def accelerator_from(definition: Mapping[str, Any]) -> AnyAccelerator:
    """The accelerator of a definition: a preset's name or a dataflow's (DianNao's if there is neither), and sizes.

    Raises HardwareError for an unknown name, for a size that the dataflow does not have, and for a senseless one.
    """
    sizes = dict(definition)
    preset, name = sizes.pop("preset", None), sizes.pop("dataflow", DIANNAO)
    start = None if preset is None else accelerator_named(preset)
    dataflow = dataflow_named(name) if start is None else dataflow_of(start)
    known = [field.name for field in fields(dataflow.sizes)]
    if unknown := [size for size in sizes if size not in known]:
        raise HardwareError(
            f"an accelerator of the dataflow {dataflow.name!r} has no {unknown[0]!r}: it has {', '.join(known)}"
        )
    return dataflow.sizes(**sizes) if start is None else replace(cast(Any, start), **sizes)


def area_basis(definition: Mapping[str, Any]) -> str:
    """What the area of such an accelerator counts, in sentences; as `accelerator_from`."""
    accelerator = accelerator_from(definition)
    return dataflow_of(accelerator).area_basis(accelerator)
