"""Scaling to another node: the published factors, their uncertainty, and that nothing scaled goes unnamed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware import cost, load_technology
from fewbits.hardware.process.scaling import ENERGY, LOW_POWER_ENERGY, node_scaling, scale
from fewbits.hardware.process.technology import Technology


@pytest.fixture(scope="module")
def table() -> Technology:
    return load_technology("ihp-sg13g2")


def test_polynomials_are_those_of_the_authors_corrigendum() -> None:
    """It works out 32 nm at 0.9 V and 65 nm at 1.3 V: 0.4571 and 2.604."""
    at_32, at_65 = ENERGY[32], ENERGY[65]
    assert at_32[0] * 0.9**2 + at_32[1] * 0.9 + at_32[2] == pytest.approx(0.4571, abs=5e-5)
    assert at_65[0] * 1.3**2 + at_65[1] * 1.3 + at_65[2] == pytest.approx(2.604, abs=5e-4)


def test_factors_to_65_nm_are_worked_out_by_hand(table: Technology) -> None:
    factors = node_scaling(table, 65)
    assert factors.area.value == pytest.approx(0.23)
    assert factors.energy.value == pytest.approx(1.68075 / 5.17944)
    assert factors.delay.value == pytest.approx(19.1517 / 33.5248, rel=1e-4)
    assert (factors.area.low, factors.area.high) == (pytest.approx(0.23), pytest.approx(0.25))


@settings(max_examples=25, deadline=None)
@given(st.floats(7, 130), st.floats(7, 130))
def test_a_smaller_node_is_smaller_and_every_factor_lies_in_its_range(one: float, other: float) -> None:
    shipped = load_technology()
    small, large = (node_scaling(shipped, node) for node in sorted((one, other)))
    assert small.area.value <= large.area.value
    for factor in (small.area, small.energy, small.delay):
        assert 0 < factor.low <= factor.value <= factor.high


def test_low_power_fits_are_of_the_same_nodes() -> None:
    assert set(LOW_POWER_ENERGY) < set(ENERGY)


def test_figures_are_multiplied_and_leakage_is_kept(table: Technology) -> None:
    scaled, factors = scale(table, 28), node_scaling(table, 28)
    before, after = table.datapath("fixed8"), scaled.datapath("fixed8")
    for name, part in before.components.items():
        assert after.components[name].area_um2 == pytest.approx(part.area_um2 * factors.area.value)
        assert after.components[name].energy_pj == pytest.approx(part.energy_pj * factors.energy.value)
        assert after.components[name].leakage_uw == part.leakage_uw
    assert after.longest_path_ns == pytest.approx(before.longest_path_ns * factors.delay.value)
    assert scaled.macros[0].read_energy_pj == pytest.approx(table.macros[0].read_energy_pj * factors.energy.value)


def test_a_scaled_cost_names_its_technology(table: Technology) -> None:
    scaled = cost("lenet", "fixed8", technology="ihp-sg13g2@65nm")
    plain = cost("lenet", "fixed8", technology=table)
    assert scaled.technology == "ihp-sg13g2 scaled to 65 nm"
    assert scaled.area_mm2 == pytest.approx(0.23 * plain.area_mm2)
    assert scaled.cycles == plain.cycles


def test_a_scaled_table_is_not_scaled_again(table: Technology) -> None:
    with pytest.raises(HardwareError, match="'ihp-sg13g2 scaled to 65 nm' is scaled already"):
        scale(scale(table, 65), 28)


def test_28_nm_is_called_interpolated(table: Technology) -> None:
    assert "interpolated" in node_scaling(table, 28).heading
    assert "interpolated" not in node_scaling(table, 16).heading
    low, high = node_scaling(table, 20).area.value, node_scaling(table, 32).area.value
    assert low < node_scaling(table, 28).area.value < high


def test_a_longer_path_at_an_older_node_lowers_the_clock(table: Technology) -> None:
    datapath = replace(table.datapath("fixed8"), longest_path_ns=3.9)
    newer = replace(table, datapaths={"fixed8": datapath}, provenance={"node_nm": "65"}, voltage_v=1.1)
    scaled = scale(newer, 130).datapath("fixed8")
    assert not scaled.meets_target
    assert scaled.clock_mhz == pytest.approx(1000 / scaled.longest_path_ns)


@pytest.mark.parametrize("node", [5, 0, -65, 180, float("nan"), float("inf")])
def test_a_node_without_factors_is_refused(table: Technology, node: float) -> None:
    with pytest.raises(HardwareError, match="published from 130 to 7 nm"):
        scale(table, node)


@pytest.mark.parametrize("provenance", [{}, {"node_nm": "small"}])
def test_a_table_that_does_not_say_its_node_is_refused(table: Technology, provenance: dict[str, str]) -> None:
    with pytest.raises(HardwareError, match="characterize --node"):
        scale(replace(table, name="mine", provenance=provenance), 65)


def test_the_command_line_prints_the_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "lenet", "fixed8", "--node", "65"]) == 0
    assert capsys.readouterr().out.startswith("scaled from 130 nm, 1.2 V to 65 nm, 1.1 V: area x0.23 (0.23 to 0.25)")


def test_json_says_scaled_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "lenet", "fixed8", "--json"]) == 0
    assert main(["cost", "lenet", "fixed8", "--json", "--node", "45"]) == 0
    plain, scaled = (json.loads(line)[0] for line in capsys.readouterr().out.splitlines())
    assert set(scaled) - set(plain) == {"scaled"}
    assert scaled["area_mm2"] < plain["area_mm2"]


def test_a_study_takes_a_scaled_technology(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "mine"\nmodels = ["lenet"]\ndata = ["digits"]\nprecisions = ["fixed8"]\ntechnology = "ihp-sg13g2@5nm"\n'
    )
    assert main(["run", str(study), "--out", str(tmp_path / "out")]) == 2
    assert "key 'technology': scaling from 130 to 5 nm" in capsys.readouterr().err
