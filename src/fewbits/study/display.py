"""A study's progress for people: live on a terminal, plain lines elsewhere. Loads no torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from fewbits.study.events import (
    Event,
    FloatNetworkTrained,
    Notice,
    Observer,
    RunFailed,
    RunFinished,
    StudyStarted,
    TaskLabel,
    TaskMeasuring,
    TaskProgress,
    TaskStarted,
)

_REFRESHES_PER_SECOND = 4

_QUIET_SECONDS = 60.0
"""Where there is no terminal, a line on a training that goes on comes this long after the line before."""


@contextmanager
def show_progress(console: Console | None = None) -> Generator[Observer]:
    """An observer for `run_study` that shows what goes on, on standard error unless another console is given."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _PlainLines(console)
        return
    view = _LiveView(console)
    with Live(
        console=console, get_renderable=view.render, refresh_per_second=_REFRESHES_PER_SECOND, transient=True
    ) as live:
        view.print = live.console.print
        yield view


_Step = TaskProgress | TaskMeasuring | None
"""What a task at work has told last."""


@dataclass
class Tally:
    """How far a study is, from its events."""

    clock: Callable[[], float] = time.monotonic
    name: str = ""
    runs: int = 0
    done: int = 0
    failed: int = 0
    running: dict[TaskLabel, _Step] = field(default_factory=dict[TaskLabel, "_Step"])
    _started: float = 0.0
    _epochs: float = 0.0
    """To be trained since the start: those that came from checkpoints are taken off."""

    _epochs_done: float = 0.0
    _skipped: dict[TaskLabel, float] = field(default_factory=dict[TaskLabel, float])
    """Epochs of running tasks that came from checkpoints."""

    _planned: dict[TaskLabel, int] = field(default_factory=dict[TaskLabel, int])

    _measures: bool = False
    """Whether networks are measured with defects, which takes time that no epoch tells of."""

    def add(self, event: Event) -> None:
        """Take an event into account."""
        match event:
            case StudyStarted():
                self.name, self.runs, self.done = event.name, event.runs, event.finished
                self._epochs, self._started = event.epochs, self.clock()
            case TaskStarted():
                self.running[event.label] = None
                self._planned[event.label] = event.epochs
            case TaskProgress():
                if event.label not in self._skipped:
                    self._skipped[event.label] = event.epoch - 1
                    self._epochs -= event.epoch - 1
                self.running[event.label] = event
            case TaskMeasuring():
                self._end(event.label)  # its epochs
                self._measures = True
                self.running[event.label] = event
            case FloatNetworkTrained():
                self._end(event.label)
            case RunFinished():
                self._end(event.label)
                self.done += 1
            case RunFailed():
                self._end(event.label)
                self.failed += 1
            case Notice():
                pass

    def _end(self, label: TaskLabel) -> None:
        self.running.pop(label, None)
        planned = self._planned.pop(label, 0)
        if label in self._skipped:
            self._epochs_done += planned - self._skipped.pop(label)
        else:  # nothing was trained: the network was on disk
            self._epochs -= planned

    @property
    def seconds_left(self) -> float | None:
        """An estimate: the epochs left at the pace so far; None while there is no pace, and where more than epochs is
        to be done.
        """
        if self._measures:
            return None
        running = list(self.running.items())  # a display's thread reads while the study goes on
        training = ((label, step) for label, step in running if isinstance(step, TaskProgress))
        under_way = sum(progress.epochs_done - self._skipped.get(label, 0.0) for label, progress in training)
        done = self._epochs_done + under_way
        if done < 0.5:  # too little to tell a pace from
            return None
        return (self.clock() - self._started) / done * max(self._epochs - done, 0.0)

    @property
    def summary(self) -> str:
        """Runs done and the time left, in words."""
        failed = f", {self.failed} failed" if self.failed else ""
        left = self.seconds_left
        return f"{self.done} of {self.runs} runs done{failed}" + (f", about {_time(left)} left" if left else "")


class _PlainLines:
    """Prints a line for each thing that has ended, and now and then one on a training that goes on."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._tally = Tally(clock)
        self._last_line = clock()

    def __call__(self, event: Event) -> None:
        self._tally.add(event)
        line = ended_line(event)
        if isinstance(event, StudyStarted):
            line = _start_line(event)
        elif isinstance(event, TaskProgress) and self._clock() - self._last_line >= _QUIET_SECONDS:
            line = f"{event.label}: {_epoch(event)}{_accuracy(event)}"
        elif isinstance(event, TaskMeasuring) and self._clock() - self._last_line >= _QUIET_SECONDS:
            line = f"{event.label}: {_measured(event)}"
        if line:
            self._last_line = self._clock()
            tail = "" if isinstance(event, (Notice, StudyStarted)) else f" ({self._tally.summary})"
            self._console.print(line + tail, highlight=False, markup=False, soft_wrap=True)


class _LiveView:
    """Runs done, and a line for each task at work; what has ended scrolls up above."""

    def __init__(self, console: Console) -> None:
        self.print: Callable[..., None] = console.print
        self._tally = Tally()

    def __call__(self, event: Event) -> None:
        self._tally.add(event)
        line = _start_line(event) if isinstance(event, StudyStarted) else ended_line(event)
        if line:
            style = "red" if isinstance(event, RunFailed) else None
            self.print(line, style=style, highlight=False, markup=False)

    def render(self) -> RenderableType:
        """What stands at the bottom of the terminal."""
        table = Table.grid(Column(no_wrap=True), Column(width=20), Column(no_wrap=True), padding=(0, 2))
        tally = self._tally
        table.add_row("study", ProgressBar(total=max(tally.runs, 1), completed=tally.done, width=20), tally.summary)
        for label, progress in list(tally.running.items()):
            if progress is None:
                table.add_row(Text(str(label)), ProgressBar(total=None, pulse=True, width=20), "")
            elif isinstance(progress, TaskMeasuring):
                bar = ProgressBar(total=progress.measured.of, completed=progress.measured.done, width=20)
                table.add_row(Text(str(label)), bar, _measured(progress))
            else:
                bar = ProgressBar(total=progress.epochs, completed=progress.epochs_done, width=20)
                table.add_row(Text(str(label)), bar, f"{_epoch(progress)}{_accuracy(progress)}")
        return Group(table)


def ended_line(event: Event) -> str | None:
    """What to say about a notice or an event that ends a task; None for another."""
    match event:
        case Notice():
            return event.text
        case FloatNetworkTrained():
            return f"{event.label}: validation {event.validation_accuracy_percent:.2f} %"
        case RunFinished():
            result = event.result
            return f"{event.label}: accuracy {result.accuracy_percent:.2f} %, {result.energy_uj:.3g} µJ an image"
        case RunFailed():
            return f"{event.label}: failed: {event.failure.error}"
        case _:
            return None


def _start_line(event: StudyStarted) -> str:
    workers = "1 worker" if event.workers == 1 else f"{event.workers} workers"
    where = f" ({event.where})" if event.where else ""
    return f"study {event.name}: {event.finished} of {event.runs} runs done before, {workers}{where}"


def _epoch(progress: TaskProgress) -> str:
    return f"epoch {progress.epoch} of {progress.epochs}, loss {progress.loss:.3f}"


def _measured(event: TaskMeasuring) -> str:
    return f"with defects: {event.measured.done} of {event.measured.of} accuracies"


def _accuracy(progress: TaskProgress) -> str:
    accuracy = progress.validation_accuracy_percent
    return "" if accuracy is None else f", validation {accuracy:.2f} %"


def _time(seconds: float) -> str:
    """A time as people say it: `40 s`, `3 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
