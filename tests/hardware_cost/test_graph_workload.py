"""What additions, concatenations and waiting tensors cost; layers left float are refused, not passed over."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.scheduling import Pipeline, schedule
from fewbits.hardware.workload.networks import workload_of
from fewbits.hardware.workload.workload import LayerShape
from fewbits.models import build, input_shape


class Residual(nn.Module):
    """A residual block of 20 channels, then both of its parts concatenated."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 20, 1), nn.Conv2d(20, 20, 3, padding=1)
        self.last = nn.Conv2d(40, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        y = F.relu(self.second(x) + x)
        return self.last(torch.cat([x, y], 1))


IMAGES = torch.randn(4, 2, 5, 5, generator=torch.Generator().manual_seed(0))


def lowered(model: nn.Module, images: Tensor = IMAGES, precision: str = "fixed8") -> fb.BitExactNetwork:
    quantized = fb.quantize(model, precision)
    fb.calibrate(quantized, images)
    return fb.lower(quantized, images)


def unnamed(layers: tuple[LayerShape, ...]) -> list[LayerShape]:
    return [dataclasses.replace(layer, name="") for layer in layers]


def test_an_addition_reads_two_rows_and_writes_one() -> None:
    plan = schedule(workload_of(lowered(Residual())), Accelerator(), Pipeline())
    (addition,) = (layer for layer in plan.layers if layer.kind == "addition")
    rows = 2 * 25  # 20 channels take two groups of 16 neurons, at 25 positions
    assert addition.cycles == 2 * rows
    assert addition.accesses["bin"].reads == 2 * rows
    assert addition.accesses["bout"].writes == rows
    assert addition.accesses["bout"].reads == rows  # on their way to memory
    assert addition.inputs_loaded == 2 * 20 * 25
    assert addition.outputs_stored == 20 * 25
    assert addition.products == 0
    assert addition.accesses["sb"].reads == 2 * rows  # weights of powers of two
    assert addition.accesses["sb"].writes == 2 * 2


def test_a_concatenation_takes_no_layer_and_no_cycle() -> None:
    layers = workload_of(lowered(Residual())).layers
    assert [layer.kind for layer in layers] == ["convolution", "convolution", "addition", "convolution"]


def test_a_tensor_that_waits_is_counted_as_memory() -> None:
    layers = workload_of(lowered(Residual())).layers
    # the first result is taken by the second layer itself and by the addition; nothing else waits
    assert [layer.held_values for layer in layers] == [0, 0, 0, 0]

    class Long(Residual):
        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.cat([self.second(self.second(x)) + x, x], 1))

    layers = workload_of(lowered(Long())).layers
    assert [layer.held_values for layer in layers] == [0, 0, 20 * 25, 0, 0]
    assert workload_of(lowered(Long())).largest_activations == 3 * 20 * 25


@pytest.mark.parametrize("name", ["resnet20", "mobilenet-small"])
def test_the_workload_of_a_graph_is_that_of_its_module(name: str) -> None:
    shape = input_shape(name)
    assert shape is not None
    folded = fb.fold_batch_norm(build(name, seed=0)).eval()
    expected = unnamed(workload_of(lowered(folded, torch.randn(2, *shape))).layers)
    assert unnamed(workload_of(folded, shape).layers) == expected
    assert unnamed(workload_of(name).layers) == expected  # normalization counts as folded
    assert unnamed(workload_of(fb.quantize(folded, "fixed8"), shape).layers) == expected


def test_a_network_that_ends_with_an_addition_hands_out_sums_at_full_width() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.left(x) + self.right(x)

    network = lowered(Sum(), torch.randn(8, 4))
    plan = schedule(workload_of(network), Accelerator(), Pipeline())
    assert [layer.stores_accumulators for layer in plan.layers] == [False, False, True]


def test_a_quantized_network_with_normalization_left_float_is_refused() -> None:
    model = fb.quantize(nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)), "fixed8")
    with pytest.raises(
        fb.ModelError, match=r"layer '1' \(BatchNorm2d\) .* fold it into layer '0' by fewbits\.fold_batch_norm"
    ):
        fb.cost(model, input_shape=(2, 5, 5))


def test_normalization_of_anything_but_a_layers_result_is_refused() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.BatchNorm2d(2))
    with pytest.raises(fb.ModelError, match=r"layer '2' \(BatchNorm2d\) .* it normalizes _1, not what a convolution"):
        fb.cost(model, "fixed8", input_shape=(2, 5, 5))


def test_a_sum_with_a_constant_is_refused() -> None:
    class Plus(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) + 1

    with pytest.raises(fb.ModelError, match="only the results of two layers can be added"):
        fb.cost(Plus(), "fixed8", input_shape=(4,))


class Averaging(nn.Module):
    """Averages over space by a function or by modules."""

    def __init__(self, average, dimensions: int = 2) -> None:
        super().__init__()
        convolution = nn.Conv1d if dimensions == 1 else nn.Conv2d
        self.conv, self.average, self.last = convolution(2, 20, 3), average, nn.Linear(20, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.average(F.relu(self.conv(x))))


MEANS = {
    "2d": (lambda x: x.mean((2, 3)), nn.AdaptiveAvgPool2d(1), IMAGES),
    "2d, kept": (lambda x: torch.mean(x, [-1, -2], True).flatten(1), nn.AdaptiveAvgPool2d(1), IMAGES),
    "1d": (lambda x: torch.mean(x, -1), nn.AdaptiveAvgPool1d(1), IMAGES[:, :, 0]),
}


@pytest.mark.parametrize("way", MEANS)
def test_a_global_mean_costs_what_adaptive_pooling_does(way: str) -> None:
    mean, pool, images = MEANS[way]
    shape = tuple(images.shape[1:])
    by_mean = Averaging(mean, images.ndim - 2)
    by_pool = Averaging(nn.Sequential(pool, nn.Flatten()), images.ndim - 2)
    expected = unnamed(workload_of(by_pool, shape).layers)
    assert [layer.kind for layer in expected] == ["convolution", "average-pool", "linear"]
    assert unnamed(workload_of(by_mean, shape).layers) == expected
    assert unnamed(workload_of(fb.quantize(by_mean, "fixed8"), shape).layers) == expected
    assert unnamed(workload_of(lowered(by_mean, images)).layers) == expected
    costs = [fb.cost(lowered(model, images)) for model in (by_mean, by_pool)]
    assert costs[0].energy_uj == costs[1].energy_uj
    assert costs[0].cycles == costs[1].cycles == fb.cost(by_mean, "fixed8", input_shape=shape).cycles


@pytest.mark.parametrize("dim", [1, 0, 2, -1, (1, 2), (1, 2, 3), None])
def test_a_mean_over_other_dimensions_has_no_cost(dim: object) -> None:
    with pytest.raises(fb.ModelError, match=r"call 'mean' \(mean\) .* all spatial dimensions") as raised:
        workload_of(Averaging(lambda x: x.mean(dim=dim)), (2, 5, 5))
    assert "\n" not in str(raised.value)
