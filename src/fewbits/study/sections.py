"""The tables of a study's file, checked key by key; loads no torch."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fewbits.arguments import is_real
from fewbits.assignment_table import Entry
from fewbits.toml_table import INCOMPLETE, Table
from fewbits.train.catalog import RECIPES


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it takes letters, digits and signs, no control characters")
    return text


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_printable)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]
Width = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _known_recipe(name: str) -> str:
    if name not in RECIPES:
        nearest = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"allowed are {', '.join(map(repr, RECIPES))}{hint}")
    return name


def weight_files(value: object) -> object:
    """The path of a file of weights, or a table of such paths by model."""
    files = dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else {"": value}
    if not files or not all(isinstance(file, str) and file and file.isprintable() for file in files.values()):
        raise ValueError("it takes the path of a file of weights, or a table of such paths by model")
    return value


def known_sinks(table: object) -> object:
    """A table of sinks: true, a path or an address by a known name."""
    from fewbits.study.tracking.wanted import refuse_unknown  # which needs this module's neighbours

    for name, where in cast("dict[str, object]", table if isinstance(table, dict) else {}).items():
        refuse_unknown(name)
        if not isinstance(where, bool) and not (isinstance(where, str) and where.strip() and where.isprintable()):
            raise ValueError(f"{name!r} takes true, or the path or address of where to write, not {where!r}")
    return table


RecipeName = Annotated[str, AfterValidator(_known_recipe)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def listed(value: object) -> object:
    """One table is a list of one."""
    return (value,) if isinstance(value, Mapping) else value


def _numbers(value: object) -> object:
    """A finite number, or a list of such."""
    numbers = cast("tuple[object, ...]", value) if isinstance(value, (tuple, list)) else (value,)
    if not numbers or not all(is_real(number, -math.inf) for number in numbers):
        raise ValueError("it takes a finite number, or a list of such: one for each channel, or the range's two ends")
    return value


Numbers = Annotated[Any, BeforeValidator(_numbers)]


class TrainingSection(Table):
    """How to train; a key that is left out takes the default of `fewbits.train.TrainSettings`, which explains them."""

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    optimizer: Literal["sgd", "adam"] | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: Literal["cosine", "step"] | None = None
    step_epochs: int | None = None
    step_factor: float | None = None
    patience: int | None = None
    random_flip: bool | None = None
    crop_padding: int | None = None
    mixed_precision: bool | None = None
    clip_shadow_weights: bool | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives."""
        return self.model_dump(exclude_none=True)


class FloatTrainingSection(TrainingSection):
    """How to train the float networks."""

    batch_normalization: bool | None = None


class FineTuneSection(TrainingSection):
    """How to train on from the float networks."""

    equalize_channels: bool | None = None


class MethodsSection(Table):
    """Options of single recipes; what is left out takes the default of `fewbits.train.RecipeOptions`."""

    temperature: float | None = None
    distillation_weight: float | None = None
    error_margin_points: float | None = None
    increments: tuple[float, ...] | None = None
    approximation: str | None = None
    share_a_round: float | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives."""
        return self.model_dump(exclude_none=True)


class CalibrationSection(Table):
    """How radix points are chosen; what is left out takes the default of `fewbits.train.TrainSettings`."""

    method: Literal["maximum", "percentile", "squared-error"] | None = None
    percentile: float | None = None
    images: int | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives, under their names in TrainSettings."""
        return {f"calibration_{name}": value for name, value in self.model_dump(exclude_none=True).items()}


class DataSection(Table):
    """A data set and what is stated about it; what is left out is found, as `fewbits.data.load` does."""

    name: Text
    """As `fewbits.data.load` takes it; a file is looked for from the study's folder."""

    mean: Numbers | None = None
    """Of values mapped to 0 to 1, as torchvision's Normalize takes it: a number for each channel, or one for all."""

    std: Numbers | None = None
    split: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] | None = None
    """Part of the training images that is held out for validation."""

    classes: Annotated[int, Field(ge=1)] | None = None
    value_range: Numbers | None = None
    """The values that are mapped to 0 and to 1."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        """A name alone stands for its table."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, (Mapping, DataSection)):
            raise ValueError("it takes a name, or a table with a name")
        return value

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> object:
        """The name alone where nothing is stated."""
        return handler(self) if self.stated() else self.name

    def stated(self) -> dict[str, Any]:
        """The keys that the study gives, as `fewbits.data.load` calls them."""
        given = {name: getattr(self, name) for name in DataSection.model_fields if name != "name"}
        given["validation_fraction"] = given.pop("split")
        return {name: value for name, value in given.items() if value is not None}


class PrecisionSection(Table):
    """A precision by its name, an assignment's file, or an assignment: a precision for each layer, under a name."""

    name: Text
    """A precision's; or the assignment's, or the path of its file, looked for from the study's folder."""

    precision: Entry | None = None
    layers: dict[Entry, Entry] = Field(default_factory=dict)
    product: Entry | None = None
    """As `AssignmentTable` has them."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        """A name alone stands for its table."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, (Mapping, PrecisionSection)):
            raise ValueError("it takes a name, an assignment's file, or a table with name, precision and layers")
        return value

    @model_validator(mode="after")
    def _whole(self) -> PrecisionSection:
        if self.precision is None and (self.layers or self.product is not None):
            raise ValueError("an assignment needs the precision of the layers that it does not name")
        return self

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> object:
        """The name alone where it is all."""
        if self.precision is None:
            return self.name
        return {key: value for key, value in handler(self).items() if value not in (None, {})}

    @property
    def is_file(self) -> bool:
        """Whether the name is an assignment's file, not read yet."""
        return self.precision is None and self.name.endswith(".toml")

    @property
    def definition(self) -> dict[str, Any] | None:
        """The assignment, as `Assignment.from_definition` takes it; None for a precision's name."""
        return None if self.precision is None else self.model_dump(exclude_none=True)


class ErrorRatesSection(Table):
    """What a file of bit error rates by voltage held, as `fewbits.hardware.defects.ErrorRates` has it."""

    source: Text
    points: Annotated[tuple[tuple[float, float], ...], Field(min_length=1)]


class DefectsSection(Table):
    """Defects that every network is measured with; what is left out takes the default of `DefectPlan`.

    `fewbits.hardware.defects.DefectPlan` explains the keys up to `repair`, and refuses values that cannot be.
    """

    where: Text
    counts: tuple[int, ...] | None = None
    rates: tuple[float, ...] | None = None
    draws: int | None = None
    seed: int | None = None
    retrain_epochs: int | None = None
    repair: Text | None = None
    voltages: Text | None = None
    """In place of rates, a file of them by supply voltage, as `fewbits.hardware.defects.read_error_rates` takes it;
    looked for from the study's folder."""

    error_rates: ErrorRatesSection | None = None
    """What the file held, as a store keeps it."""

    images: Annotated[int, Field(ge=1)] | None = None
    """So many images of the test split, evenly spaced in it; all, if it is left out."""

    @model_validator(mode="after")
    def _one_of_rates(self) -> DefectsSection:
        if self.rates is not None and (self.voltages, self.error_rates) != (None, None):
            raise PydanticCustomError(INCOMPLETE, "give rates or voltages, a file that has them, not both")
        return self

    def given(self) -> dict[str, Any]:
        """The keys that the study gives, as `DefectPlan` takes them; of a file of voltages, its rates."""
        given = self.model_dump(exclude_none=True, exclude={"images", "voltages", "error_rates"})
        if self.error_rates is None:
            return given
        return {**given, "rates": tuple(dict.fromkeys(rate for _, rate in self.error_rates.points))}


class AcceleratorSection(Table):
    """The accelerator; what is left out takes the default of `fewbits.hardware.Accelerator`, or the preset's value."""

    preset: str | None = None
    """An accelerator's name; of the other keys it takes those that its dataflow knows."""

    file: Text | None = None
    """One of the user's own, looked for from the study's folder; the same."""

    definition: dict[str, Any] | None = None
    """What the file held, as a store keeps it."""

    neurons: int | None = None
    synapses: int | None = None
    buffer_rows: int | None = None
    clock_mhz: float | None = None
    memory_latency: int | None = None
    bandwidth: float | None = None
    buffer_ports: int | None = None
    buffer_banks: int | None = None

    @model_validator(mode="after")
    def _one_start(self) -> AcceleratorSection:
        if self.preset is not None and self.file is not None:
            raise PydanticCustomError(INCOMPLETE, "give preset or file, not both")
        return self

    def given(self) -> dict[str, Any]:
        """The keys that the study gives, as `fewbits.hardware.accelerator_from` takes them; of a file, what it held."""
        given = self.model_dump(exclude_none=True, exclude={"file", "definition"})
        return {**(self.definition or {}), **given}


class MachineSection(Table):
    """One of several accelerators: a name, or a file's path with what it held."""

    name: Text
    """A name or a path, as `fewbits.hardware.accelerator_named` takes it; looked for from the study's folder."""

    definition: dict[str, Any] | None = None
    """What the file held, as a store keeps it."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: object) -> object:
        """A name alone stands for its table."""
        return {"name": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _as_given(self, handler: SerializerFunctionWrapHandler) -> object:
        """The name alone where there was no file."""
        return self.name if self.definition is None else handler(self)

    def given(self) -> dict[str, Any]:
        """As `fewbits.hardware.accelerator_from` takes it."""
        return {"preset": self.name} if self.definition is None else self.definition
