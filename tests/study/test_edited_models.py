"""A study's results belong to the network as it is written now: an edit of what it computes counts, no other does."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from in_process import InProcessExecutor, in_process  # noqa: F401  # pyright: ignore

from fewbits import models
from fewbits.data import load
from fewbits.study import StudySpec, run_study
from fewbits.study.digest import data_sha256, json_sha256, network_sha256
from fewbits.study.events import FloatNetworkTrained, Notice, RunFinished, TaskStarted
from fewbits.study.plan import make_plan
from fewbits.study.spec import parse_study

MODEL = """
import torch
from torch import nn
from sizes import CHANNELS

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, 3)
        self.fc = nn.Linear(8 * 9, 4)

    def forward(self, x):
        y = torch.relu(self.conv(x))
        return self.fc(torch.max_pool2d(y, 2).flatten(1))

def make():
    return Net()
"""

SHORT = {"precisions": ["float32", "fixed8"], "float_training": {"epochs": 1}, "fine_tune": {"epochs": 1}}


@pytest.fixture
def study(tiny: Callable[..., StudySpec], tmp_path: Path) -> StudySpec:
    """A short study of a model in a file of its own, `net.py`, which imports `sizes.py`."""
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "sizes.py").write_text("CHANNELS = 8\n")
    return tiny(models=[f"{tmp_path / 'net.py'}:make"], **SHORT)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def keys(spec: StudySpec) -> list[str]:
    plan = make_plan(spec)
    return [key for run in plan.runs for key in (run.key, run.training.key)]


def told(events: list[object]) -> list[str]:
    """Notices but the first, which tells of the data."""
    return [event.text for event in events if isinstance(event, Notice)][1:]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.relu(self.conv(x))", "torch.relu(-self.conv(x))"),
        ("torch.max_pool2d", "torch.avg_pool2d"),
        ("nn.Conv2d(1, CHANNELS, 3)", "nn.Conv2d(1, CHANNELS, 3, padding=1, padding_mode='circular', stride=1)"),
        ("return self.fc(", "return 2 * self.fc("),
    ],
)
def test_an_edit_of_what_is_computed_changes_every_key(
    study: StudySpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
):
    monkeypatch.setattr("fewbits.study.plan.try_model", lambda *_: False)  # some of these cannot be lowered
    before = keys(study)
    edit(tmp_path / "net.py", old, new)
    assert not set(before) & set(keys(study))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def make", "# made by hand\ndef make"),
        ("y", "activations"),
        ("class Net", "class Other"),
        ("from sizes import CHANNELS", "CHANNELS = 8"),
    ],
)
def test_an_edit_of_words_alone_changes_no_key(study: StudySpec, tmp_path: Path, old: str, new: str):
    before = keys(study)
    text = (tmp_path / "net.py").read_text()
    for word_old, word_new in ((old, new), ("return Net()", "return Other()")) if "class" in old else ((old, new),):
        text = text.replace(word_old, word_new)
    (tmp_path / "net.py").write_text(text)
    assert keys(study) == before


def test_a_built_in_models_keys_are_those_of_earlier_versions(tiny: Callable[..., StudySpec], workplace: Path):
    spec = parse_study(tiny().definition() | {"models": ["lenet"], "data": ["digits"]}, "lenet")
    (training,) = make_plan(spec).float_trainings
    assert training.key == json_sha256(
        {
            "format": 1,
            "model": "lenet",
            "network": network_sha256(models.build("lenet", 0)),
            "data": {"name": "digits", "sha256": data_sha256(load("digits"))},
            "settings": {"epochs": 12},
            "seed": 0,
        }
    )


@pytest.mark.usefixtures("in_process")
def test_after_an_edit_the_study_gives_what_a_fresh_folder_gives(
    study: StudySpec, tmp_path: Path, figures: Callable[..., object]
):
    events: list[object] = []
    run_study(study, tmp_path / "out")
    edit(tmp_path / "net.py", "torch.max_pool2d(y, 2)", "torch.max_pool2d(y, 3, 2, 1)")
    again = run_study(study, tmp_path / "out", observer=events.append)
    assert figures(again.results) == figures(run_study(study, tmp_path / "fresh").results)
    assert told(events) == [
        f"{tmp_path / 'net.py'}:make: 2 finished runs computed anew, since what the model computes changed"
    ]


@pytest.mark.usefixtures("in_process")
def test_one_network_in_two_files_is_trained_once_and_has_two_rows(study: StudySpec, tmp_path: Path):
    shutil.copy(tmp_path / "net.py", tmp_path / "same.py")
    both = parse_study(study.definition() | {"models": [*study.models, f"{tmp_path / 'same.py'}:make"]}, "both")
    events: list[object] = []
    results = run_study(both, tmp_path / "out", observer=events.append).results
    assert [Path(run.model).name for run in results] == ["net.py:make"] * 2 + ["same.py:make"] * 2
    assert [run.accuracy_percent for run in results[:2]] == [run.accuracy_percent for run in results[2:]]
    assert len([event for event in events if isinstance(event, FloatNetworkTrained)]) == 1
    assert len(list((tmp_path / "out" / "networks").iterdir())) == 2


@pytest.mark.usefixtures("in_process")
def test_a_renamed_file_trains_nothing_anew(study: StudySpec, tmp_path: Path):
    run_study(study, tmp_path / "out")
    (tmp_path / "net.py").rename(tmp_path / "renamed.py")
    renamed = parse_study(study.definition() | {"models": [f"{tmp_path / 'renamed.py'}:make"]}, "renamed")
    before = sorted((tmp_path / "out" / "networks").iterdir())
    run_study(renamed, tmp_path / "out")
    assert sorted((tmp_path / "out" / "networks").iterdir()) == before


@pytest.mark.usefixtures("in_process")
def test_results_of_a_version_that_did_not_look_into_the_model_are_computed_anew_and_told(
    study: StudySpec, tmp_path: Path
):
    run_study(study, tmp_path / "out")
    with sqlite3.connect(tmp_path / "out" / "study.sqlite") as connection:
        connection.execute("UPDATE runs SET definition = json_remove(definition, '$.computes', '$.data_sha256')")
        connection.execute("UPDATE runs SET key = 'old' || position, digest = NULL")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    events: list[object] = []
    run_study(study, tmp_path / "out", observer=events.append)
    assert told(events) == [
        f"{tmp_path / 'net.py'}:make: 2 finished runs computed anew, since the fewbits that ran them did not note what "
        "the model computes"
    ]


def test_an_edit_while_the_study_runs_reaches_no_worker(
    study: StudySpec, tmp_path: Path, figures: Callable[..., object]
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fewbits.study.engine.ProcessExecutor", InProcessExecutor)
        expected = run_study(study, tmp_path / "undisturbed")

    def edit_both(event: object) -> None:
        if isinstance(event, (TaskStarted, RunFinished)):
            (tmp_path / "net.py").write_text(MODEL.replace("torch.relu", "torch.tanh"))
            (tmp_path / "sizes.py").write_text("raise RuntimeError('edited')\n")

    disturbed = run_study(study, tmp_path / "disturbed", workers=1, observer=edit_both)
    assert disturbed.failed == ()
    assert figures(disturbed.results) == figures(expected.results)
