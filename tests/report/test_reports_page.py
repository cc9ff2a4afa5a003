"""docs/reports.md: its study runs, its commands and code work in the order of the page, its files are all there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.report.tables import NAMES
from fewbits.study import SINKS, read_study
from fewbits.study.spec import parse_study

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_studies_files_are_valid():
    study, track = map(tomllib.loads, blocks("toml"))
    assert set(parse_study(study | track, "page").track) == set(SINKS) == {"tensorboard", "mlflow"}


def test_every_tidy_table_is_told():
    assert {name for name in NAMES if f"| `{name}.csv` |" in PAGE} == set(NAMES)


@pytest.mark.slow
def test_the_page_works_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "")
    Path("small.toml").write_text(blocks("toml")[0])
    (commands,) = blocks("sh")
    for command in commands.splitlines():
        assert main(shlex.split(command)[1:]) == 0
    assert read_study("small").is_complete
    written = {path.name for path in Path("small").iterdir()}
    told = set(re.findall(r"`([a-z-]+\.(?:html|csv|md|tex))`", PAGE.split("## Files of a report")[1].split("\n- ")[0]))
    assert told == {name for name in written if name.endswith((".html", ".csv", ".md", ".tex"))}
    charts = {Path(name).stem for name in written if name.endswith(".svg")}
    assert charts == {stem for stem in charts if f"`{stem}`" in PAGE}
    names: dict[str, object] = {}
    capfd.readouterr()
    for code in blocks("python"):
        exec(compile(code, "reports.md", "exec"), names)  # the project's own text
    printed = capfd.readouterr().out
    assert "fixed4" in printed
    assert "(1, " in printed
