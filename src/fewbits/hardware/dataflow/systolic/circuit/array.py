"""The array: elements in rows and columns, inputs skewed on their way in, sums side by side on their way out."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.wiring import Component, In, Out

from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath.element_arithmetic import column_bits
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.processing_element import ELEMENT, element_ports, element_rtlil
from fewbits.hardware.rtl.bit_heap import delayed
from fewbits.hardware.rtl.instances import component_rtlil, instance


class Array(Component):
    """Takes a row of inputs a cycle; `sum_stages` cycles later `sums` holds what each column adds up of it.

    Where `load` holds, a row of weights is taken at the top, and those before it move down.
    """

    def __init__(self, design: NeuronDesign, array: Systolic) -> None:
        self.design, self.array = design, array
        self.sum_bits = column_bits(design, array.rows)
        precision = design.precision
        super().__init__(
            {
                "load": In(1),
                "weights": In(array.columns * precision.weights.bits),
                "inputs": In(array.rows * precision.inputs.bits),
                "sums": Out(array.columns * self.sum_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Instances by name of a module that `array_rtlil` adds: Amaranth would elaborate each anew."""
        m = Module()
        rows, columns = self.array.rows, self.array.columns
        weight_bits, input_bits = self.design.precision.weights.bits, self.design.precision.inputs.bits
        ports = element_ports(self.design, rows)
        weights: list[Value] = [self.weights.word_select(column, weight_bits) for column in range(columns)]
        sums: list[Value] = [Const(0, self.sum_bits)] * columns
        for row in range(rows):
            value = delayed(m, self.inputs.word_select(row, input_bits), row, f"skewed_{row}")
            for column in range(columns):
                outputs = instance(
                    m, ELEMENT, ports, f"element_{row}_{column}",
                    load=self.load, weight=weights[column], value=value, above=sums[column],
                )  # fmt: skip
                weights[column], value, sums[column] = outputs["weight_out"], outputs["value_out"], outputs["below"]
        aligned = [
            delayed(m, total[: self.sum_bits], columns - 1 - column, f"aligned_{column}")
            for column, total in enumerate(sums)
        ]
        m.d.comb += self.sums.eq(Cat(*aligned))
        return m


def array_rtlil(design: NeuronDesign, array: Systolic) -> str:
    """The array as RTLIL; its top module is `array`, below it `processing_element`."""
    element = element_rtlil(design, array.rows).replace("attribute \\top 1\n", "")
    return component_rtlil(Array(design, array), "array") + element
