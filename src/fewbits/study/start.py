"""The user's own checkpoint that a study's float networks start from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from fewbits import models
from fewbits.data import Dataset
from fewbits.errors import StudyError
from fewbits.models import ModelSource
from fewbits.study.spec import StudySpec
from fewbits.train import TrainRecord


@dataclass(frozen=True)
class StartingWeights:
    """A file of weights as the plan saw it."""

    path: str
    sha256: str
    """Of its content."""

    def load_into(self, network: nn.Module) -> tuple[str, ...]:
        """Put the weights into a network; what was found and assumed, a note each.

        Raises StudyError if the file is no longer what the plan saw, ModelError if it does not fit.
        """
        if models.weights_sha256(self.path) != self.sha256:
            raise StudyError(f"weights {self.path!r} changed while the study ran: give the same command again")
        return models.load_weights(network, self.path)

    def notice(self, notes: tuple[str, ...], record: TrainRecord, data: Dataset) -> str:
        """What a reader of the results must know: how well the weights do as they are, and on what inputs."""
        said = f" ({'; '.join(notes)})" if notes else ""
        trained = "" if record.history else ", studied untouched"
        return (
            f"started from {Path(self.path).name!r}{said}{trained}: {record.start_validation_accuracy_percent:.2f} % "
            f"of the validation images before any training; {data.normalization}"
        )


def starts_of(spec: StudySpec, sources: dict[str, ModelSource]) -> dict[str, StartingWeights]:
    """The files of weights by the network that starts from each, loaded once to see that they fit.

    Raises StudyError where one file is given for several networks, or a name is none of them; ModelError for a file
    that cannot be read or does not fit.
    """
    given = _by_network(spec)
    found: dict[str, StartingWeights] = {}
    for network, file in given.items():
        path = str(spec.folder / file)
        start = StartingWeights(path, models.weights_sha256(path))
        start.load_into(models.build(network, seed=0, source=sources[network]))
        found[network] = start
    return found


def _by_network(spec: StudySpec) -> dict[str, str]:
    networks = spec.networks
    if not spec.start:
        return {}
    if isinstance(spec.start, str):
        if len(networks) > 1:
            raise StudyError(
                f"one file was given for {len(networks)} networks ({', '.join(networks[:4])}): give a table, [start], "
                f"with a line for each that has one, such as \"{networks[0]}\" = '{spec.start}'"
            )
        return dict.fromkeys(networks, spec.start)
    for name in spec.start:
        if name not in networks:
            nearest = difflib.get_close_matches(name, networks, n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise StudyError(f"no network {name!r} in this study: it has {', '.join(networks[:8])}{hint}")
    return dict(spec.start)
