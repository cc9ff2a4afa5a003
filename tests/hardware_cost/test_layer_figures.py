"""Figures by layer and memory level add up to the network's, and throughput follows from them."""

from __future__ import annotations

import pytest

import fewbits as fb
from fewbits.hardware import Accelerator, Cost
from fewbits.hardware.costing import limits

NETWORKS = ("lenet", "alex", "resnet8", "mobilenet-small")


@pytest.fixture(scope="module", params=[(name, one) for name in NETWORKS for one in ("fixed8", "float32")], ids=str)
def cost(request: pytest.FixtureRequest) -> Cost:
    network, precision = request.param
    return fb.cost(network, precision, accelerator=Accelerator(bandwidth=3.2))


def test_states_of_a_layer_are_all_its_cycles(cost: Cost):
    for layer in cost.breakdown.layers:
        assert sum(layer.cycles_by_state.values()) == layer.cycles, layer.name


def test_energies_of_memories_are_those_of_the_chips_parts(cost: Cost):
    for one in ("bin", "sb", "bout"):
        memories = [memory for layer in cost.breakdown.layers for memory in layer.memories if memory.name == one]
        assert sum(memory.energy_uj for memory in memories) == pytest.approx(cost.breakdown.energy_uj[one])


def test_no_memory_is_accessed_more_often_than_its_ports_allow(cost: Cost):
    for layer in cost.breakdown.layers:
        for memory in layer.memories:
            assert memory.reads + memory.writes <= memory.rows_per_cycle * layer.cycles, (layer.name, memory.name)


def test_operations_are_two_a_product(cost: Cost):
    assert cost.operations == 2 * sum(layer.products for layer in cost.breakdown.layers)


def test_operations_a_second_are_the_used_part_of_the_peak(cost: Cost):
    assert cost.gops == pytest.approx(cost.utilization * cost.peak_gops)


def test_operations_a_watt_are_operations_a_second_by_power(cost: Cost):
    assert cost.gops_per_w == pytest.approx(cost.gops / (cost.power_mw / 1000))
    assert cost.gops_per_mm2 == pytest.approx(cost.gops / cost.area_mm2)


def test_a_layer_that_waits_for_transfers_is_limited_by_them(cost: Cost):
    for layer in cost.breakdown.layers:
        assert (layer.limit == limits.BANDWIDTH) == bool(layer.transfer_stall_cycles), layer.name


def test_peak_of_the_default_tile_is_256_products_in_each_cycle():
    assert fb.cost("lenet", "fixed8").peak_gops == 2 * 256 * 0.25


@pytest.mark.parametrize(
    ("network", "layer", "limit"),
    [
        ("lenet", "conv1", limits.IDLE_MULTIPLIERS),  # 20 outputs of 25 synapses on 16 x 16
        ("lenet", "conv2", limits.MULTIPLIERS),
        ("lenet", "pool1", limits.NO_PRODUCTS),
        ("mobilenet-small", "depthwise1", limits.IDLE_MULTIPLIERS),  # a group of one channel each
    ],
)
def test_limit_of_a_known_layer(network: str, layer: str, limit: str):
    found = {one.name: one.limit for one in fb.cost(network, "fixed8").breakdown.layers}
    assert found[layer] == limit
