"""An observer that passes a study's events on to sinks, each on a thread of its own, and never waits for one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from fewbits.study.events import Event, Notice, Observer, RunFailed, RunFinished, TaskProgress

if TYPE_CHECKING:
    from fewbits.study.result import RunResult
    from fewbits.study.tracking.sinks import SinkWriter

PATIENCE_SECONDS = 10.0
"""A study that has ended waits for a sink while that gets on, and so long without a step of it: about the limit of a
person's attention (J. Nielsen, "Usability Engineering", 1993, section 5.5)."""

MOST_WAITING = 10_000
"""Calls that wait for a slow sink; beyond, epochs are left out, since each comes again with its finished run."""

_USER = re.compile(r"://[^/@\s]+@")
"""Name and password in an address."""

_Call = Callable[[], None]


class _Channel:
    """One sink's thread: does one call after another, until one fails."""

    def __init__(self, name: str, writer: SinkWriter) -> None:
        self.name = name
        self.writer = writer
        self.error = ""
        self.steps = 0
        """Calls done."""

        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"fewbits-{name}", daemon=True)
        self._thread.start()

    def put(self, call: _Call, *, may_be_left_out: bool = False) -> None:
        """Do it after all that was put before."""
        if not (may_be_left_out and self._calls.qsize() >= MOST_WAITING):
            self._calls.put(call)

    def end(self) -> None:
        """No call comes after those that were put."""
        self._calls.put(self.writer.close)
        self._calls.put(None)

    def wait(self) -> bool:
        """Until all is done, or nothing more gets done; which of the two."""
        steps = -1
        while self._thread.is_alive() and steps != self.steps:
            steps = self.steps
            self._thread.join(PATIENCE_SECONDS)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            if self.error:
                continue
            try:
                call()
            except (Exception, SystemExit) as error:  # whatever another program's client raises
                self.error = _USER.sub("://...@", " ".join(f"{type(error).__name__}: {error}".split()))[:300]
            self.steps += 1


class _Tracker:
    """Tells the observer, then every sink; a sink that has failed is told of once."""

    def __init__(self, observer: Observer, channels: list[_Channel], afterwards: str) -> None:
        self._observer = observer
        self._channels = channels
        self._afterwards = afterwards
        self._complained: set[str] = set()

    def __call__(self, event: Event) -> None:
        self._observer(event)
        for channel in self._channels:
            _pass_on(event, channel)
        self._complain()

    def stored(self, runs: Iterable[RunResult]) -> None:
        """Runs that had finished before."""
        for run in runs:
            for channel in self._channels:
                channel.put(lambda writer=channel.writer, run=run: writer.finished(run))

    def close(self) -> None:
        """Wait for the sinks, as long as they get on."""
        for channel in self._channels:
            channel.end()
        for channel in self._channels:
            if not channel.wait() and not channel.error:
                channel.error = f"it has done nothing for {PATIENCE_SECONDS:g} s"
        self._complain()

    def _complain(self) -> None:
        for channel in self._channels:
            if channel.error and channel.name not in self._complained:
                self._complained.add(channel.name)
                self._observer(
                    Notice(
                        f"sink {channel.name!r} has stopped: {channel.error}; the study's own results are not touched. "
                        f"Once it works: {self._afterwards.format(channel.name)}"
                    )
                )


def _pass_on(event: Event, channel: _Channel) -> None:
    writer = channel.writer
    match event:
        case TaskProgress() if event.epochs_ended:
            channel.put(lambda: writer.epochs(event.label, event.epochs_ended), may_be_left_out=True)
        case RunFinished():
            channel.put(lambda: writer.finished(event.result))
        case RunFailed():
            channel.put(lambda: writer.failed(event.failure))
        case _:
            pass


@contextmanager
def tracked(
    observer: Observer, writers: Mapping[str, SinkWriter], stored: Iterable[RunResult], folder: str
) -> Generator[Observer]:
    """An observer that tells the sinks too, of runs that had finished before first.

    A sink that fails is named to the observer in a notice; it neither stops nor slows the study. folder: the study's,
    for the notice.
    """
    if not writers:
        yield observer
        return
    channels = [_Channel(name, writer) for name, writer in writers.items()]
    tracker = _Tracker(observer, channels, f"fewbits report {folder} --track {{}}")
    tracker.stored(stored)
    try:
        yield tracker
    finally:
        tracker.close()


def send_stored(writers: Mapping[str, SinkWriter], stored: Iterable[RunResult], folder: str) -> tuple[str, ...]:
    """Tell sinks of a stored study's runs; a line for each sink that failed."""
    lines: list[str] = []

    def note(event: Event) -> None:
        if isinstance(event, Notice):
            lines.append(event.text)

    with tracked(note, writers, stored, folder):
        pass
    return tuple(lines)
