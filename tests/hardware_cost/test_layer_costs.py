"""The cost of a mixed network is the sum of its layers', to the last digit, on a machine built for their precisions."""

from __future__ import annotations

import math
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fewbits as fb
from fewbits import HardwareError
from fewbits.hardware import LayerCosts, layer_costs, load_technology, workload_of
from fewbits.hardware.workload.own_precision import at_precisions

PRECISIONS = ("fixed8", "fixed4", "fixed3", "fixed5")
MODELS = ("lenet", "resnet8", "resnet20")
WAYS = ("one", "each", "composable")


@cache
def costs_of(model: str, way: str, precisions: tuple[str, ...] = PRECISIONS) -> LayerCosts:
    return layer_costs(workload_of(model), precisions, load_technology(), datapaths=way)


def weighted(model: str) -> list[str]:
    return [layer.name for layer in workload_of(model).layers if layer.has_weights]


def assignments(model: str) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({name: st.sampled_from(PRECISIONS) for name in weighted(model)})


def measured(model: str, way: str, chosen: dict[str, str]) -> fb.hardware.Cost:
    workload = at_precisions(workload_of(model), chosen, PRECISIONS[0])
    return fb.cost(workload, PRECISIONS[0], datapaths=way, built_for=PRECISIONS)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_predicted_figures_are_the_measured_sums_to_the_last_digit(model: str, way: str, data: st.DataObject):
    chosen = data.draw(assignments(model))
    predicted, found = costs_of(model, way).predicted(chosen), measured(model, way, chosen)
    assert predicted.energy_uj == math.fsum(layer.energy_uj for layer in found.breakdown.layers)
    assert predicted.energy_uj == pytest.approx(found.energy_uj, rel=1e-13)  # parts are summed in another order
    assert (predicted.cycles, predicted.time_us) == (found.cycles, found.time_us)
    assert predicted.memory_kib == found.memory_kib
    assert predicted.area_mm2 == found.area_mm2
    assert predicted.traffic_bits == sum(layer.traffic_bits for layer in found.breakdown.layers)


@settings(max_examples=20, deadline=None)
@given(chosen=assignments("lenet"))
def test_of_a_chain_costs_and_conversions_of_neighbours_add_up(chosen: dict[str, str]):
    found = costs_of("lenet", "each")
    at = {}
    for layer in reversed(at_precisions(workload_of("lenet"), chosen, PRECISIONS[0]).layers):
        (taken,) = layer.taken_at or (chosen[layer.name],)
        own = chosen.get(layer.name, taken)
        at[layer.name] = found.costs[layer.name][own].energy_uj
        if own != taken:
            at[layer.name] += found.conversion_costs[layer.name][own, taken].energy_uj
    assert sum(at.values()) == pytest.approx(found.predicted(chosen).energy_uj, rel=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_the_cost_of_an_assignment_is_the_sum_over_pairs_of_neighbours(model: str, way: str, data: st.DataObject):
    costs = costs_of(model, way)
    chosen = data.draw(assignments(model))
    terms = []
    for pair in costs.pairs:
        taken = costs.widest(frozenset(chosen[taker] for taker in pair.takers)) if pair.takers else None
        terms.append(pair.figures[chosen.get(pair.layer), taken])
    predicted = costs.predicted(chosen)
    assert math.fsum(one.energy_uj for one in terms) == predicted.energy_uj
    assert sum(one.cycles for one in terms) == predicted.cycles
    assert sum(one.parameter_bits for one in terms) == predicted.parameter_bits
    assert sum(one.traffic_bits for one in terms) == predicted.traffic_bits


def test_a_machine_built_for_one_precision_is_the_uniform_one():
    for name in PRECISIONS:
        alone = costs_of("resnet8", "each", (name,)).predicted({})
        uniform = fb.cost("resnet8", name)
        assert (alone.area_mm2, alone.cycles, alone.memory_kib) == (
            uniform.area_mm2,
            uniform.cycles,
            uniform.memory_kib,
        )
        assert alone.energy_uj == pytest.approx(uniform.energy_uj, rel=1e-13)


def test_idle_datapaths_of_a_machine_leak_and_are_named():
    alone = fb.cost("lenet", "fixed8", datapaths="each")
    built = fb.cost("lenet", "fixed8", datapaths="each", built_for=["fixed8", "fixed16"])
    assert built.area_mm2 > alone.area_mm2
    assert "the machine has datapaths that compute no layer, and leak: fixed16" in built.notes


@pytest.mark.parametrize(
    ("precisions", "chosen", "said"),
    [
        ((), {}, "none were given"),
        (("fixed8",), {"conv1": "fixed4"}, "built for fixed8, not for fixed4"),
        (("fixed8",), {"conv9": "fixed8"}, "no layer with weights is named 'conv9'"),
    ],
)
def test_what_the_machine_is_not_built_for_is_refused(precisions: tuple[str, ...], chosen: dict[str, str], said: str):
    with pytest.raises(HardwareError, match=said):
        costs_of("lenet", "each", precisions).predicted(chosen)


def test_a_cost_of_a_precision_that_the_machine_is_not_built_for_is_refused():
    with pytest.raises(HardwareError, match="add it to built_for"):
        fb.cost("lenet", "fixed8", built_for=["fixed4"])
