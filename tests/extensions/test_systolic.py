"""The output-stationary systolic array from outside: its schedule against a wavefront, cost and study end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

import fewbits as fb
from fewbits.bitexact import SumOrder
from fewbits.hardware import (
    Accelerator,
    Dataflow,
    LayerShape,
    Workload,
    accelerator_from,
    accelerator_named,
    dataflow_of,
)
from fewbits.report import write_report
from fewbits.study import read_results

Matrix = NDArray[np.int64]
LAST = LayerShape("last", "linear", 4, (1, 1), 4, (1, 1))


@pytest.fixture
def systolic(examples: Path) -> ModuleType:
    """The example's module, found as an installed extension."""
    import fewbits_examples.systolic  # pyright: ignore

    return fewbits_examples.systolic


class Wavefront:
    """An array of elements, cycle by cycle: each takes its neighbours' operands of the cycle before."""

    def __init__(self, rows: int, columns: int) -> None:
        self.sums = np.zeros((rows, columns), np.int64)
        self.cycles = 0
        self.busy = np.zeros((rows, columns), np.int64)
        self._inputs: list[list[int | None]] = [[None] * columns for _ in range(rows)]
        self._weights: list[list[int | None]] = [[None] * columns for _ in range(rows)]

    def multiply(self, inputs: Matrix, weights: Matrix) -> Matrix:
        """inputs: (rows, K), weights: (K, columns); the sums as they leave at the bottom, (rows, columns)."""
        rows, columns = self.sums.shape
        depth = inputs.shape[1]
        last = (rows - 1, columns - 1)
        while self.busy[last] < depth:
            self._step(
                [int(inputs[r, self.cycles - r]) if 0 <= self.cycles - r < depth else None for r in range(rows)],
                [int(weights[self.cycles - c, c]) if 0 <= self.cycles - c < depth else None for c in range(columns)],
            )
        left: list[Matrix] = []
        while len(left) < rows:  # sums move down a row a cycle
            left.append(self.sums[-1].copy())
            self.sums = np.roll(self.sums, 1, axis=0)
            self.cycles += 1
        return np.stack(left[::-1])

    def _step(self, at_left: list[int | None], at_top: list[int | None]) -> None:
        """One cycle: operands move on, and where two meet they are multiplied."""
        rows, columns = self.sums.shape
        self._inputs = [[at_left[r], *self._inputs[r][:-1]] for r in range(rows)]
        self._weights = [at_top, *self._weights[:-1]]
        for r in range(rows):
            for c in range(columns):
                a, b = self._inputs[r][c], self._weights[r][c]
                assert (a is None) == (b is None)  # operands meet their partners
                if a is not None and b is not None:
                    self.sums[r, c] += a * b
                    self.busy[r, c] += 1
        self.cycles += 1


sizes = st.integers(1, 6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=sizes, columns=sizes, depth=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_tile_takes_the_cycles_of_its_wavefront_and_gives_the_product(
    systolic: ModuleType, rows: int, columns: int, depth: int, seed: int
):
    random = np.random.default_rng(seed)
    inputs, weights = random.integers(-8, 8, (rows, depth)), random.integers(-8, 8, (depth, columns))
    array = Wavefront(rows, columns)
    assert (array.multiply(inputs, weights) == inputs @ weights).all()
    assert array.cycles == systolic.tile_cycles(rows, columns, depth)
    assert (array.busy == depth).all()


@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (1, 2), (2, 1), (4, 1)])
def test_a_convolution_on_tiles_takes_the_schedules_cycles_and_gives_its_sums(
    systolic: ModuleType, groups: int, stride: int
):
    """groups=4 is a depthwise convolution."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(-8, 8, (1, 4, 6, 5), generator=generator).double()
    kernel = torch.randint(-8, 8, (8, 4 // groups, 3, 3), generator=generator).double()
    expected = nn.functional.conv2d(images, kernel, stride=stride, padding=1, groups=groups)[0]
    layer = LayerShape(
        "conv", "convolution", 4, (6, 5), 8, tuple(expected.shape[1:]), (3, 3), (stride, stride), groups=groups
    )
    array = systolic.SystolicArray(rows=3, columns=5)
    windows = nn.functional.unfold(images, 3, padding=1, stride=stride)[0].T.long().numpy()  # positions x synapses
    cycles, busy, sums = 0, 0, np.zeros((layer.positions, 8), np.int64)
    of_group, depth = 8 // groups, layer.synapses
    for group in range(groups):
        inputs = windows[:, group * depth : (group + 1) * depth]
        weights = kernel[group * of_group : (group + 1) * of_group].reshape(of_group, -1).T.long().numpy()
        for row in range(0, layer.positions, 3):
            for column in range(0, of_group, 5):
                tile = Wavefront(3, 5)
                left, top = np.zeros((3, depth), np.int64), np.zeros((depth, 5), np.int64)
                left[: len(inputs[row : row + 3])] = inputs[row : row + 3]
                top[:, : weights[:, column : column + 5].shape[1]] = weights[:, column : column + 5]
                found = tile.multiply(left, top)
                cycles, busy = cycles + tile.cycles, busy + depth
                into = sums[row : row + 3, group * of_group + column : (group + 1) * of_group][:, :5]
                into += found[: into.shape[0], : into.shape[1]]
    assert (sums.T.reshape(expected.shape) == expected.long().numpy()).all()
    plan = scheduled(layer, array)
    assert (plan.cycles, plan.busy_cycles) == (cycles, busy)


def scheduled(layer: LayerShape, array: object) -> object:
    """A layer that is not the network's last."""
    made = fb.hardware.NeuronDesign  # the schedule does not depend on it
    return dataflow_of(array).schedule(Workload((layer, LAST)), array, made).layers[0]


def test_operands_that_fit_are_loaded_once(systolic: ModuleType):
    layer = LayerShape("conv", "convolution", 8, (8, 8), 64, (8, 8), (3, 3))  # K = 72, 4 x 4 tiles
    plan = scheduled(layer, systolic.SystolicArray(buffer_rows=512))
    assert (plan.weights_loaded, plan.inputs_loaded) == (layer.weights, 64 * 72)
    assert (plan.accesses["weights"].writes, plan.accesses["inputs"].writes) == (4 * 72, 4 * 72)


def test_operands_that_do_not_fit_are_loaded_anew_for_each_tile_of_the_others(systolic: ModuleType):
    layer = LayerShape("conv", "convolution", 8, (8, 8), 64, (8, 8), (3, 3))
    plan = scheduled(layer, systolic.SystolicArray(buffer_rows=64))
    assert (plan.weights_loaded, plan.inputs_loaded) == (4 * layer.weights, 4 * 64 * 72)


def test_costs_run_on_it_with_the_shipped_process(systolic: ModuleType):
    made = fb.cost("lenet", "fixed8", accelerator="skewed-16x16")
    assert list(made.breakdown.area_mm2) == [
        *("multipliers", "adder_tree", "registers", "rest", "control", "clock", "inputs", "weights", "outputs")
    ]
    assert sum(made.breakdown.energy_uj.values()) == pytest.approx(made.energy_uj)
    assert all(made.breakdown.area_mm2[part] > 0 for part in ("multipliers", "registers", "inputs", "weights"))
    assert made.energy_uj == pytest.approx(sum(layer.energy_uj for layer in made.breakdown.layers))


def test_as_many_multipliers_are_as_large_as_those_of_the_tile(systolic: ModuleType):
    made, tile = (fb.cost("lenet", "fixed8", accelerator=one) for one in ("skewed-16x16", Accelerator()))
    assert made.breakdown.area_mm2["multipliers"] == pytest.approx(tile.breakdown.area_mm2["multipliers"])


def test_what_is_estimated_is_called_so(systolic: ModuleType):
    notes = " ".join(fb.cost("lenet", "fixed8", accelerator=systolic.SystolicArray()).notes)
    assert "processing elements are an estimate from the synthesized neuron of fixed8" in notes
    assert "control of the systolic array is not characterized: not counted" in notes
    assert "the logic beside the array that computes 'pool1', 'pool2' is in no figure" in notes


def test_a_graph_with_additions_and_depthwise_convolutions_is_costed(systolic: ModuleType):
    assert fb.cost("resnet20", "fixed8", accelerator="skewed-32x32").cycles > 0
    chain = nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3, groups=12))
    made = fb.cost(chain, "fixed8", input_shape=(3, 8, 8), accelerator=systolic.SystolicArray())
    assert any("each group of '2' has tiles of its own" in note for note in made.notes)


def test_layers_of_narrower_formats_are_unpacked_at_its_own_memories(systolic: ModuleType):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    images = torch.rand(4, 1, 8, 8)
    mixed = fb.quantize(model, "fixed8", layers={"0": "fixed4/fixed8"})
    fb.calibrate(mixed, images)
    plain = fb.cost(model, "fixed8", input_shape=(1, 8, 8), accelerator="skewed-16x16")
    made = fb.cost(fb.lower(mixed, images[:1]), accelerator="skewed-16x16")
    larger = [name for name, area in made.breakdown.area_mm2.items() if area > plain.breakdown.area_mm2[name]]
    assert larger == ["weights"]


def test_float_sums_take_one_product_after_another(systolic: ModuleType):
    array = systolic.SystolicArray()
    assert dataflow_of(array).sum_order(array) == SumOrder(1)
    assert dataflow_of(Accelerator()).sum_order(Accelerator()) == SumOrder(16)


def test_a_float_network_of_another_order_is_refused_with_what_to_do(systolic: ModuleType):
    model = nn.Sequential(nn.Conv2d(1, 8, 3)).eval()
    images = torch.rand(2, 1, 8, 8)
    quantized = fb.quantize(model, "float32")
    fb.calibrate(quantized, images)
    with pytest.raises(fb.HardwareError, match=r"lower it with sum_order=SumOrder\(1\), or give integers"):
        fb.cost(fb.lower(quantized, images), accelerator="skewed-16x16")
    assert fb.cost(fb.lower(quantized, images, sum_order=SumOrder(1)), accelerator="skewed-16x16").cycles > 0


def test_a_definition_makes_the_accelerator_again(systolic: ModuleType):
    array = systolic.SystolicArray(8, 4, clock_mhz=200.0)
    assert accelerator_from(json.loads(json.dumps(array.definition()))) == array
    assert accelerator_from({"preset": "skewed-16x16", "rows": 8}) == systolic.SystolicArray(8, 16)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({"preset": "skewed-9x9"}, "no accelerator 'skewed-9x9': choose one of .*diannao-16x16, .*skewed-16x16, "),
        ({"dataflow": "wavefront"}, "no dataflow 'wavefront': choose one of diannao, systolic, loops, skewed"),
        ({"preset": "skewed-16x16", "neurons": 8}, "dataflow 'skewed' has no 'neurons': it has rows, columns, "),
        ({"dataflow": "skewed", "rows": 0}, "rows of a systolic array must be an integer of at least 1, not 0"),
    ],
)
def test_a_wrong_definition_is_refused_in_a_sentence(systolic: ModuleType, definition: dict, message: str):
    with pytest.raises(fb.HardwareError, match=message):
        accelerator_from(definition)


def test_what_it_lacks_is_said_in_a_sentence(systolic: ModuleType):
    dataflow: Dataflow = dataflow_of(accelerator_named("skewed-16x16"))
    for capability in ("operand_stream", "rtl", "compiler", "simulator"):
        with pytest.raises(fb.HardwareError, match=r"the dataflow 'skewed' has no .*: "):
            dataflow.needed(capability)


MODEL = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(72, 4))

make.input_shape = (1, 8, 8)
"""

STUDY = """
name = "skewed"
models = ["tiny.py:make"]
data = ["noise.npz"]
precisions = ["fixed8"]
float_training = { epochs = 1 }
fine_tune = { epochs = 1 }

[accelerator]
preset = "skewed-16x16"
clock_mhz = 200.0
"""


def test_a_study_runs_on_it(examples: Path, tmp_path: Path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (300, 8, 8), dtype=np.uint8), random.integers(0, 4, 300)
    (tmp_path / "tiny.py").write_text(MODEL)
    (tmp_path / "systolic.toml").write_text(STUDY)
    np.savez(
        tmp_path / "noise.npz",
        **{"x_train": images[:200], "y_train": labels[:200], "x_test": images[200:], "y_test": labels[200:]},
    )
    command = [sys.executable, "-m", "fewbits", "run", "systolic.toml", "--out", "out", "--workers", "1", "--json"]
    paths = os.pathsep.join([str(examples), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (run,) = read_results(tmp_path / "out")
    assert run.clock_mhz == 200
    assert set(run.area_mm2_by_component) > {"inputs", "weights", "outputs"}
    pages = "".join(path.read_text() for path in write_report(tmp_path / "out") if path.suffix in (".html", ".md"))
    assert "16 x 16 processing elements, estimated from a synthesized neuron" in pages
