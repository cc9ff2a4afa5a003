"""Training's shorter way through a traced network: the same values and gradients as ReLU by ReLU."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import fewbits as fb
from fewbits.quantization import QuantizedModel

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
PRECISIONS = ("fixed8", "fixed32", "pow2-6/fixed16", "binary/fixed16", "fixed8/pow2-4", "binary", "fp8-e4m3", "float32")


class Net(nn.Module):
    """ReLUs before a layer, a shared rounding, a pooling, an average; in place and not; one whose input others use."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)
        self.norm, self.fc = nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        y = self.second(x)
        x = F.relu(F.relu(y) + x + y, inplace=True)
        x = F.relu(self.third(F.max_pool2d(F.relu_(self.second(x)), 2)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def calibrated(precision: str, layout: torch.memory_format = torch.channels_last) -> QuantizedModel:
    torch.manual_seed(1)
    model = fb.quantize(Net(), precision)
    fb.calibrate(model, IMAGES)
    return model.train().to(memory_format=layout)


def values_and_gradients(model: nn.Module, parameters: nn.Module, images: Tensor) -> list[Tensor | None]:
    result = model(images)
    result.square().sum().backward()
    return [result, *(parameter.grad for parameter in parameters.parameters())]


def are_equal(ours: list[Tensor | None], theirs: list[Tensor | None]) -> bool:
    return all(a is b is None or torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


class ReluCounter(TorchDispatchMode):
    """Counts the ReLUs that torch computes."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function in (torch.ops.aten.relu.default, torch.ops.aten.relu_.default)
        return function(*args, **(kwargs or {}))


def relus_computed(model: nn.Module) -> int:
    with ReluCounter() as counter:
        model(IMAGES)
    return counter.count


@pytest.mark.parametrize("precision", PRECISIONS)
def test_training_computes_what_the_graph_says(precision: str) -> None:
    model = calibrated(precision)
    plain = copy.deepcopy(model)
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    assert are_equal(values_and_gradients(model, model, images), values_and_gradients(plain.network, plain, images))


def test_training_and_evaluation_give_the_same_values() -> None:
    model = calibrated("fixed4", torch.contiguous_format)
    model.network.norm.eval()
    in_training = model(IMAGES)
    assert torch.equal(in_training, model.eval()(IMAGES))


def test_only_the_relu_of_a_shared_value_is_computed_apart_in_training() -> None:
    model = calibrated("fixed8")
    assert (relus_computed(model), relus_computed(model.eval())) == (1, 5)


def test_a_replaced_module_is_called_in_training() -> None:
    model = calibrated("fixed8", torch.contiguous_format)
    before = model(IMAGES)
    folded = fb.fold_batch_norm(model)
    fb.calibrate(folded, IMAGES)
    assert isinstance(folded.network.norm, nn.Identity)
    assert not torch.equal(before, folded(IMAGES))


def test_a_recipes_method_sees_rectified_inputs() -> None:
    seen: list[Tensor] = []

    class Method(nn.Module):
        def forward(self, layer: nn.Module, x: Tensor) -> Tensor:
            seen.append(x)
            return layer.layer(x)

    model = calibrated("fixed8")
    model.layers["third"].method = Method()
    model(IMAGES)
    assert float(seen[0].detach().min()) == 0


def test_a_pickled_network_trains_and_computes_as_before() -> None:
    model = calibrated("fixed8")
    again = pickle.loads(pickle.dumps(model))
    assert are_equal(values_and_gradients(again, again, IMAGES), values_and_gradients(model, model, IMAGES))
    assert torch.equal(again.eval()(IMAGES), model.eval()(IMAGES))
