"""Switch off, for a while, whatever torch may trade exactness for."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch


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
