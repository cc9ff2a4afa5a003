"""The report of defects: what a network tolerates in a sentence; charts by number, rate and voltage; tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from round_runs import make_run

from fewbits.report.charts import study_charts
from fewbits.report.defect_charts import defect_charts
from fewbits.report.defects import defect_curves, defect_tables, sentences
from fewbits.report.grouping import group_runs
from fewbits.report.rows import Group
from fewbits.report.table import csv_text, markdown
from fewbits.report.tables import read_tables
from fewbits.study import DefectRecord, DefectRowRecord, DrawnAccuracies, RepairRecord

ABOUT = {"draws": 2, "seed": 7, "images": 100, "exact_percent": 96.0}


def drawn(mean: float, spread: float = 0.5) -> DrawnAccuracies:
    return DrawnAccuracies((mean - spread, mean + spread))


def memory(*means: tuple[float, float], volts: tuple[float, ...] = ()) -> DefectRecord:
    """Of rates and mean accuracies."""
    rows = tuple(
        DefectRowRecord(amount=rate, faulty=drawn(mean), voltage_v=volts[number] if volts else None)
        for number, (rate, mean) in enumerate(means)
    )
    return DefectRecord(where="weights-memory", kind="rates", rows=rows, **ABOUT)


def nets(*means: tuple[int, float, float]) -> DefectRecord:
    """Of counts, mean accuracies and those after retraining; repaired at 1.5 times the cycles."""
    price = RepairRecord(
        disabled_neurons=(1, 2), unrepaired_draws=0, cycles=150.0, cycles_before=100.0, energy_uj=12.0,
        energy_before_uj=10.0, area_um2=5.0, idle_area_um2=1.0,
    )  # fmt: skip
    rows = tuple(
        DefectRowRecord(
            amount=float(count), faulty=drawn(mean), retrained=drawn(after), repaired=drawn(96.0, 0.0), price=price
        )
        for count, mean, after in means
    )
    about = {"where": "neuron", "kind": "counts", "retrain_epochs": 1, "repair": "others"}
    return DefectRecord(rows=rows, **about, **ABOUT)


def group(*records: DefectRecord, seeds: int = 1) -> Group:
    precisions = ("fixed8", "pow2-6/fixed16")
    made = [
        replace(make_run(precision, seed), defects=record)
        for precision, record in zip(precisions, records, strict=False)
        for seed in range(seeds)
    ]
    return group_runs([make_run("float32"), *made])[0]


@pytest.mark.parametrize(
    ("means", "words"),
    [
        (((0.0, 96.0), (1e-4, 95.5), (1e-2, 90.0)), "up to 0.0001 within 1 point .*95.50 %.*; at 0.01 it loses 6.00"),
        (((1e-4, 95.5), (1e-2, 95.2)), "up to 0.01 within 1 point .*the most that was measured"),
        (((0.0, 96.0), (1e-4, 94.0)), "^lenet.*a bit error rate of 0.0001 in .*, the lowest measured, loses 2.00"),
        (((1e-4, 94.0), (1e-2, 95.9)), "the lowest measured, loses 2.00"),
    ],
)
def test_a_sentence_states_the_highest_rate_up_to_which_all_lose_at_most_a_point(means, words):
    (line,) = sentences(group(memory(*means)))
    assert re.search(words, line), line


def test_a_sentence_tells_counts_retrained_and_repaired():
    (line,) = sentences(group(nets((1, 95.5, 95.9), (4, 90.0, 95.5))))
    assert "the tile's neurons can have up to 1 stuck net within 1 point of accuracy (95.50 %); at 4 it loses" in line
    assert "after retraining the tile's neurons can have up to 4 stuck nets" in line
    assert "means over 2 draws, on 100 test images" in line


def test_draws_of_all_seeds_count():
    curve = defect_curves(group(memory((0.01, 95.0)), seeds=3))["weights-memory"][0]
    assert curve.draws == 6
    assert curve.points[0].accuracies["faulty"].percent == (94.5, 95.5) * 3


def _values(spec: Any) -> Iterator[list[dict[str, Any]]]:
    """All data of a specification."""
    if isinstance(spec, dict):
        if isinstance(spec.get("values"), list) and all(isinstance(one, dict) for one in spec["values"]):
            yield spec["values"]
        yield from (found for value in spec.values() for found in _values(value))
    elif isinstance(spec, list):
        yield from (found for value in spec for found in _values(value))


def test_a_rate_of_zero_stands_on_no_logarithmic_axis_and_lines_are_precisions():
    record = memory((0.0, 96.0), (1e-4, 95.5), (1e-2, 90.0))
    (chart,) = defect_charts(group(record, record), "")
    found = [one for data in _values(chart.spec) for one in data]
    assert {one["p"] for one in found} == {"fixed8", "pow2-6/fixed16"}
    assert {one["x"] for one in found} == {1e-4, 1e-2}
    assert chart.png().startswith(b"\x89PNG")


def test_rates_of_zero_alone_make_no_chart():
    assert defect_charts(group(memory((0.0, 96.0))), "") == ()


def test_counts_have_a_chart_of_accuracy_and_one_of_the_repairs_price():
    accuracy, price = defect_charts(group(nets((0, 96.0, 96.0), (4, 90.0, 95.5))), "")
    assert (accuracy.stem, price.stem) == ("defects-neuron", "defects-neuron-repair")
    assert "1.20 times the energy and 1.50 times the cycles at 4" in price.caption
    assert accuracy.svg().startswith(b"<svg")
    assert price.svg().startswith(b"<svg")


def test_voltages_have_an_axis_that_falls():
    record = memory((1e-4, 95.5), (1e-2, 90.0), volts=(0.8, 0.6))
    rates, volts = defect_charts(group(record), "")
    assert (rates.stem, volts.stem) == ("defects-weights-memory", "defects-weights-memory-voltage")
    assert volts.spec["layer"][0]["encoding"]["x"]["scale"]["reverse"] is True
    (line,) = sentences(group(record))
    assert "0.0001 (0.8 V)" in line


def test_tables_have_a_line_a_precision_and_amount():
    (table,) = defect_tables(group(nets((0, 96.0, 96.0), (4, 90.0, 95.5))))
    assert table.headings[:5] == (
        "precision",
        "defects",
        "with the defects, %",
        "after retraining, %",
        "after the repair, %",
    )
    assert table.rows[1][:2] == ("fixed8", "4")
    assert table.rows[1][-3:] == ("1.50", "1.50", "1.20")
    assert len({len(row) for row in (table.headings, *table.rows)}) == 1


def test_markdown_holds_tables_and_sentences():
    text = markdown([group(memory((1e-2, 90.0)))])
    assert "| precision | rate | with the defects, % | lowest draw, % |" in text
    assert "the lowest measured, loses 6.00 points" in text


def test_a_study_without_defects_is_told_as_before():
    plain = group()
    assert defect_tables(plain) == ()
    assert "stuck" not in markdown([plain])
    assert not [one for one in study_charts([plain]) if one.stem.startswith("defects")]
    assert csv_text([plain]).splitlines()[0] == csv_text([group(memory((1e-2, 90.0)))]).splitlines()[0]


def test_tidy_tables_have_a_row_an_amount_and_a_row_a_draw(write_study):
    runs = (make_run("float32"), replace(make_run("fixed8"), defects=nets((0, 96.0, 96.0), (4, 90.0, 95.5))))
    tables = read_tables(write_study(runs))
    amounts, draws = tables["defects"].records(), tables["draws"].records()
    assert [(one["precision"], one["amount"], one["faulty_mean_percent"]) for one in amounts] == [
        ("fixed8", 0.0, 96.0),
        ("fixed8", 4.0, 90.0),
    ]
    assert amounts[1]["disabled_neurons"] == 1.5
    assert [(one["amount"], one["draw_seed"], one["faulty_percent"]) for one in draws] == [
        (0.0, 7, 95.5),
        (0.0, 8, 96.5),
        (4.0, 7, 89.5),
        (4.0, 8, 90.5),
    ]
