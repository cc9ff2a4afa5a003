"""The published savings stand beside those computed; where the order differs it is said, with figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from round_runs import make_run, make_runs

from fewbits.report.grouping import group_runs
from fewbits.report.published import compare, published_study


def test_the_shipped_figures_are_those_of_the_reference(shared: Path):
    reference = json.loads((shared / "reference" / "date2017.json").read_text())
    designs = {tuple(vars(design).values()) for design in published_study().designs.values()}
    assert designs == {tuple(design.values()) for design in reference["design"].values()}
    assert published_study().provenance == reference["provenance"]


def test_the_provenance_asks_for_the_mark():
    assert published_study().mark in published_study().provenance


def test_savings_are_counted_from_each_ones_own_float32():
    comparison = compare(group_runs(make_runs(0)))
    assert comparison is not None
    pair = next(pair for pair in comparison.pairs if pair.precision == "fixed16")
    assert (pair.area_percent, pair.power_percent) == (pytest.approx(60), pytest.approx(60))
    assert pair.published_area_percent == pytest.approx(100 * (1 - 6.88 / 16.74))


def test_precisions_in_another_order_are_named_with_what_makes_the_difference():
    comparison = compare(group_runs(make_runs(0)))  # there fixed8 takes less area and power than pow2-6/fixed16
    assert comparison is not None
    assert all("fixed8 saves more than pow2-6/fixed16 here" in line for line in comparison.order)
    assert "pow2-6/fixed16 against fixed8: +0.57 mm² of logic and +0.43 mm² of buffers." in comparison.differences


def test_the_published_order_is_recognized():
    comparison = compare(group_runs([make_run(name) for name in ("float32", "fixed16", "fixed8", "binary/fixed16")]))
    assert comparison is not None
    assert all("all 3 precisions stand in the published order" in line for line in comparison.order)


@pytest.mark.parametrize("names", [["fixed8", "fixed16"], ["float32"]], ids=["no-float32", "float32-alone"])
def test_nothing_to_compare_is_no_comparison(names: list[str]):
    assert compare(group_runs([make_run(name) for name in names])) is None
