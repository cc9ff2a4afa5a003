"""Fast stages of an integer network: images to codes, a layer with all up to its pooling, an average."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from fewbits.bitexact.accumulator import Range, magnitude
from fewbits.bitexact.fused_kernels import add_flat, average_maps, round_flat, round_images, round_maps
from fewbits.bitexact.layer_sums import Float32Sums, LayerSums, WideSums, layer_sums
from fewbits.bitexact.window_tables import single_elements, window_tables, without_padding
from fewbits.errors import FormatError
from fewbits.formats import Format
from fewbits.graph.operations import (
    Addition,
    AveragePool,
    InputRounding,
    Layer,
    MaxPool,
    Operation,
    ReLU,
    Rounding,
    ValueRange,
)

Kind = TypeVar("Kind", bound=Operation)

_LARGEST_SHIFT = 100
"""Beyond it, either way, a float32 scale of 2**-shift might leave the normal numbers."""

_FLOAT32_CODE_BITS = 22
"""Widest format that is kept in float32: its codes then stay below 2**21, where the kernels' rounding is exact."""

_SUM_BITS = 53
"""Widest two's complement sum that float64 holds, whatever power of two scales it."""


class Followers:
    """The operations that a stage computes behind its first one: at most one of each class."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        """operations: in their order."""
        self.operations = tuple(operations)

    def of(self, kind: type[Kind]) -> Kind | None:
        """The one of a class, if there is one."""
        return next((operation for operation in self.operations if isinstance(operation, kind)), None)


@dataclass(frozen=True)
class StageKind:
    """How a stage begins with an operation of one class."""

    make: Callable[[Any, Followers, ValueRange], Callable[..., Any] | None]
    """From the operation, its followers and the range of its first input to what computes them at once; None where
    nothing is faster than one after another."""

    followers: tuple[type[Operation], ...] = ()
    """Classes of operations that it computes too, in this order, each where it alone uses the result so far."""


ONE_BY_ONE = StageKind(lambda operation, followers, inputs: None)
"""Of an operation that has no fast stage."""


def code_dtype(number_format: Format) -> torch.dtype:
    """Type in which codes of a uniform format are kept between stages."""
    return torch.float32 if number_format.bits <= _FLOAT32_CODE_BITS else torch.float64


class InputStage:
    """Images to codes."""

    def __init__(self, operation: InputRounding) -> None:
        """operation: to a uniform format."""
        self._operation = operation
        self._dtype = code_dtype(operation.number_format)

    def run(self, images: Tensor) -> Tensor:
        """Codes of a batch of images. Raises FormatError for NaN."""
        operation = self._operation
        # In float32 a value that rounds to a code of 22 bits stays itself when scaled; wider ones need float64.
        narrow = self._dtype == torch.float32 and images.dtype == torch.float32
        dtype = torch.float32 if narrow and abs(operation.fraction_bits) <= _LARGEST_SHIFT else torch.float64
        source = images.to(dtype).contiguous()
        out = torch.empty(images.shape, dtype=self._dtype)
        scale = 2.0**operation.fraction_bits
        limits = _scalars(dtype, scale, *operation.number_format.integer_limits)
        if round_images(_flat(source), _flat(out), *limits):
            raise FormatError("the images hold NaN, which has no code: normalize them without dividing by zero")
        return out


def layer_stage(layer: Layer, followers: Followers, inputs: Range) -> LayerStage | None:
    """The stage of a layer and what follows it up to rounding and maximum pooling; None if there is no fast one.

    inputs: range of the layer's input codes.
    """
    rounding = followers.of(Rounding)
    if rounding is None or not rounding.number_format.is_uniform or abs(rounding.shift) > _LARGEST_SHIFT:
        return None
    sums = layer_sums(layer, inputs)
    if sums is None or (isinstance(sums, WideSums) and rounding.shift < 1):
        return None
    return LayerStage(sums, followers, rounding)


class LayerStage:
    """Sums of products, then ReLU, rounding and maximum pooling in one pass."""

    def __init__(self, sums: LayerSums, followers: Followers, rounding: Rounding) -> None:
        """followers: the operations after the layer, `rounding` among them."""
        self._sums = sums
        self._rounding = rounding
        self._has_relu = followers.of(ReLU) is not None
        self._pool = followers.of(MaxPool)
        self._dtype = code_dtype(rounding.number_format)
        height, width = sums.map_shape
        self._rows, self._columns = single_elements(height), single_elements(width)
        if self._pool is not None:
            self._rows, self._columns = map(without_padding, window_tables(self._pool))
        # What a wide format takes cannot be limited in float32.
        self._widest = torch.promote_types(self._dtype, sums.dtype)
        low, high = rounding.number_format.integer_limits
        self._limits = (0 if self._has_relu else low, high)

    def run(self, codes: Tensor) -> Tensor:
        """Codes of the next layer."""
        shape = self._rounding.output_shape if self._pool is None else self._pool.output_shape
        out = torch.empty((len(codes), *shape), dtype=self._dtype)
        for start in range(0, len(codes), self._sums.images_at_once):
            stop = start + self._sums.images_at_once
            self._run(codes[start:stop], out[start:stop])
        return out

    def _run(self, codes: Tensor, out: Tensor) -> None:
        """As many images as suit the cache."""
        scale = 2.0**-self._rounding.shift
        if isinstance(self._sums, WideSums):
            maps, scale = self._sums.rounded_maps(codes, self._rounding, self._has_relu), 1.0
        else:
            maps = self._sums.maps(codes).to(self._widest)
        scalars = _scalars(maps.dtype, scale, *self._limits)
        if self._pool is None and isinstance(self._sums, Float32Sums):
            round_flat(_flat(maps.contiguous()), _flat(out), *scalars)
        else:
            swap = not isinstance(self._sums, Float32Sums)
            round_maps(maps.numpy(), self._rows, self._columns, _flat(out), swap, *scalars)


class AdditionStage:
    """An addition, then ReLU and rounding, in one pass."""

    def __init__(self, operation: Addition, followers: Followers, rounding: Rounding) -> None:
        """followers: the operations after the addition, `rounding` among them; see `is_added_in_float64`."""
        self._dtype = code_dtype(rounding.number_format)
        self._scales = [np.float64(2.0 ** (shift - rounding.shift)) for shift in operation.shifts]
        low, high = rounding.number_format.integer_limits
        _, *self._limits = _scalars(torch.float64, 1.0, low if followers.of(ReLU) is None else 0, high)

    def run(self, first: Tensor, second: Tensor) -> Tensor:
        """Codes of the sum."""
        out = torch.empty(first.shape, dtype=self._dtype)
        add_flat(_flat(first.contiguous()), _flat(second.contiguous()), *self._scales, _flat(out), *self._limits)
        return out


def is_added_in_float64(operation: Addition, rounding: Rounding) -> bool:
    """Whether sums are float64 numbers, scaled by any power of two, and rounding is to integers."""
    shifts = (*operation.shifts, rounding.shift)
    return (
        operation.accumulator_bits <= _SUM_BITS
        and max(map(abs, shifts)) <= _LARGEST_SHIFT
        and rounding.number_format.is_uniform
    )


class AverageStage:
    """Averages of codes."""

    def __init__(self, operation: AveragePool, number_format: Format) -> None:
        """operation: one that `is_averaged_by_float64`, to this format."""
        self._shape = operation.output_shape
        self._rows, self._columns = window_tables(operation)
        self._divisors = operation.divisors.astype(np.float64).reshape(len(self._rows), len(self._columns))
        self._dtype = code_dtype(number_format)
        self._limits = number_format.integer_limits

    def run(self, codes: Tensor) -> Tensor:
        """Averages as codes of the same format."""
        out = torch.empty((len(codes), *self._shape), dtype=self._dtype)
        height = 1 if codes.ndim == 3 else codes.shape[2]
        maps = codes.contiguous().view(-1, height, codes.shape[-1]).numpy()
        results = out.view(-1, len(self._rows), len(self._columns)).numpy()
        _, *limits = _scalars(torch.float64, 1.0, *self._limits)
        average_maps(maps, self._rows, self._columns, self._divisors, results, *limits)
        return out


def is_averaged_by_float64(operation: AveragePool, number_format: Format) -> bool:
    """Whether a float64 quotient rounds as the exact one does: see `integer.py`; for uniform formats alone."""
    if not number_format.is_uniform:
        return False
    return magnitude(number_format.integer_limits) * math.prod(operation.kernel) < 2**51


def _flat(tensor: Tensor) -> Any:
    return tensor.view(-1).numpy()


def _scalars(dtype: torch.dtype, scale: float, low: int, high: int) -> tuple[Any, Any, Any, Any]:
    """Scale, limits and the number whose addition rounds (see `fused_kernels.py`), in a type."""
    make, significand_bits = (np.float32, 24) if dtype == torch.float32 else (np.float64, 53)
    return make(scale), make(low), make(high), make(1.5 * 2 ** (significand_bits - 1))
