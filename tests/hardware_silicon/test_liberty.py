"""Liberty files become values in one set of units, and broken ones name their line."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_library import tiny_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.library.liberty_syntax import MAXIMUM_BYTES

STANDARD_CELLS = "sg13g2_stdcell_typ_1p20V_25C.lib"


def _changed(tmp_path: Path, old: str, new: str) -> Path:
    text = tiny_liberty()
    assert old in text
    path = tmp_path / "changed.lib"
    path.write_text(text.replace(old, new))
    return path


def test_units_of_the_header_are_converted(tiny: Library) -> None:
    assert tiny.cells["inv"].leakage_uw == pytest.approx(0.010)
    assert tiny.cells["nand"].pins["B"].capacitance_pf == pytest.approx(0.003)
    rise = next(arc.tables["cell_rise"] for arc in tiny.cells["inv"].arcs)
    assert rise.at(0.1, 0.02) == pytest.approx(0.040)


def test_internal_power_is_capacitance_times_voltage_squared(tiny: Library) -> None:
    power = next(p for p in tiny.cells["dff"].powers if p.pin == "Q")
    assert power.rise is not None
    assert power.rise.at(0.0) == pytest.approx(0.005)  # 5 fF V^2 = 5 fJ


def test_tables_interpolate_between_and_go_straight_beyond(tiny: Library) -> None:
    rise = next(arc.tables["cell_rise"] for arc in tiny.cells["inv"].arcs)
    assert rise.at(0.05, 0.01) == pytest.approx(0.025)
    assert rise.at(0.2, 0.04) == pytest.approx(0.070)


def test_a_constraint_has_the_related_pin_first(tiny: Library) -> None:
    setup = next(arc.tables["rise_constraint"] for arc in tiny.cells["dff"].arcs if arc.kind == "setup_rising")
    clock_slow, data_slow = setup.at(0.1, 0.0), setup.at(0.0, 0.1)
    assert (clock_slow, data_slow) == (pytest.approx(0.050), pytest.approx(0.040))


def test_the_flip_flop_is_known_by_its_ff_group(tiny: Library) -> None:
    assert [cell.name for cell in tiny.flip_flops()] == ["dff"]


def test_the_default_wire_load_gives_capacitance_by_fanout(tiny: Library) -> None:
    assert tiny.wire_load is not None
    # 1 fF at one pin, 3 at three, one more for each pin beyond.
    assert tiny.wire_load.at(np.array([0, 1, 2, 3, 5])) == pytest.approx([0, 0.001, 0.002, 0.003, 0.005])


def test_an_unchanged_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(tiny_liberty())
    assert read_library(path) is read_library(path)


def test_semicolons_comments_and_continuations_are_free(tmp_path: Path) -> None:
    path = _changed(tmp_path, "area : 1; cell_leakage_power : 10;", "area : 1 // one\n cell_leakage_power : \\\n 10")
    assert read_library(path).cells["inv"].area_um2 == 1


def test_a_table_with_load_first_is_turned(tmp_path: Path) -> None:
    slew, load = "input_net_transition", "total_output_net_capacitance"
    old = f'variable_1 : {slew}; variable_2 : {load};\n    index_1 ("0, 100"); index_2 ("0, 20");'
    new = f'variable_1 : {load}; variable_2 : {slew};\n    index_1 ("0, 20"); index_2 ("0, 100");'
    rise = next(arc.tables["cell_rise"] for arc in read_library(_changed(tmp_path, old, new)).cells["inv"].arcs)
    assert rise.at(0.0, 0.02) == pytest.approx(0.020)  # the second row is now the larger load
    assert rise.slews.tolist() == pytest.approx([0, 0.1])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('time_unit : "1ps";', "", "time_unit"),
        ("capacitive_load_unit (1, ff);", "", "capacitive_load_unit"),
        ('voltage_unit : "1V";', 'voltage_unit : "1 elephant";', "elephant"),
        ("nom_voltage : 2.0;", "nom_voltage : 0;", "above 0"),
        ('time_unit : "1ps"', 'time_unit : "0ps"', "above 0"),
        ('time_unit : "1ps"', 'time_unit : "1pF"', "time_unit must be like"),
        ("capacitive_load_unit (1, ff)", "capacitive_load_unit (1, ohm)", "capacitive_load_unit must be like"),
        ('index_1 ("0, 100"); index_2 ("0, 20");', 'index_1 ("100, 0"); index_2 ("0, 20");', "must rise"),
        ('index_1 ("0, 100"); index_2 ("0, 20");', 'index_1 ("5, 5"); index_2 ("0, 20");', "must rise"),
        ("nom_voltage : 2.0;", "", "nom_voltage"),
        ("fanout_length (1, 2);", "fanout_length (1);", "fanout_length"),
        ("library (tiny)", "cell (tiny)", "library"),
        ("area : 6;", "area 6;", "not liberty syntax"),
    ],
)
def test_a_broken_file_names_line_and_cause(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(HardwareError, match=message) as caught:
        read_library(_changed(tmp_path, old, new))
    assert "changed.lib:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("area : 6;", "area : -6;", "must not be negative"),
        ("capacitance : 3;", "capacitance : -3;", "must not be negative"),
        ("area : 6;", "area : 6; memory () { address_width : 1e9; word_width : 8; }", "whole number from 1 to 40"),
        ("area : 6;", "area : 6; memory () { address_width : 6; word_width : 0.5; }", "whole number"),
        ("cell (dff)", "cell ()", "no name"),
        ("area : 6;", "area : large;", "finite number"),
        ("area : 6;", "area : 1e999;", "finite number"),
        ('values ("30, 50", "40, 60")', 'values ("30, 50, 40")', "3 values"),
        ('rise_power (scalar) { values ("3"); }', "rise_power (scalar) { }", "no values"),
        ('clocked_on : "CK";', "", "clocked_on"),
        ("area : 6;", "area : nan;", "finite number"),
        ("area : 6;", "area : 1_0;", "finite number"),
        ("area : 6;", "area : 1e300;", "beyond what a cell can have"),
        ("capacitance : 3;", "capacitance : 1e15;", "1e.12 pF, beyond what a cell can have"),
        ("cell_leakage_power : 40", "cell_leakage_power : 1e300", "beyond what a cell can have"),
        (
            'rise_power (scalar) { values ("3"); }',
            'rise_power (scalar) { values ("1e300"); }',
            "beyond what a cell can",
        ),
        ('index_1 ("0, 100"); index_2 ("0, 100")', 'index_1 ("0, 1e300"); index_2 ("0, 100")', "index point"),
        ('function : "!(A&B)"', 'function : "A ^ B & A"', "without parentheses"),
    ],
)
def test_a_broken_cell_is_set_aside_with_line_and_cause(tmp_path: Path, old: str, new: str, message: str) -> None:
    library = read_library(_changed(tmp_path, old, new))
    (name,) = list(library.unread)[:1]
    assert name not in library.cells
    assert re.search(rf"^\d+: .*({message})", library.unread[name])


def test_a_file_whose_every_cell_is_broken_names_the_first_cause(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"no cell that can be read: inv, the first of 3, line 20: .*see the units"):
        read_library(_changed(tmp_path, "capacitive_load_unit (1, ff)", "capacitive_load_unit (1, f)"))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file_says_so(tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.lib"
    text = tiny_liberty()
    cut = text[: int(len(text) * share)]
    path.write_text(cut + '"' if cut.count('"') % 2 else cut)
    with pytest.raises(HardwareError, match=r"cut\.lib:\d+"):
        read_library(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01\x02", b"PK\x03\x04", "käse (".encode("latin-1"), b"<html>"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.lib"
    path.write_bytes(content)
    with pytest.raises(HardwareError, match="liberty"):
        read_library(path)


def test_a_library_without_cells_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.lib"
    path.write_text(tiny_liberty().split("cell (inv)")[0] + "}")
    with pytest.raises(HardwareError, match="no cell"):
        read_library(path)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(HardwareError, match="nowhere"):
        read_library("nowhere.lib")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.lib"
    with path.open("wb") as file:
        file.truncate(MAXIMUM_BYTES + 1)
    with pytest.raises(HardwareError, match="bytes"):
        read_library(path)


@pytest.mark.parametrize("end", ["", "}" * 20_001])
def test_deep_nesting_is_refused(tmp_path: Path, end: str) -> None:
    path = tmp_path / "deep.lib"
    path.write_text("library (deep) {" + "a () {\n" * 20_000 + end)
    with pytest.raises(HardwareError, match=r"deep\.lib:100: groups nested 101 deep, up to 100 are allowed"):
        read_library(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("library (a) {" + "b : 1;" * 3_000_001 + "}", "3000003 statements"),
        ("library (a) {" + "w" * 3_000_000 + "}", "not liberty syntax"),
        ("library (a) {" + " " * 3_000_000 + "}", "capacitive_load_unit"),
        ("library (a) {" + "\\\n" * 1_000_000 + "}", "capacitive_load_unit"),
        ("library (a) {" + "[" * 3_000_000 + "}", "not liberty syntax"),
        ("library (a) {" + "(" * 2_000_000 + "}", "not liberty syntax"),
        ("library (a) { /*" + "/*" * 1_000_000 + "}", "not liberty syntax"),
        ('library (a) { b : "' + "x" * 3_000_000, "not liberty syntax"),
    ],
    ids=["statements", "word", "blanks", "continuations", "brackets", "parentheses", "comment", "string"],
)
def test_a_hostile_file_is_refused_in_one_line_of_bounded_length(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "hostile.lib"
    path.write_text(content)
    with pytest.raises(HardwareError, match=message) as caught:
        read_library(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200


def test_the_real_library_has_its_84_cells(pdk: Path) -> None:
    library = read_library(pdk / STANDARD_CELLS)
    assert len(library.cells) == 84
    nand = library.cells["sg13g2_nand2_1"]
    assert (nand.area_um2, nand.footprint) == (7.2576, "nand2")
    assert nand.leakage_uw == pytest.approx(81.2456e-6)
    assert len(nand.leakage_states) == 4
    assert nand.arcs[0].tables["cell_rise"].at(0.0186, 0.001) == pytest.approx(0.022718)


def test_the_real_library_is_read_in_time(pdk: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.lib"
    copy.write_bytes((pdk / STANDARD_CELLS).read_bytes())
    start = time.process_time()
    read_library(copy)
    assert time.process_time() - start < 30  # a guard against quadratic parsing; it takes about one second
