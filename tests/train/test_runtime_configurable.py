"""Runtime-configurable networks: one set of weights, more accuracy for more energy."""

import pytest
import torch
from torch import nn

from fewbits import ModelError, cost, lower
from fewbits.data import Dataset
from fewbits.quantization import quantize
from fewbits.train import RecipeOptions, TrainSettings, evaluate, operating_points, run_recipe

PARTS = (0.25, 1.0)


@pytest.mark.slow
def test_more_channels_cost_more_energy_and_classify_better(digits: Dataset, trained_convnet: nn.Module):
    settings = TrainSettings(epochs=4, batch_size=32)
    q, _ = run_recipe(
        "runtime-configurable", trained_convnet, "fixed8", digits, settings, options=RecipeOptions(increments=PARTS)
    )
    images = digits.inputs(digits.test)
    points = operating_points(q, images=digits.inputs(digits.train.images[:256]), parts=PARTS)
    accuracies = [evaluate(point.model, digits, digits.test).accuracy_percent for point in points]
    energies = [cost(lower(point.model, images[:1])).energy_uj for point in points]
    assert accuracies[0] > 50
    assert accuracies[1] > accuracies[0] + 3
    assert energies[0] < 0.8 * energies[1]


@pytest.fixture
def configurable(quadrants: Dataset, small_network: nn.Module):
    settings = TrainSettings(epochs=4, batch_size=25, weight_decay=0.01)
    options = RecipeOptions(increments=(0.5, 1.0))
    return run_recipe("runtime-configurable", small_network, "fixed8", quadrants, settings, options=options)


def test_what_a_smaller_point_learned_stays_as_it_is(quadrants: Dataset, configurable):
    q, record = configurable
    images = quadrants.inputs(quadrants.train)
    small, whole = operating_points(q, images, (0.5, 1.0))
    assert torch.equal(whole.model.layers["0"].layer.weight, q.layers["0"].layer.weight)
    learned = record.notices[0]
    accuracy = evaluate(small.model, quadrants, quadrants.validation).accuracy_percent
    assert learned == f"50 % of the channels: {accuracy:.2f} % of the validation images"


def test_a_smaller_point_is_a_slice_of_the_whole(quadrants: Dataset, configurable):
    q, _ = configurable
    small, _ = operating_points(q, quadrants.inputs(quadrants.train), (0.5, 1.0))
    first, second = (small.model.layers[name].layer.weight for name in ("0", "4"))
    assert torch.equal(first, q.layers["0"].layer.weight[:2])
    assert torch.equal(second, q.layers["4"].layer.weight[:, :18])


def test_what_is_no_chain_is_refused(quadrants: Dataset):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(ModelError, match="layer '2' does not take just the 4 channels"):
        operating_points(quantize(network, "fixed8"), quadrants.inputs(quadrants.train), (0.5, 1.0))
