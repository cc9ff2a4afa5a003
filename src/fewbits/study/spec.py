"""A study as its TOML file says it: what to run and how, checked key by key; loads no torch."""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails

from fewbits.arguments import is_real
from fewbits.errors import StudyError
from fewbits.executors.description import INCOMPLETE, ClusterSection
from fewbits.train.catalog import RECIPES

_PRESETS = files("fewbits.study") / "presets"

PRESETS: tuple[str, ...] = tuple(
    sorted(entry.name.removesuffix(".toml") for entry in _PRESETS.iterdir() if entry.name.endswith(".toml"))
)
"""Names of the studies that come with the package."""


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


def _known_sinks(table: object) -> object:
    from fewbits.study.tracking.wanted import refuse_unknown  # which needs this module's neighbours

    for name, where in cast("dict[str, object]", table if isinstance(table, dict) else {}).items():
        refuse_unknown(name)
        if not isinstance(where, bool) and not (isinstance(where, str) and where.strip() and where.isprintable()):
            raise ValueError(f"{name!r} takes true, or the path or address of where to write, not {where!r}")
    return table


def _files(value: object) -> object:
    """The path of a file of weights, or a table of such paths by model."""
    files = dict(cast("Mapping[str, object]", value)) if isinstance(value, Mapping) else {"": value}
    if not files or not all(isinstance(file, str) and file and file.isprintable() for file in files.values()):
        raise ValueError("it takes the path of a file of weights, or a table of such paths by model")
    return value


RecipeName = Annotated[str, AfterValidator(_known_recipe)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class _Section(BaseModel):
    """A table of the file: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _listed(value: object) -> object:
    """One table is a list of one."""
    return (value,) if isinstance(value, Mapping) else value


def _numbers(value: object) -> object:
    """A finite number, or a list of such."""
    numbers = cast("tuple[object, ...]", value) if isinstance(value, (tuple, list)) else (value,)
    if not numbers or not all(is_real(number, -math.inf) for number in numbers):
        raise ValueError("it takes a finite number, or a list of such: one for each channel, or the range's two ends")
    return value


Numbers = Annotated[Any, BeforeValidator(_numbers)]


class TrainingSection(_Section):
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


class MethodsSection(_Section):
    """Options of single recipes; what is left out takes the default of `fewbits.train.RecipeOptions`."""

    temperature: float | None = None
    distillation_weight: float | None = None
    error_margin_points: float | None = None
    increments: tuple[float, ...] | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives."""
        return self.model_dump(exclude_none=True)


class CalibrationSection(_Section):
    """How radix points are chosen; what is left out takes the default of `fewbits.train.TrainSettings`."""

    method: Literal["maximum", "percentile", "squared-error"] | None = None
    percentile: float | None = None
    images: int | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives, under their names in TrainSettings."""
        return {f"calibration_{name}": value for name, value in self.model_dump(exclude_none=True).items()}


class DataSection(_Section):
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


class AcceleratorSection(_Section):
    """The accelerator; what is left out takes the default of `fewbits.hardware.Accelerator`, or the preset's value."""

    preset: str | None = None
    """A dataflow's accelerator, by name; of the other keys it takes those that its dataflow knows."""

    neurons: int | None = None
    synapses: int | None = None
    buffer_rows: int | None = None
    clock_mhz: float | None = None
    memory_latency: int | None = None
    bandwidth: float | None = None

    def given(self) -> dict[str, Any]:
        """The keys that the study gives."""
        return self.model_dump(exclude_none=True)


class StudySpec(_Section):
    """A grid of models x data x precisions x recipes x seeds, and how its points are trained and costed."""

    name: Name
    models: Names
    """As `fewbits.models.builder` takes them; files are looked for from `folder`."""

    widen: Annotated[tuple[Width, ...], Field(min_length=1)] = (1.0,)
    """Each model is taken at each of these widths: its inner channels times the factor, as `model*factor`."""

    data: Annotated[tuple[DataSection, ...], Field(min_length=1), BeforeValidator(_listed)]
    """Names, tables, or one table."""

    precisions: Names
    """Such as `fixed8` or `pow2-6/fixed16`. `float32` stands for the float network that the others start from: one
    run for each seed, whatever the recipes."""

    recipes: Annotated[tuple[RecipeName, ...], Field(min_length=1)] = ("fine-tune",)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    technology: Text = "ihp-sg13g2"
    """A shipped technology table's name, or the path of a table made by `fewbits characterize`; `ihp-sg13g2@65nm` is
    the table scaled to another node."""

    start: Annotated[str | dict[str, str], BeforeValidator(_files)] | None = None
    """The user's own weights that float training begins with, as `fewbits.models.load_weights` takes them: a file for
    the study's one network, or a table of files by network; looked for from `folder`. With `epochs = 0` in
    `[float_training]` they are studied untouched."""

    device: Annotated[str, Field(pattern=r"^(cpu|cuda(:[0-9]{1,3})?)$")] = "cpu"
    """Where networks are trained, calibrated and tested."""

    float_training: FloatTrainingSection = FloatTrainingSection()
    fine_tune: FineTuneSection = FineTuneSection()
    """For the recipes that train on from the float network; see `fewbits.train.RECIPES`."""

    from_scratch: TrainingSection = TrainingSection()
    """For those that train new weights."""

    methods: MethodsSection = MethodsSection()
    calibration: CalibrationSection = CalibrationSection()
    accelerator: AcceleratorSection = AcceleratorSection()
    cluster: ClusterSection | None = None
    """Where `--engine dask` finds workers. It decides no figure, and is no part of the study's definition."""

    track: Annotated[dict[str, bool | Text], BeforeValidator(_known_sinks)] = {}
    """Sinks that are told of curves and figures, by name: true, or a path or address. In no run's key."""

    _source: str = PrivateAttr(default="")
    _folder: Path = PrivateAttr(default=Path())

    def tracked_by(self, sinks: Mapping[str, bool | str]) -> StudySpec:
        """The study with these sinks besides its own `[track]`."""
        return self.model_copy(update={"track": {**self.track, **sinks}})

    @property
    def source(self) -> str:
        """Where the study came from, for messages: its file, or its name."""
        return self._source or f"study {self.name!r}"

    @property
    def folder(self) -> Path:
        """Where relative paths begin: the folder of the study's file, or the current one."""
        return self._folder

    @field_validator("models", "widen", "data", "precisions", "recipes", "seeds")
    @classmethod
    def _refuse_repeats(cls, values: tuple[object, ...]) -> tuple[object, ...]:
        names = [value.name if isinstance(value, DataSection) else value for value in values]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"{name!r} is listed twice; give each once")
        return values

    @property
    def networks(self) -> tuple[str, ...]:
        """Models at their widths, as `fewbits.models.builder` takes them; a factor of 1 leaves a name as it is."""
        return tuple(model if width == 1 else f"{model}*{width:g}" for model in self.models for width in self.widen)

    def definition(self) -> dict[str, Any]:
        """What was given and the defaults of this class, as JSON takes it; `parse_study` takes it back.

        Without `cluster` and `track`, which change no result; an address may hold a password.
        """
        return self.model_dump(mode="json", exclude_none=True, exclude={"cluster", "track"})


def load_study(name_or_path: str | Path) -> StudySpec:
    """The study of a preset's name or a TOML file.

    Names of models, precisions, data and technology are checked when the study is planned, which loads them.
    Raises StudyError in one line: file, key, what was given, what is allowed.
    """
    name = str(name_or_path)
    if name in PRESETS:
        return parse_toml((_PRESETS / f"{name}.toml").read_text(encoding="utf-8"), f"preset {name!r}")
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte-order mark
    except FileNotFoundError:
        raise StudyError(_no_such_study(name)) from None
    except IsADirectoryError:
        raise StudyError(f"{name or 'an empty name'} is a folder, not a study: give a TOML file") from None
    except OSError as error:
        raise StudyError(f"cannot read the study {name!r}: {error.strerror}; give a TOML file") from None
    except UnicodeDecodeError:
        raise StudyError(f"{name}: not a TOML file, since it is not UTF-8 text; give a TOML file") from None
    spec = parse_toml(text, name)
    spec._folder = path.parent  # pyright: ignore[reportPrivateUsage]
    return spec


def load_cluster(path: str | Path) -> ClusterSection:
    """The `[cluster]` table of a TOML file that holds nothing else, for more than one study; as a study has it.

    Raises StudyError in one line: file, key, what was given, what is allowed.
    """
    source = str(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise StudyError(
            f"cannot read the cluster {source!r}: {reason}; give a TOML file with a table [cluster]"
        ) from None
    values = _toml(text, source)
    others = [key for key in values if key != "cluster"]
    if others or "cluster" not in values:
        what = f"key {others[0]!r} is none of it" if others else "it is missing"
        raise StudyError(f"{source}: the file of a cluster holds one table, [cluster]; {what}")
    try:
        return _ClusterFile.model_validate(_with_tuples(values)).cluster
    except ValidationError as error:
        raise StudyError(f"{source}: {_explain(error.errors(include_url=False))}") from None


class _ClusterFile(_Section):
    """A file that holds a cluster alone; its keys lie where they lie in a study."""

    cluster: ClusterSection


def parse_toml(text: str, source: str) -> StudySpec:
    """The study that a TOML text describes. Raises StudyError; source: named in messages."""
    return parse_study(_toml(text, source), source)


def _toml(text: str, source: str) -> dict[str, Any]:
    """The values of a TOML text. Raises StudyError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{source}: malformed TOML: {error}; see https://toml.io") from None
    except ValueError:  # of Python's limit on the digits of an integer, or of a date that does not exist
        raise StudyError(f"{source}: a number or date is out of range: integers have at most 19 digits") from None
    except RecursionError:
        raise StudyError(f"{source}: malformed TOML: nested too deep") from None


def parse_study(values: Mapping[str, Any], source: str) -> StudySpec:
    """The study that a mapping describes. Raises StudyError; source: named in messages."""
    try:
        spec = StudySpec.model_validate(_with_tuples(values))
    except ValidationError as error:
        raise StudyError(f"{source}: {_explain(error.errors(include_url=False))}") from None
    spec._source = source  # pyright: ignore[reportPrivateUsage]
    return spec


def _no_such_study(name: str) -> str:
    nearest = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"no study {name!r}: give one of {', '.join(PRESETS)}, or the path of a TOML file{hint}"


def _with_tuples(value: object) -> object:
    """Lists, which a strict tuple refuses, as tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(entry) for name, entry in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return tuple(_with_tuples(entry) for entry in cast("list[object]", value))
    return value


def _explain(errors: list[ErrorDetails]) -> str:
    """The first mistake in words, and how many more there are; a misspelled key comes before what it leaves missing."""
    lists = {error["loc"][:-1] for error in errors}  # a list with a wrong entry is reported as too short besides
    mistakes = [error for error in errors if error["type"] != "too_short" or error["loc"] not in lists]
    first = min(mistakes, key=lambda error: error["type"] != "extra_forbidden")
    rest = len(mistakes) - 1
    return _explain_one(first) + (f" (and {rest} more)" if rest else "")


def _explain_one(error: ErrorDetails) -> str:
    *parents, key = error["loc"]
    where = _dotted(error["loc"])
    if error["type"] == "extra_forbidden":
        allowed = _keys(parents)
        nearest = difflib.get_close_matches(str(key), allowed, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        return f"unknown key {where!r}: allowed here are {', '.join(allowed)}{hint}"
    if error["type"] == INCOMPLETE:
        return f"table [{where}]: {error['msg']}"
    if error["type"] == "missing":
        needs = "a study needs name, models, data and precisions"
        if parents:
            needs = f"[{_dotted(tuple(parents))}] needs it"
        return f"key {where!r} is missing: {needs}"
    return f"key {where!r}: {_given(error['input'])} was given; {_allowed(error)}"


def _allowed(error: ErrorDetails) -> str:
    """What the key takes, in the words of TOML."""
    context = error.get("ctx", {})
    match error["type"]:
        case "tuple_type":
            return "it takes a list, such as [0, 1] or ['lenet']"
        case "model_type" | "model_attributes_type":
            return f"it is a table: write it as [{_dotted(error['loc'])}]"
        case "too_short":
            return "it takes at least one entry"
        case "literal_error":
            return f"allowed are {context['expected']}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch" if error["loc"] == ("device",):
            return "it takes 'cpu', 'cuda' or one GPU of several, such as 'cuda:1'"
        case "string_pattern_mismatch":
            return "it takes letters, digits, spaces, '.', '_' and '-', and starts with a letter or digit"
        case _:
            message = error["msg"].removeprefix("Input should be ")
            return f"it must be {message[:1].lower()}{message[1:]}"


def _given(value: object) -> str:
    """The value, cut short."""
    shown = repr(list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _dotted(location: tuple[int | str, ...]) -> str:
    """A key's place as TOML writes it: `fine_tune.epochs`, `seeds[1]`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys(parents: list[int | str]) -> list[str]:
    """The keys that the table at this place takes."""
    section: type[BaseModel] = StudySpec
    for name in filter(lambda part: isinstance(part, str), parents):
        kinds = [section.model_fields[str(name)].annotation]
        kinds += get_args(kinds[0])
        section = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(section.model_fields)
