"""`fewbits run --engine dask` by jobs of batch systems whose commands run the scripts here: the same table as local."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "executors"))

import queues

pytest.importorskip("asyncssh", reason="needs fewbits[cluster]")
pytestmark = pytest.mark.slow

STUDY = """
name = "tiny"
models = ["lenet"]
data = ["digits"]
precisions = ["float32", "fixed8"]
float_training = {epochs = 1}
fine_tune = {epochs = 1}
"""
JOB = 'workers = 2\nmemory = "2 GiB"\n'
TIMED = f'{JOB}walltime = "01:00:00"\n'
CLUSTERS = dict.fromkeys(queues.COMMANDS, TIMED) | {"htcondor": f'{JOB}disk = "1 GiB"\n'}


def started(folder: Path, *more: str, path: str | None = None) -> subprocess.Popen[str]:
    """The command on the folder's study."""
    return subprocess.Popen(
        [sys.executable, "-m", "fewbits", "run", "study.toml", "--out", "out", "--json", *more],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | ({} if path is None else {"PATH": path}),
    )  # fmt: skip


def table(command: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What it computed."""
    out, err = command.communicate(timeout=300)
    assert command.returncode == 0, err
    assert "Traceback" not in err
    return json.loads(out)["runs"]


def described(folder: Path, system: str) -> queues.Queue:
    """A study on a batch system, in a folder."""
    (folder / "study.toml").write_text(f'{STUDY}[cluster]\nsystem = "{system}"\n{CLUSTERS[system]}')
    return queues.fake_queue(system, folder)


def wait_for_training(folder: Path) -> None:
    """Until a worker has finished an epoch."""
    for _ in range(1200):
        if any((folder / "out" / "checkpoints").glob("*")):
            return
        time.sleep(0.1)
    raise AssertionError("no training began")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The table on this machine without Dask."""
    folder = tmp_path_factory.mktemp("local")
    (folder / "study.toml").write_text(STUDY)
    return table(started(folder))


@pytest.fixture
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[queues.Queue]:
    made = described(tmp_path, getattr(request, "param", "slurm"))
    yield made
    queues.kill_all(made)


@pytest.mark.parametrize("queue", queues.COMMANDS, indirect=True)
def test_a_study_by_jobs_gives_the_table_of_one_machine_and_leaves_none(
    queue: queues.Queue, tmp_path: Path, local: list[dict[str, Any]]
):
    assert table(started(tmp_path, "--engine", "dask", path=queues.on_path(queue))) == local
    assert len(queue.scripts()) == queue.cancelled() == 2
    assert queue.wait_until_empty(10) == []


def test_ctrl_c_ends_the_jobs(queue: queues.Queue, tmp_path: Path):
    text = (tmp_path / "study.toml").read_text().replace("{epochs = 1}", "{epochs = 1000}", 1)
    (tmp_path / "study.toml").write_text(text)
    command = started(tmp_path, "--engine", "dask", path=queues.on_path(queue))
    wait_for_training(tmp_path)
    command.send_signal(signal.SIGINT)
    _, err = command.communicate(timeout=60)
    assert command.returncode == 130, err
    assert "Traceback" not in err
    assert queue.cancelled() == 2
    assert queue.wait_until_empty(10) == []


def test_jobs_end_by_themselves_after_the_parent_was_killed(queue: queues.Queue, tmp_path: Path):
    text = (tmp_path / "study.toml").read_text().replace("{epochs = 1}", "{epochs = 1000}", 1)
    (tmp_path / "study.toml").write_text(text)
    command = started(tmp_path, "--engine", "dask", path=queues.on_path(queue))
    wait_for_training(tmp_path)
    command.kill()
    command.communicate(timeout=60)
    assert queue.cancelled() == 0
    assert queue.wait_until_empty(90) == []


def test_a_failed_study_ends_the_jobs(queue: queues.Queue, tmp_path: Path):
    text = (tmp_path / "study.toml").read_text().replace("{epochs = 1}", "{epochs = 1, learning_rate = 1e30}", 1)
    (tmp_path / "study.toml").write_text(text)
    command = started(tmp_path, "--engine", "dask", path=queues.on_path(queue))
    _, err = command.communicate(timeout=120)
    assert command.returncode == 1, err
    assert queue.cancelled() == 2
    assert queue.wait_until_empty(10) == []


def test_a_queue_that_refuses_is_one_line_and_status_2(queue: queues.Queue, tmp_path: Path):
    (queue.commands / "sbatch").write_text("#!/bin/sh\necho 'error: no such account' >&2\nexit 1\n")
    _, err = (command := started(tmp_path, "--engine", "dask", path=queues.on_path(queue))).communicate(timeout=60)
    assert command.returncode == 2
    assert err.splitlines() == ["fewbits: no worker of slurm was started: error: no such account"]
