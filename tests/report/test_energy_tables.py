"""Energy by layer and part: split, tables, CSV, chart and page."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console
from round_runs import WriteStudy, make_run

from fewbits.report import group_runs, print_study, write_report
from fewbits.report.bar_charts import layer_chart
from fewbits.report.energy import energy_csv, energy_table, layer_energies, row_energies
from fewbits.study import RunResult

PARTS = {"multipliers": 3.0, "sb": 1.0, "cooling": 0.5}


def run(**changed: object) -> RunResult:
    fields: dict[str, object] = {
        "energy_uj": 9.0,
        "energy_uj_by_component": {name: 2 * energy for name, energy in PARTS.items()},
        "leakage_uj_by_component": {"multipliers": 0.3, "sb": 0.1, "cooling": 0.0},
        "energy_uj_by_layer": {"conv": 4.5, "fc": 4.5},
        "energy_uj_by_layer_and_component": {"conv": dict(PARTS), "fc": dict(PARTS)},
        "leakage_uj_by_layer": {"conv": 0.1, "fc": 0.3},
        "off_chip_uj_by_layer": {"conv": (1.0, 2.0), "fc": (10.0, 20.0)},
    }
    return make_run("fixed8", **(fields | changed))


def test_leakage_stands_apart_and_the_sum_stays() -> None:
    energies = layer_energies(group_runs([run()])[0].rows[0])
    assert energies is not None
    assert energies.layers["fc"] == pytest.approx({"multipliers": 2.775, "sb": 0.925, "cooling": 0.5, "leakage": 0.3})
    assert sum(energies.by_part.values()) == pytest.approx(9.0)


def test_unknown_parts_are_shown_under_their_own_names_and_leakage_last() -> None:
    energies = layer_energies(group_runs([run()])[0].rows[0])
    assert energies is not None
    assert energies.parts == ("multipliers", "sb", "cooling", "leakage")


def test_off_chip_memory_is_in_no_total() -> None:
    energies = layer_energies(group_runs([run()])[0].rows[0])
    assert energies is not None
    table = energy_table(energies)
    assert table.headings[-3:] == ("together", "share, %", "off-chip, apart")
    assert table.rows[-1][-3:] == ("9.0000", "100.0", "11 to 22")


def test_seeds_are_averaged() -> None:
    louder = {"conv": {name: 3 * energy for name, energy in PARTS.items()}, "fc": dict(PARTS)}
    runs = [run(), run(seed=1, energy_uj_by_layer_and_component=louder)]
    energies = layer_energies(group_runs(runs)[0].rows[0])
    assert energies is not None
    assert sum(energies.layers["conv"].values()) == pytest.approx(9.0)


def test_runs_without_energies_by_layer_give_no_table() -> None:
    group = group_runs([make_run("fixed8")])[0]
    assert row_energies(group) == {}
    assert layer_chart(group, "energy-layers") is None


def test_runs_of_an_older_version_keep_leakage_in_their_parts() -> None:
    older = run(leakage_uj_by_layer={}, off_chip_uj_by_layer={})
    energies = layer_energies(group_runs([older])[0].rows[0])
    assert energies is not None
    assert energies.layers["fc"] == PARTS
    assert "off-chip, apart" not in energy_table(energies).headings


def test_csv_has_a_line_for_each_layer_and_part() -> None:
    rows = list(csv.DictReader(io.StringIO(energy_csv(group_runs([run()])))))
    inside = [float(row["energy_uj"]) for row in rows if row["in_total"] == "yes"]
    assert len(inside) == 8
    assert sum(inside) == pytest.approx(9.0)
    assert {row["part"]: row["energy_uj"] for row in rows if row["layer"] == "fc"}["off-chip, high"] == "20.0"


def test_the_page_shows_each_rows_energy_by_layer(write_study: WriteStudy) -> None:
    folder = write_study((run(),))
    written = {path.name for path in write_report(folder)}
    page = (folder / "report.html").read_text()
    assert {"energy.csv", "energy-layers.png"} <= written
    assert "fixed8: energy of an image by layer and part" in page
    assert "ISSCC 2014" in page


def test_the_terminal_shows_shares_of_parts() -> None:
    console = Console(record=True, width=80)
    print_study(group_runs([run()]), console)
    text = console.export_text()
    assert "by part, in percent" in text
    assert max(map(len, text.splitlines())) <= 80
