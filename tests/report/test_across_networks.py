"""Several networks on one data set: one front over precision x width, and sentences that are computed."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console
from round_runs import WriteStudy, make_run

from fewbits.report.accuracy_chart import accuracy_energy_chart
from fewbits.report.basis import basis_of
from fewbits.report.charts import study_charts
from fewbits.report.grouping import group_runs
from fewbits.report.networks import across_networks, comparison, front_line
from fewbits.report.page import network_headlines
from fewbits.report.rows import Group
from fewbits.report.studies import read_studies
from fewbits.report.table import markdown
from fewbits.report.terminal import print_study
from fewbits.study import RunResult


def point(model: str, precision: str, accuracy: float, energy: float, **changed: object) -> RunResult:
    key = f"{model}-{precision}-{changed.get('recipe', '')}"
    figures = {"accuracy_percent": accuracy, "energy_uj": energy, "test_images": 10_000}
    return make_run(precision, model=model, data="cifar10", key=key, **figures | changed)


NARROW = (point("alex", "float32", 81.2, 100.0), point("alex", "pow2-6/fixed16", 80.0, 12.0))
WIDE = (point("alex+", "float32", 84.0, 350.0), point("alex+", "pow2-6/fixed16", 82.5, 22.0))


def together(*runs: RunResult) -> Group:
    (group,) = across_networks(group_runs(runs))
    return group


def test_networks_on_one_data_set_are_compared_and_those_on_several_are_not():
    others = (make_run(model="lenet", data="mnist"), make_run(model="convnet", data="svhn"))
    assert [group.title for group in across_networks(group_runs((*NARROW, *WIDE, *others)))] == [
        "all networks on cifar10"
    ]


def test_one_network_alone_says_nothing_about_widths():
    assert across_networks(group_runs(NARROW)) == ()


def test_the_sentence_tells_that_the_wide_network_at_few_bits_beats_the_narrow_one_in_float():
    assert comparison(together(*NARROW, *WIDE)) == (
        "On cifar10 alex+ at pow2-6/fixed16 beats alex at float32 by 1.30 points with 78.0 % less energy; "
        "nothing as accurate takes less.",
    )


def test_another_float_network_can_be_the_measure():
    group = together(*NARROW, *WIDE, point("alex", "fixed8", 84.0, 30.0))
    (wide,) = (row for row in group.rows if (row.runs[0].model, row.precision) == ("alex+", "float32"))
    assert comparison(group, wide) == (
        "On cifar10 alex at fixed8 is as accurate as alex+ at float32 with 91.4 % less energy; nothing as accurate "
        "takes less.",
    )


def test_the_cheapest_and_the_most_accurate_that_save_are_two_sentences():
    lines = comparison(together(*NARROW, *WIDE, point("alex+", "fixed16", 83.5, 50.0)))
    assert lines[1] == (
        "The most accurate for no more energy: alex+ at fixed16 beats alex at float32 by 2.30 points "
        "with 50.0 % less energy."
    )


def test_what_lies_within_the_error_of_the_test_images_is_told():
    (line,) = comparison(together(*NARROW, point("alex+", "fixed8", 81.7, 20.0)))
    assert "by 0.50 points (two standard errors of 10000 test images: 1.10) with 80.0 % less energy" in line


def test_an_equal_accuracy_beats_nothing():
    (line,) = comparison(together(*NARROW, point("alex+", "fixed8", 81.2, 20.0)))
    assert "alex+ at fixed8 is as accurate as alex at float32 with 80.0 % less energy" in line


def test_without_a_better_point_the_closest_is_named():
    assert comparison(together(*NARROW, point("alex+", "float32", 84.0, 350.0))) == (
        "On cifar10 nothing that takes no more energy is as accurate as alex at float32: alex at pow2-6/fixed16 "
        "is below alex at float32 by 1.20 points with 88.0 % less energy.",
    )


def test_without_float32_there_is_a_front_but_no_comparison():
    group = together(NARROW[1], WIDE[1])
    assert comparison(group) == ()
    assert front_line(group) == (
        "Pareto front over precision and width on cifar10: alex at pow2-6/fixed16 (80.00 %, 12 µJ), "
        "alex+ at pow2-6/fixed16 (82.50 %, 22 µJ)."
    )


def test_the_recipe_is_named_where_a_point_was_trained_by_several():
    best = point("alex+", "pow2-6/fixed16", 83.0, 22.0, recipe="best")
    (line,) = comparison(together(*NARROW, *WIDE, best))
    assert "alex+ at pow2-6/fixed16 (best) beats alex at float32 by 1.80 points" in line


def test_terminal_page_markdown_and_basis_carry_the_same_sentence(write_study: WriteStudy):
    runs = (*NARROW, *WIDE)
    groups = group_runs(runs)
    sentence, front = comparison(together(*runs))[0], front_line(together(*runs))
    console = Console(file=io.StringIO(), width=10_000)
    print_study(groups, console)
    printed = console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    entries = dict(basis_of(read_studies([write_study(runs)])[0], groups).entries)
    assert sentence in printed
    assert front in printed
    assert network_headlines(groups) == (sentence,)
    assert sentence in markdown(groups)
    assert json.loads(json.dumps(entries))["Networks together"] == [sentence, front]


def test_one_chart_holds_the_points_of_all_networks():
    charts = {chart.stem: chart for chart in study_charts(group_runs((*NARROW, *WIDE)))}
    chart = charts["accuracy-energy-all-networks-on-cifar10"]
    assert "Dashed: the Pareto front (alex pow2-6/fixed16, alex+ pow2-6/fixed16, alex+ float32)" in chart.caption
    assert {"accuracy-energy-alex-on-cifar10", "accuracy-energy-alexplus-on-cifar10"} <= set(charts)


def test_a_chart_of_several_networks_tells_them_apart_by_colour_and_labels_precisions():
    chart = accuracy_energy_chart(together(*NARROW, *WIDE), "chart")
    spec = json.dumps(chart.spec)
    assert '"color": {"field": "network"' in spec
    assert '"text": {"field": "label"' in spec
    (values,) = (one for one in values_of(chart.spec) if "network" in one[0])
    assert [(one["network"], one["label"], one["name"]) for one in values][:2] == [
        ("alex", "float32", "alex float32"),
        ("alex", "pow2-6/fixed16", "alex pow2-6/fixed16"),
    ]
    (alone,) = group_runs(NARROW)
    assert '"color": {"field": "weights"' in json.dumps(accuracy_energy_chart(alone, "chart").spec)


def values_of(spec: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Every distinct list of records in a specification."""
    found: list[list[dict[str, Any]]] = list(spec.get("datasets", {}).values())
    for layer in (spec, *spec.get("layer", ())):
        values = layer.get("data", {}).get("values")
        if values and values not in found:
            found.append(values)
    return found
