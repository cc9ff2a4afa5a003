"""SRAM macros of several makers' conventions, written by hand; macro tables; what a macro lacks is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_library import mappable_liberty  # pyright: ignore

from fewbits.errors import HardwareError
from fewbits.hardware import load_technology
from fewbits.hardware.characterization.netlists import CLOCK_SLEW_NS
from fewbits.hardware.characterization.plausibility import flip_flop_figures, questions
from fewbits.hardware.mapping.timing import Conditions
from fewbits.hardware.process.library.check import complete
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.memory.sram_macros import read_macro, read_macros
from fewbits.hardware.process.technology import MacroCost

MACRO = """library (ram) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1mW"; capacitive_load_unit (1, pF);
  nom_voltage : 1.0; nom_temperature : 25;
  lu_table_template (delay) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance; index_1 ("0, 1"); index_2 ("0, 2");
  }
  cell (ram_64x8) {
    memory () { type : ram; address_width : 6; word_width : 8; }
    area : 500; cell_leakage_power : 0.002;
    pin (clk0) { direction : input; clock : true;
      internal_power () { when : "!csb0 & web0"; rise_power (scalar) { values ("3"); }
        fall_power (scalar) { values ("1"); } }
      internal_power () { when : "!csb0 & !web0"; rise_power (scalar) { values ("5"); }
        fall_power (scalar) { values ("2"); } }
      internal_power () { when : "csb0 & web0"; rise_power (scalar) { values ("9"); } }
    }
    pin (csb0) { direction : input; } pin (web0) { direction : input; }
    bus (dout0) { direction : output;
      timing () { related_pin : "clk0"; timing_type : rising_edge;
        cell_rise (delay) { values ("1, 3", "2, 4"); } cell_fall (delay) { values ("1, 2", "1, 2"); } }
    }
  }
}
"""


def written(folder: Path, change: Callable[[str], str] = str) -> Path:
    path = folder / "ram.lib"
    path.write_text(change(MACRO))
    return path


def test_openrams_pins_are_understood(tmp_path: Path) -> None:
    macro = read_macro(written(tmp_path), clock_slew_ns=0.0)
    assert (macro.rows, macro.bits, macro.ports, macro.area_um2) == (64, 8, 1, 500.0)
    assert (macro.read_energy_pj, macro.write_energy_pj) == (4.0, 7.0)
    assert macro.leakage_uw == pytest.approx(2.0)
    assert macro.access_ns == pytest.approx(3.0)  # the largest load of the table, the slower edge


def test_ihps_pins_are_understood(tmp_path: Path) -> None:
    def change(text: str) -> str:
        text = text.replace('"!csb0 & web0"', '"A_MEN & A_REN & !A_WEN"')
        return text.replace('"!csb0 & !web0"', '"A_MEN & !A_REN & A_WEN"')

    macro = read_macro(written(tmp_path, change), clock_slew_ns=0.0)
    assert (macro.read_energy_pj, macro.write_energy_pj) == (4.0, 7.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("area : 500;", "", "no area"),
        ("cell_leakage_power : 0.002;", "", "no cell_leakage_power"),
        ("clock : true;", "", "no clock pin"),
        ("!csb0 & web0", "!cs & we", "0 internal_power groups of clk0 for a read"),
        ("csb0 & !web0", "csb0 & web0", "2 internal_power groups of clk0 for a read"),
        ("rising_edge", "setup_rising", "no delay from clk0"),
        ("memory () {", "storage () {", "0 cells with a memory group"),
    ],
)
def test_what_a_macro_lacks_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MACRO
    with pytest.raises(HardwareError, match=message) as caught:
        read_macro(written(tmp_path, lambda text: text.replace(old, new)), clock_slew_ns=0.0)
    assert "ram.lib" in str(caught.value)
    assert "\n" not in str(caught.value)


FAMILIES = {
    "GlobalFoundries": ("!CEN & GWEN", "!CEN & !GWEN & (!WEN[0] | !WEN[1])", "CEN"),
    "FakeRAM": ("ce_in & !we_in", "(ce_in) & (we_in)", "!ce_in"),
    "FakeRAM's register files": ("ren_in", "wen_in & wmask_in[3]", "!ren_in & !wen_in"),
    "ASAP7": ("!CSB1 & WEB1 & !OEB1", "!CSB1 * !WEB1 * OEB1", "CSB1"),
    "FreePDK45": ("!CSb0 & WEb0", "!CSb0 & !WEb0", "CSb0"),
    "SRAM22": ("ce & !we", "we & ce & wmask[0]", "!ce"),
    "DFFRAM": ("EN0 & !WE0[0]", "EN0 & WE0[0]", "!EN0"),
}
"""The `when` of a read, of a write and of neither."""


@pytest.mark.parametrize("family", FAMILIES)
def test_public_families_pins_are_understood(tmp_path: Path, family: str) -> None:
    read, write, neither = FAMILIES[family]
    change = replaced(
        ('"!csb0 & web0"', f'"{read}"'), ('"!csb0 & !web0"', f'"{write}"'), ('"csb0 & web0"', f'"{neither}"'),
        ("pin (csb0) { direction : input; } pin (web0) { direction : input; }", ""),
    )  # fmt: skip
    macro = read_macro(written(tmp_path, change), clock_slew_ns=0.0)
    assert (macro.read_energy_pj, macro.write_energy_pj) == (4.0, 7.0)


def replaced(*pairs: tuple[str, str]) -> Callable[[str], str]:
    def change(text: str) -> str:
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return text

    return change


def test_one_power_for_all_accesses_is_that_of_reads_and_writes(tmp_path: Path) -> None:
    change = replaced(
        ("internal_power", "internal_power_before"),
        (
            "clock : true;",
            """clock : true;
      internal_power () { rise_power (scalar) { values ("6"); } fall_power (scalar) { values ("1"); } }""",
        ),
    )
    macro = read_macro(written(tmp_path, change), clock_slew_ns=0.0)
    assert (macro.read_energy_pj, macro.write_energy_pj) == (7.0, 7.0)


SECOND_PORT = """pin (clk1) { direction : input; clock : true;
      internal_power () { when : "!csb1"; rise_power (scalar) { values ("11"); } }
      internal_power () { when : "csb1"; rise_power (scalar) { values ("2"); } } }
    bus (dout1) { direction : output; timing () { related_pin : "clk1"; timing_type : rising_edge;
        cell_rise (scalar) { values ("0.5"); } cell_fall (scalar) { values ("0.7"); } } }
    bus (din0) { direction : input; timing () { related_pin : "clk0"; timing_type : setup_rising;
        rise_constraint (scalar) { values ("0.1"); } } }"""


def test_a_port_that_writes_and_one_that_reads_are_told_apart(tmp_path: Path) -> None:
    """As OpenRAM's `1r1w`: no write enable, data out of the second port alone."""
    change = replaced(
        ('"!csb0 & !web0"', '"!csb0"'), ('"!csb0 & web0"', '"csb0"'), ('"csb0 & web0"', '"csb0 & csb1"'),
        ("pin (web0) { direction : input; }", SECOND_PORT), ('related_pin : "clk0"; timing_type : rising_edge',
        'related_pin : "none"; timing_type : rising_edge'),
    )  # fmt: skip
    macro = read_macro(written(tmp_path, change), clock_slew_ns=0.0)
    assert (macro.ports, macro.read_energy_pj, macro.write_energy_pj) == (2, 11.0, 7.0)
    assert macro.access_ns == pytest.approx(0.7)


def test_data_after_the_falling_edge_come_a_high_pulse_later(tmp_path: Path) -> None:
    pulse = """clock : true; timing () { related_pin : clk0; timing_type : "min_pulse_width";
      rise_constraint (scalar) { values ("2.5"); } fall_constraint (scalar) { values ("4"); } }"""
    change = replaced(("clock : true;", pulse), ("rising_edge", "falling_edge"))
    assert read_macro(written(tmp_path, change), clock_slew_ns=0.0).access_ns == pytest.approx(3.0 + 2.5)


OWN_PINS = replaced(("csb0", "SEL"), ("web0", "R_WB"))


def test_pins_of_no_known_family_are_named_in_the_error(tmp_path: Path) -> None:
    written(tmp_path, OWN_PINS)
    with pytest.raises(
        HardwareError, match=r"not known what R_WB, SEL are: give pins' roles \(clock, enable, "
    ) as caught:
        read_macros(tmp_path, 0.0)
    assert "[pins] of a .toml file in --sram" in str(caught.value)


def test_pins_are_given_by_a_table(tmp_path: Path) -> None:
    written(tmp_path, OWN_PINS)
    (tmp_path / "pins.toml").write_text('[pins]\nenable = "!SEL"\nwrite_enable = ["!R_WB"]\n')
    (macro,) = read_macros(tmp_path, 0.0)
    assert (macro.read_energy_pj, macro.write_energy_pj) == (4.0, 7.0)


def test_a_clock_is_given_by_a_table(tmp_path: Path) -> None:
    written(tmp_path, replaced(("clock : true;", "")))
    (tmp_path / "pins.toml").write_text('[pins]\nclock = "clk0"\n')
    assert read_macros(tmp_path, 0.0)[0].ports == 1


BY_HAND = """[[macro]]
name = "ram_64x8"
rows = 64
bits = 8
ports = 2
area_um2 = 900
read_energy_pj = 1.5
write_energy_pj = 2.5
leakage_uw = 0
access_ns = 0.9
source = "data sheet, typical"
"""


def test_a_macro_is_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "macros.toml"
    path.write_text("\ufeff" + BY_HAND, encoding="utf-8")
    made = MacroCost("ram_64x8", 64, 8, 2, 900.0, 1.5, 2.5, 0.0, 0.9, source="data sheet, typical")
    assert read_macros(path, 0.0) == read_macros(tmp_path, 0.0) == (made,)


def test_a_table_gives_what_a_liberty_file_lacks(tmp_path: Path) -> None:
    """As ASAP7's: neither memory group, area, leakage nor power."""
    written(tmp_path, replaced(("memory ()", "user ()"), ("area : 500; cell_leakage_power : 0.002;", ""),
                               ("internal_power", "hidden_power")))  # fmt: skip
    lines = [line for line in BY_HAND.splitlines() if not line.startswith(("ports", "access"))]
    (tmp_path / "macros.toml").write_text("\n".join(lines))
    (macro,) = read_macros(tmp_path, 0.0)
    assert (macro.rows, macro.ports, macro.read_energy_pj, macro.access_ns) == (64, 1, 1.5, 3.0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows = 64", "rows = 0", "rows must be a whole number from 1 to"),
        ("rows = 64", "rows = true", "rows must be a whole number"),
        ("rows = 64", "rows = 64.0", "rows must be a whole number"),
        ("area_um2 = 900", "area_um2 = 0", "area_um2 must be a number above 0"),
        ("area_um2 = 900", "area_um2 = nan", "area_um2 must be a number above 0"),
        ("area_um2 = 900", 'area_um2 = "900"', "area_um2 must be a number above 0"),
        ("leakage_uw = 0", "leakage_uw = -1", "leakage_uw must be a number from 0 up"),
        ("leakage_uw = 0", "leakage_uw = inf", "leakage_uw must be a number from 0 up"),
        ("access_ns = 0.9\n", "", "lacks access_ns: give it in a"),
        ('source = "data sheet, typical"', "", "needs a source, as text: where its figures are from"),
        ("bits = 8", "bits = 8\nwidth = 8", "'width' is not known: it may have name, source, rows"),
        ("[[macro]]", "[macro]", "two brackets"),
        ("[[macro]]", "[[macros]]", "'macros' is not known"),
        ("[[macro]]", "[pins]\nenabled = 'x'\n[[macro]]", "no role 'enabled': use clock, enable"),
        ("[[macro]]", "[pins]\nenable = 3\n[[macro]]", "enable in .pins. must be a pin's name"),
        ("[[macro]]", BY_HAND + "[[macro]]", "'ram_64x8' is there twice"),
        ("[[macro]]", "[[macro", "is not TOML"),
    ],
)
def test_a_bad_table_is_refused_in_a_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "macros.toml"
    assert old in BY_HAND
    path.write_text(BY_HAND.replace(old, new, 1))
    with pytest.raises(HardwareError, match=message) as caught:
        read_macros(path, 0.0)
    assert "\n" not in str(caught.value)


def test_two_corners_of_a_macro_are_refused(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "slow.lib").write_text(MACRO)
    with pytest.raises(HardwareError, match="'ram_64x8' is in another file too: keep one corner"):
        read_macros(tmp_path, 0.0)


def test_a_place_without_macros_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "none", tmp_path / "a.txt"):
        with pytest.raises(HardwareError, match="no SRAM liberty files"):
            read_macros(place, 0.0)


def test_the_shipped_macros_are_those_of_the_files(pdk: Path) -> None:
    assert read_macros(pdk / "sram", CLOCK_SLEW_NS) == load_technology().macros
    library = complete(read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")).library
    assert questions(load_technology().macros, library, Conditions(0.1, 0.1)) == ()


@pytest.mark.parametrize(
    ("figure", "value"),
    [("area_um2", 1e-3), ("read_energy_pj", 1e12), ("read_energy_pj", 1e-4), ("write_energy_pj", 0.0),
     ("leakage_uw", 1e9), ("access_ns", 1e9)],
)  # fmt: skip
def test_an_absurd_figure_is_questioned(tmp_path: Path, figure: str, value: float) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(mappable_liberty())
    library = read_library(path)
    conditions = Conditions(0.1, 0.1, wire=library.wire_load)
    own = flip_flop_figures(library, conditions)
    usual = {name: own[name] * (8 if "energy" in name else 64 * 8) for name in own} | {"access_ns": own["access_ns"]}
    macro = MacroCost("ram", 64, 8, 2, **usual)  # pyright: ignore
    assert questions([macro], library, conditions) == ()
    (line,) = questions([replace(macro, **{figure: value})], library, conditions)  # pyright: ignore
    assert line.startswith(f"questionable {figure} of ram ")
    assert line.endswith("check its unit")
