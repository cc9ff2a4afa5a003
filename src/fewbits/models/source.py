"""The code of a user's model, read once: its file, and the modules of the file's folder that it imports."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from fewbits.errors import ModelError


class ModelSource:
    """Code as it was when it was first read, so that all who build a model from it build the same, whatever is edited
    meanwhile.

    A file's code and that of the modules in its folder is kept and run from here. Of a module that is imported by its
    dotted name, a hash of each file of its package is kept: who finds another refuses it. Packages in `site-packages`
    belong to the installation and are not looked at.
    """

    def __init__(self, folder: Path = Path()) -> None:
        """folder: where relative paths, and packages that are not installed, are looked for; the current one."""
        self.folder = folder
        self._contents: dict[str, bytes] = {}
        """Of files, by path."""

        self._package_sha256: dict[str, str] = {}
        """Of a package's files, by path."""

    def read(self, path: Path) -> bytes:
        """The content of a file, from disk at the first call."""
        if str(path) not in self._contents:
            self._contents[str(path)] = path.read_bytes()
        return self._contents[str(path)]

    def holds(self, path: Path) -> bool:
        """Whether a file was read before."""
        return str(path) in self._contents

    def check_package(self, name: str) -> None:
        """Note the files of an imported module's package, or raise ModelError if one is not as it was noted."""
        package = name.partition(".")[0]
        for module in [one for key, one in sys.modules.items() if key == package or key.startswith(f"{package}.")]:
            path = getattr(module, "__file__", None)
            if path is None or not path.endswith(".py") or "site-packages" in path:
                continue
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            if self._package_sha256.setdefault(path, digest) != digest:
                raise ModelError(f"model file {path!r} changed while the study ran: give the same command again")

    def forget_packages(self) -> None:
        """Let packages that were noted be imported anew: a process may have loaded them before their files changed."""
        for name, module in list(sys.modules.items()):
            if getattr(module, "__file__", None) in self._package_sha256:
                del sys.modules[name]


def import_file(path: Path, source: ModelSource) -> ModuleType:
    """Run a Python file as a module; files beside it can be imported by it."""
    if not source.holds(path) and not path.is_file():
        raise ModelError(f"no file {str(path)!r}: give a Python file as 'path/file.py:function'")
    name = f"fewbits_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Loader(path, source))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with neighbours(path, source):
        spec.loader.exec_module(module)
    return module


@contextmanager
def neighbours(path: Path, source: ModelSource) -> Generator[None]:
    """Let imports look into a file's folder for a while, before all other places; modules of another reading go."""
    folder = path.resolve().parent
    finder = _Finder(folder, source)
    for name, module in list(sys.modules.items()):
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, _Loader) and loader.source is not source and not name.startswith("fewbits_user_"):
            del sys.modules[name]
    sys.meta_path.insert(0, finder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.meta_path.remove(finder)


class _Loader(SourceLoader):
    """Runs a file's code as it was first read; keeps no byte code on disk."""

    def __init__(self, path: Path, source: ModelSource) -> None:
        self.path = path
        self.source = source

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str | bytes) -> bytes:
        return self.source.read(Path(str(path)))


class _Finder(MetaPathFinder):
    """Finds modules and packages of Python files in a folder."""

    def __init__(self, folder: Path, source: ModelSource) -> None:
        self._folder = folder
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        place = self._folder if path is None else Path(next(iter(path), ""))
        if not place.is_relative_to(self._folder):
            return None
        name = fullname.rpartition(".")[2]
        for file in (place / name / "__init__.py", place / f"{name}.py"):
            if self._source.holds(file) or file.is_file():
                locations = [str(file.parent)] if file.name == "__init__.py" else None
                loader = _Loader(file, self._source)
                return importlib.util.spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=locations
                )
        return None
