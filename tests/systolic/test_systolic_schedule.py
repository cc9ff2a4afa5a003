"""The array's schedule: SCALE-Sim's cycles, the memories' accesses, and what is refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fewbits as fb
from fewbits.errors import HardwareError
from fewbits.hardware.dataflow.plan import Accesses
from fewbits.hardware.dataflow.registry import accelerator_from, accelerator_named, dataflow_of
from fewbits.hardware.dataflow.systolic.latency import pipeline
from fewbits.hardware.dataflow.systolic.scheduling import schedule
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath import design
from fewbits.hardware.workload.workload import LayerShape, Workload

SIDES = st.integers(1, 40)


def scheduled(layer: LayerShape, array: Systolic):
    """A layer that another one follows, so that its outputs are stored."""
    end = LayerShape("end", "linear", 1, (1, 1), 1, (1, 1))
    return schedule(Workload((layer, end)), array, pipeline(design("fixed8"), array)).layers[0]


@given(SIDES, SIDES, SIDES, SIDES, SIDES, st.integers(1, 5), st.sampled_from([1, 2]))
def test_compute_cycles_are_those_of_scale_sim(
    rows: int, columns: int, channels: int, outputs: int, side: int, kernel: int, groups: int
):
    array = Systolic(max(rows, 2), max(columns, 2), accumulator_rows=1600)
    layer = LayerShape(
        "one", "convolution", channels * groups, (side + kernel - 1,) * 2, outputs * groups, (side,) * 2,
        (kernel,) * 2, groups=groups,
    )  # fmt: skip
    plan = scheduled(layer, array)
    folds = groups * -(-channels * kernel**2 // array.rows) * -(-outputs // array.columns)
    fold = side**2 + 2 * array.rows + array.columns - 2
    assert plan.busy_cycles + plan.stall_cycles == folds * fold - 1


def test_cycles_of_a_gemm_are_those_that_the_package_scalesim_counts():
    # scalesim 3.0.0, weight stationary, 16 x 16: 64 positions, 40 synapses, 24 outputs: 3 x 2 folds of 110 cycles
    layer = LayerShape("one", "linear", 40, (8, 8), 24, (8, 8))
    plan = scheduled(layer, Systolic())
    assert plan.busy_cycles + plan.stall_cycles == 6 * (64 + 2 * 16 + 16 - 2) - 1 == 659


def test_a_layer_with_more_positions_than_accumulators_loads_its_weights_for_each_block():
    layer = LayerShape("one", "convolution", 4, (12, 10), 5, (10, 8), (3, 3), has_bias=True)
    whole, parts = (scheduled(layer, Systolic(4, 4, accumulator_rows=rows)) for rows in (80, 30))
    assert (whole.pieces, parts.pieces) == (1, 4)  # three rows of eight at a time
    assert parts.weights_loaded == 4 * whole.weights_loaded == 4 * layer.weights
    assert parts.busy_cycles == whole.busy_cycles
    assert parts.stall_cycles + 1 == 4 * (whole.stall_cycles + 1)


def test_accumulators_are_touched_between_folds_alone():
    layer = LayerShape("one", "convolution", 4, (12, 10), 5, (10, 8), (3, 3))
    plan = scheduled(layer, Systolic(4, 4))
    assert plan.accesses["accumulators"] == Accesses(2 * 8 * 80, 2 * 8 * 80)  # two column folds, nine row folds
    assert plan.accesses["outputs"] == Accesses(2 * 80, 2 * 80)
    assert scheduled(layer, Systolic(36, 4)).accesses["accumulators"] == Accesses(0, 0)


def test_inputs_that_fit_their_buffer_are_loaded_once():
    layer = LayerShape("one", "linear", 12, (1, 1), 20, (1, 1))
    kept, anew = (scheduled(layer, Systolic(4, 4, input_rows=rows)) for rows in (3, 2))
    assert (kept.inputs_loaded, anew.inputs_loaded) == (12, 5 * 12)
    assert (kept.accesses["inputs"].writes, anew.accesses["inputs"].writes) == (3, 15)
    assert kept.accesses["inputs"].reads == 15


def test_a_cost_on_the_array_names_what_is_not_characterized():
    made = fb.cost("lenet", "fixed8", accelerator="systolic-ws")
    assert made.cycles > 0
    assert any("foot of its columns" in note for note in made.notes)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "fp8-e4m3"])
def test_floats_are_refused_in_a_sentence(precision: str):
    with pytest.raises(HardwareError, match=f"no processing element of {precision}: .* choose integers"):
        fb.cost("lenet", precision, accelerator="systolic-ws")


@pytest.mark.parametrize(
    ("size", "value"),
    [("rows", 0), ("columns", -3), ("rows", 2.5), ("columns", "16"), ("input_rows", 1), ("accumulator_rows", 1),
     ("output_rows", 1), ("memory_latency", 0), ("rows", 1 << 25), ("clock_mhz", 0), ("clock_mhz", float("nan")),
     ("bandwidth", -1.0), ("rows", True)],
)  # fmt: skip
def test_senseless_sizes_are_refused_by_name(size: str, value: object):
    with pytest.raises(HardwareError, match=size):
        accelerator_from({"preset": "systolic-ws", size: value})


def test_a_definition_makes_the_same_array_again():
    array = Systolic(8, 24, accumulator_rows=99, bandwidth=1.5)
    assert accelerator_from(array.definition()) == array
    assert accelerator_named("systolic-ws") == Systolic() == accelerator_from({"dataflow": "systolic"})


def test_the_description_has_as_many_elements_as_the_array():
    array = Systolic(8, 24)
    described = dataflow_of(array).describe(array)
    assert described is not None
    assert described.elements == 8 * 24
    assert [memory.name for memory in described.memories] == ["weights", "inputs", "accumulators", "outputs"]


def test_a_layer_that_the_circuit_lacks_is_named():
    images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    quantized = fb.quantize(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2)), "fixed8")
    fb.calibrate(quantized, images)
    array = Systolic()
    with pytest.raises(HardwareError, match="layer '0' is not rounded: the accelerator stores rounded values only"):
        dataflow_of(array).needed("compiler")(fb.lower(quantized, images[:1]), design("fixed8"), array)
