"""What calibration chose for a layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerCalibration:
    """What calibration chose for one layer."""

    name: str
    """Where the layer is in the network."""

    weight_fraction_bits: int
    input_fraction_bits: int
    weight_saturation: float
    """Share of the weights, 0 to 1, beyond the format's range."""

    input_saturation: float
    """Share of the inputs, 0 to 1, beyond the format's range."""
