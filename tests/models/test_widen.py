"""Widening scales the inner channels of a chain and keeps its ends."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fewbits import ModelError
from fewbits.models import build, input_shape, widen


def parameter_shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(value.shape) for value in model.parameters()]


@pytest.mark.parametrize(("factor", "name"), [(2, "alex+"), (5.5, "alex++")])
def test_widened_alex_is_the_wider_alex(factor: float, name: str):
    assert parameter_shapes(widen(build("alex"), factor)) == parameter_shapes(build(name))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["lenet", "convnet", "alex"]), st.floats(0.01, 2))
def test_widened_network_runs_and_keeps_its_ends(name: str, factor: float):
    shape = input_shape(name)
    assert shape is not None
    assert widen(build(name), factor)(torch.zeros(1, *shape)).shape == (1, 10)


def test_original_is_left_unchanged():
    model = build("lenet", seed=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    widen(model, 2)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_geometry_and_missing_bias_are_kept():
    layer = nn.Conv2d(3, 8, 3, stride=2, padding=1, dilation=2, bias=False, padding_mode="reflect")
    wider = widen(nn.Sequential(layer, nn.Conv2d(8, 4, 1)), 2)[0]
    assert wider.extra_repr() == layer.extra_repr().replace("3, 8", "3, 16")


def test_batch_normalization_follows_its_layer():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, eps=0.1),
        nn.Flatten(),
        nn.BatchNorm1d(16),
        nn.Linear(16, 8),
        nn.Linear(8, 2),
    )
    wider = widen(model, 1.5)
    assert wider(torch.rand(2, 1, 4, 4)).shape == (2, 2)
    assert (wider[1].num_features, wider[1].eps, wider[3].num_features) == (6, 0.1, 24)


def test_depthwise_convolution_stays_depthwise():
    model = nn.Sequential(nn.Conv1d(3, 8, 1), nn.Conv1d(8, 16, 3, groups=8), nn.Conv1d(16, 5, 1))
    wider = widen(model, 1.5)
    assert (wider[1].groups, wider[1].out_channels) == (12, 24)
    assert wider(torch.zeros(1, 3, 9)).shape == (1, 5, 7)


def test_grouped_convolution_keeps_its_groups():
    wider = widen(nn.Sequential(nn.Conv3d(3, 8, 1), nn.Conv3d(8, 8, 1, groups=4), nn.Conv3d(8, 5, 1)), 1.3)
    assert (wider[1].groups, wider[1].in_channels, wider[1].out_channels) == (4, 12, 12)


def test_grouped_convolution_that_cannot_keep_its_groups_is_refused():
    depthwise_then_grouped = [nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 3, groups=2), nn.Conv2d(2, 4, 1, groups=2)]
    model = nn.Sequential(*depthwise_then_grouped)
    assert widen(model, 2)[2].in_channels == 4
    wide = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 4, 1, groups=2))
    with pytest.raises(ModelError, match="layer '2' cannot be widened: 5 to 4 channels in 2 groups"):
        widen(wide, 1.25)


def test_single_layer_comes_back_fresh_with_its_shape():
    layer = nn.Linear(4, 2)
    wider = widen(layer, 3)
    assert wider is not layer
    assert parameter_shapes(wider) == parameter_shapes(layer)


def test_nested_chain_is_widened():
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 6), nn.ReLU()), nn.Linear(6, 2))
    assert parameter_shapes(widen(model, 0.5)) == [(3, 4), (3,), (2, 3), (2,)]


@pytest.mark.parametrize("factor", [0, -1, float("nan"), float("inf")])
def test_factor_must_be_positive_and_finite(factor: float):
    with pytest.raises(ModelError, match="a model is widened by a positive number"):
        widen(build("lenet"), factor)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.ReLU(), "without convolution and linear layers"),
        (nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)), "layer '1' .LayerNorm. cannot be widened"),
        (nn.Sequential(nn.ConvTranspose2d(4, 6, 3)), "layer '0' .ConvTranspose2d. cannot be widened"),
        (nn.Sequential(nn.Linear(4, 6), nn.Linear(7, 2)), "layer '1' takes 7 inputs but the layer before it gives 6"),
        (nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(12, 2, 1)), "layer '1' takes 12 inputs"),
        (nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(7), nn.Linear(6, 2)), "layer '1' normalizes 7 features"),
    ],
)
def test_what_is_no_chain_is_refused(model: nn.Module, message: str):
    with pytest.raises(ModelError, match=message):
        widen(model, 2)
