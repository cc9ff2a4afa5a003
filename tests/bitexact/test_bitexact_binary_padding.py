"""A padded element of a binary input is +1, what zero is rounded to: executors and fake-quantized network agree."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.quantization import QuantizedModel


def padded_convolution(precision: str, padding: int | str, inputs: torch.Tensor) -> QuantizedModel:
    """One convolution, calibrated; its radix points are 0 so that binary values are -1 and 1."""
    torch.manual_seed(0)
    quantized = fb.quantize(nn.Sequential(nn.Conv2d(1, 3, 4, padding=padding, bias=False)), precision)
    fb.calibrate(quantized, inputs)
    for layer in quantized.layers.values():
        layer.input_fraction_bits = layer.weight_fraction_bits = 0
    return quantized


@pytest.mark.parametrize("padding", [2, "same"])
@pytest.mark.parametrize("precision", ["binary", "fixed8/binary", "fixed32/binary"])
def test_padding_counts_as_plus_one(precision: str, padding: int | str):
    images = torch.randn(4, 1, 6, 6)
    quantized = padded_convolution(precision, padding, images)
    (layer,) = quantized.layers.values()
    widths = [2, 2, 2, 2] if padding == 2 else [1, 2, 1, 2]
    signs = nn.functional.pad(torch.where(images >= 0, 1.0, -1.0), widths, value=1.0).double()
    expected = nn.functional.conv2d(signs, layer.quantized_weight().double())
    network = fb.lower(quantized, images)
    assert torch.equal(network.run(images), expected)
    assert torch.equal(network.trace(images)[network.operations[-1].name], expected.to(torch.int64))
    assert torch.equal(quantized(images).double(), expected)


def test_gradients_pass_through_binary_padding():
    images = torch.randn(2, 1, 6, 6).mul(0.1).requires_grad_()
    padded_convolution("binary", 1, images.detach())(images).sum().backward()
    assert images.grad is not None
    assert images.grad.shape == images.shape


def test_padding_of_other_inputs_is_zero():
    images = torch.ones(1, 1, 4, 4)
    quantized = padded_convolution("binary/ternary", 2, images)
    (layer,) = quantized.layers.values()
    expected = nn.functional.conv2d(images.double(), layer.quantized_weight().double(), padding=2)
    assert torch.equal(fb.lower(quantized, images).run(images), expected)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)),
        nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)),
        nn.Sequential(nn.Conv2d(1, 2, 1), nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1)),
    ],
    ids=["images", "pooled", "averaged"],
)
def test_a_relu_of_signs_is_refused_since_they_have_no_zero(model: nn.Module):
    images = torch.randn(2, 1, 8, 8)
    quantized = fb.calibrate(fb.quantize(model, "binary"), images)
    with pytest.raises(fb.ModelError, match="rounded to binary, which has no code for its zeros: put it directly"):
        fb.lower(quantized, images)
