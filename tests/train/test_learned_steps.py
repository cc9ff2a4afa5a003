"""LSQ and PACT: what training learns of ranges beats ranges that nothing was clipped from."""

import math

import pytest
import torch
from digit_networks import trained_by
from torch import nn

from fewbits import ModelError, parse_format
from fewbits.data import Dataset
from fewbits.graph.float_layer import OF_WEIGHTS
from fewbits.quantization.methods.learned_step import learned

SETTINGS = {"epochs": 3, "batch_size": 32, "calibration_method": "maximum"}


@pytest.mark.slow
def test_learned_steps_and_learned_clipping_beat_ranges_without_clipping(digits: Dataset, trained_convnet: nn.Module):
    accuracy = {
        recipe: trained_by(recipe, trained_convnet, "fixed8/fixed2", digits, **SETTINGS)[1]
        for recipe in ("fine-tune", "lsq", "pact")
    }
    assert accuracy["lsq"] > accuracy["fine-tune"] + 4
    assert accuracy["pact"] > accuracy["fine-tune"] + 1


@pytest.mark.parametrize("name", ["fixed3", "ternary", "binary", "pow2-3"])
def test_the_steps_gradient_is_that_of_the_paper(name: str):
    number_format, step = parse_format(name), 0.25
    x = torch.linspace(-2, 2, 41, dtype=torch.float64)
    log2_step = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    upstream = torch.linspace(1, 3, 41, dtype=torch.float64)
    (learned(x, log2_step, number_format, 2, OF_WEIGHTS) * upstream).sum().backward()
    low, high = number_format.limits(0)
    of_step = [  # equation 3, an element at a time
        float(number_format.quantize_scalar(v)) - (v if low <= v <= high else 0) for v in (x / step).tolist()
    ]
    expected = sum(g * u for g, u in zip(of_step, upstream.tolist(), strict=True)) / math.sqrt(41 * high)
    assert log2_step.grad is not None
    assert log2_step.grad.item() == pytest.approx(expected * step * math.log(2))


def test_free_steps_leave_integers_times_a_factor_of_eight_bits(quadrants: Dataset, small_network: nn.Module):
    q, _ = trained_by("lsq-free", small_network, "fixed4", quadrants, epochs=1)
    for layer in q.layers.values():
        assert layer.scale_bits == 8
        integers = (layer.layer.weight * 2.0**layer.weight_fraction_bits).round().long()
        factor = math.gcd(*integers.flatten().tolist())
        assert factor < 256
        assert -8 <= integers.min() // factor <= integers.max() // factor <= 7


def test_free_steps_refuse_weights_that_float32_could_not_hold(quadrants: Dataset, small_network: nn.Module):
    with pytest.raises(ModelError, match="give weights of at most 16 bits"):
        trained_by("lsq-free", small_network, "fixed32", quadrants, epochs=1)
