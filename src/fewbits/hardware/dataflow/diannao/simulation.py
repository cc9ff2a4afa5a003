"""Simulation of DianNao's tile with its buffers and its memory; see `network_simulation`."""

from __future__ import annotations

from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.accelerator import to_rtlil
from fewbits.hardware.dataflow.diannao.compiler import compile_network
from fewbits.hardware.dataflow.diannao.scheduling import BUFFERS
from fewbits.hardware.dataflow.network_compiler import Program
from fewbits.hardware.dataflow.network_simulation import NetworkSimulator, Ports
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.mapping.synthesis import Progress


class AcceleratorSimulator(NetworkSimulator):
    """A compiled accelerator. Raises HardwareError if g++ or yosys is missing or fails."""

    def __init__(self, design: NeuronDesign, accelerator: Accelerator, progress: Progress | None = None) -> None:
        self.accelerator = accelerator
        design = design.in_mode(design.modes[0])
        lanes = design.address_lanes(accelerator.synapses)
        ports = Ports(lanes, accelerator.neurons, accelerator.memory_latency, BUFFERS, partial_sums=True)
        super().__init__(to_rtlil(design, accelerator), design, ports, progress)

    def program(self, network: BitExactNetwork) -> Program:
        """`compiler.compile_network`."""
        return compile_network(network, self.design, self.accelerator)
