"""Layers that the precision's datapath does not compute count at their own: float where they stay float."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import fewbits as fb
from fewbits import HardwareError
from fewbits.cli import main
from fewbits.formats import parse_precision
from fewbits.hardware import Cost, workload_of
from fewbits.hardware.costing.network_power import power_from_operands
from fewbits.hardware.process.technology import DEFAULT_TECHNOLOGY, load_technology
from fewbits.hardware.workload.own_precision import computes
from fewbits.quantization.layers.training_method import settle
from fewbits.quantization.methods.learned_step import FreeWeightSteps

PARTS = ("multipliers", "adder_tree", "registers", "rest", "control", "clock", "bin", "sb", "bout")
"""Of the neurons, around them, the buffers: in the order of figures."""

SHAPE = (3, 16, 16)
BINARY_FIXED16 = load_technology().datapaths["binary/fixed16"]
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
    """Dynamic energy of a layer without that of its conversions, uJ."""
    (found,) = (one for one in cost.breakdown.layers if one.name == name)
    converted = sum(one.energy_uj for one in cost.conversions if one.layers == (name,))
    return found.energy_uj - found.leakage_uj - converted


@pytest.fixture(scope="module")
def narrow() -> Cost:
    return cost_of(chain(), "fixed8")


@pytest.fixture(scope="module")
def wide() -> Cost:
    return cost_of(chain(), "float32")


@pytest.fixture(scope="module")
def mixed() -> Cost:
    return cost_of(quantized(chain(), layers={"6": "float32"}))


def test_each_layer_takes_the_energy_of_its_own_datapath_and_pooling_that_of_what_takes_its_result(
    mixed: Cost, narrow: Cost, wide: Cost
):
    assert layer(mixed, "0") == pytest.approx(layer(narrow, "0"))
    assert layer(mixed, "2") == pytest.approx(layer(narrow, "2"), rel=1e-3)  # it ends later, by its converters' cycles
    assert [layer(mixed, name) for name in ("4", "6")] == pytest.approx([layer(wide, name) for name in ("4", "6")])


def test_the_chip_has_both_accelerators_and_what_converts_between_them(mixed: Cost, narrow: Cost, wide: Cost):
    converters = mixed.breakdown.area_mm2["conversions"]
    assert converters == pytest.approx(sum(one.area_mm2 for one in mixed.conversions))
    assert converters > 0
    assert mixed.area_mm2 == pytest.approx(narrow.area_mm2 + wide.area_mm2 + converters)


def test_what_converts_is_told_with_its_circuit(mixed: Cost):
    (found,) = mixed.conversions
    assert (found.conversion, found.holds, found.layers) == (found.priced_as, "outputs", ("2",))
    assert found.values == 16 * math.prod(SHAPE[1:])
    assert found.energy_uj > 0


def test_both_accelerators_leak_in_all_cycles(mixed: Cost, narrow: Cost, wide: Cost):
    def leakage_uw(cost: Cost) -> float:
        return sum(cost.breakdown.leakage_uj.values()) / cost.time_us

    converters_uw = sum(one.leakage_uw for one in mixed.conversions)
    assert leakage_uw(mixed) == pytest.approx(leakage_uw(narrow) + leakage_uw(wide) + converters_uw * 1e-6)
    assert sum(one.leakage_uj for one in mixed.breakdown.layers) == pytest.approx(
        sum(mixed.breakdown.leakage_uj.values())
    )


def test_parts_and_layers_add_up_to_the_whole(mixed: Cost):
    assert sum(mixed.breakdown.energy_uj.values()) == pytest.approx(mixed.energy_uj)
    assert sum(one.energy_uj for one in mixed.breakdown.layers) == pytest.approx(mixed.energy_uj)
    assert sum(one.cycles for one in mixed.breakdown.layers) == mixed.cycles
    assert [name for name in mixed.breakdown.area_mm2 if name != "conversions"] == list(PARTS)
    assert [one.name for one in mixed.breakdown.layers] == ["0", "2", "4", "6"]


def test_parameters_count_at_their_own_width(mixed: Cost, narrow: Cost):
    bits = 8 * 1024 * (mixed.parameters_kib - narrow.parameters_kib)
    biases = 10 * (32 - 31)  # accumulators of float32 and fixed8
    assert bits == pytest.approx(2560 * (32 - 8) + biases)


def test_the_slowest_accelerator_sets_the_clock(mixed: Cost, narrow: Cost, wide: Cost):
    assert mixed.clock_mhz == min(narrow.clock_mhz, wide.clock_mhz)


def test_it_is_told(mixed: Cost, narrow: Cost):
    assert mixed.own_datapaths == {"4": "float32", "6": "float32"}
    accelerators, conversions = mixed.notes
    assert accelerators.startswith("'4', '6' at float32, on an accelerator of its own beside that of fixed8")
    assert conversions.startswith("values are converted between formats (")
    assert (narrow.own_datapaths, narrow.notes) == ({}, ())


LEFT_FLOAT = {
    "mirrored padding": chain(first=nn.Conv2d(3, 16, 3, padding=1, padding_mode="reflect")),
    "weight norm": chain(last=weight_norm(nn.Linear(256, 10))),
}


@pytest.mark.parametrize("model", LEFT_FLOAT.values(), ids=list(LEFT_FLOAT))
def test_what_quantize_leaves_float_is_refused_by_cost_as_by_lower(model: nn.Module):
    made = quantized(model)
    (entry,) = made.skipped
    for refused in (lambda: cost_of(model, "fixed8"), lambda: cost_of(made), lambda: fb.lower(made, IMAGES[:1])):
        with pytest.raises(fb.ModelError) as caught:
            refused()
        assert str(caught.value) == str(entry)


def test_at_float32_nothing_is_apart():
    assert cost_of(quantized(chain(), layers={"0": "float32"}), "float32").own_datapaths == {}


def test_an_accelerator_that_computes_nothing_is_not_on_the_chip():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)).eval()
    assert cost_of(quantized(model, layers={"0": "float32"})).area_mm2 == cost_of(model, "float32").area_mm2


def test_narrower_layers_run_on_the_networks_own_datapath(narrow: Cost):
    model = quantized(chain(), layers={"2": "fixed4"})
    found = cost_of(model)
    assert (found.own_datapaths, found.narrower_layers) == ({}, {"2": "fixed4"})
    assert found.cycles == narrow.cycles
    assert found.memory_kib < narrow.memory_kib
    assert fb.cost(fb.lower(model, IMAGES[:1])).energy_uj == pytest.approx(found.energy_uj)


def test_a_wider_layer_of_a_bit_exact_network_needs_its_own_datapath():
    model = quantized(chain(), layers={"0": "fixed8/fixed16"})
    exact = fb.cost(fb.lower(model, IMAGES[:1]))
    assert exact.own_datapaths == {"0": "fixed8/fixed16"}
    assert exact.energy_uj == pytest.approx(cost_of(model).energy_uj)


def test_a_datapath_that_the_table_lacks_is_that_of_the_smallest_that_computes_it_too():
    model = quantized(chain(), "binary", layers={"0": "binary/fixed8"})
    assert "binary/fixed8" not in load_technology().datapaths
    assert cost_of(model).own_datapaths == {"0": "ternary/fixed8"}


def test_layers_of_two_precisions_share_a_datapath_that_computes_both():
    model = quantized(chain(), "binary", layers={"0": "binary/fixed10", "2": "binary/fixed12"})
    found, other = cost_of(model), cost_of(chain(), "binary/fixed16")
    assert set(found.own_datapaths.values()) == {"binary/fixed16"}
    converters = found.breakdown.area_mm2["conversions"]
    both = cost_of(chain(), "binary").area_mm2 + other.area_mm2
    assert found.area_mm2 - converters == pytest.approx(both, rel=0.01)  # unpackers
    assert sum("on an accelerator of its own" in note for note in found.notes) == 1


def test_what_the_precision_asked_for_computes_is_not_apart():
    model = quantized(chain(), layers={"0": "fixed8/fixed16"})
    assert (cost_of(model, "fixed16").own_datapaths, cost_of(model, "fixed16").cycles) == (
        {},
        cost_of(chain(), "fixed16").cycles,
    )
    assert cost_of(model, "fixed4").own_datapaths == {"0": "fixed8/fixed16"}


def test_pooling_in_front_of_a_wider_layer_moves_its_wide_values():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(16, 8, 3, padding=1)).eval()
    pooled = {"narrow": quantized(model, "fixed4"), "wide": quantized(model, "fixed4", layers={"2": "fixed4/fixed16"})}
    costs = {name: cost_of(one) for name, one in pooled.items()}
    assert costs["wide"].own_datapaths == {"1": "fixed4/fixed16", "2": "fixed4/fixed16"}
    moved = {name: {one.name: one.traffic_bits for one in cost.breakdown.layers} for name, cost in costs.items()}
    values = 16 * 16 * 16
    assert moved["wide"]["1"] == 4 * moved["narrow"]["1"]
    assert moved["wide"]["0"] - moved["narrow"]["0"] == values * (16 - 4)  # what the convolution leaves for it
    bits = {name: 8 * 1024 * (cost.memory_kib - cost.parameters_kib) for name, cost in costs.items()}
    assert bits == {"narrow": 4 * (values + values // 4), "wide": 16 * (values + values // 4)}
    exact = fb.cost(fb.lower(pooled["wide"], IMAGES[:1]))
    assert exact.energy_uj == pytest.approx(costs["wide"].energy_uj)


@pytest.mark.parametrize(
    ("precision", "layers", "expected"),
    [
        ("fixed4", {"0": "fixed8"}, {"0": "fixed8"}),
        ("ternary/fixed8", {}, {}),
        ("binary/fixed8", {"0": "binary/fixed16"}, {"0": "binary/fixed16"}),
    ],
)
def test_a_factor_behind_the_sums_leaves_a_layer_its_own_precision(
    precision: str, layers: dict[str, str], expected: dict[str, str]
):
    model = quantized(chain(), precision, layers=layers)
    for layer in model.layers.values():
        layer.method = FreeWeightSteps(layer)
    settle(model)
    assert all(layer.scale_bits for layer in model.layers.values())
    table = dataclasses.replace(
        load_technology(), datapaths={**load_technology().datapaths, "binary/fixed8": BINARY_FIXED16}
    )
    assert fb.cost(model, input_shape=SHAPE, technology=table).own_datapaths == expected
    assert fb.cost(fb.lower(model, IMAGES[:1]), technology=table).own_datapaths == expected


def test_a_technology_without_the_datapath_names_the_layer_that_needs_it():
    table = load_technology()
    narrow = {name: made for name, made in table.datapaths.items() if name == "fixed8"}
    with pytest.raises(HardwareError, match="layer '0' is at float32, which fixed8 does not hold: technology"):
        fb.cost(
            quantized(chain(), layers={"0": "float32"}),
            input_shape=SHAPE,
            technology=dataclasses.replace(table, datapaths=narrow),
        )


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
        ("ternary/fixed8", "binary/fixed8", True),
        ("binary/fixed8", "ternary/fixed8", False),
        ("pow2-6/fixed16", "ternary/fixed8", True),
        ("float32", "bfloat16", True),
        ("float32", "float16", True),
        ("bfloat16", "float16", False),
        ("bfloat16", "float32", False),
        ("fixed32", "float32", False),
    ],
)
def test_a_datapath_computes_what_its_operands_hold(datapath: str, layer: str, *, expected: bool):
    assert computes(parse_precision(datapath), parse_precision(layer)) is expected


def test_a_layers_own_formats_are_those_of_the_quantized_network():
    workload = workload_of(quantized(chain(), layers={"6": "float32"}), SHAPE)
    assert workload.own_precisions == {"6": "float32"}


def test_the_command_line_names_what_is_refused(tmp_path, capsys, monkeypatch):
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode='reflect'), nn.Flatten(),"
        " nn.Linear(1024, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["cost", "net.py:make", "fixed8", "--input", "3x16x16"]) == 2
    assert "layer '0' (Conv2d) cannot be lowered: padding_mode 'reflect'" in capsys.readouterr().err
