"""Devices that a caller names: which are taken, and which are here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fewbits.arguments import shown
from fewbits.errors import ModelError

if TYPE_CHECKING:
    import torch

DEVICE_TYPES = ("cpu", "cuda")
"""What fewbits computes on. Rounding and the bit-exact run need float64 and int64, which other kinds (mps) lack."""


def parse_device(device: str | torch.device) -> torch.device:
    """The device of a name such as `cpu`, `cuda` or `cuda:1`, which must be here.

    Raises ModelError for another kind, for CUDA where torch sees none, and for a number that no device has.
    """
    import torch

    allowed = "give 'cpu', 'cuda' or 'cuda:N'"
    if not isinstance(device, (str, torch.device)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ModelError(f"a device is a name or a torch.device, not {shown(device)}: {allowed}")
    try:
        parsed = torch.device(device)
    except RuntimeError:
        raise ModelError(f"unknown device {shown(device)}: {allowed}") from None
    if parsed.type not in DEVICE_TYPES:
        raise ModelError(f"device {shown(str(device))} is none that fewbits computes on: {allowed}")
    if parsed.type == "cpu":
        if parsed.index not in (None, 0):
            raise ModelError(f"there is one CPU, no {shown(str(device))}: give 'cpu'")
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise ModelError(
            f"device {shown(str(device))} is not here: torch {torch.__version__} sees no CUDA device; give 'cpu', or "
            "install a torch with CUDA on a machine with a GPU"
        )
    if (parsed.index or 0) >= count:
        raise ModelError(f"device {shown(str(device))} is not here: torch sees cuda:0 to cuda:{count - 1}")
    return parsed
