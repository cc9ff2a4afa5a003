"""Recipes train inputs without a sign, and leave signed what must be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits import ModelError, data, train


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 5, stride=3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(6 * 4, 10)),
    )


def few(**normalization: float) -> data.Dataset:
    """Digits, a hundred to train with."""
    digits = data.load("digits", **normalization)
    parts = {name: getattr(digits, name) for name in ("train", "validation")}
    return replace(digits, **{name: type(one)(one.images[:100], one.labels[:100]) for name, one in parts.items()})


def trained(recipe: str, precision: str, digits: data.Dataset) -> fb.QuantizedModel:
    settings = None if recipe == "post-training" else train.TrainSettings(epochs=2)
    return train.run_recipe(recipe, network(), precision, digits, settings)[0]


@pytest.mark.parametrize("recipe", ["post-training", "fine-tune", "lsq", "lsq-free", "pact", "gradual", "from-scratch"])
@pytest.mark.parametrize("precision", ["fixed3/ufixed3", "ternary/ufixed4"])
def test_a_recipe_ends_with_the_unsigned_network_that_hardware_computes(recipe: str, precision: str):
    digits = few()
    model = trained(recipe, precision, digits)
    images = digits.inputs(digits.test.images[:8])
    assert {layer.input_format.family for layer in model.layers.values()} == {"ufixed"}
    assert torch.equal(fb.lower(model, images[:1]).run(images), model.double()(images.double()))


@pytest.mark.parametrize("recipe", ["fine-tune", "gradual", "lsq"])
def test_a_recipe_leaves_signed_what_takes_negative_pixels(recipe: str):
    digits = few(mean=0.5, std=0.5)
    model = trained(recipe, "fixed4/ufixed4:auto-sign", digits)
    assert [layer.input_format.name for layer in model.layers.values()] == ["fixed4", "ufixed4", "ufixed4"]
    images = digits.inputs(digits.test.images[:8])
    assert torch.equal(fb.lower(model, images[:1]).run(images), model.double()(images.double()))


@pytest.mark.parametrize("recipe", ["ristretto", "approximate-neurons"])
def test_recipes_that_do_not_take_them_say_so(recipe: str):
    with pytest.raises(ModelError, match=f"recipe '{recipe}' takes fixed inputs, not those of 'fixed4/ufixed4'"):
        trained(recipe, "fixed4/ufixed4", few())
