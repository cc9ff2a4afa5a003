"""ResNet-8 is MLPerf Tiny's network, ResNet-18 torchvision's: products, parameters and names are theirs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.hardware import workload_of
from fewbits.models import build

PRODUCTS = {"resnet8": 12_501_632, "resnet18": 1_814_073_344}
"""Of an image. MLPerf Tiny's from its Keras model, layer by layer; ResNet-18's with its classifier."""

TORCHVISION_SHAPES = {
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_var": (64,),
    "layer1.0.conv1.weight": (64, 64, 3, 3),
    "layer1.1.bn2.bias": (64,),
    "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer2.0.downsample.1.running_mean": (128,),
    "layer4.1.conv2.weight": (512, 512, 3, 3),
    "fc.weight": (1000, 512),
    "fc.bias": (1000,),
}
"""Entries of a checkpoint of torchvision's resnet18, from each kind of place."""


def parameters(model: nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_an_image_are_the_published_ones(name: str):
    assert workload_of(name).products == PRODUCTS[name]


def test_resnet18_has_the_parameters_of_torchvisions():
    assert parameters(build("resnet18")) == 11_689_512


def test_resnet18_has_the_names_and_shapes_of_torchvisions_checkpoints():
    state = build("resnet18").state_dict()
    assert {name: tuple(state[name].shape) for name in TORCHVISION_SHAPES} == TORCHVISION_SHAPES


def test_resnet18_has_as_many_entries_as_torchvisions_checkpoints():
    # 20 convolutions, 20 normalizations of five entries each, weight and bias of the classifier.
    assert len(build("resnet18").state_dict()) == 20 + 20 * 5 + 2


def test_resnet8_has_the_parameters_of_mlperf_tinys():
    # Keras counts 78,666 with the normalizations' running means and variances.
    model = build("resnet8")
    running = sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name)
    assert parameters(model) + running == 78_666


def test_resnet8_is_lowered_and_computes_what_the_quantized_network_does():
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    quantized = fb.quantize(fb.fold_batch_norm(build("resnet8", seed=0).eval()), "fixed8")
    fb.calibrate(quantized, images)
    assert not quantized.skipped
    assert torch.allclose(fb.lower(quantized, images[:1]).run(images), quantized(images).double(), atol=1e-4)


def test_resnet18_has_a_cost_of_every_layer():
    cost = fb.cost("resnet18", "fixed8")
    kinds = [layer.kind for layer in cost.breakdown.layers]
    assert (kinds.count("convolution"), kinds.count("linear"), kinds.count("addition")) == (20, 1, 8)
    assert cost.cycles > PRODUCTS["resnet18"] / 256
