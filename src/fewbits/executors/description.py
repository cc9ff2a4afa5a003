"""What a `[cluster]` table may say: the systems, which keys each of them knows and needs, and the checks of values.

It says where work is done, never what is computed: it is part of no run's key. Loads neither Dask nor torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from fewbits.executors.base import LOST_AFTER_SECONDS
from fewbits.toml_table import INCOMPLETE, Table

SystemName = Literal["slurm", "lsf", "sge", "pbs", "htcondor", "ssh", "local"]

_BYTES = {
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("", "k", "M", "G", "T"))},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T"), start=1)},
}

_LEAST_MEMORY = 512 * 1024**2
"""A worker that has done nothing takes 330 MiB (torch, Dask and fewbits imported, resident, measured), and Dask pauses
one at 80 % of its memory (`distributed.worker.memory.pause`): 412 MiB, and some for the work."""

_ALL = frozenset({"workers", "lost_after_s"})
"""Keys of all systems."""

_FAR = _ALL | {"memory", "python", "interface", "port", "dashboard"}
"""Of those that start workers on other machines."""

_JOB = _FAR | {"directives", "prologue", "logs"}
"""Of those that do so by jobs."""


@dataclass(frozen=True)
class System:
    """One system that starts workers."""

    knows: frozenset[str]
    """Keys of `ClusterSection` that it takes, besides `system`."""

    needs: frozenset[str]
    """Those that have no default."""

    submit: str | None = None
    """The command that submits a job; None where there is no queue."""

    directive: str = ""
    """What lines of its job scripts that speak to the queue begin with."""


_TIMED = frozenset({"workers", "memory", "walltime"})

SYSTEMS: Mapping[SystemName, System] = {
    "slurm": System(_JOB | {"walltime", "queue", "account"}, _TIMED, "sbatch", "#SBATCH"),
    "lsf": System(_JOB | {"walltime", "queue", "project"}, _TIMED, "bsub", "#BSUB"),
    "sge": System(_JOB | {"walltime", "queue", "project", "resources"}, _TIMED, "qsub", "#$"),
    "pbs": System(_JOB | {"walltime", "queue", "account", "resources"}, _TIMED, "qsub", "#PBS"),
    "htcondor": System(_JOB | {"disk"}, frozenset({"workers", "memory", "disk"}), "condor_submit"),
    "ssh": System(_FAR | {"hosts", "ssh_config"}, frozenset({"hosts"})),
    "local": System(_ALL, frozenset()),
}
"""The systems by name."""

EXAMPLES: Mapping[str, str] = {
    "workers": "8",
    "memory": '"4 GiB"',
    "walltime": '"04:00:00"',
    "disk": '"2 GiB"',
    "hosts": '["node1", "node2"]',
}
"""What a needed key may hold, for messages."""


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `4 GiB` or `500 MB`. Raises ValueError, which says what is allowed."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([kKMGT]i?B|B)", text)
    if match is None or match[2] not in _BYTES:
        raise ValueError(f"it takes a number and one of {', '.join(_BYTES)}, such as '4 GiB'")
    return int(float(match[1]) * _BYTES[match[2]])


def parse_walltime(text: str) -> int:
    """Seconds of a time such as `04:30:00` (hours, minutes, seconds). Raises ValueError, which says what is allowed."""
    match = re.fullmatch(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])", text)
    seconds = 0 if match is None else int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])
    if seconds < 60:  # LSF counts minutes
        raise ValueError("it takes hours, minutes and seconds, at least one minute, such as '04:30:00'")
    return seconds


def _memory(text: str) -> str:
    if parse_bytes(text) < _LEAST_MEMORY:
        raise ValueError(f"a worker needs at least {_LEAST_MEMORY // 1024**2} MiB, a few GiB for most networks")
    return text


def _size(text: str) -> str:
    if parse_bytes(text) < 1:
        raise ValueError("it takes at least one byte, such as '2 GiB'")
    return text


def _walltime(text: str) -> str:
    parse_walltime(text)
    return text


def _word(text: str) -> str:
    """A name that stands in a line of a job script, or on a command line."""
    if not re.fullmatch(r"[A-Za-z0-9_:.][A-Za-z0-9_@%+=,./:-]{0,199}", text):
        raise ValueError("it takes a name of letters, digits and _ @ % + = , . / : -, without spaces")
    return text


def _line(text: str) -> str:
    """One line of a job script: a second one would be a directive or command of its own."""
    if not text.isprintable() or not text.strip():
        raise ValueError("it takes one line of text, without control characters")
    return text


Word = Annotated[str, AfterValidator(_word)]
Line = Annotated[str, Field(max_length=4000), AfterValidator(_line)]
Lines = Annotated[tuple[Line, ...], Field(max_length=200)]
Hosts = Annotated[tuple[Word, ...], Field(min_length=1, max_length=10_000)]
Port = Annotated[int, Field(ge=0, le=65535)]


class ClusterSection(Table):
    """The workers of a cluster and how they are started; one table, keyed by `system`.

    The scheduler runs in the process that runs the study, which workers must reach over the network.
    """

    system: SystemName
    """What starts the workers: a batch system by jobs, of one worker each; ssh, a program on each host; local,
    processes of this machine."""

    workers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Workers of one thread. If none: of ssh one for each host, of local one for each core."""

    memory: Annotated[str, AfterValidator(_memory)] | None = None
    """Of one worker, such as `4 GiB`; the job asks for as much, and a worker that takes more is started anew. If none
    (ssh), workers share the machine's memory."""

    walltime: Annotated[str, AfterValidator(_walltime)] | None = None
    """How long a job may run: `HH:MM:SS`. A worker leaves in order before, and another job takes its place."""

    queue: Word | None = None
    """Queue (LSF, SGE, PBS) or partition (Slurm); the system's default if none."""

    account: Word | None = None
    """What the time is charged to, of Slurm and PBS (`-A`)."""

    project: Word | None = None
    """The same, of LSF and SGE (`-P`)."""

    resources: Line | None = None
    """What SGE and PBS are asked for by `-l`. SGE asks for no memory without it, as its name differs by site, such as
    `mem_free=4G`; PBS asks for one core and `memory`."""

    disk: Annotated[str, AfterValidator(_size)] | None = None
    """Of one job, of HTCondor, such as `2 GiB`."""

    directives: Lines = ()
    """More options for the queue, without what such lines begin with: `--exclusive`; of HTCondor `key = value`."""

    python: Line | None = None
    """The interpreter on the workers' machines, in which the same fewbits is installed; this one's path if none."""

    prologue: Lines = ()
    """Lines of shell before the worker starts, such as `module load python`."""

    interface: Word | None = None
    """Network interface on which scheduler and workers meet, such as `ib0`."""

    port: Port = 0
    """Where the scheduler listens; 0 takes a free port."""

    dashboard: Word | None = None
    """Address of Dask's dashboard, such as `:8787`; none if none. It wants the package bokeh."""

    lost_after_s: Annotated[float, Field(gt=0, le=86_400)] = LOST_AFTER_SECONDS
    """Seconds after which a worker without a sign of life counts as lost, and its task is given to another."""

    logs: Word | None = None
    """Folder for the jobs' output; where the system puts it if none."""

    hosts: Hosts | None = None
    """Of ssh: machines to start workers on, in turn."""

    ssh_config: Line | None = None
    """Of ssh: a file in OpenSSH's form (user, port, key, known hosts); `~/.ssh/config` if none."""

    @field_validator("*")
    @classmethod
    def _refuse_of_another_system(cls, value: object, info: ValidationInfo) -> object:
        name, key = info.data.get("system"), str(info.field_name)
        if name is None or key == "system" or key in SYSTEMS[name].knows:
            return value
        knowing = [other for other, system in SYSTEMS.items() if key in system.knows]
        raise ValueError(f"{name} does not know it, {_listed(knowing)} {'does' if len(knowing) == 1 else 'do'}")

    @field_validator("directives")
    @classmethod
    def _refuse_unlike_the_system(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        system = SYSTEMS.get(info.data.get("system", "local"))
        for line in value:
            if system is not None and system.directive and line.lstrip().startswith("#"):
                raise ValueError(f"leave out what the lines begin with ({system.directive})")
            if info.data.get("system") == "htcondor" and not re.fullmatch(r"[A-Za-z_+][\w.]*\s*=\s*.+", line):
                raise ValueError("htcondor takes lines such as 'getenv = true'")
        return value

    @model_validator(mode="after")
    def _refuse_incomplete(self) -> ClusterSection:
        missing = sorted(key for key in SYSTEMS[self.system].needs if getattr(self, key) is None)
        if missing:
            lines = ", ".join(f"{key} = {EXAMPLES[key]}" for key in missing)
            raise PydanticCustomError(
                INCOMPLETE, "{text}", {"text": f"{self.system} needs {_listed(missing)}: give {lines}"}
            )
        return self

    def count(self, cores: int) -> int:
        """How many workers there are to be. cores: of this machine, for `local`."""
        return self.workers or (cores if self.hosts is None else len(self.hosts))


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
