"""Costs on described accelerators: what they are made of, what is counted, and what is said beside."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

import fewbits as fb
from fewbits import HardwareError
from fewbits.hardware import (
    AccessCosts,
    Axis,
    LayerShape,
    LoopAccelerator,
    LoopMemory,
    NeuronDesign,
    Widths,
    Workload,
    dataflow_of,
    load_technology,
)
from fewbits.hardware.dataflow.loops.forwarding import fold_cycles, reported_by_scalesim
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule, with_bandwidth
from fewbits.hardware.datapath.neuron_design import design

TREE = LoopAccelerator(
    (Axis("synapses", 16, ("C",), outputs="adder-tree"), Axis("neurons", 16, ("K",))),
    (
        LoopMemory("input_buffer", ("inputs",), kib=16, row_values=16),
        LoopMemory("weight_buffer", ("weights",), kib=64, row_values=256),
        LoopMemory("output_buffer", ("outputs",), kib=16, row_values=16),
    ),
)
ELEMENTS = replace(TREE, space=(Axis("rows", 16, ("C",), outputs="systolic"), Axis("columns", 16, ("K",))))
CONVOLUTION = LayerShape("conv", "convolution", 32, (10, 10), 48, (8, 8), (3, 3))


def alone(
    layer: LayerShape, accelerator: LoopAccelerator, made: NeuronDesign | None = None, **memory: object
) -> LayerSchedule:
    """Its schedule in front of a linear layer, so that it is not the last."""
    last = LayerShape("last", "linear", 4, (1, 1), 4, (1, 1))
    return dataflow_of(accelerator).schedule(Workload((layer, last)), accelerator, made or design("fixed8")).layers[0]


def test_a_tree_makes_neurons_and_other_arrays_processing_elements():
    tree, elements = (fb.cost("lenet", "fixed8", accelerator=one) for one in (TREE, ELEMENTS))
    table = load_technology()
    for made, name, count in ((tree, "fixed8", 16), (elements, "fixed8 processing element", 256)):
        logic = sum(made.breakdown.area_mm2[part] for part in table.datapaths[name].components)
        one = sum(part.area_um2 for part in table.datapaths[name].components.values())
        assert logic == pytest.approx(count * one * 1e-6)


def test_each_instance_of_a_memory_has_area_and_leakage_and_an_access_is_of_one():
    def cost(instances: str):
        near = LoopMemory("near", ("weights",), values=1024, row_values=1, instances=instances)
        return fb.cost("lenet", "fixed8", accelerator=replace(ELEMENTS, memories=(near, *ELEMENTS.memories)))

    one, each = cost("array"), cost("columns")
    assert each.breakdown.area_mm2["near"] == pytest.approx(16 * one.breakdown.area_mm2["near"])
    per_us = [made.breakdown.leakage_uj["near"] / made.time_us for made in (one, each)]
    assert per_us[1] == pytest.approx(16 * per_us[0])


def test_a_register_of_an_element_is_in_the_datapaths_figures_alone():
    register = LoopMemory("weight_register", ("weights",), values=1, row_values=1, instances="element")
    made = fb.cost("lenet", "fixed8", accelerator=replace(ELEMENTS, memories=(register, *ELEMENTS.memories)))
    without = fb.cost("lenet", "fixed8", accelerator=ELEMENTS)
    assert made.area_mm2 == without.area_mm2
    assert made.energy_uj == without.energy_uj
    assert any("weight_register: one value in each element is a register of the datapath" in one for one in made.notes)


def test_products_fill_the_array_in_as_many_steps_as_its_ragged_edges_take():
    found = alone(CONVOLUTION, TREE)
    assert found.busy_cycles == 2 * 3 * 64 * 9  # 32 channels on 16, 48 outputs on 16
    ragged = alone(replace(CONVOLUTION, input_channels=33, neurons=49), TREE)
    assert ragged.busy_cycles == 3 * 4 * 64 * 9


def test_groups_run_one_after_another():
    depthwise = replace(CONVOLUTION, neurons=32, groups=32)
    assert alone(depthwise, TREE).busy_cycles == 32 * 64 * 9


def test_a_flat_axis_runs_through_channels_and_kernel_as_one():
    flat = Axis("rows", 16, ("C", "FY", "FX"), flat=True, outputs="adder-tree")
    layer = replace(CONVOLUTION, input_channels=3)
    assert alone(layer, replace(TREE, space=(flat, TREE.space[1]))).busy_cycles == 2 * 3 * 64  # 27 products on 16


@pytest.mark.parametrize(("ports", "banks", "stalls"), [(2, 1, False), (1, 1, True), (1, 2, False)])
def test_accesses_beyond_the_ports_stall(ports: int, banks: int, stalls: bool):
    narrow = replace(TREE.memories[1], ports=ports, banks=banks, kib=64, row_values=128)
    found = alone(CONVOLUTION, replace(TREE, memories=(TREE.memories[0], narrow, TREE.memories[2]), objective="cycles"))
    rows = found.accesses["weight_buffer"]
    needed = -(-(rows.reads + rows.writes) // (ports * banks))
    assert (found.stall_cycles > 0) == (needed > found.busy_cycles)
    assert found.cycles == max(found.busy_cycles, needed)
    assert stalls or found.stall_cycles == 0


def test_a_memory_that_is_not_double_buffered_makes_the_array_wait_for_its_transfers():
    single = tuple(replace(one, double_buffered=False) for one in TREE.memories)
    waiting, passing = alone(CONVOLUTION, replace(TREE, memories=single)), alone(CONVOLUTION, TREE)
    assert not waiting.transfers_overlap
    assert waiting.stall_cycles > passing.stall_cycles
    slow = replace(TREE, memories=single, bandwidth=1.0)
    widths = {"conv": Widths(8, 8, 31)}
    stalled = with_bandwidth(Schedule((waiting,), slow), widths, 250.0).layers[0]
    assert stalled.transfer_stall_cycles == -(-waiting.traffic_bits(widths["conv"]) // 32)  # 1 GB/s: 32 bits a cycle


def test_objectives_trade_energy_for_cycles():
    memories = tuple(replace(one, ports=1, kib=2.0) for one in TREE.memories)
    energy, cycles = (
        fb.cost("resnet20", "fixed8", accelerator=replace(TREE, memories=memories, objective=one))
        for one in ("energy", "cycles")
    )
    assert cycles.cycles <= energy.cycles

    def total(made: fb.hardware.Cost) -> float:
        return sum(made.breakdown.dynamic_uj.values()) + sum(made.off_chip_uj) / 2

    assert total(energy) <= total(cycles)


@pytest.mark.parametrize(
    ("stationary", "space", "loops", "expected"),
    [
        ("outputs", (("OY", "OX"), ("K",)), ("C", "FX", "FY"), 10175),
        ("weights", (("C", "FY", "FX"), ("K",)), ("OX", "OY"), 11199),
        ("inputs", (("C", "FY", "FX"), ("OY", "OX")), ("K",), 14207),
    ],
)
def test_systolic_arrays_take_the_cycles_of_scalesims_golden_reports(
    stationary: str, space: tuple[tuple[str, ...], ...], loops: tuple[str, ...], expected: int
):
    """256 rows times 256 x 128 on 32 x 32; SCALE-Sim v3, its golden reports."""
    hands_on = {
        "outputs": ({"weights": "systolic"}, {"inputs": "systolic"}),
        "weights": ({"weights": "systolic", "outputs": "systolic"}, {"inputs": "systolic"}),
        "inputs": ({"inputs": "systolic", "outputs": "systolic"}, {"weights": "systolic"}),
    }[stationary]
    axes = tuple(Axis(f"axis{n}", 32, one, flat=len(one) > 1, **hands_on[n]) for n, one in enumerate(space))
    register = LoopMemory("register", (stationary,), values=1, row_values=1, instances="element", loops=loops)
    large = LoopMemory("sram", ("inputs", "weights", "outputs"), kib=4096, row_bits=1024, banks=64)
    layer = LayerShape("gemm", "convolution", 256, (256, 1), 128, (256, 1))
    found = alone(layer, LoopAccelerator(axes, (register, large)))
    assert found.stall_cycles == 0
    assert found.cycles - 1 == expected
    rows, columns = (prod(dict(OY=256, OX=1, K=128, C=256, FY=1, FX=1)[loop] for loop in one) for one in space)
    streamed = 256 * 256 * 128 // (rows * columns)
    folds = (rows // 32) * (columns // 32)
    assert reported_by_scalesim(folds, fold_cycles(32, 32, streamed, stationary)) == expected


def test_pass_cycles_count_once_a_pass_and_not_where_one_is_free():
    deep = replace(TREE, pass_cycles=20, objective="cycles")
    small = LoopMemory("tile", ("weights",), kib=8, row_values=256, loops=("C", "K"))
    passes = replace(deep, memories=(TREE.memories[0], small, TREE.memories[2]))
    assert alone(CONVOLUTION, passes).fill_cycles == 20 * 2 * 3
    single = replace(CONVOLUTION, input_channels=16, neurons=16)
    assert alone(single, passes).fill_cycles == 20
    assert alone(single, replace(passes, one_pass_is_free=True)).fill_cycles == 0


def test_the_chosen_loops_are_told():
    found = alone(CONVOLUTION, TREE)
    assert found.mapping[0].startswith("in time, outermost first: ")
    assert any(line.startswith("weight_buffer keeps weights over ") for line in found.mapping)
    assert found.mapping[-1] == "in space: synapses: C 16; neurons: K 16"


def test_pooling_and_additions_have_cycles_and_accesses():
    made = fb.cost("resnet20", "fixed8", accelerator=TREE)
    added = [layer for layer in made.breakdown.layers if layer.kind == "addition"]
    assert added
    assert all(layer.cycles > 0 and layer.energy_uj_by_part["input_buffer"] > 0 for layer in added)
    assert any("the logic beside the array that computes" in note for note in made.notes)


def test_a_kept_mapping_is_the_one_that_was_found_first():
    costs = AccessCosts(1.0, dict.fromkeys(("input_buffer", "weight_buffer", "output_buffer"), 2.0), {}, 3.0, {})
    costs = replace(costs, writes_pj=costs.reads_pj)
    workload, dataflow = Workload((CONVOLUTION,)), dataflow_of(TREE)
    first, again = (dataflow.mapped(workload, TREE, design("fixed8"), costs) for _ in range(2))
    assert first == again
    other = dataflow.mapped(workload, TREE, design("fixed8"), replace(costs, off_chip_pj_per_bit=0.0))
    assert other.layers[0].products == first.layers[0].products


def test_a_memory_without_a_macro_of_its_ports_is_refused_by_a_line():
    many = replace(TREE, memories=(replace(TREE.memories[0], ports=7), *TREE.memories[1:]))
    with pytest.raises(HardwareError, match="no SRAM macro has 7 ports") as error:
        fb.cost("lenet", "fixed8", accelerator=many)
    assert "\n" not in str(error.value)


def test_layers_whose_mappings_were_not_all_looked_at_are_named():
    small = LoopMemory("buffer", ("inputs", "weights", "outputs"), kib=4, row_bits=128)
    made = fb.cost("resnet20", "fixed8", accelerator=replace(TREE, memories=(small,)))
    assert any("are the best of those looked at" in note for note in made.notes)


def test_small_memories_in_elements_tell_the_macro_they_take():
    near = LoopMemory("pad", ("weights",), values=16, row_values=1, instances="element")
    made = fb.cost("lenet", "fixed8", accelerator=replace(ELEMENTS, memories=(near, *ELEMENTS.memories)))
    assert any(
        note.startswith("pad: each of 256 instances of 16 x 8 bits is made of RM_IHPSG13") for note in made.notes
    )


def test_an_array_with_registers_alone_is_costed():
    register = LoopMemory("register", ("inputs", "weights", "outputs"), values=1, row_values=1, instances="element")
    made = fb.cost("lenet", "fixed8", accelerator=replace(TREE, memories=(register,)))
    assert set(made.breakdown.area_mm2) == {"multipliers", "adder_tree", "registers", "rest", "control", "clock"}
