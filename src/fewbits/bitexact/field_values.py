"""Values of frozen dataclasses as JSON and tensors, and back by the types that their fields declare.

| declared | in JSON |
|---|---|
| None, truth values, text, integers of any width, finite floats | themselves |
| tuple | a list |
| bytes | their hexadecimal digits |
| Format | its name |
| Enum | the member's name |
| array, tensor | the name of a tensor beside the JSON |
| array of Python integers | `{"bytes": NAME}`: their bytes, two's complement, from low to high in a last dimension |
| a frozen dataclass, such as an operation | `{"class": NAME, "fields": {...}}` |

Nothing is evaluated or unpickled: a class is looked up by its name among those that the declared one has as subclasses.
"""

from __future__ import annotations

import dataclasses
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import singledispatchmethod
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewbits.arguments import is_real, shown
from fewbits.errors import FewbitsError, ModelError
from fewbits.extensions import found
from fewbits.formats import Format, parse_format

_T = TypeVar("_T")

_OWN = __name__.partition(".")[0]

_TYPES = ("bool", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8")
_DTYPES = frozenset(torch.from_numpy(np.zeros(0, name)).dtype for name in _TYPES)
"""Types of tensors that are read."""


class Writer:
    """Writes values; the tensors gather in `tensors`."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    @singledispatchmethod
    def value(self, value: object, place: str) -> Any:
        """The JSON of a value; `place` names its tensors. Raises ModelError for what has no form here."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = (field.name for field in dataclasses.fields(value) if field.init)
            return {
                "class": class_name(type(value)),
                "fields": {name: self.value(getattr(value, name), f"{place}.{name}") for name in fields},
            }
        raise ModelError(
            f"{place} is {type(value).__name__}, which cannot be saved: operations hold numbers, text, tuples, arrays, "
            "formats and frozen dataclasses of these"
        )

    @value.register(type(None))
    @value.register(bool)
    @value.register(int)
    @value.register(str)
    def _plain(self, value: object, place: str) -> object:
        return value

    @value.register(np.integer)
    def _integer(self, value: np.integer[Any], place: str) -> int:
        return int(value)

    @value.register(float)
    def _float(self, value: float, place: str) -> float:
        if not is_real(value, -sys.float_info.max):
            raise ModelError(f"{place} is {value}: only finite numbers are saved")
        return float(value)

    @value.register(tuple)
    def _tuple(self, value: tuple[object, ...], place: str) -> list[Any]:
        return [self.value(each, f"{place}.{index}") for index, each in enumerate(value)]

    @value.register(bytes)
    def _bytes(self, value: bytes, place: str) -> str:
        return value.hex()

    @value.register(Enum)
    def _member(self, value: Enum, place: str) -> str:
        return value.name

    @value.register(Format)
    def _format(self, value: Format, place: str) -> str:
        return value.name

    @value.register(Tensor)
    def _tensor(self, value: Tensor, place: str) -> str:
        self.tensors[place] = value.detach().cpu().contiguous()
        return place

    @value.register(np.ndarray)
    def _array(self, value: NDArray[Any], place: str) -> str | dict[str, str]:
        is_wide = value.dtype == object
        array = _bytes_of(value) if is_wide else np.array(value, order="C")
        self.tensors[place] = torch.from_numpy(array)
        return {"bytes": place} if is_wide else place


def _bytes_of(integers: NDArray[Any]) -> NDArray[np.uint8]:
    """Python integers as bytes of one width, two's complement, in a last dimension from low to high."""
    numbers = [int(number) for number in integers.flat]
    width = max((number.bit_length() // 8 + 1 for number in numbers), default=1)
    text = b"".join(number.to_bytes(width, "little", signed=True) for number in numbers)
    return np.frombuffer(bytearray(text), np.uint8).reshape(*integers.shape, width)


def _integers_of(array: NDArray[Any]) -> NDArray[Any]:
    """The Python integers that `_bytes_of` wrote."""
    width = array.shape[-1]
    text = array.tobytes()
    numbers = [int.from_bytes(text[at : at + width], "little", signed=True) for at in range(0, len(text), width)]
    found = np.empty(len(numbers), dtype=object)
    found[:] = numbers
    return found.reshape(array.shape[:-1])


class Reader:
    """Reads values, with the tensors that were beside the JSON. Each method raises ModelError for what does not fit."""

    def __init__(self, tensors: Mapping[str, Tensor], givers: Mapping[str, str]) -> None:
        """givers: by the first part of a class's name, the package to install for it, where one was noted."""
        self.tensors = tensors
        self._givers = givers

    def value(self, data: object, declared: Any, place: str) -> Any:
        """The value of a declared type."""
        kind: Any = get_origin(declared) or declared
        if (read := _BY_TYPE.get(kind)) is not None:
            return read(self, data, declared, place)
        if isinstance(kind, type):
            for base, read in _BY_BASE.items():
                if issubclass(kind, base):
                    return read(self, data, declared, place)
            if dataclasses.is_dataclass(kind):
                return self.instance(data, kind, place)
        raise ModelError(f"{place} is declared as {declared}, of which no value can be saved")

    def instance(self, data: object, base: type[_T], place: str) -> _T:
        """An object of a dataclass or of one of its subclasses."""
        if not isinstance(data, dict) or data.keys() != {"class", "fields"}:
            raise _misfit(place, data, f"a {base.__name__}")
        name, values = data["class"], data["fields"]
        if not isinstance(name, str) or not isinstance(values, dict):
            raise _misfit(place, data, f"a {base.__name__}")
        made = self._class(name, base, place)
        return self.call(made, values, {one.name: one for one in dataclasses.fields(made) if one.init}, place)  # pyright: ignore[reportArgumentType]

    def call(
        self,
        made: Callable[..., _T],
        values: dict[str, Any],
        known: Mapping[str, Any],
        place: str,
        prefix: str | None = None,
    ) -> _T:
        """What a class makes of arguments by name; known: its parameters, or fields, by name.

        prefix: what the places of its values begin with; `place` and a dot if None.
        """
        prefix = f"{place}." if prefix is None else prefix
        if unknown := values.keys() - known.keys():
            raise ModelError(
                f"{place} has {', '.join(sorted(unknown))}, which this version does not know: update fewbits"
            )
        hints = _hints(made, place)
        arguments = {name: self.value(values[name], hints[name], f"{prefix}{name}") for name in values}
        try:
            return made(**arguments)
        except FewbitsError as error:
            raise ModelError(f"{place}: {error}") from None
        except Exception as error:  # whatever a constructor says to what it does not take
            raise ModelError(f"{place}: {' '.join(str(error).split())}") from error

    def _class(self, name: str, base: type[Any], place: str) -> type[Any]:
        """The class of that name, from an installed extension if none is loaded. Raises ModelError without one."""
        known = _classes(base)
        if name not in known:
            for extension in found("operations").values():
                if extension.entry.module.partition(".")[0] == name.partition(".")[0]:
                    extension.load()
            known = _classes(base)
        if name in known:
            return known[name]
        giver = self._givers.get(name.partition(".")[0])
        mend = f"install {giver}" if giver else "update fewbits, or install and import the package that has it"
        raise ModelError(f"{place} is the {base.__name__.lower()} {shown(name)}, which is not known here: {mend}")


def _plain(reader: Reader, data: object, declared: type[Any], place: str) -> Any:
    if type(data) is not declared or (declared is float and not is_real(data, -sys.float_info.max)):
        raise _misfit(place, data, declared.__name__)
    return data


def _nothing(reader: Reader, data: object, declared: object, place: str) -> None:
    if data is not None:
        raise _misfit(place, data, "null")


def _sequence(reader: Reader, data: object, declared: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise _misfit(place, data, "a list")
    items = get_args(declared)
    if items[-1:] == (Ellipsis,):
        items = items[:1] * len(data)
    if len(items) != len(data):
        raise _misfit(place, data, f"a list of {len(items)}")
    pairs = enumerate(zip(data, items, strict=True))
    return tuple(reader.value(each, item, f"{place}.{index}") for index, (each, item) in pairs)


def _union(reader: Reader, data: object, declared: Any, place: str) -> Any:
    refusals: list[ModelError] = []
    for member in get_args(declared):
        try:
            return reader.value(data, member, place)
        except ModelError as error:
            refusals.append(error)
    raise max(refusals, key=lambda error: str(error).count("."))  # the deepest knows most


def _literal(reader: Reader, data: object, declared: Any, place: str) -> Any:
    for member in get_args(declared):
        if data == member and type(data) is type(member):
            return member
    raise _misfit(place, data, f"one of {get_args(declared)}")


def _member(reader: Reader, data: object, declared: Any, place: str) -> Enum:
    if not isinstance(data, str) or data not in declared.__members__:
        raise _misfit(place, data, f"one of {', '.join(declared.__members__)}")
    return declared[data]


def _number_format(reader: Reader, data: object, declared: Any, place: str) -> Format:
    if not isinstance(data, str):
        raise _misfit(place, data, "a format's name")
    try:
        number_format = parse_format(data)
    except FewbitsError as error:
        raise ModelError(f"{place}: {error}") from None
    if not isinstance(number_format, declared):
        raise _misfit(place, data, f"a {declared.__name__}")
    return number_format


def _bytes(reader: Reader, data: object, declared: object, place: str) -> bytes:
    try:
        return bytes.fromhex(data if isinstance(data, str) else "?")
    except ValueError:
        raise _misfit(place, data, "hexadecimal digits") from None


def _tensor(reader: Reader, data: object, declared: object, place: str) -> Tensor:
    if data != place or place not in reader.tensors:
        raise _misfit(place, data, f"the tensor {shown(place)}")
    tensor = reader.tensors[place]
    if tensor.dtype not in _DTYPES:
        raise ModelError(f"{place} is a tensor of {tensor.dtype}, which no operation holds")
    return tensor


def _array(reader: Reader, data: object, declared: object, place: str) -> NDArray[Any]:
    is_wide = isinstance(data, dict) and data.keys() == {"bytes"}
    array: NDArray[Any] = _tensor(reader, data["bytes"] if is_wide else data, declared, place).numpy()  # pyright: ignore[reportIndexIssue]
    if is_wide:
        if array.dtype != np.uint8 or array.ndim == 0 or array.shape[-1] == 0:
            raise ModelError(f"{place} must be bytes of integers, not {array.dtype} of shape {array.shape}")
        array = _integers_of(array)
    array.setflags(write=False)
    return array


_Read = Callable[[Reader, Any, Any, str], Any]

_BY_TYPE: dict[Any, _Read] = {
    **dict.fromkeys((bool, int, float, str), _plain),
    **dict.fromkeys((None, types.NoneType), _nothing),
    **dict.fromkeys((Union, types.UnionType), _union),
    tuple: _sequence,
    bytes: _bytes,
    Literal: _literal,
    Tensor: _tensor,
    np.ndarray: _array,
}
_BY_BASE: dict[type, _Read] = {Format: _number_format, Enum: _member}


def class_name(made: type[Any]) -> str:
    """How a class is called in a file: its own name, behind its package's where that is not fewbits."""
    package = made.__module__.partition(".")[0]
    return made.__name__ if package == _OWN else f"{package}.{made.__name__}"


def givers_of(values: object) -> dict[str, str]:
    """The distributions that give the classes in some JSON, by the packages that their names begin with."""
    packages = {name.partition(".")[0] for name in _class_names(values) if "." in name}
    extensions = (extension for kind in ("operations", "formats") for extension in found(kind).values())
    return {
        package: extension.giver
        for extension in extensions
        if (package := extension.entry.module.partition(".")[0]) in packages
    }


def _class_names(data: object) -> Iterator[str]:
    if isinstance(data, list):
        for each in data:
            yield from _class_names(each)
    elif isinstance(data, dict):
        if isinstance(data.get("class"), str):
            yield data["class"]
        yield from _class_names(list(data.values()))


def _classes(base: type[Any]) -> dict[str, type[Any]]:
    """A class and its subclasses by name, without those that were made in a function or loaded anew since."""
    here = {class_name(base): base} if getattr(sys.modules.get(base.__module__), base.__name__, None) is base else {}
    below = (_classes(each) for each in base.__subclasses__())
    return here | {name: made for classes in below for name, made in classes.items()}


def _hints(made: Any, place: str) -> dict[str, Any]:
    try:
        return get_type_hints(made if isinstance(made, type) and dataclasses.is_dataclass(made) else made.__init__)
    except NameError as error:
        raise ModelError(
            f"{place}: the fields of {made.__name__} are declared by a type that is not loaded: {error}"
        ) from None


def _misfit(place: str, data: object, expected: str) -> ModelError:
    return ModelError(f"{place} must be {expected}, not {shown(data)}")
