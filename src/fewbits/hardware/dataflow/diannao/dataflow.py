"""DianNao as a dataflow: what its tile has on the chip, and where its schedule, circuit and compiler are.

Source of the organization: Chen et al., "DianNao", ASPLOS 2014, section 5. How the loops run: `scheduling`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.accelerator import DIANNAO, Accelerator
from fewbits.hardware.dataflow.base import CircuitPart, Dataflow, Memory, OperandStream
from fewbits.hardware.dataflow.diannao.control_sizes import control_at
from fewbits.hardware.dataflow.diannao.described import described
from fewbits.hardware.dataflow.diannao.latency import pipeline
from fewbits.hardware.dataflow.diannao.notes import layer_notes, size_notes
from fewbits.hardware.dataflow.diannao.ports import with_ports
from fewbits.hardware.dataflow.diannao.scheduling import schedule
from fewbits.hardware.dataflow.loops.description import LoopAccelerator
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
    grid = ("neurons", "synapses")
    options: Mapping[str, str] = {
        **{"neurons": "neurons", "synapses": "synapses"},
        **{"rows": "buffer_rows", "ports": "buffer_ports", "banks": "buffer_banks"},
    }

    def memories(self, accelerator: Accelerator, widths: Widths) -> tuple[Memory, ...]:
        """Bin, SB and Bout: a row of one neuron's inputs, of all weights of a cycle, of an output of each neuron."""
        rows, neurons, synapses = accelerator.buffer_rows, accelerator.neurons, accelerator.synapses
        of_one = {"ports": accelerator.buffer_ports, "banks": accelerator.buffer_banks}
        return (
            Memory("bin", "inputs", rows, synapses * widths.inputs, **of_one),
            Memory("sb", "weights", rows, neurons * synapses * widths.weights, **of_one),
            Memory("bout", "outputs", rows, neurons * (widths.outputs or widths.inputs), **of_one),
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

    def split(self, accelerator: Accelerator, products: int) -> Accelerator:
        """Its lanes are synapses."""
        return accelerator if products == 1 else replace(accelerator, synapses=products * accelerator.synapses)

    def control(self, datapath: DatapathCost, design: NeuronDesign, accelerator: Accelerator) -> ControlCost | None:
        """The table's, at this number of neurons."""
        return None if datapath.control is None else control_at(datapath.control, design, accelerator)

    def area_basis(self, accelerator: Accelerator) -> str:
        """Neurons and buffers."""
        ports = "a port that reads and one that writes" if accelerator.buffer_ports == 2 else "one port"
        banks = f" in {accelerator.buffer_banks} banks" if accelerator.buffer_banks > 1 else ""
        return (
            f"{accelerator.neurons} neurons of {accelerator.synapses} synapses, one of them synthesized and counted "
            f"{accelerator.neurons} times, and the buffers Bin (inputs), SB (weights) and Bout (outputs), "
            f"{accelerator.buffer_rows} rows each{banks}, of SRAM macros with {ports}. Cell area: no wires, no pads."
        )

    def describe(self, accelerator: Accelerator) -> LoopAccelerator | None:
        """As loops and memories (`described`); None for sizes beyond what a description takes."""
        try:
            return described(accelerator)
        except HardwareError:
            return None

    def schedule(self, workload: Workload, accelerator: Accelerator, design: NeuronDesign) -> Schedule:
        """As `scheduling` has it, at the latencies of the generated accelerator; buffers of one port wait (`ports`)."""
        return with_ports(schedule(workload, accelerator, pipeline(design, accelerator)), accelerator)

    def size_notes(self, name: str, datapath: DatapathCost, accelerator: Accelerator) -> Iterator[str]:
        """What of the control is of another size than asked for."""
        return size_notes(name, datapath.control, accelerator)

    def layer_notes(self, workload: Workload, designs: Mapping[str, NeuronDesign], main: NeuronDesign) -> Iterator[str]:
        """What has no figure, and what the circuit lacks."""
        return layer_notes(workload, designs, main)

    def sum_order(self, accelerator: Accelerator) -> SumOrder | None:
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

    @property
    def circuit_parts(self) -> Callable[..., tuple[CircuitPart, ...]]:
        """Neurons, control, and each buffer."""
        from fewbits.hardware.dataflow.diannao.circuit.parts import circuit_parts  # loads Amaranth: late

        return partial(circuit_parts, self.memories)
