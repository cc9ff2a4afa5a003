"""One list of columns serves the terminal, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from rich.console import Console
from round_runs import make_run, make_runs

from fewbits.report.grouping import group_runs
from fewbits.report.table import csv_text, decimals_for, markdown, text_table
from fewbits.report.terminal import print_study
from fewbits.study import FailedRun
from fewbits.study.figures import COLUMNS

FAILED = FailedRun(
    key="f", model="lenet", data="digits", precision="fixed4", recipe="fine-tune", seed=1, error="diverged [oops]"
)


def printed(runs: tuple, width: int, failures: tuple = ()) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    print_study(group_runs(runs, failures), console)
    return console.file.getvalue()


def test_the_smallest_figure_of_a_column_keeps_three_digits():
    assert [decimals_for(values) for values in ([1234.0], [31.8, 2.0], [0.05, 70.0], [])] == [0, 2, 4, 2]


def test_a_spread_stands_beside_its_mean_only_where_seeds_differ():
    table = text_table(group_runs(make_runs(0, 1))[0])
    accuracy, cycles = 1, 1 + [column.name for column in COLUMNS].index("cycles")
    assert (table.means[0][accuracy], table.spreads[0][accuracy]) == ("97.25", "0.35")
    assert (table.means[0][cycles], table.spreads[0][cycles]) == ("250000", "")


def test_the_number_of_seeds_is_told():
    assert "Mean of 2 seeds" in text_table(group_runs(make_runs(0, 1))[0]).note
    assert "Mean of 1 to 2 seeds" in text_table(group_runs((*make_runs(0, 1), make_run("float32", 2))[1:-1])[0]).note
    assert "One seed" in text_table(group_runs(make_runs(0))[0]).note


def test_one_recipe_stands_in_the_note_several_in_a_column():
    one = text_table(group_runs(make_runs(0))[0])
    several = text_table(group_runs((*make_runs(0), make_run("fixed8", recipe="post-training")))[0])
    assert (one.labels, "fine-tune" in one.note) == (("precision",), True)
    assert several.labels == ("precision", "recipe")
    assert several.means[-1][:2] == ("fixed8", "post-training")


def test_energies_of_two_kinds_of_activity_are_told_apart():
    measured = {"energy_interval_uj": 1.0}
    runs = [make_run("float32", **measured), make_run("fixed8", **measured), make_run("fixed16")]
    (group,) = group_runs(runs)
    assert "Power and energy of fixed16 (fine-tune) rest on an assumed activity" in text_table(group).note
    for alike in (runs[:2], [make_run("float32"), make_run("fixed16")]):
        assert "assumed" not in text_table(group_runs(alike)[0]).note


def test_what_best_stands_for_is_told_with_one_recipe_and_with_several():
    best = [make_run("fixed8", recipe="best", stands_for="fine-tune")]
    assert text_table(group_runs(best)[0]).note == "Recipe: best (= fine-tune). One seed."
    best.append(make_run("binary/fixed16", recipe="best", stands_for="distill"))
    assert [means[1] for means in text_table(group_runs(best)[0]).means] == ["best (= fine-tune)", "best (= distill)"]


def test_csv_keeps_the_name_of_the_recipe_and_what_it_stands_for_apart():
    runs = [make_run("fixed8"), make_run("fixed8", recipe="best", stands_for="fine-tune")]
    rows = list(csv.DictReader(io.StringIO(csv_text(group_runs(runs)))))
    assert [(row["recipe"], row["stands_for"]) for row in rows] == [("fine-tune", ""), ("best", "fine-tune")]


def test_without_float32_a_dash_stands_for_what_cannot_be_known():
    table = text_table(group_runs([make_run("fixed8")])[0])
    assert (table.means[0][3], table.means[0][-1]) == ("-", "-")


def test_csv_keeps_full_precision_and_every_row():
    text = csv_text(group_runs((*make_runs(0), make_run("fixed8", model="alex", energy_uj=1 / 3))))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["precision"] for row in rows].count("fixed8") == 2
    assert float(rows[-1]["energy_uj"]) == 1 / 3
    assert (rows[-1]["difference_points"], rows[-1]["model"]) == ("", "alex")


def test_markdown_has_one_line_a_row_and_one_a_failure():
    text = markdown(group_runs(make_runs(0), (FAILED,)))
    lines = text.splitlines()
    assert sum(line.startswith("| ") for line in lines) == 7
    assert len({line.count(" | ") for line in lines if line.startswith("| ")}) == 1
    assert "- fixed4, fine-tune, seed 1 failed: diverged [oops]" in lines


def test_a_pipe_in_a_name_does_not_break_the_markdown():
    assert r"a\|b" in markdown(group_runs([make_run("fixed8", recipe="a|b"), make_run("fixed8", recipe="c")]))


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "runs",
    [
        make_runs(0),
        make_runs(0, 1, 2),
        (*make_runs(0, 1, 2), make_run("fixed8", recipe="post-training")),
        (*make_runs(0, 1, 2), make_run("pow2-6/fixed16", recipe="best", stands_for="fine-tune")),
    ],
    ids=["one-seed", "three-seeds", "two-recipes", "best"],
)
def test_the_terminal_shows_every_figure_in_full(width: int, runs: tuple):
    out = printed(runs, width)
    assert max(len(line) for line in out.splitlines()) <= width
    assert "…" not in out
    table = text_table(group_runs(runs)[0])
    for means in table.means:
        figures = means[len(table.labels) :]
        assert any(line.startswith(f"{means[0]} ") and all(one in line for one in figures) for line in out.splitlines())
        assert all(word in out for label in means[: len(table.labels)] for word in label.split(" ", 1))


def test_a_long_recipes_name_takes_no_figures_room():
    runs = (*make_runs(0, 1), make_run("binary/fixed16", recipe="binary-connect-stochastic"))
    runs += (make_run("fixed8", recipe="runtime-configurable 25 %"),)
    out = printed(runs, 80)
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "…" not in out
    assert "runtime-" in out
    assert any(line.startswith("configurable 25 %"[:12]) for line in out.splitlines())


def test_a_wide_terminal_puts_the_spread_on_the_same_line():
    assert "97.25 ± 0.35" in printed(make_runs(0, 1), 200)
    assert "97.25 ± 0.35" not in printed(make_runs(0, 1), 80)


def test_the_terminal_names_failed_runs_and_reads_no_markup_in_them():
    assert "fixed4, fine-tune, seed 1 failed: diverged [oops]" in printed(make_runs(0), 200, (FAILED,))
    assert "diverged" in printed((), 200, (FAILED,))


def test_the_terminal_prints_each_notice_once():
    runs = tuple(replace(run, notices=("lenet: folded, 97.00 % before, 97.00 % after",)) for run in make_runs(0, 1))
    assert printed(runs, 200).count("Notice: lenet: folded, 97.00 % before, 97.00 % after.") == 1


def test_savings_are_printed_beside_the_published_ones_and_marked():
    out = printed(make_runs(0), 120)
    assert "published, transcription unverified" in out
    assert any(line.split() == ["fixed8", "80.0", "79.9", "80.0", "84.1"] for line in out.splitlines())


def test_a_study_of_unpublished_precisions_prints_no_comparison():
    runs = tuple(replace(run, precision="fixed6") for run in make_runs(0))
    assert "published" not in printed(runs, 120)
