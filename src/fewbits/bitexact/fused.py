"""Execute an integer network fast on the CPU: products by matrix multiplication, all that follows in one pass.

A stage is a layer with its ReLU, rounding and maximum pooling, or an addition with its ReLU and rounding. It is exact
for the reasons given in `integer.py`; what has no fast stage is executed as there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fewbits.bitexact.accumulator import Range
from fewbits.bitexact.integer import IntegerExecutor, Value
from fewbits.bitexact.stages import (
    ONE_BY_ONE,
    AdditionStage,
    AverageStage,
    Followers,
    InputStage,
    StageKind,
    is_added_in_float64,
    is_averaged_by_float64,
    layer_stage,
)
from fewbits.bitexact.tables import FUSED, INTEGER
from fewbits.formats import Format
from fewbits.graph.operations import (
    UNBOUNDED,
    Addition,
    AveragePool,
    Concatenation,
    Convolution,
    Flatten,
    InputRounding,
    Layer,
    Linear,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
    ValueRange,
    layers_of,
)

Run = Callable[..., Value]
"""Computes a stage's result from those of its inputs."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Some operations executed as one."""

    sources: tuple[str, ...]
    """Names of the operations that give the inputs."""

    name: str
    """Name of the last of the operations."""

    run: Run


_BATCH_SIZE = 64

_TABLES_BATCH_SIZE = 256
"""A table is put in order for each weight, which pays for many look-ups."""


class FusedExecutor:
    """Executes an integer network stage by stage, in memory that is used again and again."""

    batch_size: int
    """Images at a time: what they need then stays in the cache between stages."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        """Prepare weights and buffers."""
        self._operations = operations
        has_tables = any(layer.tables is not None for layer in layers_of(operations))
        self.batch_size = _TABLES_BATCH_SIZE if has_tables else _BATCH_SIZE
        self._stages = _stages(operations)
        self._lock = threading.Lock()

    def logits(self, images: Tensor) -> Value:
        """The last operation's result. Raises FormatError if an image holds NaN."""
        with self._lock:  # the buffers serve one batch at a time
            results: dict[str, Any] = {self._stages[0].sources[0]: images}
            for stage in self._stages:
                results[stage.name] = stage.run(*(results[name] for name in stage.sources))
            result: Value = results[self._operations[-1].name]
            return result.clone() if isinstance(result, Tensor) else result

    def values(self, images: Tensor) -> dict[str, Value]:
        """Every operation's result for a batch of images, by name. Raises FormatError if an image holds NaN."""
        return self._one_by_one.values(images)

    @cached_property
    def _one_by_one(self) -> IntegerExecutor:
        return IntegerExecutor(self._operations)


def _stages(operations: tuple[Operation, ...]) -> list[Stage]:
    """Cut a network into stages."""
    users: dict[str, list[Operation]] = {operation.name: [] for operation in operations}
    for operation in operations:
        for name in operation.inputs:
            users.setdefault(name, []).append(operation)
    ranges = _value_ranges(operations)
    stages: list[Stage] = []
    done: set[str] = set()
    for operation in operations:
        if operation.name in done:
            continue
        kind = FUSED.of(operation)
        followers = _followers(operation, kind, users)
        group = (operation, *followers.operations)
        done.update(member.name for member in group)
        run = kind.make(operation, followers, ranges[operation.inputs[0]]) or _one_by_one(group)
        stages.append(Stage(operation.inputs, group[-1].name, run))
    return stages


def _followers(operation: Operation, kind: StageKind, users: dict[str, list[Operation]]) -> Followers:
    """What a stage computes behind its first operation: nothing, unless a rounding is part of it."""
    group = [operation]
    for follower in kind.followers:
        following = users[group[-1].name]
        if len(following) == 1 and type(following[0]) is follower:
            group.append(following[0])
    followers = Followers(group[1:])
    return Followers(()) if followers.of(Rounding) is None else followers


def _one_by_one(group: Sequence[Operation]) -> Run:
    """Executes operations one after another, as the integer executor does."""
    first, *rest = [INTEGER.of(operation)(operation) for operation in group]

    def run(*sources: Value) -> Value:
        value = first(*(each.to(torch.float64) if isinstance(each, Tensor) else each for each in sources))
        for step in rest:
            value = step(value)
        return value

    return run


def _value_ranges(operations: tuple[Operation, ...]) -> dict[str, ValueRange]:
    """Smallest and largest integer of every operation, by name, and of the images."""
    ranges = dict.fromkeys(operations[0].inputs, UNBOUNDED)
    for operation in operations:
        ranges[operation.name] = operation.value_range([ranges[name] for name in operation.inputs])
    return ranges


def _input_stage(operation: InputRounding, *_: Any) -> Run | None:
    return InputStage(operation).run if operation.number_format.is_uniform else None


def _layer_stage(layer: Layer, followers: Followers, inputs: ValueRange) -> Run | None:
    stage = layer_stage(layer, followers, _within(layer.input_format, inputs))
    return None if stage is None else stage.run


def _within(number_format: Format, values: ValueRange) -> Range:
    """The codes of a format that lie in a range, and zero."""
    low, high = number_format.integer_limits
    return int(max(low, min(0, values[0]))), int(min(high, max(0, values[1])))


def _addition_stage(operation: Addition, followers: Followers, _: ValueRange) -> Run | None:
    rounding = followers.of(Rounding)
    if rounding is None or not is_added_in_float64(operation, rounding):
        return None
    return AdditionStage(operation, followers, rounding).run


def _average_stage(operation: AveragePool, *_: Any) -> Run | None:
    number_format = operation.number_format
    if number_format is None or not is_averaged_by_float64(operation, number_format):
        return None
    return AverageStage(operation, number_format).run


FUSED.register(InputRounding)(StageKind(_input_stage))
FUSED.register(Convolution, Linear)(StageKind(_layer_stage, (ReLU, Rounding, MaxPool)))
FUSED.register(Addition)(StageKind(_addition_stage, (ReLU, Rounding)))
FUSED.register(AveragePool)(StageKind(_average_stage))
FUSED.register(Concatenation, Flatten, MaxPool, ReLU, Rounding)(ONE_BY_ONE)
