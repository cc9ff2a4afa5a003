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
from fewbits.report.search_charts import front_chart
from fewbits.report.search_page import sentence, write_search_page
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
    assert '"label": "fixed3"' in text


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
