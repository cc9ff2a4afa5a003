"""Where fake-quantized and bit-exact networks differ first, and by how much."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.bitexact import Difference
from fewbits.models import build
from fewbits.quantization import QuantizedModel


def _model(precision: str = "fixed8") -> tuple[QuantizedModel, torch.Tensor]:
    images = torch.randn(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    model = fb.quantize(build("lenet", seed=0), precision)
    fb.calibrate(model, images)
    return model, images


def test_narrow_networks_do_not_differ() -> None:
    model, images = _model()
    assert fb.first_difference(model, fb.lower(model, images), images) is None


def test_a_changed_weight_shows_at_the_next_layers_input() -> None:
    model, images = _model()
    network = fb.lower(model, images)
    model.layers["conv2"].layer.weight.data[7] += 1.0
    found = fb.first_difference(model, network, images)
    assert isinstance(found, Difference)
    assert (found.layer, found.place) == ("fc1", "input")
    assert found.index[1] in range(7 * 16, 8 * 16)
    assert found.difference == found.fake_quantized - found.bit_exact != 0
    assert found.last_places == found.difference * 2.0 ** model.layers["fc1"].input_fraction_bits
    assert "layer 'fc1', input (0, " in str(found)


def test_a_changed_bias_of_the_last_layer_shows_at_its_accumulator() -> None:
    model, images = _model()
    network = fb.lower(model, images)
    unit = 2.0 ** -model.layers["fc2"].accumulator_fraction_bits
    model.layers["fc2"].layer.bias.data[3] += 5 * unit
    found = fb.first_difference(model, network, images)
    assert found is not None
    assert (found.layer, found.place, found.index, found.last_places) == ("fc2", "accumulator", (0, 3), 5)


def test_sums_wider_than_float32_differ_by_less_than_a_code() -> None:
    model, images = _model("fixed32")
    found = fb.first_difference(model, fb.lower(model, images), images)
    assert found is not None
    assert abs(found.difference) < 1e-5


def test_a_module_in_float64_shows_no_rounding_of_its_own() -> None:
    model, images = _model("fixed16")
    network = fb.lower(model, images)
    assert fb.first_difference(model.double(), network, images.double()) is None


def test_comparing_leaves_the_module_as_it_was() -> None:
    model, images = _model()
    model.train()
    fb.first_difference(model, fb.lower(model, images), images)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def test_another_network_is_refused() -> None:
    model, images = _model()
    other = fb.quantize(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), "fixed8")
    fb.calibrate(other, images)
    with pytest.raises(fb.ModelError, match="has no layer 'conv1'"):
        fb.first_difference(other, fb.lower(model, images), images)


def test_saturation_on_both_sides_is_no_difference() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv1d(1, 1, 1, bias=False), nn.AvgPool1d(2), nn.Conv1d(1, 1, 1)), "fixed8")
    for layer in model.layers.values():
        layer.weight_fraction_bits = layer.input_fraction_bits = 0
        nn.init.ones_(layer.layer.weight)
    images = torch.tensor([[[127.0, 127.0]]])
    model.layers["2"].input_fraction_bits = 2
    found = fb.first_difference(model, fb.lower(model, images), images)
    assert found is None  # both saturate


class Shared(nn.Module):
    """Uses one layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.relu(self.b(torch.relu(self.a(x)))))


def test_both_uses_of_a_layer_are_compared() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 6)
    model = fb.quantize(Shared(), "fixed8")
    fb.calibrate(model, images)
    network = fb.lower(model, images[:1])
    assert fb.first_difference(model, network, images) is None
    first, second = (layer.name for layer in network.layers if layer.name.startswith("b"))
    assert first == "b"
    model.layers["b"].layer.bias.data += 1.0
    found = fb.first_difference(model, network, images)
    assert isinstance(found, Difference)
    assert (found.layer, found.place) == (second, "input")


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_images_of_another_type_than_the_module_are_refused(kind: torch.dtype) -> None:
    model, images = _model()
    with pytest.raises(fb.DataError, match=r"the images are .*, the model computes in torch\.float32: give images\.to"):
        fb.first_difference(model, fb.lower(model, images), images.to(kind))
