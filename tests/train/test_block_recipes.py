"""Recipes at block formats: every one that takes floats trains them; digits come out about as well as in float."""

from __future__ import annotations

import pytest

import fewbits as fb
from fewbits import data, models
from fewbits.train import RECIPES, TrainSettings, run_recipe, train_float

PRECISIONS = ("mxfp4", "nvfp4", "mxint8")
ONE_EPOCH = TrainSettings(epochs=1)
GENERAL = [name for name, one in RECIPES.items() if not (one.weight_families or one.input_families)]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_lenet_on_digits_is_within_two_points_of_float(precision: str) -> None:
    digits, network = data.load("digits"), models.build("lenet", seed=0)
    real = train_float(network, digits, TrainSettings(epochs=2)).best_validation_accuracy_percent
    _, record = run_recipe("fine-tune", network, precision, digits, ONE_EPOCH)
    assert record.best_validation_accuracy_percent >= real - 2


@pytest.mark.slow
@pytest.mark.parametrize("recipe", GENERAL)
def test_every_recipe_without_families_of_its_own_takes_blocks(recipe: str) -> None:
    digits, network = data.load("digits"), models.build("mlp", seed=0)
    train_float(network, digits, ONE_EPOCH)
    model, record = run_recipe(recipe, network, "nvfp4/mxfp8-e4m3", digits, ONE_EPOCH)
    assert record.best_validation_accuracy_percent > 20  # ten classes
    assert {layer.weight_format.name for layer in model.layers.values()} == {"nvfp4"}


def test_a_recipe_for_integers_refuses_them_in_one_line() -> None:
    digits, network = data.load("digits"), models.build("mlp", seed=0)
    with pytest.raises(fb.ModelError, match="takes fixed weights, not those of 'mxint8'"):
        run_recipe("stochastic-update", network, "mxint8", digits, ONE_EPOCH)
