"""What a cost on the tile does not say: sizes that were not characterized, what is left out, what no circuit has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.base import named
from fewbits.hardware.dataflow.diannao.control_sizes import CHARACTERIZED
from fewbits.hardware.process.technology import ControlCost
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron_design import NeuronDesign

CONTROL_ERROR = (
    "within 2 % in area and 5 % in energy of those synthesized with 4 to 64 neurons, its energy up to a third too high "
    "at 256"
)
"""Of `control_sizes.control_at`, as docs/results.md has it (`scripts/measure_control.py`)."""


def size_notes(name: str, control: ControlCost | None, accelerator: Accelerator) -> Iterator[str]:
    """What of the control is of another size than asked for. name: of the datapath."""
    if control is None:
        yield f"the control around {name} is not in this technology table: not counted"
        return
    if accelerator.neurons != CHARACTERIZED.neurons:
        if control.each_neuron is None:
            yield (
                f"the control is that of {CHARACTERIZED.neurons} neurons, not of {accelerator.neurons}: this "
                "technology table does not tell a neuron's part; make it anew with fewbits characterize"
            )
        else:
            yield (
                f"the control of {accelerator.neurons} neurons is estimated from that of {CHARACTERIZED.neurons} "
                f"({CONTROL_ERROR}); its longest path is that of {CHARACTERIZED.neurons}"
            )
    if accelerator.buffer_ports == 1:
        meeting = f", 1 of {accelerator.buffer_banks} writes meeting a read" if accelerator.buffer_banks > 1 else ""
        yield (
            f"buffers of one port: a row that is written waits for those that are read{meeting}; the stalls are "
            "estimated, the control is that of two ports, and fewbits rtl writes two"
        )
    elif accelerator.buffer_banks > 1:
        yield f"buffers of {accelerator.buffer_banks} banks: the control is that of one, and fewbits rtl writes one"
    for what, asked, characterized in (
        ("buffer rows", accelerator.buffer_rows, CHARACTERIZED.buffer_rows),
        ("cycles of memory latency", accelerator.memory_latency, CHARACTERIZED.memory_latency),
    ):
        if asked != characterized:
            yield f"the control is that of {characterized} {what}, not of {asked}"


def layer_notes(workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterator[str]:
    """The energies that are left out, then what `compiler.compile_network` refuses.

    designs: of each layer's neurons, by its name. main: of the network's precision.
    """
    additions = [layer for layer in workload.layers if layer.kind == "addition"]
    averages = [layer for layer in workload.layers if layer.kind == "average-pool"]
    if additions:
        yield f"the energy of the neurons' logic in {named(additions)} is not counted; cycles, clock and accesses are"
    if in_neurons := [layer for layer in averages if designs[layer.name].neurons_sum_windows]:
        yield f"the energy of the float adders in {named(in_neurons)} is not counted; cycles, clock and accesses are"
    if shifted := [layer for layer in workload.layers if layer.has_channel_shifts]:
        yield f"the adder of each output's own shift in {named(shifted)} is in no figure"
    lacks = "is not in the circuit that fewbits rtl writes"
    if workload.concatenations:
        names = ", ".join(map(repr, dict.fromkeys(workload.concatenations)))
        yield f"a concatenation {lacks}; {names} is counted as addressing, without a cycle"
    if workload.end is not None:
        yield f"{workload.end!r} behind the last sums {lacks}, which ends with the sums of a layer or an addition"
    inner = [layer for layer in averages if layer.name != workload.end]
    if inner and main.average_refusal is not None:
        yield f"an average of {main.precision.inputs.name} {lacks}: {named(inner)}"
    if additions and main.precision.weights.nearest(Fraction(0)) != 0:
        yield f"an addition by {main.precision.weights.name} weights {lacks}: {named(additions)}"
