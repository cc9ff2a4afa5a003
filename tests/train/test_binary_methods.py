"""BinaryConnect, ternary connect, BinaryNet, Binary-Weight-Networks: the effects that their papers claim."""

import pytest
import torch
from digit_networks import trained_by
from torch import nn

from fewbits import ModelError, parse_precision
from fewbits.data import Dataset
from fewbits.quantization import QuantizedLayer, quantize
from fewbits.quantization.methods.connect import StochasticSigns, TernaryConnect
from fewbits.quantization.methods.scaled_weights import ChannelScales
from fewbits.train import prepare_recipe

SETTINGS = {"epochs": 4, "batch_size": 32, "learning_rate": 0.005}


def linear(precision: str, weight: list[list[float]]) -> QuantizedLayer:
    layer = QuantizedLayer(nn.Linear(len(weight[0]), len(weight), bias=False), parse_precision(precision))
    layer.layer.weight.data = torch.tensor(weight)
    layer.weight_fraction_bits, layer.input_fraction_bits = 1, 8
    return layer


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["binary-connect", "binary-connect-stochastic"])
def test_training_with_binary_weights_beats_binarizing_afterwards(
    digits: Dataset, trained_convnet: nn.Module, recipe: str
):
    afterwards = trained_by("post-training", trained_convnet, "binary/fixed16", digits)[1]
    assert trained_by(recipe, trained_convnet, "binary/fixed16", digits, **SETTINGS)[1] > afterwards + 5


@pytest.mark.slow
def test_ternary_connect_learns_as_well_as_the_straight_through_estimator(digits: Dataset, trained_convnet: nn.Module):
    accuracy = {
        recipe: trained_by(recipe, trained_convnet, "ternary/fixed16", digits, **SETTINGS)[1]
        for recipe in ("from-scratch", "ternary-connect")
    }
    assert accuracy["ternary-connect"] > accuracy["from-scratch"] - 3
    assert accuracy["ternary-connect"] > 80


@pytest.mark.slow
def test_binary_activations_are_learned_where_rounding_alone_gives_chance(digits: Dataset, trained_convnet: nn.Module):
    assert trained_by("post-training", trained_convnet, "binary/binary", digits)[1] < 20
    assert trained_by("binary-net", trained_convnet, "binary/binary", digits, **SETTINGS)[1] > 75


@pytest.mark.slow
def test_a_factor_for_each_channel_beats_one_power_of_two_for_a_layer(digits: Dataset, trained_convnet: nn.Module):
    accuracy = {
        recipe: trained_by(recipe, trained_convnet, "binary/fixed16", digits, epochs=3, batch_size=32)[1]
        for recipe in ("fine-tune", "binary-weight-network")
    }
    assert accuracy["binary-weight-network"] > accuracy["fine-tune"] + 1


def test_drawn_signs_have_the_shadow_weight_as_mean():
    layer = linear("binary/fixed16", [[0.25] * 20_000])
    layer.method = StochasticSigns()
    drawn = layer(torch.eye(1).expand(1, 20_000) / 20_000 * 0 + 1)  # the sum of all weights
    assert drawn.item() / 20_000 == pytest.approx(0.25, abs=0.015)  # 5 standard errors
    layer.eval()
    assert layer(torch.ones(1, 20_000)).item() / 20_000 == 0.5  # the sign alone


def test_drawn_ternary_weights_have_the_shadow_weight_as_mean():
    layer = linear("ternary/fixed16", [[-0.125] * 20_000])
    layer.method = TernaryConnect()
    assert layer(torch.ones(1, 20_000)).item() / 20_000 == pytest.approx(-0.125, abs=0.01)  # 6 standard errors


def test_weights_gradients_are_made_from_powers_of_two():
    layer = linear("ternary/fixed16", [[0.1, -0.4, 0.3]])
    layer.method = TernaryConnect()
    layer(torch.tensor([[3.5, 0.9, 0.26]])).sum().backward()
    assert layer.layer.weight.grad is not None
    assert layer.layer.weight.grad.tolist() == [[4.0, 1.0, 0.25]]


def test_channel_factors_are_mean_magnitudes():
    layer = linear("binary/fixed16", [[0.5, -0.25, 0.75], [0.1, 0.1, -0.1]])
    layer.method = ChannelScales(layer)
    method, layer.method = layer.method, None
    method.settle(layer)
    assert layer.scale_bits == 8
    torch.testing.assert_close(
        layer.quantized_weight(), torch.tensor([[0.5, -0.5, 0.5], [0.1, 0.1, -0.1]]), atol=2**-9, rtol=0
    )


def test_the_first_layer_of_a_binary_network_sees_images_of_eight_bits(small_network: nn.Module):
    q = prepare_recipe("binary-net", small_network, "binary/binary")
    assert [layer.input_format.name for layer in q.layers.values()] == ["fixed8", "binary"]
    assert not any(isinstance(module, nn.ReLU) for module in q.network.modules())


def test_binary_inputs_behind_a_functional_relu_are_refused():
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(torch.relu(self.first(x)))

    assert quantize(Functional(), "binary/binary")
    with pytest.raises(ModelError, match=r"no nn\.ReLU module"):
        prepare_recipe("binary-net", Functional(), "binary/binary")
