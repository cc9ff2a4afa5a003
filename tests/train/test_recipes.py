"""Claims about the recipes, on a small problem and on real digits."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from fewbits import ModelError, data, models
from fewbits.data import Dataset, Split
from fewbits.quantization import equalize_channels
from fewbits.train import TrainSettings, evaluate, run_recipe, train_float

SETTINGS = TrainSettings(epochs=3, batch_size=25, learning_rate=0.05, optimizer="sgd")


@pytest.fixture
def trained(quadrants: Dataset, small_network: nn.Module) -> nn.Module:
    train_float(small_network, quadrants, TrainSettings(epochs=4, batch_size=25, learning_rate=0.1, optimizer="sgd"))
    return small_network


@pytest.mark.parametrize("recipe", ["post-training", "fine-tune", "from-scratch"])
@pytest.mark.parametrize("precision", ["fixed8", "pow2-6/fixed16"])
def test_every_recipe_gives_a_calibrated_network_that_works(
    quadrants: Dataset, trained: nn.Module, recipe: str, precision: str
):
    before = copy.deepcopy(trained.state_dict())
    q, record = run_recipe(recipe, trained, precision, quadrants, SETTINGS)
    assert not q.training
    assert record.phase == recipe
    assert record.epochs_run == (0 if recipe == "post-training" else 3)
    accuracy = evaluate(q, quadrants, quadrants.validation).accuracy_percent
    assert accuracy == record.best_validation_accuracy_percent > 80
    assert all(torch.equal(trained.state_dict()[name], value) for name, value in before.items())


def test_post_training_keeps_the_float_weights(quadrants: Dataset, trained: nn.Module):
    q, _ = run_recipe("post-training", trained, "fixed8", quadrants)
    assert torch.equal(q.layers["0"].layer.weight, trained[0].weight)


def test_fine_tune_keeps_its_start_where_no_epoch_is_better(quadrants: Dataset, trained: nn.Module):
    train = quadrants.train
    mislabeled = replace(quadrants, train=Split(train.images, (train.labels + 1) % quadrants.classes))
    start, untrained = run_recipe("post-training", trained, "fixed16", mislabeled)
    q, record = run_recipe("fine-tune", trained, "fixed16", mislabeled, SETTINGS)
    assert max(epoch.validation_accuracy_percent for epoch in record.history) < record.start_validation_accuracy_percent
    assert (record.epochs_run, record.best_epoch) == (3, 0)
    assert record.best_validation_accuracy_percent == record.start_validation_accuracy_percent
    assert record.start_validation_accuracy_percent == untrained.best_validation_accuracy_percent
    assert all(torch.equal(q.state_dict()[name], value) for name, value in start.state_dict().items())


def test_a_recipe_from_new_weights_has_no_start_to_keep(quadrants: Dataset, trained: nn.Module):
    _, record = run_recipe("from-scratch", trained, "fixed16", quadrants, SETTINGS)
    assert record.start_validation_accuracy_percent is None
    assert record.best_epoch >= 1


def test_fine_tune_starts_from_the_float_weights(quadrants: Dataset, trained: nn.Module):
    tiny = TrainSettings(epochs=1, learning_rate=1e-12, optimizer="sgd")
    q, _ = run_recipe("fine-tune", trained, "fixed8", quadrants, tiny)
    torch.testing.assert_close(q.layers["0"].layer.weight, trained[0].weight)


def test_from_scratch_forgets_the_float_weights(quadrants: Dataset, trained: nn.Module):
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other[0].weight.zero_()
    first, _ = run_recipe("from-scratch", trained, "fixed8", quadrants, SETTINGS, seed=4)
    second, _ = run_recipe("from-scratch", other, "fixed8", quadrants, SETTINGS, seed=4)
    assert torch.equal(first.layers["0"].layer.weight, second.layers["0"].layer.weight)


def test_from_scratch_refuses_parameters_that_it_cannot_draw(quadrants: Dataset, trained: nn.Module):
    trained[1].gain = nn.Parameter(torch.ones(1))
    with pytest.raises(ModelError, match="no reset_parameters"):
        run_recipe("from-scratch", trained, "fixed8", quadrants, SETTINGS)


@pytest.mark.parametrize("clips", [True, False])
def test_shadow_weights_of_binary_layers_are_clipped_to_the_scale(quadrants: Dataset, trained: nn.Module, clips: bool):
    settings = TrainSettings(epochs=1, learning_rate=0.05, optimizer="sgd", clip_shadow_weights=clips)
    q, _ = run_recipe("fine-tune", trained, "binary/fixed16", quadrants, settings)
    layer = q.layers["0"]
    inside = layer.layer.weight.abs() <= 2.0**-layer.weight_fraction_bits
    assert bool(inside.all()) is clips


def test_divergence_in_low_precision_is_named(quadrants: Dataset, trained: nn.Module):
    with pytest.raises(ModelError, match=r"\(fine-tune\) diverged"):
        run_recipe(
            "fine-tune",
            trained,
            "float32/fixed16",
            quadrants,
            TrainSettings(epochs=2, learning_rate=1e30, optimizer="sgd"),
        )


def test_fine_tuning_starts_from_equalized_channels(quadrants: Dataset, trained: nn.Module):
    settings = TrainSettings(epochs=1, learning_rate=1e-12, equalize_channels=True)
    expected, _ = run_recipe("post-training", equalize_channels(trained), "fixed8", quadrants)
    network, _ = run_recipe("fine-tune", trained, "fixed8", quadrants, settings)
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], value)


def test_channels_of_new_weights_are_not_equalized(quadrants: Dataset, trained: nn.Module):
    with pytest.raises(ModelError, match="from-scratch draws new weights"):
        run_recipe("from-scratch", trained, "fixed8", quadrants, TrainSettings(equalize_channels=True))
    with pytest.raises(ModelError, match="not for float training"):
        train_float(trained, quadrants, TrainSettings(equalize_channels=True))


def test_an_unknown_recipe_is_refused(quadrants: Dataset, trained: nn.Module):
    with pytest.raises(ModelError, match="unknown recipe 'magic': give one of post-training, fine-tune, from-scratch"):
        run_recipe("magic", trained, "fixed8", quadrants)


@pytest.mark.slow
def test_eight_bits_after_training_are_as_good_as_float_on_real_digits():
    digits = data.load("digits")
    lenet = models.build("lenet", seed=0)
    train_float(lenet, digits, TrainSettings(epochs=4))
    q, _ = run_recipe("post-training", lenet, "fixed8", digits)
    accuracy = evaluate(lenet, digits, digits.test).accuracy_percent
    assert accuracy > 93
    assert abs(evaluate(q, digits, digits.test).accuracy_percent - accuracy) <= 0.5
