"""Approximate products by name: formulas, circuits' tables, errors, and names that are none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits import FormatError
from fewbits.formats import LayerProducts, ProductTable, parse_format
from fewbits.formats.approximation_kinds import APPROXIMATIONS, PartialProducts
from fewbits.formats.approximations import approximation, parse_approximation
from fewbits.formats.product_errors import product_errors

NAMES = ("exact", "truncated-1", "truncated-2", "broken-array-2-1", "broken-array-0-1", "perforated-1", "mitchell")
WIDTHS = st.sampled_from([parse_format(name) for name in ("fixed2", "fixed3", "fixed4", "fixed5", "ternary")])
FIXED8 = parse_format("fixed8")


@settings(max_examples=40, deadline=None)
@given(WIDTHS, WIDTHS, st.sampled_from(NAMES))
def test_a_table_is_its_formula_on_python_integers(weights, inputs, name: str) -> None:
    kind, parameters = parse_approximation(name)
    if kind.misfit(weights.bits, inputs.bits, *parameters) is not None:
        return
    bits = (weights.bits, inputs.bits)
    expected = ProductTable.of(name, weights, inputs, lambda w, x: kind.product(w, x, *bits, *parameters))
    assert approximation(name, weights, inputs) == expected


@pytest.mark.parametrize("name", ["truncated-6", "broken-array-8-3", "perforated-2-3", "mitchell"])
def test_all_products_of_eight_bits_are_the_formula(name: str) -> None:
    kind, parameters = parse_approximation(name)
    expected = ProductTable.of(name, FIXED8, FIXED8, lambda w, x: kind.product(w, x, 8, 8, *parameters))
    assert approximation(name, FIXED8, FIXED8) == expected


@pytest.mark.parametrize("name", ["truncated-0", "broken-array-0-0", "perforated-0", "exact"])
def test_what_leaves_out_nothing_is_exact(name: str) -> None:
    assert approximation(name, FIXED8, FIXED8).is_exact


@pytest.mark.parametrize("name", ["truncated-8", "broken-array-6-3", "perforated-3", "mitchell"])
def test_zero_times_anything_is_zero(name: str) -> None:
    values = approximation(name, FIXED8, FIXED8).values
    assert not values[0].any()
    assert not values[:, 0].any()


def test_baugh_and_wooleys_array_with_the_constants_of_what_it_keeps_gives_the_table() -> None:
    """As a circuit adds it: inverted partial products where one bit is a sign, less 2**column for each of them."""
    kind, parameters = parse_approximation("broken-array-6-2")
    assert isinstance(kind, PartialProducts)
    kept, codes = kind.kept(8, 8, *parameters), np.arange(256)
    total = np.zeros((256, 256), dtype=np.int64)
    for i, j in np.argwhere(kept):
        bits = (codes[:, None] >> i & 1) & (codes[None] >> j & 1)
        if (i == 7) != (j == 7):
            total += ((1 - bits) << (i + j)) - (1 << (i + j))
        else:
            total += bits << (i + j)
    assert (total == approximation("broken-array-6-2", FIXED8, FIXED8).values).all()


def test_mitchell_is_exact_for_powers_of_two_and_low_by_at_most_a_ninth() -> None:
    powers = parse_format("pow2-4")
    assert approximation("mitchell", powers, powers).is_exact
    exact = ProductTable.exact(FIXED8, FIXED8).values
    magnitudes, found = np.abs(exact), np.abs(approximation("mitchell", FIXED8, FIXED8).values)
    assert (found <= magnitudes).all()
    assert (9 * (magnitudes - found) <= magnitudes).all()


def test_errors_are_those_of_evoapprox() -> None:
    """Truncated by one column: one product in four (both lowest bits set) is one too small."""
    errors = product_errors(approximation("truncated-1", FIXED8, FIXED8))
    assert (errors.mean_absolute, errors.worst_case, errors.probability, errors.bias) == (0.25, 1, 0.25, -0.25)
    assert errors.mean_absolute_share == 0.25 / 2**16
    assert errors.worst_case_share == 1 / 2**16
    assert product_errors(ProductTable.exact(FIXED8, FIXED8)).mean_relative == 0


def test_unused_codes_have_no_errors() -> None:
    ternary = parse_format("ternary")
    table = ProductTable("faulty", ternary, ternary, ProductTable.exact(ternary, ternary).values + 100)
    assert not table.values[2].any()
    assert product_errors(table).bias == 100


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("truncate-6", "did you mean truncated-COLUMNS"),
        ("Mitchell", "did you mean mitchell"),
        ("truncated", "'truncated' has 0 numbers: an approximation of its kind is truncated-COLUMNS"),
        ("mitchell-3", "has 1 numbers"),
        ("broken-array-4-2-1", "has 3 numbers"),
        ("truncated-06", "no approximation"),
        ("truncated--6", "no approximation"),
        ("truncated-15", "columns 15: it is 0 to 14"),
        ("perforated-7-2", "rows and first together are 0 to 7"),
        ("broken-array-4-8", "rows 8: it is 0 to 7"),
        ("", "no approximation ''"),
        (6, "is a name such as 'truncated-6', not 6"),
        ("truncated-" + "9" * 5000, "no approximation"),
    ],
)
def test_names_without_a_table_are_refused_in_one_line(name: str, problem: str) -> None:
    with pytest.raises(FormatError, match=problem) as raised:
        approximation(name, FIXED8, FIXED8)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("weights", ["pow2-4", "binary"])
def test_arrays_take_twos_complement_alone(weights: str) -> None:
    with pytest.raises(FormatError, match=f"multiplies two's complement, which {weights} is not"):
        approximation("truncated-1", parse_format(weights), FIXED8)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.zeros((16, 256), int), "256 x 256 entries, not 16 x 256"),
        (np.zeros(65536, int), "256 x 256 entries, not 65536"),
        (np.array(3), "not one number"),
        (np.zeros((256, 256)), "holds integers, not float64"),
        (np.full((256, 256), 2**62), "at most 2"),
        (np.zeros((256, 256), object), "holds integers, not object"),
    ],
)
def test_a_table_of_the_wrong_size_or_kind_is_refused(values: np.ndarray, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        ProductTable("given", FIXED8, FIXED8, values)


def test_a_choice_names_tables_that_are_there() -> None:
    table = ProductTable.exact(FIXED8, FIXED8)
    with pytest.raises(FormatError, match="names 0 to 1: there are tables 0 to 0"):
        LayerProducts((table,), np.array([[0, 1]]))
    with pytest.raises(FormatError, match="needs the choice"):
        LayerProducts((table, table))
    with pytest.raises(FormatError, match="one or more"):
        LayerProducts(())


def test_every_kind_says_where_it_was_published() -> None:
    for kind in APPROXIMATIONS.values():
        assert kind.name == "exact" or any(str(year) in kind.source for year in range(1950, 2026))
