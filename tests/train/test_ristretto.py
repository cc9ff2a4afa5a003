"""Ristretto trims each group of numbers under an error margin; eight bits are enough for digits."""

import pytest
from digit_networks import trained_by
from torch import nn

from fewbits.data import Dataset
from fewbits.train import RecipeOptions, TrainSettings, evaluate, run_recipe, train_float


@pytest.mark.slow
def test_digits_need_eight_bits_or_fewer_within_one_point(digits: Dataset, trained_convnet: nn.Module):
    q, record = run_recipe("ristretto", trained_convnet, "fixed16", digits, TrainSettings(epochs=1, batch_size=32))
    widths = {bits for layer in q.layers.values() for bits in (layer.weight_format.bits, layer.input_format.bits)}
    assert max(widths) <= 8
    floor = evaluate(trained_convnet, digits, digits.validation).accuracy_percent - 1
    assert record.best_validation_accuracy_percent >= floor
    assert record.notices[0].startswith("trimmed to convolution weights ")


def test_a_wider_margin_gives_no_wider_numbers(quadrants: Dataset, small_network: nn.Module):
    train_float(small_network, quadrants, TrainSettings(epochs=4, batch_size=25, learning_rate=0.1, optimizer="sgd"))

    def bits(margin: float) -> int:
        options = RecipeOptions(error_margin_points=margin)
        q, _ = trained_by("ristretto", small_network, "fixed8", quadrants, options, epochs=1)
        return sum(layer.weight_format.bits + layer.input_format.bits for layer in q.layers.values())

    assert bits(100) == 8 < bits(0)  # two bits each: any accuracy is within the margin


def test_widths_never_exceed_the_precision(quadrants: Dataset, small_network: nn.Module):
    options = RecipeOptions(error_margin_points=0)
    q, _ = trained_by("ristretto", small_network, "fixed4/fixed3", quadrants, options, epochs=1)
    assert all(layer.weight_format.bits <= 4 and layer.input_format.bits <= 3 for layer in q.layers.values())
