"""From a cluster's description to its workers: by jobs of a batch system, over SSH, or as processes of this machine.

Dask starts them (dask-jobqueue for the batch systems, asyncssh for SSH) and is imported late. The scheduler always runs
in this process, so that nothing is left to do jobs when it ends: a worker that has lost it stops.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from fewbits.errors import ExecutorError
from fewbits.executors.base import ENVIRONMENT, one_line
from fewbits.executors.description import SYSTEMS, ClusterSection, SystemName, parse_bytes, parse_walltime

if TYPE_CHECKING:
    from distributed.deploy.spec import SpecCluster

DEATH_TIMEOUT_SECONDS = 60
"""How long a worker looks for its scheduler before it ends: dask-jobqueue's default (`death-timeout`)."""

_LIFETIME, _STAGGER = 55 / 60, 4 / 60
"""Of the walltime: when a worker leaves, and by how much workers differ in it, so that not all leave at once. The
ratios of dask-jobqueue's manual, "How to handle job queueing system walltime killing workers": 55 and 4 minutes of an
hour."""

_JOB_NAME = "fewbits"
"""PBS takes 15 characters."""

_ADDRESS = "tcp://<address of this machine>:<port>"
"""Stands in shown scripts for the scheduler, which has no address before it runs."""

_REFUSED = "fewbits_refused"
"""Marks a worker of Dask's that could not be asked for."""

Answer = Callable[[str | None], None]
"""Told of each worker that was asked for; with why, if it was refused."""

_NEEDED = "the packages of clusters are not installed: pip install 'fewbits[cluster]'"

_CLASSES: Mapping[SystemName, str] = {
    "slurm": "SLURMCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "pbs": "PBSCluster",
    "htcondor": "HTCondorCluster",
}
"""Of dask-jobqueue, by batch system."""

_OPTIONS: Mapping[SystemName, Callable[[ClusterSection], dict[str, Any]]] = {
    "slurm": lambda cluster: {"queue": cluster.queue, "account": cluster.account, "walltime": cluster.walltime},
    "lsf": lambda cluster: {
        "queue": cluster.queue,
        "project": cluster.project,
        "walltime": _hours_and_minutes(cluster),
    },
    "sge": lambda cluster: {
        "queue": cluster.queue,
        "project": cluster.project,
        "resource_spec": cluster.resources,
        "walltime": cluster.walltime,
    },
    "pbs": lambda cluster: {
        "queue": cluster.queue,
        "account": cluster.account,
        "resource_spec": cluster.resources,
        "walltime": cluster.walltime,
    },
    "htcondor": lambda cluster: {"disk": _size(cluster.disk)},
}
"""What a batch system's class takes besides what all take."""


def job_script(cluster: ClusterSection) -> str:
    """What starts one worker: the job that would be submitted, or the command that would be run.

    Nothing is submitted, and the batch system's command need not be there. Raises ExecutorError without the packages.
    """
    if cluster.system in _CLASSES:
        return _job_class(cluster)(_ADDRESS, name=f"{_JOB_NAME}-0", **_job_options(cluster)).job_script().strip()
    if cluster.system == "ssh":
        command = f"{_remote_python(cluster)} -m distributed.cli.dask_spec {_ADDRESS}"
        hosts = ssh_hosts(cluster)
        return "\n".join(f"ssh {host} {command}" for host in dict.fromkeys(hosts)) + f"\n# {len(hosts)} workers"
    return f"# {cluster.count(_cores())} worker processes of this machine"


def notes(cluster: ClusterSection) -> tuple[str, ...]:
    """What a person should know of the description before it is used; a line each."""
    lines: list[str] = []
    if cluster.system == "sge" and cluster.resources is None:
        lines.append(
            f"sge is asked for no memory, since its name differs by site: say it, such as resources = "
            f"'mem_free={(cluster.memory or '').replace(' ', '')}'; a worker that takes more than {cluster.memory} is "
            "started anew"
        )
    if cluster.walltime is not None:
        minutes = parse_walltime(cluster.walltime) * _LIFETIME / 60
        lines.append(f"a worker leaves after {minutes:.0f} minutes of its {cluster.walltime}; another job replaces it")
    return tuple(lines)


class WorkerCluster:
    """The workers of a described cluster, from `start` to `close`; a context manager."""

    def __init__(self, cluster: ClusterSection) -> None:
        self.description = cluster
        self.wanted = cluster.count(_cores())
        """How many workers there are to be."""

        self._dask: SpecCluster | None = None
        self._asked = threading.Condition()
        self._answers: list[str | None] = []
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the scheduler, and ask for the workers; jobs wait in the queue for as long as they must.

        Raises ExecutorError if the packages or the batch system's command are not there, or if no worker can be asked
        for; nothing is left behind then.
        """
        system = SYSTEMS[self.description.system]
        if system.submit is not None and shutil.which(system.submit) is None:
            raise ExecutorError(
                f"{self.description.system} takes jobs by {system.submit!r}, which is not on this machine: start the "
                "study where it is (a login node), or choose another [cluster] system; --dry-run shows the job script"
            )
        try:
            start = _batch if self.description.system in _CLASSES else _STARTERS[self.description.system]
            self._dask = start(self.description, self._answer)
            self._wait_for_answers()
        except ImportError as error:
            raise ExecutorError(f"{_NEEDED} ({one_line(str(error))})") from None
        except ExecutorError:
            raise
        except Exception as error:
            raise self._refused(str(error)) from None
        except BaseException:  # Ctrl-C while jobs are submitted
            self.close()
            raise
        if len(reasons := [one for one in self._answers if one is not None]) == self.wanted:
            self.close()
            raise self._refused(reasons[0])

    @property
    def dask(self) -> SpecCluster:
        """What a Dask client connects to."""
        if self._dask is None:
            raise ExecutorError("the cluster is not started")
        return self._dask

    def renew(self) -> None:
        """Ask for workers in place of those that left: at their walltime's end, or since their job was ended.

        A worker that is only killed is started anew by its job. To be called now and then, such as each minute: what a
        queue refused is asked for again.
        """
        if self._dask is None or self.description.system == "local":
            return
        for name, worker in list(self._dask.workers.items()):
            if getattr(worker, _REFUSED, False):
                del self._dask.workers[name]
        self._dask.scale(self.wanted)

    def troubles(self) -> tuple[str, ...]:
        """What has gone wrong with asking for workers and was not told before; a line each."""
        with self._asked:
            reasons = dict.fromkeys(one for one in self._answers if one is not None and one not in self._told)
        self._told.update(reasons)
        return tuple(f"{self.description.system} started no worker: {reason}" for reason in reasons)

    def close(self) -> None:
        """End all workers, and take back jobs that still wait in the queue."""
        dask, self._dask = self._dask, None
        if dask is not None:
            with suppress(TimeoutError):
                dask.close()

    def _answer(self, reason: str | None) -> None:
        """Note that a worker was asked for; reason: why it was refused."""
        with self._asked:
            self._answers.append(reason)
            self._asked.notify_all()

    def _wait_for_answers(self) -> None:
        """Until each worker is asked for, so that a queue that takes no job is told at once."""
        if self.description.system != "local":
            with self._asked:
                self._asked.wait_for(lambda: len(self._answers) >= self.wanted)

    def _refused(self, reason: str) -> ExecutorError:
        return ExecutorError(f"no worker of {self.description.system} was started: {one_line(reason)}")


def ssh_hosts(cluster: ClusterSection) -> tuple[str, ...]:
    """The host of each worker: the hosts in turn."""
    hosts = cluster.hosts or ()
    return tuple(hosts[number % len(hosts)] for number in range(cluster.count(len(hosts))))


def _batch(cluster: ClusterSection, answer: Answer) -> SpecCluster:
    """Workers by jobs."""
    return getattr(_jobqueue(), _CLASSES[cluster.system])(
        n_workers=cluster.count(_cores()),
        job_cls=_answering(_job_class(cluster), answer),
        scheduler_options=_scheduler_options(cluster),
        silence_logs=logging.CRITICAL,
        name=f"{_JOB_NAME}-{os.getpid()}",
        **_job_options(cluster),
    )


def _over_ssh(cluster: ClusterSection, answer: Answer) -> SpecCluster:
    from distributed import Scheduler
    from distributed.deploy.spec import SpecCluster
    from distributed.deploy.ssh import Worker

    memory = _size(cluster.memory)
    options = {
        "nthreads": 1,
        "memory_limit": 0 if memory is None else memory,
        "death_timeout": DEATH_TIMEOUT_SECONDS,
        **({} if cluster.interface is None else {"interface": cluster.interface}),
    }
    connect = {} if cluster.ssh_config is None else {"config": [str(Path(cluster.ssh_config).expanduser())]}
    kind = _answering(Worker, answer)
    silence: Any = logging.CRITICAL  # a level, as of the other kinds; declared as a truth value
    return SpecCluster(
        {
            number: {
                "cls": kind,
                "options": {
                    "address": host,
                    "connect_options": connect,
                    "kwargs": {**options, "name": f"{host}-{number}"},
                    "remote_python": _remote_python(cluster),
                },
            }
            for number, host in enumerate(ssh_hosts(cluster))
        },
        {"cls": Scheduler, "options": _scheduler_options(cluster)},
        name=f"{_JOB_NAME}-{os.getpid()}",
        silence_logs=silence,
    )


def _on_this_machine(cluster: ClusterSection, _: Answer) -> SpecCluster:
    import dask.config
    from distributed import LocalCluster

    memory = _size(cluster.memory)
    dashboard: Any = cluster.dashboard  # None for none, which the declared type leaves out
    with dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}):
        return LocalCluster(
            n_workers=cluster.count(_cores()),
            threads_per_worker=1,
            processes=True,
            memory_limit=0 if memory is None else memory,
            scheduler_port=cluster.port,
            dashboard_address=dashboard,
            env=dict(ENVIRONMENT),
            silence_logs=logging.CRITICAL,
        )


_STARTERS: Mapping[SystemName, Callable[[ClusterSection, Answer], SpecCluster]] = {
    "ssh": _over_ssh,
    "local": _on_this_machine,
}
"""Of the systems without a queue."""


def _jobqueue() -> Any:
    try:
        import dask_jobqueue
    except ImportError as error:
        raise ExecutorError(f"{_NEEDED} ({one_line(str(error))})") from None
    return dask_jobqueue


def _job_class(cluster: ClusterSection) -> type[Any]:
    return getattr(_jobqueue(), _CLASSES[cluster.system]).job_cls


def _answering(kind: type[Any], answer: Answer) -> type[Any]:
    """A kind of worker that tells whether it could be asked for, which Dask only logs.

    One that could not counts as started, until `renew` asks anew: Dask would print the error with its traceback.
    """
    from distributed.deploy.spec import ProcessInterface

    async def start(self: Any) -> None:
        try:
            await kind.start(self)
        except Exception as error:
            setattr(self, _REFUSED, True)
            await ProcessInterface.start(self)
            where = getattr(self, "address", None)  # of SSH; a job has none yet
            answer(f"{where}: {_reason(error)}" if where else _reason(error))
        else:
            answer(None)

    return type(kind.__name__, (kind,), {"start": start})


def _reason(error: Exception) -> str:
    """Why a worker was not started; of a command that failed, what it said."""
    text = str(error) or type(error).__name__
    said = text.partition("stderr:\n")[2].strip() or text.partition("stdout:\n")[2].partition("stderr:")[0].strip()
    return one_line(said or text)


def _job_options(cluster: ClusterSection) -> dict[str, Any]:
    """What dask-jobqueue's classes take for one worker of one thread."""
    common = {
        "cores": 1,
        "processes": 1,
        "memory": f"{_size(cluster.memory)} B",
        "nanny": True,  # a worker that is killed comes back within its job
        "death_timeout": DEATH_TIMEOUT_SECONDS,
        "job_name": _JOB_NAME,
        "python": shlex.quote(cluster.python or sys.executable),
        "job_script_prologue": [*(f"export {name}={value}" for name, value in ENVIRONMENT.items()), *cluster.prologue],
        "job_extra_directives": _directives(cluster),
        "worker_extra_args": _lifetime(cluster),
        "interface": cluster.interface,
        "log_directory": cluster.logs,
    }
    return common | _OPTIONS[cluster.system](cluster)


def _directives(cluster: ClusterSection) -> Any:
    """More options for the queue; None takes those of the site's Dask configuration, if it has any."""
    if not cluster.directives:
        return None
    if cluster.system != "htcondor":
        return list(cluster.directives)
    pairs = (line.partition("=") for line in cluster.directives)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _lifetime(cluster: ClusterSection) -> list[str]:
    """Leave in order before the walltime is over."""
    if cluster.walltime is None:
        return []
    seconds = parse_walltime(cluster.walltime)
    return ["--lifetime", f"{seconds * _LIFETIME:.0f}s", "--lifetime-stagger", f"{seconds * _STAGGER:.0f}s"]


def _scheduler_options(cluster: ClusterSection) -> dict[str, Any]:
    """Of the scheduler in this process."""
    where = {} if cluster.interface is None else {"interface": cluster.interface}
    return {
        **where,
        "port": cluster.port,
        "dashboard": cluster.dashboard is not None,
        "dashboard_address": cluster.dashboard or ":0",
    }


def _remote_python(cluster: ClusterSection) -> str:
    """The interpreter on another machine, with the environment of workers."""
    variables = " ".join(f"{name}={value}" for name, value in ENVIRONMENT.items())
    return f"env {variables} {shlex.quote(cluster.python or sys.executable)}"


def _hours_and_minutes(cluster: ClusterSection) -> str | None:
    """The walltime as LSF takes it, minutes rounded up."""
    if cluster.walltime is None:
        return None
    hours, minutes = divmod(-(-parse_walltime(cluster.walltime) // 60), 60)
    return f"{hours:02}:{minutes:02}"


def _size(text: str | None) -> int | None:
    return None if text is None else parse_bytes(text)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
