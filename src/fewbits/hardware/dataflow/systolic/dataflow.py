"""A weight-stationary systolic array as a dataflow: what is on the chip, and where schedule, circuit and compiler are.

How the loops run: `scheduling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.hardware.dataflow.base import Dataflow, Memory, OperandStream, named
from fewbits.hardware.dataflow.loops.description import Axis, LoopAccelerator, LoopMemory
from fewbits.hardware.dataflow.plan import Schedule, Widths
from fewbits.hardware.dataflow.systolic.latency import pipeline
from fewbits.hardware.dataflow.systolic.scheduling import schedule
from fewbits.hardware.dataflow.systolic.sizes import SYSTOLIC, Systolic
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import DatapathCost
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from fewbits.hardware.datapath.neuron_design import NeuronDesign

SOURCE = "Jouppi et al., In-datacenter performance analysis of a tensor processing unit, ISCA 2017: its organization"


class WeightStationary(Dataflow[Systolic]):
    """An array of elements that keep weights, between a buffer of inputs and accumulators."""

    name = SYSTOLIC
    sizes = Systolic
    grid = ("rows", "columns")
    options: Mapping[str, str] = {"neurons": "columns", "synapses": "rows", "rows": "input_rows"}

    def memories(self, accelerator: Systolic, widths: Widths) -> tuple[Memory, ...]:
        """A row of each: inputs of all rows of the array, a sum of each column, an output of each column."""
        one = accelerator
        return (
            Memory("inputs", "inputs", one.input_rows, one.rows * widths.inputs),
            Memory("accumulators", "sums", one.accumulator_rows, one.columns * widths.accumulator),
            Memory("outputs", "outputs", one.output_rows, one.columns * widths.inputs),
        )

    def datapaths(self, accelerator: Systolic) -> int:
        """The elements."""
        return accelerator.rows * accelerator.columns

    def products_per_cycle(self, accelerator: Systolic) -> int:
        """One an element."""
        return accelerator.rows * accelerator.columns

    def outputs_per_cycle(self, accelerator: Systolic) -> int:
        """One from each column."""
        return accelerator.columns

    def datapath_key(self, asked: DatapathKey, accelerator: Systolic) -> DatapathKey:
        """A processing element."""
        return replace(asked, element="processing-element")

    def describe(self, accelerator: Systolic) -> LoopAccelerator:
        """Rows of synapses, columns of output channels; what each memory holds, in values."""
        rows, columns = accelerator.rows, accelerator.columns

        def memory(name: str, operand: Any, values: int, row_values: int, instances: str = "array") -> LoopMemory:
            return LoopMemory(name, (operand,), values=values, row_values=row_values, instances=instances)

        return LoopAccelerator(
            space=(
                Axis("rows", rows, ("C", "FY", "FX"), flat=True, outputs="systolic"),
                Axis("columns", columns, ("K",), inputs="systolic"),
            ),
            memories=(
                replace(memory("weights", "weights", 1, 1, "element"), double_buffered=False),
                memory("inputs", "inputs", accelerator.input_rows * rows, rows),
                memory("accumulators", "outputs", accelerator.accumulator_rows * columns, columns),
                memory("outputs", "outputs", accelerator.output_rows * columns, columns),
            ),
            clock_mhz=accelerator.clock_mhz,
            bandwidth=accelerator.bandwidth,
            source=SOURCE,
        )

    def area_basis(self, accelerator: Systolic) -> str:
        """Elements and buffers."""
        one = accelerator
        return (
            f"{one.rows} x {one.columns} processing elements, one of them counted {one.rows * one.columns} times, and "
            f"the buffers of inputs ({one.input_rows} rows), accumulators ({one.accumulator_rows}) and outputs "
            f"({one.output_rows}) of SRAM macros with a port that reads and one that writes. Not in it: the adders, "
            "shifters and rounding at the foot of the columns, the registers that skew inputs and align sums, pooling, "
            "address generation and controller. Cell area: no wires, no pads."
        )

    def schedule(self, workload: Workload, accelerator: Systolic, design: NeuronDesign) -> Schedule:
        """As `scheduling` has it, at the latencies of the generated circuit. Raises HardwareError for floats."""
        return schedule(workload, accelerator, pipeline(design, accelerator))

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: Systolic) -> Iterator[str]:
        """What of the chip is in no figure."""
        yield (
            f"beside the {name} and the buffers nothing of the systolic array is characterized: the foot of its "
            "columns, its skew registers, pooling and control are in no figure"
        )

    def layer_notes(self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterator[str]:
        """What has no figure, and what the circuit lacks."""
        additions = [layer for layer in workload.layers if layer.kind == "addition"]
        if additions:
            yield f"the energy of the elements in {named(additions)} is not counted; cycles, clock and accesses are"
        lacks = "is not in the circuit that fewbits rtl writes"
        if workload.concatenations:
            names = ", ".join(map(repr, dict.fromkeys(workload.concatenations)))
            yield f"a concatenation {lacks}; {names} is counted as addressing, without a cycle"
        if workload.end is not None:
            yield f"{workload.end!r} behind the last sums {lacks}, which ends with the sums of a layer or an addition"

    @property
    def operand_stream(self) -> OperandStream:
        """A random element's inputs and partial sums (`operands`)."""
        from fewbits.hardware.dataflow.systolic.operands import operand_stream  # loads torch: late

        return operand_stream

    @property
    def rtl(self) -> Callable[..., tuple[Path, ...]]:
        """Verilog, bench, memories and constraints (`export`)."""
        from fewbits.hardware.dataflow.systolic.export import export_verilog

        return export_verilog

    @property
    def compiler(self) -> Callable[..., Any]:
        """`compiler.compile_network`."""
        from fewbits.hardware.dataflow.systolic.compiler import compile_network

        return compile_network

    @property
    def simulator(self) -> Callable[..., Any]:
        """`simulation.SystolicSimulator`: the circuit, compiled by g++."""
        from fewbits.hardware.dataflow.systolic.simulation import SystolicSimulator

        return SystolicSimulator
