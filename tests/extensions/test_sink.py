"""The example of a sink: asked for by name, told of each epoch and run, refused in a line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fewbits import StudyError
from fewbits.study import SINKS, TrackedStudy
from fewbits.study.tracking import open_sinks, parse_wanted

STUDY = """
name = "told"
models = ["mlp"]
data = ["digits"]
precisions = ["float32", "fixed8"]

[float_training]
epochs = 2

[fine_tune]
epochs = 1

[track]
json-lines = true
"""


@pytest.mark.slow
def test_a_study_tells_it_of_every_epoch_and_run_once(
    examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(examples), prepend=":")
    (tmp_path / "told.toml").write_text(STUDY)
    for _ in range(2):
        command = [sys.executable, "-m", "fewbits", "run", "told.toml", "--out", "out", "--workers", "1", "--json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out" / "lines.jsonl").read_text().splitlines()]
    ends = {line["run"]: line["key"] for line in lines if "run" in line}
    assert list(ends) == ["mlp float32", "mlp fixed8"]
    epochs = {key: [line["epoch"] for line in lines if line["key"] == key and "epoch" in line] for key in ends.values()}
    assert list(epochs.values()) == [[1, 2], [1]]


@pytest.mark.usefixtures("examples")
def test_it_is_listed_and_a_folder_is_refused(tmp_path: Path) -> None:
    assert list(SINKS) == ["tensorboard", "mlflow", "json-lines"]
    with pytest.raises(StudyError, match="'json-lines' writes a file, and"):
        open_sinks({"json-lines": str(tmp_path)}, TrackedStudy("told", tmp_path / "out"))


@pytest.mark.usefixtures("examples")
def test_an_unknown_sink_is_told_those_of_extensions_too() -> None:
    with pytest.raises(StudyError, match=r"allowed are 'tensorboard', 'mlflow', 'json-lines'; did you mean 'json-l"):
        parse_wanted(["json-line"])
