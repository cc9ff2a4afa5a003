"""The workers of a Dask scheduler: asked what they are when they come, fit to do jobs or refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any

from fewbits.executors.base import WorkersNotice, one_line
from fewbits.executors.dask_job import Introduction, introduce

if TYPE_CHECKING:
    from fewbits.executors.software import Software

Later = Callable[..., None]
"""Called from any thread with a function and its arguments; the messages that it gives go to the executor's caller."""


class Roster:
    """Which workers there are, and which of them do jobs."""

    def __init__(self, client: Any, here: Software, later: Later) -> None:
        """client: of Dask. here: what workers must have in common with this process."""
        self.fit: dict[str, Software] = {}
        """The workers that do jobs, by address."""

        self.refusals: list[str] = []
        """A line for each worker that was refused."""

        self._client = client
        self._here = here
        self._later = later
        self._asked: set[str] = set()
        self._answered: set[str] = set()
        self._processors_said: str | None = None

    @property
    def awaits_answers(self) -> bool:
        """Whether a worker that was asked has not answered yet."""
        return bool(self._asked - self._answered)

    def add(self, address: str) -> None:
        """Ask a worker what it is. In a thread, since one that hangs gives no answer."""
        if address not in self._asked:
            self._asked.add(address)
            Thread(target=self._ask, args=(address,), daemon=True).start()

    def remove(self, address: str) -> bool:
        """Note that a worker has left; whether it did jobs."""
        self._asked.discard(address)
        self._answered.discard(address)
        return self.fit.pop(address, None) is not None

    def _ask(self, address: str) -> None:
        try:
            (answer,) = self._client.run(introduce, workers=[address], on_error="return").values()
        except Exception as error:
            answer = error
        self._later(self._introduced, address, answer)

    def _introduced(self, address: str, answer: Introduction | BaseException) -> Iterator[WorkersNotice]:
        """A worker has said what it is: it does jobs from now on, or is refused."""
        from fewbits.executors.software import processors_note

        if address not in self._asked:  # gone before it answered
            return
        self._answered.add(address)
        if isinstance(answer, BaseException):
            reason = one_line(f"{type(answer).__name__}: {answer}")
            line = f"worker {address} is refused: it does not answer as this fewbits does ({reason}); install the same"
        else:
            line = self._refusal(address, answer)
        if line is not None:
            self.refusals.append(line)
            yield WorkersNotice(line)
        elif not isinstance(answer, BaseException):
            self.fit[address] = answer.software
            note = processors_note(self._here, self.fit.values())
            if note is not None and note != self._processors_said:
                self._processors_said = note
                yield WorkersNotice(note)

    def _refusal(self, address: str, answer: Introduction) -> str | None:
        """Why a worker that has answered may do no jobs; None if it may."""
        from fewbits.executors.software import refusal

        if answer.threads != 1:
            return (
                f"worker {address} is refused: it has {answer.threads} threads, and digits need one: start it with "
                "--nthreads 1 (and --nworkers for more)"
            )
        return refusal(address, self._here, answer.software)
