"""The syntax of liberty files: text to a tree of groups, with the line of each, by a small LALR grammar.

Written from the Liberty user guide's description of group, simple-attribute and complex-attribute statements.
"""
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedToken

from fewbits.errors import HardwareError

MAXIMUM_BYTES = 256 * 2**20
"""Largest liberty file read; the biggest open libraries are below 100 MB."""

MAXIMUM_STATEMENTS = 3_000_000
"""Most groups and attributes; a library of 100 MB has about two million, and reading takes minutes then."""

MAXIMUM_DEPTH = 100
"""Deepest nesting of groups; a library needs five."""

GRAMMAR = r"""
start: ";"* group
_statement: group | attribute | complex
group: _head "{" (_statement | ";")* "}"
complex: _head ";"?
_head: WORD "(" _arguments? ")"
_arguments: _atom (","? _atom)* ","?
attribute: WORD ":" _atom (OPERATOR _atom)* ";"?
_atom: WORD | STRING
OPERATOR.2: /[-+*\/](?=[ \t])/
STRING: /"[^"]*"/
WORD: /(?:(?!\/[*\/])[^\s,;:(){}"\[\]\\]|\[[^\]\s]{0,1000}\]){1,1000}/
COMMENT.3: /\/\*[\s\S]*?\*\/|\/\/[^\n]*/
BLANK: /(?:\s+|\\\r?\n){1,1000}/
%ignore COMMENT
%ignore BLANK
"""


@dataclass
class Group:
    """One group statement: `name (arguments) { ... }`."""

    name: str
    arguments: tuple[str, ...]
    line: int

    attributes: dict[str, str] = field(default_factory=dict[str, str])
    """Simple attributes, text as written without quotes; of a repeated one the last."""

    lists: dict[str, list[tuple[str, ...]]] = field(default_factory=dict[str, list[tuple[str, ...]]])
    """Complex attributes: the arguments of each occurrence."""

    groups: list[Group] = field(default_factory=list["Group"])

    def named(self, *names: str) -> list[Group]:
        """The groups directly inside that bear one of `names`, in the file's order."""
        return [group for group in self.groups if group.name in names]

    def list(self, name: str) -> tuple[str, ...]:
        """The arguments of a complex attribute, of a repeated one the last; empty where it is missing."""
        return self.lists[name][-1] if name in self.lists else ()


_List: TypeAlias = tuple[str, tuple[str, ...]]
_Attribute: TypeAlias = tuple[str, str]


class _Build(Transformer[Token, Group]):
    """Builds the tree while parsing, so that depth costs no recursion."""

    def start(self, children: list[Group]) -> Group:
        return children[-1]

    def attribute(self, children: list[Token]) -> _Attribute:
        return str(children[0]), " ".join(_plain(token) for token in children[1:])

    def complex(self, children: list[Token]) -> _List:
        return str(children[0]), tuple(_plain(token) for token in children[1:])

    def group(self, children: list[Token | Group | _List | _Attribute]) -> Group:
        head = [child for child in children if isinstance(child, Token)]
        built = Group(str(head[0]), tuple(_plain(token) for token in head[1:]), head[0].line or 0)
        for child in children:
            if isinstance(child, Group):
                built.groups.append(child)
            elif isinstance(child, tuple):
                name, value = child
                if isinstance(value, str):
                    built.attributes[name] = value
                else:
                    built.lists.setdefault(name, []).append(value)
        return built


def _plain(token: Token) -> str:
    """A token's text, without quotes and line continuations."""
    if token.type != "STRING":
        return str(token)
    text = str(token)[1:-1]
    return text.replace("\\\r\n", " ").replace("\\\n", " ") if "\\" in text else text


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="basic", transformer=_Build(), maybe_placeholders=False)


def parse_groups(path: Path) -> Group:
    """Read a liberty file and return its `library` group.

    Raises HardwareError, with the line, if the file cannot be read, is larger than MAXIMUM_BYTES or the other bounds,
    is no liberty file or ends before its last group does.
    """
    text = _read(path)
    _check_bounds(path, text)
    try:
        tree = _parser().parse(text)
    except UnexpectedToken as error:
        if error.token.type == "$END":
            last = text.rstrip().count("\n") + 1
            raise HardwareError(f"{path}:{last}: the liberty file ends inside a group: fetch it whole") from None
        raise HardwareError(f"{path}:{error.line}: not liberty syntax near {str(error.token)[:40]!r}") from None
    except UnexpectedCharacters as error:
        shown = text[error.pos_in_stream or 0 :].split("\n", 1)[0][:40]
        raise HardwareError(f"{path}:{error.line}: not liberty syntax near {shown!r}") from None
    except LarkError as error:
        raise HardwareError(f"{path}: not a liberty file: {str(error).splitlines()[0]}") from None
    if not isinstance(tree, Group) or tree.name != "library":  # pyright: ignore[reportUnnecessaryIsInstance]
        raise HardwareError(
            f"{path}:{getattr(tree, 'line', 1)}: a liberty file is one group `library (NAME) {{ ... }}`"
        )
    return tree


def _check_bounds(path: Path, text: str) -> None:
    """Refuse what no library is like before it costs minutes and gigabytes to parse."""
    statements = sum(map(text.count, "{;("))
    if statements > MAXIMUM_STATEMENTS:
        raise HardwareError(f"{path}: {statements} statements, a liberty file may have up to {MAXIMUM_STATEMENTS}")
    depth = 0
    for brace in re.finditer(r"[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        if depth > MAXIMUM_DEPTH:
            line = text.count("\n", 0, brace.start()) + 1
            raise HardwareError(f"{path}:{line}: groups nested {depth} deep, up to {MAXIMUM_DEPTH} are allowed")


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise HardwareError(f"{path} is a device or a pipe: give a liberty file")
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            raise HardwareError(f"{path}: {size} bytes, a liberty file may have up to {MAXIMUM_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise HardwareError(f"cannot read the liberty file {path}: {error.strerror}") from None
    if b"\0" in data:
        raise HardwareError(f"{path}: not a liberty file: it holds binary data")
    return data.decode("utf-8", errors="replace")
