"""Charts of training curves: a line a training, bounded, and a sentence where there is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from round_runs import make_curve, make_run, make_runs, with_curves

from fewbits.report.charts import study_charts
from fewbits.report.curve_charts import curve_charts, without_curves
from fewbits.report.grouping import group_runs
from fewbits.study import RunResult


def lines(runs: tuple[RunResult, ...]) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Points of the accuracy chart by precision and seed."""
    _, accuracy = curve_charts(group_runs(runs)[0], "")
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for point in accuracy.spec["data"]["values"]:
        found.setdefault((point["p"], point["s"]), []).append((point["e"], point["v"]))
    return found


def test_a_line_is_a_run_and_a_point_an_epoch():
    drawn = lines(with_curves(make_runs(0, 1)))
    assert len(drawn) == 10
    assert drawn["fixed8", "1"] == [(1, 91.1), (2, 91.2), (3, 91.3), (4, 91.4)]
    assert len(drawn["float32", "0"]) == 5


def test_the_float_network_is_drawn_where_no_run_is_it():
    drawn = lines(with_curves((make_run("fixed8"), make_run("fixed16"))))
    assert set(drawn) == {("fixed8", "0"), ("fixed16", "0"), ("float network", "0")}


def test_a_study_without_curves_has_none_and_says_so():
    groups = group_runs((*make_runs(0), *with_curves((make_run("fixed8", 1),))))
    assert not [chart for chart in study_charts(group_runs(make_runs(0))) if chart.stem.startswith("curves")]
    assert without_curves(groups) == (
        "5 of 6 runs have no training curve: a version of fewbits that kept none made them. Their other figures are "
        "complete."
    )
    assert without_curves(group_runs(with_curves(make_runs(0)))) == ""


def test_a_run_that_trained_nothing_is_not_missed():
    assert without_curves(group_runs([make_run("fixed8", epochs=0)])) == ""


def test_very_many_points_are_thinned_and_the_caption_says_so():
    runs = tuple(replace(make_run("fixed8", seed), history=make_curve(2000)) for seed in range(100))
    loss, accuracy = curve_charts(group_runs(runs)[0], "")
    for chart in (loss, accuracy):
        points = [point["e"] for point in chart.spec["data"]["values"] if point["s"] == "7"]
        assert len(chart.spec["data"]["values"]) <= 8000
        assert (points[0], points[-1], len(points)) == (1, 2000, 80)
        assert "At most 80 of 2000 epochs" in chart.caption


def test_a_loss_of_zero_is_drawn_on_a_linear_axis():
    zero = tuple(replace(epoch, loss=0.0) for epoch in make_curve(2))
    loss, _ = curve_charts(group_runs([replace(make_run("fixed8"), history=zero)])[0], "")
    assert loss.spec["encoding"]["y"]["scale"]["type"] == "linear"
    assert "logarithmic" not in loss.spec["encoding"]["y"]["title"]


@pytest.mark.parametrize("count", [1, 7, 12])
def test_every_precision_has_a_colour_and_the_image_is_drawn(count: int):
    runs = tuple(replace(make_run("fixed8", recipe=f"r{i}"), key=str(i), history=make_curve(1)) for i in range(count))
    for chart in curve_charts(group_runs(runs)[0], ""):
        assert len(chart.spec["encoding"]["color"]["scale"]["domain"]) == count
        assert chart.svg().startswith(b"<svg")
