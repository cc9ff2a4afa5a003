"""A mean over all spatial dimensions is the adaptive pooling to 1; other means stay float and are named."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.bitexact import AveragePool
from fewbits.quantization import QuantizedModel

IMAGES = torch.randn(64, 2, 7, 6, generator=torch.Generator().manual_seed(0))
SIGNALS = IMAGES.flatten(2)


class Net(nn.Module):
    """A residual block and a normalization, averaged over space by a function or by modules, and classified."""

    def __init__(self, average, dimensions: int = 2) -> None:
        super().__init__()
        torch.manual_seed(1)
        convolution, normalization = (nn.Conv1d, nn.BatchNorm1d) if dimensions == 1 else (nn.Conv2d, nn.BatchNorm2d)
        self.first, self.second = convolution(2, 6, 3), convolution(6, 6, 3, padding=1)
        self.norm, self.average, self.last = normalization(6), average, nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        x = F.dropout(F.relu(self.second(x) + x), 0.1, training=self.training)
        return self.last(self.average(x))


def by_modules(dimensions: int) -> Net:
    pool = nn.AdaptiveAvgPool1d(1) if dimensions == 1 else nn.AdaptiveAvgPool2d(1)
    return Net(nn.Sequential(pool, nn.Flatten()), dimensions)


def calibrated(network: nn.Module, images: Tensor, precision: str = "fixed8") -> QuantizedModel:
    model = fb.quantize(fb.fold_batch_norm(network), precision)
    fb.calibrate(model, images)
    return model.eval()


MEANS = {
    "x.mean((2, 3))": lambda x: x.mean((2, 3)),
    "x.mean([-2, -1])": lambda x: x.mean([-2, -1]),
    "x.mean(dim=(-1, 2))": lambda x: x.mean(dim=(-1, 2)),
    "x.mean(axis=(3, 2))": lambda x: x.mean(axis=(3, 2)),
    "torch.mean(x, (2, 3))": lambda x: torch.mean(x, (2, 3)),
    "torch.mean(input=x, dim=[2, 3])": lambda x: torch.mean(input=x, dim=[2, 3]),
    "x.mean((2, 3), True)": lambda x: x.mean((2, 3), True).flatten(1),
    "torch.mean(x, dim=(2, 3), keepdim=True)": lambda x: torch.mean(x, dim=(2, 3), keepdim=True).flatten(1),
}
SIGNAL_MEANS = {
    "x.mean(2)": lambda x: x.mean(2),
    "x.mean(-1)": lambda x: x.mean(-1),
    "torch.mean(x, dim=(2,), keepdim=True)": lambda x: torch.mean(x, dim=(2,), keepdim=True).flatten(1),
}
CASES = [*((way, mean, IMAGES) for way, mean in MEANS.items()), *((way, m, SIGNALS) for way, m in SIGNAL_MEANS.items())]


@pytest.mark.parametrize(("mean", "images"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_global_mean_is_adaptive_pooling(mean, images: Tensor) -> None:
    dimensions = images.ndim - 2
    model, expected = calibrated(Net(mean, dimensions), images), calibrated(by_modules(dimensions), images)
    assert model.skipped == ()
    assert len(model.roundings) == len(expected.roundings) == 4  # two operands; before the average and after it
    assert torch.equal(model(images), expected(images))
    network, expected_network = fb.lower(model, images), fb.lower(expected, images)
    assert sum(isinstance(operation, AveragePool) for operation in network.operations) == 1
    assert torch.equal(network.accumulators(images), expected_network.accumulators(images))


@pytest.mark.parametrize("precision", ["fixed8", "fixed4", "pow2-6/fixed16"])
def test_both_networks_give_the_same_numbers(precision: str) -> None:
    model = calibrated(Net(MEANS["x.mean((2, 3))"]), IMAGES, precision)
    with torch.no_grad():
        fake = copy.deepcopy(model).double()(IMAGES.double())
    assert torch.equal(fake, fb.lower(model, IMAGES).run(IMAGES.double()))


def test_both_networks_agree_in_float32() -> None:
    model = calibrated(Net(MEANS["x.mean((2, 3))"]), IMAGES, "float32")
    network = fb.lower(model, IMAGES)
    with torch.no_grad():
        torch.testing.assert_close(network.run(IMAGES).float(), model(IMAGES), rtol=1e-5, atol=1e-6)
        assert torch.equal(network.predict(IMAGES), model(IMAGES).argmax(1))


def test_a_mean_of_the_last_sums_is_one_of_accumulators() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).mean((2, 3))

    model = calibrated(Last(), IMAGES)
    assert model.roundings == {}
    network = fb.lower(model, IMAGES)
    assert network.operations[-2].output_shape == (3, 1, 1)
    assert network.run(IMAGES).shape == (64, 3)


def test_a_network_quantized_before_its_normalization_is_folded_has_its_mean_pooled() -> None:
    model = fb.fold_batch_norm(fb.quantize(Net(MEANS["x.mean((2, 3))"]), "fixed8"))
    fb.calibrate(model, IMAGES)
    assert model.skipped == ()
    assert fb.lower(model, IMAGES).run(IMAGES).shape == (64, 5)


def test_gradients_pass_a_global_mean_as_they_pass_the_pooling() -> None:
    gradients: list[Tensor] = []
    for network in (Net(MEANS["x.mean((2, 3))"]), by_modules(2)):
        model = calibrated(network, IMAGES).train()
        torch.manual_seed(2)
        model(IMAGES).square().sum().backward()
        gradient = model.layers["first"].layer.weight.grad
        assert gradient is not None
        gradients.append(gradient)
    assert gradients[0].abs().max() > 0
    assert torch.equal(*gradients)


class Chain(Net):
    """Without the residual block: channels of the convolution are those of the linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.average(F.relu(self.first(x))))


def test_channels_are_equalized_through_a_global_mean() -> None:
    networks = Chain(MEANS["x.mean((2, 3))"]), Chain(by_modules(2).average)
    weights = [fb.equalize_channels(network).last.weight for network in networks]
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], networks[0].last.weight)


OTHERS = {
    "channels": lambda x: x.mean(1).flatten(1),
    "channels, kept": lambda x: x.mean((1,), keepdim=True).flatten(1),
    "batch": lambda x: x.mean(0, keepdim=True).flatten(1),
    "all": lambda x: x + x.mean(),
    "rows": lambda x: x.mean(2).flatten(1),
    "columns": lambda x: x.mean(-1).flatten(1),
    "channels and rows": lambda x: x.mean((1, 2)),
    "channels too": lambda x: x.mean((1, 2, 3), keepdim=True).flatten(1),
    "cast": lambda x: torch.mean(x, (2, 3), dtype=torch.float32),
    "of reshaped values": lambda x: x.unflatten(1, (2, 3)).mean((2, 3)).flatten(1),
    "of no known rank": lambda x: torch.sin(x).mean((-2, -1)),
    "counted from a value": lambda x: x.mean(x.dim() - 1).flatten(1),
}


@pytest.mark.parametrize("way", OTHERS)
def test_other_means_stay_float_and_are_named(way: str) -> None:
    images = IMAGES[..., :6]
    network = Net(OTHERS[way])
    network.last = nn.LazyLinear(5)
    network.eval()(images)
    model = calibrated(network, images, "fixed8")
    entry = next(entry for entry in model.skipped if entry.kind == "mean")
    assert "stays float" in entry.reason
    assert model(images).shape == network(images).shape
    with pytest.raises(fb.ModelError, match=r"cannot be lowered") as raised:
        fb.lower(model, images)
    assert "\n" not in str(raised.value)


def test_a_mean_over_length_alone_says_what_can_be_lowered() -> None:
    network = Net(lambda x: x.mean(2).flatten(1))  # of (N, C, H, W)
    network.last = nn.Linear(6 * 4, 5)
    model = calibrated(network, IMAGES)
    with pytest.raises(fb.ModelError, match=r"call 'mean' \(mean\) .* all spatial dimensions .*AdaptiveAvgPool2d"):
        fb.lower(model, IMAGES)


def test_a_module_called_mean_is_that_module() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean = nn.Conv2d(2, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.mean(x).mean((2, 3))

    model = calibrated(Named(), IMAGES)
    assert fb.lower(model, IMAGES).run(IMAGES).shape == (64, 3)


def test_lowering_names_the_activation_in_front_of_a_mean_and_not_the_mean():
    class Clipped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.act, self.last = nn.Conv2d(2, 6, 3), nn.ReLU6(), nn.Linear(6, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.act(self.conv(x)).mean((2, 3)))

    quantized = calibrated(Clipped().eval(), IMAGES)
    assert [one.name for one in quantized.skipped] == ["act"]
    with pytest.raises(fb.ModelError, match="layer 'act' \\(ReLU6\\) cannot be lowered"):
        fb.lower(quantized, IMAGES[:1])
