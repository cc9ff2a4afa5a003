"""The processing element: its sums against exact arithmetic, for every integer datapath."""

from __future__ import annotations

import re

import pytest
import torch
from amaranth.hdl import ClockDomain, Fragment
from amaranth.sim import Simulator

from fewbits.errors import HardwareError
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.element_arithmetic import column_bits, product_stages
from fewbits.hardware.datapath.processing_element import ProcessingElement, element_header, element_rtlil

INTEGERS = [
    ("fixed8", {}),
    ("fixed4", {"multiplier": "array"}),
    ("fixed16", {}),
    ("fixed4/fixed8", {}),
    ("fixed8", {"product_bits": 9}),
    ("fixed16", {"product_bits": 20}),
    ("pow2-6/fixed16", {}),
    ("pow2-4/fixed8", {"product_bits": 8}),
    ("ternary/fixed8", {}),
    ("binary/fixed16", {}),
    ("binary", {}),
    ("fixed32", {"multiplier": "array"}),
    ("fixed4/ufixed4", {}),
    ("fixed8/ufixed8", {"multiplier": "array"}),
    ("fixed16/ufixed16", {"product_bits": 20}),
    ("ternary/ufixed4", {}),
    ("binary/ufixed1", {}),
    ("pow2-4/ufixed4", {}),
]


@pytest.mark.parametrize(("precision", "options"), INTEGERS)
def test_element_adds_each_product_to_the_sum_from_above_and_hands_its_input_on(precision, options):
    made = design(precision, **options)
    weights, inputs = made.precision.weights, made.precision.inputs
    generator = torch.Generator().manual_seed(3)

    def codes_of(number_format, count):
        numbers = torch.randn(count, generator=generator, dtype=torch.float64) * 2 ** (number_format.bits // 2)
        return number_format.encode(numbers).tolist()

    rows, stages = 8, product_stages(made)
    element = ProcessingElement(made, rows)
    fragment = Fragment.get(element, None)
    fragment.add_domains(ClockDomain("sync", reset_less=True))
    simulator = Simulator(fragment)
    simulator.add_clock(1e-6)
    limit = 1 << (column_bits(made, rows) - 2)

    async def run(context):
        for weight in codes_of(weights, 4):
            (integer,) = weights.to_integers(torch.tensor([weight])).tolist()
            context.set(element.load, 1)
            context.set(element.weight, weight)
            await context.tick()
            context.set(element.load, 0)
            context.set(element.weight, 0)
            assert context.get(element.weight_out) == weight
            values = codes_of(inputs, 12)
            integers = inputs.to_integers(torch.tensor(values)).tolist()
            above = torch.randint(-min(limit, 2**40), min(limit, 2**40), (12,), generator=generator).tolist()
            for cycle in range(12 + stages + 1):
                context.set(element.value, values[cycle] if cycle < 12 else 0)
                met = cycle - stages
                context.set(element.above, above[met] if 0 <= met < 12 else 0)
                await context.tick()
                if cycle < 12:
                    assert context.get(element.value_out) == values[cycle]
                if 0 <= met < 12:
                    product = integer * integers[met] >> made.dropped_product_bits
                    assert context.get(element.below) == above[met] + product

    simulator.add_testbench(run)
    simulator.run()


def test_no_sum_of_a_column_overflows_it():
    made = design("fixed4")
    lowest = -8 * 7  # the products of fixed4 reach from -56 to 64
    for rows in (1, 2, 3, 8, 24):
        half = 1 << (column_bits(made, rows) - 1)
        assert -half <= rows * lowest
        assert rows * 64 < half


def test_floats_have_no_element_and_say_why():
    with pytest.raises(HardwareError, match="a float adder takes several"):
        element_rtlil(design("fp8-e4m3"), 16)


def test_rtlil_holds_the_element_above_its_multiplier():
    text = element_rtlil(design("fixed8"), 16)
    assert "module \\processing_element\n" in text
    assert "cell \\processing_element.multiplier0 \\multiplier0" in text


def test_header_names_every_port():
    made = design("fixed8")
    top = element_rtlil(made, 16).partition("module \\processing_element\n")[2].partition("\nend\n")[0]
    declared = re.findall(r"(?m)^  wire width \d+ (?:input|output) \d+ +(?:signed )?\\(\w+)$", top)
    assert sorted(declared) == sorted(element_header(made, 16).ports)
