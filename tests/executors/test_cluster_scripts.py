"""The job script that would be submitted, for each batch system: its directives, whatever else dask-jobqueue writes."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import pytest

from fewbits.errors import ExecutorError
from fewbits.executors import cluster as module
from fewbits.executors.base import ENVIRONMENT
from fewbits.executors.cluster import WorkerCluster, job_script, notes
from fewbits.executors.description import SYSTEMS, ClusterSection

pytest.importorskip("dask_jobqueue", reason="needs fewbits[cluster]")

TIMED = {"workers": 8, "memory": "4 GiB", "walltime": "04:00:00"}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "slurm": TIMED | {"queue": "short", "account": "chips", "directives": ("--exclusive",), "logs": "jobs"},
    "lsf": TIMED | {"queue": "short", "project": "chips", "directives": ("-x",), "logs": "jobs"},
    "sge": TIMED | {"queue": "short", "project": "chips", "resources": "mem_free=4G", "directives": ("-R y",)},
    "pbs": TIMED | {"queue": "short", "account": "chips", "directives": ("-m n",), "logs": "jobs"},
    "htcondor": {"workers": 8, "memory": "4 GiB", "disk": "2 GiB", "directives": ("getenv = true",)},
}
DIRECTIVES = {
    "slurm": (
        *("-p short", "-A chips", "-n 1", "--cpus-per-task=1", "--mem=4G", "-t 04:00:00", "--exclusive"),
        *("-J fewbits", "-o jobs/fewbits-%J.out", "-e jobs/fewbits-%J.err"),
    ),
    "lsf": ("-q short", '-P "chips"', "-n 1", "-M 4294968", "-W 04:00", "-x", "-J fewbits"),
    "sge": ("-q short", "-P chips", "-l mem_free=4G", "-l h_rt=04:00:00", "-R y", "-N fewbits"),
    "pbs": (
        *("-q short", "-A chips", "-l select=1:ncpus=1:mem=4096MB", "-l walltime=04:00:00", "-m n"),
        *("-N fewbits", "-o jobs/", "-e jobs/"),
    ),
}
"""As the manuals of sbatch, bsub and qsub have them; LSF takes KB, unless its configuration says otherwise."""


@pytest.fixture(autouse=True)
def no_lsf_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """LSF's unit of memory is read from lsf.conf where there is one."""
    monkeypatch.setenv("LSF_ENVDIR", str(tmp_path))


def described(system: str, **change: Any) -> ClusterSection:
    return ClusterSection(system=system, **DESCRIPTIONS[system] | change)  # type: ignore[arg-type]


def worker_command(script: str) -> list[str]:
    """Of the line that starts the worker."""
    (line,) = [line for line in script.splitlines() if "dask_worker" in line]
    return shlex.split(line)


@pytest.mark.parametrize("system", DIRECTIVES)
def test_a_job_asks_for_what_the_table_says(system: Any):
    lines = job_script(described(system)).splitlines()
    assert {f"{SYSTEMS[system].directive} {one}" for one in DIRECTIVES[system]} <= set(lines)


@pytest.mark.parametrize("system", DIRECTIVES)
def test_no_second_directive_is_made_of_a_value(system: Any):
    script = job_script(described(system, prologue=("echo '#SBATCH --exclusive' #PBS -x",)))
    first = [line.split()[0] for line in script.splitlines() if line.strip()]
    assert first.count(SYSTEMS[system].directive) == script.count(f"\n{SYSTEMS[system].directive} ")


def test_condor_is_asked_for_what_the_table_says():
    lines = job_script(described("htcondor")).splitlines()
    asked = ("MY.DaskWorkerCores = 1", f"MY.DaskWorkerMemory = {4 * 2**30}", f"MY.DaskWorkerDisk = {2 * 2**30}")
    assert {*asked, "RequestCpus = MY.DaskWorkerCores", "getenv = true", "Executable = /bin/sh", "Queue"} <= set(lines)


@pytest.mark.parametrize("system", DESCRIPTIONS)
def test_workers_have_one_thread_and_the_environment_of_local_ones(system: str):
    script = job_script(described(system))
    assert all(f"export {name}={value}" in script for name, value in ENVIRONMENT.items())
    assert "--nthreads 1 " in script


@pytest.mark.parametrize("system", DESCRIPTIONS)
def test_a_killed_worker_comes_back_and_one_without_its_scheduler_ends(system: str):
    script = job_script(described(system))
    assert "--nanny" in script
    assert "--death-timeout 60" in script


@pytest.mark.parametrize("system", DIRECTIVES)
def test_workers_leave_before_the_walltime_is_over(system: str):
    words = worker_command(job_script(described(system, walltime="01:00:00")))
    lifetime, stagger = (words[words.index(option) + 1] for option in ("--lifetime", "--lifetime-stagger"))
    assert (lifetime, stagger) == ("3300s", "240s")


@pytest.mark.parametrize("system", DESCRIPTIONS)
def test_the_prologue_comes_before_the_worker(system: str):
    script = job_script(described(system, prologue=("module load python", "echo 'a  b'")))
    assert script.index("module load python") < script.index("echo") < script.index("dask_worker")


@pytest.mark.parametrize("system", DIRECTIVES)
def test_a_stated_python_runs_the_worker(system: str):
    assert worker_command(job_script(described(system, python="/opt/my python/bin/python")))[0].startswith("/opt/my py")


@pytest.mark.parametrize("system", DIRECTIVES)
def test_without_a_stated_python_it_is_this_one(system: str):
    assert worker_command(job_script(described(system)))[0] == sys.executable


def test_lsf_gets_whole_minutes():
    assert "#BSUB -W 00:02" in job_script(described("lsf", walltime="00:01:01")).splitlines()


def test_sge_without_resources_has_a_note():
    assert any("asked for no memory" in line for line in notes(described("sge", resources=None)))


def test_over_ssh_each_host_and_the_command_are_shown():
    script = job_script(ClusterSection(system="ssh", hosts=("node1", "node2"), workers=3, python="/opt/python"))
    assert script.splitlines()[0].startswith("ssh node1 env OMP_NUM_THREADS=1 ")
    assert "/opt/python -m distributed.cli.dask_spec" in script
    assert script.splitlines()[-1] == "# 3 workers"


@pytest.mark.parametrize("system", DESCRIPTIONS)
def test_a_batch_system_whose_command_is_not_there_is_refused_in_one_line(system: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExecutorError, match=f"{SYSTEMS[system].submit}.*not on this machine") as caught:
        WorkerCluster(described(system)).start()
    assert "\n" not in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(ExecutorError, match=r"pip install 'fewbits\[cluster\]'"):
        job_script(described("slurm"))


def test_each_batch_system_has_a_class_and_its_options():
    assert module._CLASSES.keys() == module._OPTIONS.keys() == {name for name, one in SYSTEMS.items() if one.submit}
