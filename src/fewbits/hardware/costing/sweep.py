"""Costs of one network at many points, precision x accelerator, on several processes where there are many."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewbits.errors import FewbitsError, HardwareError
from fewbits.executors import Executor, Job, JobFailure, JobLost, JobResult, Payload
from fewbits.hardware.costing.network_cost import Cost, cost
from fewbits.hardware.dataflow.plan import AnyAccelerator
from fewbits.hardware.process.technology import Technology, load_technology
from fewbits.hardware.workload.networks import assigned_workload, where_unsigned, workload_of
from fewbits.hardware.workload.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from fewbits.bitexact import BitExactNetwork
    from fewbits.formats import Precision

_BATCH = 100
"""Points that a worker gets in one go, at most: some tenths of a second of a small network."""

_Given = tuple[str, AnyAccelerator | str | None]

_Made = Mapping[str, "Workload | str"]
"""The network's layers at each precision, or why it is refused there."""


@dataclass(frozen=True)
class CostPoint:
    """One point of a sweep: its cost, or why it has none."""

    precision: str
    accelerator: AnyAccelerator | str | None
    """As it was given."""

    cost: Cost | None
    refusal: str = ""
    """In one line, where there is no cost."""


def costs(
    network: Workload | BitExactNetwork | nn.Module | str,
    precisions: Sequence[Precision | str],
    accelerators: Sequence[AnyAccelerator | str | None] = (None,),
    *,
    input_shape: tuple[int, ...] | None = None,
    technology: Technology | Path | str | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Iterator[CostPoint]:
    """The cost of a network at every precision on every accelerator: all precisions on one, then on the next.

    Points come in that order, as soon as they and those before them are known. A point that is refused (a precision
    that the technology lacks, a layer that the accelerator does not compute) says why; it ends nothing.

    network, input_shape, technology: as `cost` takes them. accelerators: None among them is the default.
    workers: processes of this machine; 1 computes in this process, None takes one a core. progress: told how many
    points are done, of how many. options: further ones of `cost`, such as multiplier.
    Raises HardwareError if there is no point, and what reading the network raises. Ctrl-C, or an iterator that is
    closed, ends the processes.
    """
    workloads = _Workloads(network, input_shape)
    names = [one if isinstance(one, str) else one.name for one in precisions]
    points = [(name, accelerator) for accelerator, name in product(accelerators, names)]
    if not points:
        raise HardwareError("a sweep has at least one precision and one accelerator: give one of each")
    if workers is not None and workers < 1:
        raise HardwareError(f"workers must be at least 1, not {workers}")
    table = technology if isinstance(technology, Technology) else load_technology(*([technology] if technology else []))
    size = workers or len(os.sched_getaffinity(0))
    for name in dict.fromkeys(names):
        workloads.add(name)
    return _all(points, workloads.made, table, options, size, progress or (lambda _done, _total: None))


def _all(
    points: Sequence[_Given],
    workloads: _Made,
    table: Technology,
    options: Mapping[str, Any],
    workers: int,
    progress: Callable[[int, int], None],
) -> Iterator[CostPoint]:
    """In order; by processes where there are several batches for them."""
    length = max(1, min(_BATCH, -(-len(points) // (4 * workers))))
    batches = [points[start : start + length] for start in range(0, len(points), length)]
    done = 0
    if workers == 1 or len(batches) == 1:
        for point in points:
            yield _point(point, workloads, table, options)
            done += 1
            progress(done, len(points))
        return
    given = Payload(pickle.dumps((workloads, table, dict(options))))
    for batch in _in_order(batches, given, workers):
        done += len(batch)
        progress(done, len(points))
        yield from batch


def _in_order(batches: Sequence[Sequence[_Given]], given: Payload, workers: int) -> Iterator[tuple[CostPoint, ...]]:
    """What processes make of the batches. Raises HardwareError for a batch that none can do."""
    from fewbits.executors import ProcessExecutor

    executor: Executor = ProcessExecutor(min(workers, len(batches)))
    jobs = {
        str(number): Job(str(number), batch_costs, (tuple(batch), given), -number)
        for number, batch in enumerate(batches)
    }
    made: dict[int, tuple[CostPoint, ...]] = {}
    lost: set[str] = set()
    with executor:
        for job in jobs.values():
            executor.submit(job)
        for number in range(len(batches)):
            while number not in made:
                for message in executor.messages():
                    match message:
                        case JobResult(key, value):
                            made[int(key)] = value
                        case JobLost(key, _) if key not in lost:
                            lost.add(key)
                            executor.submit(jobs[key])
                        case JobFailure(_, error) | JobLost(_, error):
                            raise HardwareError(f"a point of the sweep failed: {error}")
                        case _:
                            pass
            yield made.pop(number)


def batch_costs(_report: object, points: Sequence[_Given], given: bytes) -> tuple[CostPoint, ...]:
    """A job: the costs of some points. given: workloads, technology and options, pickled."""
    workloads, table, options = _unpickled(given)
    return tuple(_point(point, workloads, table, options) for point in points)


@lru_cache(maxsize=1)
def _unpickled(given: bytes) -> tuple[_Made, Technology, Mapping[str, Any]]:
    """Once for all batches of a sweep, so that what is kept by the objects' identity is kept."""
    return pickle.loads(given)  # noqa: S301 (of the process that gave the job)


class _Workloads:
    """The layers of a network at each precision of a sweep."""

    def __init__(self, network: Any, input_shape: tuple[int, ...] | None) -> None:
        self._network, self._shape = network, input_shape
        self._usual = workload_of(network, input_shape)
        self.made: dict[str, Workload | str] = {}
        """By precision; in place of one that the network is refused at, the reason."""

    def add(self, precision: str) -> None:
        """Note those of a precision: with unsigned inputs, the network's operations tell where they may be."""
        self.made[precision] = self._usual
        try:
            if (assignment := where_unsigned(self._network, precision)) is not None:
                self.made[precision], _ = assigned_workload(self._network, assignment, self._shape)
        except FewbitsError as error:
            self.made[precision] = str(error)


def _point(point: _Given, workloads: _Made, table: Technology, options: Mapping[str, Any]) -> CostPoint:
    precision, accelerator = point
    workload = workloads[precision]
    if isinstance(workload, str):
        return CostPoint(precision, accelerator, None, " ".join(workload.split()))
    try:
        found = cost(workload, precision, technology=table, accelerator=accelerator, **options)
    except FewbitsError as error:
        return CostPoint(precision, accelerator, None, " ".join(str(error).split()))
    return CostPoint(precision, accelerator, found)
