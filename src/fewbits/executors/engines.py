"""From `--engine` to the executor that jobs run on. Loads no torch, and Dask only where it is asked for."""

from __future__ import annotations

from pathlib import Path

from fewbits.errors import ExecutorError
from fewbits.executors.base import Executor
from fewbits.executors.description import ClusterSection


def executor_of(engine: str, cluster: ClusterSection | None, workers: int | None, log: Path | None) -> Executor | None:
    """The executor that an engine's name stands for; None for processes of this machine without Dask.

    engine: `local`, `dask` (the described cluster, else workers of this machine), or `dask=` with the address of a
    scheduler or the path of its file. workers: of this machine. log: file to which those append what they print.
    Raises ExecutorError if the engine is unknown, workers are given for others' machines, or an address is none.
    """
    name, separator, address = engine.partition("=")
    if name == "local" and not separator:
        return None
    if name != "dask" or (separator and not address):
        raise ExecutorError(
            f"engine {engine!r} is unknown: give local, dask, or dask=ADDRESS such as dask=tcp://host:8786"
        )
    from fewbits.executors.dask import DaskExecutor

    if workers is not None and (address or cluster is not None):
        who = "the scheduler" if address else "the [cluster] table"
        raise ExecutorError(
            f"--workers says how many processes of this machine work, but {who} has its own: leave it out"
        )
    if address:
        return DaskExecutor(address)
    if cluster is None:
        return DaskExecutor(workers=workers, log=log)
    if cluster.system == "local":
        return DaskExecutor(workers=cluster.workers, log=log, lost_after_s=cluster.lost_after_s)
    from fewbits.executors.cluster import WorkerCluster

    return DaskExecutor(WorkerCluster(cluster), lost_after_s=cluster.lost_after_s)
