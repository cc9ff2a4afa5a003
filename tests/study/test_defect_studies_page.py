"""docs/defect_studies.md: its study is the one beside it, its keys are the table's, its file of voltages is one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from in_process import InProcessExecutor

from fewbits.hardware.defects import read_error_rates
from fewbits.report import write_report
from fewbits.study import load_study, run_study
from fewbits.study.sections import DefectsSection
from fewbits.study.spec import parse_study

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "defect_studies.md").read_text(encoding="utf-8")
TABLE = tomllib.loads(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])


def test_the_table_on_the_page_is_that_of_the_file():
    assert (
        load_study(DOCS / "defects.toml").defects
        == parse_study(
            {"name": "s", "models": ["mlp"], "data": ["digits"], "precisions": ["fixed8"], **TABLE}, "page"
        ).defects
    )


def test_every_key_is_told():
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert told == set(DefectsSection.model_fields) - {"error_rates"}


def test_the_file_of_voltages_is_one(tmp_path):
    (tmp_path / "v.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    assert read_error_rates(tmp_path / "v.toml").points == ((0.9, 1e-7), (0.7, 1e-4), (0.6, 1e-2))


@pytest.mark.slow
def test_the_example_runs_and_its_report_states_the_highest_rate(tmp_path):
    found = run_study(load_study(DOCS / "defects.toml"), tmp_path, executor=InProcessExecutor())
    assert found.failed == ()
    write_report(tmp_path)
    assert (tmp_path / "results.md").read_text().count("means over 20 draws, on 200 test images") == 2
    for run in found.results[1:]:
        means = [row.faulty.mean_percent for row in run.defects.rows]
        assert means[0] == run.defects.exact_percent
        assert means[-1] < means[0]
