"""The syntax of liberty files: text to a tree of groups, with the line of each, as leniently as yosys and OpenSTA do.

Written from the Liberty user guide's description of group, simple-attribute and complex-attribute statements, and from
what those two readers take besides: semicolons may be missing or too many, expressions and units unquoted, comments
of both kinds and line continuations anywhere, a file packed by gzip, another file by `include_file`.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from fewbits.errors import HardwareError

MAXIMUM_BYTES = 256 * 2**20
"""Largest liberty file read, unpacked; the biggest open libraries are below 100 MB."""

MAXIMUM_STATEMENTS = 3_000_000
"""Most groups and attributes; a library of 100 MB has about two million, and reading takes minutes then."""

MAXIMUM_DEPTH = 100
"""Deepest nesting of groups; a library needs five."""

MAXIMUM_INCLUDES = 16
"""Most files that `include_file` may bring in, in all."""

_STRING = r'"(?:[^"\\]++|\\.)*+"'
_COMMENT = r"/\*.*?\*/|//[^\n]*+"
_BETWEEN = re.compile(rf"(?:[\s;]++|\\(?=\s)|{_COMMENT})*+", re.DOTALL)
_BLANK = re.compile(rf"(?:\s++|\\(?=\s)|{_COMMENT})*+", re.DOTALL)
_NAME = re.compile(r"""[^\s:;(){}"',=\\]++""")
_ARGUMENTS = re.compile(rf'\(((?:{_COMMENT}|[^()"/]++|/|{_STRING}|\((?:[^()"]++|{_STRING})*+\))*+)\)', re.DOTALL)
_VALUE = re.compile(rf'(?:{_STRING}|{_COMMENT}|\\\s*?\n|[^:;\n{{}}"/\\]++|/|\\)*+', re.DOTALL)
_ATOM = re.compile(r'"((?:[^"\\]++|\\.)*+)"|([^\s,"\\]++)', re.DOTALL)
_ANY_COMMENT = re.compile(_COMMENT, re.DOTALL)

_NEXT_ATTRIBUTE = re.compile(r"(?<=\S)\s+([A-Za-z_]\w*)\s*$")
_NEXT_GROUP = re.compile(r"(?<=\S)\s+[A-Za-z_]\w*\s*\([^()]*\)\s*$")
_NEXT_LIST = re.compile(r'\s*(?:"[^"]*"|[-+.\d]\S*|true|false)\s+(?=[A-Za-z_]\w*\s*\()')
"""What begins behind a value whose semicolon is missing."""

_UNFINISHED = re.compile(r"[&|+*^!:]\s*$")
"""An unquoted expression that goes on in the next line."""


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


def parse_groups(path: Path) -> Group:
    """Read a liberty file, packed or not, and return its `library` group.

    Raises HardwareError, with the line, if the file cannot be read, is larger than MAXIMUM_BYTES or the other bounds,
    is no liberty file or ends before its last group does.
    """
    text = _read(path)
    root = Group("", (), 1)
    _Parser(path, text, [path]).into(root)
    if len(root.groups) != 1 or root.groups[0].name != "library":
        line = root.groups[-1].line if root.groups else 1
        raise HardwareError(f"{path}:{line}: a liberty file is one group `library (NAME) {{ ... }}`")
    return root.groups[0]


class _Parser:
    """Goes through one file's text, statement by statement; depth is a list, not recursion."""

    def __init__(self, path: Path, text: str, included: list[Path]) -> None:
        self._path = path
        self._text = text
        self._included = included
        self._at: int = 0
        self._line = 1
        self._counted = 0
        _check_bounds(path, text)

    def into(self, root: Group) -> None:
        """Read all statements; what stands outside of any group goes into `root`."""
        text, open_groups = self._text, [root]
        while True:
            self._at = _end(_BETWEEN, text, self._at)
            if self._at >= len(text):
                break
            if text[self._at] == "}":
                if len(open_groups) == 1:
                    raise self._error()
                open_groups.pop()
                self._at += 1
            else:
                self._statement(open_groups)
        if len(open_groups) > 1:
            last = text.rstrip().count("\n") + 1
            raise HardwareError(f"{self._path}:{last}: the liberty file ends inside a group: fetch it whole")

    def _statement(self, open_groups: list[Group]) -> None:
        text, start = self._text, self._at
        found = _NAME.match(text, start)
        if found is None:
            raise self._error()
        name = found[0]
        self._at = _end(_BLANK, text, found.end())
        sign = text[self._at : self._at + 1]
        if sign in (":", "="):
            open_groups[-1].attributes[name] = self._value()
        elif sign == "(" and (arguments := _ARGUMENTS.match(text, self._at)) is not None:
            line = self._line_of(start)
            self._at = _end(_BLANK, text, arguments.end())
            atoms = _atoms(arguments[1])
            if text[self._at : self._at + 1] == "{":
                self._at += 1
                group = Group(name, atoms, line)
                open_groups[-1].groups.append(group)
                open_groups.append(group)
            elif name == "include_file":
                self._include(atoms, open_groups[-1])
            else:
                open_groups[-1].lists.setdefault(name, []).append(atoms)
        elif sign == "" and len(open_groups) > 1:
            last = text.rstrip().count("\n") + 1
            raise HardwareError(f"{self._path}:{last}: the liberty file ends inside a group: fetch it whole")
        else:
            self._at = start
            raise self._error()

    def _value(self) -> str:
        """What stands behind a colon, up to a semicolon, the line's end or the next statement."""
        text = self._text
        start = self._at = _end(_BLANK, text, self._at + 1)
        while True:
            self._at = _end(_VALUE, text, self._at)
            value, sign = text[start : self._at], text[self._at : self._at + 1]
            if following := _NEXT_LIST.match(value):
                self._at = start + following.end()
                return _plain(following[0])
            if sign == ":" and (following := _NEXT_ATTRIBUTE.search(value)):
                self._at = start + following.start(1)
                return _plain(value[: following.start()])
            if sign == ":" or (sign == "\n" and (_UNFINISHED.search(value) or value.count("(") > value.count(")"))):
                self._at += 1
                continue
            break
        if sign == "{" and (following := _NEXT_GROUP.search(value)):
            self._at = start + following.start()
            return _plain(value[: following.start()])
        if sign in ("{", '"'):
            raise self._error()
        return _plain(value)

    def _include(self, arguments: tuple[str, ...], into: Group) -> None:
        """Read another file's statements in the place of `include_file`; it must lie in this file's folder or below."""
        folder = self._path.parent.resolve()
        path = (folder / arguments[0]).resolve() if len(arguments) == 1 else folder
        if not path.is_relative_to(folder) or path == folder:
            raise HardwareError(
                f"{self._path}:{self._line_of(self._at)}: include_file takes one file in the library's own folder, not "
                f"{', '.join(arguments)[:60]!r}: put it there"
            )
        if path in self._included or len(self._included) > MAXIMUM_INCLUDES:
            raise HardwareError(
                f"{self._path}: include_file {arguments[0][:60]!r} includes itself or is one of too many"
            )
        self._included.append(path)
        _Parser(path, _read(path), self._included).into(into)

    def _line_of(self, position: int) -> int:
        """The line of a position; positions must rise from call to call."""
        self._line += self._text.count("\n", self._counted, position)
        self._counted = max(position, self._counted)
        return self._line

    def _error(self) -> HardwareError:
        line = self._text.count("\n", 0, self._at) + 1
        shown = self._text[self._at : self._at + 40].split("\n", 1)[0]
        return HardwareError(f"{self._path}:{line}: not liberty syntax near {shown!r}")


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position


def _atoms(body: str) -> tuple[str, ...]:
    """The words and strings between parentheses, commas being free."""
    if "/" in body:
        body = _without_comments(body)
    return tuple(word or _continued(string) for string, word in _ATOM.findall(body))


def _plain(value: str) -> str:
    """An attribute's text without quotes, comments and line continuations."""
    if "/" in value:
        value = _without_comments(value)
    value = value.strip()
    if value[:1] == '"' and value.find('"', 1) == len(value) - 1:
        return _continued(value[1:-1])
    return " ".join(_continued(value).replace('"', " ").split())


def _without_comments(text: str) -> str:
    """A slash inside a string begins none."""
    return re.sub(rf"({_STRING})|{_COMMENT}", lambda found: found[1] or " ", text, flags=re.DOTALL)


def _continued(text: str) -> str:
    return re.sub(r'\\\s*\n|\\(?=")', " ", text) if "\\" in text else text


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
    """A file's text, unpacked if it was packed by gzip, never more than MAXIMUM_BYTES of it."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise HardwareError(f"{path} is a device or a pipe: give a liberty file")
        size = path.stat().st_size
        if size > MAXIMUM_BYTES:
            raise HardwareError(f"{path}: {size} bytes, a liberty file may have up to {MAXIMUM_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise HardwareError(f"cannot read the liberty file {path}: {error.strerror}") from None
    if data.startswith(b"\x1f\x8b"):
        data = _unpacked(path, data)
    if b"\0" in data:
        raise HardwareError(f"{path}: not a liberty file: it holds binary data")
    return data.decode("utf-8-sig", errors="replace")


def _unpacked(path: Path, data: bytes) -> bytes:
    try:
        text = gzip.GzipFile(fileobj=io.BytesIO(data)).read(MAXIMUM_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        raise HardwareError(f"{path}: gzip cannot unpack it, the liberty file is damaged: fetch it whole") from None
    if len(text) > MAXIMUM_BYTES:
        raise HardwareError(f"{path}: more than {MAXIMUM_BYTES} bytes unpacked, which no liberty file has")
    return text
