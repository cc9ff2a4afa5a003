"""Real neurons on the real library: timing and power against OpenSTA, the shipped table remade, SRAM, netlists."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewbits import HardwareError
from fewbits.formats import STUDY_PRECISIONS
from fewbits.hardware.characterization.neuron_options import build_neuron
from fewbits.hardware.characterization.technology_table import characterize
from fewbits.hardware.energy.power import estimate, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist, read_netlist, to_verilog
from fewbits.hardware.mapping.synthesis import synthesize, top_module
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.memory.sram import compose
from fewbits.hardware.process.memory.sram_macros import read_macros
from fewbits.hardware.process.technology import LOGIC_COMPONENTS, MacroCost, load_technology

SLEW_NS = 0.1
REMADE = "fixed4"


@pytest.fixture(scope="session")
def library(pdk: Path) -> Library:
    """IHP's standard cells."""
    return read_library(pdk / "sg13g2_stdcell_typ_1p20V_25C.lib")


@pytest.fixture(scope="session")
def netlist(library: Library) -> Netlist:
    """A mapped neuron."""
    neuron = build_neuron(REMADE)
    return synthesize(neuron.rtlil, library, delay_target_ns=3.6, top=top_module(neuron.rtlil)).netlist


@pytest.fixture(scope="session")
def timing(netlist: Netlist, library: Library) -> Timing:
    """Its timing, with the library's wire-load model, which OpenSTA takes by default too."""
    return analyze(netlist, Conditions(SLEW_NS, SLEW_NS, wire=library.wire_load))


def opensta(folder: Path, library: Library, netlist: Netlist, commands: str) -> str:
    """What OpenSTA prints on the netlist, clocked at 4 ns."""
    if shutil.which("sta") is None:
        pytest.skip("needs OpenSTA (Debian package opensta)")
    shutil.copyfile(library.path, folder / "cells.lib")
    (folder / "net.v").write_text(to_verilog(netlist))
    (folder / "run.tcl").write_text(
        f"read_liberty cells.lib\nread_verilog net.v\nlink_design {netlist.name}\n"
        f"create_clock -name clk -period 4 [get_ports clk]\nset_clock_transition {SLEW_NS} clk\n"
        f"set_input_transition {SLEW_NS} [all_inputs]\n{commands}\n"
    )
    done = subprocess.run(
        ["sta", "-exit", "-no_splash", "run.tcl"], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.slow
def test_longest_path_is_that_of_opensta(tmp_path: Path, library: Library, netlist: Netlist, timing: Timing):
    said = opensta(
        tmp_path, library, netlist,
        "report_checks -from [all_registers -clock_pins] -to [all_registers -data_pins]",
    )  # fmt: skip
    found = re.search(r"(-?[\d.]+)\s+slack", said)
    assert found is not None, said
    assert timing.longest_path_ns == pytest.approx(4.0 - float(found[1]), rel=0.10)


@pytest.mark.slow
def test_switching_power_of_registers_is_that_of_opensta(
    tmp_path: Path, library: Library, netlist: Netlist, timing: Timing
):
    power = estimate(netlist, uniform_activity(netlist, 0.2), timing.slew_ns, timing.load_pf)
    ours_mw = power.switching_pj[netlist.sequential].sum() / 4.0
    said = opensta(
        tmp_path, library, netlist, "set_power_activity -global -activity 0.2 -duty 0.5\nreport_power -digits 6"
    )
    found = re.search(r"^Sequential\s+\S+\s+(\S+)", said, re.MULTILINE)
    assert found is not None, said
    assert ours_mw == pytest.approx(float(found[1]) * 1000, rel=0.05)


@pytest.mark.parametrize("gate", ["inv_1", "nand2_1", "nor2_1", "and2_1", "or2_1"])
def test_internal_energy_of_a_gate_is_half_of_what_opensta_charges(tmp_path: Path, library: Library, gate: str):
    """Debian's OpenSTA (2.0.17, 2019) charges the sum of the rise and the fall energy for every toggle, though a toggle
    is one of the two and its own switching power counts it so; later versions take the mean, as fewbits does."""
    cell = library.cells[f"sg13g2_{gate}"]
    pins = {pin: number + 2 for number, pin in enumerate((*cell.inputs, *cell.outputs))}
    connections = ", ".join(f'"{pin}": [{net}]' for pin, net in pins.items())
    ports = ", ".join(
        f'"{pin.lower()}": {{"direction": "{"output" if pin in cell.outputs else "input"}", "bits": [{net}]}}'
        for pin, net in (*pins.items(), ("clk", 99))
    )
    gates = f'{{"u": {{"type": "{cell.name}", "connections": {{{connections}}}}}}}'
    text = f'{{"modules": {{"top": {{"ports": {{{ports}}}, "netnames": {{}}, "cells": {gates}}}}}}}'
    netlist = read_netlist(text, library, "top")
    timing = analyze(netlist, Conditions(SLEW_NS, SLEW_NS, wire=library.wire_load))
    ours_pj = estimate(netlist, uniform_activity(netlist, 1.0), timing.slew_ns, timing.load_pf).internal_pj.sum()
    said = opensta(
        tmp_path, library, netlist, "set_power_activity -input -activity 1 -duty 0.5\nreport_power -digits 8"
    )
    found = re.search(r"^Combinational\s+(\S+)", said, re.MULTILINE)
    assert found is not None, said
    assert 2 * ours_pj == pytest.approx(float(found[1]) * 1e12, rel=0.02)  # without a register, per second: 1 toggle


@pytest.mark.slow
def test_one_precision_remade_equals_the_shipped_table(tmp_path: Path, pdk: Path):
    liberty, out = pdk / "sg13g2_stdcell_typ_1p20V_25C.lib", tmp_path / "ihp-sg13g2.json"
    said: list[str] = []
    made = characterize(liberty, pdk / "sram", [REMADE], out, progress=said.append)
    shipped = load_technology()
    assert made.datapaths[REMADE] == shipped.datapaths[REMADE]
    assert made.macros == shipped.macros
    assert {key: value for key, value in made.provenance.items() if "sha256" in key}.items() <= (
        shipped.provenance.items()
    )
    said.clear()
    assert characterize(liberty, pdk / "sram", [REMADE], out, progress=said.append) == made
    assert said[-2:] == [f"{REMADE}: kept, nothing has changed", f"{REMADE}: control kept, nothing has changed"]
    assert load_technology(out) == made


def test_shipped_table_has_the_study_at_its_clock():
    shipped = load_technology()
    for precision in STUDY_PRECISIONS:
        datapath = shipped.datapath(precision)
        assert datapath.meets_target
        assert datapath.longest_path_ns <= 4.0
        assert set(datapath.components) == set(LOGIC_COMPONENTS)
        assert sum(part.cells for part in datapath.components.values()) == sum(datapath.cell_counts.values())


@pytest.mark.slow
def test_power_grows_with_activity(netlist: Netlist, timing: Timing):
    loads = netlist.loads_pf(None)
    quiet, busy = (
        estimate(netlist, uniform_activity(netlist, toggles), timing.slew_ns, loads).dynamic_pj.sum()
        for toggles in (0.1, 0.4)
    )
    assert 0 < quiet < busy


@pytest.mark.slow
def test_levels_rise_along_every_cell(netlist: Netlist):
    levels = netlist.levels
    assert levels.min() >= 0
    assert levels.max() > 5
    assert netlist.sequential.sum() > 0


def test_unmapped_cells_are_named(library: Library):
    text = '{"modules": {"top": {"ports": {}, "netnames": {}, "cells": {"a": {"type": "$add", "connections": {}}}}}}'
    with pytest.raises(HardwareError, match=r"\$add"):
        read_netlist(text, library, "top")


def test_a_combinational_loop_is_refused(library: Library):
    cell = '"{name}": {{"type": "sg13g2_inv_1", "connections": {{"A": [{a}], "Y": [{y}]}}}}'
    cells = ", ".join(cell.format(name=name, a=a, y=y) for name, a, y in (("p", 2, 3), ("q", 3, 2)))
    text = f'{{"modules": {{"top": {{"ports": {{}}, "netnames": {{}}, "cells": {{{cells}}}}}}}}}'
    with pytest.raises(HardwareError, match="loop"):
        _ = read_netlist(text, library, "top").levels


@pytest.mark.parametrize("mapping", ["quick"])
def test_an_unknown_mapping_is_refused(library: Library, mapping: str):
    with pytest.raises(HardwareError, match="mapping"):
        synthesize("", library, delay_target_ns=3.0, top="neuron", mapping=mapping)


def test_yosys_failure_is_one_line(library: Library):
    with pytest.raises(HardwareError, match="yosys") as caught:
        synthesize("this is no rtlil\n", library, delay_target_ns=3.0, top="neuron")
    assert "\n" not in str(caught.value)


def macro(rows: int, bits: int, area: float, ports: int = 1) -> MacroCost:
    """A macro with figures that are easy to follow."""
    return MacroCost(f"m{rows}x{bits}", rows, bits, ports, area, 2.0, 3.0, 1.0, 1.5)


def test_buffer_is_as_many_macros_as_its_width_needs():
    buffer = compose(64, 100, [macro(64, 32, 10.0)])
    assert (buffer.columns, buffer.banks, buffer.macros) == (4, 1, 4)
    assert (buffer.area_um2, buffer.read_energy_pj, buffer.write_energy_pj) == (40.0, 8.0, 12.0)


def test_buffer_stacks_macros_of_too_few_rows():
    buffer = compose(128, 32, [macro(64, 32, 10.0)])
    assert (buffer.columns, buffer.banks, buffer.macros) == (1, 2, 2)
    assert buffer.read_energy_pj == 2.0
    assert buffer.leakage_uw == 2.0


def test_buffer_takes_the_least_area():
    assert compose(64, 64, [macro(64, 32, 10.0), macro(64, 64, 15.0)]).macro.bits == 64
    assert compose(64, 64, [macro(64, 32, 7.0), macro(64, 64, 15.0)]).macro.bits == 32


def test_buffer_needs_macros_with_enough_ports():
    with pytest.raises(HardwareError, match="port"):
        compose(64, 64, [macro(64, 32, 10.0)], ports=2)


@pytest.mark.parametrize(("rows", "bits"), [(0, 8), (8, 0), (-1, 8)])
def test_buffer_without_rows_or_bits_is_refused(rows: int, bits: int):
    with pytest.raises(HardwareError):
        compose(rows, bits, [macro(64, 32, 10.0)])


def test_macros_of_the_process_are_read(pdk: Path):
    macros = read_macros(pdk / "sram", SLEW_NS)
    assert len(macros) == 28
    assert {found.ports for found in macros} == {1, 2}
    smallest = next(found for found in macros if (found.rows, found.bits, found.ports) == (64, 64, 1))
    assert smallest.area_um2 > 1000
    assert all(found.read_energy_pj > 0 and found.write_energy_pj > 0 and found.access_ns > 0 for found in macros)


def test_a_folder_without_macros_is_refused(tmp_path: Path):
    with pytest.raises(HardwareError):
        read_macros(tmp_path, SLEW_NS)


def test_a_table_survives_saving(tmp_path: Path):
    shipped = load_technology()
    shipped.save(tmp_path / "copy.json")
    assert load_technology(tmp_path / "copy.json") == shipped


def test_an_unknown_precision_names_those_there():
    with pytest.raises(HardwareError, match="fixed16"):
        load_technology().datapath("fixed13")


@pytest.mark.parametrize("value", ["NaN", '"fast"', "null", "true"])
def test_a_table_with_a_figure_that_is_no_number_is_refused(tmp_path: Path, value: str):
    path = tmp_path / "broken.json"
    load_technology().save(path)
    text = re.sub(r'("longest_path_ns": )[^,]+', rf"\g<1>{value}", path.read_text(), count=1)
    path.write_text(text)
    with pytest.raises(HardwareError, match=r"broken\.json"):
        load_technology(path)


@pytest.mark.slow
def test_loads_of_a_netlist_are_finite(netlist: Netlist, library: Library):
    assert np.isfinite(netlist.loads_pf(library.wire_load)).all()
    assert netlist.overloaded(netlist.loads_pf(None)) >= 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"synapses": [4], "with_control": False}, "binary 4 synapses"),
        ({"element": "processing-element"}, "binary processing element"),
    ],
)
def test_a_datapath_of_another_size_remade_equals_the_shipped_table(
    tmp_path: Path, pdk: Path, options: dict[str, Any], name: str
):
    liberty, out = pdk / "sg13g2_stdcell_typ_1p20V_25C.lib", tmp_path / "ihp-sg13g2.json"
    made = characterize(liberty, pdk / "sram", ["binary"], out, **options)
    shipped = load_technology()
    assert replace(made.datapaths[name], control=None) == replace(shipped.datapaths[name], control=None)
    assert made.provenance[f"rtlil_sha256 {name}"] == shipped.provenance[f"rtlil_sha256 {name}"]
