"""DianNao as a dataflow: what its tile has on the chip, and where its schedule, circuit and compiler are.

Source of the organization: Chen et al., "DianNao", ASPLOS 2014, section 5. How the loops run: `scheduling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.hardware.dataflow.accelerator import DIANNAO, Accelerator
from fewbits.hardware.dataflow.base import Dataflow, Memory, OperandStream
from fewbits.hardware.dataflow.diannao.control_sizes import control_at
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.notes import layer_notes, size_notes
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.dataflow.plan import Schedule, Widths
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import ControlCost, DatapathCost
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from fewbits.bitexact.sum_order import SumOrder
    from fewbits.hardware.datapath.neuron_design import NeuronDesign


class DianNao(Dataflow[Accelerator]):
    """A tile of neurons x synapses between Bin (inputs), SB (synapses) and Bout (outputs)."""

    name = DIANNAO
    sizes = Accelerator

    @property
    def presets(self) -> Mapping[str, Accelerator]:
        """The tile that technology tables hold the control of."""
        return {"diannao-16x16": Accelerator()}

    def with_neurons(self, accelerator: Accelerator, neurons: int) -> Accelerator:
        """With so many neurons."""
        return replace(accelerator, neurons=neurons)

    def memories(self, accelerator: Accelerator, widths: Widths) -> tuple[Memory, ...]:
        """Bin, SB and Bout: a row of one neuron's inputs, of all weights of a cycle, of an output of each neuron."""
        rows, neurons, synapses = accelerator.buffer_rows, accelerator.neurons, accelerator.synapses
        return (
            Memory("bin", "inputs", rows, synapses * widths.inputs),
            Memory("sb", "weights", rows, neurons * synapses * widths.weights),
            Memory("bout", "outputs", rows, neurons * widths.inputs),
        )

    def datapaths(self, accelerator: Accelerator) -> int:
        """The neurons."""
        return accelerator.neurons

    def products_per_cycle(self, accelerator: Accelerator) -> int:
        """A product a synapse."""
        return accelerator.neurons * accelerator.synapses

    def outputs_per_cycle(self, accelerator: Accelerator) -> int:
        """One from each neuron."""
        return accelerator.neurons

    def datapath_key(self, asked: DatapathKey, accelerator: Accelerator) -> DatapathKey:
        """A neuron of its synapses."""
        return replace(asked, synapses=accelerator.synapses)

    def control(self, datapath: DatapathCost, design: NeuronDesign, accelerator: Accelerator) -> ControlCost | None:
        """The table's, at this number of neurons."""
        return None if datapath.control is None else control_at(datapath.control, design, accelerator)

    def area_basis(self, accelerator: Accelerator) -> str:
        """Neurons and buffers."""
        return (
            f"{accelerator.neurons} neurons of {accelerator.synapses} synapses, one of them synthesized and counted "
            f"{accelerator.neurons} times, and the buffers Bin (inputs), SB (weights) and Bout (outputs), "
            f"{accelerator.buffer_rows} rows each, of SRAM macros with a port that reads and one that writes. Cell "
            "area: no wires, no pads."
        )

    def schedule(self, workload: Workload, accelerator: Accelerator, design: NeuronDesign) -> Schedule:
        """As `scheduling` has it, at the latencies of the generated accelerator."""
        return schedule(workload, accelerator, pipeline(design, accelerator))

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: Accelerator) -> Iterator[str]:
        """What of the control is of another size than asked for."""
        return size_notes(name, datapath.control, accelerator)

    def layer_notes(self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterator[str]:
        """What has no figure, and what the circuit lacks."""
        return layer_notes(workload, designs, main)

    def sum_order(self, accelerator: Accelerator) -> SumOrder:
        """A tree of a neuron's synapses, chunk after chunk."""
        from fewbits.hardware.dataflow.diannao.operands import sum_order  # loads torch: late

        return sum_order(accelerator)

    def check_sum_order(self, order: SumOrder | None, design: NeuronDesign, accelerator: Accelerator) -> None:
        """As `operands.check_sum_order`, which says what synapses would do."""
        if order is not None:
            from fewbits.hardware.dataflow.diannao.operands import check_sum_order  # loads numba: late

            check_sum_order(order, design, accelerator)

    @property
    def operand_stream(self) -> OperandStream:
        """A random neuron's operands at a random output (`operands`)."""
        from fewbits.hardware.dataflow.diannao.operands import operand_stream  # loads torch: late

        return operand_stream

    @property
    def rtl(self) -> Callable[..., tuple[Path, ...]]:
        """Verilog, benches and constraints (`export`)."""
        from fewbits.hardware.dataflow.diannao.export import export_verilog

        return export_verilog

    @property
    def compiler(self) -> Callable[..., Any]:
        """`compiler.compile_network`."""
        from fewbits.hardware.dataflow.diannao.compiler import compile_network

        return compile_network

    @property
    def simulator(self) -> Callable[..., Any]:
        """`simulation.AcceleratorSimulator`: the circuit, compiled by g++."""
        from fewbits.hardware.dataflow.diannao.simulation import AcceleratorSimulator

        return AcceleratorSimulator
