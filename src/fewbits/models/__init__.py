"""Networks: LeNet, ConvNet and the ALEX family, widened ones, and the user's own by name."""

from fewbits.models.builder import MODEL_NAMES, build, input_shape, is_built_in
from fewbits.models.source import ModelSource
from fewbits.models.weights import load_weights
from fewbits.models.weights_file import WeightsFile, read_weights, weights_sha256
from fewbits.models.widening import widen

__all__ = [
    "MODEL_NAMES",
    "ModelSource",
    "WeightsFile",
    "build",
    "input_shape",
    "is_built_in",
    "load_weights",
    "read_weights",
    "weights_sha256",
    "widen",
]
