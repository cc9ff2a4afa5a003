"""What a layer or a rounding keeps in its state: a radix point in a buffer, and formats of its own as text."""

from __future__ import annotations

import torch
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats import Format, Precision, parse_precision
from fewbits.formats.switched_units import SwitchedUnits

NOT_CHOSEN = torch.iinfo(torch.int64).min
"""What a radix point's buffer holds before calibration."""

_LONGEST = 100
"""Characters that the text of formats may have; the longest names take fewer."""


def start(number_format: Format) -> int:
    """The radix point before calibration: 0 for a format that needs none."""
    return NOT_CHOSEN if number_format.needs_radix_point else 0


def as_buffer(point: int, device: torch.device | None = None) -> Tensor:
    """A buffer that holds a radix point, which the module also keeps as a plain integer for forward passes."""
    return torch.tensor(point, dtype=torch.int64, device=device)


def fill(buffer: Tensor, fraction_bits: object) -> int:
    """Write a radix point to its buffer; the plain integer. Raises ModelError unless it is an integer."""
    if isinstance(fraction_bits, bool) or not isinstance(fraction_bits, int):
        raise ModelError(f"fraction_bits must be an integer, not {fraction_bits!r}")
    buffer.fill_(fraction_bits)
    return fraction_bits


def checked(point: int, name: str) -> int:
    """The radix point. Raises ModelError, naming the layer, if it was not chosen yet."""
    if point == NOT_CHOSEN:
        where = f"layer {name!r}" if name else "this layer"
        raise ModelError(f"{where} has no radix points yet: call fewbits.calibrate(model, images) first")
    return point


def formats_to_tensor(precision: Precision, multiplier_bits: int = 0) -> Tensor:
    """The text `weights/inputs*multiplier_bits` in ASCII: uint8, one dimension."""
    text = f"{precision.weights.name}/{precision.inputs.name}*{multiplier_bits}"
    return torch.tensor(list(text.encode("ascii")), dtype=torch.uint8)


def formats_from_tensor(text: Tensor) -> tuple[Precision, int]:
    """What `formats_to_tensor` wrote. Raises ModelError for anything else, FormatError for an unknown format."""
    if text.dtype is not torch.uint8 or text.ndim != 1 or len(text) > _LONGEST:
        raise ModelError("a layer's formats are stored as up to 100 characters of uint8: the state is damaged")
    name, _, multiplier_bits = bytes(text.tolist()).decode("ascii", errors="replace").partition("*")
    if not multiplier_bits.isdecimal():
        raise ModelError(f"a layer's formats are stored as weights/inputs*scale_bits, not {name!r}")
    return parse_precision(name), int(multiplier_bits)


def units_to_tensor(units: SwitchedUnits) -> Tensor:
    """Their text in ASCII: uint8, one dimension."""
    return torch.tensor(list(units.text.encode("ascii")), dtype=torch.uint8)


def units_from_tensor(text: Tensor) -> SwitchedUnits:
    """What `units_to_tensor` wrote. Raises ModelError or FormatError for anything else."""
    if text.dtype is not torch.uint8 or text.ndim != 1:
        raise ModelError("a layer's switched units are stored as characters of uint8: the state is damaged")
    return SwitchedUnits.parse(bytes(text.tolist()).decode("ascii", errors="replace"))
