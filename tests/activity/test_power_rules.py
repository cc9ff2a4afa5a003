"""OpenSTA 2.0.17's two rules of internal power, each measured apart on single cells, and their part in a neuron."""

from __future__ import annotations

import json

import numpy as np
import pytest
from opensta_2019 import energies_by_table, is_added_default, share  # pyright: ignore
from opensta_rules import EDGES, KINDS, TOGGLES, charged_weights, library  # pyright: ignore

from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, read_netlist
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library

Weights = dict[tuple[str, int, str], float]

PJ_A_CYCLE = {
    "inverter": (0.2, 0.4),
    "nand2": (0.2, 0.4),
    "xor2": (0.2, 1.2),
    "aoi21": (0.2, 1.0),
    "full_adder": (0.4, 1.2),
    "flip_flop": (2.4, 9.0),
    "flip_flop_of_defaults": (2.4, 4.6),
}
"""Where every table says 1 pJ: by hand, one table a toggle (the clock's 2, the others' 0.2), and OpenSTA 2.0.17."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return charged_weights(tmp_path_factory.mktemp("rules"))


def of_groups(weights: Weights, kind: str) -> list[float]:
    """By group; `test_opensta_charges_a_toggle_its_rise_and_its_fall` says that the edges do not matter."""
    return [weights[kind, k, "rise"] for k in range(len(KINDS[kind].groups))]


def test_opensta_charges_a_toggle_its_rise_and_its_fall(weights: Weights) -> None:
    assert [weights["inverter", 0, edge] for edge in EDGES] == pytest.approx([1, 1])
    for kind, cell in KINDS.items():
        for k in range(len(cell.groups)):
            assert weights[kind, k, "rise"] == pytest.approx(weights[kind, k, "fall"])


def test_opensta_adds_the_default_to_the_states_beside_it(weights: Weights) -> None:
    assert of_groups(weights, "xor2") == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert of_groups(weights, "aoi21")[2:] == pytest.approx([0.25, 0.25, 0.25, 0.75])
    assert of_groups(weights, "flip_flop")[1:6] == pytest.approx([0.25, 0.25, 0.25, 0.25, 1.0])


def test_opensta_charges_a_default_the_same_without_states_beside_it(weights: Weights) -> None:
    assert of_groups(weights, "flip_flop_of_defaults") == pytest.approx([1.0, 1.0, 0.5])


def test_the_weights_of_an_outputs_groups_are_one_in_sum_only_by_chance(weights: Weights) -> None:
    assert sum(of_groups(weights, "nand2")) == pytest.approx(1.0)
    assert sum(of_groups(weights, "full_adder")[:3]) == pytest.approx(1.5)


@pytest.fixture(scope="module")
def one_picojoule(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The kinds with every table 1 pJ."""
    path = tmp_path_factory.mktemp("library") / "one.lib"
    every = {(k, edge): 1.0 for k in range(max(len(cell.groups) for cell in KINDS.values())) for edge in EDGES}
    path.write_text(library({kind: kind for kind in KINDS}, dict.fromkeys(KINDS, every)))
    return read_library(path)


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_accounting_written_anew_weighs_as_opensta_does(
    weights: Weights, one_picojoule: Library, kind: str
) -> None:
    cell = one_picojoule.cells[kind]
    ours = {(power.pin, power.related_pin, power.when): share(cell, power) for power in cell.powers}
    assert [ours[group] for group in KINDS[kind].groups] == pytest.approx(of_groups(weights, kind))


@pytest.mark.parametrize("kind", list(KINDS))
def test_opensta_charges_more_than_one_table_a_toggle(weights: Weights, kind: str) -> None:
    toggles = [2.0 if pin == "CK" else TOGGLES for pin, _, _ in KINDS[kind].groups]
    charged = sum(weights[kind, k, edge] * toggles[k] for k in range(len(toggles)) for edge in EDGES)
    assert charged == pytest.approx(PJ_A_CYCLE[kind][1])


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_toggle_costs_fewbits_one_table(one_picojoule: Library, kind: str) -> None:
    netlist = single(one_picojoule, kind)
    flat = np.full((netlist.net_count, 2), 0.1)
    power = estimate(netlist, uniform_activity(netlist, TOGGLES), flat, flat)
    assert power.internal_pj.sum() == pytest.approx(PJ_A_CYCLE[kind][0])


def single(cells: Library, kind: str) -> Netlist:
    """One instance, each pin at a port of its own."""
    pins = [*KINDS[kind].inputs, *KINDS[kind].outputs]
    bits = {pin: [number] for number, pin in enumerate(pins, start=2)}
    ports = {
        pin: {"direction": "input" if pin in KINDS[kind].inputs else "output", "bits": bits[pin]} for pin in pins
    }  # fmt: skip
    cell = {"type": kind, "connections": bits}
    text = json.dumps({"modules": {"single": {"ports": ports, "cells": {"it": cell}}}})
    return read_netlist(text, cells, "single")


def compare(netlist: Netlist, timing: Timing) -> None:
    """OpenSTA's energy halved (one edge a toggle), with and without the defaults beside other states, over ours."""
    loads = np.repeat(timing.load_pf.max(axis=1, keepdims=True), 2, axis=1)
    ours_pj = estimate(netlist, uniform_activity(netlist, TOGGLES), timing.slew_ns, loads).internal_pj
    kept, added = np.zeros((2, len(ours_pj)))
    for group, power, energy_pj in energies_by_table(netlist, timing, TOGGLES):
        (added if is_added_default(group.cell, power) else kept)[group.cells] += energy_pj / 2
    for name, cells in (("gates", ~netlist.sequential), ("flip-flops", netlist.sequential)):
        parts = ", ".join(f"{part[cells].sum():.2f}" for part in (ours_pj, kept, added))
        print(f"{name}, pJ by fewbits, by OpenSTA's tables but the added defaults, by these: {parts}")
    assert 1.7 < (kept.sum() + added.sum()) / ours_pj.sum() < 2.2
    assert 0.7 < kept.sum() / ours_pj.sum() < 1.3


def test_of_a_neuron_one_edge_a_toggle_and_no_added_default_leave_about_our_energy(
    netlist: Netlist, timing: Timing
) -> None:
    compare(netlist, timing)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fixed4", "fixed8", "binary/fixed16", "pow2-6/fixed16"])
def test_of_other_neurons_too(library: Library, precision: str) -> None:
    rtlil = build_neuron(precision).rtlil
    netlist = synthesize(rtlil, library, delay_target_ns=3.0, top=top_module(rtlil)).netlist
    compare(netlist, analyze(netlist, Conditions(CLOCK_SLEW_NS, CLOCK_SLEW_NS, wire=library.wire_load)))
