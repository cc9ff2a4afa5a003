"""Costs at corners, at voltages between them, over clocks and on a die of a stated utilization."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lenet_by_hand import LENET
from scipy.optimize import brentq

from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.hardware import Accelerator, Cost, Technology, cost, load_technology
from fewbits.hardware.costing.corner_costs import die_of, leakage_mw, sign_off
from fewbits.hardware.process.corners import at_corner, corner_names, typical_corner
from fewbits.hardware.process.corners_file import corners_path, load_corners, save_corners
from fewbits.hardware.process.operating_points import at_voltage, interpolation_errors, squared_voltage_errors
from fewbits.hardware.process.scaling import node_scaling, scale
from fewbits.hardware.process.technology import TABLES

SHIPPED = load_technology()


def path_ns(table: Technology) -> float:
    return table.datapath("fixed8").longest_path_ns


def energy_pj(table: Technology) -> float:
    return sum(part.energy_pj for part in table.datapath("fixed8").components.values())


def fixed8(table: Technology, mhz: float = 250.0) -> Cost:
    return cost(LENET, "fixed8", technology=table, accelerator=Accelerator(clock_mhz=mhz))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cost", "lenet", *arguments]) == 0
    return capsys.readouterr().out


def costs_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    return json.loads(printed(capsys, *arguments, "--json"))


def test_the_shipped_table_has_three_corners() -> None:
    assert corner_names(SHIPPED) == ("slow", "typ", "fast")


@pytest.mark.parametrize("name", ["slow", "fast"])
def test_the_shipped_corners_hold_the_default_neurons_with_their_control(name: str) -> None:
    table = at_corner(SHIPPED, name)
    assert {one.name for one in table.precisions()} == {one.name for one in SHIPPED.precisions()}
    assert all(table.datapath(one).control is not None for one in table.precisions())


def test_a_slow_corner_is_slower_and_a_fast_one_takes_more() -> None:
    slow, fast = (at_corner(SHIPPED, name) for name in ("slow", "fast"))
    assert path_ns(slow) > path_ns(SHIPPED) > path_ns(fast)
    assert energy_pj(slow) < energy_pj(SHIPPED) < energy_pj(fast)


def test_the_typical_corner_is_the_table_itself() -> None:
    assert at_corner(SHIPPED, "typ") is SHIPPED


def test_area_is_the_same_at_every_corner() -> None:
    assert fixed8(at_corner(SHIPPED, "slow")).area_mm2 == fixed8(SHIPPED).area_mm2


def test_a_corner_is_named_in_the_cost_and_says_what_is_not_of_it() -> None:
    made = fixed8(at_corner(SHIPPED, "slow"))
    assert made.technology == "ihp-sg13g2 at slow"
    assert any(
        note.startswith("figures at slow (1.08 V, 125 C); the SRAM macros' figures are those of 1.2 V, 25 C")
        for note in made.notes
    )


def test_a_technology_is_named_with_its_corner_node_or_voltage() -> None:
    assert load_technology("ihp-sg13g2@slow") == at_corner(SHIPPED, "slow")
    assert load_technology("ihp-sg13g2@1.1V") == at_voltage(SHIPPED, 1.1)
    assert load_technology("ihp-sg13g2@65nm@slow") == at_corner(scale(SHIPPED, 65), "slow")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ihp-sg13g2@hot", "no corner 'hot', it has slow, typ, fast"),
        ("ihp-sg13g2@1.5V", "1.5 V is outside of what .* give a voltage from 1.08 to 1.32"),
        ("ihp-sg13g2@0V", "0 V is outside"),
        ("ihp-sg13g2@slow@fast", "is at a corner already"),
        ("ihp-sg13g2@slow@1.1V", "is at a corner already"),
        ("ihp-sg13g2@slow@65nm", "is at a corner: scale the table that it comes from"),
        ("ihp-sg13g2@", "has no corner ''"),
    ],
)
def test_a_senseless_figure_of_what_is_refused(name: str, message: str) -> None:
    with pytest.raises(HardwareError, match=message):
        load_technology(name)


def test_a_datapath_of_another_netlist_is_not_at_the_corner() -> None:
    table = replace(SHIPPED, provenance={**SHIPPED.provenance, "rtlil_sha256 fixed8": "0" * 64})
    assert at_corner(table, "slow").find("fixed8") is None


def test_a_control_of_another_netlist_is_not_at_the_corner() -> None:
    table = replace(SHIPPED, provenance={**SHIPPED.provenance, "control_sha256 fixed8": "0" * 64})
    assert at_corner(table, "slow").datapath("fixed8").control is None


@pytest.mark.parametrize("name", ["slow", "typ", "fast"])
def test_a_corner_s_voltage_gives_the_corner_s_figures(name: str) -> None:
    table = at_corner(SHIPPED, name)
    point = at_voltage(SHIPPED, table.voltage_v)
    assert path_ns(point) == pytest.approx(path_ns(table), rel=1e-12)
    assert energy_pj(point) == pytest.approx(energy_pj(table), rel=1e-12)


@given(st.floats(1.08, 1.32), st.floats(1.08, 1.32))
def test_a_higher_voltage_is_faster_and_takes_more(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert path_ns(at_voltage(SHIPPED, low)) >= path_ns(at_voltage(SHIPPED, high)) * (1 - 1e-12)
    assert energy_pj(at_voltage(SHIPPED, low)) <= energy_pj(at_voltage(SHIPPED, high)) * (1 + 1e-12)


def test_energy_goes_with_the_voltage_squared_within_four_percent() -> None:
    assert all(abs(error) < 0.05 for error in squared_voltage_errors(SHIPPED).values())


def alpha_power(volts: float, threshold_v: float, alpha: float) -> float:
    """A delay in some unit: Sakurai and Newton, IEEE JSSC 25 (1990) 584."""
    return volts / (volts - threshold_v) ** alpha


def test_an_alpha_power_law_through_the_outer_corners_is_further_off() -> None:
    slow, typical, fast = (path_ns(at_corner(SHIPPED, name)) for name in ("slow", "typ", "fast"))

    def unlike(threshold_v: float) -> float:
        return alpha_power(1.08, threshold_v, 1.3) / alpha_power(1.32, threshold_v, 1.3) - slow / fast

    threshold_v = float(brentq(unlike, 0.0, 1.079))  # type: ignore[arg-type]
    law = fast * alpha_power(1.2, threshold_v, 1.3) / alpha_power(1.32, threshold_v, 1.3)
    assert threshold_v == pytest.approx(0.89, abs=0.02)
    assert abs(law / typical - 1) > 0.1
    assert abs(math.sqrt(slow * fast) / typical - 1) < 0.05


def test_an_operating_point_says_the_error_of_its_rules() -> None:
    (line,) = interpolation_errors(SHIPPED)
    assert line.startswith("typ left out and found from slow and fast: energy +")
    assert line in at_voltage(SHIPPED, 1.1).provenance["at"]
    assert "so at 108.3 C and a process in between" in at_voltage(SHIPPED, 1.1).provenance["at"]


def test_a_table_of_one_corner_has_no_operating_points() -> None:
    with pytest.raises(HardwareError, match=r"no corner but the typical one, 1.2 V"):
        at_voltage(replace(SHIPPED, corners={}), 1.2)


def test_two_corners_at_one_voltage_do_not_tell_what_is_between_them() -> None:
    cold = replace(SHIPPED.corners["fast"], name="cold", voltage_v=1.2)
    with pytest.raises(HardwareError, match=r"corners 'cold' and 'typ' .* are both at 1.2 V"):
        at_voltage(replace(SHIPPED, corners={"cold": cold}), 1.2)


def test_a_scaled_corner_keeps_its_ratios_to_the_typical_figures() -> None:
    scaled, slow = scale(SHIPPED, 65), at_corner(SHIPPED, "slow")
    there = at_corner(scaled, "slow")
    assert path_ns(there) / path_ns(scaled) == pytest.approx(path_ns(slow) / path_ns(SHIPPED))
    assert energy_pj(there) / energy_pj(scaled) == pytest.approx(energy_pj(slow) / energy_pj(SHIPPED))
    assert there.voltage_v / scaled.voltage_v == pytest.approx(1.08 / 1.2)
    assert path_ns(there) == pytest.approx(path_ns(slow) * node_scaling(SHIPPED, 65).delay.value)


def test_sign_off_takes_the_slow_corner_s_clock_and_the_fast_one_s_power() -> None:
    tables = {name: at_corner(SHIPPED, name) for name in corner_names(SHIPPED)}
    signed = sign_off(tables, 250.0, fixed8)
    assert signed.clock_from == "slow"
    assert signed.power_from == "fast"
    assert {one.clock_mhz for one in signed.costs.values()} == {fixed8(tables["slow"]).clock_mhz}


def test_leakage_takes_more_energy_at_a_lower_clock_and_dynamic_energy_stays() -> None:
    fast, slow = fixed8(SHIPPED, 200.0), fixed8(SHIPPED, 50.0)
    dynamic, leakage = ([sum(each.values()) for each in both] for both in zip(
        *((one.breakdown.dynamic_uj, one.breakdown.leakage_uj) for one in (fast, slow)), strict=True
    ))  # fmt: skip
    assert dynamic[0] == pytest.approx(dynamic[1], rel=1e-12)
    assert leakage[1] == pytest.approx(4 * leakage[0], rel=1e-9)
    assert leakage_mw(fast) == pytest.approx(leakage_mw(slow))


def test_a_die_is_the_area_over_the_utilization() -> None:
    made = fixed8(SHIPPED)
    die = die_of(made, 0.5)
    assert die.area_mm2 == 2 * made.area_mm2
    assert die.gops_per_mm2 == pytest.approx(2 * LENET.products / made.time_us / 1000 / die.area_mm2)


@pytest.mark.parametrize("utilization", [0.0, -0.1, 1.01, math.nan, math.inf])
def test_a_senseless_utilization_is_refused(utilization: float) -> None:
    with pytest.raises(HardwareError, match="above 0 and up to 1"):
        die_of(fixed8(SHIPPED), utilization)


def test_cost_prints_what_is_signed_off(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "fixed8", "--corner", "all")
    assert "slow 1.08 V 125 C" in text
    assert "fixed8 signed off: 184.5 MHz, the clock of slow; at this clock fast takes most" in text


def test_cost_json_has_an_entry_for_each_corner(capsys: pytest.CaptureFixture[str]) -> None:
    found = costs_of(capsys, "fixed8", "--corner", "all", "--utilization", "0.7")
    assert [one["corner"] for one in found] == ["slow", "typ", "fast"]
    assert found[0]["clock_mhz"] == pytest.approx(found[1]["signed_off"]["clock_mhz"])
    assert found[1]["die_area_mm2"] == pytest.approx(found[1]["area_mm2"] / 0.7)


def test_cost_without_options_of_corners_is_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    (plain,), (typical,) = (costs_of(capsys, "fixed8", *more) for more in ((), ("--corner", "typ")))
    assert plain.items() <= typical.items()
    assert "corner" not in plain


def test_cost_over_clocks_tells_the_share_of_leakage(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "fixed8", "--clock", "50", "--clock", "100")
    assert re_rows(text) == [50.0, 100.0]


def re_rows(text: str) -> list[float]:
    """The clocks in the table over the clock."""
    table = text.partition("energy over the clock")[2].splitlines()[1:]
    return [float(line.split()[1]) for line in table if line.lstrip().startswith("fixed8 ")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--corner", "hot"), "no corner 'hot', it has slow, typ, fast"),
        (("--corner", "slow", "--voltage", "1.1"), "--corner and --voltage both say the voltage"),
        (("--voltage", "nan"), "--voltage takes volts"),
        (("--voltage", "1.4"), "1.4 V is outside"),
        (("--utilization", "0"), "--utilization is the part of the die"),
        (("--technology", "ihp-sg13g2@slow", "--corner", "fast"), "is at a corner already"),
        (("--clock", "100", "--clock", "100"), "--clock gives a clock twice"),
        (("--clock", "100", "--clock", "50", "--fpga", "ecp5"), "take one clock: give --clock once"),
        (("--technology", "ihp-sg13g2@slow", "--node", "65"), "is at a corner: scale the table"),
    ],
)
def test_a_senseless_operating_point_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main(["cost", "lenet", "fixed8", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--corner", "slow.lib"), "--corner takes NAME=FILE, such as slow=slow.lib.gz, not 'slow.lib'"),
        (("--corner", "=slow.lib"), "--corner takes NAME=FILE"),
        (("--corner-sram", "slow=folder"), "--corner-sram slow needs --corner slow=FILE"),
    ],
)
def test_a_senseless_corner_of_characterize_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert main(["characterize", "--liberty", "none.lib", "--out", str(tmp_path / "t.json"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_corners_are_read_as_they_were_written(tmp_path: Path) -> None:
    corners = SHIPPED.corners | {"copy": replace(typical_corner(SHIPPED), name="copy")}
    save_corners(corners, tmp_path / "a.corners.json", {})
    assert load_corners(tmp_path / "a.corners.json") == corners


def test_a_table_joins_the_corners_beside_it(tmp_path: Path) -> None:
    replace(SHIPPED, corners={}).save(tmp_path / "own.json")
    assert load_technology(tmp_path / "own.json").corners == {}
    save_corners(SHIPPED.corners, corners_path(tmp_path / "own.json"), {})
    assert load_technology(tmp_path / "own.json").corners == SHIPPED.corners


def test_a_table_s_file_holds_no_corners(tmp_path: Path) -> None:
    SHIPPED.save(tmp_path / "own.json")
    assert "corners" not in json.loads((tmp_path / "own.json").read_text())
    (tmp_path / "own.json").write_text(json.dumps(SHIPPED.figures() | {"corners": {}}))
    with pytest.raises(HardwareError, match="corners lie in a file of their own"):
        load_technology(tmp_path / "own.json")


EDITS: dict[str, tuple[tuple[str, ...], object]] = {
    "another name": (("name",), "other"),
    "no voltage": (("voltage_v",), 0),
    "a field too many": (("surprise",), 1),
    "a text for a number": (("datapaths", "fixed8", "longest_path_ns"), "3"),
    "a negative energy": (("datapaths", "fixed8", "energy_pj", "rest"), -1),
    "an infinite leakage": (("datapaths", "fixed8", "leakage_uw", "rest"), math.inf),
    "a truth value": (("datapaths", "fixed8", "control", "leakage_uw"), True),
    "a list for an object": (("datapaths",), []),
    "no object": ((), []),
}
"""Where in a corner something else stands."""


def changed(edit: str) -> str:
    """The file of one corner with one thing wrong."""
    place, value = EDITS[edit]
    corners: dict[str, Any] = {"slow": raw_corner()}
    inner = corners
    for key in ("slow", *place)[:-1]:
        inner = inner[key]
    inner[("slow", *place)[-1]] = value
    return json.dumps({"about": {}, "corners": corners})


def raw_corner() -> dict[str, Any]:
    return json.loads(corners_path(TABLES / "ihp-sg13g2.json").read_text())["corners"]["slow"]


NO_CORNERS = {"a list": "[]", "no JSON": "{", "a deep nest": "[" * 100_000, "a number": '{"corners": 3}'}


@pytest.mark.parametrize("text", [*map(changed, EDITS), *NO_CORNERS.values()], ids=[*EDITS, *NO_CORNERS])
def test_a_damaged_file_of_corners_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.corners.json"
    path.write_text(text)
    with pytest.raises(HardwareError, match=r"holds no corners of a technology table: .*; make it anew"):
        load_corners(path)


@pytest.mark.parametrize("options", [("--accelerator", "systolic-ws"), ("--synapses", "32")])
def test_a_datapath_that_a_corner_lacks_is_not_told_from_others(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    assert main(["cost", "lenet", "fixed8", *options, "--corner", "all"]) == 2
    assert "technology 'ihp-sg13g2 at slow' has no precision 'fixed8 " in capsys.readouterr().err


def test_widths_are_interpolated_at_a_corner_as_at_the_typical_one() -> None:
    slow = cost(LENET, "fixed9", technology=at_corner(SHIPPED, "slow"))
    assert slow.interpolated
    assert slow.clock_mhz < cost(LENET, "fixed9", technology=SHIPPED).clock_mhz
