"""Networks: LeNet, ConvNet and the ALEX family, widened ones, and the user's own by name."""

from fewbits.models.build import MODEL_NAMES, build, input_shape
from fewbits.models.widen import widen

__all__ = ["MODEL_NAMES", "build", "input_shape", "widen"]
