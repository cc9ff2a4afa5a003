"""A function of the user's that makes a model, or data: `package.module:function` or `path/file.py:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType

from fewbits.errors import ModelError
from fewbits.models.source import ModelSource, import_file, neighbours


def is_function_name(name: str) -> bool:
    """Whether a text has the form of a function's name: a place, a colon, a name."""
    place, _, function = name.rpartition(":")
    return bool(place) and function.isidentifier()


def find_function(name: str, source: ModelSource, what: str) -> Callable[[], object]:
    """The function that `package.module:function` or `file.py:function` names.

    what: what it makes, for messages: `model`. Raises ModelError, in one line, if there is none or importing it fails.
    """
    place, _, function = name.rpartition(":")
    try:
        module = import_file(source.folder / place, source) if place.endswith(".py") else _import_module(place, source)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"{what} {name!r}: importing {place!r} raised {one_line(error)}") from error
    made: object = getattr(module, function, None)
    if not callable(made):
        raise ModelError(f"{what} {name!r}: {place!r} has no function {function!r}")
    return made


def imports_of(name: str, source: ModelSource) -> AbstractContextManager[None]:
    """While it is open, what the function imports is found as when its file was read."""
    place, _, _ = name.rpartition(":")
    return neighbours(source.folder / place, source) if place.endswith(".py") else nullcontext()


def one_line(error: BaseException) -> str:
    """Kind and message of an exception, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


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
