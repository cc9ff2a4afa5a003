"""Executors equal the slow reference on random networks, bit for bit."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import (
    FLOAT_PRECISIONS,
    INTEGER_PRECISIONS,
    UNSIGNED_PRECISIONS,
    Case,
    lowered,
    networks,
)

import fewbits as fb
from fewbits.bitexact import BitExactNetwork, ExactValues
from fewbits.bitexact.reference import Numbers, reference_values
from fewbits.models import build

RANDOM = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def _as_objects(values: ExactValues) -> Numbers:
    if isinstance(values, torch.Tensor):
        return np.array(list(values.numpy().flat), dtype=object).reshape(tuple(values.shape))
    return values


def _assert_equals_reference(network: BitExactNetwork, images: torch.Tensor) -> None:
    trace, accumulators, logits = network.trace(images), network.accumulators(images), network.run(images)
    for index, image in enumerate(images):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object))
        for name, values in expected.items():
            assert (_as_objects(trace[name])[index] == values).all(), name
        last = expected[network.operations[-1].name]
        assert (_as_objects(accumulators)[index] == last).all()
        rounded_once = [
            math.ldexp(value / network.logits_divisor, -network.logits_fraction_bits) for value in last.flat
        ]
        assert logits[index].flatten().tolist() == rounded_once


@RANDOM
@given(networks(INTEGER_PRECISIONS))
def test_integer_networks_equal_the_reference_at_every_operation(case: Case) -> None:
    _assert_equals_reference(lowered(case), case.images)


@RANDOM
@given(networks(INTEGER_PRECISIONS, mixed=True))
def test_networks_of_mixed_widths_equal_the_reference(case: Case) -> None:
    _assert_equals_reference(lowered(case), case.images)


@RANDOM
@given(networks(UNSIGNED_PRECISIONS), st.booleans())
def test_networks_of_unsigned_inputs_equal_the_reference(case: Case, has_negatives: bool) -> None:
    _assert_equals_reference(lowered(case), case.images if has_negatives else case.images.abs())


@settings(RANDOM, max_examples=20)
@given(networks((*UNSIGNED_PRECISIONS, *INTEGER_PRECISIONS), mixed=True))
def test_networks_of_layers_with_a_sign_and_without_equal_the_reference(case: Case) -> None:
    _assert_equals_reference(lowered(case), case.images)


@settings(RANDOM, max_examples=20)
@given(networks(FLOAT_PRECISIONS))
def test_float_networks_equal_the_reference_at_every_operation(case: Case) -> None:
    _assert_equals_reference(lowered(case), case.images)


@settings(RANDOM, max_examples=20)
@given(networks(INTEGER_PRECISIONS))
def test_no_value_leaves_its_accumulator(case: Case) -> None:
    network = lowered(case)
    trace = network.trace(case.images)
    for layer in network.layers:
        assert layer.accumulator_bits <= layer.worst_case_accumulator_bits
        largest = 2 ** (layer.accumulator_bits - 1)
        assert all(-largest <= value < largest for value in _as_objects(trace[layer.name]).flat)


def test_lenet_equals_the_reference() -> None:
    images = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    model = fb.quantize(build("lenet", seed=0), "fixed8")
    fb.calibrate(model, images)
    network = fb.lower(model, images)
    operations = network.operations[:5]  # as far as the first pooling; pure Python takes long for the rest
    expected = reference_values(operations, np.array(images[0].tolist(), dtype=object))
    trace = network.trace(images)
    assert all((_as_objects(trace[name])[0] == values).all() for name, values in expected.items())
