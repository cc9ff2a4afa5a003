"""Layers with a multiplier of their own are computed by a datapath of it, beside the network's."""

from __future__ import annotations

from dataclasses import replace

import pytest

import fewbits as fb
from fewbits import HardwareError
from fewbits.formats import parse_precision
from fewbits.hardware import Cost, Workload, workload_of
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import Technology, load_technology

TABLE = load_technology()
HALF = 0.5


def with_array(table: Technology) -> Technology:
    """The table with a made-up array datapath of fixed8, of half the multipliers' energy."""
    key = DatapathKey(parse_precision("fixed8"), "array")
    booth = table.datapath("fixed8")
    cheap = replace(booth.components["multipliers"], energy_pj=HALF * booth.components["multipliers"].energy_pj)
    made = replace(booth, precision=key.name, components=booth.components | {"multipliers": cheap})
    return replace(table, datapaths=table.datapaths | {key.name: made})


def lenet(**multipliers: str) -> Workload:
    workload = workload_of("lenet")
    layers = tuple(replace(layer, multiplier=multipliers.get(layer.name)) for layer in workload.layers)
    return replace(workload, layers=layers)


def multipliers_uj(cost: Cost, name: str) -> float:
    (layer,) = (one for one in cost.breakdown.layers if one.name == name)
    return layer.energy_uj_by_part["multipliers"]


def test_a_layer_takes_the_energy_of_its_own_multiplier_and_others_that_of_the_networks():
    table = with_array(TABLE)
    exact, mixed = (fb.cost(one, "fixed8", technology=table) for one in (lenet(), lenet(conv2="array")))
    assert mixed.own_datapaths == {"conv2": "fixed8 array"}
    assert multipliers_uj(mixed, "conv2") == pytest.approx(HALF * multipliers_uj(exact, "conv2"), rel=2e-3)  # both leak
    assert multipliers_uj(mixed, "conv1") == pytest.approx(multipliers_uj(exact, "conv1"), rel=2e-3)  # both leak


def test_the_chip_has_both_multipliers():
    table = with_array(TABLE)
    exact, mixed = (fb.cost(one, "fixed8", technology=table) for one in (lenet(), lenet(conv2="array")))
    assert mixed.area_mm2 == pytest.approx(2 * exact.area_mm2)


def test_pooling_takes_no_datapath_that_no_layer_needs():
    weighted = {layer.name: "array" for layer in workload_of("lenet").layers if layer.has_weights}
    cost = fb.cost(lenet(**weighted), "fixed8", technology=with_array(TABLE))
    assert cost.area_mm2 == pytest.approx(fb.cost("lenet", "fixed8").area_mm2)


@pytest.mark.parametrize("multiplier", ["operator", "nonsense"])
def test_a_multiplier_that_the_table_or_fewbits_lacks_is_refused_with_its_layer(multiplier: str):
    with pytest.raises(HardwareError, match=f"layer 'conv2' is of multiplier {multiplier}"):
        fb.cost(lenet(conv2=multiplier), "fixed8")
