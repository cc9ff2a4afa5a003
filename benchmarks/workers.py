"""Two workers against one, on two cores: seconds of the whole command, for the default study and one of two seeds.

Each round runs every study on every engine with one worker and with two, in turn, each as a command of its own in a new
folder, so that a busy machine slows all alike; a ratio is the median over the rounds. The figures of all commands must
be equal, or the benchmark ends with an error. How busy the machine is with others, and how much of it the host takes
(/proc/stat), is printed beside: above a few percent the ratios tell little.

    python benchmarks/workers.py [--rounds 5] [--engines local dask] [--studies default two-seeds] [--json FILE]
    python benchmarks/workers.py --timeline 2 [--studies default]

The second prints who does what when in one sitting of the local engine, and what would be the shortest time for those
tasks on one worker more.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fewbits.study import load_study, run_study
from fewbits.study.events import (
    Event,
    FloatNetworkTrained,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskProgress,
    TaskStarted,
)

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """One command."""

    seconds: float
    processor_s: float
    """Of the command and all its workers."""

    others_percent: float
    """Of the machine's processor time, what others had or waited for."""

    figures: str
    """Of all runs, without times, as JSON."""


def preset(name: str) -> str:
    """The text of the default study; `two-seeds` is the same with two seeds."""
    text = Path(__file__).resolve().parents[1].joinpath("src/fewbits/study/presets/default.toml").read_text("utf-8")
    if name == "default":
        return text
    assert text.count("seeds = [0]") == text.count('name = "default"') == 1
    return text.replace("seeds = [0]", "seeds = [0, 1]").replace('name = "default"', 'name = "two-seeds"')


def busy_seconds() -> float:
    """Processor time of this machine so far, all cores, with what the host took: all but idle and waiting for disks."""
    fields = [int(field) for field in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def measure(study: Path, engine: str, workers: int, folder: Path) -> Measured:
    """Run the study by one command."""
    command = [sys.executable, "-m", "fewbits", "run", str(study), "--out", str(folder), "--engine", engine, "--json"]
    before, busy, start = processor_s(), busy_seconds(), time.perf_counter()
    done = subprocess.run(
        [*command, "--workers", str(workers)], capture_output=True, text=True, check=False, cwd=folder.parent
    )
    seconds, ours = time.perf_counter() - start, processor_s() - before
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")
    others = max(0.0, busy_seconds() - busy - ours) / (seconds * (os.cpu_count() or 1))
    return Measured(seconds, ours, 100 * others, json.dumps(without_times(json.loads(done.stdout)), sort_keys=True))


def processor_s() -> float:
    """Of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def without_times(value: object) -> object:
    """A JSON value without the entries that are times."""
    if isinstance(value, dict):
        return {key: without_times(entry) for key, entry in value.items() if not key.endswith(("time_s", "seconds"))}
    return [without_times(entry) for entry in value] if isinstance(value, list) else value


def compare(studies: list[str], engines: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Measure in turn, print a line for each study and engine, and return its figures."""
    found: dict[tuple[str, str, int], list[Measured]] = {}
    figures: dict[str, str] = {}
    for turn in range(rounds):
        for name in studies:
            for engine in engines:
                for workers in (1, 2) if turn % 2 == 0 else (2, 1):
                    with tempfile.TemporaryDirectory() as folder:
                        study = Path(folder, f"{name}.toml")
                        study.write_text(preset(name), encoding="utf-8")
                        one = measure(study, engine, workers, Path(folder, "out"))
                    if figures.setdefault(name, one.figures) != one.figures:
                        raise SystemExit(f"{name}: {workers} workers of engine {engine} gave other figures")
                    found.setdefault((name, engine, workers), []).append(one)
                    print(f"{turn + 1} {name} {engine} {workers}: {told(one)}", file=sys.stderr, flush=True)
    return {f"{name} {engine}": summary(name, engine, found) for name in studies for engine in engines}


def told(one: Measured) -> str:
    """A command's figures in words."""
    return f"{one.seconds:.1f} s, {one.processor_s:.1f} s of processors, others {one.others_percent:.0f} %"


def summary(name: str, engine: str, found: dict[tuple[str, str, int], list[Measured]]) -> dict[str, float]:
    """The medians of a study on an engine, printed."""
    alone, both = found[name, engine, 1], found[name, engine, 2]
    ratios = [one.seconds / two.seconds for one, two in zip(alone, both, strict=True)]
    figures = {
        "one_worker_s": statistics.median(one.seconds for one in alone),
        "two_workers_s": statistics.median(two.seconds for two in both),
        "ratio": statistics.median(ratios),
        "least_ratio": min(ratios),
        "highest_ratio": max(ratios),
        "one_worker_processor_s": statistics.median(one.processor_s for one in alone),
        "two_workers_processor_s": statistics.median(two.processor_s for two in both),
        "others_percent": max(one.others_percent for one in (*alone, *both)),
    }
    print(
        f"{name}, {engine}: {figures['one_worker_s']:.1f} s with one worker, {figures['two_workers_s']:.1f} s with "
        f"two: {figures['ratio']:.2f} times as fast ({figures['least_ratio']:.2f} to {figures['highest_ratio']:.2f}); "
        f"processor time {figures['one_worker_processor_s']:.1f} and {figures['two_workers_processor_s']:.1f} s; "
        f"others had up to {figures['others_percent']:.0f} % of the machine"
    )
    return figures


@dataclass
class Timeline:
    """When each task began and ended, from a study's events."""

    began: float = field(default_factory=time.perf_counter)
    started_s: float = 0.0
    """When the first task was given out."""

    tasks: dict[TaskLabel, list[float]] = field(default_factory=dict[TaskLabel, list[float]])
    """Given out, first progress if any, ended; in seconds."""

    def __call__(self, event: Event) -> None:
        """Take an event into account."""
        now = time.perf_counter() - self.began
        match event:
            case StudyStarted():
                self.started_s = now
            case TaskStarted():
                self.tasks[event.label] = [now]
            case TaskProgress() if len(self.tasks[event.label]) == 1:
                self.tasks[event.label].append(now)
            case FloatNetworkTrained() | RunFinished() | RunFailed():
                self.tasks[event.label].append(now)
            case _:
                pass

    def lines(self) -> Iterator[str]:
        """A line for each task, in the order in which they began."""
        yield f"{self.started_s:7.2f}         the plan stands"
        for label, times in self.tasks.items():
            trains = f", trains from {times[1]:.2f}" if len(times) == 3 else ""
            yield f"{times[0]:7.2f} {times[-1]:7.2f} {label}{trains}"

    def shortest_s(self, workers: int) -> float:
        """With so many workers, if these durations stayed: float networks first, then each run on the first free one,
        in this order, then the plan's time before and after.
        """
        free = [self.started_s] * workers
        ready: dict[tuple[str, str, int], float] = {}
        for label, times in self.tasks.items():
            network = (label.model, label.data, label.seed)
            worker = min(range(workers), key=free.__getitem__)
            free[worker] = max(free[worker], ready.get(network, 0.0)) + times[-1] - times[0]
            ready.setdefault(network, free[worker])
        return max(free)


def show_timeline(name: str, workers: int) -> None:
    """Print who does what when."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder, f"{name}.toml")
        study.write_text(preset(name), encoding="utf-8")
        timeline = Timeline()
        run_study(load_study(study), Path(folder, "out"), workers=workers, observer=timeline)
        total = time.perf_counter() - timeline.began
    print(f"{name}, {workers} workers: {total:.1f} s")
    print("\n".join(timeline.lines()))
    print(f"the same durations on {workers + 1} workers: {timeline.shortest_s(workers + 1):.1f} s")


def main() -> None:
    """Measure, or print a timeline."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--engines", nargs="*", default=["local", "dask"])
    parser.add_argument("--studies", nargs="*", choices=["default", "two-seeds"], default=["default", "two-seeds"])
    parser.add_argument(
        "--timeline", type=int, metavar="WORKERS", help="print one sitting with so many workers instead"
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    if arguments.timeline:
        for name in arguments.studies:
            show_timeline(name, arguments.timeline)
        return
    print(f"load before: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
    figures = compare(arguments.studies, arguments.engines, arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
