"""Building a model from its name: built-in, widened (`lenet*1.5`) or the user's own function."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from fewbits.arguments import is_integer, shown
from fewbits.errors import ModelError
from fewbits.models.networks import NETWORKS
from fewbits.models.source import ModelSource, import_file, neighbours
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
    place, colon, function = name.rpartition(":")
    if not colon or not place or not function:
        close = difflib.get_close_matches(name, MODEL_NAMES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        if name.endswith(".py"):
            raise ModelError(f"model {name!r} is a file: name its function too, as '{name}:make_net'")
        raise ModelError(
            f"unknown model {name!r}: give one of {', '.join(MODEL_NAMES)}, 'file.py:function' or "
            f"'package.module:function'{hint}"
        )
    try:
        module = import_file(source.folder / place, source) if place.endswith(".py") else _import_module(place, source)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"model {name!r}: importing {place!r} raised {_one_line(error)}") from error
    made: object = getattr(module, function, None)
    if not callable(made):
        raise ModelError(f"model {name!r}: {place!r} has no function {function!r}")
    return made


def _import_module(name: str, source: ModelSource) -> ModuleType:
    """Import a module by its dotted name, from the source's folder too."""
    with _on_import_path(source.folder.resolve()):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise ModelError(f"no module {name!r}: install it, or run where its folder lies") from None
            raise
    source.check_package(name)
    return module


@contextmanager
def _on_import_path(folder: Path) -> Generator[None]:
    """Let imports look into a folder too, for a while."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _call(make: Callable[[], object], name: str, source: ModelSource) -> nn.Module:
    """Call a constructor and check what it returns; what it imports is found as when its file was read."""
    place, _, _ = name.rpartition(":")
    try:
        with neighbours(source.folder / place, source) if place.endswith(".py") else nullcontext():
            model = make()
    except (Exception, SystemExit) as error:
        raise ModelError(f"model {name!r} raised {_one_line(error)}") from error
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
        raise ModelError(f"model {name!r} is too large: {_one_line(error)[:120]}; choose a smaller factor") from error


def _one_line(error: BaseException) -> str:
    """Kind and message of an exception, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextmanager
def _seeded(seed: int | None) -> Generator[None]:
    """Seed torch's generators and put them back afterwards; with None, leave them alone."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng():  # pyright: ignore[reportUnknownMemberType]
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        yield
