"""A study as its TOML file says it: what to run and how, checked key by key; loads no torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)

from fewbits.assignment_table import AssignmentTable
from fewbits.errors import FewbitsError, StudyError
from fewbits.executors.description import ClusterSection
from fewbits.study.sections import (
    AcceleratorSection,
    CalibrationSection,
    DataSection,
    DefectsSection,
    ErrorRatesSection,
    FineTuneSection,
    FloatTrainingSection,
    MachineSection,
    MethodsSection,
    Name,
    Names,
    PrecisionSection,
    RecipeName,
    Seed,
    Text,
    TrainingSection,
    Width,
    known_sinks,
    listed,
    weight_files,
)
from fewbits.toml_table import Table, checked, read_file, read_toml

_PRESETS = files("fewbits.study") / "presets"

PRESETS: tuple[str, ...] = tuple(
    sorted(entry.name.removesuffix(".toml") for entry in _PRESETS.iterdir() if entry.name.endswith(".toml"))
)
"""Names of the studies that come with the package."""


class StudySpec(Table):
    """A grid of models x data x precisions x recipes x seeds, and how its points are trained and costed."""

    name: Name
    models: Names
    """As `fewbits.models.builder` takes them; files are looked for from `folder`."""

    widen: Annotated[tuple[Width, ...], Field(min_length=1)] = (1.0,)
    """Each model is taken at each of these widths: its inner channels times the factor, as `model*factor`."""

    data: Annotated[tuple[DataSection, ...], Field(min_length=1), BeforeValidator(listed)]
    """Names, tables, or one table."""

    precisions: Annotated[tuple[PrecisionSection, ...], Field(min_length=1)]
    """Such as `fixed8` or `pow2-6/fixed16`; or assignments, a precision for each layer: a file that a search has
    written, or a table with `name`, `precision` and `layers`. `float32` stands for the float network that the others
    start from: one run for each seed, whatever the recipes."""

    recipes: Annotated[tuple[RecipeName, ...], Field(min_length=1)] = ("fine-tune",)
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    technology: Text = "ihp-sg13g2"
    """A shipped technology table's name, or the path of a table made by `fewbits characterize`; `ihp-sg13g2@65nm` is
    the table scaled to another node."""

    start: Annotated[str | dict[str, str], BeforeValidator(weight_files)] | None = None
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
    accelerators: Annotated[tuple[MachineSection, ...], Field(min_length=1, max_length=100)] | None = None
    """Names and files of several, in place of `accelerator`: each network, trained once, is costed on each."""

    datapaths: Literal["one", "each", "composable"] | None = None
    """How the machine is built for layers of several precisions: with datapaths beside the precision's for layers that
    it does not hold ("one", if none is given), with one for each precision, or with the composable one, as
    `fewbits.hardware.cost` takes it; float32 networks have their own in any way."""

    inputs: Literal["auto-sign"] | None = None
    """Takes every precision of unsigned inputs (`ufixedN`) as one that ends with `:auto-sign`: signed in layers that
    take values which may be negative; without it a network or data with such layers are refused."""

    defects: DefectsSection | None = None
    """Defects that each network, trained, is measured with; float32 ones are not."""

    cluster: ClusterSection | None = None
    """Where `--engine dask` finds workers. It decides no figure, and is no part of the study's definition."""

    track: Annotated[dict[str, bool | Text], BeforeValidator(known_sinks)] = Field(default_factory=dict)
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

    @field_validator("accelerators")
    @classmethod
    def _refuse_both(cls, values: object, info: ValidationInfo) -> object:
        if values is not None and info.data.get("accelerator", AcceleratorSection()) != AcceleratorSection():
            raise ValueError("the study has a table [accelerator] too; leave one of them out")
        return values

    @field_validator("models", "widen", "data", "precisions", "recipes", "seeds", "accelerators")
    @classmethod
    def _refuse_repeats(cls, values: tuple[object, ...] | None) -> tuple[object, ...] | None:
        names = [
            value.name if isinstance(value, (DataSection, MachineSection, PrecisionSection)) else value
            for value in values or ()
        ]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"{name!r} is listed twice; give each once")
        return values

    @property
    def networks(self) -> tuple[str, ...]:
        """Models at their widths, as `fewbits.models.builder` takes them; a factor of 1 leaves a name as it is."""
        return tuple(model if width == 1 else f"{model}*{width:g}" for model in self.models for width in self.widen)

    @property
    def float_networks(self) -> int:
        """How many float networks there are, if no two are equal: as many tasks can start at once."""
        return len(self.networks) * len(self.data) * len(self.seeds)

    def definition(self) -> dict[str, Any]:
        """What was given and the defaults of this class, as JSON takes it; `parse_study` takes it back.

        Without `cluster` and `track`, which change no result; an address in `track` may hold a password.
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
    return parse_toml(text, name, path.parent)


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
    values = read_toml(text, source)
    others = [key for key in values if key != "cluster"]
    if others or "cluster" not in values:
        what = f"key {others[0]!r} is none of it" if others else "it is missing"
        raise StudyError(f"{source}: the file of a cluster holds one table, [cluster]; {what}")
    return checked(_ClusterFile, values, source).cluster


class _ClusterFile(Table):
    """A file that holds a cluster alone; its keys lie where they lie in a study."""

    cluster: ClusterSection


def parse_toml(text: str, source: str, folder: Path = Path()) -> StudySpec:
    """The study that a TOML text describes. As `parse_study`."""
    return parse_study(read_toml(text, source), source, folder)


def parse_study(values: Mapping[str, Any], source: str, folder: Path = Path()) -> StudySpec:
    """The study that a mapping describes, with what its accelerators' files hold.

    source: named in messages; folder: where relative paths begin. Raises StudyError.
    """
    read = checked(StudySpec, values, source, "a study needs name, models, data and precisions")
    spec = read.model_copy(update=_files_read(read, source, folder))
    spec._source, spec._folder = source, folder  # pyright: ignore[reportPrivateUsage]
    return spec


def _files_read(spec: StudySpec, source: str, folder: Path) -> dict[str, object]:
    """The keys of accelerators that name files, with their definitions, so that a store needs no file."""
    read: dict[str, object] = {}
    one = spec.accelerator
    file = one.preset if one.file is None and one.preset is not None and one.preset.endswith(".toml") else one.file
    if file is not None and one.definition is None:
        definition = _definition(file, folder, f"{source}: key 'accelerator'")
        read["accelerator"] = one.model_copy(update={"preset": None, "file": file, "definition": definition})
    if spec.accelerators is not None:
        where = f"{source}: key 'accelerators'"
        read["accelerators"] = tuple(
            each.model_copy(update={"definition": _definition(each.name, folder, where)})
            if each.name.endswith(".toml") and each.definition is None
            else each
            for each in spec.accelerators
        )
    if spec.defects is not None and spec.defects.voltages is not None and spec.defects.error_rates is None:
        rates = _error_rates(spec.defects.voltages, folder, f"{source}: key 'defects.voltages'")
        read["defects"] = spec.defects.model_copy(update={"error_rates": rates})
    if any(one.is_file for one in spec.precisions):
        read["precisions"] = tuple(
            _assignment(one.name, folder, f"{source}: key 'precisions'") if one.is_file else one
            for one in spec.precisions
        )
    return read


def _assignment(file: str, folder: Path, where: str) -> PrecisionSection:
    values = read_file(folder / file, "the assignment")
    table = checked(AssignmentTable, values, f"{where}: {file}", "an assignment needs name and precision")
    return PrecisionSection.model_validate(table.model_dump())


def _error_rates(file: str, folder: Path, where: str) -> ErrorRatesSection:
    from fewbits.hardware.defects import read_error_rates

    try:
        read = read_error_rates(folder / file)
    except FewbitsError as error:
        raise StudyError(f"{where}: {error}") from None
    return ErrorRatesSection(source=read.source, points=read.points)


def _definition(file: str, folder: Path, where: str) -> dict[str, Any]:
    from fewbits.hardware.dataflow.registry import accelerator_named, definition_of

    try:
        return definition_of(accelerator_named(folder / file))
    except FewbitsError as error:
        raise StudyError(f"{where}: {error}") from None


def _no_such_study(name: str) -> str:
    nearest = difflib.get_close_matches(name, PRESETS, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"no study {name!r}: give one of {', '.join(PRESETS)}, or the path of a TOML file{hint}"
