"""One neuron: multipliers, adder tree, accumulator and output stage, wired up; RTLIL and Verilog of it."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.rtl.bit_heap import delayed, registered
from fewbits.hardware.rtl.instances import component_rtlil, unit_rtlil
from fewbits.hardware.rtl.instances import instance as instance_of


class Neuron(Component):
    """A neuron of a design.

    Each cycle takes a chunk: a weight and an input for each product (codes, side by side, that of synapse 0 lowest).
    `first` and `last` mark the first and last chunk of an output; `bias` is read `bias_delay` cycles after a first
    chunk; `shift`, `relu` and the design's own `settings` hold for a layer. `valid` marks `output`; `total` is the
    accumulator. `rst` clears what is on its way to `valid`, and no data: what was begun without a first chunk means
    nothing.
    """

    def __init__(self, design: Datapath) -> None:
        self.design = design
        self.units = design.units()
        """Modules that the neuron holds several instances of: by name, `to_rtlil` adds them."""
        super().__init__(
            {
                "weights": In(design.weight_lane_bits * design.synapses),
                "inputs": In(design.input_lane_bits * design.synapses),
                "rst": In(1),
                "first": In(1),
                "last": In(1),
                "bias": In(design.accumulator_bits),
                "shift": In(design.shift_bits),
                "relu": In(1),
                **dict.fromkeys(design.settings, In(1)),
                "output": Out(design.output_port_bits),
                "valid": Out(1),
                "total": Out(design.accumulator_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """The pipeline, and `first` and `last` delayed along it."""
        m = Module()
        first = delayed(m, self.first, self.design.bias_delay, "first")
        valid = self.last
        for stage in range(self.design.pipeline_stages):
            valid = registered(m, valid & ~self.rst, f"last_{stage + 1}")
        m.d.comb += self.valid.eq(valid)
        self.design.connect(m, self, first)
        return m

    def operands(self, synapse: int) -> dict[str, Value]:
        """What a multiplier takes."""
        return {
            "weight": self.weights.word_select(synapse, self.design.weight_lane_bits),
            "value": self.inputs.word_select(synapse, self.design.input_lane_bits),
        }

    def setting(self, name: str) -> Value:
        """One of the design's own settings."""
        return getattr(self, name)

    def instance(self, m: Module, unit: str, name: str, **inputs: Value) -> dict[str, Signal]:
        """Add an instance of one of the units and return its outputs by name."""
        return instance_of(m, unit, self.units[unit].signature.members, name, **inputs)


def to_rtlil(design: Datapath) -> str:
    """The neuron as RTLIL, the input of yosys; its top module is `neuron`."""
    neuron = Neuron(design)
    units = [unit_rtlil(unit, name) for name, unit in neuron.units.items()]
    return "".join([component_rtlil(neuron, "neuron"), *units])
