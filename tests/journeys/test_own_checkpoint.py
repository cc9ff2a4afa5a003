"""A researcher's journey: a pretrained network with its own mean and std, studied by one command in an empty folder.

The network is that of the PyPI package ccexam (1.7 MB of weights in `ccexam/weights/mnist.pth`, trained on MNIST); its
modules are written in the user's own net.py, as in `ccexam/models.py`.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from fewbits.cli import main
from fewbits.study import RunResult, read_results

NET = '''
from torch import nn


class MNISTNet(nn.Module):
    """Two convolutions and two linear layers for 28 x 28 digits."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(start_dim=1))
'''

STUDY = """
name = "pretrained"
models = ["net.py:MNISTNet"]
precisions = ["float32", "fixed8"]
recipes = ["post-training"]
start = "mnist.pth"

[data]
name = "{data}"
mean = 0.1307
std = 0.3081

[float_training]
epochs = 0
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the network, its weights and nothing else."""
    package = importlib.util.find_spec("ccexam")
    assert package is not None
    assert package.origin is not None
    monkeypatch.chdir(tmp_path)
    shutil.copy(Path(package.origin).parent / "weights" / "mnist.pth", "mnist.pth")
    Path("net.py").write_text(NET)
    return tmp_path


def studied(data: str) -> dict[str, RunResult]:
    """The results of the study on data, by precision."""
    Path("study.toml").write_text(STUDY.format(data=data))
    assert main(["run", "study.toml", "--out", "out", "--workers", "1"]) == 0
    return {run.precision: run for run in read_results("out")}


@pytest.mark.slow
def test_the_pretrained_network_keeps_its_accuracy_on_the_embedded_digits(here):
    results = studied("digits")
    assert results["float32"].float_accuracy_percent >= 98.5
    assert results["fixed8"].accuracy_percent >= 98.5
    assert results["float32"].epochs == 0
    (said,) = [notice for notice in results["fixed8"].notices if "started from" in notice]
    assert "started from 'mnist.pth', studied untouched" in said
    assert "mean 0.1307, std 0.3081, stated" in said


@pytest.mark.slow
def test_the_pretrained_network_keeps_its_accuracy_on_all_test_images_of_mnist(here, shared):
    results = studied(str(shared / "data" / "mnist.npz"))
    assert results["float32"].test_images == 10_000
    assert results["float32"].float_accuracy_percent >= 98.5
    assert results["fixed8"].accuracy_percent >= 98.5
