"""The tile: neurons side by side, all with the same inputs."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.datapath.neuron import to_rtlil as neuron_rtlil
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.instances import component_rtlil


class Tile(Component):
    """`neurons` neurons; see `Neuron` for the ports, which lie side by side, neuron 0 lowest."""

    def __init__(self, design: NeuronDesign, neurons: int) -> None:
        self.design, self.neurons = design, neurons
        self.weight_bits = design.weight_lane_bits * design.synapses
        super().__init__(
            {
                "weights": In(neurons * self.weight_bits),
                "inputs": In(design.input_lane_bits * design.synapses),
                "rst": In(1),
                "first": In(1),
                "last": In(1),
                "bias": In(neurons * design.accumulator_bits),
                "shift": In(design.shift_bits),
                "relu": In(1),
                **dict.fromkeys(design.settings, In(1)),
                "outputs": Out(neurons * design.output_port_bits),
                "valid": Out(1),
                "totals": Out(neurons * design.accumulator_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Instances by name of a module that `to_rtlil` adds: Amaranth would elaborate each anew."""
        m = Module()
        design = self.design
        outputs, totals, valids = (
            [Signal(bits, name=f"{name}_{neuron}") for neuron in range(self.neurons)]
            for name, bits in (("output", design.output_port_bits), ("total", design.accumulator_bits), ("valid", 1))
        )
        for neuron in range(self.neurons):
            m.submodules[f"neuron{neuron}"] = Instance(
                "neuron",
                ("i", "clk", ClockSignal()),
                ("i", "weights", self.weights.word_select(neuron, self.weight_bits)),
                ("i", "inputs", self.inputs),
                ("i", "rst", self.rst),
                ("i", "first", self.first),
                ("i", "last", self.last),
                ("i", "bias", self.bias.word_select(neuron, design.accumulator_bits)),
                ("i", "shift", self.shift),
                ("i", "relu", self.relu),
                *(("i", name, getattr(self, name)) for name in design.settings),
                ("o", "output", outputs[neuron]),
                ("o", "valid", valids[neuron]),
                ("o", "total", totals[neuron]),
            )
        m.d.comb += [self.outputs.eq(Cat(*outputs)), self.valid.eq(valids[0]), self.totals.eq(Cat(*totals))]
        return m


def to_rtlil(design: NeuronDesign, neurons: int) -> str:
    """The tile as RTLIL; its top module is `tile`, below it `neuron`."""
    return component_rtlil(Tile(design, neurons), "tile") + neuron_rtlil(design).replace("attribute \\top 1\n", "")
