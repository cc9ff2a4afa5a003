"""Switch off, for a while, whatever torch may trade exactness for."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from fewbits.errors import ModelError


@contextmanager
def exact_arithmetic(device_type: str) -> Generator[None]:
    """No gradients, no autocast, float32 products in float32, no NNPACK (its convolutions are Winograd's)."""
    _switches.enter()
    try:
        with torch.inference_mode(), torch.autocast(device_type, enabled=False):
            yield
    finally:
        _switches.leave()


class _Switches:
    """The switches that a process has once for all its threads: the first thread in sets them, the last one back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[Any] = []
        self._nnpack: tuple[Any, ...] = ()

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                switches = _float32_switches()
                self._before = [switch.fp32_precision for switch in switches]
                self._nnpack = torch.backends.nnpack.set_flags(False)
                for switch in switches:
                    switch.fp32_precision = "ieee"
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                for switch, precision in zip(_float32_switches(), self._before, strict=True):
                    switch.fp32_precision = precision
                torch.backends.nnpack.set_flags(*self._nnpack)


def _float32_switches() -> list[Any]:
    """What lets torch compute float32 products in fewer bits."""
    backends: Any = torch.backends
    return [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]


_switches = _Switches()


def check_products(device: torch.device) -> None:
    """Raise ModelError unless a device sums products exactly, as far as its types can: float32 below 2**24, float64
    below 2**53.

    It must be asked inside `exact_arithmetic`. Operands with all their bits show what computes in fewer (TF32, a
    library that emulates a type).
    """
    generator = torch.Generator().manual_seed(0)
    shape = (_SUMMED, _SUMMED)
    for dtype, bits in ((torch.float32, 24), (torch.float64, 53)):
        largest = 2 ** (bits - _SUMMED.bit_length())
        numbers = torch.randint(largest // 2, largest, shape, generator=generator) | 1
        chosen = torch.randint(0, 2, shape, generator=generator)
        there, chosen_there = numbers.to(device, dtype), chosen.to(device, dtype)
        sums = torch.stack([there @ chosen_there, chosen_there @ there]).cpu().to(torch.int64)
        if not torch.equal(sums, torch.stack([numbers @ chosen, chosen @ numbers])):
            raise ModelError(
                f"device {str(device)!r} rounds products of {dtype} that the type holds exactly: run the bit-exact "
                "network on the CPU, device='cpu'"
            )


_SUMMED = 64
"""Products in each sum of the check: enough for matrix units to take part."""
