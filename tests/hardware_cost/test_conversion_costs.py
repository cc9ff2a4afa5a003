"""What converts values between layers of different formats is priced, named, and an exact part of the sum of layers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fewbits as fb
from fewbits.formats import Assignment, parse_format, parse_precision
from fewbits.hardware import Cost, LayerCosts, layer_costs, load_technology, workload_of
from fewbits.hardware.costing.conversions import CONVERSIONS, cost_of
from fewbits.hardware.datapath.conversions import Conversion, Integers, decodes
from fewbits.hardware.workload.own_precision import at_precisions

PRECISIONS = ("fixed8", "fp8-e4m3", "bfloat16", "pow2-4/fixed8", "binary/fixed16", "float32")
TABLE = load_technology()


def cost_at(layers: dict[str, str], way: str = "each", base: str = "fixed8", **given) -> Cost:
    chosen = Assignment("mix", parse_precision(base), {name: parse_precision(one) for name, one in layers.items()})
    return fb.cost("lenet", chosen, datapaths=way, **given)


@cache
def machine(model: str, way: str) -> LayerCosts:
    return layer_costs(workload_of(model), PRECISIONS, TABLE, datapaths=way)


@pytest.mark.parametrize("way", ["one", "each"])
@pytest.mark.parametrize("model", ["lenet", "resnet8"])
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_the_cost_of_mixed_families_is_the_exact_sum_over_pairs_of_neighbours(model: str, way: str, data):
    costs = machine(model, way)
    names = [layer.name for layer in costs.workload.layers if layer.has_weights]
    chosen = data.draw(st.fixed_dictionaries({name: st.sampled_from(PRECISIONS) for name in names}))
    terms = []
    for pair in costs.pairs:
        taken = costs.widest(frozenset(chosen[taker] for taker in pair.takers)) if pair.takers else None
        terms.append(pair.figures[chosen.get(pair.layer), taken])
    workload = at_precisions(costs.workload, chosen, PRECISIONS[0])
    found = fb.cost(workload, PRECISIONS[0], datapaths=way, built_for=PRECISIONS)
    assert math.fsum(one.energy_uj for one in terms) == math.fsum(one.energy_uj for one in found.breakdown.layers)
    assert sum(one.cycles for one in terms) == found.cycles
    assert costs.area_mm2 == found.area_mm2
    passed = [one for one in found.conversions if one.layers]
    dynamic = math.fsum(one.energy_uj for one in passed)
    assert found.breakdown.dynamic_uj[CONVERSIONS] == pytest.approx(dynamic, rel=1e-12)
    assert found.breakdown.area_mm2[CONVERSIONS] == pytest.approx(
        math.fsum(one.area_mm2 for one in found.conversions), rel=1e-12
    )


def test_a_conversion_by_hand():
    """conv1 of LeNet makes 20 maps of 24 x 24 sums of 31 bits, which the next layer takes at fp8-e4m3."""
    found = cost_at({"conv2": "fp8-e4m3", "fc1": "fp8-e4m3", "fc2": "fp8-e4m3"})
    (one,) = found.conversions
    entry, bit = TABLE.conversions["integer31 to fp8-e4m3"], TABLE.packing["selection"]
    assert (one.conversion, one.holds, one.datapath) == ("integer31 to fp8-e4m3", "outputs", "fixed8")
    assert (one.layers, one.values, one.values_per_cycle) == (("conv1",), 20 * 24 * 24, 16)
    assert one.energy_uj == pytest.approx(one.values * (entry.energy_pj + 8 * bit.energy_pj) * 1e-6)
    assert one.area_mm2 == pytest.approx(16 * (entry.area_um2 + 8 * bit.area_um2) * 1e-6)
    assert found.breakdown.area_mm2[CONVERSIONS] == one.area_mm2


def test_a_layer_ends_when_its_last_result_is_converted():
    uniform = cost_at({}, built_for=["fixed8", "fp8-e4m3"])
    mixed = cost_at({"conv2": "fp8-e4m3"}, built_for=["fixed8", "fp8-e4m3"])
    cycles = {layer.name: layer.cycles for layer in mixed.breakdown.layers}
    before = {layer.name: layer.cycles for layer in uniform.breakdown.layers}
    assert cycles["conv1"] - before["conv1"] == TABLE.conversions["integer31 to fp8-e4m3"].latency


def test_floats_are_rounded_back_to_integers_and_to_narrower_floats():
    found = cost_at({"conv1": "bfloat16", "conv2": "fp8-e4m3", "fc1": "fixed8", "fc2": "bfloat16"})
    assert {one.conversion for one in found.conversions} == {
        "float32 to fp8-e4m3",
        "float32 to fixed8",
        "integer31 to bfloat16",
    }


def test_powers_of_two_are_decoded_for_a_datapath_that_holds_them():
    found = cost_at({"conv1": "pow2-4/fixed8"}, way="one", base="fixed8")
    assert [(one.conversion, one.holds, one.layers) for one in found.conversions] == [
        ("pow2-4 in fixed8", "weights", ("conv1",))
    ]
    assert found.conversions[0].values_per_cycle == 256  # a row of SB


def test_a_uniform_network_has_no_conversion():
    found = fb.cost("lenet", "fixed8")
    assert found.conversions == ()
    assert CONVERSIONS not in found.breakdown.area_mm2


def test_the_composable_datapath_rounds_to_either_of_its_formats_itself():
    found = cost_at({"conv2": "fixed4", "fc1": "fixed4"}, way="composable")
    assert found.conversions == ()


def test_a_conversion_that_a_table_lacks_is_named_and_not_counted():
    table = replace(TABLE, conversions={})
    found = cost_at({"conv2": "fp8-e4m3"}, technology=table)
    assert found.breakdown.area_mm2[CONVERSIONS] == 0
    assert "conversion integer31 to fp8-e4m3 not in this technology table: not counted" in " ".join(found.notes)


def test_a_conversion_of_another_width_is_priced_as_a_larger_one_and_says_so():
    asked = Conversion(Integers(25), parse_format("float-e3m2"))
    found = cost_of(asked, TABLE)
    assert found is not None
    assert (found.source, found.target) == ("integer31", "fp8-e4m3")
    noted = " ".join(cost_at({"conv1": "fixed5", "conv2": "fp8-e4m3"}).notes)
    assert "conversion integer25 to fp8-e4m3 priced as integer31 to fp8-e4m3" in noted


def test_nothing_stands_for_what_no_circuit_of_the_table_holds():
    assert cost_of(Conversion(Integers(200), parse_format("fixed8")), TABLE) is None
    assert cost_of(decodes(parse_format("pow2-4"), parse_format("fixed32")), replace(TABLE, conversions={})) is None


@pytest.mark.parametrize("at", ["slow", "fast", "1.1V", "65nm"])
def test_conversions_have_figures_at_corners_voltages_and_nodes(at: str):
    there, usual = load_technology(f"ihp-sg13g2@{at}").conversions, TABLE.conversions
    assert there.keys() == usual.keys()
    name = "integer31 to fp8-e4m3"
    ratio = there[name].energy_pj / usual[name].energy_pj
    assert 1.0 < ratio < 1.5 if at == "fast" else 0.1 < ratio < 1.0


def test_every_shipped_conversion_keeps_the_clock_of_the_table():
    assert TABLE.conversions
    for name, one in TABLE.conversions.items():
        assert 1000 / one.longest_path_ns >= TABLE.target_clock_mhz, name


def test_a_faster_clock_than_the_converters_keep_is_lowered_and_says_why():
    slow = replace(TABLE.conversions["integer31 to fp8-e4m3"], longest_path_ns=8.0)
    table = replace(TABLE, conversions={"integer31 to fp8-e4m3": slow})
    found = cost_at({"conv2": "fp8-e4m3"}, technology=table)
    assert found.clock_mhz == 125
    assert "the converters' longest path (integer31 to fp8-e4m3) takes 8 ns" in " ".join(found.notes)


def test_the_json_of_a_cost_names_conversions():
    from fewbits.report.costs import cost_json

    found = json.loads(json.dumps(cost_json(cost_at({"conv2": "fp8-e4m3"}))))
    assert {one["conversion"] for one in found["conversions"]} == {"integer31 to fp8-e4m3", "float32 to fixed8"}
    assert found["energy_uj_by_part"][CONVERSIONS] > 0
