"""Pooling: the windows and divisors of torch, exact averages."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.graph.geometry import average_divisors, convolution_length, pooling_length, pooling_windows

GEOMETRIES = [
    (length, kernel, stride, padding, ceil)
    for length, kernel in itertools.product(range(1, 8), (1, 2, 3, 4))
    for stride, padding, ceil in itertools.product((1, 2, 3), (0, 1, 2), (0, 1))
    if padding <= kernel // 2 and length + 2 * padding >= kernel
]


def test_pooling_lengths_are_those_of_torch() -> None:
    for length, kernel, stride, padding, ceil in GEOMETRIES:
        expected = F.avg_pool1d(torch.zeros(1, 1, length), kernel, stride, padding, bool(ceil)).shape[-1]
        assert pooling_length(length, kernel, stride, padding, 1, bool(ceil)) == expected


def test_averages_of_ones_give_the_divisors_of_torch() -> None:
    for (length, kernel, stride, padding, ceil), include in itertools.product(GEOMETRIES, (True, False)):
        ones = torch.ones(1, 1, length, dtype=torch.float64)
        averages = F.avg_pool1d(ones, kernel, stride, padding, bool(ceil), include)[0, 0]
        positions = len(averages)
        windows = pooling_windows(length, kernel, stride, padding, 1, positions)
        divisors = average_divisors(length, kernel, stride, padding, positions, include)
        assert [len(window) / divisor for window, divisor in zip(windows, divisors, strict=True)] == averages.tolist()


def test_windows_with_dilation_are_those_of_torch() -> None:
    for length, kernel, dilation, padding, ceil in itertools.product(range(5, 9), (2, 3), (1, 2), (0, 1), (0, 1)):
        values = torch.rand(length, generator=torch.Generator().manual_seed(length))
        expected = F.max_pool1d(values[None, None], kernel, 2, padding, dilation, bool(ceil))[0, 0]
        assert pooling_length(length, kernel, 2, padding, dilation, bool(ceil)) == len(expected)
        windows = pooling_windows(length, kernel, 2, padding, dilation, len(expected))
        assert [values[list(window)].max() for window in windows] == expected.tolist()


def test_convolution_lengths_are_those_of_torch() -> None:
    for length, kernel, stride, padding, dilation in itertools.product(range(5, 9), (1, 3), (1, 2), (0, 2), (1, 2)):
        expected = F.conv1d(torch.zeros(1, 1, length), torch.zeros(1, 1, kernel), None, stride, padding, dilation)
        assert convolution_length(length, kernel, stride, (padding, padding), dilation) == expected.shape[-1]


def _averaged(codes: list[int], pool: nn.Module, precision: str = "fixed8") -> list[int]:
    """Codes given to a pooling, then to a layer that passes them on."""
    model = fb.quantize(nn.Sequential(pool, nn.Conv1d(1, 1, 1)), precision)
    (layer,) = model.layers.values()
    layer.input_fraction_bits = layer.weight_fraction_bits = 0
    with torch.no_grad():
        layer.layer.weight.fill_(1.0)
        layer.layer.bias.zero_()
    images = torch.tensor([[codes]], dtype=torch.float32)
    return fb.lower(model, images).accumulators(images)[0, 0].tolist()


@pytest.mark.parametrize(
    ("codes", "expected"), [([1, 2], 2), ([0, 1], 0), ([2, 3], 2), ([-1, -2], -2), ([-1, 0], 0), ([127, 126], 126)]
)
def test_averages_round_half_to_even(codes: list[int], expected: int) -> None:
    assert _averaged(codes, nn.AvgPool1d(2)) == [expected]


def test_padding_counts_in_an_average_only_if_asked() -> None:
    assert _averaged([9, 9], nn.AvgPool1d(3, stride=2, padding=1)) == [6]
    assert _averaged([9, 9], nn.AvgPool1d(3, stride=2, padding=1, count_include_pad=False)) == [9]


def test_an_average_that_leaves_the_format_saturates() -> None:
    model = fb.quantize(nn.Sequential(nn.AvgPool2d(2, divisor_override=1), nn.Conv2d(1, 1, 1, bias=False)), "fixed8")
    (layer,) = model.layers.values()
    layer.input_fraction_bits = layer.weight_fraction_bits = 0
    torch.nn.init.ones_(layer.layer.weight)
    images = torch.full((1, 1, 2, 2), 100.0)
    assert fb.lower(model, images).accumulators(images).item() == 127


def test_an_average_of_powers_of_two_is_the_nearest_power() -> None:
    assert _averaged([4, 8], nn.AvgPool1d(2), "fixed8/pow2-4") == [8]  # 6 lies in the middle; 8 has the even code
    assert _averaged([8, 1], nn.AvgPool1d(2), "fixed8/pow2-4") == [4]


def test_an_average_of_powers_beyond_float64_is_exact() -> None:
    codes = [2**60, 2**61, 1]  # a middle, and one more: only exact sums tell
    assert _averaged(codes, nn.AvgPool1d(3), "fixed8/pow2-7") == [2**60]


def test_the_last_layers_accumulators_are_summed_and_divided_at_the_end() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.AvgPool1d(2)), "fixed32")
    (layer,) = model.layers.values()
    layer.input_fraction_bits = layer.weight_fraction_bits = 0
    layer.layer.weight.data.fill_(2.0**30)
    images = torch.tensor([[[1.0, 5.0]]])
    network = fb.lower(model, images)
    assert network.logits_divisor == 2
    assert int(network.accumulators(images)[0, 0, 0]) == 6 * 2**30
    assert network.run(images).item() == 3 * 2**30
    images = torch.tensor([[[2.0**29, 2.0**30]]])
    assert int(fb.lower(model, images).accumulators(images)[0, 0, 0]) == 3 * 2**59
    layer.layer.weight.data.fill_(1.0)
    images = torch.tensor([[[1.0, 2.0, 2.0, 3.0]]])
    assert fb.lower(model, images).accumulators(images).flatten().tolist() == [3, 5]
    assert fb.lower(model, images).run(images).flatten().tolist() == [1.5, 2.5]


def test_windows_of_different_divisors_are_brought_to_a_common_one() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv1d(1, 1, 1), nn.AvgPool1d(3, 2, 1, count_include_pad=False)), "fixed8")
    images = torch.randn(8, 1, 5)
    fb.calibrate(model, images)
    network = fb.lower(model, images)
    assert network.logits_divisor == 6
    with torch.no_grad():
        assert torch.allclose(network.run(images).float(), model(images), rtol=1e-6, atol=1e-6)
    assert fb.first_difference(model, network, images) is None


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d((2, 3), ceil_mode=True, count_include_pad=False),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.AdaptiveAvgPool2d(2),
        nn.AdaptiveMaxPool2d((2, None)),
        nn.AdaptiveAvgPool2d(1),
    ],
    ids=lambda pool: repr(pool),
)
def test_pooling_of_codes_is_torchs_pooling_rounded(pool: nn.Module) -> None:
    images = torch.randint(-128, 128, (2, 3, 6, 6), generator=torch.Generator().manual_seed(0)).double()
    expected = pool(images).round()
    model = fb.quantize(nn.Sequential(pool, nn.Conv2d(3, 3, 1, groups=3, bias=False)), "fixed8")
    (layer,) = model.layers.values()
    layer.input_fraction_bits = layer.weight_fraction_bits = 0
    torch.nn.init.ones_(layer.layer.weight)
    assert fb.lower(model, images).accumulators(images).tolist() == expected.tolist()
