"""The page of a search says and shows what its result holds."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fewbits.cli import app
from fewbits.errors import SearchError
from fewbits.report.search_charts import assignment_chart, front_chart, sensitivity_chart
from fewbits.report.search_page import layers_in_words, sentence, write_search_page
from fewbits.search.result import Basis, Costs, Point, SearchResult, Sensitivity


def made() -> SearchResult:
    """Three points of a network of three layers."""
    basis = Basis(
        "net<b>", "data", "net.safetensors", 0, 1000, ("fixed8", "fixed3"), ("conv1", "conv2", "fc"),
        (("conv1",), ("conv2",), ("fc",)), "energy", "accuracy", 1.0, "each", "diannao", "ihp", 9, None, 0, {}, "k",
    )  # fmt: skip
    points = (
        Point("fixed8", "fixed8", {}, "uniform", 970, 97.0, 0.1, Costs(10.0, 1, 1, 1)),
        Point("fixed3", "fixed3", {}, "uniform", 600, 60.0, 1.0, Costs(3.0, 1, 1, 1)),
        Point("a", "fixed3", {"conv1": "fixed8", "fc": "fixed8"}, "assignment", 969, 96.9, 0.1, Costs(3.9, 1, 1, 1)),
    )
    bars = tuple(Sensitivity((name,), "fixed3", 1.0, 96.0, 1.0, 0.1) for name in basis.layers)
    return SearchResult(basis, 97.1, 0.1, "fixed8", bars, points, ("fixed3", "a", "fixed8"), "a")


def test_the_sentence_says_layers_accuracy_and_saving() -> None:
    said = "conv1 and fc at fixed8, the rest at fixed3: 96.90 %, 0.20 points below float, "
    assert sentence(made()) == said + "61.0 % less energy than uniform fixed8."


def test_the_sentence_says_that_nothing_was_within_the_loss() -> None:
    assert sentence(replace(made(), chosen=None)) == "No assignment stays within 1 points of the float network."


def test_the_front_always_shows_uniform_precisions() -> None:
    values = next(iter(front_chart(made()).spec["layer"]))
    text = json.dumps(front_chart(made()).spec)
    assert values
    assert '"label": "fixed8"' in text
    assert '"label": "fixed3, 60.0 %"' in text


def test_a_folder_gets_page_charts_and_tables(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text(json.dumps(made().as_json()))
    paths = {path.name: path for path in write_search_page(tmp_path)}
    assert {"search.html", "search-front.png", "search-sensitivities.svg"} <= paths.keys()
    assert "<h1>fewbits search: net&lt;b&gt;" in paths["search.html"].read_text()
    rows = list(csv.DictReader(paths["search-points.csv"].open()))
    assert [row["name"] for row in rows if row["chosen"] == "True"] == ["a"]


def test_a_folder_without_a_search_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="give a folder that fewbits search made"):
        write_search_page(tmp_path)


def test_report_of_a_searchs_folder_writes_its_page(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text(json.dumps(made().as_json()))
    told = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert told.exit_code == 0
    assert (tmp_path / "search.html").is_file()


def test_the_sentence_says_that_the_network_was_fine_tuned() -> None:
    result = made()
    points = (*result.points[:2], replace(result.points[2], fine_tuned_epochs=3))
    assert "fixed3, fine-tuned for 3 epochs: 96.90 %" in sentence(replace(result, points=points))


def deep(count: int) -> SearchResult:
    """A point of many layers, the first two of them wide."""
    layers = tuple(f"layer{number}" for number in range(count))
    result = made()
    basis = replace(result.basis, layers=layers, groups=tuple((layer,) for layer in layers))
    point = Point("a", "fixed8", dict.fromkeys(layers[2:], "fixed3"), "greedy", 969, 96.9, 0.1, Costs(3.9, 1, 1, 1))
    return replace(result, basis=basis, points=(*result.points[:2], point))


def test_of_many_layers_the_sentence_says_how_many_have_which_precision() -> None:
    result = deep(20)
    assert layers_in_words(result, result.by_name["a"]) == "2 layers at fixed8, 18 at fixed3"


def test_the_fronts_assignments_are_shown_layer_by_layer_in_the_networks_order() -> None:
    spec = assignment_chart(deep(20)).spec
    assert spec["encoding"]["x"]["sort"] == [f"layer{number}" for number in range(20)]
    shown = {(row["point"], row["layer"]): row["precision"] for row in spec["data"]["values"]}
    chosen = "2: 96.90 %, 3.9 µJ, chosen"
    assert (shown[chosen, "layer1"], shown[chosen, "layer2"]) == ("fixed8", "fixed3")
    assert len(shown) == 3 * 20


def test_a_network_that_guesses_does_not_press_the_others_into_a_line() -> None:
    rows = [row for layer in front_chart(made()).spec["layer"] for row in layer["data"]["values"]]
    low = next(row for row in rows if row.get("name") == "fixed3")
    assert (low["shown"], low["label"], low["below"]) == (pytest.approx(97.1 - 15), "fixed3, 60.0 %", True)


def test_a_layer_has_one_color_for_a_precision_in_all_charts() -> None:
    scales = [make(made()).spec["encoding"]["color"]["scale"] for make in (sensitivity_chart, assignment_chart)]
    assert scales[0] == scales[1]
    assert scales[0]["domain"] == ["fixed8", "fixed3"]


def test_the_page_counts_the_layers_of_a_deep_network(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text(json.dumps(deep(20).as_json()))
    page = {path.name: path for path in write_search_page(tmp_path)}["search.html"].read_text()
    assert "2 layers at fixed8, 18 at fixed3 (chosen)" in page
