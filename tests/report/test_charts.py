"""The charts show every row, keep labels apart and become PNG files without a network."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from round_runs import FIGURES, PARTS, make_run, make_runs, with_curves

from fewbits.report.accuracy_chart import FAMILIES, OTHERS, accuracy_energy_chart
from fewbits.report.bar_charts import chip_chart
from fewbits.report.chart import Chart
from fewbits.report.chart_files import DIGEST_KEY, digest_in
from fewbits.report.charts import study_charts
from fewbits.report.grouping import group_runs
from fewbits.report.labels import CHARACTER_WIDTH, LINE_HEIGHT, place_labels
from fewbits.report.rows import Group
from fewbits.study import RunResult
from fewbits.study.figures import figure_named


def area_chart(groups: Sequence[Group], stem: str) -> Chart:
    return chip_chart(groups, figure_named("area_mm2_by_component"), stem)


def records(spec: dict) -> list[dict]:
    """All inline data of a specification."""
    found = [spec["data"]["values"]] if "values" in spec.get("data", {}) else []
    for layer in spec.get("layer", []):
        found.extend([records(layer)])
    return [record for values in found for record in values]


def test_the_scatter_shows_every_precision_with_its_shape():
    chart = accuracy_energy_chart(group_runs(make_runs(0))[0], "a")
    assert {record["name"] for record in records(chart.spec) if "name" in record} == set(FIGURES)
    families = (*FAMILIES.values(), OTHERS)
    assert len({family.shape for family in families}) == len(families)
    assert len({family.colour for family in families}) == len(families)


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
    chart = area_chart(group_runs(make_runs(0)), "area")
    bars = [record for record in records(chart.spec) if "value" in record]
    assert len(bars) == len(FIGURES) * len(PARTS)
    for total in (record for record in records(chart.spec) if "total" in record):
        parts = [bar["value"] for bar in bars if bar["precision"] == total["precision"]]
        assert sum(parts) == pytest.approx(total["total"])


def test_a_component_that_has_no_colour_yet_is_shown_all_the_same():
    run = make_run(area_mm2_by_component={"multipliers": 3.0, "interconnect": 1.0})
    chart = area_chart(group_runs([run]), "area")
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


@pytest.mark.parametrize(
    "names",
    [
        ("a b.npz", "a-b.npz"),
        ("x" * 300, "x" * 299 + "y"),
        ("Data.npz", "data.npz"),
        ("../one/a.npz", "..one-a.npz"),
        ("☃.npz", "☂.npz"),
    ],
)
def test_charts_of_data_with_alike_names_have_files_of_their_own(names: tuple[str, str]):
    charts = study_charts(group_runs([make_run(data=name) for name in names]))
    stems = [chart.stem.lower() for chart in charts]
    assert len(set(stems)) == len(stems) == 7
    assert max(map(len, stems)) < 150


def test_a_network_called_as_all_of_them_keeps_its_own_chart():
    models = ("all networks", "lenet")
    stems = [chart.stem for chart in study_charts(group_runs([make_run(model=name) for name in models]))]
    assert len(set(stems)) == len(stems)


def bars_of(*runs: RunResult) -> set[str]:
    return {record["precision"] for record in records(area_chart(group_runs(runs), "area").spec) if "value" in record}


def test_two_recipes_of_one_precision_with_other_areas_have_a_bar_each():
    other = make_run(recipe="distill", area_mm2_by_component={"multipliers": 9.0})
    assert bars_of(make_run(), other) == {"fixed8 fine-tune", "fixed8 distill"}


def test_two_networks_of_one_precision_with_other_areas_have_a_bar_each():
    other = make_run(model="alex", area_mm2_by_component={"multipliers": 9.0})
    assert bars_of(make_run(), other) == {"lenet fixed8", "alex fixed8"}


def test_rows_of_one_precision_and_area_share_a_bar():
    assert bars_of(make_run(), make_run(recipe="distill"), make_run(model="alex")) == {"fixed8"}


def test_an_image_carries_the_digest_of_what_it_shows():
    one, same, other = (area_chart(group_runs([make_run(name)]), "a") for name in ("fixed8", "fixed8", "fixed16"))
    assert one.sha256 == same.sha256 != other.sha256
    chunks = chunks_of(one.png())
    assert [kind for kind, _ in chunks][:2] == [b"IHDR", b"tEXt"]
    assert dict(chunks)[b"tEXt"] == DIGEST_KEY + b"\0" + one.sha256.encode()
    assert digest_in(one.png()) == one.sha256


def chunks_of(png: bytes) -> list[tuple[bytes, bytes]]:
    """Types and contents of a PNG's chunks, checksums checked."""
    found: list[tuple[bytes, bytes]] = []
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        body = png[at + 4 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length]) == (zlib.crc32(body),)
        found.append((body[:4], body[4:]))
        at += 12 + length
    return found


def test_every_chart_becomes_a_png_of_twice_its_size():
    for chart in study_charts(group_runs(make_runs(0, 1))):
        image = chart.png()
        assert image.startswith(b"\x89PNG")
        assert struct.unpack(">I", image[16:20])[0] > 2 * chart.spec["config"]["padding"] + 1280


def test_every_chart_becomes_svg_whose_names_are_text():
    name = "</svg><script>alert(1)</script>&\"' µ"
    runs = [replace(run, model=name) for run in with_curves(make_runs(0))]
    for chart in study_charts(group_runs(runs)):
        image = ElementTree.fromstring(chart.svg())
        assert image.tag == "{http://www.w3.org/2000/svg}svg"
        tags = {element.tag.rpartition("}")[2] for element in image.iter()}
        assert "text" in tags
        assert "script" not in tags


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
