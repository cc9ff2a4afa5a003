"""The dataflow `loops`: any accelerator that a description says as loops in space, memories and what is left open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.base import AccessCosts, Dataflow, Memory, named
from fewbits.hardware.dataflow.loops.description import LOOPS, Axis, LoopAccelerator, LoopMemory
from fewbits.hardware.dataflow.loops.layer_loops import SUMMED
from fewbits.hardware.dataflow.loops.problem import (
    OperandBits,
    capacity_bits,
    is_register,
    row_bits,
)
from fewbits.hardware.dataflow.loops.reading import read_loops, resized
from fewbits.hardware.dataflow.loops.scheduling import (
    every_bit_alike,
    mapped,
    output_lanes,
    unweighted,
)
from fewbits.hardware.dataflow.plan import Schedule, Widths
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import DatapathCost
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron_design import NeuronDesign


class Loops(Dataflow[LoopAccelerator]):
    """Loops in space and memories around them; the mapper chooses what the description leaves open."""

    name = LOOPS
    sizes = LoopAccelerator

    @property
    def takes_sizes(self) -> bool:
        """A name may give the sizes of the axes."""
        return True

    def read(self, table: Mapping[str, Any], source: str = "") -> LoopAccelerator:
        """As `reading` has it: keys and ranges first, then what they are together."""
        return read_loops(table, source or "accelerator")

    def describe(self, accelerator: LoopAccelerator) -> LoopAccelerator:
        """Itself."""
        return accelerator

    def resized(self, table: Mapping[str, Any], sizes: Sequence[int], name: str) -> dict[str, Any]:
        """A file's table with other sizes of its axes, in their order."""
        return resized(table, sizes, name)

    # What is on the chip.

    def memories(self, accelerator: LoopAccelerator, widths: Widths) -> tuple[Memory, ...]:
        """All but single registers of elements, which the datapath's figures hold."""
        bits = _bits(widths)
        for memory in accelerator.memories:
            if not is_register(memory) and row_bits(memory, bits) > capacity_bits(memory, bits):
                raise HardwareError(
                    f"a row of memory {memory.name!r} has {row_bits(memory, bits):,} bits, the memory "
                    f"{capacity_bits(memory, bits):,.0f}: make row_bits or row_values less, or the memory larger"
                )
        return tuple(
            Memory(
                memory.name,
                memory.holds[0],
                rows=max(memory.banks, -(-capacity_bits(memory, bits) // row_bits(memory, bits))),
                row_bits=row_bits(memory, bits),
                ports=memory.ports,
                banks=memory.banks,
                instances=_instances(memory, accelerator),
            )
            for memory in accelerator.memories
            if not is_register(memory)
        )

    def datapaths(self, accelerator: LoopAccelerator) -> int:
        """Neurons where a tree adds, else processing elements."""
        return accelerator.elements // synapses(accelerator)

    def products_per_cycle(self, accelerator: LoopAccelerator) -> int:
        """One an element."""
        return accelerator.elements

    def outputs_per_cycle(self, accelerator: LoopAccelerator) -> int:
        """As many as there are places along the axes that do not add them."""
        return output_lanes(accelerator)

    def datapath_key(self, asked: DatapathKey, accelerator: LoopAccelerator) -> DatapathKey:
        """A neuron of as many synapses as a tree adds, else a processing element."""
        tree = synapses(accelerator)
        return replace(asked, synapses=tree) if tree > 1 else replace(asked, element="processing-element")

    def area_basis(self, accelerator: LoopAccelerator) -> str:
        """Array and memories."""
        axes = " x ".join(str(axis.size) for axis in accelerator.space)
        tree = synapses(accelerator)
        made_of = f"neurons of {tree} synapses" if tree > 1 else "processing elements"
        memories = ", ".join(memory.name for memory in accelerator.memories if not is_register(memory))
        return (
            f"An array of {axes} multipliers: {self.datapaths(accelerator)} {made_of}, one counted as often, and "
            f"the memories {memories or '(none)'} of SRAM macros. Cell area: no control, no wires, no pads."
        )

    # What a network does on it.

    def schedule(self, workload: Workload, accelerator: LoopAccelerator, design: NeuronDesign) -> Schedule:
        """As `mapped`, where each bit that moves counts alike."""
        return self.mapped(workload, accelerator, design, every_bit_alike(accelerator, _designed(design)))

    def mapped(
        self, workload: Workload, accelerator: LoopAccelerator, design: NeuronDesign, costs: AccessCosts
    ) -> Schedule:
        """The best mapping of each layer by the accelerator's objective.

        Raises HardwareError, naming a memory and a layer, where no mapping fits.
        """
        last = len(workload.layers) - 1
        layers = (
            mapped(layer, accelerator, _layer_bits(design, is_last=number == last), costs, is_last=number == last)
            if layer.has_weights
            else unweighted(layer, accelerator, _designed(design), is_last=number == last)
            for number, layer in enumerate(workload.layers)
        )
        return Schedule(tuple(layers), accelerator)

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: LoopAccelerator) -> Iterator[str]:
        """What is estimated, or not counted."""
        if accelerator.unverified:
            yield f"unverified: {accelerator.unverified}"
        if synapses(accelerator) == 1:
            yield "what rounds the sums that leave the processing elements is not characterized: not counted"
        yield "control, address generation and the wires of the array are not characterized: not counted"
        if accelerator.stated or any(one.read_pj_per_bit or one.write_pj_per_bit for one in accelerator.memories):
            yield "the energies that the accelerator's source states are in no figure: all are of this technology"
        if any(axis.outputs == "stay" and "systolic" in (axis.inputs, axis.weights) for axis in accelerator.space):
            yield (
                "sums that stay in the elements leave them while the next ones are made, as in SCALE-Sim: no cycles "
                "are counted for that"
            )
        if registers := [memory.name for memory in accelerator.memories if is_register(memory)]:
            yield (
                f"{', '.join(registers)}: one value in each element is a register of the datapath, and in its figures; "
                "no memory is counted for it"
            )

    def layer_notes(
        self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign
    ) -> Iterator[str]:  # fmt: skip
        """What is left out."""
        if beside := [layer for layer in workload.layers if not layer.has_weights]:
            yield (
                f"the logic beside the array that computes {named(beside)} is in no figure; its cycles and accesses are"
            )
        floats = [one for one in workload.layers if one.has_weights and designs[one.name].sums_depend_on_order]
        if floats:
            yield (
                f"float sums of {named(floats)} are added in the order of the chosen loops, not in that of the "
                "bit-exact network; cycles in which a float adder waits for its last sum are not counted"
            )


def synapses(accelerator: LoopAccelerator) -> int:
    """Products that one datapath adds in a tree: of the axes that have one; 1 for processing elements."""
    return prod(axis.size for axis in accelerator.space if _adds(axis))


def _adds(axis: Axis) -> bool:
    return axis.outputs == "adder-tree" and bool(SUMMED & set(axis.loops))


def _instances(memory: LoopMemory, accelerator: LoopAccelerator) -> int:
    if memory.instances == "element":
        return accelerator.elements
    return next((axis.size for axis in accelerator.space if axis.name == memory.instances), 1)


def _bits(widths: Widths) -> OperandBits:
    """On the chip, where results have the width of inputs."""
    return OperandBits(widths.inputs, widths.weights, widths.inputs, widths.accumulator)


def _designed(design: NeuronDesign) -> OperandBits:
    precision = design.precision
    return OperandBits(precision.inputs.bits, precision.weights.bits, precision.inputs.bits, design.accumulator_bits)


def _layer_bits(design: NeuronDesign, *, is_last: bool) -> OperandBits:
    """Of a layer: the last one's results are sums."""
    bits = _designed(design)
    return OperandBits(bits.inputs, bits.weights, bits.accumulator, bits.accumulator) if is_last else bits
