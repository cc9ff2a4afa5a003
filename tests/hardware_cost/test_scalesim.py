"""Systolic arrays take the cycles that SCALE-Sim v3 reports: its golden reports, and the package itself."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_layers import convolution, cycles, mapped, preset
from scalesim_oracle import compute_cycles

from fewbits import parse_precision
from fewbits.hardware.dataflow.loops.description import LoopAccelerator
from fewbits.hardware.dataflow.loops.reading import read_loops
from fewbits.hardware.dataflow.registry import accelerator_named, dataflow_of
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.workload.workload import LayerShape, Workload

DATAFLOWS = ("os", "ws", "is")

GOLDEN = {"os": 10_175, "ws": 11_199, "is": 14_207}
"""Compute cycles of the golden reports of SCALE-Sim v3 (MIT): a matrix of 256 x 256 by one of 256 x 128, on 32 x 32."""

PRODUCT = convolution("product", 128, 256, (256, 1), 1)

ARRAYS = (
    (8, 24),
    *(pytest.param(array, marks=pytest.mark.slow) for array in ((8, 8), (5, 7), (1, 16), (16, 1))),
)

SHAPES = (
    convolution("one position", 10, 30, 1, 1),
    convolution("one channel", 3, 1, 6, 3),
    convolution("one filter", 1, 4, 5, 3),
    convolution("one value", 1, 1, 1, 1),
    convolution("exactly the array", 8, 8, (8, 1), 1),
    convolution("one more than the array", 9, 9, (9, 1), 1),
    convolution("pointwise", 24, 16, 6, 1),
    convolution("square", 12, 6, 7, 3),
    convolution("square of five", 5, 3, 8, 5),
    convolution("rows alone", 7, 5, (6, 9), (3, 1)),
    convolution("columns alone", 7, 5, (9, 4), (1, 5)),
    convolution("oblong", 6, 4, (3, 11), (2, 4)),
    convolution("stride 2", 10, 4, 6, 3, 2),
    convolution("stride 3", 6, 3, 5, 4, 3),
    convolution("stride beyond the kernel", 9, 5, 4, 1, 2),
    convolution("stride 4 of eleven", 8, 3, 4, 11, 4),
    convolution("many channels", 3, 70, 3, 2),
    convolution("many filters", 90, 3, 3, 2),
    convolution("many positions", 2, 2, 18, 2),
    convolution("ragged everywhere", 13, 11, (7, 5), (3, 2)),
)


def systolic(dataflow: str, rows: int, columns: int) -> LoopAccelerator:
    """An array that keeps outputs, weights or inputs, the middle one as a file could have it."""
    if dataflow != "ws":
        return preset(f"systolic-{dataflow}-{rows}x{columns}")
    kept = {"name": "kept weights", "holds": ["weights"], "values": 1, "row_values": 1, "instances": "element"}
    buffer = {"name": "buffer", "holds": ["inputs", "weights", "outputs"], "kib": 4096, "row_bits": 8, "banks": 65536}
    return read_loops(
        {
            "objective": "cycles",
            "space": [
                {
                    **{"name": "rows", "size": rows, "loops": ["C", "FY", "FX"], "flat": True},
                    **{"weights": "systolic", "outputs": "systolic"},
                },
                {"name": "columns", "size": columns, "loops": ["K"], "inputs": "systolic"},
            ],
            "memory": [{**kept, "loops": ["OX", "OY", "B"]}, buffer],
        }
    )


def as_scalesim_counts(dataflow: str, layer: LayerShape, rows: int, columns: int) -> int:
    """It numbers cycles from 0, and reports the number of the last."""
    return cycles(mapped(systolic(dataflow, rows, columns), layer)) - 1


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_golden_reports_are_met_to_the_digit(dataflow: str):
    assert as_scalesim_counts(dataflow, PRODUCT, 32, 32) == GOLDEN[dataflow]


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_the_package_itself_gives_its_golden_reports(dataflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert compute_cycles([PRODUCT], dataflow, 32, 32, tmp_path, monkeypatch) == [GOLDEN[dataflow]]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_twenty_shapes_take_the_cycles_of_the_package(
    dataflow: str, array: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reported = compute_cycles(list(SHAPES), dataflow, *array, tmp_path, monkeypatch)
    ours = [as_scalesim_counts(dataflow, layer, *array) for layer in SHAPES]
    names = [layer.name for layer in SHAPES]
    assert dict(zip(names, ours, strict=True)) == dict(zip(names, reported, strict=True))


def in_the_array_of_the_circuit(layer: LayerShape, rows: int, columns: int) -> int:
    """Cycles by the schedule of the array whose RTL is generated, but for set-up and for the last results' way out."""
    machine = accelerator_named(f"systolic-ws-{rows}x{columns}")
    plan = dataflow_of(machine).schedule(Workload((layer, layer)), machine, design(parse_precision("fixed8")))
    return plan.layers[0].busy_cycles + plan.layers[0].stall_cycles


def test_the_array_of_the_circuit_meets_the_golden_report():
    assert in_the_array_of_the_circuit(PRODUCT, 32, 32) == GOLDEN["ws"]


def test_twenty_shapes_take_the_cycles_of_the_package_in_the_array_of_the_circuit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reported = compute_cycles(list(SHAPES), "ws", 8, 24, tmp_path, monkeypatch)
    assert [in_the_array_of_the_circuit(layer, 8, 24) for layer in SHAPES] == reported


@settings(max_examples=30, deadline=None)
@given(
    dataflow=st.sampled_from(DATAFLOWS),
    array=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    channels=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    output=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.integers(1, 3),
)
def test_any_layer_takes_a_fold_for_each_block_of_what_stays(
    dataflow: str,
    array: tuple[int, int],
    channels: tuple[int, int],
    output: tuple[int, int],
    kernel: tuple[int, int],
    stride: int,
):
    neurons, inputs = channels
    layer = convolution("any", neurons, inputs, output, kernel, stride)
    kept, across, streamed = {
        "os": (layer.positions, neurons, layer.synapses),
        "ws": (layer.synapses, neurons, layer.positions),
        "is": (layer.synapses, layer.positions, neurons),
    }[dataflow]
    rows, columns = array
    folds = ceil(kept / rows) * ceil(across / columns)
    fold = streamed + rows + columns - 2 + (0 if dataflow == "os" else rows)
    evaluation = mapped(systolic(dataflow, rows, columns), layer).evaluation
    assert int(evaluation.steps[0]) + int(evaluation.fill_cycles[0]) == folds * fold


def test_the_package_counts_a_window_that_a_stride_leaves_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # An input of 8 has 3 windows of 3 at stride 2, a row is left over; SCALE-Sim rounds up, and computes a fourth.
    left_over = LayerShape("left over", "convolution", 2, (8, 8), 4, (3, 3), (3, 3), (2, 2))
    one_more = LayerShape("one more", "convolution", 2, (9, 9), 4, (4, 4), (3, 3), (2, 2))
    reported = compute_cycles([left_over], "os", 4, 8, tmp_path, monkeypatch)
    assert reported == [as_scalesim_counts("os", one_more, 4, 8)] != [as_scalesim_counts("os", left_over, 4, 8)]
