"""Batch systems that are none: their commands, on a folder of PATH, which run a job's script here and end it again."""

from __future__ import annotations

import os
import signal
import stat
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewbits.executors.description import SYSTEMS, ClusterSection

COMMANDS = {
    "slurm": ("sbatch", "scancel", "Submitted batch job {job}"),
    "lsf": ("bsub", "bkill", "Job <{job}> is submitted to default queue <normal>."),
    "sge": ("qsub", "qdel", 'Your job {job} ("fewbits") has been submitted'),
    "pbs": ("qsub", "qdel", "{job}.server"),
    "htcondor": ("condor_submit", "condor_rm", "Submitting job(s).\n1 job(s) submitted to cluster {job}."),
}
"""Submit, cancel, and what the first answers: as in each system's manual."""

_SUBMIT = """#!{python} -SE
import os, re, subprocess, sys
folder = {folder!r}
text = open(sys.argv[-1]).read() if len(sys.argv) > 1 else sys.stdin.read()
job = 100
while True:
    try:
        open(f"{{folder}}/{{job}}.job", "x").write(text)
        break
    except FileExistsError:  # another is being submitted
        job += 1
command = ["bash", f"{{folder}}/{{job}}.job"]
if "condor" in sys.argv[0]:  # "new" syntax of arguments, of condor_submit's manual
    line = re.search(r'^Arguments = "(.*)"$', text, re.M)[1].replace('""', '"')
    words = re.findall(r"((?:[^' ]|'(?:[^']|'')*')+)", line)
    command = ["/bin/sh", *(re.sub(r"'((?:[^']|'')*)'", lambda one: one[1].replace("''", "'"), word) for word in words)]
with open(f"{{folder}}/{{job}}.out", "w") as out:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
open(f"{{folder}}/{{job}}.pid", "w").write(str(process.pid))
print({answer!r}.format(job=job))
"""

_CANCEL = """#!{python} -SE
import os, signal, sys
folder = {folder!r}
job = sys.argv[-1].partition(".")[0]
open(f"{{folder}}/{{job}}.cancelled", "w").close()
os.killpg(int(open(f"{{folder}}/{{job}}.pid").read()), signal.SIGTERM)
"""


@dataclass(frozen=True)
class Queue:
    """One batch system's commands and the jobs that they were given."""

    system: str
    commands: Path
    """Folder for PATH."""

    folder: Path
    """Of the jobs."""

    def scripts(self) -> list[str]:
        """What was submitted."""
        return [path.read_text() for path in sorted(self.folder.glob("*.job"))]

    def cancelled(self) -> int:
        """How many jobs were ended by command."""
        return len(list(self.folder.glob("*.cancelled")))

    def process_groups(self) -> list[int]:
        """Of jobs that still run."""
        return [group for path in sorted(self.folder.glob("*.pid")) if _runs(group := int(path.read_text()))]

    def output(self) -> str:
        """Of all jobs."""
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.out")))

    def wait_until_empty(self, seconds: float) -> list[int]:
        """The jobs that still run after so long."""
        end = time.monotonic() + seconds
        while (left := self.process_groups()) and time.monotonic() < end:
            time.sleep(0.05)
        return left


def fake_queue(system: str, folder: Path) -> Queue:
    """Commands of a batch system in a folder."""
    queue = Queue(system, folder / "bin", folder / "jobs")
    queue.commands.mkdir()
    queue.folder.mkdir()
    submit, cancel, answer = COMMANDS[system]
    for name, program in ((submit, _SUBMIT), (cancel, _CANCEL)):
        path = queue.commands / name
        path.write_text(program.format(python=sys.executable, folder=str(queue.folder), answer=answer))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return queue


def on_path(queue: Queue) -> str:
    """PATH with the queue's commands first."""
    return f"{queue.commands}{os.pathsep}{os.environ['PATH']}"


def _runs(group: int) -> bool:
    """Whether a process of the group lives; one that has ended and was not waited for does not."""
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = stat_file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False


def kill_all(queue: Queue) -> None:
    """End what still runs."""
    for group in queue.process_groups():
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


JOB: dict[str, Any] = {"workers": 2, "memory": "2 GiB", "walltime": "01:00:00", "disk": "1 GiB"}


def batch(system: Any, **change: Any) -> ClusterSection:
    """Two workers by jobs of a batch system."""
    return ClusterSection(system=system, **{key: JOB[key] for key in SYSTEMS[system].needs} | change)
