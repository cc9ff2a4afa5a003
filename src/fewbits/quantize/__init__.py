"""A torch network in low precision: quantized layers, calibration, straight-through gradients."""

from fewbits.quantize.calibration import LayerCalibration, calibrate
from fewbits.quantize.layer import QuantizedLayer
from fewbits.quantize.model import QuantizedModel, Skipped, quantize
from fewbits.quantize.radix_point import METHODS, choose_fraction_bits

__all__ = [
    "METHODS",
    "LayerCalibration",
    "QuantizedLayer",
    "QuantizedModel",
    "Skipped",
    "calibrate",
    "choose_fraction_bits",
    "quantize",
]
