"""Workers and parents killed at random moments: the same figures in the end, nothing lost, no process left.

The seed is printed with a failure; FEWBITS_FAULT_SEED repeats a campaign.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import children, is_alive, written

from fewbits.study import RunResult, StudySpec, read_failures, read_results, read_study, run_study

PROGRAM = """
import sys
from pathlib import Path
from fewbits.study import load_study, run_study
from fewbits.executors.engines import executor_of

spec, folder = load_study(sys.argv[1]), Path(sys.argv[2])
workers = int(sys.argv[4])
executor = executor_of(sys.argv[3], spec.cluster, workers, folder / "study.log")
pulse = Path(sys.argv[5])
outcome = run_study(
    spec, folder, None if executor else workers, executor=executor, observer=lambda event: pulse.write_text(repr(event))
)
sys.exit(1 if outcome.failed else 0)
"""

WORKER_KILLS, PARENT_KILLS = 20, 5

SECONDS = (0.0, 3.0)
"""From the first sign of work after a kill to the next one: shorter and longer than a training of this study."""


@dataclass
class Campaign:
    """A study that is started again until all kills are spent and it has finished."""

    toml: Path
    folder: Path
    engine: str
    random: random.Random
    kills: list[str]
    """`worker` or `parent`, in random order."""

    met: set[int] = field(default_factory=set[int])
    """All worker processes that were seen."""

    lost: int = 0
    """Runs that were finished once and are not any more."""

    finished: int = 0

    @property
    def pulse(self) -> Path:
        """A file that the parent writes with each event."""
        return self.folder.with_suffix(".pulse")

    def is_at_work(self) -> bool:
        """Whether a task has started, or goes on, since this was last asked after a kill."""
        with suppress(OSError):
            return self.pulse.read_text().startswith(("TaskStarted", "TaskProgress"))
        return False

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", PROGRAM, str(self.toml), str(self.folder), self.engine, "2", str(self.pulse)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)

    def look(self, parent: int) -> list[int]:
        """The workers now; and whether what was finished still is."""
        workers = children(parent)
        self.met |= set(workers)
        if (self.folder / "study.sqlite").exists():
            with suppress(Exception):  # the file is being made
                done = read_study(self.folder).finished
                self.lost += max(0, self.finished - done)
                self.finished = max(self.finished, done)
        return workers

    def sitting(self) -> bool:
        """One start, until it ends or is killed; whether the study has finished."""
        self.pulse.unlink(missing_ok=True)
        process, due = self.start(), None
        while process.poll() is None:
            workers = self.look(process.pid)
            if due is None and self.is_at_work():
                due = time.monotonic() + self.random.uniform(*SECONDS)
            if self.kills and workers and due is not None and time.monotonic() >= due:
                kill, due = self.kills.pop(), None
                with suppress(ProcessLookupError):  # it has just ended
                    os.kill(process.pid if kill == "parent" else self.random.choice(workers), signal.SIGKILL)
                self.pulse.unlink(missing_ok=True)
            time.sleep(0.02)
        return process.returncode == 0

    def orphans(self) -> list[int]:
        """Workers that are still there, after a moment's grace."""
        end = time.monotonic() + 30
        while (left := [one for one in self.met if is_alive(one)]) and time.monotonic() < end:
            time.sleep(0.1)
        return left


@pytest.mark.nightly
@pytest.mark.parametrize("engine", ["local", "dask"])
def test_random_kills_of_workers_and_parents_change_no_figure_and_lose_nothing(
    engine: str, tiny: Callable[..., StudySpec], tmp_path: Path, figures: Callable[[object], list[RunResult]]
):
    seed = int(os.environ.get("FEWBITS_FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"FEWBITS_FAULT_SEED={seed}")
    chance = random.Random(seed)
    spec = tiny(seeds=list(range(6)), float_training={"epochs": 30}, fine_tune={"epochs": 30})
    expected = figures(run_study(spec, tmp_path / "undisturbed", workers=2).results)
    kills = ["worker"] * WORKER_KILLS + ["parent"] * PARENT_KILLS
    chance.shuffle(kills)
    toml = written(spec, tmp_path / "tiny.toml")
    rounds = 0
    while kills or rounds == 0:  # a study that finishes before all kills are spent is followed by another
        rounds += 1
        campaign = Campaign(toml, tmp_path / f"out{rounds}", engine, chance, kills)
        sittings = 1
        while not campaign.sitting():
            assert campaign.orphans() == []
            sittings += 1
            assert sittings < 2 * (WORKER_KILLS + PARENT_KILLS), read_failures(campaign.folder)
        assert campaign.orphans() == []
        assert campaign.lost == 0
        assert figures(read_results(campaign.folder)) == expected
        assert read_failures(campaign.folder) == ()
    print(f"{WORKER_KILLS} workers and {PARENT_KILLS} parents killed in {rounds} studies")
