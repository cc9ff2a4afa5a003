"""Networks have one hash exactly if they compute the same: what is written otherwise keeps it, what counts does not."""

from __future__ import annotations

import copy
import itertools
import textwrap
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fewbits.models import build
from fewbits.train.computation import computation_sha256, state_sha256

TRACED = """
import torch
from torch import nn
from torch.nn import functional as F

SCALE = 2.0

def halved(x):
    return x * 0.5

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, 2)
        self.factor = 1.5
        self.offset = torch.tensor([1.0, 2.0])
        self.register_buffer("mask", torch.ones(4), persistent=False)

    def forward(self, x):
        y = F.relu(self.conv(x)) * SCALE
        y = halved(y).mean((2, 3)) * self.mask
        if self.training:
            y = y + 0.0
        return self.fc(y) * self.factor + self.offset
"""

UNTRACED = TRACED.replace("if self.training:", "if y.sum().item() > 0:")
"""A decision on values, which torch.fx cannot follow."""

SAME = {
    "a comment": ("    def forward", "    # a comment\n    def forward"),
    "a docstring": ("        y = F.relu", '        "What it does."\n        y = F.relu'),
    "a local variable's name": ("y", "yy"),
    "a line break": ("F.relu(self.conv(x))", "F.relu(\n            self.conv(x)\n        )"),
    "an unused function": ("class Net", "def unused():\n    return 7\n\n\nclass Net"),
}

OTHER = {
    "a function": ("F.relu", "torch.tanh"),
    "a constant": ("0.5", "0.25"),
    "a global": ("SCALE = 2.0", "SCALE = 3.0"),
    "an attribute": ("1.5", "1.6"),
    "a plain tensor": ("[1.0, 2.0]", "[1.0, 3.0]"),
    "a buffer outside the state": ("torch.ones(4)", "torch.zeros(4)"),
    "what only training does": ("y + 0.0", "y + 1.0"),
    "a layer's setting": ("nn.Conv2d(1, 4, 3)", "nn.Conv2d(1, 4, 3, padding_mode='reflect', padding=1)"),
    "the order of operands": ("halved(y).mean((2, 3)) * self.mask", "self.mask - halved(y).mean((2, 3))"),
    "a frozen parameter": ("self.factor = 1.5", "self.factor = 1.5; self.fc.bias.requires_grad_(False)"),
    "a tied parameter": (
        "self.factor = 1.5",
        "self.factor = 1.5; self.fc.other = nn.Parameter(self.fc.bias.detach().clone())",
    ),
    "a hook": ("self.factor = 1.5", "self.factor = 1.5; self.conv.register_forward_hook(lambda m, i, o: o * 2)"),
}


def network(source: str) -> nn.Module:
    """The class Net of a source."""
    space: dict[str, object] = {"__name__": "users_file"}
    exec(compile(textwrap.dedent(source), "users_file.py", "exec"), space)
    torch.manual_seed(0)
    made = space["Net"]
    assert callable(made)
    return made()


@pytest.mark.parametrize("source", [TRACED, UNTRACED], ids=["traced", "not traced"])
@pytest.mark.parametrize("change", SAME)
def test_what_is_written_otherwise_keeps_the_hash(source: str, change: str):
    old, new = SAME[change]
    assert old in source
    assert computation_sha256(network(source)) == computation_sha256(network(source.replace(old, new)))


@pytest.mark.parametrize("source", [TRACED, UNTRACED], ids=["traced", "not traced"])
@pytest.mark.parametrize("change", OTHER)
def test_what_computes_otherwise_changes_the_hash(source: str, change: str):
    old, new = OTHER[change]
    assert old in source
    assert computation_sha256(network(source)) != computation_sha256(network(source.replace(old, new)))


def test_a_network_has_one_hash_at_each_look_though_it_draws_at_random():
    noisy = network(TRACED.replace("y + 0.0", "y + torch.rand(4)"))
    assert computation_sha256(noisy) == computation_sha256(noisy)
    assert computation_sha256(noisy) == computation_sha256(copy.deepcopy(noisy))


def test_looking_changes_neither_modes_nor_attributes_nor_the_random_numbers():
    seen = network(TRACED.replace("y = F.relu", "self.seen = x\n        y = F.relu"))
    seen.conv.eval()
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    computation_sha256(seen)
    assert torch.equal(torch.rand(1), expected)
    assert (seen.training, seen.conv.training, hasattr(seen, "seen")) == (True, False, False)


def test_trained_values_are_in_the_hash_of_the_state_alone():
    net = network(TRACED)
    computes, state = computation_sha256(net), state_sha256(net)
    with torch.no_grad():
        net.fc.weight.mul_(2)
    assert computation_sha256(net) == computes
    assert state_sha256(net) != state


def test_code_inside_a_module_that_tracing_does_not_enter_is_in_the_hash():
    class Doubled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2

    class Tripled(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 3

    def parametrized(how: nn.Module) -> nn.Module:
        layer = nn.Linear(2, 2)
        nn.utils.parametrize.register_parametrization(layer, "weight", how)
        return nn.Sequential(layer)

    assert computation_sha256(parametrized(Doubled())) == computation_sha256(parametrized(Doubled()))
    assert computation_sha256(parametrized(Doubled())) != computation_sha256(parametrized(Tripled()))


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_the_code_of_a_scripted_module_is_in_the_hash():
    def scripted(slope: float) -> nn.Module:
        return torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(slope)))

    assert computation_sha256(scripted(0.1)) == computation_sha256(scripted(0.1))
    assert computation_sha256(scripted(0.1)) != computation_sha256(scripted(0.2))


BUILT_IN = ("lenet", "convnet", "alex", "mlp", "compact", "resnet20", "mobilenet-small", "lenet*2")


def test_built_in_networks_differ_from_each_other():
    hashes = [computation_sha256(build(name, 0)) for name in BUILT_IN]
    assert all(one != other for one, other in itertools.combinations(hashes, 2))


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, lambda: nn.LeakyReLU(0.1), lambda: nn.LeakyReLU(0.2)]
)
def test_modules_without_state_count(activation: Callable[[], nn.Module]):
    def net(make: Callable[[], nn.Module]) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 2), make())

    assert computation_sha256(net(activation)) == computation_sha256(net(activation))
    assert computation_sha256(net(activation)) != computation_sha256(net(nn.Hardswish))
