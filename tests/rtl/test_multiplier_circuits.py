"""Circuits of multipliers against their formulas, on every pair of codes, simulated gate by gate."""

from __future__ import annotations

import numpy as np
import pytest
from test_neuron import assert_equals_vectors

from fewbits.errors import FewbitsError, HardwareError
from fewbits.formats import ProductTable, parse_precision
from fewbits.formats.approximation_kinds import APPROXIMATIONS
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.simulation import Simulator
from fewbits.hardware.multipliers import multiplier_kind, product_table
from fewbits.hardware.multipliers.alone import simulated_products
from fewbits.hardware.multipliers.approximate import CIRCUITS

APPROXIMATE = ("truncated-6", "broken-array-5-2", "perforated-2", "perforated-1-3", "mitchell")
PRECISIONS = ("fixed8", "fixed4", "fixed4/fixed8", "fixed8/fixed3")


def agrees(multiplier: str, precision: str) -> bool:
    parsed = parse_precision(precision)
    return np.array_equal(
        simulated_products(multiplier_kind(multiplier), parsed), product_table(multiplier, parsed).values
    )


@pytest.mark.parametrize("multiplier", APPROXIMATE)
@pytest.mark.parametrize("precision", ["fixed8", "fixed4"])
def test_circuit_and_formula_agree_on_every_pair(multiplier: str, precision: str):
    if multiplier == "perforated-1-3" and precision == "fixed4":
        with pytest.raises(HardwareError, match="rows and first together are 0 to 3"):
            product_table(multiplier, precision)
    else:
        assert agrees(multiplier, precision)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS[2:])
@pytest.mark.parametrize("multiplier", ["truncated-3", "broken-array-3-1", "perforated-1-1", "mitchell"])
def test_circuit_and_formula_agree_at_unequal_widths(multiplier: str, precision: str):
    assert agrees(multiplier, precision)


@pytest.mark.slow
@pytest.mark.parametrize("columns", range(7))
def test_truncations_of_four_bits_agree_at_every_number_of_columns(columns: int):
    assert agrees(f"truncated-{columns}", "fixed4")


@pytest.mark.parametrize("multiplier", ["booth", "array", "operator"])
def test_an_exact_circuit_gives_the_exact_table(multiplier: str):
    parsed = parse_precision("fixed8")
    exact = ProductTable.exact(parsed.weights, parsed.inputs)
    assert product_table(multiplier, parsed) == exact
    assert np.array_equal(simulated_products(multiplier_kind(multiplier), parsed), exact.values)


def test_every_named_approximation_has_a_circuit():
    assert set(CIRCUITS) == set(APPROXIMATIONS) - {"exact"}


def test_a_parameter_by_default_is_no_other_multiplier():
    assert multiplier_kind("perforated-2-0").name == "perforated-2"


@pytest.mark.parametrize("multiplier", ["truncated-6", "mitchell"])
def test_a_neuron_sums_approximate_products(multiplier: str):
    assert_equals_vectors(Simulator(design("fixed8", multiplier=multiplier)))


@pytest.mark.slow
@pytest.mark.parametrize("stages", ["short", "long", "longest"])
def test_an_approximate_neuron_is_the_same_in_any_pipelining(stages: str):
    assert_equals_vectors(Simulator(design("fixed8", multiplier="truncated-6", stages=stages)))


@pytest.mark.parametrize(
    ("precision", "multiplier", "words"),
    [
        ("fixed16", "truncated-6", "at most 8 bits"),
        ("pow2-4/fixed8", "mitchell", "at most 8 bits"),
        ("fp8-e4m3", "truncated-6", "at most 8 bits"),
        ("fixed2", "truncated-6", "has columns 6: it is 0 to 2"),
        ("fixed8", "truncated", "has 0 numbers"),
        ("fixed8", "truncated-6-2", "has 2 numbers"),
        ("fixed8", "truncated-99", "has columns 99: it is 0 to 14"),
        ("fixed8", "wallace", "truncated-COLUMNS.*FILE.v, not 'wallace'"),
        ("fixed8", "", "not ''"),
    ],
)
def test_what_a_multiplier_does_not_do_is_refused(precision: str, multiplier: str, words: str):
    with pytest.raises(FewbitsError, match=words) as refused:
        design(precision, multiplier=multiplier)
    assert "\n" not in str(refused.value)


def test_approximate_products_are_not_truncated():
    with pytest.raises(HardwareError, match="leave product_bits out"):
        design("fixed8", multiplier="truncated-6", product_bits=10)
