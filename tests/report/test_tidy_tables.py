"""Tidy tables: what pandas reads at once, with every figure as it was declared and stored."""

from __future__ import annotations

import csv
import io
from dataclasses import fields, replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_runs import PARTS, WriteStudy, make_run, make_runs, with_curves

from fewbits import StudyError
from fewbits.report import read_tables, write_report
from fewbits.report.studies import read_studies
from fewbits.report.table_files import safe_text, table_files, tidy_csv
from fewbits.report.tables import NAMES, Column, Table, tables_of
from fewbits.study import RunResult
from fewbits.study.figures import FIGURES
from fewbits.train import EpochRecord

LAYERS = {
    "energy_uj_by_layer_and_component": {"fc": {"multipliers": 30.0, "sb": 10.0}},
    "off_chip_uj_by_layer": {"fc": (1.0, 2.0)},
    "off_chip_uj": (1.0, 2.0),
}


def frames(folder: Path) -> dict[str, pd.DataFrame]:
    """The CSV files of a study, read by pandas' defaults."""
    for name, content in table_files(read_tables(folder)).items():
        (folder / name).write_bytes(content)
    return {name: pd.read_csv(folder / f"{name}.csv") for name in NAMES}


def test_a_row_is_a_run_and_a_column_a_figure(write_study: WriteStudy):
    runs = make_runs(0, 1)
    read = frames(write_study(runs))["runs"]
    assert list(read["key"]) == [run.key for run in runs]
    plain = [figure.name for figure in FIGURES if figure.is_kept and not figure.by and not figure.ends]
    for name in plain:
        found = [None if pd.isna(value) else value for value in read[name]]
        assert found == [None if getattr(run, name) == "" else getattr(run, name) for run in runs], name


def test_pandas_finds_the_right_types(write_study: WriteStudy):
    read = frames(write_study(with_curves(make_runs(0))))
    runs, curves = read["runs"], read["curves"]
    for name in ("seed", "cycles", "epochs", "differing_images", "test_images"):
        assert runs[name].dtype == "int64"
    for name in ("accuracy_percent", "energy_uj", "energy_saving_percent", "difference_points", "wall_time_s"):
        assert runs[name].dtype == "float64"
    assert runs["interpolated"].dtype == "bool"
    assert curves["epoch"].dtype == "int64"
    assert curves["loss"].dtype == "float64"


def test_what_is_missing_is_empty(write_study: WriteStudy):
    runs = (make_run("fixed8", energy_saving_percent=None),)
    folder = write_study(runs)
    assert folder / "runs.csv" in write_report(folder)
    (line,) = csv.DictReader((folder / "runs.csv").open())
    assert (line["energy_saving_percent"], line["difference_points"], line["stands_for"]) == ("", "", "")
    assert pd.read_csv(folder / "runs.csv")["energy_saving_percent"].isna().all()


def test_differences_are_to_the_float_run_of_the_seed(write_study: WriteStudy):
    read = frames(write_study(make_runs(0, 1)))["runs"].set_index(["precision", "seed"])
    assert read.loc[("fixed8", 1), "difference_points"] == -0.5


def test_splits_are_long_and_sum_to_the_figure(write_study: WriteStudy):
    read = frames(write_study((make_run("fixed8", **LAYERS),)))["parts"]
    area = read[read["figure"] == "area_mm2_by_component"]
    assert list(area["component"]) == list(PARTS)
    assert area["layer"].isna().all()
    assert area["value"].sum() == pytest.approx(4.0)
    assert set(area["unit"]) == {"mm²"}
    both = read[read["figure"] == "energy_uj_by_layer_and_component"]
    assert list(zip(both["layer"], both["component"], both["value"], strict=True)) == [
        ("fc", "multipliers", 30.0),
        ("fc", "sb", 10.0),
    ]
    low = read[read["figure"] == "off_chip_uj_by_layer_low"]
    assert list(low["value"]) == [1.0]


def test_a_figure_that_is_split_says_by_what():
    run = make_run("fixed8", **LAYERS, leakage_uj_by_layer={"fc": 1.0})
    for figure in FIGURES:
        if figure.is_of_run and figure.against_baseline is None:
            value = figure.value(run)
            assert isinstance(value, dict) == (bool(figure.by) and not figure.table), figure.name
            assert not isinstance(value, tuple) or figure.ends or figure.table in NAMES, figure.name


def test_a_curve_is_a_row_an_epoch_and_a_float_network_stands_once(write_study: WriteStudy):
    runs = with_curves(make_runs(0, 1))
    read = frames(write_study(runs))["curves"]
    assert len(read) == 2 * 5 + 2 * 4 * 4
    float_rows = read[read["precision"] == "float32"]
    assert list(float_rows["epoch"]) == [1, 2, 3, 4, 5] * 2
    assert set(float_rows["key"]) == {"float32-0", "float32-1"}
    last = read[(read["key"] == "fixed8-1")].iloc[-1]
    assert tuple(last[field.name] for field in fields(EpochRecord)) == (4, 0.025, 0.25, 0.5, 91.4, 0.5)


def test_a_float_network_without_a_run_of_its_own_has_a_curve_without_key(write_study: WriteStudy):
    read = frames(write_study(with_curves((make_run("fixed8"),))))["curves"]
    assert read[read["recipe"] == "float"]["key"].isna().all()
    assert len(read) == 5 + 4


def test_failed_runs_have_a_table_of_their_own(write_study: WriteStudy):
    read = frames(write_study(make_runs(0), {"f": "diverged, at epoch 3"}))
    assert list(read["failures"]["error"]) == ["diverged, at epoch 3"]
    assert "f" not in set(read["runs"]["key"])


def test_every_column_is_told_with_unit_and_meaning(write_study: WriteStudy):
    read = frames(write_study(with_curves(make_runs(0))))
    told = read["columns"].set_index(["table", "column"])
    for name in set(NAMES) - {"columns"}:
        assert list(read["columns"].query("table == @name")["column"]) == list(read[name].columns)
    assert told["meaning"].notna().all()
    assert told.loc[("runs", "energy_uj"), "unit"] == "µJ"
    assert told.loc[("curves", "validation_accuracy_percent"), "unit"] == "%"


def test_parquet_holds_what_csv_holds_with_units(write_study: WriteStudy):
    folder = write_study(with_curves(make_runs(0, 1)))
    read = frames(folder)
    for name in NAMES:
        other = pd.read_parquet(folder / f"{name}.parquet")
        for column in read[name].columns:
            cells = [["" if pd.isna(one) else str(one) for one in frame[column]] for frame in (read[name], other)]
            assert cells[0] == cells[1]
    assert pq.read_schema(folder / "runs.parquet").field("energy_uj").metadata[b"unit"] == "µJ".encode()


def test_without_pyarrow_there_is_csv_alone(write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch):
    tables = tables_of(read_studies([write_study(make_runs(0))])[0])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pyarrow" else 1 / 0)
    assert set(table_files(tables)) == {f"{name}.csv" for name in NAMES}


def test_the_library_gives_plain_lists(write_study: WriteStudy):
    tables = read_tables(write_study(make_runs(0)))
    assert tuple(tables) == NAMES
    record = tables["runs"].records()[2]
    assert (record["precision"], record["accuracy_percent"], record["cycles"]) == ("fixed8", 96.5, 250_000)
    assert tables["runs"].lists()["precision"] == [run.precision for run in make_runs(0)]


def test_a_folder_without_a_study_is_refused(tmp_path: Path):
    with pytest.raises(StudyError, match="holds no study"):
        read_tables(tmp_path)


HOSTILE = ('a,b"c', "=cmd|' /C calc'!A0", "+1", "-1", "@x", "'=quoted", "µ ☃", "a\nb", "\tx")


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_comes_back_as_it_was(name: str, write_study: WriteStudy):
    folder = write_study((replace(make_run("fixed8"), data=name, model=name),))
    text = frames(folder)["runs"]["data"][0]
    assert text.removeprefix("'") == name
    assert pd.read_parquet(folder / "runs.parquet")["data"][0] == name


@given(st.text())
def test_no_text_begins_as_a_formula_and_all_come_back(text: str):
    safe = safe_text(text)
    assert safe is not None
    assert not safe.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert (safe.removeprefix("'") if safe.startswith("'") else safe) == text


@given(st.lists(st.tuples(st.text(), st.none() | st.integers(-(2**62), 2**62), st.floats(allow_nan=False)), max_size=5))
def test_csv_keeps_every_digit(rows: list[tuple[str, int | None, float]]):
    columns = (Column("a", "text", "", ""), Column("b", "integer", "", ""), Column("c", "number", "", ""))
    _, *read = csv.reader(io.StringIO(tidy_csv(Table("t", columns, tuple(rows))).decode("utf-8", "surrogatepass")))
    for (text, whole, number), (read_text, read_whole, read_number) in zip(rows, read, strict=True):
        assert read_text == safe_text(text)
        assert read_whole == ("" if whole is None else str(whole))
        assert float(read_number) == number


def test_no_run_without_figures_makes_a_table(write_study: WriteStudy):
    older: RunResult = replace(make_run("fixed8"), energy_uj_by_layer={}, area_mm2_by_component={"sb": 4.0})
    assert len(frames(write_study((older,)))["runs"]) == 1
