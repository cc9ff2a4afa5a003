"""Claims about channel equalization: the network computes the same, and its weights are of one scale."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fewbits import ModelError, models
from fewbits.quantization import calibrate, equalize_channels, quantize


def with_uneven_channels(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and biases of each output channel times another number, as batch normalization leaves them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                scale = 2 ** torch.empty(len(module.weight)).uniform_(-4, 4, generator=generator)
                module.weight.mul_(scale.view(-1, *(1,) * (module.weight.ndim - 1)))
                if module.bias is not None:
                    module.bias.mul_(scale)
    return network.eval()


def scales(network: nn.Module) -> dict[str, torch.Tensor]:
    """Root mean square of each output channel's weights, by layer."""
    modules = {name: module for name, module in network.named_modules() if hasattr(module, "weight")}
    return {name: module.weight.detach().flatten(1).square().mean(1).sqrt() for name, module in modules.items()}


def assert_computes_the_same(network: nn.Module, images: torch.Tensor) -> None:
    with torch.no_grad():
        expected, equalized = network(images), equalize_channels(network)(images)
    torch.testing.assert_close(equalized, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["lenet", "convnet", "alex", "mlp"])
def test_chains_compute_the_same(name: str):
    network = with_uneven_channels(models.build(name, seed=3))
    shape = models.input_shape(name)
    assert shape is not None
    assert_computes_the_same(network, torch.rand(4, *shape, generator=torch.Generator().manual_seed(1)))


def test_the_network_given_stays_as_it_is():
    network = with_uneven_channels(models.build("lenet", seed=3))
    before = copy.deepcopy(network.state_dict())
    equalize_channels(network)
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


def test_a_channel_has_one_scale_in_both_layers():
    network = equalize_channels(with_uneven_channels(models.build("lenet", seed=3)))
    leaving = network.conv2.weight.detach().flatten(1).square().mean(1)
    entering = network.fc1.weight.detach().reshape(500, 50, 16).square().mean((0, 2))
    torch.testing.assert_close(leaving, entering, rtol=1e-4, atol=0)


def test_uneven_channels_become_even():
    network = with_uneven_channels(models.build("alex", seed=3))
    before, after = scales(network), scales(equalize_channels(network))
    for name in ("conv1", "conv2", "conv3"):  # those of the last layer's outputs have no layer to share with
        assert float(after[name].max() / after[name].min()) < 0.1 * float(before[name].max() / before[name].min())


def test_rounding_to_four_bits_then_loses_less():
    network = with_uneven_channels(models.build("alex", seed=3))
    images = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    errors: list[float] = []
    for one in (network, equalize_channels(network)):
        quantized = quantize(one, "fixed4/fixed16")
        calibrate(quantized, images)
        with torch.no_grad():
            expected = network(images)
            errors.append(float((quantized.eval()(images) - expected).norm() / expected.norm()))
    assert errors[1] < 0.75 * errors[0]


class Branching(nn.Module):
    """Layers whose channels must stay as they are, and two whose may change."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.third = nn.Conv2d(4, 8, 1)
        self.along_width = nn.Linear(8, 8)
        self.last = nn.Linear(8 * 8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.first(x))
        x = F.relu(self.second(x) + x)
        x = self.twice(F.relu(self.twice(x)))
        x = F.relu(self.third(self.depthwise(x)))
        x = F.max_pool2d(self.along_width(x), (8, 1))
        return self.last(torch.flatten(x, 1))


def test_what_meets_something_else_stays():
    network = with_uneven_channels(Branching())
    assert_computes_the_same(network, torch.rand(2, 3, 8, 8))
    before, after = network.state_dict(), equalize_channels(network).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"depthwise.weight", "depthwise.bias", "third.weight"}


def test_a_channel_without_weights_stays():
    network = with_uneven_channels(models.build("mlp", seed=3))
    with torch.no_grad():
        network.fc1.weight[3] = 0
        network.fc2.weight[:, 5] = 0
    equalized = equalize_channels(network)
    assert torch.equal(equalized.fc1.weight[5], network.fc1.weight[5])
    assert all(bool(value.isfinite().all()) for value in equalized.state_dict().values())


def test_a_network_that_cannot_be_traced_is_refused():
    class Deciding(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ModelError, match=r"cannot be traced by torch\.fx"):
        equalize_channels(Deciding())
