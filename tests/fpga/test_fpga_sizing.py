"""The best sizes within a budget: the published optimization of FPGA 2015, and any other."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits import HardwareError
from fewbits.hardware import Accelerator
from fewbits.hardware.fpga import FAMILIES, Resources, best_sizes, device_named, fastest
from fewbits.hardware.fpga.sizing import NEURONS, SYNAPSES

# Zhang et al., FPGA 2015: one of AlexNet's two halves, output and input channels, output rows, kernel. Virtex-7 485T.
LAYERS = ((48, 3, 55, 11), (128, 48, 27, 5), (192, 256, 13, 3), (192, 192, 13, 3), (128, 192, 13, 3))
DSPS_PER_MAC = 5
"""A float32 multiplication and an addition."""

MACS = 480
"""What the paper's best unrollings of single layers respect: 20 x 24 and 96 x 5."""

DEPTH = 20
"""Cycles of a pass beside its products; the first layer, a single pass of each tile, has none (preset `fpga15`)."""


def cycles_of_layers(tm: int, tn: int) -> list[int]:
    """ceil(M / Tm) ceil(N / Tn) (R C K^2 + depth)."""
    return [
        ceil(m / tm) * ceil(n / tn) * (rows**2 * kernel**2 + (DEPTH if place else 0))
        for place, (m, n, rows, kernel) in enumerate(LAYERS)
    ]


def cycles(tm: int, tn: int) -> int:
    return sum(cycles_of_layers(tm, tn))


def resources(tm: int, tn: int) -> Resources:
    return Resources(dsps=DSPS_PER_MAC * tm * tn)


def pairs(limit: int) -> list[tuple[int, int]]:
    """All of up to so many products."""
    return [(tm, tn) for tm in range(1, limit + 1) for tn in range(1, limit // tm + 1)]


def test_the_published_unrolling_of_fpga_2015_is_found():
    found = best_sizes(pairs(MACS), cycles, resources, Resources(dsps=DSPS_PER_MAC * MACS))
    assert (found.neurons, found.synapses, found.cycles, found.resources.dsps) == (64, 7, 1_008_246, 2_240)


def test_the_published_cycles_of_each_layer_follow():
    assert cycles_of_layers(64, 7) == [366_025, 255_430, 171_051, 129_444, 86_296]


def test_the_best_unrolling_of_each_layer_by_itself_gives_the_published_sum():
    budget = Resources(dsps=DSPS_PER_MAC * MACS)
    each = [
        best_sizes(pairs(MACS), lambda tm, tn, place=place: cycles_of_layers(tm, tn)[place], resources, budget).cycles
        for place in range(len(LAYERS))
    ]
    assert each == [366_025, 237_185, 160_264, 120_198, 80_132]
    assert sum(each) == 963_804


def test_four_fifths_of_the_papers_device_give_the_published_unrolling():
    budget = device_named("xc7vx485t")[1].budget * 0.8
    found = best_sizes(pairs(MACS), cycles, resources, budget)
    assert (found.neurons, found.synapses) == (64, 7)


def test_the_whole_device_would_hold_a_faster_one():
    found = best_sizes(pairs(600), cycles, resources, device_named("xc7vx485t")[1].budget)
    assert (found.neurons, found.synapses, found.cycles) == (64, 8, 917_821)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 200), st.integers(0, 1000))
def test_no_fitting_size_is_faster_than_the_best(most_tm: int, most_tn: int, dsps: int, seed: int):
    def any_cycles(tm: int, tn: int) -> int:
        return hash((seed, tm, tn)) % 97

    candidates = [(tm, tn) for tm in range(1, most_tm + 1) for tn in range(1, most_tn + 1)]
    fitting = [any_cycles(*one) for one in candidates if one[0] * one[1] <= dsps]
    found = best_sizes(candidates, any_cycles, lambda tm, tn: Resources(dsps=tm * tn), Resources(dsps=dsps))
    assert (found.cycles, found.fitting, found.tried) == (min(fitting), len(fitting), len(candidates))


def test_a_budget_that_nothing_fits_says_what_is_short():
    with pytest.raises(HardwareError, match="2 x 3, takes DSP blocks 30 of 29"):
        best_sizes([(4, 4), (2, 3)], cycles, resources, Resources(dsps=29))


def test_no_sizes_are_refused():
    with pytest.raises(HardwareError, match="no sizes"):
        best_sizes([], cycles, resources, Resources())


def proportional(top: str) -> dict[str, int]:
    """A mapper whose parts are of one size each, whatever their sizes."""
    return {"neuron": {"LUT4": 500}, "control": {"TRELLIS_FF": 300}, "buffer": {"DP16KD": 1}}[top]


def test_the_fastest_tile_fits_its_device_and_says_how_it_was_found(mapper: Callable[..., list[str]]):
    mapper(proportional)
    budget = device_named("lfe5u-25f")[1].budget
    cost = fastest("lenet", "fixed4", device="lfe5u-25f", with_clock=False)
    assert cost.resources.luts == 500 * cost.accelerator.definition()["neurons"]
    assert cost.resources.fits(budget)
    assert "the most images a second" in cost.notes[0]


def test_no_tile_that_fits_a_device_computes_more_images_a_second(mapper: Callable[..., list[str]]):
    mapper(proportional)
    best = fastest("lenet", "fixed4", device="lfe5u-25f", with_clock=False)
    from fewbits.hardware.dataflow.registry import dataflow_of
    from fewbits.hardware.datapath import design
    from fewbits.hardware.workload.networks import workload_of

    workload = workload_of("lenet")
    for neurons in (n for n in NEURONS if 500 * n <= 24_288):
        for synapses in SYNAPSES:
            tile = Accelerator(neurons, synapses)
            widths = (4 * neurons * synapses + 35) // 36 + (4 * synapses + 35) // 36 + (4 * neurons + 35) // 36
            if widths <= 56:
                made = design("fixed4", synapses, multiplier="operator")
                assert dataflow_of(tile).schedule(workload, tile, made).cycles >= best.cycles


def test_a_best_tile_that_does_not_fit_once_it_is_counted_gives_way_to_the_next(mapper: Callable[..., list[str]]):
    asked: list[int] = []

    def more_than_it_seemed(top: str) -> dict[str, int]:
        if top == "control":
            asked.append(len(asked))
            return {"TRELLIS_FF": 300 if len(asked) <= 4 or len(asked) > 5 else 10**6}
        return proportional(top)

    mapper(more_than_it_seemed)
    cost = fastest("lenet", "fixed4", device="lfe5u-25f", with_clock=False)
    assert len(asked) == 6
    assert cost.excess == ()


@pytest.mark.parametrize("fill", [0, -1, 1.5, float("nan"), True, "half"])
def test_a_senseless_part_of_a_device_is_refused(fill: object):
    with pytest.raises(HardwareError, match="fill must be"):
        fastest("lenet", "fixed4", device="lfe5u-25f", fill=fill)  # pyright: ignore


def test_devices_stand_from_the_smallest():
    for family in FAMILIES.values():
        luts = [one.budget.luts for one in family.devices]
        assert luts == sorted(luts)
