"""The operands of one element: what a column of elements in simulation sees, and what a layer asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from systolic_comparison import lowered
from torch import nn

from fewbits import data, models
from fewbits.hardware import load_technology
from fewbits.hardware.activity.kernels import BLOCK_CYCLES
from fewbits.hardware.costing.network_power import power_from_operands
from fewbits.hardware.dataflow.diannao.operands import layer_operands
from fewbits.hardware.dataflow.diannao.windows import layer_windows
from fewbits.hardware.dataflow.systolic import operands as element_operands
from fewbits.hardware.dataflow.systolic.folds import folds
from fewbits.hardware.dataflow.systolic.sizes import Systolic
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.element_arithmetic import column_bits
from fewbits.hardware.datapath.neuron_design import NeuronDesign
from fewbits.hardware.datapath.processing_element import ProcessingElement
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path
from fewbits.hardware.rtl.bit_heap import delayed

ARRAY = Systolic(3, 2, accumulator_rows=9)
CYCLES = 120


def taken_from(precision: str):
    """A layer's operands and folds, on an array whose accumulators hold a third of its positions."""
    torch.manual_seed(1)
    images = torch.randn(2, 2, 6, 6)
    network = lowered(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1)), precision, images)
    made = design(precision)
    layer = network.layers[0]
    values = network.trace(images).get(layer.inputs[0], images)
    operands = layer_operands(network, layer, values, replace(made, synapses=3))
    return network, layer, operands, folds(1, 3, 18, layer_windows(layer).outputs, ARRAY), made


def assert_seen(made: NeuronDesign, place: tuple[int, int], given, stream: element_operands.ElementStream) -> None:
    """A column of elements in simulation, given what comes to the array's edges: the one at `place` sees the stream."""
    elements = [ProcessingElement(made, 3) for _ in range(3)]
    edges = [Signal(made.precision.inputs.bits, name=f"edge_{row}") for row in range(3)]
    m = Module()
    for row, element in enumerate(elements):
        m.submodules += element
        m.d.comb += element.value.eq(delayed(m, edges[row], row + place[1], f"skew_{row}"))
        if row > 0:
            above = elements[row - 1]
            m.d.comb += [element.load.eq(elements[0].load), element.weight.eq(above.weight_out)]
            m.d.comb += element.above.eq(above.below)
    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    history, wrap = len(given.load) - CYCLES, 1 << column_bits(made, 3)

    async def run(context):
        for cycle in range(len(given.load)):
            context.set(elements[0].load, int(given.load[cycle]))
            context.set(elements[0].weight, int(given.top[cycle]))
            for row, edge in enumerate(edges):
                context.set(edge, int(given.inputs[cycle, row]))
            at, element = cycle - history, elements[place[0]]
            if at >= 0 and given.load[: max(0, cycle - 8)].sum() >= 6:  # two folds have been loaded
                assert context.get(element.load) == stream.load[at]
                assert context.get(element.weight) == stream.weight[at]
                assert context.get(element.value) == stream.value[at]
                assert (context.get(element.above) - int(stream.above[at])) % wrap == 0
            await context.tick()

    simulator.add_testbench(run)
    simulator.run()


@pytest.mark.parametrize("precision", ["fixed4", "fixed16", "binary"])
@pytest.mark.parametrize("place", [(0, 0), (1, 1), (2, 0)])
def test_a_column_of_elements_sees_what_the_stream_says(
    precision: str, place: tuple[int, int], monkeypatch: pytest.MonkeyPatch
):
    _, _, operands, loops, made = taken_from(precision)
    seen: list[element_operands._Column] = []
    column = element_operands._column
    monkeypatch.setattr(element_operands, "_column", lambda *given: seen.append(column(*given)) or seen[-1])
    stream = element_operands.element_stream(operands, loops, made, 0, place, CYCLES, np.random.default_rng(5))
    assert seen[0].load.sum() > 12
    assert_seen(made, place, seen[0], stream)


def test_busy_cycles_are_the_share_of_the_schedule():
    _, _, operands, loops, made = taken_from("fixed4")
    block = loops.blocks[0]
    length = ARRAY.rows + block.positions + loops.gap(block)
    stream = element_operands.element_stream(operands, loops, made, 0, (1, 0), 50 * length, np.random.default_rng(0))
    share = sum(one.positions for one in loops.blocks) / sum(3 + one.positions + loops.gap(one) for one in loops.blocks)
    assert stream.busy.mean() == pytest.approx(share, abs=0.03)
    assert stream.load.mean() == pytest.approx(3 / length, abs=0.03)


def test_a_weight_stays_for_all_positions_of_a_fold():
    network, layer, operands, loops, made = taken_from("fixed4")
    stream = element_operands.element_stream(operands, loops, made, 1, (2, 1), 500, np.random.default_rng(0))
    assert not np.any(stream.load & stream.busy)
    ports = {
        name: (name, np.arange(start, start + bits))
        for name, start, bits in (("load", 0, 1), ("weight", 1, 4), ("value", 5, 4), ("above", 9, 10))
    }
    images = torch.randn(2, 2, 6, 6)
    stimulus = element_operands.operand_stream(
        network, layer, network.trace(images).get(layer.inputs[0], images), made, ARRAY, ports, 2,
        np.random.default_rng(0), 2,
    )  # fmt: skip
    assert len(stimulus.nets) == 19
    assert stimulus.words.shape[0] == 2 * 2
    assert BLOCK_CYCLES == 256


@pytest.mark.slow
def test_an_element_whose_weight_stays_takes_less_energy_than_a_synapse_whose_weight_changes():
    table = load_technology()
    if not compiled_netlist_path(table.name, "fixed8 processing element").exists():
        pytest.skip("the shipped table has no netlist of a processing element of fixed8")
    loaded = data.load("digits")
    images = loaded.inputs(loaded.test.images[:4])
    network = lowered(models.build("lenet", seed=1), "fixed8", images)
    element = power_from_operands(network, images, table, table.name, Systolic())
    neuron = power_from_operands(network, images, table, table.name)
    assert element is not None
    assert neuron is not None
    for name, one in element.layers.items():
        energy = sum(one.energy_pj.values())
        assert element.idle_clock_pj < energy < sum(neuron.layers[name].energy_pj.values()) / 16
