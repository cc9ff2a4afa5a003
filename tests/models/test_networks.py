"""The built-in networks have the published shapes and sizes, and a seed gives the same weights each time."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fewbits import ModelError
from fewbits.models import MODEL_NAMES, build, input_shape

WEIGHTS = {
    **{"lenet": 430_500, "convnet": 566_648, "alex": 89_440, "alex+": 332_480, "alex++": 2_392_720},
    **{"compact": 75_616, "mlp": 234_752, "vgg": 549_984, "resnet20": 270_896, "mobilenet-small": 35_680},
    **{"resnet8": 77_360, "resnet18": 11_678_912},
}
"""Of convolutions and linear layers."""


def weight_count(model: torch.nn.Module) -> int:
    return sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear)))


def test_every_built_in_network_is_counted_here():
    assert set(MODEL_NAMES) == set(WEIGHTS)


@pytest.mark.parametrize("name", WEIGHTS)
def test_weight_count_is_the_published_one(name: str):
    assert weight_count(build(name)) == WEIGHTS[name]


@pytest.mark.parametrize("name", WEIGHTS)
def test_forward_gives_a_logit_for_each_class(name: str):
    shape = input_shape(name)
    assert shape is not None
    assert build(name).eval()(torch.zeros(1, *shape)).shape == (1, 1000 if name == "resnet18" else 10)


def test_alex_plus_plus_is_about_9400_kilobytes_in_float32():
    assert WEIGHTS["alex++"] * 4 / 1024 == pytest.approx(9400, rel=0.01)


@pytest.mark.parametrize("name", ["lenet", "lenet*1.5"])
def test_same_seed_gives_same_weights(name: str):
    first, second = build(name, seed=3), build(name, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_other_seed_gives_other_weights():
    assert not torch.equal(next(build("lenet", seed=3).parameters()), next(build("lenet", seed=4).parameters()))


def test_seeded_build_leaves_the_global_generator_alone():
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    build("lenet", seed=3)
    assert torch.equal(torch.rand(3), expected)


def test_unseeded_build_draws_from_the_global_generator():
    torch.manual_seed(3)
    model = build("lenet")
    assert torch.equal(next(model.parameters()), next(build("lenet", seed=3).parameters()))


def test_unknown_model_suggests_the_nearest_name():
    with pytest.raises(ModelError, match=r"unknown model 'lenett': give one of lenet, .*did you mean 'lenet'\?"):
        build("lenett")


def test_bad_factor_is_quoted():
    with pytest.raises(ModelError, match="'lenet\\*wide': 'wide' is not a factor"):
        build("lenet*wide")
