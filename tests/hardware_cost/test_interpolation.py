"""The cost of fixedN/fixedM datapaths between characterized ones, and how far off it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fewbits import HardwareError, parse_precision
from fewbits.hardware import load_technology
from fewbits.hardware.costing.network_cost import cost
from fewbits.hardware.datapath import design
from fewbits.hardware.datapath.interpolation import can_interpolate, interpolate, interpolation_errors
from fewbits.hardware.process.technology import LOGIC_COMPONENTS, ComponentCost, DatapathCost, Technology


def datapath(name: str, scale: float = 1.0) -> DatapathCost:
    """A neuron whose multipliers grow with the product of the widths, the rest with their sum."""
    precision = parse_precision(name)
    weights, inputs = precision.weights.bits, precision.inputs.bits
    made = design(name)
    figures = {part: float(weights + inputs) for part in LOGIC_COMPONENTS} | {"multipliers": float(weights * inputs)}
    components = {
        part: ComponentCost(cells=round(100 * figure), area_um2=scale * figure, leakage_uw=figure, energy_pj=figure)
        for part, figure in figures.items()
    }
    return DatapathCost(
        precision=name,
        components=components,
        cell_counts={"nand2": 7},
        accumulator_bits=made.accumulator_bits,
        longest_path_ns=3.0 + weights / 100,
        clock_mhz=250.0,
        meets_target=True,
        pipeline_stages=made.pipeline_stages,
        accumulate_cycles=made.accumulate_cycles,
        multiplier=made.multiplier,
        activity=0.2,
    )


def table(*names: str) -> Technology:
    """The shipped macros with such datapaths."""
    return replace(load_technology(), name="powers", datapaths={name: datapath(name) for name in names})


KNOWN = table("fixed2", "fixed4", "fixed8", "fixed12", "fixed16", "fixed32")


@pytest.mark.parametrize(
    "name", ["fixed3", "fixed5", "fixed7", "fixed4/fixed8", "fixed24", "fixed3/fixed30", "fixed32/fixed9"]
)
def test_powers_of_the_widths_are_met_exactly(name: str):
    found, exact = interpolate(KNOWN, parse_precision(name)), datapath(name)
    for part in LOGIC_COMPONENTS:
        assert found.components[part].area_um2 == pytest.approx(exact.components[part].area_um2)
        assert found.components[part].cells == exact.components[part].cells
    assert (found.pipeline_stages, found.accumulator_bits) == (exact.pipeline_stages, exact.accumulator_bits)


def test_the_longest_path_is_the_worse_neighbour():
    assert interpolate(KNOWN, parse_precision("fixed24")).longest_path_ns == pytest.approx(3.32)


def test_only_neurons_of_the_same_architecture_are_taken():
    stepped = {
        name: datapath(name, 2.0 if name in ("fixed12", "fixed16", "fixed32") else 1.0) for name in KNOWN.datapaths
    }
    found = interpolate(replace(KNOWN, datapaths=stepped), parse_precision("fixed11"))
    assert found.components["multipliers"].area_um2 == pytest.approx(121.0)


def test_errors_are_those_of_the_point_that_is_left_out():
    off = dict(KNOWN.datapaths) | {"fixed4": datapath("fixed4", 2.0)}
    errors = {error.precision: error for error in interpolation_errors(replace(KNOWN, datapaths=off))}
    assert set(errors) == {"fixed4", "fixed8", "fixed12", "fixed16"}
    assert errors["fixed4"].area_percent == pytest.approx(-50.0)
    assert errors["fixed4"].energy_percent == pytest.approx(0.0)
    assert errors["fixed16"].area_percent == pytest.approx(0.0)


@pytest.mark.parametrize("name", ["float32", "pow2-4/fixed8", "binary"])
def test_other_kinds_are_not_interpolated(name: str):
    assert not can_interpolate(KNOWN, parse_precision(name))
    with pytest.raises(HardwareError, match="cannot be interpolated"):
        interpolate(KNOWN, parse_precision(name))


def test_cost_says_whether_it_is_interpolated():
    between, known = cost("lenet", "fixed9", technology=KNOWN), cost("lenet", "fixed8", technology=KNOWN)
    assert between.interpolated
    assert not known.interpolated
    assert between.multiplier == "radix-4 Booth, full product"
    assert known.area_mm2 < between.area_mm2


def test_a_variant_is_never_taken_for_the_plain_datapath():
    with pytest.raises(HardwareError, match=r"--precision fixed8 --multiplier array --product-bits 10"):
        cost("lenet", "fixed8", technology=KNOWN, multiplier="array", product_bits=10)
    variant = replace(datapath("fixed8"), precision="fixed8 array")
    with_variant = replace(KNOWN, datapaths={**KNOWN.datapaths, "fixed8 array": variant})
    assert not cost("lenet", "fixed8", technology=with_variant, multiplier="array").interpolated


def test_cycles_are_those_of_the_variants_pipeline():
    variant = replace(datapath("fixed16"), precision="fixed16 product16")
    with_variant = replace(KNOWN, datapaths={**KNOWN.datapaths, "fixed16 product16": variant})
    whole, cut = (cost("lenet", "fixed16", technology=with_variant, product_bits=bits) for bits in (None, 16))
    stored = (
        3  # layers with weights whose outputs are stored, a cycle later each: the product is added before it is cut
    )
    assert cut.cycles - whole.cycles == stored + 1
