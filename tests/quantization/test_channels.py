"""Per-channel radix points: each output as if it were a layer of its own, and what the hardware stores for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.formats.scale import CHANNEL_SHIFT_BITS, Scale
from fewbits.quantization import QuantizedModel, choose_fraction_bits

IMAGES = torch.randn(16, 2, 6, 6, generator=torch.Generator().manual_seed(0))
SCALES = torch.tensor([1.0, 0.3, 0.01, 1e-9, 0.0])


def uneven() -> nn.Sequential:
    """A network whose first layer has outputs of very different sizes, one of them dead."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 3))
    with torch.no_grad():
        model[0].weight.mul_(SCALES.view(-1, 1, 1, 1))
    return model


def calibrated(precision: str) -> QuantizedModel:
    quantized = fb.quantize(uneven(), precision, per_channel=True)
    fb.calibrate(quantized, IMAGES)
    return quantized.eval()


@pytest.mark.parametrize("precision", ["fixed8", "pow2-6/fixed16", "binary/fixed16", "ternary/fixed8"])
def test_each_output_is_rounded_at_a_radix_point_of_its_own(precision: str) -> None:
    layer = calibrated(precision).layers["0"]
    weight = layer.layer.weight.detach()
    rounded = layer.quantized_weight()
    for output in range(3):
        point = choose_fraction_bits(layer.weight_format, weight[output])
        assert torch.equal(rounded[output], layer.weight_format.quantize(weight[output], point))


def test_shifts_are_kept_within_four_bits() -> None:
    layer = calibrated("fixed8").layers["0"]
    assert layer.channel_shifts is not None
    shifts = layer.channel_shifts.tolist()
    assert shifts[0] == 0
    assert shifts[3] == 2**CHANNEL_SHIFT_BITS - 1
    assert shifts[4] == 0  # nothing but zeros


def test_an_outputs_own_radix_point_is_nearer_than_the_layers() -> None:
    weight = uneven()[0].weight.detach()
    layers = fb.quantize(uneven(), "fixed4")
    fb.calibrate(layers, IMAGES)

    def error(model: QuantizedModel) -> float:
        return (
            (model.layers["0"].quantized_weight() - weight)[:3].div(SCALES[:3].view(-1, 1, 1, 1)).square().mean().item()
        )

    assert error(calibrated("fixed4")) < 0.1 * error(layers)


@pytest.mark.parametrize("precision", ["fixed4", "fixed16", "pow2-6/fixed16", "binary/fixed16"])
def test_the_bit_exact_network_has_the_same_radix_points(precision: str) -> None:
    model = calibrated(precision).double()
    network = fb.lower(model, IMAGES)
    assert network.layers[0].output_shifts is not None
    assert network.layers[0].output_shifts[0] == 15
    with torch.no_grad():
        assert torch.equal(model(IMAGES.double()), network.run(IMAGES.double()))


def test_a_bias_is_rounded_at_its_outputs_radix_point() -> None:
    model = calibrated("fixed8")
    layer, (lowered, _) = model.layers["0"], fb.lower(model, IMAGES).layers
    assert lowered.bias is not None
    values = [number * 2.0**-lowered.accumulator_fraction_bits for number in lowered.bias]
    bias = layer.quantized_bias()
    assert bias is not None
    assert bias.tolist() == values


def test_gradients_are_masked_where_an_output_saturates() -> None:
    model = fb.quantize(nn.Linear(1, 2, bias=False), "fixed4", per_channel=True)
    layer = model.layers["layer"]
    layer.weight_fraction_bits = layer.input_fraction_bits = 0
    layer.weight_scale = Scale.of_channels((0, 2))
    layer.layer.weight.data.copy_(torch.tensor([[5.0], [5.0]]))
    model(torch.ones(1, 1)).sum().backward()
    assert layer.layer.weight.grad is not None
    assert layer.layer.weight.grad.flatten().tolist() == [1.0, 0.0]  # 5 * 4 lies beyond 7


def test_training_methods_see_the_same_weights() -> None:
    layer = calibrated("fixed4").layers["0"]
    assert torch.equal(layer.straight_through_weight(), layer.quantized_weight())


def test_shifts_are_stored_with_the_network() -> None:
    model = calibrated("fixed8")
    other = fb.quantize(uneven(), "fixed8", per_channel=True).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(IMAGES), model(IMAGES))


def test_float_weights_have_no_radix_point_of_their_own() -> None:
    assert fb.quantize(uneven(), "float32", per_channel=True).layers["0"].channel_shifts is None
    with pytest.raises(fb.ModelError, match="per-channel radix points are for weights of integers"):
        fb.quantize(uneven(), "fp8-e4m3", per_channel=True)


def test_products_of_outputs_with_their_own_radix_points_are_not_cut() -> None:
    model = calibrated("pow2-6/fixed16")
    with pytest.raises(fb.ModelError, match="not cut where outputs have scales of their own"):
        fb.lower(model, IMAGES, product_bits=20)


def test_the_cost_has_four_bits_an_output_more() -> None:
    plain = fb.quantize(uneven(), "fixed8")
    fb.calibrate(plain, IMAGES)
    channels = calibrated("fixed8")
    more = CHANNEL_SHIFT_BITS * (5 + 3) / 8192
    for first, second in ((plain, channels), (fb.lower(plain, IMAGES), fb.lower(channels, IMAGES))):
        costs = [fb.cost(one, input_shape=(2, 6, 6)) for one in (first, second)]
        assert costs[1].parameters_kib - costs[0].parameters_kib == pytest.approx(more)
        assert costs[1].traffic_kib - costs[0].traffic_kib == pytest.approx(more)
        assert costs[1].cycles == costs[0].cycles


def test_a_state_has_the_names_that_stored_networks_have() -> None:
    layer = calibrated("pow2-6/fixed16").layers["0"]
    names = {"weight_radix_point", "input_radix_point", "channel_shifts", "precision_text"}
    assert set(layer.state_dict()) == {"layer.weight", "layer.bias", *names}
    layer.set_formats(fb.parse_precision("fixed8"), scale_bits=8)
    assert bytes(layer.state_dict()["formats_text"].tolist()) == b"fixed8/fixed8*8"
