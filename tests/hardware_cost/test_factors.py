"""Factors behind sums cost a multiplier in each neuron and their memory, and nothing where there are none."""

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.hardware import load_technology
from fewbits.hardware.costing.factors import factor_bits
from fewbits.quantization import QuantizedModel
from fewbits.quantization.layers.training_method import settle
from fewbits.quantization.methods.scaled_weights import ChannelScales


@pytest.fixture
def binary() -> QuantizedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    q = fb.quantize(network, "binary/fixed16").eval()
    fb.calibrate(q, torch.rand(16, 1, 8, 8))
    return q


def with_channel_factors(q: QuantizedModel) -> QuantizedModel:
    for layer in q.layers.values():
        layer.method = ChannelScales(layer)
    settle(q)
    return q


def test_layers_without_factors_have_none_in_their_cost(binary: QuantizedModel):
    assert factor_bits(fb.lower(binary, torch.rand(1, 1, 8, 8))) == {}
    assert factor_bits(with_channel_factors(binary)) == {"0": 8, "3": 8}


def test_factors_cost_a_multiplier_a_neuron_and_eight_bits_of_memory_each(binary: QuantizedModel):
    example = torch.rand(1, 1, 8, 8)
    before = fb.cost(fb.lower(binary, example))
    network = fb.lower(with_channel_factors(binary), example)
    after = fb.cost(network)
    table = load_technology()
    multiplier_um2 = table.datapath("fixed16").components["multipliers"].area_um2 / 16
    accumulator_bits = table.datapath("binary/fixed16").accumulator_bits
    expected = 16 * multiplier_um2 * 8 * accumulator_bits / (16 * 16) * 1e-6
    assert after.area_mm2 - before.area_mm2 == pytest.approx(expected)
    assert (after.parameters_kib - before.parameters_kib) * 1024 == pytest.approx(18)  # 8 + 10 neurons, a byte each
    assert 0 < after.energy_uj - before.energy_uj < 0.5 * before.energy_uj
    assert after.energy_uj == pytest.approx(sum(after.breakdown.energy_uj.values()))
    assert after.energy_uj == pytest.approx(sum(layer.energy_uj for layer in after.breakdown.layers))
    assert after.cycles == before.cycles


def test_the_bit_exact_network_computes_what_sums_times_factors_are(binary: QuantizedModel):
    images = torch.rand(4, 1, 8, 8)
    q = with_channel_factors(binary)
    first = fb.lower(q, images[:1]).layers[0]
    integers = torch.from_numpy(first.weight.integers.astype("int64"))
    factors = integers.abs().amax(dim=(1, 2, 3), keepdim=True)
    assert torch.equal(integers.abs(), factors.expand_as(integers))  # one factor a channel, times 1 or -1
    assert factors.max() < 256
    network = fb.lower(q, images[:1])
    assert fb.first_difference(q.double(), network, images.double()) is None  # float32 sums would not be exact
