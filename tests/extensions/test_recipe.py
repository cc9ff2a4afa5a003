"""The example of a recipe: alpha-blending, in the library and in a study."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import fewbits as fb
from fewbits import extensions
from fewbits.study.plan import make_plan
from fewbits.train import RECIPES, TrainSettings, run_recipe, train_float

STUDY = """
name = "blended"
models = ["mlp"]
data = ["digits"]
precisions = ["float32", "fixed4"]
recipes = ["alpha-blending"]

[float_training]
epochs = 1

[fine_tune]
epochs = 1
"""


@pytest.fixture(scope="module")
def digits() -> fb.Dataset:
    return fb.data.load("digits")


@pytest.mark.usefixtures("examples")
def test_blending_ends_in_a_network_that_is_lowered_without_a_difference(digits: fb.Dataset) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(49, 20), nn.ReLU(), nn.Linear(20, 10))
    train_float(model, digits, TrainSettings(epochs=2))
    untrained, _ = run_recipe("post-training", model, "fixed2/fixed8", digits)
    q, record = run_recipe("alpha-blending", model, "fixed2/fixed8", digits, TrainSettings(epochs=2))
    images = digits.inputs(digits.test)
    network = fb.lower(q, images[:1])
    assert fb.first_difference(q, network, images) is None
    before, after = (
        (fb.lower(each, images[:1]).predict(images) == digits.test.labels).double().mean().item()
        for each in (untrained, q)
    )
    assert (len(record.history), after > before) == (2, True)


@pytest.mark.slow
def test_a_study_takes_the_recipe(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    environment = {"PYTHONPATH": f"{Path(fb.__file__).parents[1]}:{examples}", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "fewbits", "run", "study.toml", "--out", "out", "--json", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    runs = {run["precision"]: run for run in json.loads(done.stdout)["runs"]}
    assert runs["fixed4"]["recipe"] == "alpha-blending"
    assert runs["fixed4"]["accuracy_percent"] > 50


@pytest.mark.usefixtures("examples")
def test_help_and_suggestions_name_the_recipe(tmp_path: Path) -> None:
    assert "alpha-blending" in RECIPES
    (tmp_path / "study.toml").write_text(STUDY.replace("alpha-blending", "alpha-blendin"))
    with pytest.raises(fb.StudyError, match="did you mean 'alpha-blending'"):
        fb.study.load_study(tmp_path / "study.toml")


def test_another_version_of_its_package_trains_anew(examples: Path, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    before = make_plan(fb.study.load_study(tmp_path / "study.toml")).runs[-1].training
    (metadata,) = examples.glob("*.dist-info/METADATA")
    metadata.write_text(metadata.read_text().replace("Version: 1.0", "Version: 1.1"))
    extensions.found.cache_clear()
    after = make_plan(fb.study.load_study(tmp_path / "study.toml")).runs[-1].training
    assert before.recipe == after.recipe == "alpha-blending"
    assert before.key != after.key
