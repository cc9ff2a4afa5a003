"""What is remembered of a network is never another's: a change of what its reading rests on changes its fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

import fewbits as fb
from fewbits.graph.fingerprint import fingerprint
from fewbits.hardware.workload.module_workload import module_workload
from fewbits.models import build


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 3)
    ).eval()


def with_stride(model: nn.Sequential) -> None:
    model[0].stride = (2, 2)


def without_bias(model: nn.Sequential) -> None:
    model[5].bias = None


def with_true_for_one(model: nn.Sequential) -> None:
    model[4].start_dim = True


def with_another_class(model: nn.Sequential) -> None:
    model[2] = nn.Identity()


def with_another_order(model: nn.Sequential) -> None:
    model[2], model[3] = model[3], model[2]


def with_another_name(model: nn.Sequential) -> None:
    model._modules["last"] = model._modules.pop("5")


def with_a_part_more(model: nn.Sequential) -> None:
    model[2].add_module("inner", nn.ReLU())


def with_a_shared_part(model: nn.Sequential) -> None:
    model.append(model[2])


def with_a_twin_part(model: nn.Sequential) -> None:
    model.append(nn.ReLU())


def with_tied_weights(model: nn.Sequential) -> None:
    model[1].bias = model[0].bias


def without_statistics(model: nn.Sequential) -> None:
    model[1].running_mean = None


def with_another_shape(model: nn.Sequential) -> None:
    model[5].weight = nn.Parameter(torch.zeros(3, 32))


def in_training(model: nn.Sequential) -> None:
    model.train()


CHANGES = [
    *(with_stride, without_bias, with_true_for_one, with_another_class, with_another_order, with_another_name),
    *(with_a_part_more, with_a_shared_part, with_a_twin_part, with_tied_weights, without_statistics),
    *(with_another_shape, in_training),
]


def test_networks_that_are_read_alike_have_one_fingerprint() -> None:
    other = network()
    with torch.no_grad():
        other[0].weight.mul_(3)
    assert fingerprint(network()) == fingerprint(other) == fingerprint(deepcopy(other)) is not None


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_change_of_what_reading_rests_on_is_another_fingerprint(change: Callable[[nn.Sequential], None]) -> None:
    changed = network()
    change(changed)
    assert fingerprint(changed) != fingerprint(network())


def test_all_changes_differ_from_each_other() -> None:
    found = []
    for change in CHANGES:
        changed = network()
        change(changed)
        found.append(fingerprint(changed))
    assert None not in found
    assert len(set(found)) == len(CHANGES)


class Users(nn.Sequential):
    """A class of a user's, whose forward pass may read anything."""


def with_hook(model: nn.Sequential) -> nn.Module:
    model[2].register_forward_hook(lambda module, inputs, output: output * 0.5)
    return model


def with_own_forward(model: nn.Sequential) -> nn.Module:
    model[2].forward = lambda x: x  # type: ignore[method-assign]
    return model


def with_computed_weight(model: nn.Sequential) -> nn.Module:
    nn.utils.parametrizations.weight_norm(model[0])
    return model


def with_tensor(model: nn.Sequential) -> nn.Module:
    model[2].table = torch.ones(3)
    return model


def with_object(model: nn.Sequential) -> nn.Module:
    model[2].table = {"slope": [0.1]}
    return model


@pytest.mark.parametrize(
    "change",
    [
        with_hook,
        with_own_forward,
        with_computed_weight,
        with_tensor,
        with_object,
        lambda model: Users(*model),
        lambda model: nn.DataParallel(model),
        lambda model: nn.Sequential(nn.LazyConv2d(3, 3)),
        lambda model: fb.quantize(model, "fixed8"),
    ],
    ids=["hook", "own forward", "computed weight", "tensor", "object", "user's class", "parallel", "lazy", "quantized"],
)
def test_what_no_value_tells_is_read_each_time(change: Callable[[nn.Sequential], nn.Module]) -> None:
    assert fingerprint(change(network())) is None


def test_a_hook_of_all_modules_is_read_each_time() -> None:
    handle = register_module_forward_hook(lambda module, inputs, output: output)
    try:
        assert fingerprint(network()) is None
    finally:
        handle.remove()


def test_a_replaced_forward_pass_of_a_class_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(network())

    def forward(self: nn.ReLU, input: Tensor) -> Tensor:
        return input

    monkeypatch.setattr(nn.ReLU, "forward", forward)
    assert fingerprint(network()) != before


def test_a_cost_follows_a_network_that_was_changed() -> None:
    model = network()
    before = module_workload(model, (2, 8, 8))
    assert module_workload(model, (2, 8, 8)) is before  # remembered
    model[0].padding = (2, 2)
    model[5] = nn.Linear(100, 3)
    after = module_workload(model, (2, 8, 8))
    assert after.layers[0].output_size == (10, 10)
    assert before.layers[0].output_size == (8, 8)


def test_a_built_in_network_is_remembered_by_its_name_and_by_its_modules() -> None:
    shape = (3, 32, 32)
    assert fingerprint(build("resnet20")) == fingerprint(build("resnet20", seed=3)) is not None
    assert module_workload(build("resnet20"), shape) is module_workload(build("resnet20", seed=3), shape)
