"""The whole accelerator in RTL: networks run on it give the bit-exact network's sums, in the schedule's cycles."""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_chains import Chain, chains
from torch import Tensor, nn

import fewbits as fb
from fewbits import data, models
from fewbits.bitexact import BitExactNetwork, Rounding
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.accelerator import Accelerator
from fewbits.hardware.networks import workload_of
from fewbits.hardware.rtl.design import design
from fewbits.hardware.rtl.latency import pipeline
from fewbits.hardware.rtl.simulate_accelerator import ACCESSES, AcceleratorSimulator
from fewbits.hardware.schedule import schedule

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")

TILE = Accelerator()
SMALL = Accelerator(buffer_rows=9)


@cache
def simulator(precision: str, accelerator: Accelerator = TILE) -> AcceleratorSimulator:
    """One for each precision and accelerator."""
    return AcceleratorSimulator(design(precision, accelerator.synapses), accelerator)


def lowered(model: nn.Module, precision: str, images: Tensor) -> BitExactNetwork:
    """Quantized with radix points from these images."""
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images[:1])


def check(network: BitExactNetwork, images: Tensor, accelerator: Accelerator = TILE) -> None:
    """Sums, cycles and buffer accesses of a simulation equal the bit-exact network's and the schedule's."""
    runs = simulator(network.precision.name, accelerator).run(network, images, threads=2)
    plan = schedule(
        workload_of(network, None), accelerator, pipeline(design(network.precision, accelerator.synapses), accelerator)
    )
    expected: Any = network.accumulators(images)
    for run, sums in zip(runs, expected, strict=True):
        assert run.logits == np.asarray(sums).ravel().tolist()
        assert run.cycles == plan.cycles
        assert run.accesses == {name: sum(getattr(layer, name) for layer in plan.layers) for name in ACCESSES}


def of_photographs(name: str, digits: Tensor, count: int) -> Tensor:
    """Digits in the shape of a network's images: repeated over colors, put in the middle of a larger frame."""
    channels, height, width = models.input_shape(name)
    left, above = (width - digits.shape[-1]) // 2, (height - digits.shape[-2]) // 2
    frame = (left, width - digits.shape[-1] - left, above, height - digits.shape[-2] - above)
    return nn.functional.pad(digits[:count], frame).expand(-1, channels, -1, -1).contiguous()


@pytest.fixture(scope="session")
def digits() -> Tensor:
    """Real digits, normalized."""
    dataset = data.load("digits")
    return dataset.inputs(dataset.test.images[:20])


@pytest.mark.parametrize("precision", [
    precision if precision in ("fixed4", "fixed8") else pytest.param(precision, marks=pytest.mark.slow)
    for precision in STUDY_PRECISIONS
])  # fmt: skip
def test_lenet_on_the_accelerator_equals_the_bit_exact_network(precision: str, digits: Tensor):
    check(lowered(models.build("lenet", seed=0), precision, digits), digits[:2])


@pytest.mark.nightly
@pytest.mark.parametrize("precision", STUDY_PRECISIONS)
@pytest.mark.parametrize("name", ["lenet", "convnet", "alex"])
def test_twenty_images_on_the_accelerator(name: str, precision: str, digits: Tensor):
    images = of_photographs(name, digits, 20)
    check(lowered(models.build(name, seed=1), precision, images), images)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convnet", "alex"])
def test_larger_networks_on_the_accelerator(name: str, digits: Tensor):
    images = of_photographs(name, digits, 1)
    check(lowered(models.build(name, seed=1), "fixed4", images), images)


def _random_network_check(chain: Chain, precision: str, accelerator: Accelerator, seed: int) -> None:
    torch.manual_seed(seed)
    model = chain.model
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.randn(2, *chain.input_shape)
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    network = fb.lower(quantized, images[:1])
    assume(all(operation.shift >= 0 for operation in network.operations if isinstance(operation, Rounding)))
    check(network, images, accelerator)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chains(), st.sampled_from([TILE, SMALL]), st.integers(0, 2**31))
def test_random_networks_on_the_accelerator(chain: Chain, accelerator: Accelerator, seed: int):
    _random_network_check(chain, "fixed4", accelerator, seed)


@pytest.mark.nightly
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chains(), st.sampled_from(STUDY_PRECISIONS), st.sampled_from([TILE, SMALL]), st.integers(0, 2**31))
def test_many_random_networks_of_all_precisions(chain: Chain, precision: str, accelerator: Accelerator, seed: int):
    _random_network_check(chain, precision, accelerator, seed)
