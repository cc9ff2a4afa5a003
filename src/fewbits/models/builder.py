"""Building a model from its name: built-in, widened (`lenet*1.5`) or the user's own function."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import nn

from fewbits.arguments import is_integer, shown
from fewbits.errors import ModelError
from fewbits.models.networks import NETWORKS
from fewbits.models.source import ModelSource
from fewbits.models.user_function import find_function, imports_of, is_function_name, one_line
from fewbits.models.widening import widen

MODEL_NAMES: tuple[str, ...] = tuple(NETWORKS)
"""Names of the built-in models."""

_LARGEST_SEED = 2**63 - 1
"""What torch's generators take."""


def build(name: str, seed: int | None = None, *, source: ModelSource | None = None) -> nn.Module:
    """The model of that name, freshly initialized.

    name: one of `MODEL_NAMES`; `package.module:function` (looked for in the current folder
    too) or `path/file.py:function`, a function without arguments that returns a torch module; each with `*FACTOR`
    at the end for a widened one (see `widen`).
    seed: makes the weights the same each time and leaves torch's global generator as it was; None draws from the
    global generator.
    source: the code of the user's model as it was read before; None reads it now.
    Raises ModelError if there is no such model, the user's function fails or returns something else, a widened one
    does not fit into memory, or a package is no longer what `source` noted.
    """
    if seed is not None and not is_integer(seed, 0, _LARGEST_SEED):
        raise ModelError(f"a seed is an integer from 0 to {_LARGEST_SEED}, not {shown(seed)}")
    base, factor = _split_factor(name)
    source = source or ModelSource()
    make = NETWORKS[base][0] if base in NETWORKS else _user_function(base, source)
    with _seeded(seed):
        model = _call(make, base, source)
        return model if factor is None else _widened(model, factor, name)


def is_built_in(name: str) -> bool:
    """Whether a model's code comes with fewbits: `lenet`, `lenet*2`; else it is the user's own. Raises ModelError."""
    return _split_factor(name)[0] in NETWORKS


def input_shape(name: str, *, source: ModelSource | None = None) -> tuple[int, ...] | None:
    """Channels, height and width that a model takes; None if its owner does not say.

    A user's function says so by an attribute `input_shape`, on the function or on the module that it returns.
    Raises ModelError like `build`, or if the attribute is not a tuple of positive integers.
    """
    base, _ = _split_factor(name)
    if base in NETWORKS:
        return NETWORKS[base][1]
    source = source or ModelSource()
    make = _user_function(base, source)
    shape: object = getattr(make, "input_shape", None)
    if shape is None:
        with _seeded(0):
            shape = getattr(_call(make, base, source), "input_shape", None)
    if shape is None:
        return None
    if not isinstance(shape, (tuple, list)):
        raise ModelError(f"input_shape of {base!r} must be a tuple such as (1, 28, 28), not {shape!r}")
    sizes: tuple[object, ...] = tuple(shape)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    checked = tuple(size for size in sizes if isinstance(size, int) and size > 0)
    if len(checked) != len(sizes) or not checked:
        raise ModelError(f"input_shape of {base!r} must be a tuple such as (1, 28, 28), not {shape!r}")
    return checked


def _split_factor(name: str) -> tuple[str, float | None]:
    """Split `lenet*1.5` into name and factor; None where there is no factor."""
    base, star, text = name.rpartition("*")
    if not star:
        return name, None
    try:
        return base, float(text)
    except ValueError:
        raise ModelError(f"model {name!r}: {text!r} is not a factor; write it like 'lenet*1.5'") from None


def _user_function(name: str, source: ModelSource) -> Callable[[], object]:
    """Import the function that `package.module:function` or `file.py:function` names."""
    if not is_function_name(name):
        close = difflib.get_close_matches(name, MODEL_NAMES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        if name.endswith(".py"):
            raise ModelError(f"model {name!r} is a file: name its function too, as '{name}:make_net'")
        raise ModelError(
            f"unknown model {name!r}: give one of {', '.join(MODEL_NAMES)}, 'file.py:function' or "
            f"'package.module:function'{hint}"
        )
    return find_function(name, source, "model")


def _call(make: Callable[[], object], name: str, source: ModelSource) -> nn.Module:
    """Call a constructor and check what it returns; what it imports is found as when its file was read."""
    try:
        with imports_of(name, source):
            model = make()
    except (Exception, SystemExit) as error:
        raise ModelError(f"model {name!r} raised {one_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ModelError(f"model {name!r} must return a torch.nn.Module, not {type(model).__name__}")
    return model


def _widened(model: nn.Module, factor: float, name: str) -> nn.Module:
    """`widen`, or what its layers' sizes were too much for: torch's address space or the memory."""
    try:
        return widen(model, factor)
    except ModelError as error:
        raise ModelError(f"model {name!r}: {error}") from None
    except (RuntimeError, TypeError, MemoryError) as error:
        raise ModelError(f"model {name!r} is too large: {one_line(error)[:120]}; choose a smaller factor") from error


@contextmanager
def _seeded(seed: int | None) -> Generator[None]:
    """Seed torch's generators and put them back afterwards; with None, leave them alone."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        yield
