"""A Dask cluster of this machine: a scheduler in this process, and workers that are processes of one thread.

Not Dask's `LocalCluster`: its workers run the caller's script a second time where that has no `if __name__ ==
"__main__"`, take Ctrl-C from the terminal, and write into it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.errors import ExecutorError
from fewbits.executors.base import LOST_AFTER_SECONDS
from fewbits.executors.worker import die_with_parent
from fewbits.executors.worker_process import Log, WorkerProcess

if TYPE_CHECKING:
    from distributed.deploy.spec import SpecCluster

_PROGRAM = "import sys; from fewbits.executors.dask_local import main; main(*sys.argv[1:])"

_STARTS_IN_VAIN = 3
"""Of each worker, one after another: then no worker will come."""

_HOST = "127.0.0.1"

_NOTHING: Any = logging.CRITICAL + 1
"""Level of what Dask logs in this process; its types say bool. What people should know comes as notices."""


def main(address: str, parent: str) -> None:
    """Be a worker of a scheduler until that closes it. parent: process id with which the worker dies."""
    die_with_parent(int(parent))
    os.environ["DASK_LOGGING__DISTRIBUTED"] = "warning"  # read when Dask is first imported
    asyncio.run(_work(address))


async def _work(address: str) -> None:
    from distributed import Worker

    # Memory is the system's to give: a limit of Dask's would end trainings that run without Dask.
    async with Worker(address, nthreads=1, host=_HOST, memory_limit=0, dashboard=False) as worker:
        await worker.finished()


class LocalWorkers:
    """A scheduler and a number of workers, each of which is replaced when it ends, and dies with this process."""

    def __init__(
        self, size: int | None = None, log: Path | None = None, lost_after_s: float = LOST_AFTER_SECONDS
    ) -> None:
        """As `ProcessExecutor`."""
        if size is not None and size < 1:
            raise ExecutorError(f"workers must be at least 1, not {size}")
        self.wanted = size or len(os.sched_getaffinity(0))
        self._log = Log(log)
        self._lost_after_s = lost_after_s
        self._cluster: SpecCluster | None = None
        self._workers: list[WorkerProcess] = []
        self._troubles: list[str] = []
        self._starts = 0

    @property
    def log(self) -> str:
        """Where people find what workers print."""
        return self._log.name

    @property
    def dask(self) -> Any:
        """What a Dask client connects to. Once started."""
        return self._cluster

    def start(self) -> None:
        """Start the scheduler and the workers, which come when they have loaded what they need."""
        from distributed import Scheduler
        from distributed.deploy.spec import SpecCluster

        self._log.open()
        has_dashboard = importlib.util.find_spec("bokeh") is not None
        options = {"host": _HOST, "port": 0, "dashboard": has_dashboard, "dashboard_address": f"{_HOST}:0"}
        self._cluster = SpecCluster({}, {"cls": Scheduler, "options": options}, silence_logs=_NOTHING)
        self._starts = 0
        self._workers = [self._started() for _ in range(self.wanted)]

    def renew(self) -> None:
        """Replace workers that have ended. Raises ExecutorError if all end as soon as they are started."""
        for worker in list(self._workers):
            worker.kill_if_stopped(self._lost_after_s)
            if worker.has_ended:
                self._workers.remove(worker)
                self._troubles.append(
                    f"worker process {worker.number} {worker.how_it_ended()}; another takes its place"
                )
                self._workers.append(self._started())
        if self._starts > _STARTS_IN_VAIN * self.wanted:
            raise ExecutorError(f"workers end as soon as they are started (see {self.log})")

    def note_arrival(self) -> None:
        """A worker has come: workers can be started."""
        self._starts = 0

    def troubles(self) -> Sequence[str]:
        """What has gone wrong with workers since the last call; a line each."""
        told, self._troubles = self._troubles, []
        return told

    def close(self) -> None:
        """End the workers, then the scheduler."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()
        for worker in workers:
            worker.wait()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
        self._log.close()

    def _started(self) -> WorkerProcess:
        self._starts += 1
        assert self._cluster is not None
        return WorkerProcess(_PROGRAM, [self._cluster.scheduler_address, str(os.getpid())], self._log)
