"""What a search found, as `search.json` holds it: sensitivities, evaluated points, front, chosen. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from fewbits.errors import SearchError

if TYPE_CHECKING:
    from fewbits.formats.assignment import Assignment

RESULT_NAME = "search.json"
"""Of the file in the search's folder."""

FORMAT = 1
"""Goes up where an older file can no longer be read."""

_MOST_BYTES = 64 * 2**20
"""Of a file that is read: 100,000 points of 100 layers are less."""

Objective = Literal["energy", "area", "memory", "latency"]
"""What a search makes small."""

Score = Literal["accuracy", "coarsest", "hessian", "gradient"]
"""How a layer's sensitivity is told: measured on validation images, at every precision or at that which changes the
layer's results most; or foretold from derivatives."""

Method = Literal["uniform", "sensitivity", "assignment", "greedy", "fine-tune", "nsga2", "tpe", "random"]
"""What asked for an evaluation."""

Evaluated = Literal["bit-exact", "fake-quantized"]
"""What network an accuracy is of: the bit-exact one, or the one in torch with rounded values where no other can be."""

UNITS: Mapping[str, tuple[str, str]] = {
    "energy": ("energy_uj", "µJ"),
    "area": ("area_mm2", "mm²"),
    "memory": ("memory_kib", "KiB"),
    "latency": ("time_us", "µs"),
}
"""By objective: the figure of `Costs` that it makes small, and its unit."""

_Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_STORED = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True)
class Costs:
    """What an assignment costs on the machine, for one image."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    energy_uj: _Size
    area_mm2: _Size
    memory_kib: _Size
    """Parameters, and the most activations that are held at a time."""

    time_us: _Size
    conversion_uj: _Size = 0.0
    """Of the energy, what conversions between neighbours of different formats take."""

    bit_operations: _Size = 0.0
    """Products, each times the bits of its two operands: the proxy that others search by; not used here."""

    def of(self, objective: Objective) -> float:
        """The figure that an objective makes small."""
        return float(getattr(self, UNITS[objective][0]))


@dataclass(frozen=True)
class Sensitivity:
    """One layer, or layers that share an input, at a precision; all others at the reference's."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    layers: tuple[str, ...]
    """The layers that change together: one, or all that share an input format."""

    precision: str
    score: _Finite
    """What the integer program adds up: larger is worse. By `Basis.score`: points of accuracy lost, measured or, where
    only the coarsest precision was measured, by its rounding error's share of that; half the Hessian's
    trace times the squared error of rounding, or the gradient times that error (both in units of the loss)."""

    accuracy_percent: _Percent | None = None
    """On the validation images; None where it was foretold."""

    points_lost: _Finite | None = None
    """Against the reference; None where it was foretold."""

    loss_rise: _Finite | None = None
    """Of the mean cross entropy, against the reference's; None where it was foretold."""

    @property
    def name(self) -> str:
        """As charts call it."""
        return ", ".join(self.layers)


@dataclass(frozen=True)
class Point:
    """An assignment that was evaluated."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    name: str
    """As tables print it; that of the precision where it is uniform. Each point of a result has another."""

    precision: str
    """Of the layers that `layers` does not name."""

    layers: Mapping[str, str]
    """Precisions of the other layers, by name; empty where the assignment is uniform."""

    method: Method
    """What asked for it first."""

    right: Annotated[int, Field(ge=0)]
    """Validation images that are classified right, of `Basis.images`."""

    accuracy_percent: _Percent
    loss: _Finite
    """Mean cross entropy on those images."""

    costs: Costs
    evaluated: Evaluated = "bit-exact"
    fine_tuned_epochs: Annotated[int, Field(ge=0)] = 0
    """Epochs that the network was trained at this assignment; 0 as post-training quantization leaves it."""

    notices: tuple[str, ...] = ()

    @property
    def is_uniform(self) -> bool:
        """Whether all layers have one precision."""
        return not self.layers

    def assignment(self) -> Assignment:
        """The assignment as `run_recipe`, `cost` and studies take it; loads torch."""
        from fewbits.formats import parse_precision
        from fewbits.formats.assignment import Assignment

        layers = {name: parse_precision(one) for name, one in self.layers.items()}
        return Assignment(self.name, parse_precision(self.precision), layers)


@dataclass(frozen=True)
class Basis:
    """What a search's figures rest on."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    model: str
    data: str
    weights: str
    """The file that the float network's weights came from, or how they were trained, in words."""

    seed: int
    images: Annotated[int, Field(ge=1)]
    """Validation images that each accuracy is of; the test images were not read."""

    formats: tuple[str, ...]
    """Precisions that each layer may have, from the reference down."""

    layers: tuple[str, ...]
    """All layers with weights, in the network's order."""

    groups: tuple[tuple[str, ...], ...]
    """The layers that must have one input format, and change together; most have one layer."""

    objective: Objective
    score: Score
    max_loss_points: _Size
    datapaths: str
    """How the machine is built: `one`, `each` or `composable`."""

    accelerator: str
    technology: str
    evaluations: Annotated[int, Field(ge=1)]
    """As many were allowed, uniform precisions and sensitivities among them."""

    refine: str | None
    """`nsga2` or `tpe` where one of them went on, or None."""

    fine_tune_epochs: Annotated[int, Field(ge=0)]
    versions: Mapping[str, str]
    key: str
    """Hash of all that defines the search."""


@dataclass(frozen=True)
class SearchResult:
    """A finished search. Names of points tell `front` and `chosen`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STORED

    basis: Basis
    float_accuracy_percent: _Percent
    """Of the float network, on the same validation images."""

    float_loss: _Finite
    reference: str
    """The precision that sensitivities start from: the first of `Basis.formats`."""

    sensitivities: tuple[Sensitivity, ...]
    points: tuple[Point, ...]
    """All that were evaluated, in that order; the fine-tuned ones last. Uniform precisions are always among them."""

    front: tuple[str, ...]
    """Points that no other beats in accuracy and objective, from the cheapest; fine-tuned ones compete too."""

    chosen: str | None
    """The cheapest point within `Basis.max_loss_points` of the float network; None if there is none."""

    notices: tuple[str, ...] = ()
    """What was found and assumed, a sentence each."""

    format: int = field(default=FORMAT)

    @property
    def by_name(self) -> Mapping[str, Point]:
        """The points by their names."""
        return {point.name: point for point in self.points}

    @property
    def uniform(self) -> tuple[Point, ...]:
        """The uniform precisions, not fine-tuned ones among them."""
        return tuple(point for point in self.points if point.is_uniform and not point.fine_tuned_epochs)

    def points_lost(self, point: Point) -> float:
        """Points of accuracy below the float network; negative above it."""
        return self.float_accuracy_percent - point.accuracy_percent

    def as_json(self) -> dict[str, Any]:
        """The result as `search.json` and `--json` hold it."""
        return asdict(self)


_RESULT = TypeAdapter(SearchResult)


def read_result(path: Path) -> SearchResult:
    """The result in a file, or in a search's folder. Raises SearchError if there is none that can be read."""
    file = path / RESULT_NAME if path.is_dir() else path
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise SearchError(f"{str(file)!r} is larger than a search's result: give a folder that fewbits search made")
        content = file.read_bytes()
    except OSError as error:
        raise SearchError(
            f"cannot read {str(file)!r}: {error.strerror or error}; give a folder that fewbits search made"
        ) from None
    try:
        version = json.loads(content)["format"]
        if version != FORMAT:
            raise SearchError(f"{str(file)!r} is of another fewbits (format {version!r}): search again")
        result = _RESULT.validate_json(content)
        missing = {*result.front, *([] if result.chosen is None else [result.chosen])} - result.by_name.keys()
        if missing or len(result.by_name) < len(result.points):
            raise ValueError("front and chosen name points, each once")
        return result
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError):
        raise SearchError(f"{str(file)!r} is damaged or no search's result: search again") from None
