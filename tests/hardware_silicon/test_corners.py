"""Corners of a technology: the table's own netlists with the slow and the fast library, OpenSTA as the oracle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sta import SLEW_NS, gates_leakage_uw, longest_path_ns  # pyright: ignore

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware import load_technology
from fewbits.hardware.characterization.corner_netlists import netlist_of, on_library
from fewbits.hardware.characterization.corners import CornerFiles, characterize_corners
from fewbits.hardware.characterization.netlists import costs_by_component
from fewbits.hardware.energy.compiled_netlist import CompiledNetlist, compiled_netlist_path, read_compiled_netlist
from fewbits.hardware.energy.energy_tables import energy_model
from fewbits.hardware.energy.power import power_of, uniform_activity
from fewbits.hardware.mapping.netlist import Netlist
from fewbits.hardware.mapping.timing import Conditions, Timing, analyze
from fewbits.hardware.process.corners import at_corner, macro_at_corner
from fewbits.hardware.process.library.liberty import Library
from fewbits.hardware.process.library.liberty_reader import read_library
from fewbits.hardware.process.technology import rounded

PRECISION = "fixed4"
"""Its longest path ends at a register, where OpenSTA looks."""

TYPICAL = "sg13g2_stdcell_typ_1p20V_25C.lib"
FILES = {"slow": "sg13g2_stdcell_slow_1p08V_125C.lib.gz", "fast": "sg13g2_stdcell_fast_1p32V_m40C.lib.gz"}


@pytest.fixture(scope="module")
def typical(pdk: Path) -> Library:
    return read_library(pdk / TYPICAL)


@pytest.fixture(scope="module")
def compiled() -> CompiledNetlist:
    return read_compiled_netlist(compiled_netlist_path("ihp-sg13g2", PRECISION))


@pytest.fixture(scope="module", params=list(FILES))
def corner(request: pytest.FixtureRequest, pdk: Path) -> str:
    if not (pdk / FILES[request.param]).exists():
        pytest.skip("needs the slow and the fast liberty file")
    return request.param


@pytest.fixture(scope="module")
def library(pdk: Path, corner: str) -> Library:
    return read_library(pdk / FILES[corner])


@pytest.fixture(scope="module")
def netlist(compiled: CompiledNetlist, typical: Library, library: Library) -> Netlist:
    return on_library(netlist_of(compiled, typical), library)


def timing_of(netlist: Netlist) -> Timing:
    return analyze(netlist, Conditions(SLEW_NS, SLEW_NS, wire=netlist.library.wire_load))


def test_a_compiled_netlist_is_that_of_the_table(compiled: CompiledNetlist, typical: Library) -> None:
    netlist, known = netlist_of(compiled, typical), load_technology().datapath(PRECISION)
    timing = timing_of(netlist)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(typical.wire_load))
    power = power_of(model, uniform_activity(model, known.activity))
    assert rounded(timing.longest_path_ns) == known.longest_path_ns
    assert netlist.cell_counts == known.cell_counts
    found = costs_by_component(netlist, power, compiled.components, compiled.component_names)
    for name, part in known.components.items():
        assert found[name].energy_pj == pytest.approx(part.energy_pj, rel=1e-5)
        assert found[name].leakage_uw == pytest.approx(part.leakage_uw, rel=1e-5)


def test_opensta_gives_the_longest_path_at_a_corner(netlist: Netlist, library: Library, tmp_path: Path) -> None:
    oracle = longest_path_ns(tmp_path, library, netlist, "lumped_cap")
    assert timing_of(netlist).longest_path_ns == pytest.approx(oracle, abs=2e-5)


def test_opensta_gives_the_gates_leakage_at_a_corner(netlist: Netlist, library: Library, tmp_path: Path) -> None:
    timing = timing_of(netlist)
    model = energy_model(netlist, timing.slew_ns, netlist.loads_pf(library.wire_load))
    leakage_uw = power_of(model, uniform_activity(model, 0.2)).leakage_uw[~netlist.sequential].sum()
    assert leakage_uw == pytest.approx(gates_leakage_uw(tmp_path, library, netlist), rel=0.01)


def test_the_shipped_corners_are_these_figures(netlist: Netlist, corner: str) -> None:
    datapath = at_corner(load_technology(), corner).datapath(PRECISION)
    assert datapath.longest_path_ns == rounded(timing_of(netlist).longest_path_ns)


def test_a_corner_of_another_library_is_refused(compiled: CompiledNetlist, typical: Library, tiny: Library) -> None:
    with pytest.raises(HardwareError, match=r"tiny.lib: no cell sg13g2_\w+, which the typical library has"):
        on_library(netlist_of(compiled, typical), tiny)


def test_a_cell_of_another_area_is_refused(compiled: CompiledNetlist, typical: Library) -> None:
    netlist = netlist_of(compiled, typical)
    name = netlist.groups[0].cell.name
    grown = replace(typical.cells[name], area_um2=2 * typical.cells[name].area_um2)
    with pytest.raises(HardwareError, match=f"cell {name} has another area"):
        on_library(netlist, replace(typical, cells={**typical.cells, name: grown}))


def test_pins_in_another_order_are_the_same_cell(compiled: CompiledNetlist, typical: Library) -> None:
    netlist = netlist_of(compiled, typical)
    turned = {name: replace(cell, pins=dict(reversed(list(cell.pins.items())))) for name, cell in typical.cells.items()}
    there = on_library(netlist, replace(typical, cells=turned))
    for group, same in zip(netlist.groups, there.groups, strict=True):
        for pin in group.cell.pins:
            assert np.array_equal(group.pin(pin), same.pin(pin))


def corners_of(pdk: Path, folder: Path, **files: str) -> dict[str, CornerFiles]:
    """Asked for beside a copy of the shipped table."""
    source = compiled_netlist_path("ihp-sg13g2", "binary").parent
    shutil.copyfile(source.with_suffix(".json"), folder / "ihp-sg13g2.json")
    (folder / "ihp-sg13g2").mkdir()
    shutil.copyfile(source / "binary.netlist", folder / "ihp-sg13g2" / "binary.netlist")
    return {name: CornerFiles((pdk / file,)) for name, file in files.items()}


def made(pdk: Path, folder: Path, liberty: str = TYPICAL, **files: str) -> None:
    corners = corners_of(pdk, folder, **files)
    characterize_corners(folder / "ihp-sg13g2.json", pdk / liberty, corners, ["binary"], progress=lambda _: None)


def test_the_typical_file_is_no_other_corner(pdk: Path, tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"corners 'typ' and 'warm' are both at 1.2 V, 25 C"):
        made(pdk, tmp_path, warm=TYPICAL)


def test_corners_of_another_table_are_refused(pdk: Path, tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"is not what .* was made with, sg13g2_stdcell_typ_1p20V_25C.lib"):
        made(pdk, tmp_path, liberty=FILES["fast"], slow=FILES["slow"])


@pytest.mark.parametrize("name", ["typ", "two words", "a@b", ""])
def test_a_senseless_name_of_a_corner_is_refused(pdk: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(HardwareError, match="a corner's name is one word"):
        made(pdk, tmp_path, **{name: FILES["slow"]})


@pytest.mark.slow
def test_the_command_makes_the_shipped_corners_anew(pdk: Path, tmp_path: Path) -> None:
    corners_of(pdk, tmp_path)
    options = (
        *("--liberty", pdk / TYPICAL, "--sram", pdk / "sram", "--precision", "binary"),
        *("--corner", f"slow={pdk / FILES['slow']}", "--out", tmp_path / "ihp-sg13g2.json"),
    )
    assert main(["characterize", *map(str, options)]) == 0
    found = load_technology(tmp_path / "ihp-sg13g2.json").corners
    shipped = load_technology().corners["slow"]
    assert set(found) == {"slow"}
    assert found["slow"].datapaths["binary"] == shipped.datapaths["binary"]
    assert replace(found["slow"], datapaths={}) == replace(shipped, datapaths={}, conversions={})


@pytest.mark.slow
def test_macros_that_a_corner_has_no_file_of_are_named(pdk: Path, tmp_path: Path) -> None:
    files = corners_of(pdk, tmp_path, slow=FILES["slow"])
    given = pdk / "sram" / "RM_IHPSG13_2P_64x32_c2_typ_1p20V_25C.lib"
    files["slow"] = replace(files["slow"], sram=given)
    table = tmp_path / "ihp-sg13g2.json"
    found = characterize_corners(table, pdk / TYPICAL, files, [], progress=lambda _: None)
    assert set(found["slow"].macros) == {"RM_IHPSG13_2P_64x32_c2"}
    note = at_corner(load_technology(table), "slow").provenance["at"]
    assert "RM_IHPSG13_2P_64x22_c2" in note
    assert "RM_IHPSG13_2P_64x32_c2" not in note


def test_a_macro_at_a_corner_takes_the_place_of_the_typical_one() -> None:
    table = load_technology()
    name = table.macros[0].name
    own = replace(macro_at_corner(table.macros[0]), access_ns=9.0, read_energy_pj=1.0)
    corner = replace(table.corners["slow"], macros={name: own})
    macro = at_corner(replace(table, corners={"slow": corner}), "slow").macros[0]
    assert macro == replace(table.macros[0], access_ns=9.0, read_energy_pj=1.0)
