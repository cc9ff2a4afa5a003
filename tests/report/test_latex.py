"""The LaTeX tables compile whatever names hold: a small reader checks what LaTeX would do with each character."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from round_runs import WriteStudy, make_run, make_runs

from fewbits.report.grouping import group_runs
from fewbits.report.latex import latex, latex_text
from fewbits.report.write import write_report
from fewbits.study.figures import COLUMNS

KNOWN = {
    *("textbackslash", "textasciitilde", "textasciicircum", "textless", "textgreater", "textbar", "char", "texttt"),
    *("ss", "ae", "AE", "o", "O", "oe", "OE", "l", "L", "i", "j"),
    *("small", "footnotesize", "setlength", "tabcolsep", "begin", "end", "par"),
    *("toprule", "midrule", "bottomrule"),
}
"""Commands of LaTeX's own and of booktabs."""

ACCENTS = set("`'^~=u.\"rHvdc")


def read(text: str) -> None:
    """Fail on what LaTeX would stop at: an unknown command, a special character by itself, braces that do not pair."""
    depth = place = 0
    mathematics = False
    while place < len(text):
        mark = text[place]
        assert mark.isascii(), mark
        if mark == "\\":
            found = re.match(r"\\([A-Za-z]+|.)", text[place:])
            assert found is not None
            name = found[1]
            following = text[place + len(found[0]) : place + len(found[0]) + 1]
            if name.isalpha() and name not in KNOWN:
                assert (mathematics and name in ("mu", "pm", "cdot", "times")) or (name in ACCENTS and following == "{")
            if not name.isalpha():
                assert name in "&%$#_{}\\" or (name in ACCENTS and following == "{"), name
            if name == "\\":
                assert re.match(r"\n(?!\s*[\[*])", text[place + 2 :])
            place += len(found[0])
            continue
        if mark == "%":
            place = text.find("\n", place)  # a comment
            assert place >= 0
            continue
        if mark == "$":
            mathematics = not mathematics
        depth += {"{": 1, "}": -1}.get(mark, 0)
        assert depth >= 0
        assert mark != "#"
        assert mark != "~"
        assert mathematics or mark not in "_^"
        place += 1
    assert depth == 0
    assert not mathematics


def rows(text: str) -> list[list[str]]:
    """Cells of each row."""
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    lines = [line.removesuffix(r" \\") for line in body.splitlines() if line.endswith(r"\\")]
    return [re.split(r"(?<!\\) & ", line) for line in lines]


def test_every_row_has_a_cell_for_each_column():
    text = latex(group_runs(make_runs(0, 1)))
    read(text)
    (columns,) = re.findall(r"\\begin\{tabular\}\{(l+r+)\}", text)
    assert len(columns) == 1 + len(COLUMNS)
    assert {len(row) for row in rows(text)} == {len(columns)}
    assert rows(text)[-1][0] == "binary/fixed16"
    assert "94.25 $\\pm$ 0.35" in text


def test_negative_numbers_have_a_minus_and_missing_ones_a_dash():
    text = latex(group_runs([make_run("float32"), make_run("fixed8", energy_saving_percent=None)]))
    assert "$-$0.50" in text
    assert rows(text)[-1][-1] == "--"


@pytest.mark.parametrize(
    "name", ["a_b%c#d&e$f^g~h\\i{j}k", "µ±²", "Müller-Čapek.npz", "☃", "[x]", "*x", "--", "''``", "a & b \\\\"]
)
def test_hostile_names_become_text(name: str):
    runs = [
        make_run("fixed8", model=name, data=name, recipe="a"),
        make_run("fixed8", model=name, data=name, recipe=name),
    ]
    text = latex(group_runs(runs))
    read(text)
    assert len({len(row) for row in rows(text)}) == 1


@given(st.text())
def test_any_text_can_be_read(text: str):
    made = latex_text(text)
    read(made + "\n")
    assert "--" not in made
    assert "&" not in made.replace(r"\&", "")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_ascii_comes_back(text: str):
    made = latex_text(text)
    for command, mark in (
        (r"\textbackslash{}", "\0"), (r"\textasciitilde{}", "~"), (r"\textasciicircum{}", "^"), (r"\textless{}", "<"),
        (r"\textgreater{}", ">"), (r"\textbar{}", "|"), (r"{\char34}", '"'), ("{}-", "-"),
    ):  # fmt: skip
        made = made.replace(command, mark)
    made = re.sub(r"\{(['`\[\]*])\}", r"\1", made)
    made = re.sub(r"\\([&%$#_{}])", r"\1", made)
    assert made.replace("\0", "\\") == " ".join(text.split())


def test_accents_are_commands_and_other_letters_their_code_points():
    assert latex_text("é ï ő ☃") == r"""\'{e} \"{\i} \H{o} \texttt{U+2603}"""


def test_the_report_writes_it_and_svg_beside_png(write_study: WriteStudy):
    folder: Path = write_study(make_runs(0))
    names = {path.name for path in write_report(folder)}
    assert "results.tex" in names
    assert {Path(name).stem for name in names if name.endswith(".svg")} == {
        Path(name).stem for name in names if name.endswith(".png")
    }
