"""fewbits: how few bits a neural network needs, and what each bit costs in silicon."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fewbits.errors import DataError, FewbitsError, FormatError, HardwareError, ModelError, StudyError

if TYPE_CHECKING:
    from fewbits.bitexact import BitExactNetwork, first_difference, lower
    from fewbits.formats import Format, Precision, parse_format, parse_precision
    from fewbits.hardware import cost
    from fewbits.quantization import calibrate, equalize_channels, fold_batch_norm, quantize

__version__ = "0.1.0"

_LAZY = {
    "BitExactNetwork": "fewbits.bitexact",
    "load": "fewbits.bitexact",
    "Format": "fewbits.formats",
    "Precision": "fewbits.formats",
    "calibrate": "fewbits.quantization",
    "cost": "fewbits.hardware",
    "equalize_channels": "fewbits.quantization",
    "first_difference": "fewbits.bitexact",
    "fold_batch_norm": "fewbits.quantization",
    "lower": "fewbits.bitexact",
    "parse_format": "fewbits.formats",
    "parse_precision": "fewbits.formats",
    "quantize": "fewbits.quantization",
}
"""Public names and the package that holds each: loaded at first use, so that the command line answers at once."""

__all__ = [
    "BitExactNetwork",
    "DataError",
    "FewbitsError",
    "Format",
    "FormatError",
    "HardwareError",
    "ModelError",
    "Precision",
    "StudyError",
    "calibrate",
    "cost",
    "equalize_channels",
    "first_difference",
    "fold_batch_norm",
    "lower",
    "parse_format",
    "parse_precision",
    "quantize",
]


def __getattr__(name: str) -> object:
    """Load a public name from its package at first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'fewbits' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
