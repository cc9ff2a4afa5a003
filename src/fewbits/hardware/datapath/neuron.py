"""One neuron: multipliers, adder tree, accumulator and output stage, wired up; RTLIL and Verilog of it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.datapath.accumulate import Accumulator, OutputStage
from fewbits.hardware.datapath.adder_tree import AdderTree
from fewbits.hardware.datapath.floating import FloatAdder, FloatMultiplier
from fewbits.hardware.datapath.multipliers import Multiplier
from fewbits.hardware.datapath.narrow_float import FloatOutputStage, NarrowFloatMultiplier
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.rtl.bit_heap import delayed, registered
from fewbits.hardware.rtl.instances import component_rtlil, instance, unit_rtlil


class Neuron(Component):
    """A neuron of a design.

    Each cycle takes a chunk of `synapses` weights and inputs (codes, side by side, synapse 0 lowest). `first` and
    `last` mark the first and last chunk of an output; `bias` is read `bias_delay` cycles after a first chunk, `shift`
    and `relu` hold for a layer. `valid` marks `output`; `total` is the accumulator. `rst` clears what is on its way to
    `valid`, and no data: what was begun without a first chunk means nothing.
    """

    def __init__(self, design: NeuronDesign) -> None:
        self.design = design
        self.units: dict[str, Component] = {"multiplier": _multiplier(design)}
        """Modules that the neuron holds several instances of: by name, `to_rtlil` adds them."""
        if design.is_float:
            self.units["float_adder"] = FloatAdder()

        super().__init__(
            {
                "weights": In(design.precision.weights.bits * design.synapses),
                "inputs": In(design.precision.inputs.bits * design.synapses),
                "rst": In(1),
                "first": In(1),
                "last": In(1),
                "bias": In(design.accumulator_bits),
                "shift": In(design.shift_bits),
                "relu": In(1),
                "output": Out(design.output_bits),
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
        if self.design.is_float:
            self._float(m, first)
        else:
            self._integer(m, first)
        return m

    def _integer(self, m: Module, first: Value) -> None:
        design = self.design
        rows = [self._instance(m, "multiplier", f"multiplier{i}", **self._operands(i)) for i in range(design.synapses)]
        m.submodules.adder_tree = tree = AdderTree(design)
        m.submodules.accumulator = accumulator = Accumulator(design)
        m.submodules.output_stage = stage = OutputStage(design)
        m.d.comb += [
            tree.high.eq(Cat(*(row["high"] for row in rows))),
            tree.low.eq(Cat(*(row["low"] for row in rows))),
            accumulator.sum.eq(tree.sum),
            accumulator.first.eq(first),
            accumulator.bias.eq(self.bias),
            stage.total.eq(accumulator.total),
            stage.shift.eq(self.shift),
            stage.relu.eq(self.relu),
            self.total.eq(accumulator.total),
            self.output.eq(stage.output),
        ]

    def _float(self, m: Module, first: Value) -> None:
        sums: list[Value] = []
        for i in range(self.design.synapses):
            sums.append(self._instance(m, "multiplier", f"multiplier{i}", **self._operands(i))["product"])
        for level in range(self.design.tree_levels):
            for pair in range(len(sums) // 2):
                name, a, b = f"adder_tree_{level}_{pair}", sums[2 * pair], sums[2 * pair + 1]
                sums[pair] = self._instance(m, "float_adder", name, a=a, b=b)["sum"]
            sums = sums[: len(sums) // 2]
        m.d.comb += self.total.eq(
            self._instance(m, "float_adder", "accumulator", a=Mux(first, self.bias, self.total), b=sums[0])["sum"]
        )
        if not self.design.is_float32:
            m.submodules.output_stage = stage = FloatOutputStage(self.design.precision.inputs)
            m.d.comb += [stage.total.eq(self.total), stage.shift.eq(self.shift), stage.relu.eq(self.relu)]
            m.d.comb += self.output.eq(stage.output)
            return
        rectified = Mux(self.relu & self.total[-1], 0, self.total)
        m.d.comb += self.output.eq(registered(m, rectified, "output_register"))

    def _operands(self, synapse: int) -> dict[str, Value]:
        return {
            "weight": self.weights.word_select(synapse, self.design.precision.weights.bits),
            "value": self.inputs.word_select(synapse, self.design.precision.inputs.bits),
        }

    def _instance(self, m: Module, unit: str, name: str, **inputs: Value) -> dict[str, Signal]:
        """Add an instance of one of the units and return its outputs by name."""
        return instance(m, unit, self.units[unit].signature.members, name, **inputs)


def _multiplier(design: NeuronDesign) -> Component:
    if design.is_float32:
        return FloatMultiplier(design.architecture)
    return NarrowFloatMultiplier(design) if design.is_float else Multiplier(design)


def to_rtlil(design: NeuronDesign) -> str:
    """The neuron as RTLIL, the input of yosys; its top module is `neuron`."""
    neuron = Neuron(design)
    units = [unit_rtlil(unit, name) for name, unit in neuron.units.items()]
    return "".join([component_rtlil(neuron, "neuron"), *units])
