"""What follows the last layer: averages, in-place calls, reshaping and hooks are inside the two networks' agreement."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.models import build

PRECISIONS = ("fixed2", "fixed3", "fixed4", "fixed8", "fixed16", "ternary", "binary/fixed4", "pow2-4/fixed8", "float32")


def _average(size: int) -> list[nn.Module]:
    return [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(size), nn.Flatten()]


ENDS = {
    "global average": lambda: _average(1),
    "ReLU and average": lambda: [nn.Conv2d(3, 10, 3), nn.ReLU(inplace=True), nn.AvgPool2d(6), nn.Flatten()],
    "average behind average": lambda: [nn.Conv2d(3, 10, 3), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "maximum of averages": lambda: [nn.Conv2d(3, 10, 1), nn.AvgPool2d(3, 1), nn.AdaptiveMaxPool2d(1), nn.Flatten()],
    "uneven windows": lambda: [nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten()],
    "in-place ReLU": lambda: [nn.Flatten(), nn.Linear(192, 10), nn.ReLU(inplace=True)],
    "dropout": lambda: [nn.Flatten(), nn.Linear(192, 10), nn.Dropout()],
}


def _made(end: str, precision: str) -> tuple[fb.quantize.QuantizedModel, fb.bitexact.BitExactNetwork, Tensor]:
    torch.manual_seed(0)
    images = torch.randn(128, 3, 8, 8)
    model = fb.quantize(nn.Sequential(*ENDS[end]()).eval(), precision)
    fb.calibrate(model, images[:32])
    return model, fb.lower(model, images[:1]), images


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("end", ENDS)
def test_both_networks_give_the_same_classes(end: str, precision: str) -> None:
    model, network, images = _made(end, precision)
    with torch.no_grad():
        classes = model(images.clone()).argmax(1)
    assert torch.equal(classes, network.predict(images))
    assert torch.equal(classes, network.run(images).argmax(1))


@pytest.mark.parametrize("precision", ["fixed2", "fixed4", "fixed8"])
@pytest.mark.parametrize("end", ENDS)
def test_what_follows_the_last_layer_raises_no_false_alarm(end: str, precision: str) -> None:
    model, network, images = _made(end, precision)
    assert fb.first_difference(model, network, images) is None
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        assert torch.allclose(double(images.double()), network.run(images), rtol=1e-12, atol=1e-12)


def test_what_changes_behind_the_last_layer_is_found() -> None:
    model, network, images = _made("global average", "fixed8")
    model.network[-1].register_forward_hook(lambda module, inputs, output: -output)
    found = fb.first_difference(model, network, images)
    assert found is not None
    assert (found.layer, found.place, found.images) == ("4", "result", 128)
    assert found.other_classes > 100
    assert f"another class for {found.other_classes} of 128 images" in str(found)


def test_a_sum_wider_than_float32_says_so_and_that_no_class_differs() -> None:
    torch.manual_seed(0)
    images = torch.randn(16, 1, 28, 28)
    model = fb.quantize(build("lenet", seed=0), "pow2-6/fixed16")
    fb.calibrate(model, images)
    found = fb.first_difference(model, fb.lower(model, images), images)
    assert found is not None
    assert "torch.float32 holds 24 bits of a sum, and those of layer" in str(found)
    assert str(found).endswith("the same classes for all 16 images")


def test_the_logits_of_an_average_are_exact_quotients() -> None:
    _, network, images = _made("global average", "fixed4")
    layer = network.layers[-1]
    sums = network.trace(images)[layer.name]
    assert isinstance(sums, Tensor)
    expected = sums.sum((2, 3)).double() / 64 * 2.0**-layer.accumulator_fraction_bits
    assert network.logits_divisor == 64
    assert torch.equal(network.run(images), expected)
