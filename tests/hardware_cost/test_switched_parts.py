"""Outputs that are switched to another datapath are a part of their layer, and cost what that datapath does."""

import numpy as np
import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits import calibrate, lower, quantize
from fewbits.formats import LayerProducts, parse_format
from fewbits.formats.approximations import approximation
from fewbits.formats.switched_units import SwitchedUnits
from fewbits.hardware import cost
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
