"""Bandwidth: what a schedule needs of its memory, and what it costs where the memory gives less."""

from __future__ import annotations

import json
import math

import pytest

from fewbits import HardwareError
from fewbits.cli import main
from fewbits.hardware import Accelerator, Cost, LayerShape, Workload, cost
from fewbits.hardware.dataflow.accelerator import ASSUMED_BANDWIDTH

PAIRS = [("fixed8", "fp8-e4m3"), ("fixed16", "bfloat16"), ("fixed32", "float32")]
"""An integer format and a float of its width."""

DEEP = Workload(
    (
        LayerShape("wide", "convolution", 512, (14, 14), 512, (14, 14), (3, 3)),
        LayerShape("few", "convolution", 512, (1, 2), 512, (1, 2), (3, 3)),
        LayerShape("last", "linear", 512, (1, 1), 10, (1, 1)),
    )
)

LONG = Workload(
    (
        LayerShape("long", "linear", 4096, (1, 1), 4096, (1, 1)),
        LayerShape("last", "linear", 4096, (1, 1), 10, (1, 1)),
    )
)


def lenet(bandwidth: float | None = None) -> Cost:
    return cost("lenet", "fixed8", accelerator=Accelerator(bandwidth=bandwidth))


@pytest.mark.parametrize(("integer", "floating"), PAIRS)
@pytest.mark.parametrize("network", ["vgg", "alex++", DEEP, LONG], ids=["vgg", "alex++", "deep", "long"])
def test_integers_cost_less_than_floats_of_their_width_with_dram(integer: str, floating: str, network: Workload | str):
    ours, theirs = (cost(network, precision).energy_with_off_chip_uj for precision in (integer, floating))
    assert ours[0] < theirs[0]
    assert ours[1] < theirs[1]


def test_first_linear_layer_of_lenet_needs_what_its_weights_take():
    # 400,000 weights, 800 inputs, 500 outputs of a byte and 500 biases of 31 bits in 1,651 cycles of 4 ns.
    of_fc1 = {layer.name: layer for layer in lenet().breakdown.layers}["fc1"]
    needed = lenet().needed_bandwidth_gb_s
    assert max(needed, key=needed.__getitem__) == "fc1"
    assert needed["fc1"] == pytest.approx((400_000 + 800 + 500 + 500 * 31 / 8) / (of_fc1.cycles * 4))
    assert 60 < needed["fc1"] < 62


def test_no_bandwidth_stalls_nothing():
    assert lenet().transfer_stall_cycles == 0
    assert lenet().bandwidth_gb_s is None


def test_layer_takes_as_long_as_its_transfers():
    free, stalled = lenet(), lenet(12.8)
    for before, after in zip(free.breakdown.layers, stalled.breakdown.layers, strict=True):
        transfers = math.ceil(before.traffic_bits / (12.8 * 8 * 4))  # bits of a 4 ns cycle
        assert after.cycles == max(before.cycles, transfers)
        assert after.transfer_stall_cycles == after.cycles - before.cycles
    assert stalled.cycles > free.cycles


def test_the_needed_bandwidth_stalls_nothing_and_is_the_same_with_less():
    needed = lenet().needed_bandwidth_gb_s
    assert lenet(max(needed.values()) * (1 + 1e-9)).transfer_stall_cycles == 0
    assert lenet(1.0).needed_bandwidth_gb_s == pytest.approx(needed)


def test_waiting_takes_leakage_clock_and_control_but_no_products_or_accesses():
    free, stalled = lenet().breakdown, lenet(1.0).breakdown
    longer = lenet(1.0).cycles / lenet().cycles
    for part in ("multipliers", "adder_tree", "bin", "sb", "bout"):
        assert stalled.dynamic_uj[part] == pytest.approx(free.dynamic_uj[part])
        assert stalled.leakage_uj[part] == pytest.approx(longer * free.leakage_uj[part])
    for part in ("control", "registers"):
        assert stalled.dynamic_uj[part] > free.dynamic_uj[part]


def test_less_bandwidth_never_takes_fewer_cycles():
    cycles = [lenet(bandwidth).cycles for bandwidth in (0.5, 1.0, 12.8, 100.0, None)]
    assert cycles == sorted(cycles, reverse=True)


def test_stalls_lower_the_utilization():
    assert lenet(1.0).utilization == pytest.approx(lenet().utilization * lenet().cycles / lenet(1.0).cycles)


@pytest.mark.parametrize("bandwidth", [0, -1, float("nan"), float("inf"), True, "12"], ids=str)
def test_bandwidth_must_be_possible(bandwidth: float):
    with pytest.raises(HardwareError, match=r"bandwidth must be a positive number of GB/s, such as 12.8"):
        Accelerator(bandwidth=bandwidth)


def test_cost_names_the_layer_that_needs_most_and_whether_the_assumed_memory_suffices(
    capsys: pytest.CaptureFixture[str],
):
    assert main(["cost", "lenet", "fixed8", "binary"]) == 0
    out = capsys.readouterr().out
    assert "fixed8 memory: layer 'fc1' needs most, 61.4 GB/s without a stall; DDR3-1600 gives 12.8, too little" in out
    assert "binary memory: layer 'fc1' needs most, 7.81 GB/s without a stall; DDR3-1600 gives 12.8: enough" in out


def test_cost_with_a_bandwidth_tells_the_cycles_that_wait(capsys: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "--bandwidth", str(ASSUMED_BANDWIDTH)]) == 0
    waiting = lenet(ASSUMED_BANDWIDTH).transfer_stall_cycles
    assert f"at 12.8 GB/s {waiting:,} of the cycles wait for transfers" in capsys.readouterr().out


def test_json_has_the_bandwidth_of_all_layers(capsys: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "--bandwidth", "12.8", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["bandwidth_gb_s"] == 12.8
    assert one["needed_bandwidth_gb_s"] == max(layer["needed_bandwidth_gb_s"] for layer in one["layers"])
    assert one["transfer_stall_cycles"] == sum(layer["transfer_stall_cycles"] for layer in one["layers"]) > 0
    assert one["cycles"] == sum(layer["cycles"] for layer in one["layers"])


def test_impossible_bandwidth_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["cost", "lenet", "fixed8", "--bandwidth", "0"]) == 2
    assert capsys.readouterr().err.startswith("fewbits: bandwidth must be a positive number of GB/s")
