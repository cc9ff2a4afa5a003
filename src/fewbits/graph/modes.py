"""Training and evaluation mode for a while, and whether a forward pass asks which of them it is in."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn

from fewbits.graph.float_layer import WrappedLayer


@contextmanager
def in_mode(network: nn.Module, *, training: bool) -> Generator[None]:
    """One mode for all modules of a network for a while; then each has its own again."""
    modes = {module: module.training for module in network.modules()}
    if all(mode == training for mode in modes.values()):  # setting it again would make layers round their weights anew
        yield
        return
    network.train(training)
    try:
        yield
    finally:
        for module, mode in modes.items():
            if _has_own_train(module):
                module.train(mode)
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def noting_mode(network: nn.Module) -> Generator[list[str]]:
    """The kinds of the modules whose forward pass reads `training` meanwhile, or may keep the mode by another name."""
    kinds = [type(module).__name__ for module in network.modules() if _has_own_train(module)]

    def read(module: nn.Module) -> bool:
        kinds.append(type(module).__name__)
        return bool(vars(module)["training"])

    def write(module: nn.Module, mode: bool) -> None:
        vars(module)["training"] = mode

    nn.Module.training = property(read, write)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield kinds
    finally:
        del nn.Module.training


def _has_own_train(module: nn.Module) -> bool:
    """Whether a module of the user's does something of its own when the mode is set."""
    return type(module).train is not nn.Module.train and not isinstance(module, WrappedLayer)
