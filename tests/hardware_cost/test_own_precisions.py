"""Layers that the precision's datapath does not compute count at their own: float where they stay float."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

import fewbits as fb
from fewbits import HardwareError
from fewbits.cli import main
from fewbits.formats import parse_precision
from fewbits.hardware import Cost, workload_of
from fewbits.hardware.chip_parts import PARTS
from fewbits.hardware.network_power import power_from_operands
from fewbits.hardware.technology import DEFAULT_TECHNOLOGY, load_technology
from fewbits.hardware.workload.own_precision import computes

SHAPE = (3, 16, 16)
IMAGES = torch.rand((8, *SHAPE), generator=torch.Generator().manual_seed(0))


def chain(*, first: nn.Module | None = None, last: nn.Module | None = None) -> nn.Sequential:
    torch.manual_seed(0)
    first = first or nn.Conv2d(3, 16, 3, padding=1)
    last = last or nn.Linear(256, 10)
    middle = nn.Conv2d(16, 16, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), last).eval()


def quantized(model: nn.Module, precision: str = "fixed8", **options: object) -> fb.QuantizedModel:
    made = fb.quantize(model, precision, **options)
    fb.calibrate(made, IMAGES)
    return made


def cost_of(model: nn.Module, precision: str | None = None) -> Cost:
    return fb.cost(model, precision, input_shape=SHAPE)


def layer(cost: Cost, name: str) -> float:
    """Dynamic energy of a layer, uJ."""
    (found,) = (one for one in cost.breakdown.layers if one.name == name)
    return found.energy_uj - found.leakage_uj


@pytest.fixture(scope="module")
def narrow() -> Cost:
    return cost_of(chain(), "fixed8")


@pytest.fixture(scope="module")
def wide() -> Cost:
    return cost_of(chain(), "float32")


@pytest.fixture(scope="module")
def mixed() -> Cost:
    return cost_of(quantized(chain(), layers={"6": "float32"}))


def test_each_layer_takes_the_energy_of_its_own_datapath(mixed: Cost, narrow: Cost, wide: Cost):
    assert [layer(mixed, name) for name in ("0", "2", "4")] == pytest.approx(
        [layer(narrow, n) for n in ("0", "2", "4")]
    )
    assert layer(mixed, "6") == pytest.approx(layer(wide, "6"))


def test_the_chip_has_both_accelerators(mixed: Cost, narrow: Cost, wide: Cost):
    assert mixed.area_mm2 == pytest.approx(narrow.area_mm2 + wide.area_mm2)


def test_both_accelerators_leak_in_all_cycles(mixed: Cost, narrow: Cost, wide: Cost):
    def leakage_uw(cost: Cost) -> float:
        return sum(cost.breakdown.leakage_uj.values()) / cost.time_us

    assert leakage_uw(mixed) == pytest.approx(leakage_uw(narrow) + leakage_uw(wide))
    assert sum(one.leakage_uj for one in mixed.breakdown.layers) == pytest.approx(
        sum(mixed.breakdown.leakage_uj.values())
    )


def test_parts_and_layers_add_up_to_the_whole(mixed: Cost):
    assert sum(mixed.breakdown.energy_uj.values()) == pytest.approx(mixed.energy_uj)
    assert sum(one.energy_uj for one in mixed.breakdown.layers) == pytest.approx(mixed.energy_uj)
    assert sum(one.cycles for one in mixed.breakdown.layers) == mixed.cycles
    assert list(mixed.breakdown.area_mm2) == list(PARTS)
    assert [one.name for one in mixed.breakdown.layers] == ["0", "2", "4", "6"]


def test_parameters_count_at_their_own_width(mixed: Cost, narrow: Cost):
    bits = 8 * 1024 * (mixed.parameters_kib - narrow.parameters_kib)
    biases = 10 * (32 - 31)  # accumulators of float32 and fixed8
    assert bits == pytest.approx(2560 * (32 - 8) + biases)


def test_the_slowest_accelerator_sets_the_clock(mixed: Cost, narrow: Cost, wide: Cost):
    assert mixed.clock_mhz == min(narrow.clock_mhz, wide.clock_mhz)


def test_it_is_told(mixed: Cost, narrow: Cost):
    assert mixed.own_datapaths == {"6": "float32"}
    (note,) = mixed.notes
    assert note.startswith("'6' at float32, on an accelerator of its own beside that of fixed8")
    assert (narrow.own_datapaths, narrow.notes) == ({}, ())


class OwnForward(nn.Module):
    """Multiplies by parameters in its own forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.weight = nn.Parameter(torch.rand(10, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.adaptive_avg_pool2d(F.relu(self.conv(x)), 1).flatten(1), self.weight)


LEFT_FLOAT = {
    "mirrored padding": (chain(first=nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect")), "0"),
    "weight norm": (chain(last=weight_norm(nn.Linear(256, 10))), "6"),
    "own parameters": (OwnForward().eval(), "linear"),
}


@pytest.mark.parametrize(("model", "name"), LEFT_FLOAT.values(), ids=list(LEFT_FLOAT))
def test_what_quantize_leaves_float_counts_as_float_before_and_after_it(model: nn.Module, name: str):
    made = quantized(model)
    assert made.skipped
    before, after = cost_of(model, "fixed8"), cost_of(made)
    assert before.own_datapaths == after.own_datapaths == {name: "float32"}
    assert before.energy_uj == pytest.approx(after.energy_uj)
    assert layer(after, name) == pytest.approx(layer(cost_of(model, "float32"), name))


def test_at_float32_nothing_is_apart():
    assert cost_of(LEFT_FLOAT["mirrored padding"][0], "float32").own_datapaths == {}


def test_narrower_layers_run_on_the_networks_own_datapath(narrow: Cost):
    model = quantized(chain(), layers={"2": "fixed4"})
    assert cost_of(model) == narrow
    assert fb.cost(fb.lower(model, IMAGES[:1])).energy_uj == pytest.approx(narrow.energy_uj)


def test_a_wider_layer_of_a_bit_exact_network_needs_its_own_datapath():
    model = quantized(chain(), layers={"0": "fixed8/fixed16"})
    exact = fb.cost(fb.lower(model, IMAGES[:1]))
    assert exact.own_datapaths == {"0": "fixed8/fixed16"}
    assert exact.energy_uj == pytest.approx(cost_of(model).energy_uj)


def test_a_datapath_that_the_table_lacks_is_that_of_the_smallest_that_computes_it_too():
    model = quantized(chain(), "binary", layers={"0": "binary/fixed8"})
    assert "binary/fixed8" not in load_technology().datapaths
    assert cost_of(model).own_datapaths == {"0": "binary/fixed16"}


def test_power_from_operands_of_several_datapaths_is_not_simulated():
    network = fb.lower(quantized(chain(), layers={"0": "fixed8/fixed16"}), IMAGES[:1])
    assert power_from_operands(network, IMAGES, load_technology(), DEFAULT_TECHNOLOGY) is None
    usual = fb.lower(quantized(chain()), IMAGES[:1])
    activity = power_from_operands(usual, IMAGES, load_technology(), DEFAULT_TECHNOLOGY)
    assert activity is not None
    with pytest.raises(HardwareError, match="layer '0' needs that of fixed8/fixed16"):
        fb.cost(network, activity=activity)


@pytest.mark.parametrize(
    ("datapath", "layer", "expected"),
    [
        ("fixed8", "fixed4", True),
        ("fixed8", "fixed8/fixed16", False),
        ("fixed8", "binary/fixed8", True),
        ("fixed2", "ternary/fixed2", True),
        ("fixed8", "pow2-2/fixed8", True),  # 1, 2 and their negatives
        ("fixed8", "pow2-6/fixed8", False),
        ("pow2-6/fixed16", "pow2-4/fixed8", True),
        ("pow2-6/fixed16", "fixed4/fixed16", False),
        ("binary", "binary/fixed8", False),
        ("float32", "bfloat16", False),
        ("fixed32", "float32", False),
    ],
)
def test_a_datapath_computes_what_its_operands_hold(datapath: str, layer: str, *, expected: bool):
    assert computes(parse_precision(datapath), parse_precision(layer)) is expected


def test_a_layers_own_formats_are_those_of_the_quantized_network():
    workload = workload_of(quantized(chain(), layers={"6": "float32"}), SHAPE)
    assert workload.own_precisions == {"6": "float32"}


def test_the_command_line_names_them(tmp_path, capsys, monkeypatch):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode='reflect'), nn.Flatten(),"
        " nn.Linear(1024, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["cost", "net.py:make", "fixed8", "--input", "3x16x16"]) == 0
    assert "fixed8: '0' at float32, on an accelerator of its own beside that of fixed8" in capsys.readouterr().out
    assert main(["cost", "net.py:make", "fixed8", "--input", "3x16x16", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["own_datapaths"] == {"0": "float32"}
