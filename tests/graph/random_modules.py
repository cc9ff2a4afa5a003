"""Small modules drawn at random, with all that eager PyTorch does to objects and a traced graph sees as values.

A module is a list of steps. Each takes values that earlier steps have made (all of one shape), and may overwrite
them; ties, hooks, shared layers, computed weights, norms and odd ends are drawn with the steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

CHANNELS, SIDE = 3, 5

Step = Callable[["Drawn", str, Tensor, Tensor], Tensor]

STEPS: dict[str, Step] = {}
"""What a step does with its own modules (by the prefix of their names) and two values; its value."""

PARTS: dict[str, Callable[[], nn.Module]] = {}
"""The module of a step, where it has one."""


def _step(make: Callable[[], nn.Module] | None = None) -> Callable[[Step], Step]:
    def keep(function: Step) -> Step:
        name = function.__name__
        STEPS[name] = function
        if make is not None:
            PARTS[name] = make
        return function

    return keep


def _conv() -> nn.Conv2d:
    return nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)


def _pruned() -> nn.Conv2d:
    conv = _conv()
    prune.random_unstructured(conv, "weight", 0.5)
    return conv


def _patched() -> nn.Conv2d:
    conv = _conv()
    conv.forward = lambda x: F.conv2d(x, conv.weight * 2, conv.bias, padding=1)  # type: ignore[method-assign]
    return conv


def _norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(CHANNELS)
    norm.running_mean = torch.randn(CHANNELS)
    norm.running_var = torch.rand(CHANNELS) + 0.5
    nn.init.normal_(norm.weight)
    return norm


def _of_itself(net: Drawn, name: str, a: Tensor, b: Tensor) -> Tensor:
    return getattr(net, name)(a)


for _name, _make in {
    "convolution": _conv,
    "convolution_again": _conv,
    "grouped": lambda: nn.Conv2d(CHANNELS, CHANNELS, 1, groups=CHANNELS),
    "weight_norm": lambda: parametrizations.weight_norm(_conv()),
    "pruned": _pruned,
    "patched": _patched,
    "norm": _norm,
    "relu": nn.ReLU,
    "relu_in_place": lambda: nn.ReLU(inplace=True),
    "block": lambda: nn.Sequential(_conv(), _norm(), nn.ReLU(inplace=True)),
    "identity": nn.Identity,
    "dropout": lambda: nn.Dropout(inplace=True),
    "maximum": lambda: nn.MaxPool2d(3, 1, 1),
    "average": lambda: nn.AvgPool2d(3, 1, 1),
    "leaky": lambda: nn.LeakyReLU(0.5, inplace=True),
}.items():
    STEPS[_name], PARTS[_name] = _of_itself, _make


@_step()
def first_layer_again(net, name, a, b):
    return net.step0(a) if isinstance(net.step0, nn.Conv2d) else a


@_step()
def weight_of_the_first_layer(net, name, a, b):
    return F.conv2d(a, net.step0.weight, padding=1) if isinstance(net.step0, nn.Conv2d) else a


@_step(nn.ReLU)
def relu_twice(net, name, a, b):
    return getattr(net, name)(getattr(net, name)(a) + b)


@_step()
def dropped_relu_(net, name, a, b):
    a.relu_()
    return a


@_step()
def dropped_function(net, name, a, b):
    F.relu(a, inplace=True)
    return b


@_step(lambda: nn.ReLU(inplace=True))
def dropped_module(net, name, a, b):
    getattr(net, name)(a)
    return b


@_step()
def relu_method(net, name, a, b):
    return a.relu()


@_step()
def sum_(net, name, a, b):
    return a + b


@_step()
def sum_in_place(net, name, a, b):
    kept = a
    a += b
    return kept


@_step()
def dropped_add_(net, name, a, b):
    a.add_(b)
    return b


@_step()
def times(net, name, a, b):
    a *= 0.5
    return b


@_step(lambda: nn.Conv2d(2 * CHANNELS, CHANNELS, 1))
def joined(net, name, a, b):
    return getattr(net, name)(torch.cat([a, b], 1))


@_step()
def flattened_and_back(net, name, a, b):
    y = a.flatten(2)
    y.relu_()
    return y.unflatten(2, (SIDE, SIDE)) + b


@_step()
def view_of_what_is_overwritten(net, name, a, b):
    y = a.view(-1, CHANNELS, SIDE * SIDE)
    a.relu_()
    return y.view(-1, CHANNELS, SIDE, SIDE)


@_step()
def part_overwritten(net, name, a, b):
    a[:, 0].relu_()
    return b


@_step()
def item_assigned(net, name, a, b):
    a[:, 0] = 0
    return b


@_step()
def contiguous(net, name, a, b):
    y = a.contiguous().detach()
    y.clamp_(min=0)
    return y


@_step()
def out(net, name, a, b):
    return torch.add(a, b, out=torch.empty_like(a))


@_step()
def chunks(net, name, a, b):
    first, second, third = a.chunk(3, 1)
    return torch.cat([third, first, F.relu(second)], 1)


USUAL = ("convolution", "convolution", "relu_in_place", "sum_in_place", "dropped_relu_", "norm", "maximum", "average")
"""Steps that can be lowered, so that not all modules are refused."""

HOOKS: dict[str, Callable[[nn.Module], object]] = {
    "scales": lambda m: m.register_forward_hook(lambda module, inputs, output: output * 0.25),
    "clamps": lambda m: m.register_forward_hook(lambda module, inputs, output: output.clamp_(max=0.3)),
    "observes": lambda m: m.register_forward_hook(lambda module, inputs, output: None),
    "shifts inputs": lambda m: m.register_forward_pre_hook(lambda module, inputs: (inputs[0] - 0.5,)),
}

ENDS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "map": (nn.Identity, True),
    "linear": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * SIDE * SIDE, 4)), True),
    "normalized linear": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * SIDE * SIDE, 4), nn.BatchNorm1d(4), nn.ReLU(True)),
        True,
    ),
    "average": (lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), True),
    "maximum": (lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.ReLU(inplace=True)), True),
    "reshaped": (lambda: nn.Flatten(2), True),
    "softmax": (lambda: nn.Softmax(1), True),
}


class Drawn(nn.Module):
    """The steps one after another, then an end."""

    def __init__(self, steps: list[tuple[str, int, int]], end: str, tied: bool) -> None:
        super().__init__()
        self.steps = steps
        for number, (name, _, _) in enumerate(steps):
            self.add_module(f"step{number}", PARTS.get(name, nn.Identity)())
        self.end = ENDS[end][0]()
        plain = [part for part in self.children() if type(part) is nn.Conv2d and "weight" in part._parameters]
        convs = [part for part in plain if part.weight.shape[1:] == (CHANNELS, 3, 3)]
        if tied and len(convs) > 1:
            convs[-1].weight = convs[0].weight

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for number, (name, first, second) in enumerate(self.steps):
            a, b = values[-1 - first % len(values)], values[-1 - second % len(values)]
            values.append(STEPS[name](self, f"step{number}", a, b))
        return self.end(values[-1])


@st.composite
def modules(draw: st.DrawFn) -> nn.Module:
    """A module in evaluation mode, for images of (3, 5, 5)."""
    torch.manual_seed(draw(st.integers(0, 2**16)))
    names = st.one_of(st.sampled_from(USUAL), st.sampled_from(tuple(STEPS)))
    near = st.integers(0, 2)
    rest = draw(st.lists(st.tuples(names, near, near), min_size=1, max_size=5))
    first = draw(st.sampled_from(("convolution", "block", "weight_norm", "relu_in_place", "convolution")))
    model = Drawn([(first, 0, 0), *rest], draw(st.sampled_from(tuple(ENDS))), draw(st.booleans()))
    if draw(st.integers(0, 2)) == 0:
        parts = [part for name, part in model.named_modules() if "parametrizations" not in name]
        hooked = draw(st.sampled_from([model, *parts]))
        HOOKS[draw(st.sampled_from(tuple(HOOKS)))](hooked)
    if draw(st.integers(0, 5)):
        model.input_shape = (CHANNELS, SIDE, SIDE)  # else it is found by trying
    return model.eval()
