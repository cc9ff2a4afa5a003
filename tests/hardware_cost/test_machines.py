"""A machine for layers of several precisions: one wide datapath, one for each precision, or a composable one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fewbits as fb
from fewbits import HardwareError
from fewbits.cli import main
from fewbits.formats import Assignment, parse_precision
from fewbits.hardware import Cost

COMPOSABLE = ("fixed4 composable", "fixed8 composable")


def assignment(network: str = "fixed8", **layers: str) -> Assignment:
    return Assignment("mix", parse_precision(network), {name: parse_precision(one) for name, one in layers.items()})


def lenet(datapaths: str, network: str = "fixed8", **layers: str) -> Cost:
    return fb.cost("lenet", assignment(network, **layers), datapaths=datapaths)


def datapaths_of(cost: Cost, *layers: str) -> list[str]:
    return [cost.layer_datapaths[name] for name in layers]


def layers_uj(cost: Cost) -> dict[str, float]:
    """Dynamic energy by layer."""
    return {layer.name: layer.energy_uj - layer.leakage_uj for layer in cost.breakdown.layers}


def test_one_wide_datapath_is_the_smallest_that_holds_all_layers():
    found = lenet("one", "fixed4", conv1="fixed5", fc2="fixed6")
    assert set(found.layer_datapaths.values()) == {"fixed6"}


def test_one_is_the_default_and_leaves_a_uniform_network_as_it_is():
    assert (
        fb.cost("lenet", "fixed8", datapaths="one")
        == fb.cost("lenet", "fixed8")
        == lenet("one").__class__(**{**vars(lenet("one")), "precision": "fixed8"})
    )


def test_each_precision_has_a_datapath_of_its_own():
    found = lenet("each", conv2="fixed4")
    assert datapaths_of(found, "conv1", "conv2", "fc1", "fc2") == ["fixed8", "fixed4", "fixed8", "fixed8"]


def test_the_area_of_each_is_the_sum_of_the_uniform_ones_and_of_what_packs_and_converts_values():
    found = lenet("each", conv2="fixed4")
    alone = sum(fb.cost("lenet", name).area_mm2 for name in ("fixed8", "fixed4"))
    (wider,) = found.conversions
    assert wider.conversion == "integer23 to fixed8"
    assert alone < found.area_mm2 - wider.area_mm2 < 1.001 * alone


def test_layers_of_up_to_4_bits_take_the_composable_mode_of_4_bits_and_wider_ones_that_of_8():
    found = lenet("composable", conv1="fixed7", conv2="fixed4", fc1="fixed3")
    assert datapaths_of(found, "conv1", "conv2", "fc1", "fc2") == [COMPOSABLE[i] for i in (1, 0, 0, 1)]


def test_a_composable_machine_counts_its_silicon_once():
    mixed, wide = lenet("composable", conv2="fixed4"), lenet("composable")
    assert wide.area_mm2 <= mixed.area_mm2 < 1.001 * wide.area_mm2


def test_the_area_does_not_depend_on_which_mode_comes_first():
    first, last = lenet("composable", conv1="fixed4"), lenet("composable", fc2="fixed4")
    assert first.area_mm2 == pytest.approx(last.area_mm2, rel=1e-3)


def test_the_mode_of_4_bits_makes_four_times_the_products_a_cycle():
    busy = {
        name: {layer.name: layer.busy_cycles for layer in lenet("composable", name).breakdown.layers}
        for name in ("fixed4", "fixed8")
    }
    assert busy["fixed4"]["conv2"] == busy["fixed8"]["conv2"] / 4
    assert lenet("composable", "fixed4").products_per_cycle == 4 * lenet("composable").products_per_cycle


def test_memory_words_are_as_wide_in_both_modes():
    bits = [
        [memory.row_bits for memory in lenet("composable", name).breakdown.layers[0].memories]
        for name in ("fixed4", "fixed8")
    ]
    assert bits == [[16 * 4 * 4, 16 * 16 * 4 * 4, 16 * 8]] * 2


def test_a_float_layer_beside_a_composable_datapath_has_its_own():
    found = lenet("composable", fc2="float32")
    assert datapaths_of(found, "conv1", "fc2") == ["fixed8 composable", "float32"]


@pytest.mark.parametrize("datapaths", ["one", "each", "composable"])
def test_parts_and_layers_add_up(datapaths: str):
    found = lenet(datapaths, conv2="fixed4", fc1="fixed3")
    assert sum(layer.energy_uj for layer in found.breakdown.layers) == pytest.approx(found.energy_uj, rel=1e-12)
    assert sum(layer.cycles for layer in found.breakdown.layers) == found.cycles


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"datapaths": "many"}, "datapaths must be 'one', 'each' or 'composable', not 'many'"),
        ({"datapaths": "composable", "precision": "float32"}, "no layer has such: float32"),
        ({"datapaths": "composable", "accelerator": "systolic-ws"}, "no neurons whose lanes make 4 products"),
        ({"datapaths": "composable", "multiplier": "array"}, "leave multiplier and product_bits out"),
        ({"datapaths": "each", "product_bits": 12}, "leave product_bits out"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_line(options: dict[str, object], said: str):
    with pytest.raises(HardwareError, match=said) as refused:
        fb.cost("lenet", options.pop("precision", "fixed8"), **options)
    assert "\n" not in str(refused.value)


def test_a_table_without_the_composable_datapath_says_how_to_add_it():
    import dataclasses

    from fewbits.hardware import load_technology

    table = load_technology()
    without = {name: one for name, one in table.datapaths.items() if name not in COMPOSABLE}
    with pytest.raises(HardwareError, match="characterize --precision fixed8 --multiplier composable"):
        fb.cost("lenet", "fixed8", technology=dataclasses.replace(table, datapaths=without), datapaths="composable")


def test_the_command_takes_the_way_and_json_tells_each_layers_datapath(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "mix.toml"
    file.write_text('name = "mix"\nprecision = "fixed8"\nlayers = { conv2 = "fixed4" }\n')
    assert main(["cost", "lenet", str(file), "--datapaths", "composable", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["precision"], found["layer_datapaths"]["conv2"]) == ("mix", "fixed4 composable")


def test_the_command_refuses_ways_of_building_beside_fpga_counts(capsys: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "--datapaths", "each", "--fpga", "ecp5"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
