"""SRAM macros of two makers' conventions, written by hand; what a macro lacks is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fewbits.errors import HardwareError
from fewbits.hardware.memory.sram_macros import read_macro

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
