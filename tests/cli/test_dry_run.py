"""`fewbits run --dry-run`: the plan, and the job script of each batch system, where none of their commands is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from refusal import Command, refused  # pyright: ignore

pytest.importorskip("asyncssh", reason="needs fewbits[cluster]")

STUDY = """
name = "tiny"
models = ["lenet"]
data = ["digits"]
precisions = ["float32", "fixed8"]
seeds = [0, 1]
[float_training]
epochs = 3
[fine_tune]
epochs = 2
"""
TIMED = 'workers = 4\nmemory = "4 GiB"\nwalltime = "02:00:00"\n'
CLUSTERS = {
    "slurm": (f'{TIMED}account = "chips"', "#SBATCH -A chips", "sbatch"),
    "lsf": (f'{TIMED}project = "chips"', '#BSUB -P "chips"', "bsub"),
    "sge": (f'{TIMED}resources = "mem_free=4G"', "#$ -l mem_free=4G", "qsub"),
    "pbs": (f'{TIMED}account = "chips"', "#PBS -A chips", "qsub"),
    "htcondor": ('workers = 4\nmemory = "4 GiB"\ndisk = "2 GiB"', "MY.DaskWorkerCores = 1", "condor_submit"),
}


@pytest.mark.parametrize("system", CLUSTERS)
def test_the_script_that_would_be_submitted_is_shown(
    fewbits: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str
):
    table, directive, command = CLUSTERS[system]
    monkeypatch.setenv("PATH", "")
    (tmp_path / "study.toml").write_text(f'{STUDY}[cluster]\nsystem = "{system}"\n{table}\n')
    done = fewbits("run", "study.toml", "--dry-run")
    assert done.status == 0
    assert directive in done.out.splitlines()
    assert f"4 workers of {system}, each a job submitted by {command} (not on this machine)" in done.out
    assert "-m distributed.cli.dask_worker" in done.out


def test_without_a_cluster_the_plan_alone_is_shown(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY)
    lines = fewbits("run", "study.toml", "--dry-run").out.splitlines()
    assert lines[0] == "study 'tiny': 4 runs, 0 finished, 4 to do"
    assert lines[1] == "float networks to train: 2; epochs in all, at most: 10"
    assert len(lines) == 3


def test_nothing_is_written(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY)
    fewbits("run", "study.toml", "--dry-run", "--out", "out")
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]


def test_a_cluster_of_a_file_replaces_the_studys(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(f'{STUDY}[cluster]\nsystem = "local"\n')
    (tmp_path / "farm.toml").write_text(f'[cluster]\nsystem = "lsf"\n{TIMED}')
    done = fewbits("run", "study.toml", "--dry-run", "--cluster", "farm.toml", "--json")
    planned = json.loads(done.out)
    assert (planned["runs"], planned["finished"], planned["epochs"]) == (4, 0, 10)
    assert planned["workers"]["system"] == "lsf"
    assert "#BSUB -W 02:00" in planned["workers"]["script"].splitlines()


def test_a_study_that_cannot_run_is_refused(fewbits: Command, tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY.replace("fixed8", "fixed99"))
    done = fewbits("run", "study.toml", "--dry-run")
    assert done.status == 2
    assert "fixed99" in done.err


@pytest.mark.parametrize("engine", ["local", "dask=tcp://127.0.0.1:1"])
def test_a_cluster_that_would_not_be_used_is_refused(fewbits: Command, tmp_path: Path, engine: str):
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "farm.toml").write_text('[cluster]\nsystem = "local"\n')
    refused(fewbits("run", "study.toml", "--cluster", "farm.toml", "--engine", engine), "--engine dask too")
    assert not (tmp_path / "fewbits-tiny").exists()
