"""Compile loops with numba: without the interpreter's lock, kept on disk where that can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled function. Never with fast-math: sums keep their order and every rounding its place."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(nogil=True)(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A compiled function whose code is put where it is called."""
    return numba.njit(inline="always")(function)
