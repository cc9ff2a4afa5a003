"""Where values are rounded in a fake-quantized network: averages, sums, shared tensors; and what stays float."""

from __future__ import annotations

import copy
import operator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.quantization import QuantizedModel, TensorRounding

IMAGES = torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Three layers joined by a function."""

    def __init__(self, join) -> None:
        super().__init__()
        self.first, self.left, self.right = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(3))
        self.last = nn.Conv2d(2, 2, 1)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.join(self, F.relu(self.first(x))))


def calibrated(model: nn.Module, precision: str = "fixed8", images: Tensor = IMAGES) -> QuantizedModel:
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return quantized.eval()


def agree(model: QuantizedModel, images: Tensor = IMAGES) -> bool:
    """Whether the network in float64 and the bit-exact one give the same numbers."""
    network = fb.lower(model, images)
    double = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        return torch.equal(double(images.double()), network.run(images.double()))


ADDITIONS = {
    "x + y": lambda net, x: net.left(x) + x,
    "x += y": lambda net, x: operator.iadd(net.left(x), x),
    "torch.add": lambda net, x: torch.add(net.left(x), net.right(x)),
    "add": lambda net, x: net.left(x).add(x),
    "add_": lambda net, x: net.left(x).add_(x),
    "twice": lambda net, x: net.left(x) + x + net.right(x),
    "itself": lambda net, x: x + x,
    "relu": lambda net, x: F.relu(net.left(x) + x),
    "relu_": lambda net, x: F.relu_(net.left(x) + x),
    "then pooled": lambda net, x: F.max_pool2d(F.relu(net.left(x) + x), 2),
    "then averaged": lambda net, x: F.avg_pool2d(net.left(x) + x, 3, 1, 1),
    "of averages": lambda net, x: F.avg_pool2d(net.left(x), 2) + F.avg_pool2d(x, 2),
}


@pytest.mark.parametrize("way", ADDITIONS)
def test_an_addition_is_the_same_in_both_networks(way: str) -> None:
    torch.manual_seed(1)
    assert agree(calibrated(Net(ADDITIONS[way]), "fixed8"))


@pytest.mark.parametrize("precision", ["fixed4", "fixed16", "pow2-6/fixed16", "binary/fixed16", "fixed8/pow2-4"])
def test_additions_of_averages_are_the_same_at_every_precision(precision: str) -> None:
    torch.manual_seed(1)
    assert agree(calibrated(Net(ADDITIONS["of averages"]), precision))


JOINS = {
    "pooled": lambda net, x: net.left(x) + net.right(F.max_pool2d(x, 3, 1, 1)),
    "averaged": lambda net, x: F.relu(net.left(F.avg_pool2d(x, 3, 1, 1))),
    "adaptive": lambda net, x: net.left(F.adaptive_avg_pool2d(x, 4)),
}


@pytest.mark.parametrize("way", JOINS)
def test_branches_and_averages_are_the_same_in_both_networks(way: str) -> None:
    torch.manual_seed(1)
    assert agree(calibrated(Net(JOINS[way]), "fixed4"))


class Joined(nn.Module):
    """Two branches, concatenated along channels, the input image too."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 4, 1), nn.Conv2d(9, 2, 1)
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat((self.left(x), F.relu(self.right(x)), x), dim=self.dim))


@pytest.mark.parametrize("dim", [1, -3])
def test_a_concatenation_has_one_radix_point(dim: int) -> None:
    model = calibrated(Joined(dim), "pow2-6/fixed16")
    assert agree(model)
    (rounding,) = {id(one): one for one in model.roundings.values()}.values()
    points = {layer.input_fraction_bits for layer in model.layers.values()}
    assert points == {rounding.fraction_bits}


def test_a_chain_without_averages_stays_the_users_own_module() -> None:
    chain = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 2))
    quantized = fb.quantize(chain, "fixed8")
    assert type(quantized.network) is nn.Sequential
    assert quantized.roundings == {}


def test_an_average_is_rounded_before_and_after_it() -> None:
    model = calibrated(nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(2, 2, 1)), "fixed4")
    before, after = model.roundings.values()
    assert before.is_leader
    assert not after.is_leader
    seen: dict[str, Tensor] = {}
    model.network.get_submodule("3").register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    model(IMAGES)
    codes = seen["x"] * 2.0**before.fraction_bits
    assert torch.equal(codes, codes.round())
    assert model.layers["3"].input_fraction_bits == before.fraction_bits == after.fraction_bits


def test_an_average_is_calibrated_by_the_values_in_front_of_it() -> None:
    images = torch.zeros(1, 1, 4, 4)
    images[0, 0, 0, 0] = 12.0  # averaged: 0.75
    model = fb.quantize(nn.Sequential(nn.AvgPool2d(4), nn.Conv2d(1, 1, 1)), "fixed8")
    fb.calibrate(model, images, "maximum")
    assert model.layers["1"].input_fraction_bits == 3


def test_a_layers_radix_point_and_its_roundings_are_one() -> None:
    model = calibrated(Net(ADDITIONS["x + y"]))
    layer = model.layers["left"]
    layer.input_fraction_bits = 3
    assert layer.input_rounding is not None
    assert layer.input_rounding.fraction_bits == 3


def test_radix_points_are_stored_once_and_come_back() -> None:
    model = calibrated(Net(ADDITIONS["of averages"]))
    state = model.state_dict()
    assert "network.left.input_radix_point" not in state
    other = fb.quantize(Net(ADDITIONS["of averages"]), "fixed8").eval()
    other.load_state_dict(state)
    assert torch.equal(other(IMAGES), model(IMAGES))


def test_a_copy_has_radix_points_of_its_own() -> None:
    model = calibrated(Net(ADDITIONS["x + y"]))
    before = model.layers["left"].input_fraction_bits
    other = copy.deepcopy(model)
    other.layers["left"].input_fraction_bits = before + 1
    assert model.layers["left"].input_fraction_bits == before
    assert next(iter(other.roundings.values())).fraction_bits == before + 1


def test_gradients_of_a_shared_tensor_are_summed_and_masked_once() -> None:
    rounding = TensorRounding(fb.parse_format("fixed4"), "rounding")
    rounding.fraction_bits = 0
    x = torch.tensor([1.0, 20.0], requires_grad=True)
    rounded = rounding(x)
    (rounded + 2 * rounded + rounded * rounded).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0 + 2 * 1.0, 0.0]


def test_functional_dropout_obeys_the_mode() -> None:
    model = calibrated(Net(lambda net, x: F.dropout(net.left(x) + x, 0.5, training=net.training)))
    assert torch.equal(model(IMAGES), model(IMAGES))
    assert agree(model)
    model.train()
    assert not torch.equal(model(IMAGES), model(IMAGES))


def test_an_argument_with_a_default_keeps_it() -> None:
    class Optional(Net):
        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            x = self.first(x)
            return self.left(x) + (x if mask is None else x * mask)

    assert agree(calibrated(Optional(None)))


def test_a_function_that_stays_float_is_named() -> None:
    model = fb.quantize(Net(lambda net, x: net.left(x) * torch.sigmoid(net.right(x))), "fixed8")
    assert [entry.kind for entry in model.skipped] == ["sigmoid", "mul"]
    assert all("stays float" in entry.reason for entry in model.skipped)


def test_a_network_that_cannot_be_traced_is_named_and_still_computes() -> None:
    model = calibrated(Net(lambda net, x: net.left(x) if x.sum() > 0 else x))
    assert [entry.name for entry in model.skipped] == [""]
    assert "cannot be traced" in model.skipped[0].reason
    assert model(IMAGES).shape == (16, 2, 8, 8)
    with pytest.raises(fb.ModelError, match="cannot be traced by"):
        fb.lower(model, IMAGES)


def test_a_network_that_does_other_things_in_training_is_named() -> None:
    model = fb.quantize(Net(lambda net, x: net.left(x) + (x if net.training else net.right(x))), "fixed8")
    assert "other things in training than in evaluation" in model.skipped[0].reason


def test_a_value_that_is_overwritten_is_read_as_what_it_became() -> None:
    assert agree(calibrated(Net(lambda net, x: F.relu(net.left(x) + x, inplace=True) + x)))
    assert agree(calibrated(Net(lambda net, x: F.relu(x, inplace=True) + x)))


@pytest.mark.parametrize(
    ("join", "message"),
    [
        (lambda net, x: net.left(x) + 1, "only the results of two layers"),
        (lambda net, x: torch.add(net.left(x), x, alpha=2), "has alpha 2"),
        (lambda net, x: net.left(x) + F.max_pool2d(x, 8), "adds tensors of different shapes"),
        (lambda net, x: torch.cat([net.left(x), x], 0), "cannot be the batch"),
    ],
    ids=["constant", "alpha", "broadcast", "batch"],
)
def test_sums_that_the_hardware_does_not_compute_are_refused(join, message: str) -> None:
    model = fb.quantize(Net(join), "fixed8")
    fb.calibrate(model, IMAGES)
    with pytest.raises(fb.ModelError, match=message):
        fb.lower(model, IMAGES)


def test_a_name_without_a_layer_is_refused() -> None:
    with pytest.raises(fb.ModelError, match="no layer 'middle' to quantize: the network has first, last, left, right"):
        fb.quantize(Net(ADDITIONS["add"]), "fixed8", layers={"middle": "fixed4"})
