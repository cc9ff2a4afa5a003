"""Graphs: executors equal the slow reference, and the four kinds of network agree with their fake-quantized forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_networks import FLOAT_PRECISIONS, INTEGER_PRECISIONS, UNSIGNED_PRECISIONS
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits import data
from fewbits.bitexact import Addition, BitExactNetwork, Concatenation
from fewbits.bitexact.integer import IntegerExecutor
from fewbits.bitexact.reference import Numbers, reference_values
from fewbits.models import build

RANDOM = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


class Graph(nn.Module):
    """Steps, each of which takes earlier results of one shape."""

    def __init__(self, steps: list[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList(
            nn.Conv1d(2, 2, 3, padding=1, groups=1 + number % 2) if kind in ("layer", "joined") else nn.Identity()
            for number, (kind, _, _) in enumerate(steps)
        )
        self.joined = nn.ModuleList(nn.Conv1d(4, 2, 1) if kind == "joined" else nn.Identity() for kind, _, _ in steps)
        self.last = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for number, (kind, first, second) in enumerate(self.steps):
            a, b = values[first % len(values)], values[second % len(values)]
            match kind:
                case "layer":
                    value = self.layers[number](a)
                case "add":
                    value = a + b
                case "joined":
                    value = self.joined[number](torch.cat([self.layers[number](a), b], 1))
                case "relu":
                    value = F.relu(a)
                case "average":
                    value = F.avg_pool1d(a, 3, 1, 1)
                case _:
                    value = F.max_pool1d(a, 3, 1, 1)
            values.append(value)
        return self.last(values[-1].flatten(1))


NARROW = ("fixed4", "fixed8", "pow2-4/fixed8", "binary/fixed8", "ternary/fixed4")
"""Precisions whose sums float64 holds."""

KINDS = ("layer", "layer", "add", "add", "joined", "relu", "average", "maximum")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=7)


def _network(
    steps: list[tuple[str, int, int]], precision: str, seed: int, per_channel: bool = False
) -> tuple[fb.quantize.QuantizedModel, BitExactNetwork, Tensor]:
    torch.manual_seed(seed)
    images = torch.randn(2, 2, 5) * 3
    model = fb.quantize(Graph(steps), precision, per_channel=per_channel).eval()
    fb.calibrate(model, images)
    return model, fb.lower(model, images), images


def _as_objects(values: object) -> Numbers:
    if isinstance(values, Tensor):
        return np.array(list(values.numpy().flat), dtype=object).reshape(tuple(values.shape))
    assert isinstance(values, np.ndarray)
    return values


def _assert_equals_reference(network: BitExactNetwork, images: Tensor) -> None:
    trace, accumulators = network.trace(images), network.accumulators(images)
    for index, image in enumerate(images):
        expected = reference_values(network.operations, np.array(image.tolist(), dtype=object))
        for name, values in expected.items():
            assert (_as_objects(trace[name])[index] == values).all(), name
        assert (_as_objects(accumulators)[index] == expected[network.operations[-1].name]).all()


@RANDOM
@given(STEPS, st.sampled_from(INTEGER_PRECISIONS), st.integers(0, 99), st.booleans())
def test_integer_graphs_equal_the_reference(steps, precision: str, seed: int, per_channel: bool) -> None:
    _, network, images = _network(steps, precision, seed, per_channel)
    _assert_equals_reference(network, images)


@RANDOM
@given(STEPS, st.sampled_from(UNSIGNED_PRECISIONS), st.integers(0, 99), st.booleans())
def test_graphs_of_unsigned_inputs_equal_the_reference(steps, precision: str, seed: int, per_channel: bool) -> None:
    _, network, images = _network(steps, precision, seed, per_channel)
    _assert_equals_reference(network, images)


@settings(RANDOM, max_examples=10)
@given(STEPS, st.sampled_from(FLOAT_PRECISIONS), st.integers(0, 99))
def test_float_graphs_equal_the_reference(steps, precision: str, seed: int) -> None:
    _, network, images = _network(steps, precision, seed)
    _assert_equals_reference(network, images)


@RANDOM
@given(STEPS, st.sampled_from(NARROW), st.integers(0, 99))
def test_integer_graphs_equal_the_fake_quantized_network_in_float64(steps, precision: str, seed: int) -> None:
    model, network, images = _network(steps, precision, seed, per_channel=bool(seed % 2))
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        assert torch.equal(double(images.double()), network.run(images.double()))


@pytest.mark.parametrize("precision", ["fixed8", "fixed32", "fixed8/pow2-7"])
def test_an_addition_of_distant_radix_points_is_exact(precision: str) -> None:
    steps = [("layer", 0, 0), ("layer", 1, 1), ("add", 1, 2), ("layer", 3, 3)]
    model, _, images = _network(steps, precision, 0)
    model.layers["layers.1"].input_fraction_bits += 40  # its input is the addition's first operand
    network = fb.lower(model, images)
    (addition,) = (operation for operation in network.operations if isinstance(operation, Addition))
    assert max(addition.shifts) > 30
    _assert_equals_reference(network, images)


def test_operands_move_left_to_the_finer_radix_point() -> None:
    model, _, images = _network([("layer", 0, 0), ("layer", 1, 1), ("add", 1, 2)], "fixed8", 0)
    points = [rounding.fraction_bits for rounding in model.roundings.values()]
    (addition,) = (op for op in fb.lower(model, images).operations if isinstance(op, Addition))
    assert addition.accumulator_fraction_bits == max(points[:2])
    assert addition.shifts == tuple(max(points[:2]) - point for point in points[:2])


def test_a_concatenation_joins_along_its_axis() -> None:
    _, network, images = _network([("joined", 0, 0)], "fixed8", 0)
    (joined,) = (op for op in network.operations if isinstance(op, Concatenation))
    assert (joined.axis, joined.output_shape) == (0, (4, 5))
    trace = network.trace(images)
    assert torch.equal(trace[joined.name], torch.cat([trace[name] for name in joined.inputs], 1))


def test_the_fused_executor_equals_the_one_by_one_executor_on_resnet() -> None:
    model = fb.quantize(fb.fold_batch_norm(build("resnet20", seed=0)), "fixed8")
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    fb.calibrate(model, images)
    network = fb.lower(model, images)
    with torch.inference_mode():
        expected = IntegerExecutor(network.operations).logits(images)
    assert torch.equal(network.accumulators(images).double(), expected)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    """Real digits, normalized."""
    dataset = data.load("digits")
    return dataset.inputs(dataset.test.images[:48])


def _trained_shape(name: str, digits: Tensor) -> tuple[nn.Module, Tensor]:
    """A network whose normalizations have seen the digits, folded; the digits as it takes them."""
    images = digits if name == "mlp" else F.pad(digits, (2, 2, 2, 2), value=float(digits.min())).repeat(1, 3, 1, 1)
    model = build(name, seed=0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean of all batches
    with torch.no_grad():
        model.train()(images)
    return fb.fold_batch_norm(model).eval(), images


SLOW = ("fixed8", "pow2-6/fixed16", "binary/fixed16")


@pytest.mark.parametrize("precision", ["fixed4", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
@pytest.mark.parametrize("name", ["resnet20", "mobilenet-small", "vgg", "mlp"])
def test_no_digit_is_classed_differently_by_the_bit_exact_network(name: str, precision: str, digits: Tensor) -> None:
    model, images = _trained_shape(name, digits)
    quantized = fb.quantize(model, precision).eval()
    assert quantized.skipped == ()
    fb.calibrate(quantized, images[:16])
    network = fb.lower(quantized, images)
    with torch.no_grad():
        assert int((quantized(images).argmax(1) != network.predict(images)).sum()) == 0
