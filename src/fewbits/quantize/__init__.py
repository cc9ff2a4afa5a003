"""A torch network in low precision: quantized layers, calibration, straight-through gradients."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType

from torch import nn

from fewbits.formats import Precision
from fewbits.quantize.batch_norm import batch_norms, fold_batch_norm
from fewbits.quantize.calibration import LayerCalibration, calibrate
from fewbits.quantize.equalization import equalize_channels
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.model import QuantizedModel, Skipped, quantize
from fewbits.quantize.radix_point import METHODS, choose_fraction_bits
from fewbits.quantize.tensor_rounding import TensorRounding

__all__ = [
    "METHODS",
    "LayerCalibration",
    "QuantizedLayer",
    "QuantizedModel",
    "Skipped",
    "TensorRounding",
    "batch_norms",
    "calibrate",
    "choose_fraction_bits",
    "equalize_channels",
    "fold_batch_norm",
    "quantize",
]


class _CallablePackage(ModuleType):
    """Lets `fewbits.quantize(model, precision)` be the function although it names this package too.

    Importing a package makes it an attribute of its parent, in place of the function of the same name.
    """

    def __call__(
        self,
        model: nn.Module,
        precision: str | Precision,
        *,
        layers: Mapping[str, str | Precision] | None = None,
        per_channel: bool = False,
    ) -> QuantizedModel:
        """See `fewbits.quantize.quantize`."""
        return quantize(model, precision, layers=layers, per_channel=per_channel)


sys.modules[__name__].__class__ = _CallablePackage
