"""Workers by jobs of batch systems whose commands run the scripts here: they come, are replaced, and none is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import queues
from queues import batch

from fewbits.errors import ExecutorError
from fewbits.executors import cluster as cluster_module
from fewbits.executors.base import ENVIRONMENT
from fewbits.executors.cluster import WorkerCluster
from fewbits.executors.software import refusal, software

distributed = pytest.importorskip("distributed", reason="needs fewbits[cluster]")
pytest.importorskip("asyncssh", reason="needs fewbits[cluster]")

ALL = pytest.mark.parametrize(
    "queue",
    ["slurm", *(pytest.param(name, marks=pytest.mark.slow) for name in queues.COMMANDS if name != "slurm")],
    indirect=True,
)


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Whether it holds in time."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return held


def environment_of(client: Any) -> dict[str, str]:
    """Of a worker's process."""
    lines = client.submit(subprocess.check_output, ["env"], text=True, pure=False).result(timeout=30)
    return dict(line.split("=", 1) for line in lines.splitlines() if "=" in line)


@ALL
def test_jobs_are_workers_until_the_cluster_is_closed(queue: queues.Queue):
    with WorkerCluster(batch(queue.system)) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(2, timeout=60)
        assert environment_of(client).items() >= ENVIRONMENT.items()
        assert workers.troubles() == ()
    assert len(queue.scripts()) == queue.cancelled() == 2
    assert queue.wait_until_empty(10) == []


@pytest.mark.slow
def test_a_worker_of_the_same_installation_is_not_refused(queue: queues.Queue):
    cluster = batch(queue.system, workers=1)
    with WorkerCluster(cluster) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(1, timeout=60)
        assert refusal("node1", software(), client.submit(software).result(timeout=30)) is None


def test_a_killed_worker_comes_back_within_its_job(queue: queues.Queue):
    with WorkerCluster(batch(queue.system, workers=1)) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(1, timeout=60)
        first = client.submit(os.getpid, pure=False).result(timeout=30)
        os.kill(first, signal.SIGKILL)
        assert client.submit(os.getpid, pure=False).result(timeout=30) != first
    assert len(queue.scripts()) == 1


def test_a_job_that_ended_is_replaced(queue: queues.Queue, monkeypatch: pytest.MonkeyPatch):
    import dask.config

    monkeypatch.setitem(dask.config.config["distributed"]["deploy"], "lost-worker-timeout", "100ms")
    with WorkerCluster(batch(queue.system, workers=1)) as workers, distributed.Client(workers.dask) as client:
        client.wait_for_workers(1, timeout=60)
        for group in queue.process_groups():
            os.killpg(group, signal.SIGKILL)

        def renewed() -> bool:
            workers.renew()
            return len(queue.scripts()) > 1 and len(client.scheduler_info()["workers"]) == 1

        assert wait_for(renewed)
        assert len(queue.scripts()) == 2


def test_what_is_there_is_not_asked_for_again(queue: queues.Queue):
    submit = queue.commands / "sbatch"
    submit.write_text(submit.read_text().replace('"bash", ', '"sleep", "600", '))
    with WorkerCluster(batch(queue.system)) as workers:
        for _ in range(5):
            workers.renew()
        time.sleep(0.5)
        assert len(queue.scripts()) == 2


def test_a_refused_job_ends_the_start_with_what_the_queue_said(queue: queues.Queue):
    refusing = queue.commands / "sbatch"
    refusing.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: short' >&2\nexit 1\n")
    with pytest.raises(ExecutorError, match="invalid partition specified: short") as caught:
        WorkerCluster(batch(queue.system)).start()
    assert "\n" not in str(caught.value)


def test_an_answer_that_names_no_job_ends_the_start(queue: queues.Queue):
    (queue.commands / "sbatch").write_text("#!/bin/sh\necho 'the queue is closed'\n")
    with pytest.raises(ExecutorError, match="the queue is closed"):
        WorkerCluster(batch(queue.system)).start()


def test_a_queue_that_takes_some_jobs_is_asked_again_for_the_others(
    queue: queues.Queue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster_module, "_ASK_AGAIN_SECONDS", 0.2)
    submit = queue.commands / "sbatch"
    accepting = submit.read_text()
    lines = accepting.replace("print(", 'if job > 100: os.unlink(f"{folder}/{job}.job"); sys.exit("full")\nprint(')
    submit.write_text(lines.replace('"bash", ', '"sleep", "600", '))
    with WorkerCluster(batch(queue.system)) as workers:
        assert workers.troubles() == ("slurm started no worker: full",)
        submit.write_text(accepting.replace('"bash", ', '"sleep", "600", '))
        assert wait_for(lambda: workers.renew() or len(queue.scripts()) == 2)


def test_workers_that_do_not_come_are_said_to_be_waited_for(queue: queues.Queue):
    submit = queue.commands / "sbatch"
    submit.write_text(submit.read_text().replace('"bash", ', '"sleep", "600", '))
    said: list[str] = []
    workers = WorkerCluster(batch(queue.system))
    workers.start()
    for minute in range(10):
        said += workers._waiting(60.0 * minute)
    workers.close()
    waited = "waiting for workers: 0 of 2 after {} minutes; the others' jobs wait in the queue of slurm"
    assert said == [waited.format(minutes) for minutes in (1, 2, 4, 8)]


def test_jobs_that_still_wait_are_taken_back(queue: queues.Queue):
    submit = queue.commands / "sbatch"
    submit.write_text(submit.read_text().replace('"bash", ', '"sleep", "600", '))
    with WorkerCluster(batch(queue.system)):
        assert len(queue.scripts()) == 2
    assert queue.cancelled() == 2


def test_a_python_that_is_not_there_leaves_its_reason_in_the_jobs_output(queue: queues.Queue):
    with WorkerCluster(batch(queue.system, python="/nowhere/python")):
        assert wait_for(lambda: queue.process_groups() == [])
    assert "/nowhere/python" in queue.output()


def test_a_cluster_is_closed_twice_without_harm(queue: queues.Queue):
    workers = WorkerCluster(batch(queue.system, workers=1))
    workers.start()
    workers.close()
    workers.close()
