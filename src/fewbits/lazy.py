"""Public names of a package that are loaded at first use, so that importing it costs nothing."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any


def lazily(package: str, holders: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a package.

    holders: by public name, the module that holds it; a name that is the module's last part is the module itself.
    """

    def get(name: str) -> Any:
        if name not in holders:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(holders[name])
        value = module if holders[name] == f"{package}.{name}" else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*sys.modules[package].__all__, *holders})

    return get, names


@contextmanager
def importing() -> Generator[None]:
    """For loading large packages: garbage collection, which would look at all their objects many times, waits."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
