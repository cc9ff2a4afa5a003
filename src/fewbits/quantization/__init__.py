"""A torch network in low precision: quantized layers, calibration, straight-through gradients."""

from __future__ import annotations

from fewbits.quantization.batch_norm import batch_norms, fold_batch_norm
from fewbits.quantization.calibration import calibrate
from fewbits.quantization.equalization import equalize_channels
from fewbits.quantization.layers.layer import QuantizedLayer
from fewbits.quantization.layers.layer_calibration import LayerCalibration
from fewbits.quantization.layers.radix_point import METHODS, choose_fraction_bits
from fewbits.quantization.layers.tensor_rounding import TensorRounding
from fewbits.quantization.layers.training_method import TrainingMethod, WithLayers, settle
from fewbits.quantization.methods.known_defects import FaultySums, HeldBits, KnownDefects
from fewbits.quantization.model import QuantizedModel, Skipped, quantize

__all__ = [
    "METHODS",
    "FaultySums",
    "HeldBits",
    "KnownDefects",
    "LayerCalibration",
    "QuantizedLayer",
    "QuantizedModel",
    "Skipped",
    "TensorRounding",
    "TrainingMethod",
    "WithLayers",
    "batch_norms",
    "calibrate",
    "choose_fraction_bits",
    "equalize_channels",
    "fold_batch_norm",
    "quantize",
    "settle",
]
