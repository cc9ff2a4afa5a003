"""A new figure is one entry in study/figures.py: with it and no other edit, everything shows the figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import TypeAdapter

import fewbits
from fewbits.study import RunResult
from fewbits.study.figures import FIGURES

PACKAGE = Path(fewbits.__file__).parent

ENTRY = """    energy_per_cycle_pj: Positive | None = kept(
        Figure(
            meaning="The energy of an image by the cycles that it takes.",
            unit="pJ",
            of_cost=lambda cost: 1e6 * cost.energy_uj / cost.cycles,
            heading="energy a cycle",
            short="a\\ncycle",
            decimals=3,
            charted=True,
            in_run_json=True,
            in_cost_json=True,
            in_cost_table=True,
        ),
        default=None,
    )
"""

PLACE = "    energy_saving_percent: float | None = kept(\n"
"""The entry behind it."""

SHOW = """
import io, json, sys
from dataclasses import replace
from pathlib import Path
from rich.console import Console
from fewbits.cli import main
from fewbits.hardware import cost
from fewbits.report import group_runs, print_study, write_report
from fewbits.study import FLOAT_RECIPE, RunResult, read_results
from fewbits.study.figures import kept_of_cost
from fewbits.study.result import run_json
from fewbits.study.store import Store

folder = Path(sys.argv[1])
def run(precision, recipe):
    return RunResult(
        key=precision, model="lenet", data="digits", precision=precision, recipe=recipe, seed=0, accuracy_percent=97.0,
        fake_quantized_accuracy_percent=97.0, float_accuracy_percent=97.0, validation_accuracy_percent=97.0,
        differing_images=0, test_images=100, epochs=1, energy_saving_percent=0.0, skipped=(), wall_time_s=1.0,
        **kept_of_cost(cost("lenet", precision)),
    )
runs = [run("float32", FLOAT_RECIPE), run("fixed8", "fine-tune")]
names = ("model", "data", "precision", "recipe", "seed")
rests_on = {"data": {}, "technology": {}, "versions": {}}
with Store(folder) as store:
    store.plan("new", {"name": "new"}, rests_on, [(one.key, {n: getattr(one, n) for n in names}) for one in runs])
    for one in runs:
        store.set_finished(one)
assert list(read_results(folder)) == runs
console = Console(width=100, file=io.StringIO())
print_study(group_runs(read_results(folder)), console)
(folder / "terminal.txt").write_text(console.file.getvalue())
(folder / "run.json").write_text(json.dumps([run_json(one) for one in read_results(folder)]))
write_report(folder)
for name, options in (("cost.txt", []), ("cost.json", ["--json"])):
    sys.stdout = io.StringIO()
    assert main(["cost", "lenet", "fixed8", *options]) == 0
    (folder / name).write_text(sys.stdout.getvalue())
"""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all outputs, by a fewbits whose sources differ in that one entry."""
    place = tmp_path_factory.mktemp("new")
    study = place / "fewbits" / "study"
    study.mkdir(parents=True)
    for path in (*(one for one in PACKAGE.iterdir() if one.name != "study"), *(PACKAGE / "study").iterdir()):
        (place / "fewbits" / path.relative_to(PACKAGE)).symlink_to(path)
    text = (PACKAGE / "study" / "figures.py").read_text(encoding="utf-8")
    assert text.count(PLACE) == 1
    (study / "figures.py").unlink()
    (study / "figures.py").write_text(text.replace(PLACE, ENTRY + PLACE), encoding="utf-8")
    out = place / "out"
    out.mkdir()
    environment = os.environ | {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW, str(out)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def fixed8_pj() -> float:
    one = fewbits.cost("lenet", "fixed8")
    return 1e6 * one.energy_uj / one.cycles


@pytest.mark.parametrize("name", ["run.json", "cost.json"])
def test_json_holds_it(shown: Path, name: str):
    assert json.loads((shown / name).read_text())[-1]["energy_per_cycle_pj"] == fixed8_pj()


def test_csv_holds_it_with_its_spread(shown: Path):
    heads, _, fixed8 = (line.split(",") for line in (shown / "results.csv").read_text().splitlines())
    at = heads.index("energy_per_cycle_pj")
    assert (heads[at + 1], fixed8[at : at + 2]) == (
        "energy_per_cycle_pj_standard_deviation",
        [str(fixed8_pj()), "0.0"],
    )


@pytest.mark.parametrize("name", ["terminal.txt", "results.md", "report.html"])
def test_tables_show_it_in_its_digits(shown: Path, name: str):
    assert f"{fixed8_pj():.3f}" in (shown / name).read_text(encoding="utf-8")


def test_the_terminals_column_has_its_heading_and_unit(shown: Path):
    first, second, third = (shown / "terminal.txt").read_text(encoding="utf-8").splitlines()[1:4]
    assert (" a " in first, " cycle " in second, " pJ " in third) == (True, True, True)


def test_markdown_has_its_heading_with_the_unit(shown: Path):
    assert " energy a cycle [pJ] |" in (shown / "results.md").read_text(encoding="utf-8")


def test_the_page_tells_its_meaning(shown: Path):
    page = (shown / "report.html").read_text(encoding="utf-8")
    assert '<th scope="col" title="The energy of an image by the cycles that it takes.">energy a cycle' in page


def test_it_is_the_axis_of_a_chart(shown: Path):
    assert (shown / "accuracy-energy-per-cycle.png").read_bytes().startswith(b"\x89PNG")
    assert "energy a cycle, pJ (logarithmic)" in (shown / "report.html").read_text(encoding="utf-8")


def test_the_table_of_costs_shows_it(shown: Path):
    heads, fixed8, *_ = (shown / "cost.txt").read_text().splitlines()
    assert heads.endswith("   energy uJ   a cycle pJ")
    assert float(fixed8.split()[-1].replace(",", "")) == pytest.approx(fixed8_pj(), rel=1e-4)


def test_results_of_versions_without_a_figure_are_read(make_result: Callable[[], RunResult]):
    older = {name: value for name, value in asdict(make_result()).items() if name != "energy_interval_uj"}
    assert TypeAdapter(RunResult).validate_json(json.dumps(older)) == make_result()


def test_every_figure_tells_its_meaning_in_a_sentence():
    assert [figure.name for figure in FIGURES if not figure.meaning.endswith(".")] == []
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)
