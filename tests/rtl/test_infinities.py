"""What becomes of infinities: the bit-exact network never gives one to a neuron, and a neuron takes none for one."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import fewbits as fb
from fewbits import ModelError
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.dataflow.diannao.export.headers import neuron_headers
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.float_sums import FLOAT32_LIMITS
from fewbits.hardware.datapath.simulation import Operands, Simulator

LARGEST = float(np.finfo(np.float32).max)


def scaling(factor: float) -> BitExactNetwork:
    """A float32 layer that multiplies one value."""
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(factor)
    quantized = fb.quantize(torch.nn.Sequential(layer), "float32")
    return fb.lower(quantized, torch.zeros(1, 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_infinite_value_of_an_image_counts_as_the_largest_number(sign: int):
    network = scaling(0.5)
    infinite = network.run(torch.tensor([[sign * float("inf")]]))
    assert infinite.item() == network.run(torch.tensor([[sign * LARGEST]])).item() == sign * 0.5 * LARGEST


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), LARGEST])
def test_a_product_beyond_float32_is_refused_with_the_layers_name(value: float):
    with pytest.raises(ModelError, match="'0'"):
        scaling(4.0).run(torch.tensor([[value]]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "fp8-e4m3"])
def test_headers_of_neurons_that_add_floats_tell_it(precision: str):
    headers = neuron_headers(design(precision))
    assert all(FLOAT32_LIMITS in headers[name].about for name in ("neuron", "float_adder"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")
def test_the_neuron_does_with_infinities_what_its_header_tells():
    made = design("float32")
    infinity = float("inf")
    # A chunk each: infinity times a half; opposite infinities; two products beyond float32; a NaN.
    cases = [((infinity,), (0.5,)), ((infinity, -infinity), (1, 1)), ((LARGEST,), (4.0,)), ((float("nan"),), (0.5,))]
    weights, inputs = np.zeros((2, len(cases) + made.pipeline_stages, 16), np.float32)
    for row, (some_weights, some_inputs) in enumerate(cases):
        weights[row, : len(some_weights)], inputs[row, : len(some_inputs)] = some_weights, some_inputs
    cycles = len(weights)
    operands = Operands(
        weights.view(np.uint32), inputs.view(np.uint32), np.ones(cycles, bool), np.zeros(cycles, bool),
        np.zeros((cycles, 1), np.uint32),
    )  # fmt: skip
    trace = Simulator(made).run(operands)
    totals = trace.total[made.accumulator_delay :][: len(cases), 0].copy().view(np.float32)
    assert np.isfinite(totals[[0, 1, 3]]).all()
    assert totals[1] == 0
    assert totals[2] == infinity
