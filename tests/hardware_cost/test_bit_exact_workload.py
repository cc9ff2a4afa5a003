"""The workload of a bit-exact network is that of the module it was lowered from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fewbits import ModelError
from fewbits.bitexact import BitExactNetwork, lower
from fewbits.graph.operations import Operation
from fewbits.hardware.workload.module_workload import module_workload
from fewbits.hardware.workload.networks import workload_of
from fewbits.models import build, input_shape
from fewbits.quantization import calibrate, quantize


def lowered(model: nn.Module, shape: tuple[int, ...], precision: str) -> BitExactNetwork:
    torch.manual_seed(0)
    images = torch.rand(2, *shape)
    quantized = quantize(model, precision)
    calibrate(quantized, images)
    return lower(quantized, images)


@pytest.mark.parametrize("precision", ["fixed8", "float32"])
@pytest.mark.parametrize("name", ["lenet", "alex"])
def test_workload_is_that_of_the_module(name: str, precision: str):
    shape = input_shape(name)
    assert shape is not None
    model = build(name, seed=0)
    found = workload_of(lowered(model, shape, precision))
    assert found.layers == module_workload(model, shape).layers
    assert found.precision == precision


def test_geometry_of_one_dimension_and_groups_agrees():
    model = nn.Sequential(
        nn.Conv1d(4, 8, 3, stride=2, padding=1, dilation=2, groups=2, bias=False),
        nn.ReLU(),
        nn.AvgPool1d(2),
        nn.Flatten(),
        nn.Linear(8 * 3, 2),
    )
    network = lowered(model, (4, 15), "fixed8")
    assert workload_of(network).layers == module_workload(model, (4, 15)).layers


class Unknown(Operation):
    """An operation that the accelerator does not compute."""


def test_operation_that_the_tile_cannot_compute_is_refused():
    network = lowered(nn.Sequential(nn.Linear(4, 2)), (4,), "fixed8")
    object.__setattr__(
        network, "_operations", (*network.operations, Unknown(name="norm", inputs=("0",), output_shape=(2,)))
    )
    with pytest.raises(ModelError, match=r"operation 'norm' \(Unknown\) has no entry in the workload: register"):
        workload_of(network)
