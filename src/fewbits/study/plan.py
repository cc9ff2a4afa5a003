"""From a study to its tasks: every network to train and every run to evaluate, each keyed by all that defines it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from fewbits import __version__, data, models
from fewbits.bitexact import lower
from fewbits.data import Dataset
from fewbits.errors import FewbitsError, ModelError, StudyError
from fewbits.extensions import giver_of
from fewbits.formats import Precision, parse_precision
from fewbits.hardware import Accelerator, Technology, load_technology
from fewbits.hardware.datapath.interpolation import can_interpolate
from fewbits.hardware.datapath.strategies import strategy_for
from fewbits.hardware.process.technology import shipped_technologies
from fewbits.models import ModelSource
from fewbits.quantization import fold_batch_norm, quantize
from fewbits.study.digest import data_sha256, json_sha256, network_sha256
from fewbits.study.result import FLOAT_RECIPE
from fewbits.study.spec import StudySpec
from fewbits.train import RECIPES, RecipeOptions, TrainSettings
from fewbits.train.best import BEST, trained_recipe
from fewbits.train.computation import computation_sha256, state_sha256
from fewbits.train.operating_point import kept
from fewbits.train.temporary_batch_norm import refuse_unfit

_TRAINING_FORMAT = 1
"""Goes up when the same definition would give another trained network (rounding in training, a default of
`TrainSettings`)."""

_FORMAT = 5
"""Goes up when the same trained network would give other figures (rounding, cost; 4: layers of a precision of their
own, and power from operands at every precision of the shipped table; 5: layers in pieces)."""

_ROUNDING = 2
"""Goes up when the roundings between layers compute otherwise (2: averages are rounded on both sides). A chain whose
layers round their own inputs has none, and keeps its trained networks."""

_BASELINE = "float32"

T = TypeVar("T")


@dataclass(frozen=True)
class Training:
    """A network to train: a float one, or one at a precision by a recipe."""

    key: str
    """Hash of all that defines the trained weights: equal keys, equal weights."""

    model: str
    data: str
    data_sha256: str
    """Hash of the images and labels that the plan saw."""

    precision: str
    recipe: str
    """FLOAT_RECIPE, or one of `fewbits.train.RECIPES` but `best`: the recipe that it stands for."""

    seed: int
    settings: TrainSettings
    options: RecipeOptions = field(default_factory=RecipeOptions)
    source: ModelSource = field(default_factory=ModelSource, repr=False, compare=False)
    """The code of a user's model as the plan read it."""

    computes: str = ""
    """Hash of what a user's network computes; empty for a built-in one, whose code belongs to the version."""

    @property
    def stem(self) -> str:
        """A file name for the trained network: readable, then unique."""
        model, data_name = (Path(name).name[:40] for name in (self.model, self.data))
        words = (model, data_name, self.recipe, self.precision, f"seed{self.seed}", self.key[:16])
        return "-".join(re.sub(r"[^A-Za-z0-9.+]+", "_", word) for word in words)

    @property
    def epochs(self) -> int:
        """Epochs at most."""
        trains = self.recipe == FLOAT_RECIPE or RECIPES[self.recipe].start != "nothing"
        return self.settings.epochs if trains else 0


@dataclass(frozen=True)
class Run:
    """A point of the study: a trained network to lower, test and cost."""

    key: str
    """Hash of all that defines the result."""

    training: Training
    """For float32, the same as `float_training`. Where `best` stands for a recipe of the study, two runs have one."""

    recipe: str
    """As the study names it: that of the training, or `best`; at an operating point, the part of its channels too."""

    float_training: Training
    technology: str
    technology_sha256: str
    accelerator: Accelerator

    part: float = 1.0
    """Of the trained network's inner channels: below 1 at an operating point of a runtime-configurable network."""

    @property
    def stands_for(self) -> str:
        """The recipe that trained, where the study's name for it is another; else empty."""
        return self.training.recipe if self.recipe == BEST else ""

    @property
    def definition(self) -> dict[str, Any]:
        """What defines the run, as JSON takes it."""
        return {
            "model": self.training.model,
            "data": self.training.data,
            "precision": self.training.precision,
            "recipe": self.recipe,
            "seed": self.training.seed,
            "settings": asdict(self.training.settings),
            **_options_read(self.training.recipe, self.training.options),
            **({"part": self.part} if self.part < 1 else {}),
            "training": self.training.key,
            "float_training": self.float_training.key,
            "data_sha256": self.training.data_sha256,
            **({"computes": self.training.computes} if self.training.computes else {}),
            "technology": {"name": self.technology, "sha256": self.technology_sha256},
            "accelerator": self.accelerator.definition(),
        }


@dataclass(frozen=True)
class Plan:
    """All tasks of a study. A run can start when its float network is trained, and while none trains its network."""

    float_trainings: tuple[Training, ...]
    runs: tuple[Run, ...]
    """In the order of the study: model, data, precision, recipe, seed."""

    rests_on: dict[str, Any]
    """`data`, `technology` and `versions`, as `StudyRecord` has them."""


def make_plan(spec: StudySpec) -> Plan:
    """Check every name in a study by loading what it stands for, and lay out the tasks.

    Each model is tried on one image of each data set and lowered, so that what cannot work shows before any training.
    Raises StudyError in one line: where the study came from, the key, what was given, what is allowed.
    """
    table = _located_table(spec)
    technology = _checked(spec, "technology", lambda: load_technology(table))
    accelerator = _checked(spec, "accelerator", lambda: Accelerator(**spec.accelerator.given()))
    precisions = [
        _checked(spec, "precisions", lambda text=text: _precision(text, technology)) for text in spec.precisions
    ]
    if len({one.name for one in precisions}) < len(precisions):
        raise StudyError(f"{spec.source}: key 'precisions': {', '.join(spec.precisions)} names a precision twice")
    for recipe in spec.recipes:
        _checked(spec, "recipes", lambda recipe=recipe: _refuse_unfit(recipe, precisions))
    trained = {one.name: {recipe: trained_recipe(recipe, one) for recipe in spec.recipes} for one in precisions}
    names = {name for by_recipe in trained.values() for name in by_recipe.values()}
    settings = {name: _settings(spec, name) for name in (FLOAT_RECIPE, *sorted(names))}
    options = _checked(spec, "methods", lambda: RecipeOptions(**spec.methods.given()))
    datasets = {name: _checked(spec, "data", partial(data.load, name, folder=spec.folder)) for name in spec.data}
    digests = {name: data_sha256(dataset) for name, dataset in datasets.items()}
    cost_basis = (table, json_sha256(asdict(technology)), accelerator)
    float_trainings: list[Training] = []
    runs: list[Run] = []
    for model in spec.networks:
        source = ModelSource(spec.folder)
        if settings[FLOAT_RECIPE].batch_normalization:
            _checked(spec, "float_training.batch_normalization", partial(_refuse_normalizing, model, source))
        if "runtime-configurable" in spec.recipes:
            _checked(spec, "recipes", partial(_refuse_undivided, model, source, precisions[0], options))
        for name in spec.data:
            rounding = _checked(spec, "models", partial(_try_model, model, source, name, datasets[name]))
            fixed = (model, source, name, digests[name], settings[FLOAT_RECIPE])
            bases = [_checked(spec, "models", partial(_float_training, *fixed, seed)) for seed in spec.seeds]
            float_trainings += bases
            for precision in precisions:
                trainings = _trainings(precision.name, trained[precision.name], settings, options, bases, rounding)
                runs += [
                    _run(tested_as, part, training, base, *cost_basis)
                    for recipe, training, base in trainings
                    for tested_as, part in _operating_points(recipe, training)
                ]
    first = {training.key: training for training in reversed(float_trainings)}  # two files may hold one network
    distinct = tuple(training for training in float_trainings if first[training.key] is training)
    return Plan(distinct, tuple(runs), _rests_on(technology, cost_basis[1], datasets, digests))


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


def _precision(text: str, technology: Technology) -> Precision:
    """The precision, if it can be lowered and costed."""
    precision = parse_precision(text)
    if precision.arithmetic is None:
        raise StudyError(
            f"{text!r} mixes a float with an integer format, which no datapath computes: "
            "give two integer formats (fixed, pow2, ternary, binary) or two floats"
        )
    if technology.find(precision) is None and not can_interpolate(technology, precision):
        strategy_for(precision)  # refuses what no circuit computes
        technology.datapath(precision)
    return precision


def _refuse_unfit(recipe: str, precisions: list[Precision]) -> None:
    """Raise StudyError if a recipe does not take one of the precisions; float32 is the float network's own."""
    for precision in precisions:
        families = (precision.weights.family, precision.inputs.family)
        refusal = RECIPES[trained_recipe(recipe, precision)].refusal(recipe, precision.name, *families)
        if refusal is not None and precision.name != _BASELINE:
            raise StudyError(refusal)


def _settings(spec: StudySpec, recipe: str) -> TrainSettings:
    """A recipe's settings; one that trains nothing has those of the calibration alone."""
    sections = {"float_training": spec.float_training, "fine_tune": spec.fine_tune, "from_scratch": spec.from_scratch}
    key = "float_training" if recipe == FLOAT_RECIPE else RECIPES[recipe].section
    calibration = spec.calibration.given()
    settings = _checked(spec, "calibration", lambda: TrainSettings(**calibration))
    if key is None:
        return settings
    given = sections[key].given() | ({} if recipe == FLOAT_RECIPE else calibration)
    return _checked(spec, key, lambda: TrainSettings(**given))


def _float_training(
    model: str, source: ModelSource, name: str, digest: str, settings: TrainSettings, seed: int
) -> Training:
    network = models.build(model, seed, source=source)
    computes = "" if models.is_built_in(model) else computation_sha256(network)
    definition = {
        "format": _TRAINING_FORMAT,
        **(_own_network(network, computes) if computes else {"model": model, "network": network_sha256(network)}),
        "data": {"name": name, "sha256": digest},
        "settings": settings.definition(),
        "seed": seed,
    }
    return Training(
        key=json_sha256(definition),
        model=model,
        data=name,
        data_sha256=digest,
        precision=_BASELINE,
        recipe=FLOAT_RECIPE,
        seed=seed,
        settings=settings,
        source=source,
        computes=computes,
    )


def _own_network(network: nn.Module, computes: str) -> dict[str, Any]:
    """What defines a user's network, whatever its file is called: what it computes, and the values it begins with."""
    return {"computes": computes, "state": state_sha256(network)}


def _trainings(
    precision: str,
    recipes: dict[str, str],
    settings: dict[str, TrainSettings],
    options: RecipeOptions,
    bases: list[Training],
    rounding: dict[str, int],
) -> Iterator[tuple[str, Training, Training]]:
    """Each recipe of a precision with its training and the float one that this starts from, seed by seed.

    recipes: by the name in the study, that of the recipe that trains. rounding: what `_try_model` returns.
    """
    if precision == _BASELINE:
        yield from ((FLOAT_RECIPE, base, base) for base in bases)
        return
    for name, recipe in recipes.items():
        for base in bases:
            definition = {
                "format": _TRAINING_FORMAT,
                **rounding,
                "float": base.key,
                "precision": precision,
                "recipe": recipe,
                "settings": settings[recipe].definition(),
                **_options_read(recipe, options),
                **({"keeps_start": True} if RECIPES[recipe].start == "float" else {}),
                **({"giver": giver} if (giver := giver_of("recipes", recipe)) is not None else {}),
            }
            changes = {"precision": precision, "recipe": recipe, "settings": settings[recipe], "options": options}
            yield name, replace(base, key=json_sha256(definition), **changes), base


def _options_read(recipe: str, options: RecipeOptions) -> dict[str, Any]:
    """The options that define a recipe's result, under one key; nothing if it reads none."""
    names = () if recipe == FLOAT_RECIPE else RECIPES[recipe].options
    return {"options": {name: getattr(options, name) for name in names}} if names else {}


def _operating_points(recipe: str, training: Training) -> Iterator[tuple[str, float]]:
    """What a trained network is tested as, by name, with the part of its channels that compute."""
    parts = training.options.increments if training.recipe == "runtime-configurable" else (1.0,)
    yield from ((recipe if part == 1 else f"{recipe} {100 * part:g} %", part) for part in parts)


def _run(
    recipe: str,
    part: float,
    training: Training,
    base: Training,
    technology: str,
    sha256: str,
    accelerator: Accelerator,
) -> Run:
    definition: dict[str, Any] = {
        "format": _FORMAT,
        "rounding": _ROUNDING,
        "training": training.key,
        "float": base.key,
        "technology": sha256,
        "accelerator": accelerator.definition(),
    }
    if training.computes:  # two rows of one network
        definition["model"] = training.model
    if recipe == BEST:  # a run beside that of the recipe itself
        definition["recipe"] = recipe
    if part < 1:
        definition["part"] = part
    return Run(json_sha256(definition), training, recipe, base, technology, sha256, accelerator, part)


def _refuse_normalizing(model: str, source: ModelSource) -> None:
    """Raise ModelError if a model's convolutions cannot be normalized while it trains."""
    try:
        refuse_unfit(models.build(model, seed=0, source=source))
    except ModelError as error:
        raise ModelError(f"model {model!r}: {error}") from None


def _refuse_undivided(model: str, source: ModelSource, precision: Precision, options: RecipeOptions) -> None:
    """Raise ModelError if a model's channels cannot be divided into increments."""
    try:
        network = models.build(model, seed=0, source=source).eval()
        kept(quantize(fold_batch_norm(network), precision), options.increments[0])
    except ModelError as error:
        raise ModelError(f"'runtime-configurable': model {model!r}: {error}") from None


def _try_model(model: str, source: ModelSource, name: str, dataset: Dataset) -> dict[str, int]:
    """Refuse a model that does not take the data's images, gives no logits of its classes or cannot be lowered.

    Returns what a training's key holds of the roundings between its layers: their version, or nothing without any.
    """
    shape = models.input_shape(model, source=source)
    if shape is not None:
        dataset.require_shape(shape, model)
    network = models.build(model, seed=0, source=source).eval()
    image = dataset.inputs(dataset.train.images[:1])
    try:
        with torch.no_grad():
            logits = network(image)
    except Exception as error:  # whatever a user's forward raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        size = " x ".join(map(str, dataset.image_shape))
        raise StudyError(f"model {model!r} does not take the images of data {name!r} ({size}): {reason}") from None
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or logits.shape[1] < dataset.classes:
        given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise StudyError(
            f"model {model!r} returns {given} for one image of data {name!r}: it must return logits of shape "
            f"(1, {dataset.classes})"
        )
    quantized = quantize(fold_batch_norm(network), _BASELINE)
    lower(quantized, image)
    return {"rounding": _ROUNDING} if quantized.roundings else {}


def _rests_on(
    technology: Technology, sha256: str, datasets: dict[str, Dataset], digests: dict[str, str]
) -> dict[str, Any]:
    return {
        "data": {
            name: {
                "sha256": digests[name],
                "images": {part: len(getattr(dataset, part)) for part in ("train", "validation", "test")},
                "notes": list(dataset.notes),
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
