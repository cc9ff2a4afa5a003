"""TOML tables checked key by key: what is wrong in one, said in a line with the nearest right key. Loads no torch."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from fewbits.arguments import shown
from fewbits.errors import FewbitsError, StudyError

LARGEST_FILE = 1 << 20
"""Bytes of a TOML file that is read."""

INCOMPLETE = "incomplete_table"
"""Type of a mistake of a whole table, whose message says all."""

_Model = TypeVar("_Model", bound=BaseModel)


class Table(BaseModel):
    """A table of a file: unknown keys and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def read_file(path: Path, what: str, refused: type[FewbitsError] = StudyError) -> dict[str, Any]:
    """The values of a TOML file of at most `LARGEST_FILE` bytes. what: the file is, for messages. Raises `refused`."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")  # some editors begin a file with a byte-order mark
    except (OSError, ValueError) as error:  # a ValueError: not UTF-8, or a path with a zero byte
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise refused(f"cannot read {what} {str(path)!r}: {reason}; give a TOML file") from None
    if len(content) > LARGEST_FILE:
        raise refused(f"cannot read {what} {str(path)!r}: it has more than {LARGEST_FILE:,} bytes; give a TOML file")
    return read_toml(text, str(path), refused)


def read_toml(text: str, source: str, refused: type[FewbitsError] = StudyError) -> dict[str, Any]:
    """The values of a TOML text. Raises `refused`; source: named in messages."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise refused(f"{source}: malformed TOML: {error}; see https://toml.io") from None
    except ValueError:  # of Python's limit on the digits of an integer, or of a date that does not exist
        raise refused(f"{source}: a number or date is out of range: integers have at most 19 digits") from None
    except RecursionError:
        raise refused(f"{source}: malformed TOML: nested too deep") from None


def checked(
    model: type[_Model],
    values: Mapping[str, Any],
    source: str,
    needs: str = "",
    refused: type[FewbitsError] = StudyError,
) -> _Model:
    """A table's values as its model has them.

    source: named in messages. needs: what to say of a key that is missing at the top. Raises `refused` in one line.
    """
    try:
        return model.model_validate(_with_tuples(values))
    except ValidationError as error:
        raise refused(f"{source}: {_explain(error.errors(include_url=False), model, needs)}") from None


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A hint at the nearest allowed name, to end a sentence with; empty where none is near."""
    found = difflib.get_close_matches(name, list(allowed), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _with_tuples(value: object) -> object:
    """Lists, which a strict tuple refuses, as tuples."""
    if isinstance(value, Mapping):
        return {name: _with_tuples(entry) for name, entry in cast("Mapping[str, object]", value).items()}
    if isinstance(value, (list, tuple)):
        return tuple(_with_tuples(entry) for entry in cast("list[object]", value))
    return value


def _explain(errors: list[ErrorDetails], model: type[BaseModel], needs: str) -> str:
    """The first mistake in words, and how many more there are; a misspelled key comes before what it leaves missing."""
    lists = {error["loc"][:-1] for error in errors}  # a list with a wrong entry is reported as too short besides
    mistakes = [error for error in errors if error["type"] != "too_short" or error["loc"] not in lists]
    first = min(mistakes, key=lambda error: error["type"] != "extra_forbidden")
    rest = len(mistakes) - 1
    return _explain_one(first, model, needs) + (f" (and {rest} more)" if rest else "")


def _explain_one(error: ErrorDetails, model: type[BaseModel], needs: str) -> str:
    *parents, key = error["loc"]
    where = _dotted(error["loc"])
    if error["type"] == "extra_forbidden":
        allowed = _keys(model, parents)
        return f"unknown key {shown(where)}: allowed here are {', '.join(allowed)}{nearest(str(key), allowed)}"
    if error["type"] == INCOMPLETE:
        return f"table [{where}]: {error['msg']}"
    if error["type"] == "missing":
        if parents:
            needs = f"[{_dotted(tuple(parents))}] needs it"
        return f"key {where!r} is missing: {needs}"
    return f"key {where!r}: {_given(error['input'])} was given; {_allowed(error)}"


def _allowed(error: ErrorDetails) -> str:
    """What the key takes, in the words of TOML."""
    context = error.get("ctx", {})
    match error["type"]:
        case "tuple_type":
            return "it takes a list, such as [0, 1] or ['lenet']"
        case "model_type" | "model_attributes_type":
            return f"it is a table: write it as [{_dotted(error['loc'])}]"
        case "too_short":
            return "it takes at least one entry"
        case "literal_error":
            return f"allowed are {context['expected']}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch" if error["loc"] == ("device",):
            return "it takes 'cpu', 'cuda' or one GPU of several, such as 'cuda:1'"
        case "string_pattern_mismatch":
            return "it takes letters, digits, spaces, '.', '_' and '-', and starts with a letter or digit"
        case _:
            message = error["msg"].removeprefix("Input should be ")
            return f"it must be {message[:1].lower()}{message[1:]}"


def _given(value: object) -> str:
    """The value, cut short."""
    return shown(list(cast("tuple[object, ...]", value)) if isinstance(value, tuple) else value)


def _dotted(location: tuple[int | str, ...]) -> str:
    """A key's place as TOML writes it: `fine_tune.epochs`, `seeds[1]`."""
    text = ""
    for part in (part for part in location if part != "[key]"):  # how a name in a table that has any is reported
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _keys(model: type[BaseModel], parents: list[int | str]) -> list[str]:
    """The keys that the table at this place takes."""
    section = model
    for name in filter(lambda part: isinstance(part, str), parents):
        kinds = [section.model_fields[str(name)].annotation]
        kinds += get_args(kinds[0])
        section = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(section.model_fields)
