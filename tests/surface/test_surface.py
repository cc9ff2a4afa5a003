"""The public surface: one object a name, everything loaded at first use, every type that a signature names exported."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import fewbits as fb

SUBPACKAGES = (
    *("bitexact", "data", "executors", "export", "formats", "graph", "hardware"),
    *("models", "quantization", "report", "search", "study", "train"),
)


def _modules(package: str = "fewbits") -> Iterator[ModuleType]:
    """Every module of the package, imported, each after its parent."""
    module = import_module(package)
    yield module
    for found in pkgutil.iter_modules(getattr(module, "__path__", ())):
        if found.name != "__main__":
            yield from _modules(f"{package}.{found.name}")


MODULES = tuple(_modules())
PUBLIC = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (fb, *(getattr(fb, name) for name in SUBPACKAGES))
    for name in package.__all__
}


def _in_new_process(code: str) -> Any:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# One object a name


def test_a_name_is_one_object_before_and_after_every_module_is_imported() -> None:
    code = """
import json, pkgutil, importlib, fewbits as fb
names = sorted({*fb.__all__, *dir(fb)} - {"__version__"})
first = {name: getattr(fb, name) for name in names}
again = {name: getattr(fb, name) for name in names}
for found in pkgutil.walk_packages(fb.__path__, "fewbits."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
differ = [name for name in names if not (first[name] is again[name] is getattr(fb, name))]
print(json.dumps([[value.__name__ for value in first.values() if hasattr(value, "__path__")], differ]))
"""
    reached, differ = _in_new_process(code)
    assert reached == [f"fewbits.{name}" for name in SUBPACKAGES]
    assert differ == []


@pytest.mark.parametrize("module", MODULES[1:], ids=lambda module: module.__name__)
def test_no_module_bears_a_public_name_of_its_parent(module: ModuleType) -> None:
    parent_name, _, name = module.__name__.rpartition(".")
    parent = sys.modules[parent_name]
    assert name not in getattr(parent, "__all__", ())
    assert getattr(parent, name) is module


# Loaded at first use


def test_importing_fewbits_loads_no_torch_and_no_subpackage() -> None:
    code = (
        "import json, sys, fewbits; print(json.dumps(sorted(n for n in sys.modules if n in ('torch', 'numpy', 'numba') "
        "or (n.startswith('fewbits.') and n not in ('fewbits.errors', 'fewbits.lazy')))))"
    )
    assert _in_new_process(code) == []


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fewbits' has no attribute 'quantise'"):
        _ = fb.quantise  # pyright: ignore[reportAttributeAccessIssue]


# Names, pickles, stars


def test_a_star_import_gives_the_public_names_and_no_more() -> None:
    names: dict[str, object] = {}
    exec("from fewbits import *", names)
    assert set(names) - {"__builtins__"} == set(fb.__all__)


@pytest.mark.parametrize("package", [fb, *(import_module(f"fewbits.{name}") for name in SUBPACKAGES)])
def test_names_are_listed_once_sorted_and_all_there(package: ModuleType) -> None:
    names = list(package.__all__)
    assert len(set(names)) == len(names)
    assert set(names) <= set(dir(package))
    assert all(hasattr(package, name) for name in names)


def test_dir_lists_subpackages_too() -> None:
    assert {*SUBPACKAGES, *fb.__all__} <= set(dir(fb))


@pytest.mark.parametrize("name", [name for name, value in PUBLIC.items() if inspect.isroutine(value)])
def test_functions_and_classes_are_pickled_by_name(name: str) -> None:
    assert pickle.loads(pickle.dumps(PUBLIC[name])) is PUBLIC[name]


# Every type that a signature names

_EVERYWHERE = {
    name: value
    for module in (*MODULES, import_module("torch"), import_module("torch.nn"))
    for name, value in vars(module).items()
    if isinstance(value, type)
} | {"nn": import_module("torch.nn"), "torch": import_module("torch")}
"""For names that are imported for a type checker alone."""


def _signatures(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Annotated objects: a function; or a class's fields and its public methods."""
    if inspect.isfunction(value):
        yield name, value
    if isinstance(value, type):
        yield name, value
        for each, member in vars(value).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            is_method = not each.startswith("_") or (each == "__init__" and not dataclasses.is_dataclass(value))
            if inspect.isfunction(function) and is_method:
                yield f"{name}.{each}", function


def _classes(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and get_origin(hint) is None:
        yield hint
    for argument in get_args(hint):
        for each in argument if isinstance(argument, list) else [argument]:
            yield from _classes(each)


def _hints(annotated: Any) -> dict[str, Any]:
    try:
        return get_type_hints(annotated)
    except NameError:
        return get_type_hints(annotated, None, _EVERYWHERE)


def _unexported(name: str) -> Iterator[str]:
    exported = {id(value) for value in PUBLIC.values()} | {id(value) for value in vars(fb).values()}
    for where, annotated in _signatures(name, PUBLIC[name]):
        for argument, hint in _hints(annotated).items():
            if not argument.startswith("_"):
                for made in _classes(hint):
                    if made.__module__.partition(".")[0] == "fewbits" and id(made) not in exported:
                        yield f"{where}({argument}) names {made.__module__}.{made.__name__}"


def test_every_type_of_a_public_signature_is_exported() -> None:
    own = [name for name, value in PUBLIC.items() if getattr(value, "__module__", "").startswith("fewbits")]
    missing = [line for name in own for line in _unexported(name)]
    assert not missing, "\n".join(missing)
