"""What lies between a macro and the operand register, from the library: setup, and selection among banks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_library import tiny_liberty  # pyright: ignore

from fewbits.hardware import load_technology
from fewbits.hardware.characterization.read_path import read_path
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library

CONDITIONS = Conditions(clock_slew_ns=0.1, input_slew_ns=0.1)

_ARC = """timing () { related_pin : "%s"; timing_sense : non_unate;
  cell_rise (delay) { values ("10, 30", "20, 40"); } cell_fall (delay) { values ("20, 60", "40, 80"); }
  rise_transition (delay) { values ("20, 40", "20, 40"); } fall_transition (delay) { values ("20, 40", "20, 40"); } }"""


def library(folder: Path, function: str | None = None) -> Library:
    """The tiny library, with a three-input cell of that function."""
    pins = " ".join(f"pin ({pin}) {{ direction : input; capacitance : 2; }}" for pin in "ABS")
    arcs = " ".join(_ARC % pin for pin in "ABS")
    cell = f'cell (three) {{ area : 3; {pins} pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}'
    path = folder / "tiny.lib"
    path.write_text(tiny_liberty().removesuffix("}\n") + (cell if function else "") + "}\n")
    return read_library(path)


def test_setup_is_the_flip_flops_at_the_clocks_and_an_inputs_transition(tmp_path: Path) -> None:
    assert read_path(library(tmp_path), CONDITIONS).setup_ns == pytest.approx(0.060)  # the table's last value, 60 ps


@pytest.mark.parametrize("function", ["(A&!S)|(B&S)", "!((A&!S)|(B&S))", "(S&B)+(S'&A)"])
def test_selection_is_the_multiplexers_slower_edge_with_one_pin_to_drive(tmp_path: Path, function: str) -> None:
    # At 100 ps of transition a fall takes 40 ps, and 2 ps for each fF of the next multiplexer's 2 fF.
    assert read_path(library(tmp_path, function), CONDITIONS).selection_ns == pytest.approx(0.044)


@pytest.mark.parametrize("function", [None, "A&B&S", "(A&B)|(B&S)|(A&S)", "A^B^S"])
def test_a_library_without_a_multiplexer_has_no_selection(tmp_path: Path, function: str | None) -> None:
    assert read_path(library(tmp_path, function), CONDITIONS).selection_ns == 0


def test_wires_make_the_selection_slower(tmp_path: Path) -> None:
    made = library(tmp_path, "(A&!S)|(B&S)")
    wired = read_path(made, replace(CONDITIONS, wire=made.wire_load))
    assert wired.selection_ns > read_path(made, CONDITIONS).selection_ns


def test_the_shipped_read_path_is_that_of_the_library(pdk: Path) -> None:
    made = read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")
    assert read_path(made, replace(CONDITIONS, wire=made.wire_load)) == load_technology().read_path
