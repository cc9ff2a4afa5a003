"""A study's trained networks, as bit-exact networks again: by the options that name one of its runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from fewbits.bitexact import BitExactNetwork
from fewbits.errors import StudyError
from fewbits.formats import parse_precision
from fewbits.hardware import AnyAccelerator
from fewbits.study.networks import is_damaged, load_network, network_path
from fewbits.study.plan import make_plan
from fewbits.study.point import Workshop
from fewbits.study.result import StudyRecord
from fewbits.study.spec import parse_study
from fewbits.study.store import read_study
from fewbits.study.tasks import Run

_SHOWN = 6
"""Runs that an error lists at most."""


@dataclass(frozen=True)
class StoredNetwork:
    """A run's network."""

    network: BitExactNetwork
    image: Tensor
    """The first test image of its data, normalized, with the leading dimension of 1."""

    accelerator: AnyAccelerator
    """The run's."""

    about: str
    """Which run of which study, in words."""


def stored_network(
    folder: str | Path,
    precision: str,
    *,
    model: str | None = None,
    data: str | None = None,
    recipe: str | None = None,
    seed: int | None = None,
    accelerator: str | None = None,
) -> StoredNetwork:
    """The network that a study trained for one of its runs; whatever is None may be left out where one run is left.

    folder: of `fewbits run`. Relative paths in the study begin in the current folder: the store does not hold where its
    file was. Raises FormatError for an unknown precision, StudyError if the folder holds no study, no
    such run or several, or if what the run trained is not there.
    """
    folder = Path(folder)
    record = read_study(folder)
    wanted = {
        "precision": _name_of(precision, record),
        "model": model,
        "data": data,
        "recipe": recipe,
        "seed": seed,
        "accelerator": accelerator,
    }
    try:
        runs = make_plan(parse_study(record.definition, f"the study in {folder}"), trains_here=False).runs
    except StudyError as error:
        raise StudyError(
            f"{error} (relative paths of a stored study begin in the current folder: give the command where the "
            "study's file lies)"
        ) from None
    found = [run for run in runs if all(value in (None, _fields(run).get(name)) for name, value in wanted.items())]
    given = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
    if not found:
        raise StudyError(f"the study in {folder} has no run of {given}: it has {_listed(runs)}")
    if len(found) > 1:
        raise StudyError(
            f"the study in {folder} has {len(found)} runs of {given}: choose one by model, data, recipe, seed or "
            f"accelerator: {_listed(found)}"
        )
    (run,) = found
    for training in (run.float_training, run.training):
        path = network_path(folder, training.stem)
        if is_damaged(path, training.key):
            raise StudyError(f"stored network {path} is damaged: fewbits run, with this folder, makes it anew")
        if load_network(path, training.key) is None:
            raise StudyError(
                f"the study in {folder} holds no network of {_named(run)} as its model and data are now: finish it by "
                "fewbits run, with this folder"
            )
    network, image = Workshop(folder).lowered(run)
    return StoredNetwork(
        network, image, run.accelerator, f"the network of {_named(run)} that the study {record.name!r} trained"
    )


def _name_of(precision: str, record: StudyRecord) -> str:
    """The name that runs bear: that of an assignment of the study, or of a precision, however it was written."""
    entries: Iterable[object] = record.definition.get("precisions", ())
    names = [cast("dict[str, object]", one).get("name") for one in entries if isinstance(one, dict)]
    return precision if precision in names else parse_precision(precision).name


def _fields(run: Run) -> dict[str, object]:
    training = run.training
    return {
        "model": training.model,
        "data": training.data,
        "precision": training.precision,
        "recipe": run.recipe,
        "seed": training.seed,
        **({"accelerator": run.accelerator_name} if run.accelerator_name else {}),
    }


def _named(run: Run) -> str:
    return ", ".join(f"{name} {value}" for name, value in _fields(run).items())


def _listed(runs: list[Run] | tuple[Run, ...]) -> str:
    more = f"; and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return "; ".join(_named(run) for run in runs[:_SHOWN]) + more
