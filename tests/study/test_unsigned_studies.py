"""Studies of inputs without a sign: refused before anything trains where they cannot be, signed where that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.study import load_study
from fewbits.study.plan import make_plan

STUDY = """
name = "unsigned"
models = ["{model}"]
precisions = ["fixed4", "{precision}"]
recipes = ["post-training"]

[[data]]
name = "digits"
{normalization}

[float_training]
epochs = 1
"""

NORMALIZED = "mean = 0.13\nstd = 0.3"

RESIDUAL = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 5, 3), nn.Conv2d(2, 2, 3, padding=1)
        self.last = nn.Linear(2 * 8 * 8, 10)

    def forward(self, x):
        taken = torch.relu(self.first(x))
        return self.last(torch.relu(self.second(taken) + taken).flatten(1))
"""


def study(folder: Path, precision: str, normalization: str = "", model: str = "lenet") -> list[str]:
    path = folder / "study.toml"
    path.write_text(STUDY.format(precision=precision, normalization=normalization, model=model))
    return ["run", str(path), "--out", str(folder / "out")]


def test_normalized_data_refuse_unsigned_inputs_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*study(tmp_path, "fixed4/ufixed4", NORMALIZED), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "key 'precisions': 'fixed4/ufixed4' on model 'lenet': layer 'conv1' takes the images, whose least" in line


@pytest.mark.parametrize("normalization", ["", NORMALIZED], ids=["pixels", "normalized"])
def test_auto_sign_takes_any_data(normalization: str, tmp_path: Path):
    assert main([*study(tmp_path, "ternary/ufixed8:auto-sign", normalization), "--dry-run"]) == 0


def test_a_studys_option_is_the_end_of_each_precisions_name(tmp_path: Path):
    study(tmp_path, "fixed4/ufixed4", NORMALIZED)
    path = tmp_path / "study.toml"
    text = path.read_text()
    path.write_text('inputs = "auto-sign"\n' + text)
    optional = make_plan(load_study(path))
    path.write_text(text.replace("fixed4/ufixed4", "fixed4/ufixed4:auto-sign"))
    assert [run.key for run in make_plan(load_study(path)).runs] == [run.key for run in optional.runs]


def test_another_option_of_inputs_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = study(tmp_path, "fixed4/ufixed4")
    path = tmp_path / "study.toml"
    path.write_text('inputs = "signed"\n' + path.read_text())
    assert main([*arguments, "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'inputs'" in line


def test_a_residual_network_is_refused_by_what_it_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "net.py").write_text(RESIDUAL)
    assert main([*study(tmp_path, "fixed4/ufixed4", model=f"{tmp_path}/net.py:Residual"), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "operation 'add' takes values that may be negative, which ufixed4 has not" in line


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("ufixed4", "weights need a sign, which ufixed4 has not: it is for inputs alone, as in fixed4/ufixed4"),
        ("fixed4/ufixed0", "unknown format 'ufixed0'"),
        ("fixed4/ufixed33", "ufixed33 is no format: give ufixed1 to ufixed32"),
        ("fixed4:auto-sign", "auto-sign is for inputs without a sign (ufixedN), which fixed4 is not"),
        ("fp8-e4m3/ufixed8", "mixes a float with an integer format"),
        ("fixed4/ufixed1:auto-sign", "ufixed1 has no signed format of its width"),
    ],
)
def test_a_precision_that_cannot_be_is_refused_in_one_line(
    precision: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*study(tmp_path, precision, NORMALIZED), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.slow
def test_a_study_of_both_has_costs_and_says_which_layers_are_signed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*study(tmp_path, "fixed4/ufixed4:auto-sign", NORMALIZED), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "fixed4/ufixed4:auto-sign" in said


@pytest.mark.parametrize("command", ["cost lenet ufixed4", "rtl ufixed4 --out x", "cost lenet binary/ufixed33"])
def test_commands_refuse_in_one_line(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(command.replace(" x", f" {tmp_path / 'x'}").split()) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_format_tells_that_it_is_for_inputs(capsys: pytest.CaptureFixture[str]):
    assert main(["formats", "ufixed4"]) == 0
    said = capsys.readouterr().out
    assert "from 0 to 15" in said
    assert "for inputs alone" in said
