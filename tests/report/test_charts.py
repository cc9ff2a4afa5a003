"""The charts show every row, keep labels apart and become PNG files without a network."""

from __future__ import annotations

import json
import struct
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from round_runs import FIGURES, PARTS, make_run, make_runs

from fewbits.report.charts import FAMILIES, accuracy_energy_chart, area_chart, study_charts
from fewbits.report.grouping import group_runs
from fewbits.report.labels import CHARACTER_WIDTH, LINE_HEIGHT, place_labels


def records(spec: dict) -> list[dict]:
    """All inline data of a specification."""
    found = [spec["data"]["values"]] if "values" in spec.get("data", {}) else []
    for layer in spec.get("layer", []):
        found.extend([records(layer)])
    return [record for values in found for record in values]


def test_the_scatter_shows_every_precision_with_its_shape():
    chart = accuracy_energy_chart(group_runs(make_runs(0))[0], "a")
    assert {record["name"] for record in records(chart.spec) if "name" in record} == set(FIGURES)
    assert len({shape for _, shape in FAMILIES.values()}) == len(FAMILIES)
    assert len({colour for colour, _ in FAMILIES.values()}) == len(FAMILIES)


def test_the_front_is_drawn_through_its_points_to_the_right_edge():
    chart = accuracy_energy_chart(group_runs(make_runs(0))[0], "a")
    steps = [record for record in records(chart.spec) if set(record) == {"energy_uj", "accuracy"}]
    assert [step["accuracy"] for step in steps] == [94.0, 96.5, 97.0, 97.0]
    assert steps[-1]["energy_uj"] > 400


def test_a_chart_tells_its_figures_in_words_too():
    chart = accuracy_energy_chart(group_runs(make_runs(0))[0], "a")
    assert all(name in chart.description for name in FIGURES)
    assert "96.50 % at 80 µJ" in chart.description


def test_bars_add_up_to_the_total_beside_them():
    chart = area_chart(group_runs(make_runs(0))[0].rows, "area")
    bars = [record for record in records(chart.spec) if "value" in record]
    assert len(bars) == len(FIGURES) * len(PARTS)
    for total in (record for record in records(chart.spec) if "total" in record):
        parts = [bar["value"] for bar in bars if bar["precision"] == total["precision"]]
        assert sum(parts) == pytest.approx(total["total"])


def test_a_component_that_has_no_colour_yet_is_shown_all_the_same():
    run = make_run(area_mm2_by_component={"multipliers": 3.0, "interconnect": 1.0})
    chart = area_chart(group_runs([run])[0].rows, "area")
    assert {"interconnect", "multipliers"} == {
        record["component"] for record in records(chart.spec) if "value" in record
    }
    assert chart.png().startswith(b"\x89PNG")


def test_one_group_has_plain_file_names_several_have_their_own():
    one = study_charts(group_runs(make_runs(0)))
    assert [chart.stem for chart in one] == ["accuracy-energy", "area", "power", "energy"]
    several = study_charts(group_runs((*make_runs(0), make_run(model="net.py:f", data="../x"))))
    stems = [chart.stem for chart in several]
    assert len(set(stems)) == len(stems) == 7
    assert "energy-net-py-f-on-x" in stems


def test_every_chart_becomes_a_png_of_twice_its_size():
    for chart in study_charts(group_runs(make_runs(0, 1))):
        image = chart.png()
        assert image.startswith(b"\x89PNG")
        assert struct.unpack(">I", image[16:20])[0] > 2 * chart.spec["config"]["padding"] + 1280


def test_the_page_gets_no_title_and_no_fixed_width():
    spec = study_charts(group_runs(make_runs(0)))[0].page_spec()
    assert (spec["width"], "title" in spec, spec["config"]["background"]) == ("container", False, None)
    json.dumps(spec, allow_nan=False)


def test_a_study_of_one_precision_can_be_drawn():
    assert all(chart.png() for chart in study_charts(group_runs([make_run("fixed8")])))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 10)), min_size=2, max_size=5, unique=True))
def test_labels_of_points_apart_do_not_overlap(cells: list[tuple[int, int]]):
    width, height = 640.0, 480.0
    points = [(40.0 + 35 * x, 60.0 + 36 * y) for x, y in cells]
    labels = place_labels(["fixed8"] * len(points), points, width, height)
    wide = 6 * CHARACTER_WIDTH
    lefts = {"left": 0.0, "center": wide / 2, "right": wide}
    boxes = [(x + p.dx - lefts[p.align], y + p.dy) for (x, y), p in zip(points, labels, strict=True)]
    for (left, top), (other_left, other_top) in combinations(boxes, 2):
        assert abs(left - other_left) >= wide or abs(top - other_top) >= LINE_HEIGHT
