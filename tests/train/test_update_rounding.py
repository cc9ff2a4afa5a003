"""Gupta et al. (2015): with weights of 16 bits and no float shadow, nearest rounding stalls, stochastic learns."""

import pytest
import torch
from digit_networks import trained_by
from torch import nn

from fewbits.data import Dataset
from fewbits.quantization.methods.stochastic import round_stochastically

SGD = {"epochs": 2, "batch_size": 32, "optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.004}


@pytest.mark.slow
def test_at_16_bits_nearest_rounding_stalls_and_stochastic_rounding_learns(digits: Dataset, trained_convnet: nn.Module):
    accuracy = {
        recipe: trained_by(recipe, trained_convnet, "fixed16", digits, schedule="step", **SGD)[1]
        for recipe in ("nearest-update", "stochastic-update", "from-scratch")
    }
    assert accuracy["nearest-update"] < 20  # ten classes: near chance
    assert accuracy["stochastic-update"] > 30
    assert abs(accuracy["stochastic-update"] - accuracy["from-scratch"]) < 5  # as good as float shadow weights


@pytest.mark.parametrize("recipe", ["nearest-update", "stochastic-update"])
def test_weights_without_a_shadow_are_values_of_their_format(quadrants: Dataset, small_network: nn.Module, recipe: str):
    q, _ = trained_by(recipe, small_network, "fixed8", quadrants, epochs=1)
    assert all(torch.equal(layer.layer.weight, layer.quantized_weight()) for layer in q.layers.values())


def test_stochastic_rounding_is_right_in_expectation():
    x = torch.full((40_000,), 0.3)
    torch.manual_seed(0)
    rounded = round_stochastically(x, 1.0)
    assert set(rounded.tolist()) == {0.0, 1.0}
    assert rounded.mean().item() == pytest.approx(0.3, abs=0.01)  # 4 standard errors


def test_stochastic_rounding_keeps_what_is_on_the_grid():
    x = torch.arange(-8, 8) / 4
    assert torch.equal(round_stochastically(x, 0.25), x)
