"""The bit-exact network: its operations, and what it computes on images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewbits.arguments import is_integer, shown
from fewbits.bitexact.exact_arithmetic import check_products, exact_arithmetic
from fewbits.bitexact.executors import Executor, choose_executor
from fewbits.bitexact.integer import Value
from fewbits.bitexact.layer_arithmetic import FLOAT64_EXACT
from fewbits.bitexact.saved import load_network, save_network
from fewbits.bitexact.sum_order import DEFAULT, SumOrder
from fewbits.bitexact.wide import WideIntegers, as_objects
from fewbits.devices import parse_device
from fewbits.errors import DataError
from fewbits.formats import Precision
from fewbits.graph.operations import Layer, ObjectArray, Operation, arithmetics, layers_of

ExactValues = Tensor | ObjectArray
"""Exact integers: an int64 tensor, or Python integers where they are wider. float32 tensors in a float precision."""

Device = str | torch.device
"""A device, or its name: `cpu`, `cuda`, `cuda:1`."""

_MEMORY_ELEMENTS = 2**22
"""Elements that the largest result of a batch may have: 32 MiB in float64, which stays below malloc's largest threshold
for giving memory back to the system after each use (glibc's M_MMAP_THRESHOLD)."""


_INT64_END = 2**63


class BitExactNetwork:
    """What the hardware computes: operations in the order of execution, the last one gives the logits.

    Made by `fewbits.lower`. Immutable.
    """

    def __init__(
        self,
        operations: tuple[Operation, ...],
        precision: Precision,
        input_shape: tuple[int, ...],
        product_bits: int | None = None,
        sum_order: SumOrder = DEFAULT,
    ) -> None:
        """See `lower`."""
        self._product_bits = product_bits
        self._sum_order = sum_order
        self._operations = operations
        self._precision = precision
        self._input_shape = input_shape

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations, each after those that it takes its input from."""
        return self._operations

    @property
    def precision(self) -> Precision:
        """Formats of weights and inputs that the network was quantized to."""
        return self._precision

    @property
    def product_bits(self) -> int | None:
        """Width that products are cut to; None where they are whole."""
        return self._product_bits

    @property
    def sum_order(self) -> SumOrder:
        """In which order a float precision sums its products; integers give the same in any."""
        return self._sum_order

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one image's logits."""
        return self._operations[-1].output_shape

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The convolutions and linear layers, in order."""
        return layers_of(self._operations)

    @property
    def logits_fraction_bits(self) -> int:
        """Radix point of the accumulators (or sums) that are the logits."""
        return self._end[0]

    @property
    def logits_divisor(self) -> int:
        """What the integers that are the logits are to be divided by: 1, unless the network ends in an average."""
        is_float = arithmetics(self._operations)[self._operations[-1].name] == "float32"
        return 1 if is_float else self._end[1]

    @property
    def _end(self) -> tuple[int, int]:
        """Radix point and divisor of the logits: of the last operation that gives one, and of those behind it."""
        by_name = {operation.name: operation for operation in self._operations}
        operation, divisor = self._operations[-1], 1
        while (fraction_bits := operation.result_fraction_bits) is None:
            divisor *= operation.result_divisor
            operation = by_name[operation.inputs[0]]
        return fraction_bits, divisor

    def run(self, images: Tensor, *, batch_size: int | None = None, device: Device | None = None) -> Tensor:
        """Logits, float64, N first, on the images' device.

        They are the last layer's accumulators times 2**-logits_fraction_bits. Nothing behind it is rounded: an average
        is a sum, divided by `logits_divisor`. Exact where that has at most 53 significant bits, else the nearest
        float64 (rounded once, ties to even).
        images: N, then `input_shape`; float, normalized as for the float model. batch_size: images computed at a time;
        chosen so that memory stays bounded if None. device: where to compute, batch by batch, such as `cuda`; None: on
        the images' device. The results are the same, bit for bit; a float precision, whose sums have an order, and
        truncated products are computed on the CPU wherever that is.
        Raises DataError for images of another shape or type, FormatError for NaN, ModelError (naming the layer) where
        a float precision overflows, or for a device that is not here.
        """
        scale, divisor = 2.0**-self.logits_fraction_bits, self.logits_divisor
        values = self.accumulators(images, batch_size=batch_size, device=device)
        if isinstance(values, Tensor) and (divisor == 1 or _are_exact_in_float64(values)):
            return values.to(torch.float64) / divisor * scale
        integers = as_objects(values.cpu().numpy()) if isinstance(values, Tensor) else values
        quotients = integers / divisor  # Python divides integers with one rounding
        return torch.from_numpy(quotients.astype(np.float64) * scale).to(images.device)

    def accumulators(
        self, images: Tensor, *, batch_size: int | None = None, device: Device | None = None
    ) -> ExactValues:
        """The logits as exact integers, without their radix point and `logits_divisor`; see `run`.

        Returns int64, or Python integers if one does not fit 64 bits; float32 in a float precision.
        """
        self._check(images)
        target = images.device if device is None else parse_device(device)
        executor = self._executor(target)
        batches = [
            _moved(exact_values(executor.logits(batch)), images.device)
            for batch in self._batches(images, batch_size, target)
        ]
        return _joined(batches)

    def predict(self, images: Tensor, *, batch_size: int | None = None, device: Device | None = None) -> Tensor:
        """Class of each image, int64: the first largest of its exact accumulators. See `run` for images and errors."""
        values = self.accumulators(images, batch_size=batch_size, device=device)
        if isinstance(values, Tensor):
            return values.argmax(dim=1)
        return torch.from_numpy(np.argmax(values, axis=1)).to(images.device)

    def trace(self, images: Tensor) -> dict[str, ExactValues]:
        """Every operation's exact result by its name, for one batch; see `accumulators` for types, `run` for errors."""
        self._check(images)
        with exact_arithmetic(images.device.type):
            values = self._executor(images.device).values(images)
            return {name: exact_values(value) for name, value in values.items()}

    def save(self, path: str | Path) -> None:
        """Write the network to a file that `fewbits.load` reads, here or on another machine; whole or not at all.

        The file is safetensors with a JSON text: nothing in it is run. An extension's operation is saved by its fields;
        the extension is needed to load it. Raises ModelError if a field's type has no form there, or the file cannot be
        written.
        """
        save_network(self, path)

    def _batches(self, images: Tensor, batch_size: int | None, device: torch.device) -> Iterator[Tensor]:
        size = self._batch_size(device) if batch_size is None else batch_size
        if not is_integer(size):
            raise DataError(f"batch_size must be an integer of at least 1, not {shown(size)}")
        with exact_arithmetic(device.type):
            for start in range(0, max(1, len(images)), size):
                yield images[start : start + size].to(device)

    def _check(self, images: Tensor) -> None:
        """Raise DataError unless these are float images of the right shape."""
        expected = f"(N, {', '.join(map(str, self._input_shape))})"
        if not isinstance(images, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DataError(f"images must be a tensor of shape {expected}, not {type(images).__name__}")
        if tuple(images.shape[1:]) != self._input_shape or images.ndim != len(self._input_shape) + 1:
            raise DataError(f"images have shape {tuple(images.shape)}: this network takes {expected}")
        if not images.is_floating_point():
            raise DataError(f"images must be normalized floats, not {images.dtype}")

    def _batch_size(self, device: torch.device) -> int:
        largest = max(math.prod(operation.output_shape) for operation in self._operations)
        return max(1, min(self._executor(device).batch_size, _MEMORY_ELEMENTS // largest))

    @cached_property
    def _executors(self) -> dict[str, Executor]:
        return {}

    def _executor(self, device: torch.device) -> Executor:
        if device.type not in self._executors:
            if device.type != "cpu":
                with exact_arithmetic(device.type):
                    check_products(device)
            self._executors[device.type] = choose_executor(self._operations, device, self._sum_order)
        return self._executors[device.type]

    def __getstate__(self) -> dict[str, Any]:
        """Without the executors, whose buffers are made anew."""
        return {key: value for key, value in self.__dict__.items() if key != "_executors"}


def load(path: str | Path) -> BitExactNetwork:
    """The network in a file that `BitExactNetwork.save` wrote; its results are the same, bit for bit.

    Nothing in the file is run. Raises ModelError if it is of another kind or version, damaged, no sound network
    (shapes, formats, radix points and widths are checked), or holds an operation of an extension that is not
    installed.
    """
    return load_network(BitExactNetwork, path)


def _moved(values: ExactValues, device: torch.device) -> ExactValues:
    return values.to(device) if isinstance(values, Tensor) else values


def _are_exact_in_float64(values: Tensor) -> bool:
    return values.numel() == 0 or bool(values.abs().max() <= FLOAT64_EXACT)


def exact_values(value: Value) -> ExactValues:
    """An executor's result as int64 if all of it fits, Python integers if not; float32 stays."""
    if isinstance(value, WideIntegers):
        value = value.to_objects()
    if isinstance(value, Tensor):
        if value.dtype == torch.float32:
            return value.clone()
        if value.numel() == 0 or value.abs().max() < _INT64_END:
            return value.to(torch.int64)
        return as_objects(value.cpu().numpy())
    fits = all(-_INT64_END <= number < _INT64_END for number in value.flat)
    return torch.from_numpy(value.astype(np.int64)) if fits else value


def _joined(batches: list[ExactValues]) -> ExactValues:
    """One tensor, or Python integers if any batch needs them."""
    tensors = [batch for batch in batches if isinstance(batch, Tensor)]
    if len(tensors) == len(batches):
        return torch.cat(tensors)
    return np.concatenate(
        [as_objects(batch.cpu().numpy()) if isinstance(batch, Tensor) else batch for batch in batches]
    )
