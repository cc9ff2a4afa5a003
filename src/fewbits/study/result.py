"""What a run leaves: its figures, or why it has none; and the study that it belongs to. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

from fewbits.study.declaration import STORED, Count, Size
from fewbits.study.figures import FIGURES, RunFigures

FLOAT_RECIPE = "float"
"""Recipe of the float32 rows: the float network itself, which the recipes start from."""


@dataclass(frozen=True, kw_only=True)
class RunResult(RunFigures):
    """One finished run: its network, data set, precision, recipe and seed, and its figures."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    key: str
    """Hash of all that defines the run."""

    model: str
    data: str
    precision: str
    recipe: str
    """One of `fewbits.train.RECIPES`, or FLOAT_RECIPE for float32; at an operating point of a runtime-configurable
    network with the part of its channels behind it: `runtime-configurable 25 %`."""

    seed: Count
    skipped: tuple[str, ...]
    """Each module that was left float, with the reason: `name (kind): reason`."""

    wall_time_s: Size
    """Spent on this run, training included unless it was done before. Of this, `notices` and `versions` apart, equal
    runs have equal fields."""

    stands_for: str = ""
    """The recipe that trained, where `recipe` is `best`; else empty, as for a run of a version that did not keep it."""

    accelerator: str = ""
    """Name of the accelerator that its cost is of, where the study has several; else empty."""

    assignment: dict[str, Any] = field(default_factory=dict[str, Any])
    """What each layer computes with, where `precision` is an assignment's name: `precision`, `layers` and `product` as
    in its file; else empty."""

    notices: tuple[str, ...] = ()
    """What happened on the way, such as a damaged checkpoint that was not used."""

    versions: dict[str, str] = field(default_factory=dict[str, str])
    """Of fewbits, python, torch and numpy that made it."""

    @property
    def recipe_in_words(self) -> str:
        """The recipe, and what it stands for: `best (= fine-tune)`."""
        return f"{self.recipe} (= {self.stands_for})" if self.stands_for else self.recipe

    @property
    def difference_to_float_points(self) -> float:
        """Accuracy gained (positive) or lost against the float network, in percentage points."""
        return self.accuracy_percent - self.float_accuracy_percent


def run_json(run: RunResult) -> dict[str, Any]:
    """What `fewbits run --json` prints of a run."""
    point = {name: getattr(run, name) for name in ("model", "data", "precision", "recipe", "seed")}
    machine = {"accelerator": run.accelerator} if run.accelerator else {}
    figures = {one.name: one.value(run) for one in FIGURES if one.in_run_json}
    assigned = {"assignment": run.assignment} if run.assignment else {}
    defects = {} if run.defects is None else {"defects": run.defects.to_json()}
    return {**point, **figures, "stands_for": run.stands_for, **machine, **assigned, **defects}


@dataclass(frozen=True, kw_only=True)
class FailedRun:
    """A run that ended without a result; the next start tries it again."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    key: str
    model: str
    data: str
    precision: str
    recipe: str
    seed: Count
    error: str
    """Why, in one line."""

    accelerator: str = ""
    """As of a result."""


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as its store tells it: what was asked for, on what it rests and how far it is."""

    __pydantic_config__: ClassVar[ConfigDict] = STORED

    name: str
    definition: dict[str, Any]
    """The study, as `fewbits.study.spec.parse_study` takes it."""

    data: dict[str, dict[str, Any]]
    """By name: `sha256` of the images and labels, `images` of each split, `notes` on what to know about it."""

    technology: dict[str, Any]
    """`name`, `process`, `sha256` of the table, its `provenance`."""

    versions: dict[str, str]
    runs: Count
    """Planned in all."""

    finished: Count
    failed: Count

    @property
    def is_complete(self) -> bool:
        """Whether every run has finished."""
        return self.finished == self.runs
