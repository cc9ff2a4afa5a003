"""Execute an integer network fast on the CPU: products by matrix multiplication, all that follows in one pass.

A stage is a layer with its ReLU, rounding and maximum pooling, or an addition with its ReLU and rounding. It is exact
for the reasons given in `integer.py`; what has no fast stage is executed as there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from fewbits.bitexact.accumulator import Range
from fewbits.bitexact.integer import IntegerExecutor, LayerArithmetic, Value, execute
from fewbits.bitexact.stages import (
    AdditionStage,
    AverageStage,
    InputStage,
    is_added_in_float64,
    is_averaged_by_float64,
    is_uniform,
    layer_stage,
)
from fewbits.bitexact.wide import WideIntegers
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    Concatenation,
    InputRounding,
    Layer,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
)


@dataclass(frozen=True, eq=False)
class Stage:
    """Some operations executed as one."""

    sources: tuple[str, ...]
    """Names of the operations that give the inputs."""

    name: str
    """Name of the last of the operations."""

    run: Callable[..., Value]


class FusedExecutor:
    """Executes an integer network stage by stage, in memory that is used again and again."""

    batch_size = 64
    """Images at a time: what they need then stays in the cache between stages."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        """Prepare weights and buffers."""
        self._operations = operations
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
    ranges = _code_ranges(operations)
    stages: list[Stage] = []
    done: set[str] = set()
    for operation in operations:
        if operation.name in done:
            continue
        group = _group(operation, users)
        done.update(member.name for member in group)
        run = _runner(group, ranges)
        stages.append(Stage(operation.inputs, group[-1].name, run))
    return stages


def _group(operation: Operation, users: dict[str, list[Operation]]) -> list[Operation]:
    """A layer or addition with the ReLU, rounding and pooling that alone use its result; any other one by itself."""
    group = [operation]
    if not isinstance(operation, (Layer, Addition)):
        return group
    for kind in (ReLU, Rounding, MaxPool) if isinstance(operation, Layer) else (ReLU, Rounding):
        following = users[group[-1].name]
        if len(following) == 1 and isinstance(following[0], kind):
            group.append(following[0])
    has_rounding = any(isinstance(member, Rounding) for member in group)
    return group if has_rounding else [operation]


def _runner(group: list[Operation], ranges: dict[str, Range]) -> Callable[..., Value]:
    """What executes a group of operations."""
    first, rest = group[0], group[1:]
    if isinstance(first, InputRounding) and is_uniform(first.number_format):
        return InputStage(first).run
    if isinstance(first, AveragePool) and is_averaged_by_float64(first):
        return AverageStage(first).run
    if isinstance(first, Addition):
        rounding = next((operation for operation in rest if isinstance(operation, Rounding)), None)
        if rounding is not None and is_added_in_float64(first, rounding):
            return AdditionStage(first, rest, rounding).run
        return lambda *codes: _in_turn(execute(first, *map(_widened, codes)), rest)
    if isinstance(first, Layer):
        if rest and (stage := layer_stage(first, rest, ranges[first.inputs[0]])) is not None:
            return stage.run
        arithmetic = LayerArithmetic(first)

        def run(codes: Tensor) -> Value:
            return _in_turn(arithmetic.run(codes.to(torch.float64)), rest)

        return run
    return lambda *values: execute(first, *(values if isinstance(first, InputRounding) else map(_widened, values)))


def _widened(value: Value) -> Value:
    return value.to(torch.float64) if isinstance(value, Tensor) else value


def _in_turn(value: Value, operations: list[Operation]) -> Value:
    """Execute operations one by one; accumulators that are not rounded are the logits."""
    for operation in operations:
        value = execute(operation, value)
    return value.to_objects() if isinstance(value, WideIntegers) else value


def _code_ranges(operations: tuple[Operation, ...]) -> dict[str, Range]:
    """Smallest and largest code of every operation that gives codes, by name; narrower after a ReLU than the format."""
    ranges: dict[str, Range] = {}
    by_name = {operation.name: operation for operation in operations}
    for operation in operations:
        if isinstance(operation, (InputRounding, Rounding)):
            low, high = operation.number_format.integer_limits
            is_positive = isinstance(by_name.get(operation.inputs[0]), ReLU)
            ranges[operation.name] = (0 if is_positive and operation.number_format.family != "binary" else low, high)
        elif isinstance(operation, AveragePool) and operation.number_format is not None:
            low, high = operation.number_format.integer_limits  # a small divisor_override makes averages large
            is_positive = ranges[operation.inputs[0]][0] == 0 and operation.number_format.family != "binary"
            ranges[operation.name] = (0 if is_positive else low, high)
        elif isinstance(operation, Concatenation):
            parts = [ranges[name] for name in operation.inputs]
            ranges[operation.name] = (min(low for low, _ in parts), max(high for _, high in parts))
        elif operation.inputs[0] in ranges and not isinstance(operation, (Layer, Addition)):
            ranges[operation.name] = ranges[operation.inputs[0]]
    return ranges
