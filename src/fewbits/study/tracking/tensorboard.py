"""Curves and figures as TensorBoard's event files: a folder a run, hyperparameters and final figures with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.errors import StudyError
from fewbits.study.events import FLOAT_TRAINING
from fewbits.study.tracking.sinks import SinkWriter, plain_figures

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

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

_LIVE, _WHOLE = ".fewbits-live", ".fewbits-{}"
"""Endings of files' names: of a training that goes on, and of one that is whole, with what tells it from others."""

_NAME_LENGTH = 40
"""Characters of each word in a folder's name."""


class TensorBoardWriter(SinkWriter):
    """Writes below FOLDER/STUDY; each run's folder ends with the beginning of its key."""

    def __init__(self, folder: Path, study: str) -> None:
        """Raises StudyError if tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise StudyError(
                "the sink 'tensorboard' needs tensorboard, which is not installed: pip install 'fewbits[tracking]'"
            ) from None
        self._open = SummaryWriter
        self._folder = folder / study
        self._live: dict[Path, tuple[SummaryWriter, int]] = {}
        """By a run's folder: the file under way, and the last epoch in it."""

    def epochs(self, task: TaskLabel, epochs: Sequence[EpochRecord]) -> None:
        """Each epoch once; what an earlier sitting wrote of the same epochs gives way."""
        is_float = task.recipe == FLOAT_TRAINING
        words = (task.model, task.data, task.recipe if is_float else f"{task.precision} {task.recipe}")
        folder = self._folder / _folder_name(words, task.seed, _of_float(words) if is_float else task.key)
        if folder not in self._live:
            self._live[folder] = (self._file(folder, _LIVE, epochs[0].epoch), 0)
        file, last = self._live[folder]
        for epoch in epochs:
            if epoch.epoch > last:
                _add_epoch(file, epoch)
        self._live[folder] = (file, max(last, epochs[-1].epoch))
        file.flush()

    def finished(self, run: RunResult) -> None:
        """The run's folder, and its float network's, from the first epoch to the last; what is there already stays."""
        if run.float_history:
            digest = hashlib.sha256(repr([asdict(epoch) for epoch in run.float_history]).encode()).hexdigest()
            words = (run.model, run.data, FLOAT_TRAINING)
            self._write(words, run.seed, _of_float(words), digest, run.float_history, None)
        words = (run.model, run.data, f"{run.precision} {run.recipe}")
        self._write(words, run.seed, run.key, run.key, run.history, run)

    def close(self) -> None:
        """Close the files of trainings that were cut off; they stay."""
        for file, _ in self._live.values():
            file.close()
        self._live.clear()

    def _write(
        self,
        words: Sequence[str],
        seed: int,
        key: str,
        digest: str,
        history: Sequence[EpochRecord],
        run: RunResult | None,
    ) -> None:
        """A whole file. digest: told by its name, so that it is written once."""
        folder = self._folder / _folder_name(words, seed, key)
        ending = _WHOLE.format(digest[:16])
        if not any(folder.glob(f"events.out.tfevents.*{ending}")):
            with self._file(folder, ending, 0) as file:
                for epoch in history:
                    _add_epoch(file, epoch)
                if run is not None:
                    _add_figures(file, run)
        if folder in self._live:
            self._live.pop(folder)[0].close()
        for old in folder.glob(f"events.out.tfevents.*{_LIVE}"):
            old.unlink()

    def _file(self, folder: Path, ending: str, first: int) -> SummaryWriter:
        """first: epochs from this one on that other files of the folder have are not shown any more."""
        return self._open(str(folder), purge_step=first, filename_suffix=ending)


def _of_float(words: Sequence[str]) -> str:
    """What tells a float network from others whose names end alike: a run does not know that training's key."""
    return hashlib.sha256(repr(tuple(words)).encode()).hexdigest()


def _folder_name(words: Sequence[str], seed: int, key: str) -> str:
    """Readable, and unique by the key; only letters, digits and signs that are safe everywhere."""
    plain = [re.sub(r"[^A-Za-z0-9.+]+", "_", word[-_NAME_LENGTH:]).lstrip(".") for word in (*words, f"seed {seed}")]
    return "-".join([*plain, key[:16]])


def _add_epoch(file: SummaryWriter, epoch: EpochRecord) -> None:
    for name, tag in _TAGS.items():
        file.add_scalar(tag, getattr(epoch, name), epoch.epoch)


def _add_figures(file: SummaryWriter, run: RunResult) -> None:
    """Numbers as scalars and as metrics of the hyperparameters, in whose table TensorBoard sorts and plots them."""
    from torch.utils.tensorboard.summary import hparams

    figures = dict(plain_figures(run))
    numbers = {_titled(name): float(value) for name, value in figures.items() if isinstance(value, int | float)}
    chosen: dict[str, Any] = {name: getattr(run, name) for name in ("model", "data", "precision", "recipe", "seed")}
    for summary in hparams(chosen, dict.fromkeys(numbers, 0.0)):
        file.file_writer.add_summary(summary)  # pyright: ignore[reportOptionalMemberAccess]
    for name, value in numbers.items():
        file.add_scalar(name, value, 0)
    texts = {name: value for name, value in figures.items() if isinstance(value, str) and value}
    for name, value in {"key": run.key, **texts}.items():
        file.add_text(name, value, 0)


def _titled(name: str) -> str:
    return f"figures/{name}"
