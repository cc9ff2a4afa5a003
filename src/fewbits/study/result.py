"""What a run leaves: its figures, or why it has none; and the study that it belongs to. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field

if TYPE_CHECKING:
    from fewbits.hardware import Cost

STORED = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
"""How values are read back: of the very types that were written, finite, within the ranges below."""

Percent = Annotated[float, Field(ge=0, le=100)]
Size = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
PositiveCount = Annotated[int, Field(gt=0, lt=2**63)]

FLOAT_RECIPE = "float"
"""Recipe of the float32 rows: the float network itself, which the recipes start from."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The figures of one finished run: one network, data set, precision, recipe and seed."""

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

    accuracy_percent: Percent
    """Of the bit-exact network on the whole test split: what the hardware would reach."""

    fake_quantized_accuracy_percent: Percent
    """Of the torch module with quantized layers that was lowered, on the same images."""

    float_accuracy_percent: Percent
    """Of the float network of this model, data and seed, in plain torch, on the same images."""

    validation_accuracy_percent: Percent
    """Of the epoch whose weights were kept, on the held-out split; settings are chosen by this, never by the test."""

    differing_images: Count
    """Test images that the bit-exact and the fake-quantized network put into different classes."""

    test_images: PositiveCount
    epochs: Count
    """Epochs trained for this run; those of the float network that it started from are not counted."""

    memory_kib: Size
    """Parameters and the largest layer's activations."""

    parameters_kib: Size
    area_mm2: Size
    power_mw: Positive
    """Mean while images are computed."""

    clock_mhz: Positive
    cycles: PositiveCount
    """For one image, as the energy."""

    energy_uj: Positive
    energy_saving_percent: float | None
    """Against the same network at float32; None if the technology table has no float32."""

    area_mm2_by_component: dict[str, float]
    energy_uj_by_component: dict[str, float]
    """Dynamic and leakage together. Keys here and above: the parts of the chip."""

    leakage_uj_by_component: dict[str, float]
    """The part of it that is leakage."""

    energy_uj_by_layer: dict[str, float]
    skipped: tuple[str, ...]
    """Each module that was left float, with the reason: `name (kind): reason`."""

    technology: str
    wall_time_s: Size
    """Spent on this run, training included unless it was done before. Of this, `notices` and `versions` apart, equal
    runs have equal fields."""

    activity: str = ""
    """What the switching activity behind power and energy is."""

    energy_interval_uj: float | None = None
    """Half of the energy's 95 % confidence interval over the images of its activity; None if that is assumed."""

    energy_without_glitches_uj: float | None = None
    """The energy if each net toggled at most once a cycle; None if the activity is assumed."""

    off_chip_uj: tuple[float, float] = (0.0, 0.0)
    """Low and high energy of the transfers to and from a DRAM, which `energy_uj` does not hold."""

    energy_uj_by_layer_and_component: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """The energy of each layer split into components."""

    leakage_uj_by_layer: dict[str, float] = field(default_factory=dict[str, float])
    """The part of `energy_uj_by_layer` that is leakage; empty for a run of a version that did not keep it."""

    off_chip_uj_by_layer: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """`off_chip_uj` of each layer; empty for a run of a version that did not keep it."""

    multiplier: str = ""
    """The multipliers' architecture and the products' width, in words."""

    interpolated: bool = False
    """Whether area, power and energy rest on an interpolated datapath; else it was characterized."""

    stands_for: str = ""
    """The recipe that trained, where `recipe` is `best`; else empty, as for a run of a version that did not keep it."""

    notices: tuple[str, ...] = ()
    """What happened on the way, such as a damaged checkpoint that was not used."""

    versions: dict[str, str] = field(default_factory=dict[str, str])
    """Of fewbits, python, torch and numpy that made it."""

    @property
    def recipe_in_words(self) -> str:
        """The recipe, and what it stands for: `best (= fine-tune)`."""
        return f"{self.recipe} (= {self.stands_for})" if self.stands_for else self.recipe

    @property
    def power_mw_by_component(self) -> dict[str, float]:
        """The power split as the energy is."""
        return {part: self.power_mw * energy / self.energy_uj for part, energy in self.energy_uj_by_component.items()}

    @property
    def difference_to_float_points(self) -> float:
        """Accuracy gained (positive) or lost against the float network, in percentage points."""
        return self.accuracy_percent - self.float_accuracy_percent


def cost_fields(figures: Cost) -> dict[str, Any]:
    """The fields of a result that a network's cost gives."""
    breakdown = figures.breakdown
    return {
        "memory_kib": figures.memory_kib,
        "parameters_kib": figures.parameters_kib,
        "area_mm2": figures.area_mm2,
        "power_mw": figures.power_mw,
        "clock_mhz": figures.clock_mhz,
        "cycles": figures.cycles,
        "energy_uj": figures.energy_uj,
        "area_mm2_by_component": breakdown.area_mm2,
        "energy_uj_by_component": breakdown.energy_uj,
        "leakage_uj_by_component": breakdown.leakage_uj,
        "energy_uj_by_layer": {layer.name: layer.energy_uj for layer in breakdown.layers},
        "energy_uj_by_layer_and_component": {layer.name: layer.energy_uj_by_part for layer in breakdown.layers},
        "leakage_uj_by_layer": {layer.name: layer.leakage_uj for layer in breakdown.layers},
        "off_chip_uj_by_layer": {layer.name: layer.off_chip_uj for layer in breakdown.layers},
        "activity": figures.activity,
        "energy_interval_uj": figures.energy_interval_uj,
        "energy_without_glitches_uj": figures.energy_without_glitches_uj,
        "off_chip_uj": figures.off_chip_uj,
        "technology": figures.technology,
        "multiplier": figures.multiplier,
        "interpolated": figures.interpolated,
    }


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
