"""Layers at block formats: where blocks lie, gradients, calibration, what torch captures, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.formats import SummedDimension
from fewbits.models import build

IMAGES = torch.randn(4, 40, 6, 6, generator=torch.Generator().manual_seed(0))
NAMES = ("mxfp4", "nvfp4", "mxint8", "mxfp8-e4m3:ceil", "fixed6x8-e4m0")


def quantized(model: nn.Module, precision: str, images: torch.Tensor = IMAGES) -> fb.QuantizedModel:
    return fb.calibrate(fb.quantize(model, precision), images)


@pytest.mark.parametrize("name", NAMES)
def test_a_convolutions_blocks_lie_along_its_input_channels(name: str) -> None:
    torch.manual_seed(0)
    convolution = nn.Conv2d(40, 6, 3, padding=1)
    model = quantized(convolution, name)
    (layer,) = model.layers.values()
    number_format, along = fb.parse_format(name), SummedDimension(1)
    inputs = number_format.quantize(IMAGES, layer.input_fraction_bits, along=along)
    weight = number_format.quantize(convolution.weight, layer.weight_fraction_bits, along=along)
    assert torch.equal(model(IMAGES), F.conv2d(inputs, weight, convolution.bias, padding=1))
    alone = number_format.quantize(IMAGES[:, :, 2, 3], layer.input_fraction_bits)
    assert torch.equal(inputs[:, :, 2, 3], alone)


def test_groups_have_blocks_of_their_own() -> None:
    torch.manual_seed(0)
    model = quantized(nn.Conv2d(40, 8, 1, groups=4), "mxfp4")
    expected = [fb.parse_format("mxfp4").quantize(part, along=SummedDimension(1)) for part in IMAGES.chunk(4, 1)]
    (layer,) = model.layers.values()
    assert torch.equal(layer.rounded_input(IMAGES), torch.cat(expected, 1))


def test_a_linear_layers_blocks_lie_along_its_inputs_with_any_batch() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 50)
    model = quantized(nn.Linear(50, 4), "mxfp4", x)
    (layer,) = model.layers.values()
    assert torch.equal(layer.rounded_input(x), fb.parse_format("mxfp4").quantize(x))
    assert torch.equal(layer.quantized_weight(), fb.parse_format("mxfp4").quantize(layer.layer.weight))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_gives_the_same_whatever_stands_beside_it(name: str) -> None:
    torch.manual_seed(0)
    model = quantized(nn.Sequential(nn.Conv2d(40, 40, 3), nn.ReLU(), nn.Conv2d(40, 5, 3)), name).eval()
    together = model(IMAGES)
    assert torch.allclose(model(IMAGES[:1]), together[:1], atol=1e-6)


def test_what_a_block_clips_keeps_its_gradient() -> None:
    x = torch.full((1, 32), 0.5)
    x[0, 0] = 7.9  # clipped to 6
    model = quantized(nn.Linear(32, 1), "mxfp4", x)
    x.requires_grad_()
    model(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, model.layers["layer"].quantized_weight())


def test_beyond_the_highest_scale_under_a_tensors_factor_there_is_none() -> None:
    x = torch.full((1, 16), 0.5)
    model = quantized(nn.Linear(16, 1), "nvfp4", x)
    far = (x * 2**14).requires_grad_()
    model(far).sum().backward()
    assert far.grad is not None
    assert not bool(far.grad.any())


def test_calibration_chooses_a_point_where_the_tensor_has_a_factor() -> None:
    torch.manual_seed(0)
    for name, chosen in (("mxfp4", False), ("mxint8", False), ("nvfp4", True), ("fixed4x16-e4m0", True)):
        layer = fb.quantize(nn.Linear(40, 3), name).layers["layer"]
        assert layer.is_calibrated is not chosen


@pytest.mark.parametrize("name", NAMES)
def test_shared_values_are_rounded_once_along_channels(name: str) -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(40, 40, 3, padding=1), nn.Conv2d(40, 40, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return self.second(y) + y

    torch.manual_seed(0)
    model = quantized(Residual(), name).eval()
    rounding = model.roundings["second_input"]
    y = torch.randn(2, 40, 3, 3)
    expected = fb.parse_format(name).quantize(y, rounding.fraction_bits, along=SummedDimension(1))
    assert torch.equal(rounding(y), expected)


@pytest.mark.parametrize("name", NAMES)
def test_what_torch_captures_is_bit_for_bit_eager(name: str) -> None:
    torch.manual_seed(0)
    model = quantized(nn.Sequential(nn.Conv2d(40, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 1)), name).eval()
    eager = model(IMAGES)
    compiled = torch.compile(model.network, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(IMAGES), eager)
    exported = torch.export.export(model.network, (IMAGES,)).module()
    assert torch.equal(exported(IMAGES), eager)
    model.train()
    model(IMAGES).square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    model.zero_grad()
    compiled(IMAGES).square().sum().backward()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, gradient, rtol=1e-5, atol=1e-6)


def test_a_state_keeps_its_block_formats() -> None:
    torch.manual_seed(0)
    model = quantized(nn.Linear(40, 3), "nvfp4/mxfp8-e4m3:ceil", IMAGES[:, :, 0, 0])
    other = fb.quantize(nn.Linear(40, 3), "nvfp4/mxfp8-e4m3:ceil")
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES[:, :, 0, 0]), model(IMAGES[:, :, 0, 0]))
    with pytest.raises(fb.ModelError, match="was quantized to mxfp4"):
        fb.quantize(nn.Linear(40, 3), "mxfp4").load_state_dict(model.state_dict())


def test_weights_are_encoded_as_they_are_rounded() -> None:
    torch.manual_seed(0)
    for name in NAMES:
        layer = quantized(nn.Conv2d(40, 6, 3), name).layers["layer"]
        assert torch.equal(layer.encoded_weight().values().float(), layer.quantized_weight())


@pytest.mark.parametrize("precision", ["mxfp4", "nvfp4/mxfp8-e4m3", "fixed8/mxint8"])
def test_lower_and_cost_refuse_blocks_in_one_line(precision: str) -> None:
    images = torch.randn(2, 1, 28, 28)
    model = quantized(build("lenet", seed=0), precision, images)
    with pytest.raises(fb.ModelError, match="is a block format") as lowering:
        fb.lower(model, images)
    with pytest.raises(fb.FewbitsError, match="is a block format") as costing:
        fb.cost(build("lenet", seed=0), precision, input_shape=(1, 28, 28))
    assert "\n" not in str(lowering.value) + str(costing.value)
