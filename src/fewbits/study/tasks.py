"""The tasks of a study, each keyed by all that defines it: networks to train; runs that lower, test and cost them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from fewbits import models
from fewbits.data import Stated
from fewbits.extensions import giver_of
from fewbits.formats.assignment import Assignment
from fewbits.hardware import AnyAccelerator
from fewbits.models import ModelSource
from fewbits.study.digest import json_sha256, network_sha256
from fewbits.study.result import FLOAT_RECIPE
from fewbits.study.start import StartingWeights
from fewbits.train import RECIPES, RecipeOptions, TrainSettings
from fewbits.train.best import BEST
from fewbits.train.computation import computation_sha256, state_sha256

BASELINE = "float32"
"""The precision of the float network itself."""

TRAINING_FORMAT = 1
"""Goes up when the same definition would give another trained network (rounding in training, a default of
`TrainSettings`)."""

FORMAT = 5
"""Goes up when the same trained network would give other figures (rounding, cost; 4: layers of a precision of their
own, and power from operands at every precision of the shipped table; 5: layers in pieces)."""

ROUNDING = 2
"""Goes up when the roundings between layers compute otherwise (2: averages are rounded on both sides). A chain whose
layers round their own inputs has none, and keeps its trained networks."""


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

    stated: Stated = field(default_factory=Stated)
    """What the study states of the data; what that changes is in `data_sha256`."""

    start: StartingWeights | None = None
    """The user's own weights that the float network begins with."""

    device: str = "cpu"
    """Where it is trained, calibrated and tested."""

    assignment: Assignment | None = None
    """Precisions of single layers, where `precision` is an assignment's name; None where it is one for all."""

    @property
    def computes_at(self) -> Assignment:
        """What each layer computes with."""
        return self.assignment or Assignment.uniform(self.precision)

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
    accelerator: AnyAccelerator

    accelerator_name: str = ""
    """As the study names it where it has several; else empty."""

    datapaths: str = "one"
    """How the machine is built for layers of several precisions, as `fewbits.hardware.cost` takes it."""

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
            **_assigned(self.training.assignment),
            "recipe": self.recipe,
            "seed": self.training.seed,
            "settings": asdict(self.training.settings),
            **_options_read(self.training.recipe, self.training.options),
            **({"part": self.part} if self.part < 1 else {}),
            "training": self.training.key,
            "float_training": self.float_training.key,
            "data_sha256": self.training.data_sha256,
            **({"computes": self.training.computes} if self.training.computes else {}),
            **({"start": self.training.start.sha256} if self.training.start else {}),
            **_device(self.training.device),
            "technology": {"name": self.technology, "sha256": self.technology_sha256},
            "accelerator": self.accelerator.definition(),
            **({"accelerator_name": self.accelerator_name} if self.accelerator_name else {}),
            **({"datapaths": self.datapaths} if self.datapaths != "one" else {}),
        }


Task = Training | Run
"""What one worker does in one go."""


@dataclass(frozen=True)
class CostBasis:
    """What a study's networks are costed on."""

    technology: str
    """Name or path of the table."""

    technology_sha256: str
    accelerator: AnyAccelerator
    accelerator_name: str = ""
    """As the study names it where it has several; else empty. Part of a run's key then, since results tell it."""

    datapaths: str = "one"
    """See `Run.datapaths`; part of a run's key where it is not the default."""


def float_training(
    model: str,
    source: ModelSource,
    name: str,
    digest: str,
    settings: TrainSettings,
    start: StartingWeights | None,
    device: str,
    seed: int,
) -> Training:
    """The training of a model's float network. name, digest: of its data; start: what it begins with, None for weights
    drawn from the seed.
    """
    network = models.build(model, seed, source=source)
    if start is not None:
        start.load_into(network)
    computes = "" if models.is_built_in(model) else computation_sha256(network)
    definition = {
        "format": TRAINING_FORMAT,
        **(_own_network(network, computes) if computes else {"model": model, "network": network_sha256(network)}),
        "data": {"name": name, "sha256": digest},
        "settings": settings.definition(),
        "seed": seed,
        **({"keeps_start": True} if start is not None else {}),
        **_device(device),
    }
    return Training(
        key=json_sha256(definition),
        model=model,
        data=name,
        data_sha256=digest,
        precision=BASELINE,
        recipe=FLOAT_RECIPE,
        seed=seed,
        settings=settings,
        source=source,
        computes=computes,
        start=start,
        device=device,
    )


def _device(device: str) -> dict[str, str]:
    """What a device other than the CPU adds to a definition: its kind, since sums of floats differ there."""
    kind = device.partition(":")[0]
    return {} if kind == "cpu" else {"device": kind}


def _own_network(network: nn.Module, computes: str) -> dict[str, Any]:
    """What defines a user's network, whatever its file is called: what it computes, and the values it begins with."""
    return {"computes": computes, "state": state_sha256(network)}


def _assigned(assignment: Assignment | None) -> dict[str, Any]:
    """What an assignment adds to a definition; nothing for one precision."""
    return {} if assignment is None else {"assignment": assignment.definition()}


def trainings(
    asked: Assignment,
    recipes: dict[str, str],
    settings: dict[str, TrainSettings],
    options: RecipeOptions,
    bases: list[Training],
    has_roundings: bool,
) -> Iterator[tuple[str, Training, Training]]:
    """Each recipe of a precision or assignment with its training and the float one that it starts from, seed by seed.

    recipes: by the name in the study, that of the recipe that trains. has_roundings: what `checks.try_model` returns.
    """
    assignment = None if asked == Assignment.uniform(asked.precision) else asked
    if assignment is None and asked.name == BASELINE:
        yield from ((FLOAT_RECIPE, base, base) for base in bases)
        return
    for name, recipe in recipes.items():
        for base in bases:
            definition = {
                "format": TRAINING_FORMAT,
                **({"rounding": ROUNDING} if has_roundings else {}),
                "float": base.key,
                "precision": asked.name,
                **_assigned(assignment),
                "recipe": recipe,
                "settings": settings[recipe].definition(),
                **_options_read(recipe, options),
                **({"keeps_start": True} if RECIPES[recipe].start == "float" else {}),
                **({"version": version} if (version := RECIPES[recipe].version) > 1 else {}),
                **({"giver": giver} if (giver := giver_of("recipes", recipe)) is not None else {}),
            }
            changes = {"recipe": recipe, "settings": settings[recipe], "options": options, "assignment": assignment}
            yield name, replace(base, key=json_sha256(definition), precision=asked.name, **changes), base


def _options_read(recipe: str, options: RecipeOptions) -> dict[str, Any]:
    """The options that define a recipe's result, under one key; nothing if it reads none."""
    names = () if recipe == FLOAT_RECIPE else RECIPES[recipe].options
    return {"options": {name: getattr(options, name) for name in names}} if names else {}


def has_operating_points(recipe: str) -> bool:
    """Whether a recipe trains its channels in increments, each of which can be tested."""
    return recipe != FLOAT_RECIPE and "increments" in RECIPES[recipe].options


def operating_points(recipe: str, training: Training) -> Iterator[tuple[str, float]]:
    """What a trained network is tested as, by name, with the part of its channels that compute."""
    parts = training.options.increments if has_operating_points(training.recipe) else (1.0,)
    yield from ((recipe if part == 1 else f"{recipe} {100 * part:g} %", part) for part in parts)


def run_of(recipe: str, part: float, training: Training, base: Training, basis: CostBasis) -> Run:
    """A point of a study. recipe, part: as the study names it, and the part of its channels; base: the float network's
    training.
    """
    definition: dict[str, Any] = {
        "format": FORMAT,
        "rounding": ROUNDING,
        "training": training.key,
        "float": base.key,
        "technology": basis.technology_sha256,
        "accelerator": basis.accelerator.definition(),
    }
    if training.computes:  # two rows of one network
        definition["model"] = training.model
    if recipe == BEST:  # a run beside that of the recipe itself
        definition["recipe"] = recipe
    if part < 1:
        definition["part"] = part
    if basis.accelerator_name:
        definition["accelerator_name"] = basis.accelerator_name
    if basis.datapaths != "one":
        definition["datapaths"] = basis.datapaths
    return Run(
        key=json_sha256(definition),
        training=training,
        recipe=recipe,
        float_training=base,
        technology=basis.technology,
        technology_sha256=basis.technology_sha256,
        accelerator=basis.accelerator,
        accelerator_name=basis.accelerator_name,
        datapaths=basis.datapaths,
        part=part,
    )
