"""The figures of a run and of a network's cost, each declared once: what it is, where it comes from, how it is shown.

A new figure is one entry in the body of `RunFigures`, at its place in the tables. Result, store, terminal table,
Markdown, CSV, JSON, page, charts and `fewbits cost` follow the entry. Loads no torch.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from fewbits.study.declaration import Count, Figure, Percent, Positive, PositiveCount, Size, declares, kept
from fewbits.study.front_record import FrontPoint
from fewbits.study.layer_record import LayerRecord, layer_records
from fewbits.train.record import EpochRecord

if TYPE_CHECKING:
    from fewbits.hardware import Cost
    from fewbits.hardware.costing.breakdown import LayerCost
    from fewbits.study.declaration import Tested


def _layer(layer: LayerCost) -> dict[str, Any]:
    names = (
        *("name", "kind", "cycles", "energy_uj", "energy_uj_by_part"),
        *("leakage_uj", "off_chip_uj", "transfer_stall_cycles"),
        *("operations", "busy_cycles", "stall_cycles", "fill_cycles", "setup_cycles"),
        *("utilization", "traffic_bits", "limit", "mapping"),
    )
    memories = {one.name: {name: getattr(one, name) for name in _OF_MEMORY} for one in layer.memories}
    return {name: getattr(layer, name) for name in names} | {"memories": memories}


_OF_MEMORY = ("reads", "writes", "row_bits", "rows_per_cycle", "energy_uj")


@declares
class RunFigures:
    """The figures of a run in the order of the tables. A class variable is shown, but not kept."""

    accuracy_percent: Percent = kept(
        Figure(
            of_test=lambda test: 100 * int((test.predictions == test.labels).sum()) / len(test.labels),
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
            of_test=lambda test: test.fake_quantized.accuracy_percent,
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
            of_test=lambda test: test.float_training.test_accuracy_percent,
            meaning="Of the float network of this model, data and seed, in plain torch, on the same images.",
            unit="%",
        )
    )
    validation_accuracy_percent: Percent = kept(
        Figure(
            of_test=lambda test: test.training.validation_accuracy_percent,
            meaning="Of the epoch whose weights were kept, on the held-out split; settings are chosen by this, never "
            "by the test.",
            unit="%",
        )
    )
    differing_images: Count = kept(
        Figure(
            of_test=lambda test: int((test.predictions != test.fake_quantized.predictions).sum()),
            meaning="Test images that the bit-exact and the fake-quantized network put into different classes.",
            over_seeds=True,
            in_run_json=True,
        )
    )
    test_images: PositiveCount = kept(
        Figure(of_test=lambda test: len(test.labels), meaning="Images of the test split.")
    )
    epochs: Count = kept(
        Figure(
            of_test=lambda test: test.training.epochs,
            meaning="Epochs trained for this run; those of the float network that it started from are not counted.",
        )
    )
    history: tuple[EpochRecord, ...] = kept(
        Figure(
            of_test=lambda test: test.training.history,
            by=("epoch",),
            table="curves",
            meaning="The training curve of this run's network, an entry an epoch: learning rate, loss, loss and "
            "accuracy on the held-out split, seconds; of a recipe in stages, the last one's. Empty where nothing was "
            "trained, or by a version that kept none.",
        ),
        default=(),
    )
    float_history: tuple[EpochRecord, ...] = kept(
        Figure(
            of_test=lambda test: test.float_training.history,
            by=("epoch",),
            table="curves",
            meaning="The training curve of the float network that it started from.",
        ),
        default=(),
    )
    front: tuple[FrontPoint, ...] = kept(
        Figure(
            of_test=lambda test: test.front,
            by=("round",),
            table="fronts",
            meaning="Accuracy on the held-out images and energy of each round of a recipe that approximates more in "
            "each; empty for other recipes.",
        ),
        default=(),
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
            of_test=lambda test: (
                None if test.baseline_uj is None else 100 * (1 - test.cost.energy_uj / test.baseline_uj)
            ),
            meaning="Against the same network at float32; none if technology table or accelerator have no float32.",
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
            by=("component",),
            meaning="The area split into the parts of the chip.",
            unit="mm²",
            of_cost=lambda cost: cost.breakdown.area_mm2,
            bars="Area by component",
            of_chip=True,
        )
    )
    power_mw_by_component: ClassVar[Figure] = Figure(
        by=("component",),
        meaning="The power split as the energy is.",
        unit="mW",
        of_run=lambda run: {
            part: run.power_mw * energy / run.energy_uj for part, energy in run.energy_uj_by_component.items()
        },
        bars="Power by component",
    )
    energy_uj_by_component: dict[str, float] = kept(
        Figure(
            by=("component",),
            meaning="Dynamic and leakage together, split into the parts of the chip.",
            unit="µJ",
            of_cost=lambda cost: cost.breakdown.energy_uj,
            bars="Energy of an image by component",
        )
    )
    leakage_uj_by_component: dict[str, float] = kept(
        Figure(
            by=("component",),
            meaning="The part of it that is leakage.",
            unit="µJ",
            of_cost=lambda cost: cost.breakdown.leakage_uj,
        )
    )
    energy_uj_by_layer: dict[str, float] = kept(
        Figure(
            by=("layer",),
            meaning="The energy split into layers.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.energy_uj for layer in cost.breakdown.layers},
        )
    )
    energy_uj_by_layer_and_component: dict[str, dict[str, float]] = kept(
        Figure(
            by=("layer", "component"),
            meaning="The energy of each layer split into components.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.energy_uj_by_part for layer in cost.breakdown.layers},
        ),
        default_factory=dict,
    )
    leakage_uj_by_layer: dict[str, float] = kept(
        Figure(
            by=("layer",),
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
    assumed_energy_uj: float | None = kept(
        Figure(
            of_test=lambda test: test.assumed_uj,
            meaning="The energy at the technology table's assumed activity, at which fronts are told; none for a run "
            "of a version that did not keep it.",
            unit="µJ",
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
            ends=("low", "high"),
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
            by=("layer",),
            ends=("low", "high"),
            meaning="The same of each layer; empty for a run of a version that did not keep it.",
            unit="µJ",
            of_cost=lambda cost: {layer.name: layer.off_chip_uj for layer in cost.breakdown.layers},
        ),
        default_factory=dict,
    )
    layer_records: tuple[LayerRecord, ...] = kept(
        Figure(
            by=("layer",),
            table="layers",
            meaning="Cycles by what they are spent on, operations, transfers and accesses of memories, an entry a "
            "layer; empty for a run of a version that did not keep them.",
            of_cost=layer_records,
        ),
        default=(),
    )
    products_per_cycle: PositiveCount | None = kept(
        Figure(
            meaning="Most that the accelerator starts in one cycle; none for a run of a version that did not keep it.",
            of_cost=lambda cost: cost.products_per_cycle,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
    )
    operations: Count | None = kept(
        Figure(
            meaning="Of one image: two a product, a multiplication and an addition.",
            of_cost=lambda cost: cost.operations,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
    )
    gops: Size | None = kept(
        Figure(
            meaning="Operations a second while images are computed, in 10^9; a product is two.",
            unit="GOPS",
            of_cost=lambda cost: cost.gops,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
    )
    gops_per_w: Size | None = kept(
        Figure(
            meaning="Operations a second and watt, in 10^9, without the memory beyond the chip; a product is two.",
            unit="GOPS/W",
            of_cost=lambda cost: cost.gops_per_w,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
    )
    gops_per_mm2: Size | None = kept(
        Figure(
            meaning="Operations a second and square millimetre of the chip, in 10^9; a product is two.",
            unit="GOPS/mm²",
            of_cost=lambda cost: cost.gops_per_mm2,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
    )
    bandwidth_gb_s: Positive | None = kept(
        Figure(
            meaning="Of the memory; none for as much as the layers need.",
            unit="GB/s",
            of_cost=lambda cost: cost.bandwidth_gb_s,
            in_cost_json=True,
            cost_rank=2,
        ),
        default=None,
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
        meaning="Longest path of each part.", unit="ns", of_cost=lambda cost: cost.clock.paths_ns, in_cost_json=True
    )
    clock_notes: ClassVar[Figure] = Figure(
        meaning="What to know about the clock.", of_cost=lambda cost: cost.clock.notes, in_cost_json=True
    )
    own_datapaths: ClassVar[Figure] = Figure(
        meaning="Layers that another datapath computes than the precision's, with its name.",
        of_cost=lambda cost: cost.own_datapaths,
        in_cost_json=True,
    )
    layer_datapaths: ClassVar[Figure] = Figure(
        meaning="All layers, with the name of the datapath that computes each.",
        of_cost=lambda cost: cost.layer_datapaths,
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
    peak_gops: ClassVar[Figure] = Figure(
        meaning="The operations a second if all multipliers did products that are needed in all cycles, in 10^9.",
        unit="GOPS",
        of_cost=lambda cost: cost.peak_gops,
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
    return tuple(
        replace(held.get(name) or getattr(RunFigures, name), name=name, is_kept=name in held)
        for name in RunFigures.__annotations__
    )


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

_KEPT = frozenset(one.name for one in fields(RunFigures))


def figure_named(name: str) -> Figure:
    """The declaration of a figure."""
    return next(figure for figure in FIGURES if figure.name == name)


def kept_of_cost(cost: Cost) -> dict[str, Any]:
    """The fields of a run's figures that its network's cost gives."""
    return {one.name: one.of_cost(cost) for one in FIGURES if one.of_cost is not None and one.name in _KEPT}


def kept_of_test(test: Tested) -> dict[str, Any]:
    """The fields of a run's figures that its own test gives."""
    return {one.name: one.of_test(test) for one in FIGURES if one.of_test is not None}
