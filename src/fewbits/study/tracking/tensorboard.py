"""Curves and figures as TensorBoard's event files: a folder a run, hyperparameters and final figures with it."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fewbits.errors import StudyError
from fewbits.study.events import FLOAT_TRAINING, point_of
from fewbits.study.tracking.sinks import SinkWriter, plain_figures

if TYPE_CHECKING:
    from fewbits.study.events import TaskLabel
    from fewbits.study.result import RunResult
    from fewbits.train import EpochRecord

_TAGS = {
    "loss": "loss/training",
    "validation_loss": "loss/validation",
    "validation_accuracy_percent": "accuracy/validation",
    "learning_rate": "learning rate",
}
"""Of the figures of an epoch, by its field."""

_NUMBERS = itertools.count()
"""Of the files of this process, which tell those of one second apart."""

_LIVE, _WHOLE = ".fewbits-live", ".fewbits-{}"
"""Endings of files' names: of a training that goes on, and of one that is whole, with what tells it from others."""

_NAME_LENGTH = 40
"""Characters of each word in a folder's name."""


class TensorBoardWriter(SinkWriter):
    """Writes below FOLDER/STUDY; each run's folder ends with the beginning of its key."""

    def __init__(self, folder: Path, study: str) -> None:
        """Raises StudyError if tensorboard is not installed."""
        try:
            import torch.utils.tensorboard  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError:
            raise StudyError(
                "the sink 'tensorboard' needs tensorboard, which is not installed: pip install 'fewbits[tracking]'"
            ) from None
        self._folder = folder / study
        self._live: dict[Path, tuple[_Events, int]] = {}
        """By a run's folder: the file under way, and the last epoch in it."""

    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        """Each epoch once; what an earlier sitting wrote of the same epochs gives way."""
        is_float = task.recipe == FLOAT_TRAINING
        words = (task.model, task.data, task.recipe if is_float else f"{task.precision} {task.recipe}")
        folder = self._folder / _folder_name(words, task.seed, _of_float(words) if is_float else task.key)
        if folder not in self._live:
            folder.mkdir(parents=True, exist_ok=True)
            self._live[folder] = (_Events((folder / _file_name(_LIVE)).open("xb"), epochs[0].epoch), 0)
        file, last = self._live[folder]
        for epoch in epochs:
            if epoch.epoch > last:
                file.add_epoch(epoch)
        self._live[folder] = (file, max(last, epochs[-1].epoch))
        file.stream.flush()

    def finished(self, run: RunResult) -> None:
        """The run's folder, and its float network's, from the first epoch to the last; what is there already stays."""
        if run.float_history:
            digest = hashlib.sha256(repr([asdict(epoch) for epoch in run.float_history]).encode()).hexdigest()
            words = (run.model, run.data, FLOAT_TRAINING)
            self._write(_folder_name(words, run.seed, _of_float(words)), digest, run.float_history, None)
        words = (run.model, run.data, f"{run.precision} {run.recipe}")
        self._write(_folder_name(words, run.seed, run.key), run.key, run.history, run)

    def close(self) -> None:
        """Close the files of trainings that were cut off; they stay."""
        for file, _ in self._live.values():
            file.stream.close()
        self._live.clear()

    def _write(self, name: str, digest: str, history: Sequence[EpochRecord], run: RunResult | None) -> None:
        """A file that is whole, in a run's folder. digest: told by its name, so that it is written once."""
        folder, ending = self._folder / name, _WHOLE.format(_plain(digest[:16]))
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.glob(f"events.out.tfevents.*{ending}")):
            content = io.BytesIO()
            events = _Events(content, 0)
            for epoch in history:
                events.add_epoch(epoch)
            if run is not None:
                events.add_figures(run)
            partial = folder / ".fewbits-partial"
            partial.write_bytes(content.getvalue())
            partial.replace(folder / _file_name(ending))
        if folder in self._live:
            self._live.pop(folder)[0].stream.close()
        for old in folder.glob(f"events.out.tfevents.*{_LIVE}"):
            old.unlink()


class _Events:
    """An event file: records of Event messages (tensorboard/compat/proto/event.proto)."""

    def __init__(self, stream: IO[bytes], first: int) -> None:
        """first: epochs from this one on that older files of the folder have are not shown any more."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.stream = stream
        self._records = RecordWriter(stream)
        messages: Any = event_pb2  # its classes are made when it is imported
        self._event: Any = messages.Event
        summaries: Any = summary_pb2
        self._summary: Any = summaries.Summary
        self._add(file_version="brain.Event:2")
        self._add(step=first, session_log=messages.SessionLog(status=messages.SessionLog.START))

    def add_epoch(self, epoch: EpochRecord) -> None:
        """The figures of an epoch, at its number."""
        self._add_numbers({tag: getattr(epoch, name) for name, tag in _TAGS.items()}, epoch.epoch)

    def add_figures(self, run: RunResult) -> None:
        """Numbers as scalars and as metrics of the hyperparameters, in whose table TensorBoard sorts and plots them."""
        from torch.utils.tensorboard.summary import hparams, text

        figures = dict(plain_figures(run))
        numbers = {f"figures/{name}": float(value) for name, value in figures.items() if isinstance(value, int | float)}
        chosen = point_of(run)
        for summary in hparams(chosen, dict.fromkeys(numbers, 0.0)):
            self._add(summary=summary)
        self._add_numbers(numbers, 0)
        texts = {name: value for name, value in figures.items() if isinstance(value, str) and value}
        for name, value in {"key": run.key, **texts}.items():
            self._add(summary=text(name, value))

    def _add_numbers(self, numbers: Mapping[str, float], step: int) -> None:
        values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._add(step=step, summary=self._summary(value=values))

    def _add(self, **fields: Any) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())


def _file_name(ending: str) -> str:
    """As TensorBoard's own: files of one folder are read in the order of their names."""
    machine = _plain(socket.gethostname()) or "machine"
    return f"events.out.tfevents.{time.time():.6f}.{machine}.{os.getpid()}.{next(_NUMBERS)}{ending}"


def _of_float(words: Sequence[str]) -> str:
    """What tells a float network from others whose names end alike: a run does not know that training's key."""
    return hashlib.sha256(repr(tuple(words)).encode()).hexdigest()


def _folder_name(words: Sequence[str], seed: int, key: str) -> str:
    """Readable, and unique by the key; only letters, digits and signs that are safe everywhere."""
    parts = [_plain(word[-_NAME_LENGTH:]).lstrip(".") for word in (*words, f"seed {seed}")]
    return "-".join([*parts, _plain(key[:16])])


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+]+", "_", text)
