"""Random networks on the accelerator, of all families of formats and accelerators of several shapes."""

from __future__ import annotations

import shutil

import pytest
import torch
from comparison import TILE, assert_equal, lowered, schedule_of
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from random_chains import Chain, chains, deep_chains
from torch import nn

from fewbits.bitexact import Rounding
from fewbits.formats import STUDY_PRECISIONS, parse_precision
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.datapath import design

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="simulating needs g++")

SMALL = Accelerator(buffer_rows=9)
NARROW = Accelerator(neurons=3, synapses=4, buffer_rows=12, memory_latency=2)
WIDE = Accelerator(neurons=20, synapses=8, buffer_rows=33)

SHALLOW = Accelerator(neurons=2, buffer_rows=6, memory_latency=2)
"""Its SB does not hold what an output of `deep_chains` sums; six rows are the fewest that floats take."""

WITH_AVERAGES = (
    *STUDY_PRECISIONS,
    *("ternary/fixed8", "fixed8/fixed16", "fixed4/fixed8", "pow2-4/fixed8", "fixed6/fixed11"),
)
UNSIGNED = (
    *("fixed4/ufixed4", "fixed8/ufixed8", "fixed2/ufixed3", "ternary/ufixed4", "ternary/ufixed8", "binary/ufixed2"),
    *("binary/ufixed1", "pow2-4/ufixed4", "fixed12/ufixed16"),
)

WITHOUT_AVERAGES = ("binary", "fp8-e4m3", "fp8-e4m3:exact", "bfloat16")
"""The accelerator has no average of their inputs."""

SOME = ("fixed8", "pow2-6/fixed16", "binary/fixed16", "fixed4/fixed8", "float32", "binary", "fp8-e4m3")
"""One of each datapath and of two widths; the others, on more networks, are computed nightly."""

SEEDS = st.integers(0, 2**31)


def random_networks(examples: int) -> settings:
    """So many networks; a chain is drawn anew where an integer datapath would have to move sums to the left."""
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def check(
    chain: Chain,
    precision: str,
    accelerator: Accelerator,
    seed: int,
    *,
    in_pieces: bool = False,
    stages: str | None = None,
) -> None:
    """Random weights and images, two of them. in_pieces: the schedule must have partial sums. stages: a pipelining."""
    torch.manual_seed(seed)
    for parameter in chain.model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.randn(2, *chain.input_shape)
    inputs = parse_precision(precision).inputs
    images = images if inputs.is_signed else images.abs()
    network = lowered(chain.model, precision, images)
    if inputs.arithmetic == "integer" and not inputs.is_scaled_sign:
        assume(all(operation.shift >= 0 for operation in network.operations if isinstance(operation, Rounding)))
    if in_pieces:
        assert any(layer.partial_sums for layer in schedule_of(network, accelerator).layers)
    made = None if stages is None else design(network.precision, accelerator.synapses, stages=stages)
    assert_equal(network, images, accelerator, made)


@random_networks(10)
@given(chains(), SEEDS)
def test_random_network_on_the_accelerator(chain: Chain, seed: int):
    check(chain, "fixed4", TILE, seed)


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "long", "longest"])
@random_networks(5)
@given(chains(), SEEDS)
def test_random_network_with_any_pipelining(stages: str, chain: Chain, seed: int):
    check(chain, "fixed4", TILE, seed, stages=stages)


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "longest"])
@random_networks(5)
@given(deep_chains(), SEEDS)
def test_random_network_in_pieces_with_any_pipelining(stages: str, chain: Chain, seed: int):
    check(chain, "fixed4", SHALLOW, seed, in_pieces=True, stages=stages)


@random_networks(10)
@given(deep_chains(), SEEDS)
def test_random_network_whose_weights_do_not_fit_the_buffer(chain: Chain, seed: int):
    check(chain, "fixed4", SHALLOW, seed, in_pieces=True)


def test_linear_layers_in_pieces():
    chain = Chain(nn.Sequential(nn.Linear(300, 130), nn.ReLU(), nn.Linear(130, 3)), (300,))
    check(chain, "fixed4", SHALLOW, seed=0, in_pieces=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision",
    [
        one if one in SOME else pytest.param(one, marks=pytest.mark.nightly)
        for one in (*WITH_AVERAGES, *WITHOUT_AVERAGES)
    ],
)
@random_networks(10)
@given(deep_chains(), SEEDS)
def test_random_network_of_any_precision_whose_weights_do_not_fit_the_buffer(precision: str, chain: Chain, seed: int):
    check(chain, precision, SHALLOW, seed, in_pieces=True)


@pytest.mark.slow
@pytest.mark.parametrize("precision", [one for one in WITH_AVERAGES if one in SOME])
@random_networks(5)
@given(chains(), SEEDS)
def test_random_network_of_any_precision(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@pytest.mark.slow
@pytest.mark.parametrize("precision", WITHOUT_AVERAGES)
@random_networks(5)
@given(chains(averages=False), SEEDS)
def test_random_network_without_averages(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@random_networks(5)
@given(chains(rectified=True), SEEDS)
def test_random_network_of_unsigned_inputs(chain: Chain, seed: int):
    check(chain, "fixed4/ufixed4", TILE, seed)


@pytest.mark.slow
@pytest.mark.parametrize("precision", UNSIGNED)
@random_networks(20)
@given(chains(rectified=True), SEEDS)
def test_random_network_of_unsigned_inputs_and_any_weights(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@pytest.mark.slow
@pytest.mark.parametrize("accelerator", [SMALL, NARROW, WIDE], ids=["small", "narrow", "wide"])
@random_networks(8)
@given(chains(), SEEDS)
def test_random_network_on_an_accelerator_of_another_shape(accelerator: Accelerator, chain: Chain, seed: int):
    check(chain, "fixed4", accelerator, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("precision", WITH_AVERAGES)
@random_networks(20)
@given(chains(), SEEDS)
def test_many_random_networks_of_any_precision(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("precision", UNSIGNED)
@random_networks(200)
@given(chains(rectified=True), SEEDS)
def test_many_random_networks_of_unsigned_inputs(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@pytest.mark.nightly
@pytest.mark.parametrize("precision", WITHOUT_AVERAGES)
@random_networks(20)
@given(chains(averages=False), SEEDS)
def test_many_random_networks_without_averages(precision: str, chain: Chain, seed: int):
    check(chain, precision, TILE, seed)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("accelerator", "precision"),
    [(SMALL, "binary/fixed16"), (SMALL, "float32"), (NARROW, "binary/fixed16")],
    ids=["small", "small-float32", "narrow"],
)
@random_networks(20)
@given(chains(), SEEDS)
def test_many_random_networks_on_accelerators_of_other_shapes(
    accelerator: Accelerator, precision: str, chain: Chain, seed: int
):
    check(chain, precision, accelerator, seed)
