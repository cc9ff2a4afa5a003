"""A torch module's layers are seen as they are computed; what the tile cannot compute is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lenet_by_hand import LENET
from torch import nn

from fewbits import ModelError
from fewbits.hardware.workload.module_workload import module_workload
from fewbits.hardware.workload.workload import Workload
from fewbits.models import build


def test_lenet_is_the_one_written_by_hand():
    assert module_workload(build("lenet"), (1, 28, 28)) == LENET


def test_weights_are_not_needed():
    with torch.device("meta"):
        model = build("lenet")
    assert module_workload(model, (1, 28, 28)) == LENET


def test_module_is_left_as_it_was():
    model = build("lenet")
    model.conv1.eval()
    module_workload(model, (1, 28, 28))
    assert (model.training, model.conv1.training, model.fc1.training) == (True, False, True)
    assert not model.conv1._forward_hooks
    assert not model.conv1._forward_pre_hooks


def test_counts_are_those_of_the_parameters():
    workload = module_workload(build("alex"), (3, 32, 32))
    assert (workload.weights, workload.biases) == (89_440, 138)
    assert workload.largest_activations == 32 * 32 * 32 + 32 * 16 * 16


class Functional(nn.Module):
    """Pools, flattens and rectifies by functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4 * 13 * 13, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.fc(F.dropout(x.flatten(1), training=self.training))


def test_functional_pooling_is_counted():
    layers = module_workload(Functional(), (1, 28, 28)).layers
    assert [(layer.name, layer.kind) for layer in layers] == [
        ("conv", "convolution"),
        ("max_pool2d", "max-pool"),
        ("fc", "linear"),
    ]


class Twice(nn.Module):
    """Uses a layer twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.fc(self.fc(x)))


def test_layer_used_again_has_a_name_of_its_own():
    assert [layer.name for layer in module_workload(Twice(), (4,)).layers] == ["fc", "fc#2", "fc#3"]


KINDS: list[Callable[[], nn.Module]] = [
    lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False),
    lambda: nn.Conv2d(4, 6, (3, 2), padding=(2, 0), dilation=(2, 1)),
    lambda: nn.Conv2d(4, 8, 3, padding="same", groups=2),
    lambda: nn.Conv2d(4, 8, 3, padding="valid", groups=4),
    lambda: nn.MaxPool2d(3, stride=2, padding=1),
    lambda: nn.MaxPool2d(3, stride=2, ceil_mode=True),
    lambda: nn.MaxPool2d(2, dilation=2),
    lambda: nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    lambda: nn.AvgPool2d((2, 3), count_include_pad=False),
    lambda: nn.AdaptiveAvgPool2d(2),
    lambda: nn.AdaptiveMaxPool2d((None, 1)),
]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("size", [(8, 8), (10, 6)])
def test_output_size_is_torchs(make: Callable[[], nn.Module], size: tuple[int, int]):
    first = nn.Conv2d(3, 4, 1)
    model = nn.Sequential(first, make())
    output = model(torch.zeros(1, 3, *size))
    layer = module_workload(model, (3, *size)).layers[1]
    assert (layer.neurons, *layer.output_size) == output.shape[1:]


KINDS_1D: list[Callable[[], nn.Module]] = [
    lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1),
    lambda: nn.Conv1d(4, 6, 3, padding=2, dilation=2),
    lambda: nn.MaxPool1d(3, stride=2, padding=1),
    lambda: nn.AvgPool1d(2, ceil_mode=True),
    lambda: nn.AdaptiveAvgPool1d(3),
    lambda: nn.AdaptiveMaxPool1d(1),
]


@pytest.mark.parametrize("make", KINDS_1D)
def test_output_length_is_torchs(make: Callable[[], nn.Module]):
    model = nn.Sequential(nn.Conv1d(3, 4, 1), make())
    output = model(torch.zeros(1, 3, 9))
    layer = module_workload(model, (3, 9)).layers[1]
    assert layer.output_size == (1, output.shape[2])
    assert layer.neurons == output.shape[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 12), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_pooling_windows_are_torchs(length: int, kernel: int, stride: int, padding: int, ceil: bool):
    padding = min(padding, kernel // 2)
    if length + 2 * padding < kernel:
        return
    model = nn.Sequential(nn.Conv1d(1, 1, 1), nn.MaxPool1d(kernel, stride, padding, ceil_mode=ceil))
    layer = module_workload(model, (1, length)).layers[1]
    assert layer.output_size == (1, model(torch.zeros(1, 1, length)).shape[2])


def test_adaptive_pooling_has_windows_of_its_ratio():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.AdaptiveAvgPool2d((2, 1)))
    assert module_workload(model, (1, 8, 6)).layers[1].kernel == (4, 6)


class Gate(nn.Module):
    """Multiplies its input by its output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.conv(x)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (Gate(), (1, 4, 4), r"call 'mul' \(mul\) cannot be lowered: .*multiplying tensors has no hardware"),
        (nn.Sequential(nn.Linear(4, 2), nn.Tanh()), (4,), r"layer '1' \(Tanh\) cannot be lowered"),
        (nn.Sequential(nn.Conv3d(1, 2, 1)), (1, 4, 4, 4), r"layer '0' \(Conv3d\) cannot be lowered"),
        (nn.Sequential(nn.Conv2d(1, 2, 5)), (1, 4, 4), r"layer '0': kernel \(5, 5\) does not fit into"),
        (nn.Sequential(nn.Conv2d(3, 2, 1)), (1, 4, 4), "layer '0' takes 3 channels of 2 dimensions, its input has"),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), (1, 4, 4), "layer '1' takes 9 features, its input has"),
        (nn.Linear(6, 3), (5, 6), "layer 'layer' takes 6 features, its input has"),
        (
            nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Conv2d(1, 1, 1)),
            (1, 4, 4),
            r"layer '0' \(AdaptiveAvgPool2d\) .* adapts .* different sizes",
        ),
        (nn.Sequential(nn.Flatten(), nn.ReLU()), (1, 4, 4), "does not pass through a convolution or linear layer"),
        (nn.Sequential(nn.Unflatten(1, (3, 3)), nn.Linear(3, 2)), (4,), "call '0' views 4 values of an image as"),
    ],
)
def test_what_the_tile_cannot_compute_is_refused(model: nn.Module, shape: tuple[int, ...], message: str):
    with pytest.raises(ModelError, match=message) as raised:
        module_workload(model, shape)
    assert "\n" not in str(raised.value)


def test_hooks_are_removed_after_an_error():
    model = nn.Sequential(nn.Linear(4, 2), nn.Tanh())
    with pytest.raises(ModelError):
        module_workload(model, (4,))
    assert not model[1]._forward_hooks


def test_batch_normalization_and_dropout_cost_nothing():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    workload: Workload = module_workload(model, (1, 4, 4))
    assert [layer.name for layer in workload.layers] == ["0", "5"]
