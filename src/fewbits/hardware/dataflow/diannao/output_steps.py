"""What the way out does right behind an operation, before its result is stored: ReLU and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fewbits.bitexact import Flatten, Operation, ReLU, Rounding
from fewbits.errors import HardwareError


@dataclass(frozen=True)
class OutputSteps:
    """The steps behind one operation."""

    relu: bool
    rounding: Rounding | None
    is_last: bool
    """Whether nothing comes after them: the result is the network's."""

    names: frozenset[str]
    """Of all operations whose result is what is stored: the one that computes, and its steps."""


def output_steps(operation: Operation, operations: Sequence[Operation]) -> OutputSteps:
    """Follow a result through ReLU, rounding and reshaping to where other operations take it.

    operations: all of the network. Raises HardwareError, naming the operation, if one of several that take its result
    would change it.
    """
    names, relu, rounding = {operation.name}, False, None
    at = operation
    while True:
        takers = [taker for taker in operations if at.name in taker.inputs]
        if len(takers) != 1:
            break
        (taker,) = takers
        if not isinstance(taker, Flatten | ReLU | Rounding):
            break
        if isinstance(taker, Rounding):
            rounding = taker
        relu = relu or isinstance(taker, ReLU)
        names.add(taker.name)
        at = taker
    if any(isinstance(taker, ReLU | Rounding) for taker in takers):
        raise HardwareError(
            f"layer {operation.name!r}: several operations take its result, and not all as it is stored; this "
            "accelerator stores one form of it"
        )
    return OutputSteps(relu, rounding, not takers, frozenset(names))
