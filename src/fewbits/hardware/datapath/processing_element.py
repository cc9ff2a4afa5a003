"""The processing element of a weight-stationary systolic array: one multiplication and one addition a cycle.

It keeps a weight. Each cycle it takes an input from the left and hands it to the right a cycle later; the product goes
to the partial sum that comes from above, and the sum down. Kung, "Why systolic architectures?" (IEEE Computer, 1982);
with weights that stay, Jouppi et al., "In-datacenter performance analysis of a tensor processing unit" (ISCA 2017).

An input at `value` meets the partial sum that is at `above` `product_stages` cycles later, and the sum is at `below` a
cycle after that: so each row takes its inputs a cycle after the row above it, however long a product takes.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Member, Out

from fewbits.hardware.datapath.base import Datapath
from fewbits.hardware.datapath.element_arithmetic import column_bits, element_design, product_stages
from fewbits.hardware.datapath.multipliers import Multiplier
from fewbits.hardware.rtl.instances import component_rtlil
from fewbits.hardware.rtl.verilog import CLOCK_PORT, Header

ELEMENT = "processing_element"
"""Name of its module."""


def element_ports(design: Datapath, rows: int) -> dict[str, Member]:
    """Ports of an element of an array with so many rows."""
    precision, bits = design.precision, column_bits(design, rows)
    return {
        "load": In(1),
        "weight": In(precision.weights.bits),
        "value": In(precision.inputs.bits),
        "above": In(signed(bits)),
        "weight_out": Out(precision.weights.bits),
        "value_out": Out(precision.inputs.bits),
        "below": Out(signed(bits)),
    }


class ProcessingElement(Component):
    """An element of an array with so many rows.

    Where `load` holds, the weight from above is taken; weights so move down a row a cycle, while no input is used.
    There is no reset: what an element holds means nothing until a weight and an input have come.
    """

    def __init__(self, design: Datapath, rows: int) -> None:
        self.design = element_design(design)
        self.rows = rows
        super().__init__(element_ports(design, rows))

    def elaborate(self, platform: object) -> Module:
        """Weight, input and sum registered; the multiplier has registers of its own."""
        m = Module()
        m.submodules.multiplier0 = multiplier = Multiplier(self.design)
        weight = Signal(len(self.weight), reset_less=True)
        value = Signal(len(self.value), reset_less=True)
        total = Signal(signed(len(self.below)), reset_less=True)
        with m.If(self.load):
            m.d.sync += weight.eq(self.weight)
        product = self.design.product_value(multiplier.high, multiplier.low)
        m.d.sync += [value.eq(self.value), total.eq(self.above + product)]
        m.d.comb += [
            multiplier.weight.eq(weight),
            multiplier.value.eq(self.value),
            self.weight_out.eq(weight),
            self.value_out.eq(value),
            self.below.eq(total),
        ]
        return m


def element_rtlil(design: Datapath, rows: int) -> str:
    """An element as RTLIL, the input of yosys; its top module is `processing_element`, below it `multiplier0`.

    Raises HardwareError for floats.
    """
    element_design(design)  # refuses before there is a component that nobody uses
    return component_rtlil(ProcessingElement(design, rows), ELEMENT)


def element_header(design: Datapath, rows: int) -> Header:
    """What the module is, for whoever reads its Verilog."""
    precision, stages, made = design.precision, product_stages(design), element_design(design)
    multiplier = made.multiplier_kind if design.kept_product_bits is None else made.multiplier
    about = (
        f"one element of a weight-stationary systolic array of {rows} rows: keeps a weight, multiplies it by each "
        f"input ({multiplier}) and adds the product to the partial sum from above. An input meets the sum that is at "
        f"`above` {stages} cycle{'s' if stages > 1 else ''} later. Without reset: it holds data alone."
    )
    ports = {
        **CLOCK_PORT,
        "load": "take the weight from above",
        "weight": f"weight from above, {precision.weights.name}",
        "value": f"input from the left, {precision.inputs.name}",
        "above": "partial sum from above, two's complement",
        "weight_out": "the weight, for the element below",
        "value_out": "the input, a cycle later, for the element to the right",
        "below": "the partial sum with this product, for the element below",
    }
    return Header(about, ports, {"PRODUCT_STAGES": stages})
