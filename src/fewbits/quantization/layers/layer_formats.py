"""The formats of one layer, where they differ from the network's precision, as a tensor in the layer's state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fewbits.errors import ModelError
from fewbits.formats import Precision, parse_precision

_LONGEST = 100
"""Characters that the text of formats may have; the longest names take fewer."""


@dataclass(frozen=True)
class LayerFormats:
    """Formats of a layer's weights and inputs, and the width of the factor behind its sums."""

    precision: Precision
    scale_bits: int = 0
    """See `QuantizedLayer.scale_bits`."""

    def to_tensor(self) -> Tensor:
        """The text `weights/inputs*scale_bits` in ASCII: uint8, one dimension."""
        text = f"{self.precision.weights.name}/{self.precision.inputs.name}*{self.scale_bits}"
        return torch.tensor(list(text.encode("ascii")), dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, text: Tensor) -> LayerFormats:
        """What `to_tensor` wrote. Raises ModelError for anything else, FormatError for an unknown format."""
        if text.dtype is not torch.uint8 or text.ndim != 1 or len(text) > _LONGEST:
            raise ModelError("a layer's formats are stored as up to 100 characters of uint8: the state is damaged")
        name, _, scale_bits = bytes(text.tolist()).decode("ascii", errors="replace").partition("*")
        if not scale_bits.isdecimal():
            raise ModelError(f"a layer's formats are stored as weights/inputs*scale_bits, not {name!r}")
        return cls(parse_precision(name), int(scale_bits))
