"""What a network computes, as one hash: its calls and their constants, whatever its code looks like."""

from __future__ import annotations

import copy
import dis
import enum
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

_KNOWN_PACKAGES = frozenset({*sys.stdlib_module_names, "torch", "numpy", "fewbits"})
"""What these hold is told by its name; versions are noted beside each result."""

_ASSERTIONS = ("_assert", "_assert_is_none")
"""What torch.fx writes for an argument with a default; the message holds the argument's name."""

_PLAIN = (
    *(bool, int, float, complex, str, bytes, enum.Enum, np.generic),
    *(torch.dtype, torch.device, torch.layout, torch.memory_format),
)
"""Told as Python prints them."""

_WRAPPERS = (staticmethod, classmethod, property)

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_REFERENCES_DEPTH = 12
"""How many references a user's code is followed through; what lies deeper counts by its type's name."""


def computation_sha256(network: nn.Module) -> str:
    """Hash of what a network computes from images and trained values, in training and in evaluation.

    In it are the calls that torch.fx traces in either mode with their constants and tensors; of torch's own modules
    the classes, settings, hooks and buffers outside the state; which parameters are trained and which are one; the code
    of custom `reset_parameters`. Not in it: the state's values, comments, names of variables, line numbers.
    A mode that cannot be traced is told by the code (Python's byte code) of the modules' forward passes and of what
    they refer to, with the values of globals and attributes. What Python's own, torch's and numpy's functions do is
    told by their names.
    """
    lines = [line for training in (False, True) for line in _mode_lines(network, training=training)]
    lines += _module_lines(network)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def state_sha256(network: nn.Module) -> str:
    """Hash of the names, types, shapes and values of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {_tensor_text(tensor)}\n".encode())
    return digest.hexdigest()


def _mode_lines(network: nn.Module, *, training: bool) -> Iterable[str]:
    """A line for each traced call of a mode; for each forward pass where the network cannot be traced."""
    with _traceable(network, training) as copied:
        try:
            graph = fx.Tracer().trace(copied, concrete_args=_defaults(copied))
        except Exception:  # whatever a user's forward raises when it is given proxies
            return [f"not traced {_Text().of_modules(dict(network.named_modules()))}"]
        return _graph_lines(graph, copied)


@contextmanager
def _traceable(network: nn.Module, training: bool) -> Generator[nn.Module]:
    """A copy in a mode, for forward passes leave things in their modules; what they draw at random is drawn alike."""
    try:
        copied = copy.deepcopy(network)
    except Exception:  # a module that holds what cannot be copied
        copied = network
    modes = {module: module.training for module in copied.modules()}
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            yield copied.train(training)
    finally:
        for module, mode in modes.items():
            module.training = mode


def _defaults(network: nn.Module) -> dict[str, Any] | None:
    """The default values of a forward pass' arguments, which a proxy would hide from its decisions."""
    parameters = inspect.signature(network.forward).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty} or None


def _graph_lines(graph: fx.Graph, network: nn.Module) -> list[str]:
    """The calls in their order, each with the numbers of those whose results it takes."""
    nodes: dict[fx.Node, str] = {node: f"%{index}" for index, node in enumerate(graph.nodes)}
    text, state = _Text(nodes), network.state_dict().keys()
    lines: list[str] = []
    for node in graph.nodes:
        arguments = node.args[:1] if getattr(node.target, "__name__", "") in _ASSERTIONS else node.args
        match node.op:
            case "placeholder" | "output":
                target = ""
            case "get_attr" if node.target not in state:
                target = text.of(functools.reduce(getattr, str(node.target).split("."), network))
            case _:
                target = text.of(node.target)
        lines.append(f"{node.op} {target} {text.of(arguments)} {text.of(dict(node.kwargs))}")
    return lines


def _module_lines(network: nn.Module) -> Iterable[str]:
    """What the traced calls do not tell: settings of torch's modules, and what training makes of the parameters."""
    text = _Text()
    inside_leaf: tuple[str, ...] = ()
    for name, module in network.named_modules(remove_duplicate=False):
        hooks = [text.of(hook) for kind in _HOOKS for hook in getattr(module, kind).values()]
        if hooks:
            yield f"{name} hooks {hooks}"
        is_torchs = type(module).__module__.partition(".")[0] == "torch"
        if is_torchs:
            yield f"{name} {text.of(type(module))} {text.of(_settings(module))}"
        elif name.startswith(inside_leaf) and inside_leaf:
            yield f"{name} inside {text.of_modules({name: module})}"
        if fx.Tracer().is_leaf_module(module, name):
            inside_leaf += (f"{name}.",)
        reset = getattr(type(module), "reset_parameters", None)
        if reset is not None and not is_torchs:
            yield f"{name} reset {text.of(reset)}"
    state = network.state_dict().keys()
    yield from (f"{name} {_tensor_text(buffer)}" for name, buffer in network.named_buffers() if name not in state)
    first: dict[int, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        yield f"{name} is {first.setdefault(id(parameter), name)} trained {parameter.requires_grad}"


class _Text:
    """Values and code in words that are equal when they compute the same."""

    def __init__(self, nodes: Mapping[fx.Node, str] | None = None) -> None:
        self._nodes = nodes or {}
        self._under_way: list[int] = []
        """Identities of the values around the one that is told, so that a circle ends."""

    def of(self, value: object) -> str:
        """A value: constants and tensors by what they hold, functions and classes by name or code."""
        if isinstance(value, fx.Node):
            return self._nodes[value]
        if isinstance(value, Tensor):
            return _tensor_text(value)
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
        if value is None or isinstance(value, _PLAIN):
            return repr(value)
        if id(value) in self._under_way or len(self._under_way) > _REFERENCES_DEPTH:
            return f"<{_name(value if callable(value) else type(value))}>"
        self._under_way.append(id(value))
        try:
            return self._of_structure(value)
        finally:
            self._under_way.pop()

    def of_modules(self, modules: Mapping[str, nn.Module]) -> str:
        """Modules by the code of their classes and what they hold but children and state."""
        return self.of({name: (type(module), _settings(module)) for name, module in modules.items()})

    def _of_structure(self, value: Any) -> str:
        match value:
            case slice():
                return f"slice{self.of((value.start, value.stop, value.step))}"
            case tuple() | list():
                return f"{type(value).__name__}[{', '.join(self.of(each) for each in value)}]"
            case Mapping():
                return f"{{{', '.join(f'{self.of(key)}: {self.of(each)}' for key, each in value.items())}}}"
            case set() | frozenset():
                return f"set[{', '.join(sorted(self.of(each) for each in value))}]"
            case types.ModuleType():
                return f"module {value.__name__}"
            case _ if callable(value) or isinstance(value, _WRAPPERS):
                return self._of_callable(value)
            case _:
                return self._of_object(value)

    def _of_callable(self, value: Any) -> str:
        """Functions and classes by name or code."""
        match value:
            case functools.partial():
                return f"partial {self.of((value.func, value.args, value.keywords))}"
            case types.MethodType() | staticmethod() | classmethod():
                return self.of(value.__func__)
            case property():
                return self.of((value.fget, value.fset))
            case types.FunctionType() if not _is_known(value):
                return self._of_function(value)
            case type() if not _is_known(value):
                members = {name: each for name, each in sorted(vars(value).items()) if _is_code(each)}
                return f"class {self.of((members, value.__bases__))}"
            case _ if hasattr(value, "__name__"):
                return _name(value)
            case _:
                return self._of_object(value)

    def _of_object(self, value: object) -> str:
        """Something else by its class and attributes."""
        return f"{self.of(type(value))} {self.of(getattr(value, '__dict__', {}))}"

    def _of_function(self, function: types.FunctionType) -> str:
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        names = list(_names(function.__code__))
        used = {name: function.__globals__[name] for name in sorted({*names} & function.__globals__.keys())}
        for module in [one for one in used.values() if isinstance(one, types.ModuleType) and not _is_known(one)]:
            used |= {f"{module.__name__}.{name}": vars(module)[name] for name in names if name in vars(module)}
        wholes = (function.__defaults__, function.__kwdefaults__, cells, used)
        return f"function {self._of_code(function.__code__)} {self.of(wholes)}"

    def _of_code(self, code: types.CodeType) -> str:
        """Byte code with its constants and names in place; variables by their numbers, for their names do not count."""
        arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        steps = [
            f"{step.opname} {self._of_operand(step)}"
            for step in dis.get_instructions(code)
            if step.opcode != dis.EXTENDED_ARG
        ]
        return f"{code.co_flags} {arguments} {code.co_exceptiontable.hex()} {'; '.join(steps)}"

    def _of_operand(self, step: dis.Instruction) -> str:
        if isinstance(step.argval, types.CodeType):
            return f"[{self._of_code(step.argval)}]"
        if step.opcode in dis.hasconst:
            return self.of(step.argval)
        return str(step.argval if step.opcode in dis.hasname else step.arg)


def _settings(module: nn.Module) -> dict[str, object]:
    """What a module holds but children, parameters, buffers and its mode; a scripted one's code."""
    if isinstance(module, torch.jit.ScriptModule):
        return {"code": module.code}
    return {name: value for name, value in vars(module).items() if name[0] != "_" and name != "training"}


def _tensor_text(tensor: Tensor) -> str:
    """Type, shape and a hash of the values."""
    values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(values).hexdigest()}"


def _name(value: Any) -> str:
    """A function's or class's place; some of torch's functions share a `__qualname__`."""
    module = getattr(value, "__module__", None) or "torch"
    return f"{module}.{getattr(value, '__qualname__', '')}:{getattr(value, '__name__', '')}"


def _is_known(value: Any) -> bool:
    """Whether a function, class or module is told by its name."""
    place = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    return (place or "torch").partition(".")[0] in _KNOWN_PACKAGES


def _is_code(member: object) -> bool:
    """Whether a class's member is code or a constant that code may read."""
    constants = (bool, int, float, str, tuple, list, Tensor)
    code = (types.FunctionType, *_WRAPPERS)
    return isinstance(member, code) or (isinstance(member, constants) and not isinstance(member, str))


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # not assigned yet
        return False


def _names(code: types.CodeType) -> Iterable[str]:
    """Names that code and the functions in it look up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
