"""Schedulers of others: addresses and files that name one, workers that are refused, what is left when all is over."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

import jobs
import pytest

from fewbits import ExecutorError
from fewbits.executors import Job, JobResult
from fewbits.executors.dask_address import Address
from fewbits.executors.engines import executor_of
from fewbits.study.spec import parse_study

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")

STUDY = {"name": "s", "models": ["lenet"], "data": ["digits"], "precisions": ["fixed8"]}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://host:8786", "tcp://host:8786"),
        ("host.example.org:8786", "tcp://host.example.org:8786"),
        ("tls://10.0.0.1:8786/", "tls://10.0.0.1:8786"),
        ("[::1]:8786", "tcp://[::1]:8786"),
    ],
)
def test_an_address_is_taken_with_or_without_its_protocol(text: str, address: str):
    assert Address(text).dask == address


def test_a_scheduler_file_names_its_address(tmp_path: Path):
    (tmp_path / "s.json").write_text(json.dumps({"type": "Scheduler", "address": "tcp://10.0.0.1:8786", "workers": {}}))
    assert Address(str(tmp_path / "s.json")).dask == "tcp://10.0.0.1:8786"


@pytest.mark.parametrize("text", ["host", "", "http://host:1", "tcp://host", "/proc", "a\0b", "tcp://host:port"])
def test_what_is_neither_address_nor_file_is_refused(text: str):
    with pytest.raises(ExecutorError, match=r"is no address, and no file that can be read .*: give an address such as"):
        Address(text)


@pytest.mark.parametrize(
    "content", ["", "[]", "7", '{"address": 7}', '{"address": "host"}', "[" * 100_000, "\xff", '{"address": null}']
)
def test_a_file_that_names_no_scheduler_is_refused(content: str, tmp_path: Path):
    (tmp_path / "s.json").write_text(content, encoding="latin-1")
    with pytest.raises(ExecutorError, match="names no Dask scheduler"):
        Address(str(tmp_path / "s.json"))


@pytest.mark.parametrize("engine", ["", "dusk", "dask=", "local=2", "dask:tcp://host:1", "Dask"])
def test_an_unknown_engine_is_refused(engine: str):
    with pytest.raises(ExecutorError, match="is unknown: give local, dask, or dask=ADDRESS"):
        executor_of(engine, None, None, None)


@pytest.mark.parametrize(("engine", "more"), [("dask=tcp://h:1", {}), ("dask", {"cluster": {"system": "local"}})])
def test_workers_beside_a_cluster_that_has_its_own_are_refused(engine: str, more: dict[str, object]):
    cluster = parse_study(STUDY | more, "s.toml").cluster
    with pytest.raises(ExecutorError, match="has its own: leave it out"):
        executor_of(engine, cluster, 2, None)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch):
    from fewbits.executors import dask

    monkeypatch.setattr(dask, "_CONNECT_SECONDS", 0.5)
    with pytest.raises(ExecutorError, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:1'"):
        dask.DaskExecutor("tcp://127.0.0.1:1").start()


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler of others, with one worker; they check that it goes on."""
    from fewbits.executors.dask_local import LocalWorkers

    monkeypatch.setenv("PYTHONPATH", f"{Path(jobs.__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    workers = LocalWorkers(1, tmp_path / "log")
    workers.start()
    yield workers.dask.scheduler_address
    assert not workers._workers[0].has_ended
    workers.close()


def first_result(executor) -> object:
    while True:
        for message in executor.messages():
            if isinstance(message, JobResult):
                return message.value


@pytest.mark.slow
def test_a_scheduler_of_others_is_used_and_left_running(scheduler: str):
    from fewbits.executors.dask import DaskExecutor

    for number in (3, 4):  # two sittings, one after another
        with DaskExecutor(scheduler) as executor:
            executor.submit(Job("a", jobs.square, (number,)))
            assert first_result(executor) == number**2
            assert executor.workers == 1


@pytest.mark.slow
def test_workers_of_another_version_are_refused_in_one_line(scheduler: str, monkeypatch: pytest.MonkeyPatch):
    from fewbits.executors import software
    from fewbits.executors.dask import DaskExecutor

    here = software.software()
    older = dataclasses.replace(here, versions=dict(here.versions) | {"torch": "1.0"})
    monkeypatch.setattr(software, "software", lambda: older)
    with pytest.raises(ExecutorError, match=r"worker tcp://\S+ is refused: torch \S+ there, 1.0 here: install"):
        DaskExecutor(scheduler).start()


@pytest.mark.slow
def test_a_worker_of_several_threads_is_refused():
    from fewbits.executors.dask import DaskExecutor

    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            processes=False,
            protocol="tcp",
            dashboard_address=None,
            silence_logs="critical",
        ) as cluster,
        pytest.raises(ExecutorError, match="has 2 threads, and digits need one: start it with --nthreads 1"),
    ):
        DaskExecutor(cluster.scheduler_address).start()


@pytest.mark.slow
def test_jobs_stop_on_workers_of_others_when_the_parent_leaves(scheduler: str, tmp_path: Path):
    import time

    from fewbits.executors.dask import DaskExecutor

    with DaskExecutor(scheduler) as executor:
        executor.submit(Job("a", jobs.until_unwanted, (str(tmp_path / "stopped"),)))
        executor.messages()
    end = time.monotonic() + 30
    while not (tmp_path / "stopped").exists():
        assert time.monotonic() < end, "the job goes on"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_scheduler_that_is_gone_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from fewbits.executors import dask
    from fewbits.executors.dask_local import LocalWorkers

    monkeypatch.setenv("PYTHONPATH", f"{Path(jobs.__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(dask, "_CONNECT_SECONDS", 2.0)
    workers = LocalWorkers(1, tmp_path / "log")
    workers.start()
    with dask.DaskExecutor(workers.dask.scheduler_address) as executor:
        executor.submit(Job("a", jobs.until_unwanted, (str(tmp_path / "stopped"),)))
        executor.messages()
        workers.close()
        with pytest.raises(ExecutorError, match=r"the Dask scheduler tcp://\S+ is gone: what is finished is kept"):
            first_result(executor)


@pytest.mark.slow
def test_workers_that_end_as_soon_as_they_are_started_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from fewbits.executors import dask, dask_local

    monkeypatch.setattr(dask_local, "_PROGRAM", "raise SystemExit(3)")
    with pytest.raises(ExecutorError, match=r"workers end as soon as they are started \(see study.log\)"):
        run_to_end(dask.DaskExecutor(workers=1, log=tmp_path / "study.log"))


def run_to_end(executor) -> None:
    with executor:
        executor.submit(Job("a", jobs.square, (1,)))
        first_result(executor)
