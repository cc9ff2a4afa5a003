"""OpenSTA on a mapped netlist: the longest path that ends at a register, as an oracle for our own timing."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fewbits.hardware.mapping.netlist import Netlist, to_verilog
from fewbits.hardware.process.library.liberty import Library

PERIOD_NS = 100.0
SLEW_NS = 0.1


def unpacked(folder: Path, library: Library) -> list[str]:
    """Names of the library's files, put into a folder as plain text; OpenSTA of 2019 reads no others."""
    names = [f"cells{number}.lib" for number in range(len(library.paths))]
    for path, name in zip(library.paths, names, strict=True):
        data = path.read_bytes()
        (folder / name).write_bytes(gzip.decompress(data) if path.suffix == ".gz" else data)
    return names


def longest_path_ns(folder: Path, library: Library, netlist: Netlist, calculator: str = "dmp_ceff_elmore") -> float:
    """Its longest path with setup, clock and inputs with transitions of SLEW_NS; skips where OpenSTA is not at hand.

    calculator: of delays, OpenSTA's default, or `lumped_cap`, which knows no resistance, as our timing.
    """
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    read = [f"read_liberty {name}" for name in unpacked(folder, library)]
    (folder / "net.v").write_text(to_verilog(netlist))
    (folder / "run.tcl").write_text(
        "\n".join(read) + f"\nset_delay_calculator {calculator}\nset_cmd_units -time ns\nread_verilog net.v\n"
        f"link_design {netlist.name}\ncreate_clock -name clk -period {PERIOD_NS} [get_ports clk]\n"
        f"set_clock_transition {SLEW_NS} clk\n"
        f"set_input_transition {SLEW_NS} [all_inputs]\nset_input_delay 0 -clock clk [all_inputs]\n"
        "report_checks -to [all_registers -data_pins] -digits 6\n"
    )
    done = subprocess.run(
        ["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True, check=True
    )
    found = re.search(r"(-?[\d.]+)\s+slack", done.stdout)
    assert found is not None, done.stdout
    return PERIOD_NS - float(found[1])


def gates_leakage_uw(folder: Path, library: Library, netlist: Netlist) -> float:
    """Leakage of the gates, each input at one half of the time; skips where OpenSTA is not at hand."""
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian's package opensta)")
    read = [f"read_liberty {name}" for name in unpacked(folder, library)]
    (folder / "net.v").write_text(to_verilog(netlist))
    (folder / "run.tcl").write_text(
        "\n".join(read) + f"\nread_verilog net.v\nlink_design {netlist.name}\n"
        "create_clock -name clk -period 4 [get_ports clk]\nset_power_activity -global -activity 0.2 -duty 0.5\n"
        "report_power -digits 8\n"
    )
    done = subprocess.run(
        ["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True, check=True
    )
    found = re.search(r"^Combinational\s+\S+\s+\S+\s+(\S+)", done.stdout, re.MULTILINE)
    assert found is not None, done.stdout
    return float(found[1]) * 1e6
