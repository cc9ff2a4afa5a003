"""From a study to its plan: every name checked by loading what it stands for, and all tasks in order."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, TypeVar

from fewbits import __version__, data
from fewbits.data import Dataset, Stated
from fewbits.errors import FewbitsError, StudyError
from fewbits.hardware import AnyAccelerator, Technology, accelerator_from, load_technology
from fewbits.hardware.process.technology import shipped_technologies
from fewbits.models import ModelSource
from fewbits.study.checks import (
    checked_assignment,
    refuse_absent_device,
    refuse_normalizing,
    refuse_recipe,
    refuse_undivided,
    refuse_unstarted,
    try_assignment,
    try_model,
    try_switching,
)
from fewbits.study.digest import data_sha256, json_sha256
from fewbits.study.result import FLOAT_RECIPE
from fewbits.study.spec import StudySpec
from fewbits.study.start import starts_of
from fewbits.study.tasks import (
    BASELINE,
    CostBasis,
    Run,
    Training,
    float_training,
    has_operating_points,
    operating_points,
    run_of,
    trainings,
)
from fewbits.train import RECIPES, RecipeOptions, TrainSettings
from fewbits.train.best import trained_recipe
from fewbits.train.recipes import refuse_untrained

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """All tasks of a study. A run can start when its float network is trained, and while none trains its network."""

    float_trainings: tuple[Training, ...]
    runs: tuple[Run, ...]
    """In the order of the study: model, data, accelerator, precision, recipe, seed."""

    rests_on: dict[str, Any]
    """`data`, `technology` and `versions`, as `StudyRecord` has them."""

    @property
    def data_notices(self) -> tuple[str, ...]:
        """A line for each data set of the user's own: what was found in it, and how its values become inputs."""
        own = {name: about for name, about in self.rests_on["data"].items() if name not in data.DATA_NAMES}
        return tuple(
            f"data {name!r}: {'; '.join((*about['notes'], about['normalization']))}" for name, about in own.items()
        )


def make_plan(spec: StudySpec, *, trains_here: bool = True) -> Plan:
    """Check every name in a study by loading what it stands for, and lay out the tasks.

    trains_here: whether this machine must have the study's device.
    Each model is tried on one image of each data set and lowered, so that what cannot work shows before any training.
    Raises StudyError in one line: where the study came from, the key, what was given, what is allowed.
    """
    if trains_here:
        _checked(spec, "device", lambda: refuse_absent_device(spec.device))
    table = _located_table(spec)
    technology = _checked(spec, "technology", lambda: load_technology(table))
    machines = _machines(spec)
    asked = [
        _checked(spec, "precisions", lambda one=one: checked_assignment(one, spec.folder, technology))
        for one in spec.precisions
    ]
    if len({one.name for one in asked}) < len(asked):
        names = ", ".join(one.name for one in spec.precisions)
        raise StudyError(f"{spec.source}: key 'precisions': {names} names a precision twice")
    for recipe in spec.recipes:
        _checked(spec, "recipes", lambda recipe=recipe: refuse_recipe(recipe, asked))
    trained = {one.name: {recipe: trained_recipe(recipe, one.precision) for recipe in spec.recipes} for one in asked}
    names = {name for by_recipe in trained.values() for name in by_recipe.values()}
    settings = {name: _settings(spec, name) for name in (FLOAT_RECIPE, *sorted(names))}
    options = _checked(spec, "methods", lambda: RecipeOptions(**spec.methods.given()))
    _checked(spec, "methods", lambda: try_switching(names, asked, options, technology, tuple(machines.values())))
    sources = {model: ModelSource(spec.folder) for model in spec.networks}
    starts = _checked(spec, "start", lambda: starts_of(spec, sources))
    _checked(spec, "float_training", lambda: refuse_unstarted(settings[FLOAT_RECIPE], spec.networks, starts))
    stated = {one.name: Stated(**one.stated()) for one in spec.data}
    datasets = {
        name: _checked(spec, "data", partial(data.load, name, folder=spec.folder, **vars(what)))
        for name, what in stated.items()
    }
    digests = {name: data_sha256(dataset) for name, dataset in datasets.items()}
    technology_sha256 = json_sha256(technology.figures())
    cost_bases = [
        CostBasis(table, technology_sha256, machine, name, spec.datapaths or "one")
        for name, machine in machines.items()
    ]
    float_trainings: list[Training] = []
    runs: list[Run] = []
    for model in spec.networks:
        source = sources[model]
        if settings[FLOAT_RECIPE].batch_normalization:
            _checked(spec, "float_training.batch_normalization", partial(refuse_normalizing, model, source))
        for recipe in filter(has_operating_points, spec.recipes):
            _checked(spec, "recipes", partial(refuse_undivided, recipe, model, source, asked[0].precision, options))
        for name, what in stated.items():
            has_roundings = _checked(spec, "models", partial(try_model, model, source, name, datasets[name]))
            split = spec.datapaths == "composable"  # which takes some precisions alone; float32 has its own datapath
            for one in (one for one in asked if not one.is_uniform or (split and one.name != BASELINE)):
                try_layers = partial(try_assignment, one, model, source, datasets[name], technology)
                _checked(spec, "precisions", partial(try_layers, machines.values(), spec.datapaths or "one"))
            fixed = (
                *(model, source, name, digests[name], settings[FLOAT_RECIPE]),
                *(starts.get(model), spec.device),
            )
            bases = [_checked(spec, "models", partial(float_training, *fixed, seed)) for seed in spec.seeds]
            bases = [replace(base, stated=what) for base in bases]
            float_trainings += bases
            for cost_basis, one in product(cost_bases, asked):
                runs += [
                    run_of(tested_as, part, training, base, cost_basis)
                    for recipe, training, base in trainings(
                        one, trained[one.name], settings, options, bases, has_roundings
                    )
                    for tested_as, part in operating_points(recipe, training)
                ]
    first = {training.key: training for training in reversed(float_trainings)}  # two files may hold one network
    distinct = tuple(training for training in float_trainings if first[training.key] is training)
    return Plan(distinct, tuple(runs), _rests_on(technology, technology_sha256, datasets, digests))


def _machines(spec: StudySpec) -> dict[str, AnyAccelerator]:
    """The study's accelerators by name; of one alone, the name is empty."""
    if spec.accelerators is None:
        return {"": _checked(spec, "accelerator", lambda: accelerator_from(spec.accelerator.given()))}
    machines = {
        one.name: _checked(spec, "accelerators", partial(accelerator_from, one.given())) for one in spec.accelerators
    }
    return machines if len(machines) > 1 else {"": next(iter(machines.values()))}


def _located_table(spec: StudySpec) -> str:
    """The technology table: a shipped one's name, or a path that begins at the study's folder."""
    is_shipped = spec.technology.partition("@")[0] in shipped_technologies()
    return spec.technology if is_shipped else str(spec.folder / spec.technology)


def versions() -> dict[str, str]:
    """Versions of what computes the results."""
    packages = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "numba")}
    return {"fewbits": __version__, "python": platform.python_version(), **packages}


def _checked(spec: StudySpec, key: str, make: Callable[[], T]) -> T:
    """What `make` returns; its errors with the study and the key in front."""
    try:
        return make()
    except FewbitsError as error:
        raise StudyError(f"{spec.source}: key {key!r}: {error}") from None


def _settings(spec: StudySpec, recipe: str) -> TrainSettings:
    """A recipe's settings; one that trains nothing has those of the calibration alone."""
    sections = {"float_training": spec.float_training, "fine_tune": spec.fine_tune, "from_scratch": spec.from_scratch}
    key = "float_training" if recipe == FLOAT_RECIPE else RECIPES[recipe].section
    calibration = spec.calibration.given()
    settings = _checked(spec, "calibration", lambda: TrainSettings(**calibration))
    if key is None:
        return settings
    given = sections[key].given() | ({} if recipe == FLOAT_RECIPE else calibration)
    settings = _checked(spec, key, lambda: TrainSettings(**given))
    if recipe != FLOAT_RECIPE:
        _checked(spec, f"{key}.epochs", lambda: refuse_untrained(recipe, settings))
    return settings


def _rests_on(
    technology: Technology, sha256: str, datasets: dict[str, Dataset], digests: dict[str, str]
) -> dict[str, Any]:
    return {
        "data": {
            name: {
                "sha256": digests[name],
                "images": {part: len(getattr(dataset, part)) for part in ("train", "validation", "test")},
                "notes": list(dataset.notes),
                "normalization": dataset.normalization,
            }
            for name, dataset in datasets.items()
        },
        "technology": {
            "name": technology.name,
            "process": technology.process,
            "sha256": sha256,
            "provenance": technology.provenance,
        },
        "versions": versions(),
    }
