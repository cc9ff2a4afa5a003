"""What the output stage does right behind an operation, before its result is stored: ReLU and rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewbits.bitexact import Flatten, Operation, ReLU, Rounding
from fewbits.errors import HardwareError


@dataclass(frozen=True)
class Steps:
    """What is done to a result."""

    relu: bool = False
    rounding: Rounding | None = None


STEPS: dict[type[Operation], Callable[[Steps, Any], Steps]] = {
    Flatten: lambda steps, _: steps,
    ReLU: lambda steps, _: replace(steps, relu=True),
    Rounding: lambda steps, rounding: replace(steps, rounding=rounding),
}
"""The operations that the output stage does: the steps with them, from those before them. All others have their own
descriptor."""


@dataclass(frozen=True)
class OutputSteps(Steps):
    """The steps behind one operation."""

    is_last: bool = False
    """Whether nothing comes after them: the result is the network's."""

    names: frozenset[str] = frozenset()
    """Of all operations whose result is what is stored: the one that computes, and its steps."""


def output_steps(operation: Operation, operations: Sequence[Operation]) -> OutputSteps:
    """Follow a result through ReLU, rounding and reshaping to where other operations take it.

    operations: all of the network. Raises HardwareError, naming the operation, if one of several consumers of its
    result would change it.
    """
    names, steps, at = {operation.name}, Steps(), operation
    while True:
        consumers = [consumer for consumer in operations if at.name in consumer.inputs]
        if len(consumers) != 1 or type(consumers[0]) not in STEPS:
            break
        (at,) = consumers
        steps = STEPS[type(at)](steps, at)
        names.add(at.name)
    if any(_changes(consumer) for consumer in consumers):
        raise HardwareError(
            f"layer {operation.name!r}: several operations take its result, and not all as it is stored; this "
            "accelerator stores one form of it"
        )
    return OutputSteps(steps.relu, steps.rounding, not consumers, frozenset(names))


def _changes(consumer: Operation) -> bool:
    """Whether a consumer is a step that changes values."""
    return type(consumer) in STEPS and STEPS[type(consumer)](Steps(), consumer) != Steps()
