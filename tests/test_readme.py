"""The README's example runs as it stands, and its study file is a valid one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import fewbits as fb
from fewbits.study import load_study

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example writes a file."""
    monkeypatch.chdir(tmp_path)


def block(language: str) -> str:
    """The first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found is not None
    return found[1]


def test_example_runs(capsys: pytest.CaptureFixture[str]):
    names: dict[str, object] = {}
    exec(compile(block("python"), "README.md", "exec"), names)  # the project's own text
    printed = capsys.readouterr().out
    assert printed.startswith("()")
    assert "multipliers" in printed


class Net(nn.Module):
    """A user's own network: functional calls, a residual addition, batch normalization, a depthwise convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.norm2 = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.norm2(self.conv2(x)) + x)
        x = F.adaptive_avg_pool2d(x, 1)
        return self.head(F.dropout(x.view(x.size(0), -1), training=self.training))


def test_example_runs_on_a_network_of_functions_with_a_residual_addition(capsys: pytest.CaptureFixture[str]):
    lines = block("python").splitlines()
    own = ["model = Net()" if line.startswith("model = nn.") else line for line in lines]
    assert own != lines
    names: dict[str, object] = {"Net": Net}
    exec(compile("\n".join(own), "README.md", "exec"), names)  # the project's own text
    printed = capsys.readouterr().out
    assert printed.startswith("()")  # nothing is left float
    network, quantized, images = names["network"], names["quantized"], names["images"]
    assert isinstance(network, fb.BitExactNetwork)
    assert isinstance(quantized, nn.Module)
    assert isinstance(images, Tensor)
    assert [type(op).__name__ for op in network.operations].count("Addition") == 1
    quantized.eval()
    assert torch.equal(quantized(images).argmax(1), network.predict(images))


def test_example_is_about_ten_lines():
    lines = [line for line in block("python").splitlines() if line and not line.startswith(("import", "from"))]
    assert len(lines) <= 11


def test_study_file_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("from fewbits.models import build\ndef make_net():\n    return build('lenet')\n")
    (tmp_path / "mine.toml").write_text(block("toml"))
    assert load_study(tmp_path / "mine.toml").name == "mine"
