"""Boolean expressions of liberty files mean what Python's operators say."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.errors import HardwareError
from fewbits.hardware.process.library.boolean import (
    boolean_difference,
    explicit,
    is_ambiguous,
    is_true,
    probability,
    single_variable,
    support,
    truth_table,
    unateness,
    variables,
)

NAMES = ("A", "B", "C")


@pytest.mark.parametrize(
    ("expression", "python"),
    [
        ("!(A*B)", "not (A and B)"),
        ("A' B + C", "((not A) and B) or C"),
        ("A^B&C", "A != (B and C)"),
        ("A | B & !C", "A or (B and not C)"),
        ("!A !B", "(not A) and (not B)"),
        ("(A+B)'", "not (A or B)"),
        ("A''", "A"),
        ("1", "True"),
        ("A & 0", "False"),
    ],
)
def test_operators_and_precedence(expression: str, python: str) -> None:
    table = truth_table(expression, NAMES)
    for c, b, a in product((False, True), repeat=3):
        assert table[a + 2 * b + 4 * c] == eval(python, {"A": a, "B": b, "C": c})


_EXPRESSIONS = st.recursive(
    st.sampled_from(NAMES),
    lambda inner: st.one_of(
        inner.map(lambda e: f"(!({e}))"),
        st.tuples(inner, st.sampled_from(["&", "|", "^"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(_EXPRESSIONS)
def test_random_expressions_equal_python(expression: str) -> None:
    table = truth_table(expression, NAMES)
    python = expression.replace("!", "1^")
    for c, b, a in product((0, 1), repeat=3):
        assert int(table[a + 2 * b + 4 * c]) == eval(python, {"A": a, "B": b, "C": c})


@settings(max_examples=40, deadline=None)
@given(_EXPRESSIONS, st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_probability_is_the_weighted_count_of_true_rows(expression: str, duties: list[float]) -> None:
    table = truth_table(expression, NAMES)
    expected = sum(
        np.prod([d if row >> k & 1 else 1 - d for k, d in enumerate(duties)]) for row in range(8) if table[row]
    )
    assert probability(table, np.array([duties]))[0] == pytest.approx(expected)


def test_the_difference_of_and_is_the_other_input() -> None:
    difference = boolean_difference(truth_table("A&B", ("A", "B")), 0)
    assert difference.tolist() == truth_table("B", ("A", "B")).tolist()


def test_names_come_once_in_order() -> None:
    assert variables("B & A & B[3] & 1") == ("B", "A", "B[3]")


def test_one_assignment_decides() -> None:
    assert is_true("A & !B", {"A": True, "B": False})
    assert not is_true("A & !B", {"A": True, "B": True})


@pytest.mark.parametrize("expression", ["A &", "(A", "A)", "", "A @ B", "&A", "A + + B", "x" * 3000])
def test_bad_syntax_is_refused(expression: str) -> None:
    with pytest.raises(HardwareError, match="boolean expression"):
        truth_table(expression, NAMES)


def test_unknown_names_are_named() -> None:
    with pytest.raises(HardwareError, match="'D'"):
        truth_table("A & D", NAMES)


def test_too_many_inputs_are_refused() -> None:
    with pytest.raises(HardwareError, match="13 variables"):
        truth_table("a0", tuple(f"a{k}" for k in range(13)))


@pytest.mark.parametrize("expression", ["A' B + C", "!(A B)", "(A+B)'", "A ^ 1", "A^B", "(A&B)|!C", "A B C", "!A'"])
def test_the_explicit_spelling_is_the_same_function_without_hidden_operators(expression: str) -> None:
    spelled = explicit(expression)
    assert truth_table(spelled, NAMES).tolist() == truth_table(expression, NAMES).tolist()
    assert not set("'01") & set(spelled)
    assert explicit(spelled) == spelled


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("A ^ B & C", True), ("A & B ^ C", True), ("A B ^ C", True), ("A ^ (B & C)", False), ("A^B|A&C", False)],
)
def test_xor_beside_and_is_ambiguous(expression: str, *, expected: bool) -> None:
    assert is_ambiguous(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("(A)", ("A", False)), ("A'", ("A", True)), ("A & (B | !B)", ("A", False)), ("A & B", None), ("1", None)],
)
def test_an_expression_of_one_variable_is_told(expression: str, expected: tuple[str, bool] | None) -> None:
    assert single_variable(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [("!(A & B)", "negative_unate"), ("A | B", "positive_unate"), ("A ^ B", "non_unate"), ("B", "non_unate")],
)
def test_how_a_function_follows_a_pin(expression: str, expected: str) -> None:
    assert unateness(expression, "A") == expected


def test_the_support_leaves_out_what_cancels() -> None:
    assert support("A & B | A & !B") == ("A",)
