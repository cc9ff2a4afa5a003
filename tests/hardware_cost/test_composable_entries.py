"""The composable neuron's two entries of the shipped table: one circuit in two modes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import fewbits as fb
from fewbits.formats import Assignment
from fewbits.hardware import load_technology
from fewbits.hardware.activity.held import held_nets
from fewbits.hardware.dataflow.accelerator import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.control import control_rtlil
from fewbits.hardware.datapath import design, to_rtlil
from fewbits.hardware.energy.compiled_netlist import compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_model import CellBlock, CellKind, EnergyModel, Function
from fewbits.hardware.process.technology import DatapathCost

MODES = ("fixed8", "fixed4")


def entry(mode: str) -> DatapathCost:
    """A mode's entry."""
    return load_technology().datapath(design(mode, multiplier="composable").key)


def total(cost: DatapathCost, figure: str) -> float:
    """A figure summed over the components."""
    return sum(getattr(part, figure) for part in cost.components.values())


@pytest.mark.parametrize("figure", ["area_um2", "leakage_uw", "cells"])
def test_modes_share_area_and_leakage(figure: str):
    eight, four = (entry(mode) for mode in MODES)
    assert {name: getattr(part, figure) for name, part in eight.components.items()} == {
        name: getattr(part, figure) for name, part in four.components.items()
    }


def test_modes_share_clock_stages_and_accumulator():
    eight, four = (entry(mode) for mode in MODES)
    for name in ("clock_mhz", "longest_path_ns", "pipeline_stages", "accumulate_cycles", "accumulator_bits"):
        assert getattr(eight, name) == getattr(four, name)
    assert eight.meets_target


def test_each_mode_has_an_energy_of_its_own():
    assert total(entry("fixed8"), "energy_pj") != total(entry("fixed4"), "energy_pj")


@pytest.mark.parametrize("mode", MODES)
def test_entries_and_netlists_are_of_the_circuit_that_is_built(mode: str):
    made = design(mode, multiplier="composable")
    built = hashlib.sha256(to_rtlil(made).encode()).hexdigest()
    assert load_technology().provenance[f"rtlil_sha256 {made.name}"] == built
    netlist = read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", made.name))
    assert netlist.provenance["rtlil_sha256"] == built


def test_composability_costs_area_in_the_mode_of_eight_bits_and_saves_it_in_that_of_four():
    table, composable = load_technology(), entry("fixed8")
    assert total(table.datapath("fixed8"), "area_um2") < total(composable, "area_um2")
    assert total(composable, "area_um2") < 4 * total(table.datapath("fixed4"), "area_um2")


def test_the_control_is_that_of_the_circuit_that_is_built():
    built = hashlib.sha256(control_rtlil(design("fixed8", multiplier="composable"), Accelerator()).encode()).hexdigest()
    provenance = load_technology().provenance
    assert {provenance[f"control_sha256 {mode} composable"] for mode in MODES} == {built}


@pytest.mark.parametrize("corner", ["slow", "fast"])
def test_both_modes_have_figures_at_corners(corner: str):
    table, typical = load_technology(f"ihp-sg13g2@{corner}"), load_technology()
    for mode in MODES:
        name = design(mode, multiplier="composable").name
        there, usual, own = table.datapath(name), typical.datapath(name), table.datapath(mode)
        ratio = total(there, "energy_pj") / total(usual, "energy_pj")
        like = total(own, "energy_pj") / total(typical.datapath(mode), "energy_pj")
        assert ratio == pytest.approx(like, rel=0.05)  # one library's cells, in other numbers
        grown = there.control.computing_pj / usual.control.computing_pj
        assert grown == pytest.approx(own.control.computing_pj / typical.datapath(mode).control.computing_pj, rel=0.05)


def test_a_composable_machine_is_costed_at_a_corner():
    chosen = Assignment("mix", fb.parse_precision("fixed8"), {"conv2": fb.parse_precision("fixed4")})
    typical = fb.cost("lenet", chosen, datapaths="composable")
    slow = fb.cost("lenet", chosen, datapaths="composable", technology="ihp-sg13g2@slow")
    assert slow.layer_datapaths == typical.layer_datapaths
    assert slow.clock_mhz < typical.clock_mhz


AND, XOR = 0b1000, 0b0110


def two_gates(first: int, second: int) -> EnergyModel:
    """Ports a, b, c at nets 2 to 4; net 5 = first(a, b); net 6 = second(net 5, c)."""
    blocks = [
        CellBlock(
            CellKind("gate", ("x", "y", "z"), (Function(2, (0, 1), table),), (), (), 0.0),
            np.array([number]), np.array([nets]), np.zeros((1, 0)),
        )
        for number, (table, nets) in enumerate(((first, (2, 3, 5)), (second, (5, 4, 6))))
    ]  # fmt: skip
    ports = {name: ("input", np.array([2 + place])) for place, name in enumerate("abc")}
    return EnergyModel("two gates", 7, 2, tuple(blocks), np.zeros(7), np.zeros(0, np.int64), ports)


@pytest.mark.parametrize(
    ("first", "second", "held", "expected"),
    [
        (AND, AND, {"a": [0]}, [True, False, False, True, True]),
        (AND, XOR, {"a": [0]}, [True, False, False, True, False]),
        (AND, AND, {"a": [1]}, [True, False, False, False, False]),
        (XOR, AND, {"a": [1], "b": [1]}, [True, True, False, True, True]),
        (XOR, XOR, {"a": [None]}, [False] * 5),
    ],
)
def test_a_held_port_holds_the_nets_that_nothing_else_moves(
    first: int, second: int, held: dict[str, list[int | None]], expected: list[bool]
):
    assert held_nets(two_gates(first, second), held)[2:].tolist() == expected
