"""An operation from outside is saved by its fields, and loaded where its package is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import fewbits as fb

LOAD = "import sys, torch, fewbits as fb; torch.save(fb.load('net').run(torch.load('images')), 'logits')"


def test_it_computes_the_same_elsewhere_and_names_its_package_where_that_is_missing(
    examples: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    images = torch.randn(6, 5)
    model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3))
    network = fb.lower(fb.calibrate(fb.quantize(model, "fixed8"), images), images)
    network.save(tmp_path / "net")
    torch.save(images, tmp_path / "images")
    source = str(Path(fb.__file__).parents[1])
    for path, status in ((f"{source}:{examples}", 0), (source, 1)):
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
    assert torch.equal(torch.load(tmp_path / "logits"), network.run(images))
    assert (
        "is the operation 'fewbits_examples.GeluTable', which is not known here: install fewbits-examples 1.0"
        in done.stderr
    )


@pytest.mark.usefixtures("examples")
def test_its_table_comes_back(tmp_path: Path) -> None:
    images = torch.randn(6, 5)
    model = nn.Sequential(nn.Linear(5, 8), nn.GELU(), nn.Linear(8, 3))
    network = fb.lower(fb.calibrate(fb.quantize(model, "fixed4"), images), images)
    network.save(tmp_path / "net")
    before, after = (
        next(one for one in each.operations if type(one).__name__ == "GeluTable")
        for each in (network, fb.load(tmp_path / "net"))
    )
    assert before.results.tolist() == after.results.tolist()
    assert before.result_codes == after.result_codes
