"""One neuron: multipliers, adder tree, accumulator and output stage, wired up; RTLIL and Verilog of it."""

# Amaranth is not typed: its operators and ports give values that a type checker cannot follow.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false, reportOperatorIssue=false, reportAssignmentType=false
# pyright: reportInconsistentConstructor=false, reportCallIssue=false, reportUnnecessaryComparison=false
from __future__ import annotations

import tempfile
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.rtl.accumulate import Accumulator, OutputStage
from fewbits.hardware.rtl.adder_tree import AdderTree
from fewbits.hardware.rtl.bit_heap import delayed
from fewbits.hardware.rtl.design import NeuronDesign
from fewbits.hardware.rtl.floating import FloatAdder, FloatMultiplier, registered
from fewbits.hardware.rtl.multipliers import Multiplier
from fewbits.hardware.synthesis import merge_equal_modules, run_yosys


class Neuron(Component):
    """A neuron of a design.

    Each cycle takes a chunk of `synapses` weights and inputs (codes, side by side, synapse 0 lowest). `first` and
    `last` mark the first and last chunk of an output; `bias` is read `bias_delay` cycles after a first chunk, `shift`
    and `relu` hold for a layer. `valid` marks `output`; `total` is the accumulator. There is no reset: what was begun
    without a first chunk means nothing.
    """

    def __init__(self, design: NeuronDesign) -> None:
        self.design = design
        self.domain = ClockDomain("sync", reset_less=True)
        super().__init__(
            {
                "weights": In(design.precision.weights.bits * design.synapses),
                "inputs": In(design.precision.inputs.bits * design.synapses),
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
        m.domains += self.domain
        first = delayed(m, self.first, self.design.bias_delay, "first")
        last = delayed(m, self.last, self.design.pipeline_stages, "last")
        m.d.comb += self.valid.eq(last)
        if self.design.is_float:
            self._float(m, first)
        else:
            self._integer(m, first)
        return m

    def _integer(self, m: Module, first: Value) -> None:
        design = self.design
        multipliers = [Multiplier(design) for _ in range(design.synapses)]
        for i, multiplier in enumerate(multipliers):
            m.submodules[f"multiplier{i}"] = multiplier
            m.d.comb += [
                multiplier.weight.eq(self.weights.word_select(i, design.precision.weights.bits)),
                multiplier.value.eq(self.inputs.word_select(i, design.precision.inputs.bits)),
            ]
        m.submodules.adder_tree = tree = AdderTree(design)
        m.submodules.accumulator = accumulator = Accumulator(design)
        m.submodules.output_stage = stage = OutputStage(design)
        m.d.comb += [
            tree.high.eq(Cat(*(multiplier.high for multiplier in multipliers))),
            tree.low.eq(Cat(*(multiplier.low for multiplier in multipliers))),
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
            m.submodules[f"multiplier{i}"] = multiplier = FloatMultiplier()
            m.d.comb += [
                multiplier.a.eq(self.weights.word_select(i, 32)),
                multiplier.b.eq(self.inputs.word_select(i, 32)),
            ]
            sums.append(multiplier.product)
        for level in range(self.design.tree_levels):
            for pair in range(len(sums) // 2):
                m.submodules[f"adder_tree_{level}_{pair}"] = adder = FloatAdder()
                m.d.comb += [adder.a.eq(sums[2 * pair]), adder.b.eq(sums[2 * pair + 1])]
                sums[pair] = adder.sum
            sums = sums[: len(sums) // 2]
        m.submodules.accumulator = accumulator = FloatAdder()
        m.d.comb += [
            accumulator.a.eq(Mux(first, self.bias, accumulator.sum)),
            accumulator.b.eq(sums[0]),
            self.total.eq(accumulator.sum),
            self.output.eq(registered(m, Mux(self.relu & accumulator.sum[-1], 0, accumulator.sum), "output_register")),
        ]


def _ports(neuron: Neuron) -> list[Signal]:
    names = ("weights", "inputs", "first", "last", "bias", "shift", "relu", "output", "valid", "total")
    return [neuron.domain.clk, *(getattr(neuron, name) for name in names)]


def to_rtlil(design: NeuronDesign) -> str:
    """The neuron as RTLIL, the input of yosys; its top module is `neuron`."""
    neuron = Neuron(design)
    return rtlil.convert(neuron, name="neuron", ports=_ports(neuron), emit_src=False)


def to_verilog(design: NeuronDesign) -> str:
    """The neuron as Verilog; its top module is `neuron`. Raises HardwareError if yosys fails."""
    with tempfile.TemporaryDirectory(prefix="fewbits-verilog-") as name:
        folder = Path(name)
        (folder / "neuron.il").write_text(merge_equal_modules(to_rtlil(design)), encoding="utf-8")
        script = "read_rtlil neuron.il\nhierarchy -top neuron\nproc\nopt_clean\nwrite_verilog -noattr neuron.v\n"
        (folder / "verilog.ys").write_text(script, encoding="utf-8")
        run_yosys(folder, "verilog.ys")
        return (folder / "neuron.v").read_text(encoding="utf-8")
