"""Which neuron of the tile computes each output of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fewbits.graph.operations import Layer
    from fewbits.hardware.dataflow.accelerator import Accelerator


def neurons_of(layer: Layer, accelerator: Accelerator) -> NDArray[np.int64]:
    """The neuron of each output, (outputs,): of each group of the convolution, one output after another."""
    outputs = len(layer.weight)
    return np.arange(outputs) % (outputs // layer.groups) % accelerator.neurons
