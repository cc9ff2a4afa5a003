"""Runs of one network on several accelerators: a row each, one Pareto front over all, colours that tell them apart."""

from __future__ import annotations

import csv
import io
import json

import pytest
from round_runs import WriteStudy, make_run, with_curves

from fewbits.report import read_tables, write_report
from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.charts import study_charts
from fewbits.report.energy import energy_csv
from fewbits.report.grouping import group_runs
from fewbits.report.networks import across_networks, front_line
from fewbits.report.rows import Group, pareto_front
from fewbits.report.table import csv_text, markdown
from fewbits.study import RunResult

MACHINES = {"diannao-16x16": 1.0, "eyeriss": 0.5}
"""How much of the first machine's energy each takes."""


def on(machine: str, precision: str, model: str = "lenet", **changed: object) -> RunResult:
    key = f"{model}-{precision}-{machine}"
    run = make_run(precision, model=model, accelerator=machine, key=key)
    energy = run.energy_uj * MACHINES[machine]
    return make_run(precision, **{"model": model, "accelerator": machine, "key": key, "energy_uj": energy} | changed)


RUNS = tuple(on(machine, precision) for machine in MACHINES for precision in ("float32", "fixed8"))


@pytest.fixture
def group() -> Group:
    (found,) = group_runs(RUNS)
    return found


def test_each_accelerator_is_a_row_of_its_own(group: Group):
    assert [(row.precision, row.accelerator) for row in group.rows] == [
        *(("float32", "diannao-16x16"), ("fixed8", "diannao-16x16")),
        *(("float32", "eyeriss"), ("fixed8", "eyeriss")),
    ]


def test_labels_tell_the_accelerator(group: Group):
    assert [row.label(group.rows) for row in group.rows][:3] == [
        *("float32 on diannao-16x16", "fixed8 on diannao-16x16", "float32 on eyeriss"),
    ]


def test_one_accelerator_is_in_no_label():
    (group,) = group_runs(RUNS[:2])
    assert [row.label(group.rows) for row in group.rows] == ["float32", "fixed8"]
    assert group.accelerators == ()
    assert "accelerator" not in csv_text([group])


def test_the_front_spans_precision_and_accelerator(group: Group):
    assert [row.label(group.rows) for row in pareto_front(group.rows)] == ["fixed8 on eyeriss", "float32 on eyeriss"]


def test_the_front_of_several_networks_says_that_it_spans_accelerators():
    runs = (*RUNS, on("eyeriss", "fixed8", "alex"), on("diannao-16x16", "fixed8", "alex"))
    (together,) = across_networks(group_runs(runs))
    assert front_line(together).startswith("Pareto front over precision, width and accelerator on digits: lenet at ")
    assert "fixed8 on eyeriss" in front_line(together)


def test_differences_are_to_float32_on_the_same_accelerator(write_study: WriteStudy):
    runs = (on("eyeriss", "float32", accuracy_percent=90.0), on("eyeriss", "fixed8"), *RUNS[:2])
    tables = read_tables(write_study(runs))
    found = {(run["precision"], run["accelerator"]): run["difference_points"] for run in tables["runs"].records()}
    assert (found["fixed8", "eyeriss"], found["fixed8", "diannao-16x16"]) == (6.5, -0.5)
    (group,) = group_runs(runs)
    assert group.rows[1].mean("difference_points") == 6.5


def test_the_chart_colours_accelerators_and_shapes_families(group: Group):
    spec = json.dumps(accuracy_energy_chart(group, "accuracy-energy").spec)
    assert '"color": {"field": "accelerator"' in spec
    assert '"shape": {"field": "weights"' in spec or '"field": "weights"' in spec


def test_every_chart_of_the_chip_tells_the_accelerators_apart():
    areas = {"diannao-16x16": 4.0, "eyeriss": 8.0}
    runs = [on(one, "fixed8", area_mm2_by_component={"multipliers": area}) for one, area in areas.items()]
    (area,) = (chart for chart in study_charts(group_runs(runs)) if chart.stem == "area")
    assert "fixed8 on eyeriss" in json.dumps(area.spec)


def test_a_training_is_drawn_once_for_all_accelerators():
    runs = [run for one in MACHINES for run in with_curves((on(one, "fixed8"),))]
    (loss,) = (chart for chart in study_charts(group_runs(runs)) if chart.stem == "curves-loss")
    assert "on eyeriss" not in json.dumps(loss.spec)


def test_tables_tell_the_accelerator(group: Group):
    assert "| precision | accelerator |" in markdown([group])
    results = list(csv.DictReader(io.StringIO(csv_text([group]))))
    assert [row["accelerator"] for row in results] == [run.accelerator for run in RUNS]
    assert energy_csv([group]).startswith("accelerator,model,")


def test_a_report_of_several_accelerators_is_written(write_study: WriteStudy):
    folder = write_study(RUNS)
    write_report(folder)
    assert "fixed8 on eyeriss" in (folder / "report.html").read_text()
