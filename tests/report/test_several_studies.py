"""Several studies in one report: equal runs once, what is not alike said, nothing lost to a folder without a study."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from round_runs import WriteStudy, make_run, make_runs, with_curves

from fewbits import StudyError
from fewbits.cli import main
from fewbits.report import read_tables, write_report
from fewbits.report.basis import basis_of, mixed
from fewbits.report.charts import study_charts
from fewbits.report.grouping import group_studies
from fewbits.report.page import html_page
from fewbits.report.studies import ReadStudy, read_studies
from fewbits.report.table import csv_text, failure_lines, markdown, text_table
from fewbits.study import RunResult

OTHER_DATA = {"digits": {"sha256": "07e4", "images": {"test": 1000}, "notes": []}}
TECHNOLOGY = {"name": "other", "process": "slow", "sha256": "5ca1e", "provenance": {}}


def of_b(runs: tuple[RunResult, ...]) -> tuple[RunResult, ...]:
    """The same points as another study has them: other keys."""
    return tuple(replace(run, key=f"b-{run.key}") for run in runs)


def studies(write_study: WriteStudy, runs_of_b: tuple[RunResult, ...], **changed: object) -> tuple[ReadStudy, ...]:
    folders = [write_study(make_runs(0, 1), name="A", folder="a")]
    folders.append(write_study(runs_of_b, name="B", folder="b", **changed))
    return read_studies(folders)[0]


def test_runs_of_two_studies_stand_in_one_table_by_study(write_study: WriteStudy):
    both = studies(write_study, of_b((make_run("float32"), make_run("fixed8", accuracy_percent=95.0))))
    (group,) = group_studies(both)
    table = text_table(group)
    assert table.labels == ("precision", "study")
    assert [row[:2] for row in table.means][-2:] == [("float32", "B"), ("fixed8", "B")]
    assert {row.label(group.rows) for row in group.rows} >= {"fixed8 (A)", "fixed8 (B)", "fixed16"}
    assert "| fixed8 | B |" in markdown((group,))


def test_a_row_of_two_studies_is_not_joined_over_their_seeds(write_study: WriteStudy):
    (group,) = group_studies(studies(write_study, of_b((make_run("fixed8", 0, accuracy_percent=50.0),))))
    means = {row.study: row.mean("accuracy_percent") for row in group.rows if row.precision == "fixed8"}
    assert means == {"A": 96.75, "B": 50.0}


def test_equal_runs_stand_once_and_the_basis_says_so(write_study: WriteStudy):
    both = studies(write_study, (*make_runs(0), make_run("fixed8", 7)))
    (group,) = group_studies(both)
    keys = [run.key for row in group.rows for run in row.runs]
    assert sorted(keys) == sorted([*(run.key for run in make_runs(0, 1)), "fixed8-7"])
    lines = dict(basis_of(both, (group,)).entries)["Studies"]
    assert "B: 5 runs of it are of A too, and shown as such." in lines
    runs = read_tables(*(study.folder for study in both))["runs"].records()
    assert sorted(run["key"] for run in runs) == sorted(keys)


def test_a_difference_is_to_the_studys_own_float_run_even_where_that_is_shown_as_anothers(write_study: WriteStudy):
    both = studies(write_study, (make_run("float32"), make_run("fixed8", 0, key="new", accuracy_percent=90.0)))
    (row,) = [row for row in group_studies(both)[0].rows if row.study == "B"]
    assert row.figures["difference_points"] is not None
    assert row.figures["difference_points"].mean == -7.0
    runs = read_tables(*(study.folder for study in both))["runs"].records()
    assert next(run for run in runs if run["key"] == "new")["difference_points"] == -7.0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data": OTHER_DATA}, ("data digits", "A: sha256 da7a; B: sha256 07e4")),
        ({"technology": TECHNOLOGY}, ("technology", "A: ihp-sg13g2; B: other")),
    ],
)
def test_other_images_and_technologies_are_said_and_never_in_one_group(
    write_study: WriteStudy, changed: dict[str, object], words: tuple[str, ...]
):
    both = studies(write_study, of_b(make_runs(0)), **changed)
    groups = group_studies(both)
    assert [group.title for group in groups] == ["lenet on digits (A)", "lenet on digits (B)"]
    stems = [chart.stem for chart in study_charts(groups)]
    assert len(set(stems)) == len(stems)
    lines = " ".join(mixed(both))
    page = html_page(both, groups, (), basis_of(both, groups))
    for word in words:
        assert word in lines
        assert word in page


def test_other_versions_are_said_and_compared(write_study: WriteStudy):
    both = studies(write_study, of_b(make_runs(0)), versions={"fewbits": "0.2.0"})
    assert len(group_studies(both)) == 1
    assert "version fewbits: A: 0.1.0; B: 0.2.0" in " ".join(mixed(both))


def test_alike_studies_have_nothing_to_say(write_study: WriteStudy):
    assert mixed(studies(write_study, of_b(make_runs(0)))) == ()


def test_studies_called_alike_are_told_apart_by_their_folders(write_study: WriteStudy):
    folders = [write_study(make_runs(0), folder=name) for name in ("one", "two")]
    names = [study.name for study in read_studies(folders)[0]]
    assert names == [f"small ({folder})" for folder in folders]


def test_a_folder_given_twice_is_one_study(write_study: WriteStudy):
    folder = write_study(make_runs(0))
    assert len(read_studies([folder, folder / ".." / folder.name])[0]) == 1


def test_failures_name_their_study(write_study: WriteStudy):
    folders = [write_study(make_runs(0), name="A", folder="a")]
    folders.append(write_study(of_b(make_runs(0)), {"f": "diverged"}, name="B", folder="b"))
    (group,) = group_studies(read_studies(folders)[0])
    assert failure_lines(group) == ("fixed4, fine-tune, seed 0 of study B failed: diverged",)


def test_csv_of_several_has_the_study_in_front(write_study: WriteStudy):
    text = csv_text(group_studies(studies(write_study, of_b(make_runs(0)))))
    assert text.startswith("study,model,data,")
    assert [line["study"] for line in csv.DictReader(text.splitlines())] == ["A"] * 5 + ["B"] * 5


def test_charts_draw_every_study(write_study: WriteStudy):
    both = studies(write_study, of_b(with_curves(make_runs(0))))
    charts = {chart.stem: chart for chart in study_charts(group_studies(both))}
    assert "fixed8 (A) 96.75 %" in charts["accuracy-energy"].description
    assert "fixed8 (B) 96.50 %" in charts["accuracy-energy"].description
    assert "fixed8 (B) 90.4" in charts["curves-validation"].description


def test_the_command_writes_to_out_and_says_what_it_could_not_read(
    write_study: WriteStudy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    one, two = write_study(make_runs(0), name="A", folder="a"), write_study(of_b(make_runs(0)), name="B", folder="b")
    before = sorted(path.name for path in one.iterdir())
    status = main(["report", str(one), str(tmp_path / "nothing"), str(two), "--out", str(tmp_path / "report")])
    told = capfd.readouterr()
    assert status == 2
    assert f"fewbits: not in the report: folder '{tmp_path / 'nothing'}' holds no study" in told.err
    assert len(told.err.splitlines()) == 1
    assert all(line.startswith(str(tmp_path / "report")) for line in told.out.splitlines())
    assert "studies: A, B" in (tmp_path / "report" / "report.html").read_text()
    assert sorted(path.name for path in one.iterdir() if not path.name.startswith("study.")) == [
        name for name in before if not name.startswith("study.")
    ]


def test_several_without_a_folder_go_to_one_of_their_own(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fewbits.report.chart.Chart.png", lambda _: b"a picture")
    monkeypatch.setattr("fewbits.report.chart.Chart.svg", lambda _: b"a picture")
    folders = [write_study(make_runs(0), name="A", folder="a"), write_study(of_b(make_runs(0)), name="B", folder="b")]
    assert {path.parent for path in write_report(*folders)} == {Path("fewbits-report")}
    assert {path.parent for path in write_report(folders[0])} == {folders[0]}


def test_in_the_library_a_folder_without_a_study_is_an_error(write_study: WriteStudy, tmp_path: Path):
    with pytest.raises(StudyError, match="holds no study"):
        write_report(write_study(make_runs(0)), tmp_path / "nothing", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
