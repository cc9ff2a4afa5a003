"""The whole accelerator in RTL: networks run on it give the bit-exact network's sums, in the schedule's cycles.

A precision's networks follow each other, so that they share the accelerator that the first of them compiles.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from comparison import assert_equal, framed, lowered
from odd_multiplier import padded_network
from torch import Tensor

import fewbits as fb
from fewbits import models
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.operands import sum_order
from fewbits.hardware.datapath.neuron_design import design

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")

NETWORKS = ("lenet", "convnet", "alex")
SLOW_TO_SIMULATE = ("fixed32", "float32")


def images_in_ci(name: str, precision: str) -> int:
    """ConvNet takes eight times as long as LeNet, ALEX four times; the widest precisions three times as long."""
    if name != "lenet":
        return 1
    return 5 if precision in SLOW_TO_SIMULATE else 20


def test_a_digit_on_the_accelerator_equals_the_bit_exact_network(digits: Tensor):
    assert_equal(lowered(models.build("lenet", seed=0), "fixed4", digits), digits[:1])


@pytest.mark.parametrize("synapses", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_lanes_without_a_synapse_add_what_a_circuit_makes_of_zeros_and_the_sums_are_the_networks(
    odd_circuit: Path, synapses: int
):
    """Neither 0 times an input nor a weight times 0 is 0 there: lanes beyond a layer's synapses are corrected for."""
    network, images = padded_network(odd_circuit)
    made = design("fixed4", synapses, multiplier=str(odd_circuit))
    assert_equal(network, images, Accelerator(neurons=3, synapses=synapses, buffer_rows=12), made)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "name"), [(precision, name) for precision in STUDY_PRECISIONS for name in NETWORKS]
)
def test_network_on_the_accelerator_equals_the_bit_exact_network(precision: str, name: str, digits: Tensor):
    images = framed(name, digits)
    assert_equal(lowered(models.build(name, seed=1), precision, images), images[: images_in_ci(name, precision)])


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4/ufixed4", "fixed8/ufixed8", "ternary/ufixed8", "pow2-4/ufixed4"])
def test_lenet_of_unsigned_inputs_on_twenty_digits_equals_the_bit_exact_network(precision: str, digits: Tensor):
    assert_equal(lowered(models.build("lenet", seed=1), precision, digits), digits)


@pytest.mark.slow
@pytest.mark.parametrize("synapses", [4, 8])
def test_float_sums_on_neurons_of_another_size_equal_the_network_lowered_in_their_order(synapses: int, digits: Tensor):
    accelerator = Accelerator(neurons=4, synapses=synapses)
    quantized = fb.quantize(models.build("mlp", seed=0), "fp8-e4m3")
    fb.calibrate(quantized, digits)
    network = fb.lower(quantized, digits[:1], sum_order=sum_order(accelerator))
    assert_equal(network, digits[:1], accelerator, design("fp8-e4m3", synapses=synapses))


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("precision", "name"), [(precision, name) for precision in STUDY_PRECISIONS for name in NETWORKS]
)
def test_twenty_images_on_the_accelerator_equal_the_bit_exact_network(precision: str, name: str, digits: Tensor):
    images = framed(name, digits)
    assert_equal(lowered(models.build(name, seed=1), precision, images), images)
