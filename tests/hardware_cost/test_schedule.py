"""The schedule equals hand-computed figures and a walk through every cycle."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lenet_by_hand import LENET

from fewbits import HardwareError
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.opcodes import NEURON_SUMS
from fewbits.hardware.dataflow.diannao.scheduling import Pipeline, schedule
from fewbits.hardware.dataflow.plan import LayerSchedule, Schedule, Widths
from fewbits.hardware.workload.workload import LayerShape, Workload

TILE = Accelerator()
FOLLOWER = LayerShape("after", "linear", 1, (1, 1), 1, (1, 1))


def by_name(plan: Schedule) -> dict[str, LayerSchedule]:
    return {layer.name: layer for layer in plan.layers}


def alone(layer: LayerShape, *, interleaved: int = 1, accelerator: Accelerator = TILE) -> LayerSchedule:
    """The layer's schedule where another one follows."""
    return schedule(Workload((layer, FOLLOWER)), accelerator, Pipeline(0, interleaved)).layers[0]


@pytest.mark.parametrize(
    ("name", "cycles"),
    [
        ("conv1", 2 * 576 * 2),  # 20 channels in 2 groups, 24 x 24 positions, 25 synapses in 2 chunks
        ("conv2", 4 * 64 * 32),  # 50 channels, 8 x 8, 500 synapses
        ("fc1", 32 * 50),
        ("fc2", 1 * 32),
        ("pool1", 2 * 144 * 4),  # 20 channels in 2 rows, 12 x 12, windows of 4
        ("pool2", 4 * 16 * 4),
    ],
)
def test_busy_cycles_of_lenet_are_those_computed_by_hand(name: str, cycles: int):
    assert by_name(schedule(LENET, TILE, Pipeline()))[name].busy_cycles == cycles


def test_lenet_takes_the_sum_of_its_layers_with_set_up_and_fill():
    plan = schedule(LENET, TILE, Pipeline(fill_cycles=5, result_fill_cycles=4, setup_cycles=2))
    assert plan.cycles == 2304 + 1152 + 8192 + 256 + 1600 + 32 + 3 * 5 + 4 + 6 * 2
    assert [layer.fill_cycles for layer in plan.layers] == [5, 0, 5, 0, 5, 4]


def test_utilization_is_needed_products_over_possible_ones():
    plan = schedule(LENET, TILE, Pipeline(0))
    assert by_name(plan)["conv1"].utilization == pytest.approx(20 * 25 / (32 * 32))


def test_each_busy_cycle_reads_a_row_of_bin_and_of_sb():
    assert all(
        layer.accesses["bin"].reads == layer.accesses["sb"].reads == layer.busy_cycles
        for layer in schedule(LENET, TILE, Pipeline(3, 4)).layers
        if layer.products
    )


def test_buffer_writes_of_lenet_are_those_computed_by_hand():
    layers = by_name(schedule(LENET, TILE, Pipeline()))
    assert [layers[name].accesses["sb"].writes for name in ("conv1", "conv2", "fc1", "fc2")] == [4, 128, 1600, 32]
    # fc1's 50 rows of inputs stay in Bin for its 32 groups; conv2 writes its 64 x 32 rows for each of 4 groups.
    assert [layers[name].accesses["bin"].writes for name in ("conv1", "conv2", "fc1", "fc2")] == [2304, 8192, 50, 32]
    assert [layers[name].accesses["bout"].writes for name in ("conv1", "conv2", "fc1", "fc2")] == [1152, 256, 32, 0]
    assert (layers["pool1"].accesses["bin"].reads, layers["pool1"].accesses["bin"].writes) == (1152, 1152)
    assert (layers["pool1"].accesses["bout"].reads, layers["pool1"].accesses["bout"].writes) == (288, 288)


def test_values_moved_by_lenet_are_those_computed_by_hand():
    layers = by_name(schedule(LENET, TILE, Pipeline()))
    assert [layers[name].weights_loaded for name in ("conv1", "conv2", "fc1", "fc2")] == [500, 25_000, 400_000, 5_000]
    # conv1 and conv2 load their chunks for each of 2 and 4 groups of neurons; fc1's and fc2's inputs stay in Bin.
    inputs = [2 * 576 * 25, 4 * 64 * 500, 800, 500]
    assert [layers[name].inputs_loaded for name in ("conv1", "conv2", "fc1", "fc2")] == inputs
    assert [layers[name].inputs_loaded for name in ("pool1", "pool2")] == [20 * 144 * 4, 50 * 16 * 4]
    assert [layer.outputs_stored for layer in layers.values()] == [11_520, 2_880, 3_200, 800, 500, 10]


def test_traffic_counts_each_value_at_its_width():
    fc2 = schedule(LENET, TILE, Pipeline()).layers[-1]
    assert fc2.traffic_bits(Widths(6, 16, 30)) == 5_000 * 6 + 10 * 30 + 500 * 16 + 10 * 30
    plan = schedule(LENET, TILE, Pipeline())
    conv1 = by_name(plan)["conv1"]
    assert conv1.traffic_bits(Widths(6, 16, 30, outputs=8)) == conv1.traffic_bits(Widths(6, 16, 30)) - 8 * 11_520


def test_last_layer_hands_out_accumulators():
    assert [layer.stores_accumulators for layer in schedule(LENET, TILE, Pipeline()).layers] == [False] * 5 + [True]


WIDE = LayerShape("wide", "convolution", 64, (16, 16), 64, (16, 16), (5, 5))
"""100 chunks, 4 groups of neurons, 256 positions."""


def test_weights_that_do_not_fit_are_loaded_once_in_pieces():
    plan = alone(WIDE)
    assert (plan.pieces, plan.accesses["sb"].writes, plan.weights_loaded) == (2, 4 * 100, 102_400)
    assert alone(WIDE, interleaved=4).weights_loaded == 102_400


def test_partial_sums_are_stored_and_loaded_once_between_two_pieces():
    plan = alone(WIDE)
    assert plan.partial_sums == 64 * 256
    widths = Widths(8, 8, 31)
    assert plan.traffic_bits(widths) - replace(plan, partial_sums=0).traffic_bits(widths) == 2 * 64 * 256 * 31


def test_pieces_cost_a_descriptor_and_a_drain_each():
    pipeline = Pipeline(fill_cycles=9, setup_cycles=7, result_fill_cycles=5)
    plan = schedule(Workload((WIDE, FOLLOWER)), TILE, pipeline).layers[0]
    assert plan.cycles == 4 * 256 * 100 + 2 * 7 + 5 + 9


def test_pieces_write_each_position_to_bout_once():
    assert alone(WIDE).accesses["bout"].writes == 4 * 256


def test_weights_that_fit_stay_whole():
    assert alone(WIDE, accelerator=Accelerator(buffer_rows=100)).pieces == 1


def test_one_position_is_cut_so_that_its_inputs_are_loaded_once():
    plan = alone(LayerShape("long", "linear", 4096, (1, 1), 64, (1, 1)))
    assert (plan.pieces, plan.inputs_loaded, plan.partial_sums) == (4, 4096, 3 * 64)


def test_one_group_of_neurons_at_one_position_stays_whole():
    assert alone(LayerShape("long", "linear", 4096, (1, 1), 16, (1, 1))).pieces == 1


def test_few_positions_are_cut_so_that_their_inputs_stay_in_bin():
    # 288 chunks at 2 positions: 9 pieces of 32, for which Bin's 64 rows hold both positions for all 32 groups.
    few = LayerShape("few", "convolution", 512, (1, 2), 512, (1, 2), (3, 3))
    plan = alone(few)
    assert (plan.pieces, plan.inputs_loaded) == (9, 2 * 4608)


def test_a_layer_stays_whole_where_partial_sums_would_move_more_bits():
    # Rows of one weight bit, two of them in SB: 16 bits a neuron each, against 2 x 31 of its partial sum.
    narrow = Pipeline(widths=Widths(1, 16, 31))
    small = Accelerator(buffer_rows=1)
    assert schedule(Workload((WIDE, FOLLOWER)), small, narrow).layers[0].pieces == 1
    assert schedule(Workload((WIDE, FOLLOWER)), replace(small, buffer_rows=8), narrow).layers[0].pieces > 1


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 80), st.integers(1, 6), st.integers(1, 40))
def test_cutting_never_moves_more_bits(chunks: int, positions: int, neurons: int, interleaved: int, rows: int):
    layer = LayerShape("any", "convolution", 16 * chunks, (1, positions), 16 * neurons, (1, positions))
    pipeline = Pipeline(accumulate_cycles=interleaved, widths=Widths(8, 8, 31))
    plan = schedule(Workload((layer, FOLLOWER)), Accelerator(buffer_rows=rows), pipeline).layers[0]
    blocks = 1 if chunks <= rows else -(-positions // interleaved)
    groups_at_once = max(1, interleaved // positions)
    passes = 1 if positions * chunks <= rows else -(-neurons // groups_at_once)
    whole = layer.weights * 8 * blocks + positions * layer.synapses * 8 * passes + layer.output_values * 8
    assert plan.traffic_bits(pipeline.widths) <= whole
    assert plan.busy_cycles == neurons * positions * chunks


def test_weights_that_fit_are_loaded_once():
    assert alone(LayerShape("fits", "convolution", 32, (16, 16), 32, (16, 16), (5, 5))).weights_loaded == 25_600


def test_inputs_that_fit_are_loaded_once_for_all_groups_of_neurons():
    assert alone(LayerShape("small", "convolution", 16, (2, 2), 64, (2, 2))).inputs_loaded == 64


def test_averages_wait_for_the_divider():
    pool = LayerShape("pool", "average-pool", 32, (4, 4), 32, (2, 2), (2, 2), (2, 2))
    assert alone(pool).stall_cycles == 7 * (16 - 4)  # 8 outputs of 16 channels, none waits after the last


def test_windows_longer_than_a_row_has_channels_do_not_wait():
    pool = LayerShape("pool", "average-pool", 16, (10, 10), 16, (2, 2), (5, 5), (5, 5))
    assert alone(pool).stall_cycles == 0


def test_float_averages_wait_for_the_adder_between_their_places():
    pool = LayerShape("pool", "average-pool", 16, (10, 10), 16, (2, 2), (5, 5), (5, 5))
    plan = schedule(Workload((pool, FOLLOWER)), TILE, Pipeline(accumulate_cycles=5, opcodes=NEURON_SUMS)).layers[0]
    assert plan.stall_cycles == 4 * 24 * 4
    assert (plan.accesses["sb"].reads, plan.accesses["sb"].writes) == (100, 25)


def test_depthwise_convolution_keeps_one_neuron_busy():
    plan = alone(LayerShape("depthwise", "convolution", 8, (6, 6), 8, (4, 4), (3, 3), groups=8))
    assert plan.busy_cycles == 8 * 16
    assert plan.utilization == pytest.approx(9 / 256)


def test_part_filled_block_stalls_between_its_chunks():
    # 9 positions, 4 interleaved: two full blocks of 4 x 3 cycles, then 1 position: 2 chunks at 4 cycles, 1 at 1.
    layer = LayerShape("part", "convolution", 48, (3, 3), 16, (3, 3))
    assert alone(layer, interleaved=4).cycles == 24 + 2 * 4 + 1


def test_linear_layer_interleaves_groups_of_neurons():
    layer = LayerShape("fc", "linear", 48, (1, 1), 6 * 16, (1, 1))
    assert alone(layer, interleaved=3).stall_cycles == 0
    assert alone(layer, interleaved=4).cycles == 12 + 2 * 4 + 2


def issue_cycles(groups: int, positions: int, chunks: int, interleaved: int) -> int:
    """Walk through the cycles: an output's next chunk may start `interleaved` cycles after its last."""
    if positions >= interleaved:
        sizes = [min(interleaved, positions - start) for start in range(0, positions, interleaved)] * groups
    else:
        together = interleaved // positions
        sizes = [positions * min(together, groups - start) for start in range(0, groups, together)]
    now = 0
    for size in sizes:
        ready = [0] * size
        for _ in range(chunks):
            for output in range(size):
                start = max(now, ready[output])
                ready[output], now = start + interleaved, start + 1
    return now


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 4), st.integers(1, 7))
def test_cycles_equal_a_walk_through_them(groups: int, positions: int, chunks: int, interleaved: int):
    layer = LayerShape("any", "convolution", 16 * chunks, (1, positions), 16 * groups, (1, positions))
    assert alone(layer, interleaved=interleaved).cycles == issue_cycles(groups, positions, chunks, interleaved)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_layer_beats_the_tile(data: st.DataObject):
    kernel, stride = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 3))
    height, groups = data.draw(st.integers(kernel, 20)), data.draw(st.integers(1, 3))
    size = (height - kernel) // stride + 1
    layer = LayerShape(
        "any",
        "convolution",
        groups * data.draw(st.integers(1, 40)),
        (height, height),
        groups * data.draw(st.integers(1, 40)),
        (size, size),
        (kernel, kernel),
        (stride, stride),
        groups=groups,
    )
    plan = alone(layer, interleaved=data.draw(st.integers(1, 6)))
    assert plan.cycles >= math.ceil(layer.products / 256)
    assert 0 < plan.utilization <= 1
    assert plan.weights_loaded >= layer.weights
    assert plan.inputs_loaded <= plan.accesses["bin"].reads * 16
    assert plan.accesses["bin"].writes <= plan.accesses["bin"].reads
    assert plan.accesses["sb"].writes <= plan.accesses["sb"].reads


def test_more_neurons_take_fewer_cycles():
    assert schedule(LENET, Accelerator(neurons=32), Pipeline()).cycles < schedule(LENET, TILE, Pipeline()).cycles


@pytest.mark.parametrize("arguments", [(-1, 1), (0, 0)])
def test_pipeline_must_be_possible(arguments: tuple[int, int]):
    with pytest.raises(HardwareError, match="a pipeline takes 0 or more cycles"):
        Pipeline(*arguments)


@pytest.mark.parametrize(
    "changes",
    [
        *({"neurons": 0}, {"synapses": -1}, {"buffer_rows": 1.5}, {"buffer_rows": True}),
        *({"clock_mhz": 0}, {"clock_mhz": -1}, {"clock_mhz": float("nan")}, {"clock_mhz": float("inf")}),
    ],
    ids=str,
)
def test_accelerator_must_be_possible(changes: dict[str, float]):
    with pytest.raises(HardwareError, match="must be"):
        Accelerator(**changes)


def test_buffers_beyond_the_circuits_addresses_are_refused():
    with pytest.raises(HardwareError, match="buffer_rows is too large: up to 16777216"):
        Accelerator(buffer_rows=10**400)


def test_layer_sizes_must_be_positive():
    with pytest.raises(HardwareError, match="layer 'conv': channels, sizes and groups must be positive"):
        LayerShape("conv", "convolution", 1, (4, 4), 1, (0, 4))


def test_groups_must_divide_channels():
    with pytest.raises(HardwareError, match="3 inputs and 4 neurons cannot be divided into 2 groups"):
        LayerShape("conv", "convolution", 3, (4, 4), 4, (4, 4), groups=2)


def test_workload_needs_products():
    with pytest.raises(HardwareError, match="at least one convolution or linear layer"):
        Workload((LayerShape("pool", "max-pool", 1, (4, 4), 1, (2, 2), (2, 2), (2, 2)),))
