"""Claims about every recipe of the catalog, on a small problem."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from fewbits import ModelError, first_difference, lower, parse_precision
from fewbits.data import Dataset
from fewbits.train import (
    RECIPES,
    Recipe,
    RecipeOptions,
    TrainSettings,
    evaluate,
    prepare_recipe,
    run_recipe,
    train_float,
)

PRECISIONS = ("fixed8", "binary/fixed16", "ternary/fixed16", "binary/binary")
SETTINGS = TrainSettings(epochs=3, batch_size=25, learning_rate=0.01)


def fitting_precision(recipe: str) -> str:
    for precision in map(parse_precision, PRECISIONS):
        if RECIPES[recipe].refusal(recipe, precision.name, precision.weights.family, precision.inputs.family) is None:
            return precision.name
    raise AssertionError(recipe)


@pytest.fixture(scope="module")
def trained(quadrants: Dataset) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 4))
    train_float(network, quadrants, TrainSettings(epochs=4, batch_size=25, learning_rate=0.1, optimizer="sgd"))
    return network


def test_every_recipe_but_best_which_stands_for_another_has_a_function():
    assert [name for name, recipe in RECIPES.items() if recipe.train is None] == ["best"]
    assert all(callable(recipe.trainer()) for name, recipe in RECIPES.items() if name != "best")


def test_a_recipe_that_no_study_could_use_is_refused():
    with pytest.raises(ModelError, match="start is one of nothing, float, scratch, not 'weights'"):
        Recipe("", "weights")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ModelError, match=r"options are among .*, not heat"):
        Recipe("", "float", options=("heat",))
    with pytest.raises(ModelError, match="has no train"):
        Recipe("", "float").trainer()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_ends_in_a_network_that_is_lowered_without_a_difference(
    quadrants: Dataset, trained: nn.Module, recipe: str
):
    q, record = run_recipe(recipe, trained, fitting_precision(recipe), quadrants, SETTINGS)
    result = evaluate(q, quadrants, quadrants.validation)
    assert result.accuracy_percent == record.best_validation_accuracy_percent
    images = quadrants.inputs(quadrants.validation)
    # In float64, since a sum of wide products is not exact in float32.
    assert first_difference(q.double(), lower(q, images[:1]), images.double()) is None


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_trains_in_mixed_precision(quadrants: Dataset, trained: nn.Module, recipe: str):
    settings = replace(SETTINGS, mixed_precision=True)
    q, record = run_recipe(recipe, trained, fitting_precision(recipe), quadrants, settings)
    assert {parameter.dtype for parameter in q.parameters()} == {torch.float32}
    accuracy = evaluate(q, quadrants, quadrants.validation).accuracy_percent
    assert accuracy == record.best_validation_accuracy_percent
    assert (len(record.history) > 0) == (recipe != "post-training")


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_a_recipe_makes_goes_into_its_prepared_network(quadrants: Dataset, trained: nn.Module, recipe: str):
    precision = fitting_precision(recipe)
    q, _ = run_recipe(recipe, trained, precision, quadrants, TrainSettings(epochs=1))
    again = prepare_recipe(recipe, trained, precision).eval()
    again.load_state_dict(q.state_dict())
    images = quadrants.inputs(quadrants.validation)
    assert torch.equal(again(images), q(images))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_a_network_with_an_average(quadrants: Dataset, tmp_path, recipe: str):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(4, 4, 2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16, 4),
        )
    precision = fitting_precision(recipe).replace("fixed8", "fixed4")
    options = RecipeOptions(approximation="dropped")  # there is no narrower fixed4
    q, _ = run_recipe(recipe, network, precision, quadrants, TrainSettings(epochs=1, batch_size=50), options=options)
    images = quadrants.inputs(quadrants.validation)
    assert lower(q, images[:1]).run(images).shape == (60, 4)
    again = prepare_recipe(recipe, network, precision).eval()
    again.load_state_dict(q.state_dict())
    assert torch.equal(again(images), q(images))


@pytest.mark.parametrize(
    ("precision", "recipe", "other"), [("fixed4", "fine-tune", "distill"), ("binary", "binary-net", "fine-tune")]
)
def test_best_trains_the_very_network_of_the_recipe_that_it_stands_for(
    quadrants: Dataset, trained: nn.Module, precision: str, recipe: str, other: str
):
    images = quadrants.inputs(quadrants.validation)
    best, same, another = (
        run_recipe(name, trained, precision, quadrants, SETTINGS)[0](images) for name in ("best", recipe, other)
    )
    assert torch.equal(best, same)
    assert not torch.equal(best, another)


@pytest.mark.parametrize("recipe", ["stochastic-update", "lsq", "gradual", "ternary-connect", "runtime-configurable"])
def test_recipes_repeat_exactly(quadrants: Dataset, trained: nn.Module, recipe: str):
    first, second = (run_recipe(recipe, trained, fitting_precision(recipe), quadrants, SETTINGS)[0] for _ in range(2))
    images = quadrants.inputs(quadrants.validation)
    assert torch.equal(first(images), second(images))


@pytest.mark.parametrize("recipe", ["stochastic-update", "lsq", "gradual", "distill-lsq", "runtime-configurable"])
def test_finished_recipes_are_not_repeated(quadrants: Dataset, trained: nn.Module, tmp_path, recipe: str):
    precision = fitting_precision(recipe)
    first, _ = run_recipe(recipe, trained, precision, quadrants, SETTINGS, checkpoint_folder=tmp_path)
    told = []
    second, record = run_recipe(
        recipe, trained, precision, quadrants, SETTINGS, checkpoint_folder=tmp_path, progress=told.append
    )
    assert told == []
    assert record.resumed_epochs == record.epochs_run
    images = quadrants.inputs(quadrants.validation)
    assert torch.equal(first(images), second(images))


def test_a_precision_that_a_recipe_does_not_take_is_refused(quadrants: Dataset, trained: nn.Module):
    with pytest.raises(ModelError, match=r"recipe 'ternary-connect' takes ternary weights, not those of 'fixed8'"):
        run_recipe("ternary-connect", trained, "fixed8", quadrants)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", 0.0),
        ("distillation_weight", 1.5),
        ("error_margin_points", -1.0),
        ("increments", (0.5, 0.25, 1.0)),
        ("increments", (0.5,)),
    ],
)
def test_an_option_out_of_range_is_refused(option: str, value: object):
    with pytest.raises(ModelError, match=f"{option} must be"):
        RecipeOptions(**{option: value})
