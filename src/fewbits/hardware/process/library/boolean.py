"""Boolean expressions of liberty files (`function`, `when`): text to a truth table.

Operators, tightest first: `!x` and `x'`; `&`, `*` and juxtaposition; `^`; `|` and `+`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fewbits.errors import HardwareError

MAXIMUM_VARIABLES = 12
"""A truth table has 2**n rows; no standard cell has more pins in one function."""

MAXIMUM_LENGTH = 2000
"""Longest expression read, in characters; bounds the depth of its parentheses."""

_TOKEN = re.compile(r"\s*(\\?[A-Za-z_][\w\[\].]*|\d\w*[A-Za-z_]\w*|[01]|[!'&*|+^()])")


def variables(expression: str) -> tuple[str, ...]:
    """The pin names in an expression, each once, in the order of appearance."""
    return tuple(dict.fromkeys(token for token in _tokens(expression) if _is_name(token)))


@lru_cache(maxsize=8192)
def truth_table(expression: str, inputs: tuple[str, ...]) -> NDArray[np.bool_]:
    """Values of the expression for every assignment of `inputs`.

    Entry i is for the assignment in which bit k of i is the value of inputs[k]; shape (2**len(inputs),).
    Raises HardwareError on bad syntax, on a name outside `inputs` and on more than MAXIMUM_VARIABLES inputs.
    """
    if len(inputs) > MAXIMUM_VARIABLES:
        raise HardwareError(f"{expression!r} has {len(inputs)} variables, up to {MAXIMUM_VARIABLES} are allowed")
    rows: NDArray[np.int64] = np.arange(2 ** len(inputs), dtype=np.int64)
    columns = {name: (rows >> k & 1) == 1 for k, name in enumerate(inputs)}
    unknown = [name for name in variables(expression) if name not in columns]
    if unknown:
        raise HardwareError(f"{expression!r} names {unknown[0]!r}, which is none of {', '.join(inputs) or 'no inputs'}")
    table = _Evaluation(expression, columns, len(rows)).result()
    table.setflags(write=False)
    return table


def probability(table: NDArray[np.bool_], duties: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a function is true, its inputs taken as independent.

    table: shape (2**n,). duties: probability that each input is one, shape (..., n). Result: shape (...,).
    """
    total = np.zeros(duties.shape[:-1])
    for row in np.flatnonzero(table):
        product = np.ones(duties.shape[:-1])
        for k in range(duties.shape[-1]):
            product *= duties[..., k] if row >> k & 1 else 1.0 - duties[..., k]
        total += product
    return total


def boolean_difference(table: NDArray[np.bool_], position: int) -> NDArray[np.bool_]:
    """Where a function's value depends on the input at `position`: df/dx, a truth table over the same inputs."""
    rows = np.arange(len(table))
    return table ^ table[rows ^ (1 << position)]


def is_true(expression: str, assignment: dict[str, bool]) -> bool:
    """The value of an expression under one assignment of its names."""
    inputs = variables(expression)
    row = sum(1 << k for k, name in enumerate(inputs) if assignment.get(name, False))
    return bool(truth_table(expression, inputs)[row])


def is_ambiguous(expression: str) -> bool:
    """Whether `^` stands beside an AND without parentheses between them: tools disagree on which binds tighter.

    Liberty's user guide and OpenSTA take `^` first, ABC and this module take AND first.
    """
    seen: list[set[str]] = [set()]
    before = ""
    for symbol in _tokens(expression):
        if symbol in "&*" or _is_juxtaposed(before, symbol):
            seen[-1].add("&")
        if symbol == "(":
            seen.append(set())
        elif symbol == ")" and len(seen) > 1:
            seen.pop()
        elif symbol in "|+":
            seen[-1].clear()
        elif symbol == "^":
            seen[-1].add("^")
        if len(seen[-1]) > 1:
            return True
        before = symbol
    return False


def _is_juxtaposed(before: str, symbol: str) -> bool:
    """Whether an AND stands between two tokens that follow each other."""
    ends = bool(before) and (_is_name(before) or before in "01)'")
    return ends and (_is_name(symbol) or symbol in "01(!")


def explicit(expression: str) -> str:
    """The same function by `!`, `&`, `*`, `|`, `+` and `^` alone, which every tool reads alike.

    An expression with `A'`, `A B` or constants becomes the sum of its products.
    """
    tokens = _tokens(expression)
    if not {"'", "0", "1"} & set(tokens) and not any(map(_is_juxtaposed, tokens, tokens[1:])):
        return expression
    names = variables(expression)
    rows = np.flatnonzero(truth_table(expression, names)).tolist()
    products = ["&".join(name if row >> k & 1 else f"!{name}" for k, name in enumerate(names)) for row in rows]
    return "|".join(f"({product})" for product in products)


def single_variable(expression: str) -> tuple[str, bool] | None:
    """The one name that an expression is equal to, and whether inverted; None for any other function."""
    names = variables(expression)
    if not names or len(names) > MAXIMUM_VARIABLES:
        return None
    table = truth_table(expression, names)
    for position, name in enumerate(names):
        own = truth_table(name, names)
        if boolean_difference(table, position).all() and (np.array_equal(table, own) or np.array_equal(table, ~own)):
            return name, not np.array_equal(table, own)
    return None


def support(expression: str) -> tuple[str, ...]:
    """The names that an expression's value depends on."""
    names = variables(expression)
    table = truth_table(expression, names)
    return tuple(name for k, name in enumerate(names) if boolean_difference(table, k).any())


def unateness(expression: str, name: str) -> str:
    """`positive_unate`, `negative_unate` or `non_unate`: how an expression's value follows one of its names."""
    names = variables(expression)
    if name not in names:
        return "non_unate"
    table = truth_table(expression, names)
    position = names.index(name)
    rows = np.arange(len(table))
    high, low = table[rows | (1 << position)], table[rows & ~(1 << position)]
    rises, falls = bool((high & ~low).any()), bool((low & ~high).any())
    if rises == falls:
        return "non_unate"
    return "positive_unate" if rises else "negative_unate"


def _is_name(symbol: str) -> bool:
    return symbol[0] not in "!'&*|+^()" and symbol not in "01"


def _tokens(expression: str) -> Sequence[str]:
    if len(expression) > MAXIMUM_LENGTH:
        raise HardwareError(f"a boolean expression of {len(expression)} characters; up to {MAXIMUM_LENGTH} are allowed")
    found: list[str] = []
    position = 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise HardwareError(f"not a boolean expression of liberty: {expression!r}")
        found.append(match.group(1))
        position = match.end()
    return found


class _Evaluation:
    """Recursive descent over the tokens; each rule returns the truth table of what it read."""

    def __init__(self, expression: str, columns: dict[str, NDArray[np.bool_]], rows: int) -> None:
        self._expression = expression
        self._columns = columns
        self._rows = rows
        self._tokens = _tokens(expression)
        self._next = 0

    def result(self) -> NDArray[np.bool_]:
        value = self._or()
        if self._peek():
            raise self._error()
        return value.copy()

    def _peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._peek()
        self._next += 1
        return token

    def _error(self) -> HardwareError:
        return HardwareError(f"not a boolean expression of liberty: {self._expression!r}")

    def _or(self) -> NDArray[np.bool_]:
        value = self._exclusive_or()
        while self._peek() in ("|", "+"):
            self._take()
            value = value | self._exclusive_or()
        return value

    def _exclusive_or(self) -> NDArray[np.bool_]:
        value = self._and()
        while self._peek() == "^":
            self._take()
            value = value ^ self._and()
        return value

    def _and(self) -> NDArray[np.bool_]:
        value = self._unary()
        while (symbol := self._peek()) and symbol not in "|+^)'":
            if symbol in "&*":
                self._take()
            value = value & self._unary()
        return value

    def _unary(self) -> NDArray[np.bool_]:
        symbol = self._take()
        if symbol == "!":
            return ~self._unary()
        if symbol == "(":
            value = self._or()
            if self._take() != ")":
                raise self._error()
        elif symbol in self._columns:
            value = self._columns[symbol]
        elif symbol in ("0", "1"):
            value = np.full(self._rows, symbol == "1")
        else:
            raise self._error()
        while self._peek() == "'":
            self._take()
            value = ~value
        return value
