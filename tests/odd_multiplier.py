"""A multiplier that makes something of zeros, and a network of its products whose layers fill no lanes evenly."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

import fewbits as fb
from fewbits.bitexact import BitExactNetwork
from fewbits.hardware.multipliers import product_table

ODD = """module odd(input signed [3:0] a, input signed [3:0] b, output signed [7:0] p);
assign p = a * b + ((a == 0) ? 8'sd3 : 8'sd0) - ((b == 0) ? 8'sd5 : 8'sd0) + ((a[0] & ~b[1]) ? 8'sd1 : 8'sd0);
endmodule"""
"""0 * 0 is -2, 0 times an input 3 or so, a weight times 0 about -5."""


def padded_network(circuit: Path) -> tuple[BitExactNetwork, Tensor]:
    """Padded convolutions of 18 and 45 synapses, a linear layer of 48."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    )
    images = torch.randn(2, 2, 6, 6)
    table = product_table(str(circuit), "fixed4")
    assert table.values[0, 0] != 0
    assert (table.values[0, 1:] != 0).all()
    assert (table.values[1:, 0] != 0).any()
    return fb.lower(fb.calibrate(fb.quantize(model, "fixed4", products=table), images), images[:1]), images
