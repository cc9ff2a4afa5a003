"""Networks: LeNet, ConvNet and the ALEX family, widened ones, and the user's own by name."""

from fewbits.models.builder import MODEL_NAMES, build, input_shape, is_built_in
from fewbits.models.source import ModelSource
from fewbits.models.widening import widen

__all__ = ["MODEL_NAMES", "ModelSource", "build", "input_shape", "is_built_in", "widen"]
