"""Datapaths by strategy: who computes what, how a datapath is named, and that its components are followed."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from torch import Tensor

import fewbits as fb
from fewbits.cli import main
from fewbits.errors import HardwareError
from fewbits.formats import FixedPoint, Format, Precision, all_format_names, parse_format, parse_precision
from fewbits.formats.format import FusedPass
from fewbits.hardware.datapath import strategies
from fewbits.hardware.datapath.integer import Integer
from fewbits.hardware.datapath.neuron_design import design
from fewbits.hardware.datapath.strategies import STRATEGIES, strategy_for
from fewbits.hardware.process.datapath_key import DatapathKey
from fewbits.hardware.process.technology import ComponentCost, Technology, load_technology

FORMATS = [parse_format(name) for name in (*all_format_names(), "float-e2m1", "float-e5m10", "float-e4m11")]


def test_no_precision_has_two_strategies():
    pairs = [Precision(weights, inputs) for weights in FORMATS for inputs in FORMATS]
    several = [pair.name for pair in pairs if sum(one.computes(pair) for one in STRATEGIES) > 1]
    assert several == []


@pytest.mark.parametrize(
    ("precision", "strategy"),
    {
        "fixed4": "Integer",
        "fixed16/fixed8": "Integer",
        "pow2-6/fixed16": "Shifter",
        "ternary/fixed8": "TernarySelection",
        "binary/fixed16": "SignSelection",
        "binary": "PopulationCount",
        "float32": "Float32",
        "fp8-e4m3": "NarrowFloat",
        "bfloat16/float16": "NarrowFloat",
    }.items(),
)
def test_a_precision_has_its_strategy(precision: str, strategy: str):
    assert strategy_for(parse_precision(precision)).__name__ == strategy


@pytest.mark.parametrize("precision", ["pow2-7/fixed8", "fixed8/float32", "float32/bfloat16", "fixed8/binary"])
def test_what_no_circuit_computes_is_refused_with_what_can_be(precision: str):
    with pytest.raises(HardwareError, match=f"no datapath for {re.escape(precision)}: weights may be fixedN, pow2-2"):
        strategy_for(parse_precision(precision))


@pytest.mark.parametrize("precision", ["float32", "fp8-e4m3", "binary"])
def test_a_product_that_cannot_be_truncated_says_why(precision: str):
    why = strategy_for(parse_precision(precision)).truncation_refusal
    with pytest.raises(HardwareError, match=f"products of {precision} {why} and cannot be truncated"):
        design(precision, product_bits=8)


def test_names_are_printed_from_keys():
    precision = parse_precision("fixed16")
    assert DatapathKey(precision).name == "fixed16"
    assert DatapathKey(precision, "array", 20).name == "fixed16 array product20"
    assert DatapathKey(precision, "array", 20).arguments == "fixed16 --multiplier array --product-bits 20"
    assert DatapathKey(precision, synapses=32).name == "fixed16 32 synapses"
    assert DatapathKey(precision, synapses=32).arguments == "fixed16 --synapses 32"
    assert DatapathKey(precision, element="processing-element").name == "fixed16 processing element"


def test_a_processing_element_has_one_synapse_whatever_is_given():
    precision = parse_precision("fixed8")
    one, other = (DatapathKey(precision, synapses=number, element="processing-element") for number in (16, 32))
    assert one == other


@pytest.mark.parametrize("synapses", [0, -4, 2.5, True, "8", 1 << 25])
def test_senseless_synapses_are_refused(synapses: object):
    with pytest.raises(HardwareError, match="a neuron takes from 1 to 16777216 synapses, not"):
        DatapathKey(parse_precision("fixed8"), synapses=synapses)  # type: ignore[arg-type]


def test_a_design_and_its_table_entry_have_one_key():
    made = design("fixed16", multiplier="array", product_bits=20)
    assert made.key == DatapathKey(parse_precision("fixed16"), "array", 20)
    fixed8 = load_technology().datapath(design("fixed8").key)
    assert fixed8 is not load_technology().find(made.key)
    assert fixed8 == load_technology().datapath("fixed8") == load_technology().datapath(parse_precision("fixed8"))


def test_precisions_of_a_table_leave_variants_out():
    table = load_technology()
    one = replace(table.datapath("fixed8"), precision="fixed8 array")
    with_variant = replace(table, datapaths={**table.datapaths, one.precision: one})
    usual = [name for name, one in table.datapaths.items() if one.synapses == 16 and " " not in name]
    assert [precision.name for precision in with_variant.precisions()] == usual


class WithScales(Integer):
    """A datapath with a component of its own."""

    components = ("multipliers", "scales", "adder_tree", "registers", "rest")


SCALES = ComponentCost(cells=1, area_um2=1e6, leakage_uw=100.0, energy_pj=50.0)


@pytest.fixture
def with_scales(monkeypatch: pytest.MonkeyPatch) -> Technology:
    """The shipped table, its fixed8 with scales."""
    monkeypatch.setattr(strategies, "STRATEGIES", (WithScales, *STRATEGIES))
    table = load_technology()
    fixed8 = table.datapath("fixed8")
    own = replace(fixed8, components={**fixed8.components, "scales": SCALES})
    return replace(table, datapaths={**table.datapaths, "fixed8": own})


def test_a_cost_has_the_components_that_the_datapath_declares(with_scales: Technology):
    cost, usual = fb.cost("lenet", "fixed8", technology=with_scales), fb.cost("lenet", "fp8-e4m3")
    own = ("control", "clock", "bin", "sb", "bout")
    assert tuple(cost.breakdown.area_mm2) == (*WithScales.components, *own)
    assert tuple(usual.breakdown.area_mm2) == (*Integer.components, *own)
    assert cost.breakdown.area_mm2["scales"] == pytest.approx(16 * 1.0)
    assert sum(cost.breakdown.energy_uj.values()) == pytest.approx(cost.energy_uj)
    assert all(layer.energy_uj_by_part["scales"] > 0 for layer in cost.breakdown.layers if layer.kind == "linear")


def test_a_table_keeps_components_of_a_datapath_s_own(with_scales: Technology, tmp_path: Path):
    with_scales.save(tmp_path / "own.json")
    assert load_technology(tmp_path / "own.json") == with_scales


def test_an_entry_with_other_components_than_its_datapath_is_refused():
    table = load_technology()
    own = replace(table.datapath("fixed8"), components={**table.datapath("fixed8").components, "scales": SCALES})
    with pytest.raises(HardwareError, match=r"fixed8 by .*, scales, its datapath has [a-z_, ]*, rest:"):
        fb.cost("lenet", "fixed8", technology=replace(table, datapaths={"fixed8": own}))


class Stranger(Format):
    """A format from outside: fixed8's values in a class that fewbits does not know."""

    name, bits, family, exponent_bits = "stranger8", 8, "stranger", 0  # pyright: ignore
    _values = FixedPoint(8)

    @property
    def largest(self) -> Fraction:
        return self._values.largest

    @property
    def count(self) -> int:
        return self._values.count

    @property
    def smallest_positive(self) -> Fraction:
        return self._values.smallest_positive

    def reference_quantize(self, x: Tensor, largest: float, lowest: float | None = None) -> Tensor:
        return self._values.reference_quantize(x, largest, lowest)

    def fused_pass(self, fraction_bits: int) -> FusedPass | None:
        return None

    def code_numbers(self, numbers: Tensor) -> Tensor:
        return self._values.code_numbers(numbers)

    def decode_numbers(self, codes: Tensor) -> Tensor:
        return self._values.decode_numbers(codes)

    def nearest(self, x: Fraction) -> Fraction:
        return self._values.nearest(x)

    def code_of(self, number: Fraction) -> int:
        return self._values.code_of(number)


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Precision:
    """A precision of that format, known by its name."""
    from fewbits.formats import registry

    number_format = Stranger()
    monkeypatch.setitem(registry._NAMED, number_format.name, number_format)  # pyright: ignore
    return Precision(number_format, number_format)


NO_CIRCUIT = "no datapath for stranger8: stranger8 is of {}, which brings no circuit"


def test_a_format_from_outside_has_no_cost_and_its_giver_is_named(stranger: Precision):
    with pytest.raises(HardwareError, match=NO_CIRCUIT.format("test_strategies")):
        fb.cost("lenet", stranger)


@pytest.mark.parametrize(
    "command", [["cost", "lenet", "stranger8"], ["rtl", "stranger8", "--out", "made"], ["run", "made.toml"]]
)
def test_a_command_refuses_a_format_without_a_circuit_in_one_line(
    command: list[str],
    stranger: Precision,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "made.toml").write_text(
        'name = "made"\nmodels = ["lenet"]\ndata = ["digits"]\nprecisions = ["stranger8"]\n'
    )
    assert main(command) == 2
    said = capsys.readouterr().err
    assert NO_CIRCUIT.format("test_strategies") in said
    assert len(said.splitlines()) == 1
