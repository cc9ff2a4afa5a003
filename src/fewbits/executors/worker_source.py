"""What a Dask executor gets its workers from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class WorkerSource(Protocol):
    """What has workers: `Address`, `LocalWorkers`, and what starts the workers of a described cluster."""

    @property
    def wanted(self) -> int:
        """How many workers it starts; 0 if others do."""
        ...

    @property
    def dask(self) -> Any:
        """An address or cluster object that a Dask client connects to. Once started."""
        ...

    def start(self) -> None:
        """Start what is needed. Raises ExecutorError."""
        ...

    def renew(self) -> None:
        """See to workers that have left; called now and then. Raises ExecutorError if none can come."""
        ...

    def troubles(self) -> Sequence[str]:
        """What has gone wrong since the last call; a line each."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...
