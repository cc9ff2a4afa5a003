"""Execute a network of integer and float layers, each operation as its own arithmetic does.

Only a rounding leads from one to the other: the nearest value of its format to an accumulator, whatever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fewbits.bitexact.floating import FloatArray, checked, nearest_numbers
from fewbits.bitexact.integer import Value, nearest_integers
from fewbits.bitexact.sum_order import SumOrder
from fewbits.bitexact.tables import FLOAT, INTEGER
from fewbits.bitexact.wide import WideIntegers
from fewbits.errors import ModelError
from fewbits.formats.format import Arithmetic
from fewbits.graph.operations import Operation, Rounding, arithmetics


class MixedExecutor:
    """Executes the operations one by one; on the CPU, wherever the images are."""

    batch_size = 128
    """Images at a time, if their memory allows."""

    def __init__(self, operations: tuple[Operation, ...], order: SumOrder) -> None:
        """Prepare what computes each operation. order: of the sums of floats."""
        self._operations = operations
        computed_in = arithmetics(operations)
        self._steps = [_step(one, computed_in[one.name], computed_in.get(one.inputs[0]), order) for one in operations]

    def values(self, images: Tensor, read: Mapping[str, Callable[[Any], Any]] | None = None) -> dict[str, Any]:
        """Every operation's result for a batch of images, by name: of integers as `IntegerExecutor`, of floats float32.

        read: by operation, what is made of its result before any other takes it: a memory with wrong bits.
        Raises FormatError if an image holds NaN, ModelError if a float is infinite, naming the layer.
        """
        results: dict[str, Any] = {self._operations[0].inputs[0]: images.cpu()}
        for operation, step in zip(self._operations, self._steps, strict=True):
            results[operation.name] = step(*(results[name] for name in operation.inputs))
            if read is not None and operation.name in read:
                results[operation.name] = read[operation.name](results[operation.name])
        return {one.name: _on(results[one.name], images.device) for one in self._operations}

    def logits(self, images: Tensor, read: Mapping[str, Callable[[Any], Any]] | None = None) -> Any:
        """The last operation's result; see `values`."""
        return self.values(images, read)[self._operations[-1].name]


def _step(operation: Operation, own: Arithmetic, source: Arithmetic | None, order: SumOrder) -> Callable[..., Any]:
    """What computes an operation. source: what its first input holds; None for the images."""
    if source in (None, own):
        return FLOAT.of(operation)(operation, order) if own == "float32" else INTEGER.of(operation)(operation)
    if not isinstance(operation, Rounding):
        raise ModelError(
            f"operation {operation.name!r} ({type(operation).__name__}) takes {source} values and gives {own} ones: "
            "put a Rounding between"
        )
    return partial(_CROSSINGS[own], operation)


def _to_floats(operation: Rounding, source: Value) -> FloatArray:
    """Accumulators of integers to numbers of a float format, without its radix point."""
    numbers = source.rounded_to_odd() if isinstance(source, WideIntegers) else source
    if not isinstance(numbers, Tensor):
        raise ModelError(f"operation {operation.name!r} rounds sums behind the last layer: nothing takes them")
    return nearest_numbers(numbers.numpy() * 2.0**-operation.shift, operation.number_format)


def _to_integers(operation: Rounding, source: FloatArray) -> Tensor:
    """Accumulators in float32 to integers of a format: a float64 holds each, moved by the radix point."""
    numbers = torch.from_numpy(source).to(torch.float64)
    return nearest_integers(numbers * 2.0**-operation.shift, operation.number_format)


_CROSSINGS: dict[Arithmetic, Callable[..., Any]] = {"float32": checked(_to_floats), "integer": _to_integers}
"""By the arithmetic of the result."""


def _on(value: Any, device: torch.device) -> Any:
    if isinstance(value, WideIntegers) or (not isinstance(value, Tensor) and value.dtype == object):
        return value
    return (value if isinstance(value, Tensor) else torch.from_numpy(value)).to(device)
