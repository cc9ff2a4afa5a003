"""Workers of a Dask cluster: at an address, of something that starts them, or processes of this machine.

Dask carries jobs, payloads and messages, and tells of workers that come and go. Which job a free worker gets, and what
becomes of the job of a lost one, is decided here: Dask counts the loss of a worker against all jobs that lie there, and
would fail innocent ones.
"""

from __future__ import annotations

import heapq
import importlib.util
import pickle
import queue
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from fewbits.errors import ExecutorError
from fewbits.executors.base import (
    LOST_AFTER_SECONDS,
    Executor,
    Job,
    JobFailure,
    JobLost,
    JobProgress,
    JobStarted,
    Message,
    Payload,
    WorkersNotice,
    one_line,
)
from fewbits.executors.dask_address import Address
from fewbits.executors.dask_job import Header, Introduction, do_job, introduce
from fewbits.executors.dask_local import LocalWorkers
from fewbits.executors.worker_process import LOOK_SECONDS

if TYPE_CHECKING:
    from fewbits.executors.software import Software

_CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer; Dask's `distributed.comm.timeouts.connect`, 30 s, is long for a misprint."""

_FIRST_SECONDS = 10.0
"""How long the first worker is waited for before it is said that there is none yet."""

_LOSSES = 3
"""How often a job may lose its worker and be tried again: Dask's `distributed.scheduler.allowed-failures`."""


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


@dataclass
class _Given:
    """A job that Dask has."""

    job: Job
    future: Any
    worker: str
    """Its address."""

    losses: int
    """How many workers it has lost before."""

    started: bool = False


@dataclass
class _State:
    """What lasts from start to close."""

    client: Any
    """Of Dask, whose types tell little."""

    topic: str
    """Name under which this executor's jobs send progress."""

    inbox: queue.SimpleQueue[Callable[[], Sequence[Message]]] = field(default_factory=queue.SimpleQueue)
    """What has come from Dask's threads, to be done on the caller's."""

    given: dict[int, _Given] = field(default_factory=dict[int, _Given])
    waiting: list[tuple[int, int, Job, int]] = field(default_factory=list[tuple[int, int, Job, int]])
    """A heap: priority (negative), number, job, losses so far."""

    payloads: dict[str, Any] = field(default_factory=dict[str, Any])
    fit: dict[str, Software] = field(default_factory=dict[str, Any])
    """The workers that do jobs, by address."""

    looked_at: set[str] = field(default_factory=set[str])
    answered: set[str] = field(default_factory=set[str])
    """Addresses of workers that were asked what they run, and of those that answered."""

    refusals: list[str] = field(default_factory=list[str])
    told: list[Message] = field(default_factory=list[Message])
    """Not yet given to the caller."""

    processors_said: str = ""
    renewed_at: float = 0.0


class DaskExecutor(Executor):
    """Jobs on the workers of a Dask cluster."""

    def __init__(
        self,
        source: str | WorkerSource | None = None,
        *,
        workers: int | None = None,
        log: Path | None = None,
        lost_after_s: float = LOST_AFTER_SECONDS,
    ) -> None:
        """source: a scheduler's address (`tcp://host:8786`) or the path of its scheduler file; what starts workers;
        None for processes of this machine, `workers` of them, with their `log`. lost_after_s: a worker without a sign
        of life for so long counts as lost; of a scheduler that is there already, its own `worker-ttl` counts.
        Raises ExecutorError if an address is none.
        """
        if workers is not None and source is not None:
            raise ExecutorError("workers were given beside a cluster, which has its own: leave one of the two out")
        self._lost_after_s = lost_after_s
        self._log = log
        self._source: WorkerSource = (
            LocalWorkers(workers, log, lost_after_s)
            if source is None
            else Address(source)
            if isinstance(source, str)
            else source
        )
        self._numbers = count()
        self._running: _State | None = None

    def start(self) -> None:
        """Connect, and wait a moment for the first worker.

        Raises ExecutorError if the packages are not there, no scheduler answers, or all workers are refused.
        """
        try:
            import dask.config
            from distributed import Client
        except ImportError as error:
            raise ExecutorError(
                f"the packages of clusters are not installed: pip install 'fewbits[cluster]' ({one_line(str(error))})"
            ) from None
        from fewbits.executors.software import software

        try:
            # One job a worker, and none in wait there: a loss counts against one job alone.
            settings = {
                "distributed.scheduler.worker-ttl": f"{self._lost_after_s} s",
                "distributed.scheduler.worker-saturation": 1.0,
                "distributed.scheduler.allowed-failures": _LOSSES,
            }
            with dask.config.set(settings):
                self._source.start()
            self._here = software()
            try:
                client: Any = Client(self._source.dask, timeout=_CONNECT_SECONDS, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                raise ExecutorError(
                    f"no Dask scheduler answers at {self._source.dask!r}: start one there (dask scheduler), or give "
                    f"another address ({one_line(str(error))})"
                ) from None
            self._running = state = _State(client, f"fewbits-{secrets.token_hex(8)}")
            client.subscribe_topic(state.topic, partial(self._later, self._told_by_job))
            client.subscribe_topic("all", partial(self._later, self._told_of_worker))
            for address in client.nthreads():
                self._look_at(address)
            self._await_first()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give up all jobs, and end what was started. Jobs on workers of others stop at their next report."""
        state, self._running = self._running, None
        try:
            if state is not None:
                for given in state.given.values():
                    given.future.release()
                with suppress(TimeoutError, OSError):
                    state.client.close(timeout=_CONNECT_SECONDS)
        finally:
            self._source.close()

    @property
    def workers(self) -> int:
        """Those that do jobs now, or those that are to come, if these are more."""
        return max(len(self._state.fit), self._source.wanted)

    @property
    def about(self) -> str:
        """Where the scheduler is, and its dashboard."""
        client = self._state.client
        missing = "" if importlib.util.find_spec("bokeh") else " (it wants the package bokeh)"
        dashboard = f", dashboard {client.dashboard_link}{missing}" if client.dashboard_link else ""
        return f"Dask scheduler {client.scheduler.address}{dashboard}"

    def ask(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function returns on each worker that does jobs, by its address."""
        addresses = list(self._state.fit)
        if not addresses:
            return {}
        answers: dict[str, Any] = self._state.client.run(function, *arguments, workers=addresses, on_error="ignore")
        return answers

    def submit(self, job: Job) -> None:
        """Queue a job: a worker takes it when messages are next waited for."""
        self._queue(job, 0)

    def cancel(self, key: str) -> None:
        """Take a job back; on its worker it stops at its next report."""
        state = self._state
        state.waiting = [entry for entry in state.waiting if entry[2].key != key]
        heapq.heapify(state.waiting)
        for number in [number for number, given in state.given.items() if given.job.key == key]:
            state.given.pop(number).future.release()

    def messages(self) -> Sequence[Message]:
        """What jobs and workers say. Raises ExecutorError if the scheduler is gone, or no worker can come."""
        state = self._state
        while True:
            self._give_out()
            self._renew()
            if state.told:
                told, state.told = state.told, []
                return told
            self._take_in(LOOK_SECONDS)
            if state.client.status not in ("running", "connecting"):
                raise ExecutorError(
                    f"the Dask scheduler {self._source.dask} is gone: what is finished is kept; give the same command "
                    "again when it is back"
                )

    @property
    def _state(self) -> _State:
        if self._running is None:
            raise ExecutorError("the executor is not started: use it in a 'with' statement")
        return self._running

    # Jobs:

    def _queue(self, job: Job, losses: int) -> None:
        heapq.heappush(self._state.waiting, (-job.priority, next(self._numbers), job, losses))

    def _give_out(self) -> None:
        """Give each free worker a job."""
        state = self._state
        free = state.fit.keys() - {given.worker for given in state.given.values()}
        while state.waiting and free:
            _, _, job, losses = heapq.heappop(state.waiting)
            self._give(job, free.pop(), losses)

    def _give(self, job: Job, worker: str, losses: int) -> None:
        state, number = self._state, next(self._numbers)
        log = self._source.log if isinstance(self._source, LocalWorkers) else ""
        header = Header(number, job.key, job.function, state.topic, log)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # networks are what is to be sent
            arguments = [self._carried(each) if isinstance(each, Payload) else each for each in job.arguments]
            future = state.client.submit(
                do_job, header, *arguments, key=f"{state.topic}-{number}", workers=[worker], pure=False
            )
        state.given[number] = _Given(job, future, worker, losses)
        future.add_done_callback(partial(self._later, self._ended, number))

    def _carried(self, payload: Payload) -> Any:
        """A payload on the workers, which hand it on to each other. A task makes it, so that Dask makes it again where
        it was lost.
        """
        state = self._state
        if payload.sha256 not in state.payloads:
            key = f"{state.topic}-payload-{payload.sha256}"
            state.payloads[payload.sha256] = state.client.submit(bytes, payload.content, key=key)
        return state.payloads[payload.sha256]

    def _told_by_job(self, event: tuple[float, dict[str, Any]]) -> Iterator[Message]:
        """A job's own message: it has started, or goes on. Those of a job that has ended come too late."""
        _, told = event
        given = self._state.given.get(told["number"])
        if given is None:
            return
        if told["kind"] == "started":
            given.started = True
            yield JobStarted(given.job.key, told["worker"])
        else:
            yield JobProgress(given.job.key, pickle.loads(told["value"]))  # noqa: S301 (of our own worker, as all Dask)

    def _ended(self, number: int, _: object) -> Iterator[Message]:
        """Dask has a job's end."""
        given = self._state.given.pop(number, None)
        if given is None:
            return
        job, future = given.job, given.future
        if future.status == "finished":
            try:
                done = future.result()
            except Exception as error:
                done = JobFailure(job.key, one_line(f"its result cannot be read: {type(error).__name__}: {error}"))
            if not given.started:  # the message of that goes another way
                yield JobStarted(job.key, "a worker")
            yield done
        elif future.status == "error":
            yield from self._failed(given)
        elif self._state.client.status == "running":  # the scheduler let go of it
            self._queue(job, given.losses)

    def _failed(self, given: _Given) -> Iterator[Message]:
        """Dask has an error of its own."""
        from distributed.scheduler import KilledWorker

        error = given.future.exception()
        if isinstance(error, KilledWorker):
            yield from self._lost(given)
        else:
            yield JobFailure(given.job.key, one_line(f"{type(error).__name__}: {error}"))

    def _lost(self, given: _Given) -> Iterator[Message]:
        """A job whose worker is gone is given to another, a few times."""
        losses = given.losses + 1
        if losses > _LOSSES:
            line = (
                f"its worker was lost, {losses} times one after another (out of memory, killed, or its machine fails)"
            )
            yield JobLost(given.job.key, line)
        else:
            self._queue(given.job, losses)

    # Workers:

    def _look_at(self, address: str) -> None:
        """Ask a worker what it runs. In a thread, since one that hangs gives no answer."""
        state = self._state
        if address in state.looked_at:
            return
        state.looked_at.add(address)

        def look() -> None:
            try:
                (answer,) = state.client.run(introduce, workers=[address], on_error="return").values()
            except Exception as error:
                answer = error
            state.inbox.put(lambda: list(self._introduced(address, answer)))

        Thread(target=look, daemon=True).start()

    def _introduced(self, address: str, answer: Introduction | BaseException) -> Iterator[Message]:
        """A worker has said what it runs: it does jobs from now on, or is refused."""
        from fewbits.executors.software import processors_note, refusal

        state = self._state
        state.answered.add(address)
        if address not in state.client.nthreads():  # gone before it answered
            return
        if not isinstance(answer, Introduction):
            reason = one_line(f"{type(answer).__name__}: {answer}")
            line = f"worker {address} is refused: it does not answer as this fewbits does ({reason}); install the same"
        elif answer.threads != 1:
            line = (
                f"worker {address} is refused: it has {answer.threads} threads, and digits need one: start it with "
                "--nthreads 1 (and --nworkers for more)"
            )
        else:
            line = refusal(address, self._here, answer.software)
        if line is not None or not isinstance(answer, Introduction):
            state.refusals.append(line or "")
            yield WorkersNotice(line or "")
            return
        state.fit[address] = answer.software
        if isinstance(self._source, LocalWorkers):
            self._source.note_arrival()
        note = processors_note(self._here, state.fit.values())
        if note is not None and note != state.processors_said:
            state.processors_said = note
            yield WorkersNotice(note)

    def _told_of_worker(self, event: tuple[float, dict[str, Any]]) -> Iterator[Message]:
        """The scheduler's message of a worker that has come or gone."""
        _, told = event
        if told.get("action") == "add-worker":
            self._look_at(told["worker"])
        elif told.get("action") == "remove-worker":
            yield from self._gone(told["worker"], expected=bool(told.get("expected")))

    def _gone(self, address: str, *, expected: bool) -> Iterator[Message]:
        """A worker has left, in order or not; what it did is given to another."""
        state = self._state
        state.looked_at.discard(address)
        state.answered.discard(address)
        if state.fit.pop(address, None) is not None and not expected:
            yield WorkersNotice(f"worker {address} was lost")
        for number, given in list(state.given.items()):
            if given.worker == address:
                del state.given[number]
                given.future.release()
                if expected:
                    self._queue(given.job, given.losses)
                else:
                    yield from self._lost(given)

    def _await_first(self) -> None:
        """Until a worker does jobs, and those that are there have answered; or say that there is none yet."""
        state, end = self._state, time.monotonic() + _FIRST_SECONDS
        while (not state.fit or state.looked_at - state.answered) and time.monotonic() < end:
            if state.refusals and not state.fit and not state.looked_at - state.answered:
                raise ExecutorError(state.refusals[0])
            self._renew()
            self._take_in(min(LOOK_SECONDS, _FIRST_SECONDS / 20))
        if not state.fit:
            state.told.append(WorkersNotice("no worker is there yet: tasks wait for the first"))

    def _renew(self) -> None:
        state, now = self._state, time.monotonic()
        if now - state.renewed_at >= LOOK_SECONDS:
            state.renewed_at = now
            self._source.renew()
        state.told += [WorkersNotice(line) for line in self._source.troubles()]

    # What comes from Dask's threads is done on the caller's:

    def _later(self, do: Callable[..., Iterator[Message]], *about: Any) -> None:
        state = self._running
        if state is not None:
            state.inbox.put(lambda: list(do(*about)))

    def _take_in(self, seconds: float) -> None:
        """Wait for what comes, for so long, and take all of it."""
        state = self._state
        with suppress(queue.Empty):
            state.told += state.inbox.get(timeout=seconds)()
            while True:
                state.told += state.inbox.get_nowait()()
