"""Outputs that are switched to another datapath are a part of their layer, and cost what that datapath does."""

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits import calibrate, lower, quantize
from fewbits.formats import LayerProducts, parse_format, parse_precision
from fewbits.formats.approximations import approximation
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.hardware import cost, load_technology
from fewbits.hardware.datapath.estimates import find
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.workload.networks import workload_of


def network(approximation: str | None):
    torch.manual_seed(0)
    q = quantize(nn.Sequential(nn.Conv2d(4, 48, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48 * 36, 10)), "fixed8")
    if approximation:
        q.layers["0"].switch(SwitchedUnits(approximation, (0, 2)))
    images = torch.rand(4, 4, 8, 8)
    return lower(calibrate(q, images).eval(), images[:1])


def test_parts_have_all_outputs_and_products_of_the_layer():
    parts, exact = workload_of(network("fixed4")).layers, workload_of(network(None)).layers
    assert [(part.neurons, part.precision) for part in parts[:2]] == [(16, None), (32, "fixed4")]
    assert sum(part.products for part in parts) == sum(layer.products for layer in exact)


def test_fewer_bits_take_less_energy_and_one_more_datapath():
    exact, reduced = cost(network(None)), cost(network("fixed4"))
    assert reduced.energy_uj < exact.energy_uj
    assert reduced.area_mm2 > exact.area_mm2
    assert reduced.parameters_kib < exact.parameters_kib


def test_dropped_outputs_take_one_chunk_a_position():
    exact, dropped = cost(network(None)), cost(network("dropped"))
    assert dropped.energy_uj < exact.energy_uj
    assert dropped.cycles < exact.cycles
    assert dropped.area_mm2 == exact.area_mm2


def test_a_network_without_switched_outputs_is_not_split():
    assert [layer.name for layer in workload_of(network(None)).layers] == ["0", "3"]


def test_outputs_that_no_machine_switches_are_refused_by_name() -> None:
    torch.manual_seed(0)
    model = fb.quantize(nn.Sequential(nn.Linear(8, 32)), "fixed8")
    network = fb.lower(fb.calibrate(model, torch.randn(8, 8)), torch.zeros(1, 8))
    tables = tuple(approximation(name, *[parse_format("fixed8")] * 2) for name in ("exact", "truncated-4"))
    by_synapse = LayerProducts(tables, np.arange(256).reshape(32, 8) % 2)
    with pytest.raises(fb.HardwareError, match="makes products in several ways that no machine switches between"):
        fb.cost(network.with_products({"0": by_synapse}))
    by_unit = LayerProducts.by_output(tables, [0] * 16 + [1] * 16, 8)
    with pytest.raises(fb.HardwareError, match="by groups of 16"):
        fb.cost(network.with_products({"0": by_unit}), accelerator="systolic-ws")


def test_the_composable_multiplier_is_costed_as_its_machine_alone() -> None:
    with pytest.raises(fb.HardwareError, match="give datapaths='composable'"):
        fb.cost("lenet", "fixed4", multiplier="composable")


def switched(units: SwitchedUnits | None):
    torch.manual_seed(0)
    q = quantize(nn.Sequential(nn.Conv2d(4, 40, 3), nn.ReLU(), nn.Flatten(), nn.Linear(40 * 36, 10)), "fixed8")
    q.layers["0"].switch(units)
    images = torch.rand(4, 4, 8, 8)
    return calibrate(q, images).eval(), images[:1]


CHUNKS = SwitchedUnits("dropped", (), ((0, 1), (2, 0)))
"""Of 3 units (16, 16 and 8 outputs) and 3 chunks (16, 16 and 4 synapses)."""


@pytest.mark.parametrize(
    "units",
    [
        None,
        SwitchedUnits("fixed4", (0, 2)),
        SwitchedUnits("dropped", (1,), ((0, 1),)),
        SwitchedUnits("fixed4", (), ((0, 1), (1, 0), (1, 2))),
        SwitchedUnits("fixed4", (0, 1, 2)),
    ],
)
def test_a_module_costs_what_its_lowered_network_does(units: SwitchedUnits | None) -> None:
    q, example = switched(units)
    assert cost(q, input_shape=(4, 8, 8)) == cost(lower(q, example))


def test_dropped_chunks_have_no_rows_products_or_weights() -> None:
    all_of_it, some = (workload_of(lower(*switched(units))).layers[0] for units in (None, CHUNKS))
    assert all_of_it.weights - some.weights == 16 * 16 + 8 * 16
    assert all_of_it.products - some.products == 36 * (16 * 16 + 8 * 16)
    exact, dropped = (cost(lower(*switched(units))) for units in (None, CHUNKS))
    before, after = exact.breakdown.layers[0], dropped.breakdown.layers[0]
    assert before.cycles == after.cycles
    assert before.busy_cycles - after.busy_cycles == after.stall_cycles == 2 * 36
    assert [one.reads for one in after.memories][:2] == [36 * 7, 36 * 7]
    assert after.energy_uj < before.energy_uj
    assert any("2 are passed over" in note for note in dropped.notes)


def test_chunks_dropped_everywhere_at_an_end_take_no_cycle() -> None:
    last = SwitchedUnits("dropped", (), tuple((unit, 2) for unit in range(3)))
    exact, dropped = (cost(lower(*switched(units))).breakdown.layers[0] for units in (None, last))
    assert exact.cycles - dropped.cycles == 3 * 36


def test_inputs_of_a_narrow_part_are_read_at_their_stored_width() -> None:
    # 16 outputs at fixed4 beside 32 of fixed8: 3 chunks of each of the 36 positions are loaded for each part
    part = cost(lower(*switched(SwitchedUnits("fixed4", (0,))))).breakdown.layers[1]
    assert part.name == "0 (fixed4)"
    inputs, weights, outputs = 36 * 36 * 8, 16 * 36 * 4, 16 * 36 * 8
    narrow = find(load_technology(), DatapathKey(parse_precision("fixed4")))
    assert narrow is not None
    assert part.traffic_bits == inputs + weights + outputs + 16 * narrow.cost.accumulator_bits


def test_sums_of_two_parts_go_through_memory_once() -> None:
    whole, parts = (lower(*switched(SwitchedUnits("fixed4", *which))) for which in (((0,),), ((), ((0, 1),))))
    shapes, exact = workload_of(parts).layers, workload_of(lower(*switched(None))).layers
    assert [(one.name, one.neurons, one.resumed, one.handed_on) for one in shapes[:2]] == [
        ("0", 40, 0, 16),
        ("0 (fixed4)", 16, 16, 0),
    ]
    assert sum(one.products for one in shapes) == sum(one.products for one in exact)
    assert sum(one.biases for one in shapes[:2]) == 40
    assert sum(one.output_values for one in shapes[:2]) == 40 * 36
    assert cost(parts).traffic_kib > cost(whole).traffic_kib


def test_a_layer_that_is_switched_as_a_whole_is_not_costed_as_exact() -> None:
    (layer, *_) = workload_of(lower(*switched(SwitchedUnits("fixed4", (0, 1, 2))))).layers
    assert (layer.name, layer.precision, layer.neurons) == ("0 (fixed4)", "fixed4", 40)


def test_modules_are_refused_on_machines_that_do_not_switch() -> None:
    q, _ = switched(CHUNKS)
    with pytest.raises(fb.HardwareError, match="layer '0' computes its outputs in several ways"):
        cost(q, input_shape=(4, 8, 8), accelerator="systolic-ws")
    with pytest.raises(fb.HardwareError, match="give DianNao's tile of 16 neurons of 16 synapses"):
        cost(q, input_shape=(4, 8, 8), accelerator=fb.hardware.Accelerator(neurons=16, synapses=8))
