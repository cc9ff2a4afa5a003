"""A dataflow from outside: an output-stationary systolic array.

A convolution is the matrix product that im2col makes of it: a row a position, a column an output channel, summed over
the K synapses of one output. The array takes `rows` positions and `columns` channels at a time, a *tile*. Inputs enter
at the left, a row one cycle behind the row above; weights enter at the top, a column one cycle behind the column before
it; each element multiplies the two that meet in it and adds to a sum that stays. So element (r, c) is busy for K
cycles from cycle r + c on, the last one ends after rows + columns + K - 2, and the sums then leave downward, a row of
the array a cycle:

    cycles of a tile = 2 rows + columns + K - 2

Sources: H. T. Kung and C. E. Leiserson, "Systolic arrays (for VLSI)", 1979; A. Samajdar et al., "SCALE-Sim: systolic
CNN accelerator simulator", arXiv:1811.02883, and "A systematic methodology for characterizing scalability of DNN
accelerators using SCALE-Sim", ISPASS 2020, whose runtime of one fold, output stationary, this is. Tiles do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fewbits import HardwareError
from fewbits.bitexact import SumOrder
from fewbits.hardware import (
    Accesses,
    ComponentCost,
    Dataflow,
    DatapathCost,
    LayerSchedule,
    LayerShape,
    Memory,
    NeuronDesign,
    Schedule,
    Widths,
    Workload,
    named,
    scaled,
)

SYNAPSES = 16
"""Multipliers of the neuron that technology tables hold (`DatapathCost`)."""


@dataclass(frozen=True)
class SystolicArray:
    """The sizes of one array."""

    rows: int = 16
    """Positions side by side."""

    columns: int = 16
    """Output channels side by side."""

    buffer_rows: int = 512
    """Of each memory: a row of `inputs` is an input for each row of the array, of `weights` a weight for each column,
    of `outputs` a result of each column."""

    clock_mhz: float = 250.0
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "buffer_rows"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise HardwareError(f"{name} of a systolic array must be an integer of at least 1, not {value!r}")
        for name in ("clock_mhz", "bandwidth"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise HardwareError(f"{name} of a systolic array must be a positive number, not {value!r}")

    @property
    def dataflow(self) -> str:
        """The name of the entry point."""
        return "skewed"

    def definition(self) -> dict[str, Any]:
        """What tells it from others."""
        return {"dataflow": self.dataflow, **asdict(self)}


def tile_cycles(rows: int, columns: int, synapses: int) -> int:
    """From a tile's first operands at the corner until its last sum has left."""
    return 2 * rows + columns + synapses - 2


class OutputStationary(Dataflow[SystolicArray]):
    """The schedule, and what is on the chip."""

    name = "skewed"
    sizes = SystolicArray

    @property
    def presets(self) -> Mapping[str, SystolicArray]:
        """As many multipliers as DianNao's tile, and four times as many."""
        return {f"skewed-{size}x{size}": SystolicArray(size, size) for size in (16, 32)}

    def memories(self, accelerator: SystolicArray, widths: Widths) -> tuple[Memory, ...]:
        """One at each edge."""
        return (
            Memory("inputs", "inputs", accelerator.buffer_rows, accelerator.rows * widths.inputs),
            Memory("weights", "weights", accelerator.buffer_rows, accelerator.columns * widths.weights),
            Memory("outputs", "outputs", accelerator.buffer_rows, accelerator.columns * widths.inputs),
        )

    def datapaths(self, accelerator: SystolicArray) -> int:
        """The processing elements."""
        return accelerator.rows * accelerator.columns

    def products_per_cycle(self, accelerator: SystolicArray) -> int:
        """One an element."""
        return accelerator.rows * accelerator.columns

    def outputs_per_cycle(self, accelerator: SystolicArray) -> int:
        """One a column, as sums leave."""
        return accelerator.columns

    def logic(self, datapath: DatapathCost, accelerator: SystolicArray) -> dict[str, ComponentCost]:
        """An ESTIMATE from the table's neuron, a part for each element: its share of the multipliers and of the
        registers, and one adder of the tree's SYNAPSES - 1. The rest (rounding among it) is at the foot of each column.
        """
        elements = accelerator.rows * accelerator.columns
        times = {"adder_tree": elements / (SYNAPSES - 1), "rest": accelerator.columns}
        return {name: scaled(one, times.get(name, elements / SYNAPSES)) for name, one in datapath.components.items()}

    def area_basis(self, accelerator: SystolicArray) -> str:
        """Elements and memories."""
        return (
            f"{accelerator.rows} x {accelerator.columns} processing elements, estimated from a synthesized neuron, and "
            f"memories of inputs, weights and outputs of {accelerator.buffer_rows} rows each. No control, no wires."
        )

    def schedule(self, workload: Workload, accelerator: SystolicArray, design: NeuronDesign) -> Schedule:
        """Tile each layer; see the head of this file."""
        last = len(workload.layers) - 1
        layers = (
            _multiplied(layer, accelerator, is_last=number == last)
            if layer.products
            else _beside(layer, accelerator, is_last=number == last)
            for number, layer in enumerate(workload.layers)
        )
        return Schedule(tuple(layers), accelerator)

    def sum_order(self, accelerator: SystolicArray) -> SumOrder:
        """An element adds one product after another."""
        return SumOrder(1)

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: SystolicArray) -> Iterator[str]:
        """What is estimated."""
        yield (
            f"processing elements are an estimate from the synthesized neuron of {name}: a sixteenth of its "
            "multipliers and registers and one adder of its tree each, its rounding once a column; an element's wide "
            "sum makes it larger than that"
        )
        yield "the control of the systolic array is not characterized: not counted"

    def layer_notes(self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterator[str]:
        """What is left out."""
        if beside := [layer for layer in workload.layers if not layer.products]:
            yield (
                f"the logic beside the array that computes {named(beside)} is in no figure; its cycles and accesses are"
            )
        if grouped := [layer for layer in workload.layers if layer.groups > 1]:
            yield f"each group of {named(grouped)} has tiles of its own: columns without a channel idle"


def _multiplied(layer: LayerShape, array: SystolicArray, *, is_last: bool) -> LayerSchedule:
    """A convolution or a linear layer: all tiles of positions for each tile of channels, group after group."""
    position_tiles = -(-layer.positions // array.rows)
    channel_tiles = -(-(layer.neurons // layer.groups) // array.columns)
    depth, tiles = layer.synapses, layer.groups * position_tiles * channel_tiles
    cycles = tiles * tile_cycles(array.rows, array.columns, depth)
    weight_passes = 1 if depth <= array.buffer_rows else position_tiles
    input_passes = 1 if position_tiles * depth <= array.buffer_rows else channel_tiles
    output_rows = 0 if is_last else layer.groups * channel_tiles * layer.positions  # the last layer's sums pass by
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=layer.products,
        busy_cycles=tiles * depth,  # of each element
        stall_cycles=0,
        setup_cycles=0,
        fill_cycles=cycles - tiles * depth,
        utilization=layer.products / (cycles * array.rows * array.columns),
        accesses={
            "inputs": Accesses(tiles * depth, layer.groups * position_tiles * depth * input_passes),
            "weights": Accesses(tiles * depth, layer.groups * channel_tiles * depth * weight_passes),
            "outputs": Accesses(output_rows, output_rows),
        },
        weights_loaded=layer.weights * weight_passes,
        biases_loaded=layer.biases,
        channel_shifts_loaded=layer.channel_shifts,
        inputs_loaded=layer.groups * layer.positions * depth * input_passes,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
    )


def _beside(layer: LayerShape, array: SystolicArray, *, is_last: bool) -> LayerSchedule:
    """Pooling or an addition, in lanes beside the array, a channel each: a value in each of them a cycle."""
    lanes = min(array.rows, array.columns)
    outputs = -(-layer.input_channels // lanes) * layer.positions
    reads = outputs * layer.synapses
    stored = 0 if is_last else outputs
    return LayerSchedule(
        name=layer.name,
        kind=layer.kind,
        products=0,
        busy_cycles=reads,
        stall_cycles=0,
        setup_cycles=0,
        fill_cycles=0,
        utilization=0.0,
        accesses={
            "inputs": Accesses(reads, reads),
            "weights": Accesses(0, 0),
            "outputs": Accesses(stored, stored),
        },
        weights_loaded=0,
        biases_loaded=0,
        channel_shifts_loaded=0,
        inputs_loaded=layer.output_values * layer.synapses,
        outputs_stored=layer.output_values,
        stores_accumulators=is_last,
    )


SYSTOLIC = OutputStationary()
