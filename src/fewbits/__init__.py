"""fewbits: how few bits a neural network needs, and what each bit costs in silicon.

Everything is loaded at first use: `fewbits.models`, `data`, `train`, `study`, `report`, `hardware`, `formats`, `graph`,
`quantization`, `bitexact`, `search`, `executors` and `export` too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.errors import (
    DataError,
    ExecutorError,
    FewbitsError,
    FormatError,
    HardwareError,
    ModelError,
    SearchError,
    StudyError,
)
from fewbits.lazy import lazily

if TYPE_CHECKING:
    from fewbits import bitexact as bitexact
    from fewbits import data as data
    from fewbits import executors as executors
    from fewbits import export as export
    from fewbits import formats as formats
    from fewbits import graph as graph
    from fewbits import hardware as hardware
    from fewbits import models as models
    from fewbits import quantization as quantization
    from fewbits import report as report
    from fewbits import search as search
    from fewbits import study as study
    from fewbits import train as train
    from fewbits.bitexact import BitExactNetwork, Difference, ExactValues, Operation, first_difference, load, lower
    from fewbits.data import Dataset, Split
    from fewbits.extensions import ExtensionError
    from fewbits.formats import Description, Format, Precision, parse_format, parse_precision
    from fewbits.hardware import Accelerator, Breakdown, Cost, LayerCost, Technology, Workload, cost
    from fewbits.quantization import (
        LayerCalibration,
        QuantizedLayer,
        QuantizedModel,
        Skipped,
        calibrate,
        equalize_channels,
        fold_batch_norm,
        quantize,
    )

__version__ = "0.1.0"

_SUBPACKAGES = (
    *("bitexact", "data", "executors", "export", "formats", "graph", "hardware"),
    *("models", "quantization", "report", "search", "study", "train"),
)

_HOLDERS = {name: f"fewbits.{name}" for name in _SUBPACKAGES} | {
    name: f"fewbits.{package}"
    for package, names in {
        "bitexact": (
            *("BitExactNetwork", "Difference", "ExactValues", "Operation"),
            *("first_difference", "load", "lower"),
        ),
        "data": ("Dataset", "Split"),
        "extensions": ("ExtensionError",),
        "formats": ("Description", "Format", "Precision", "parse_format", "parse_precision"),
        "hardware": ("Accelerator", "Breakdown", "Cost", "LayerCost", "Technology", "Workload", "cost"),
        "quantization": (
            *("LayerCalibration", "QuantizedLayer", "QuantizedModel", "Skipped"),
            *("calibrate", "equalize_channels", "fold_batch_norm", "quantize"),
        ),
    }.items()
    for name in names
}
"""Subpackages and public names, and what holds each: loaded at first use, so that the command line answers at once."""

__all__ = [
    "Accelerator",
    "BitExactNetwork",
    "Breakdown",
    "Cost",
    "DataError",
    "Dataset",
    "Description",
    "Difference",
    "ExactValues",
    "ExecutorError",
    "ExtensionError",
    "FewbitsError",
    "Format",
    "FormatError",
    "HardwareError",
    "LayerCalibration",
    "LayerCost",
    "ModelError",
    "Operation",
    "Precision",
    "QuantizedLayer",
    "QuantizedModel",
    "SearchError",
    "Skipped",
    "Split",
    "StudyError",
    "Technology",
    "Workload",
    "calibrate",
    "cost",
    "equalize_channels",
    "first_difference",
    "fold_batch_norm",
    "load",
    "lower",
    "parse_format",
    "parse_precision",
    "quantize",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of these
    __getattr__, __dir__ = lazily(__name__, _HOLDERS)
