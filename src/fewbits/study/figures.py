"""The figures of a run and of a network's cost, each declared once: what it is, where it comes from, how it is shown.

A new figure is one entry in the body of `RunFigures`, at its place in the tables. Result, store, terminal table,
Markdown, CSV, JSON, page, charts and `fewbits cost` follow the entry. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, dataclass_transform

from pydantic import ConfigDict, Field

if TYPE_CHECKING:
    from fewbits.hardware import Cost
    from fewbits.hardware.costing.breakdown import LayerCost
    from fewbits.study.result import RunResult

STORED = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
"""How values are read back: of the very types that were written, finite, within the ranges below."""

Percent = Annotated[float, Field(ge=0, le=100)]
Size = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
PositiveCount = Annotated[int, Field(gt=0, lt=2**63)]

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a figure is, where it comes from and where it is shown."""

    meaning: str
    """A sentence for whoever reads the figure."""

    unit: str = ""
    """Beside headings and axes; empty for a plain number or text."""

    of_cost: Callable[[Cost], Any] | None = None
    """Its value from a network's cost; None where the run measures it, or where it is made of the run's figures."""

    of_run: Callable[[RunResult], Any] | None = None
    """Its value from a run's other figures, for one that is not kept; None takes the run's own."""

    against_baseline: Callable[[RunResult, RunResult], float | None] | None = None
    """Its value from a run and the float32 run of the same seed; without such a run there is none."""

    heading: str = ""
    """Of its column in the study's tables, and of an axis; empty for no column."""

    short: str = ""
    """The heading for a terminal, in two lines where it is long, so that all columns fit into 80 characters."""

    csv: str = ""
    """Its name in CSV, where that is another than its own."""

    decimals: int | None = None
    """Shown in tables; None: as many as give the column's smallest figure three digits."""

    signed: bool = False
    """Whether a plus sign is shown."""

    over_seeds: bool = False
    """Whether mean and spread over seeds are taken though it has no column."""

    charted: bool = False
    """Whether a chart shows accuracy against it, with the Pareto front; less of it is better."""

    bars: str = ""
    """Title of the bar chart of a figure by component; empty for none."""

    of_chip: bool = False
    """Whether one bar chart serves all networks, since the figure is the chip's."""

    in_run_json: bool = False
    in_cost_json: bool = False
    in_cost_table: bool = False

    cost_rank: int = 1
    """`fewbits cost` shows its figures from the lowest rank on, those of one rank as they are declared."""

    name: str = ""
    """That of its entry."""

    @property
    def is_column(self) -> bool:
        """Whether the study's tables show it."""
        return bool(self.heading)

    @property
    def is_joined(self) -> bool:
        """Whether mean and spread over seeds are taken."""
        return self.is_column or self.over_seeds

    @property
    def column_key(self) -> str:
        """Its name in CSV."""
        return self.csv or self.name

    @property
    def axis(self) -> str:
        """The title of an axis or of a line in a tooltip."""
        return f"{self.heading}, {self.unit}" if self.unit else self.heading

    @property
    def words(self) -> str:
        """What it is of, in a sentence: the short heading in one line."""
        return self.short.replace("-\n", "").replace("\n", " ")

    @property
    def word(self) -> str:
        """For files' names: its name without what it is split by and without its unit."""
        return self.name.removesuffix("_by_component").rpartition("_")[0].replace("_", "-") or self.name

    def value(self, run: RunResult) -> Any:
        """Of a run by itself."""
        return getattr(run, self.name) if self.of_run is None else self.of_run(run)

    def in_row(self, run: RunResult, baseline: RunResult | None) -> float | None:
        """Of a run in a table. baseline: the float32 run of the same seed, if there is one."""
        if self.against_baseline is None:
            return self.value(run)
        return None if baseline is None else self.against_baseline(run, baseline)


def kept(figure: Figure, *, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """A figure that a run keeps and the store holds.

    default: that of a run from a version which did not keep it; a figure that is new needs one, so that older stores
    are read.
    """
    return field(default=default, default_factory=default_factory, metadata={"figure": figure})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(kept, field))
def _declares(body: type[_T]) -> type[_T]:
    """A class whose body is a list of figures, in their order: kept ones are fields, others class variables."""
    return dataclass(frozen=True, kw_only=True)(body)


def _layer(layer: LayerCost) -> dict[str, Any]:
    names = (
        *("name", "kind", "cycles", "energy_uj", "energy_uj_by_part"),
        *("leakage_uj", "off_chip_uj", "transfer_stall_cycles"),
    )
    return {name: getattr(layer, name) for name in names}


@_declares
class RunFigures:
    """The figures of a run in the order of the tables. A class variable is shown, but not kept."""

    accuracy_percent: Percent = kept(
        Figure(
            meaning="Of the bit-exact network on the whole test split: what the hardware would reach.",
            unit="%",
            heading="accuracy, bit-exact",
            short="bit-\nexact",
            decimals=2,
            in_run_json=True,
        )
    )
    fake_quantized_accuracy_percent: Percent = kept(
        Figure(
            meaning="Of the torch module with quantized layers that was lowered, on the same images.",
            unit="%",
            heading="accuracy, fake-quantized",
            short="fake-\nquant.",
            decimals=2,
            in_run_json=True,
        )
    )
    difference_points: ClassVar[Figure] = Figure(
        meaning="Bit-exact accuracy less that of float32, seed by seed.",
        unit="points",
        against_baseline=lambda run, baseline: run.accuracy_percent - baseline.accuracy_percent,
        heading="difference to float32",
        short="to\nfloat",
        decimals=2,
        signed=True,
    )
    float_accuracy_percent: Percent = kept(
        Figure(
            meaning="Of the float network of this model, data and seed, in plain torch, on the same images.",
            unit="%",
        )
    )
    validation_accuracy_percent: Percent = kept(
        Figure(
            meaning="Of the epoch whose weights were kept, on the held-out split; settings are chosen by this, never "
            "by the test.",
            unit="%",
        )
    )
    differing_images: Count = kept(
        Figure(
            meaning="Test images that the bit-exact and the fake-quantized network put into different classes.",
            over_seeds=True,
            in_run_json=True,
        )
    )
    test_images: PositiveCount = kept(Figure(meaning="Images of the test split."))
    epochs: Count = kept(
        Figure(
            meaning="Epochs trained for this run; those of the float network that it started from are not counted.",
        )
    )
    parameters_kib: Size = kept(
        Figure(
            meaning="Weights, and biases at the accumulators' width.",
            unit="KiB",
            of_cost=lambda cost: cost.parameters_kib,
            heading="parameters",
            short="para-\nmeters",
            csv="parameter_kib",
        )
    )
    memory_kib: Size = kept(
        Figure(
            meaning="Parameters and the largest layer's activations.",
            unit="KiB",
            of_cost=lambda cost: cost.memory_kib,
            heading="memory",
            short="memory",
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
            cost_rank=0,
        )
    )
    area_mm2: Size = kept(
        Figure(
            meaning="Of neurons, control and buffers: cells and macros, without wires and pads.",
            unit="mm²",
            of_cost=lambda cost: cost.area_mm2,
            heading="area",
            short="area",
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
        )
    )
    power_mw: Positive = kept(
        Figure(
            meaning="Mean while images are computed.",
            unit="mW",
            of_cost=lambda cost: cost.power_mw,
            heading="power",
            short="power",
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
        )
    )
    cycles: PositiveCount = kept(
        Figure(
            meaning="For one image.",
            of_cost=lambda cost: cost.cycles,
            heading="cycles an image",
            short="cycles",
            decimals=0,
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
            cost_rank=0,
        )
    )
    clock_mhz: Positive = kept(
        Figure(
            meaning="That datapath, control and buffers keep, at most the one asked for.",
            unit="MHz",
            of_cost=lambda cost: cost.clock_mhz,
            short="clock",
            over_seeds=True,
            in_cost_json=True,
            in_cost_table=True,
            cost_rank=0,
        )
    )
    energy_uj: Positive = kept(
        Figure(
            meaning="For one image, on the chip: what is switched, and leakage over its time.",
            unit="µJ",
            of_cost=lambda cost: cost.energy_uj,
            heading="energy an image",
            short="energy",
            charted=True,
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
        )
    )
    energy_saving_percent: float | None = kept(
        Figure(
            meaning="Against the same network at float32; none if the technology table has no float32.",
            unit="%",
            against_baseline=lambda run, baseline: run.energy_saving_percent,
            heading="energy saved",
            short="saved",
            decimals=1,
            in_run_json=True,
        )
    )
    area_mm2_by_component: dict[str, float] = kept(
        Figure(
            meaning="The area split into the parts of the chip.",
            unit="mm²",
            of_cost=lambda cost: cost.breakdown.area_mm2,
            bars="Area by component",
            of_chip=True,
        )
    )
    power_mw_by_component: ClassVar[Figure] = Figure(
        meaning="The power split as the energy is.",
        unit="mW",
        of_run=lambda run: {
            part: run.power_mw * energy / run.energy_uj for part, energy in run.energy_uj_by_component.items()
        },
        bars="Power by component",
    )
    energy_uj_by_component: dict[str, float] = kept(
        Figure(
            meaning="Dynamic and leakage together, split into the parts of the chip.",
            unit="µJ",
            of_cost=lambda cost: cost.breakdown.energy_uj,
            bars="Energy of an image by component",
        )
    )
    leakage_uj_by_component: dict[str, float] = kept(
        Figure(
            meaning="The part of it that is leakage.",
            unit="µJ",
            of_cost=lambda cost: cost.breakdown.leakage_uj,
        )
    )
    energy_uj_by_layer: dict[str, float] = kept(
        Figure(
            meaning="The energy split into layers.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.energy_uj for layer in cost.breakdown.layers},
        )
    )
    energy_uj_by_layer_and_component: dict[str, dict[str, float]] = kept(
        Figure(
            meaning="The energy of each layer split into components.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.energy_uj_by_part for layer in cost.breakdown.layers},
        ),
        default_factory=dict,
    )
    leakage_uj_by_layer: dict[str, float] = kept(
        Figure(
            meaning="The part of each layer's energy that is leakage; empty for a run of a version that did not keep "
            "it.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.leakage_uj for layer in cost.breakdown.layers},
        ),
        default_factory=dict,
    )
    energy_interval_uj: float | None = kept(
        Figure(
            meaning="Half of the energy's 95 % confidence interval over the images of its activity; none if that is "
            "assumed.",
            unit="µJ",
            of_cost=lambda cost: cost.energy_interval_uj,
            in_run_json=True,
        ),
        default=None,
    )
    energy_without_glitches_uj: float | None = kept(
        Figure(
            meaning="The energy if each net toggled at most once a cycle; none if the activity is assumed.",
            unit="µJ",
            of_cost=lambda cost: cost.energy_without_glitches_uj,
            in_run_json=True,
        ),
        default=None,
    )
    off_chip_uj: tuple[float, float] = kept(
        Figure(
            meaning="Low and high energy of the transfers to and from a DRAM, which the energy does not hold.",
            unit="µJ",
            of_cost=lambda cost: cost.off_chip_uj,
            in_run_json=True,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=(0.0, 0.0),
    )
    off_chip_uj_by_layer: dict[str, tuple[float, float]] = kept(
        Figure(
            meaning="The same of each layer; empty for a run of a version that did not keep it.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.off_chip_uj for layer in cost.breakdown.layers},
        ),
        default_factory=dict,
    )
    activity: str = kept(
        Figure(
            meaning="What the switching activity behind power and energy is.",
            of_cost=lambda cost: cost.activity,
            in_run_json=True,
            in_cost_json=True,
        ),
        default="",
    )
    multiplier: str = kept(
        Figure(
            meaning="The multipliers' architecture and the products' width, in words.",
            of_cost=lambda cost: cost.multiplier,
            in_cost_json=True,
        ),
        default="",
    )
    interpolated: bool = kept(
        Figure(
            meaning="Whether area, power and energy rest on an interpolated datapath; else it was characterized.",
            of_cost=lambda cost: cost.interpolated,
            in_cost_json=True,
        ),
        default=False,
    )
    technology: str = kept(Figure(meaning="The technology table's name.", of_cost=lambda cost: cost.technology))

    clock_limited_by: ClassVar[Figure] = Figure(
        meaning="The part that lowers the clock; none if it is as asked for.",
        of_cost=lambda cost: cost.clock.limited_by,
        in_cost_json=True,
    )
    longest_paths_ns: ClassVar[Figure] = Figure(
        meaning="Longest path of each part.",
        unit="ns",
        of_cost=lambda cost: cost.clock.paths_ns,
        in_cost_json=True,
    )
    clock_notes: ClassVar[Figure] = Figure(
        meaning="What to know about the clock.", of_cost=lambda cost: cost.clock.notes, in_cost_json=True
    )
    own_datapaths: ClassVar[Figure] = Figure(
        meaning="Layers that another datapath computes than the precision's, with its name.",
        of_cost=lambda cost: cost.own_datapaths,
        in_cost_json=True,
    )
    narrower_layers: ClassVar[Figure] = Figure(
        meaning="Layers of narrower formats than the datapath that computes them, with theirs.",
        of_cost=lambda cost: cost.narrower_layers,
        in_cost_json=True,
    )
    notes: ClassVar[Figure] = Figure(
        meaning="What an architect must know beside the figures.", of_cost=lambda cost: cost.notes, in_cost_json=True
    )
    energy_uj_by_part: ClassVar[Figure] = Figure(
        meaning="The energy split into the parts of the chip.",
        unit="µJ",
        of_cost=lambda cost: cost.breakdown.energy_uj,
        in_cost_json=True,
    )
    leakage_uj: ClassVar[Figure] = Figure(
        meaning="The part of the energy that is leakage.",
        unit="µJ",
        of_cost=lambda cost: sum(cost.breakdown.leakage_uj.values()),
        in_cost_json=True,
    )
    energy_with_off_chip_uj: ClassVar[Figure] = Figure(
        meaning="The energy with the low and the high one of the transfers to and from a DRAM.",
        unit="µJ",
        of_cost=lambda cost: cost.energy_with_off_chip_uj,
        in_cost_json=True,
        cost_rank=2,
    )
    bandwidth_gb_s: ClassVar[Figure] = Figure(
        meaning="Of the memory; none for as much as the layers need.",
        unit="GB/s",
        of_cost=lambda cost: cost.bandwidth_gb_s,
        in_cost_json=True,
        cost_rank=2,
    )
    needed_bandwidth_gb_s: ClassVar[Figure] = Figure(
        meaning="At which no layer waits for its transfers.",
        unit="GB/s",
        of_cost=lambda cost: max(cost.needed_bandwidth_gb_s.values()),
        in_cost_json=True,
        cost_rank=2,
    )
    transfer_stall_cycles: ClassVar[Figure] = Figure(
        meaning="Of all cycles, those that wait for the memory.",
        of_cost=lambda cost: cost.transfer_stall_cycles,
        in_cost_json=True,
        cost_rank=2,
    )
    layers: ClassVar[Figure] = Figure(
        meaning="Cycles, energies and transfers of each layer.",
        of_cost=lambda cost: [
            _layer(layer) | {"needed_bandwidth_gb_s": cost.needed_bandwidth_gb_s[layer.name]}
            for layer in cost.breakdown.layers
        ],
        in_cost_json=True,
        cost_rank=2,
    )


def _declared() -> tuple[Figure, ...]:
    """All entries of RunFigures with their names, in order."""
    held = {one.name: one.metadata["figure"] for one in fields(RunFigures)}
    return tuple(replace(held.get(name) or getattr(RunFigures, name), name=name) for name in RunFigures.__annotations__)


FIGURES = _declared()
"""In the order of the tables."""

COLUMNS = tuple(figure for figure in FIGURES if figure.is_column)
"""Of the study's tables, behind the precision."""

JOINED = tuple(figure for figure in FIGURES if figure.is_joined)
"""Those whose mean and spread over seeds are taken."""

SPLIT = tuple(figure for figure in FIGURES if figure.bars)
"""Those by component that a bar chart shows."""

CHARTED = tuple(figure for figure in FIGURES if figure.charted)
"""Those that accuracy is charted against."""

_OF_COST = sorted((figure for figure in FIGURES if figure.of_cost is not None), key=lambda figure: figure.cost_rank)

COST_TABLE = tuple(figure for figure in _OF_COST if figure.in_cost_table)
"""Columns of `fewbits cost`."""

_KEPT = frozenset(one.name for one in fields(RunFigures))


def figure_named(name: str) -> Figure:
    """The declaration of a figure."""
    return next(figure for figure in FIGURES if figure.name == name)


def kept_of_cost(cost: Cost) -> dict[str, Any]:
    """The fields of a run's figures that its network's cost gives."""
    return {one.name: one.of_cost(cost) for one in FIGURES if one.of_cost is not None and one.name in _KEPT}


def cost_json(cost: Cost) -> dict[str, Any]:
    """What `fewbits cost --json` prints of a network's cost."""
    shown = {one.name: one.of_cost(cost) for one in _OF_COST if one.of_cost is not None and one.in_cost_json}
    return {"precision": cost.precision, **shown}


def run_json(run: RunResult) -> dict[str, Any]:
    """What `fewbits run --json` prints of a run."""
    point = {name: getattr(run, name) for name in ("model", "data", "precision", "recipe", "seed")}
    return {**point, **{one.name: one.value(run) for one in FIGURES if one.in_run_json}, "stands_for": run.stands_for}
