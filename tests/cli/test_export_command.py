"""`fewbits export`: saved networks and a study's, as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits.cli import main

STUDY = """
name = "small"
models = ["net.py:net"]
data = ["digits"]
precisions = ["fixed8"]
recipes = ["post-training"]
[float_training]
epochs = 1
"""
NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.MaxPool2d(7), nn.Flatten(), nn.Linear(16, 10))

net.input_shape = (1, 28, 28)
"""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    images = torch.randn(4, 6)
    q = fb.calibrate(fb.quantize(nn.Linear(6, 2), "fixed8"), images)
    fb.lower(q, images).save(tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.mark.slow
def test_a_studys_network_is_exported_and_loads_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK)
    Path("study.toml").write_text(STUDY)
    assert main(["run", "study.toml", "--out", "out", "--workers", "1"]) == 0
    assert main(["export", "out", "--to", "fewbits", "--precision", "fixed8", "--out", "net.safetensors"]) == 0
    assert capsys.readouterr().out.endswith("net.safetensors\n")
    stored = fb.study.stored_network("out", "fixed8")
    assert torch.equal(fb.load("net.safetensors").run(stored.image), stored.network.run(stored.image))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{saved}", "--to", "onyx", "--out", "x"], "unknown exporter 'onyx': give one of fewbits"),
        (["{saved}", "--to", "fewbits", "--out", "{folder}"], "is a folder or a link: give the name of a file"),
        (["{saved}", "--to", "fewbits", "--out", "x", "--precision", "fixed8"], "is no study's folder"),
        (["absent", "--to", "fewbits", "--out", "x", "--precision", "fixed8"], "no file 'absent'"),
        (["{saved}", "--to", "fewbits", "--out", "{saved}"], "is the network itself, which the export would replace"),
        (["{saved}", "--to", "fewbits", "--out", "x" * 300], "File name too long; make room or give another name"),
        (["{folder}", "--to", "fewbits", "--out", "x"], "choose one of its networks, with --precision first"),
        (["{folder}", "--to", "fewbits", "--out", "x", "--precision", "fixed8"], "holds no study"),
        (["absent", "--to", "fewbits", "--out", "x"], "no file 'absent': give one that BitExactNetwork.save wrote"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str], message: str, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [each.format(saved=saved, folder=saved.parent) for each in arguments]
    assert main(["export", *given]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
