"""Simulation of the array with its buffers and its memory; see `network_simulation`."""

from __future__ import annotations

from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.network_compiler import Program
from fewbits.hardware.dataflow.network_simulation import NetworkSimulator, Ports
from fewbits.hardware.dataflow.systolic.circuit.accelerator import to_rtlil
from fewbits.hardware.dataflow.systolic.compiler import compile_network
from fewbits.hardware.dataflow.systolic.scheduling import MEMORIES
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.mapping.synthesis import Progress


class SystolicSimulator(NetworkSimulator):
    """A compiled array. Raises HardwareError for floats, and if g++ or yosys is missing or fails."""

    def __init__(self, design: NeuronDesign, array: Systolic, progress: Progress | None = None) -> None:
        self.array = array
        ports = Ports(array.rows, array.columns, array.memory_latency, MEMORIES, partial_sums=False)
        super().__init__(to_rtlil(design, array), design, ports, progress)

    def program(self, network: BitExactNetwork) -> Program:
        """`compiler.compile_network`."""
        return compile_network(network, self.design, self.array)
