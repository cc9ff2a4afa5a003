"""From `--engine` to the executor that a study runs on. Loads no torch, and Dask only where it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fewbits.errors import StudyError
from fewbits.executors import Executor
from fewbits.study.folder import LOG_NAME

if TYPE_CHECKING:
    from fewbits.study.spec import StudySpec


def executor_of(engine: str, spec: StudySpec, folder: Path, workers: int | None) -> Executor | None:
    """What `run_study` takes as its executor; None for its own, processes of this machine.

    engine: `local`, `dask` (the cluster that the study describes, else workers of this machine), or `dask=` with the
    address of a scheduler or the path of its file. workers: of this machine.
    Raises StudyError if the engine is unknown or workers are given for others' machines, ExecutorError for no address.
    """
    name, separator, address = engine.partition("=")
    if name == "local" and not separator:
        return None
    if name != "dask" or (separator and not address):
        raise StudyError(
            f"engine {engine!r} is unknown: give local, dask, or dask=ADDRESS such as dask=tcp://host:8786"
        )
    from fewbits.executors.dask import DaskExecutor

    if workers is not None and (address or spec.cluster is not None):
        who = "the scheduler" if address else "the study's [cluster]"
        raise StudyError(f"--workers says how many processes of this machine work, but {who} has its own: leave it out")
    if address:
        return DaskExecutor(address)
    if spec.cluster is None:
        return DaskExecutor(workers=workers, log=folder / LOG_NAME)
    from fewbits.executors.cluster import WorkerCluster

    return DaskExecutor(WorkerCluster(spec.cluster), lost_after_s=spec.cluster.lost_after_s)
